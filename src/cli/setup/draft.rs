//! The configuration's new text: an old one, or the shipped one, with the answers put in. Pure.
//!
//! Invariant: only the lines of the keys that were asked for change; comments and everything else stay.

/// The shipped configuration.
pub(super) const SHIPPED: &str = include_str!("../../../config/kordon.toml");

/// A text that is being changed, line by line.
pub(super) struct Draft(Vec<String>);

impl Draft {
    /// A draft that begins with this text.
    pub(super) fn new(text: &str) -> Self {
        Draft(text.lines().map(str::to_owned).collect())
    }

    /// Sets a key of a table (empty: at the top) to a value in TOML's words. What the key said before goes,
    /// over several lines, too; a comment behind it on the same line stays.
    pub(super) fn set(&mut self, table: &str, key: &str, value: &str) {
        let (start, end) = match self.table(table) {
            Some(range) => range,
            None => {
                self.0.extend([String::new(), format!("[{table}]")]);
                (self.0.len(), self.0.len())
            }
        };
        let line = format!("{key} = {value}");
        let found = (start..end).find(|place| names(&self.0[*place], key));
        match found {
            Some(place) => {
                let last = value_end(&self.0, place, end);
                let comment =
                    comment(&self.0[last]).map_or(String::new(), |text| format!("  {text}"));
                self.0.splice(place..=last, [line + &comment]);
            }
            None => self.0.insert(start, line),
        }
    }

    /// Appends a block of lines, a blank line ahead of it.
    pub(super) fn append(&mut self, block: &str) {
        self.0.push(String::new());
        self.0.extend(block.lines().map(str::to_owned));
    }

    /// The text.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The lines of a table, without its header.
    fn table(&self, table: &str) -> Option<(usize, usize)> {
        let header = |line: &String| line.trim_start().starts_with('[') && !is_value(line);
        let start = match table {
            "" => 0,
            name => {
                let wanted = format!("[{name}]");
                self.0
                    .iter()
                    .position(|line| line.split('#').next().unwrap_or("").trim() == wanted)?
                    + 1
            }
        };
        let end = self.0[start..].iter().position(header).map_or(self.0.len(), |n| start + n);
        Some((start, end))
    }
}

/// A line within a multi-line array may begin with a bracket, too; a header ends with one.
fn is_value(line: &str) -> bool {
    !line.split('#').next().unwrap_or("").trim_end().ends_with(']')
}

fn names(line: &str, key: &str) -> bool {
    line.split_once('=').is_some_and(|(left, _)| left.trim() == key)
}

/// The line on which the value that begins on `place` ends: that of the last closing bracket.
fn value_end(lines: &[String], place: usize, end: usize) -> usize {
    let mut depth = 0_i32;
    for (number, line) in lines.iter().enumerate().take(end).skip(place) {
        for c in bare(line).chars() {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
        }
        if depth <= 0 {
            return number;
        }
    }
    place
}

/// A line without its strings and its comment.
fn bare(line: &str) -> String {
    let (mut text, mut quote) = (String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (None, '#') => break,
            (None, '"' | '\'') => quote = Some(c),
            (None, other) => text.push(other),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
        }
    }
    text
}

/// The comment at the end of a line, if there is one.
fn comment(line: &str) -> Option<&str> {
    let mut quote = None;
    for (place, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return line.get(place..),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (_, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, table: &str, key: &str, value: &str) -> String {
        let mut draft = Draft::new(text);
        draft.set(table, key, value);
        draft.text()
    }

    #[test]
    fn a_key_is_changed_where_it_stands_and_its_comments_stay() {
        let text = "# top\nmode = \"enforce\"  # why not\n\n[cameras]\n# mine\ninterfaces = [\"a#b\"] # here\n";
        assert_eq!(
            set(text, "", "mode", "\"monitor\""),
            text.replace("mode = \"enforce\"", "mode = \"monitor\"")
        );
        assert_eq!(
            set(text, "cameras", "interfaces", "[\"vlan20\"]"),
            text.replace("interfaces = [\"a#b\"] # here", "interfaces = [\"vlan20\"]  # here")
        );
    }

    #[test]
    fn a_value_over_several_lines_goes_as_a_whole() {
        let text =
            "[cameras]\nnetworks = [\n  \"192.0.2.0/24\", # one ]\n  [],\n]\nx = 1\n[queue]\n";
        assert_eq!(
            set(text, "cameras", "networks", "[]"),
            "[cameras]\nnetworks = []\nx = 1\n[queue]\n"
        );
    }

    #[test]
    fn a_key_or_table_that_is_missing_is_made() {
        assert_eq!(set("[queue]\n", "", "mode", "1"), "mode = 1\n[queue]\n");
        assert_eq!(set("[a]\nb = 1\n[c]\n", "a", "d", "2"), "[a]\nd = 2\nb = 1\n[c]\n");
        assert_eq!(set("a = 1\n", "t", "k", "2"), "a = 1\n\n[t]\nk = 2\n");
        // The same key in another table is another key.
        assert_eq!(
            set("[list]\nmode = 3\n[cameras]\n", "cameras", "mode", "1"),
            "[list]\nmode = 3\n[cameras]\nmode = 1\n"
        );
    }

    #[test]
    fn the_shipped_configuration_takes_the_answers() {
        let mut draft = Draft::new(SHIPPED);
        draft.set("", "mode", "\"monitor\"");
        draft.set("cameras", "interfaces", "[\"vlan20\"]");
        draft.set("cameras", "networks", "[\"192.0.2.0/25\"]");
        let text = draft.text();
        assert_eq!(text.lines().count(), SHIPPED.lines().count());
        let changed = text.lines().zip(SHIPPED.lines()).filter(|(new, old)| new != old);
        assert_eq!(changed.count(), 3);
    }
}
