//! PeerGuardian text: `label:first-last`, IPv4 only.
//!
//! The label may hold colons, so the last one ends it. Invariant: a range is taken as written; leading zeros have
//! two readings and are refused. The files are ISO 8859-1 unless they begin with a byte-order mark; labels are
//! read as UTF-8 where they are that, which no label in ISO 8859-1 with a letter beyond ASCII is by accident.

use std::borrow::Cow;

use super::meta::{Dialect, Metadata};
use super::text::loose;
use super::{Item, Out, Parser, give};
use crate::blocklist::place::{Flaw, shown};

/// A p2p list.
#[derive(Default)]
pub(super) struct P2p {
    meta: Metadata,
}

impl Parser for P2p {
    fn line(&mut self, number: u32, line: &[u8], out: Out<'_>) {
        let begin = line.trim_ascii_start();
        if begin.starts_with(b"#") || begin.starts_with(b"//") {
            self.meta.comment(Dialect::Own, number, line);
        } else if !begin.is_empty() {
            give(number, row(number, line).map(Some), out);
        }
    }

    fn end(&mut self, _: Out<'_>) -> Metadata {
        std::mem::take(&mut self.meta)
    }
}

/// The label and the range of a line, and the bytes before the range; `None` without a colon.
pub(super) fn parts(line: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let colon = line.iter().rposition(|b| *b == b':')?;
    let (label, range) = line.split_at_checked(colon)?;
    Some((label, range.get(1..)?, colon + 1))
}

fn row(number: u32, line: &[u8]) -> Result<Item<'_>, Flaw> {
    let Some((label, range, before)) = parts(line) else {
        return Err(Flaw::new(0, "no label: a line is `label:first-last`"));
    };
    let blanks = range.len() - range.trim_ascii_start().len();
    // In ISO 8859-1 a byte is a character, in UTF-8 not; a column is right for both where the label is ASCII.
    let label = latin1_or_utf8(label);
    let offset = label.chars().count() + 1 + blanks;
    let offset = u32::try_from(offset.min(before + blanks)).unwrap_or(u32::MAX);
    let flaw = |what: &str| Err(Flaw::new(offset, what));
    let Ok(range) = std::str::from_utf8(range.trim_ascii()) else {
        return flaw("bytes that are not ASCII");
    };
    if range.is_empty() {
        return flaw("the range is missing: a line is `label:first-last`");
    }
    if !range.contains('-') {
        return flaw(&format!("{} is not a range: a line is `label:first-last`", shown(range)));
    }
    // `a - b` is also found.
    let range: String = range.chars().filter(|c| *c != ' ').collect();
    let (subject, masked) = loose(&range).map_err(|flaw| flaw.behind(offset))?;
    let remark = match label {
        Cow::Borrowed(label) => Cow::Borrowed(label.trim()),
        Cow::Owned(label) => Cow::Owned(label.trim().to_owned()),
    };
    let column = offset.saturating_add(1);
    Ok(Item { subject, line: number, column, remark, masked })
}

fn latin1_or_utf8(label: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(label) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(label.iter().map(|byte| char::from(*byte)).collect()),
    }
}
