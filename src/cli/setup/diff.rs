//! The difference of two texts, line by line, with a little around it. Pure.

/// Lines shown around a change.
const AROUND: usize = 2;
/// Beyond this many lines on a side no common part is looked for between the first and the last change.
const MOST: usize = 4_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Same,
    Gone,
    New,
}

/// The lines that went (`-`), that came (`+`), and those around them; empty where nothing changed.
pub(super) fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let lines = compare(&old, &new);
    let near = |place: usize| {
        let from = place.saturating_sub(AROUND);
        let to = (place + AROUND + 1).min(lines.len());
        lines[from..to].iter().any(|(kind, _)| *kind != Kind::Same)
    };
    let (mut text, mut gap) = (String::new(), false);
    for (place, (kind, line)) in lines.iter().enumerate() {
        if !near(place) {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) && !text.is_empty() {
            text.push_str("...\n");
        }
        let sign = match kind {
            Kind::Same => ' ',
            Kind::Gone => '-',
            Kind::New => '+',
        };
        text.push_str(format!("{sign} {line}").trim_end());
        text.push('\n');
    }
    text
}

fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Kind, &'a str)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (rest_old, rest_new) = (&old[head..], &new[head..]);
    let tail = rest_old.iter().rev().zip(rest_new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (middle_old, middle_new) =
        (&rest_old[..rest_old.len() - tail], &rest_new[..rest_new.len() - tail]);
    let same = |lines: &[&'a str]| lines.iter().map(|line| (Kind::Same, *line)).collect::<Vec<_>>();
    let mut all = same(&old[..head]);
    all.extend(between(middle_old, middle_new));
    all.extend(same(&rest_old[rest_old.len() - tail..]));
    all
}

/// By the longest common part.
fn between<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Kind, &'a str)> {
    if old.len() > MOST || new.len() > MOST {
        let gone = old.iter().map(|line| (Kind::Gone, *line));
        return gone.chain(new.iter().map(|line| (Kind::New, *line))).collect();
    }
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            longest[a * width + b] = if old[a] == new[b] {
                longest[(a + 1) * width + b + 1] + 1
            } else {
                longest[(a + 1) * width + b].max(longest[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b, mut lines) = (0, 0, Vec::new());
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            lines.push((Kind::Same, old[a]));
            (a, b) = (a + 1, b + 1);
        } else if b == new.len()
            || a < old.len() && longest[(a + 1) * width + b] >= longest[a * width + b + 1]
        {
            lines.push((Kind::Gone, old[a]));
            a += 1;
        } else {
            lines.push((Kind::New, new[b]));
            b += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::diff;

    #[test]
    fn what_went_and_came_is_shown_with_a_little_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        let new = "1\n2\n3\nfour\n5\n6\n7\n8\n9\n10\n11\n12\n13\n";
        assert_eq!(diff(old, new), "  2\n  3\n- 4\n+ four\n  5\n  6\n...\n  11\n  12\n+ 13\n");
        assert_eq!(diff(old, old), "");
        assert_eq!(diff("", "a\nb\n"), "+ a\n+ b\n");
        assert_eq!(diff("a\nb\n", ""), "- a\n- b\n");
    }

    #[test]
    fn a_difference_leads_from_the_old_text_to_the_new() {
        let texts = ["a\nb\nc\n", "b\nc\nd\na\n", "", "c\nb\na\n", "a\na\na\nb\n"];
        for (old, new) in texts.iter().flat_map(|old| texts.map(|new| (old, new))) {
            let lines =
                super::compare(&old.lines().collect::<Vec<_>>(), &new.lines().collect::<Vec<_>>());
            let without = |kind| -> Vec<&str> {
                lines.iter().filter(|(k, _)| *k != kind).map(|(_, line)| *line).collect()
            };
            assert_eq!(without(super::Kind::New), old.lines().collect::<Vec<_>>());
            assert_eq!(without(super::Kind::Gone), new.lines().collect::<Vec<_>>());
        }
    }
}
