//! What `ipset save` writes: `create` and `add` lines.
//!
//! Source: ipset(8). Invariant: only sets of addresses are taken. What an entry says beyond an address (a port,
//! an exception, a mask for the whole set) would make the list mean something else, and is refused.

use std::borrow::Cow;

use super::meta::{Dialect, Metadata};
use super::text::loose;
use super::{Found, Item, Out, Parser};
use crate::blocklist::place::{Flaw, characters, shown};

/// A saved set, or several.
#[derive(Default)]
pub(super) struct Ipset {
    meta: Metadata,
}

/// Verbs that do not change what a set holds, or come before its entries.
const IGNORED: [&str; 6] = ["flush", "-F", "destroy", "-X", "COMMIT", "-exist"];

impl Parser for Ipset {
    fn line(&mut self, number: u32, line: &[u8], out: Out<'_>) {
        if line.trim_ascii_start().starts_with(b"#") {
            self.meta.comment(Dialect::Own, number, line);
            return;
        }
        let text = String::from_utf8_lossy(line);
        let mut words = Words { text: &text, at: 0, before: 0 };
        let Some((verb, _)) = words.next() else { return };
        match verb {
            "add" | "-A" => add(number, words, out),
            "create" | "-N" => create(number, words, out),
            verb if IGNORED.contains(&verb) => {}
            "del" | "-D" => {
                let message =
                    "del: an entry that is taken out again is not read; save the set anew";
                out(Found::Guard(number, Flaw::new(0, message)));
            }
            verb => {
                let message = format!("{} is not a line of ipset save", shown(verb));
                out(Found::Wrong(number, Flaw::new(0, message)));
            }
        }
    }

    fn end(&mut self, _: Out<'_>) -> Metadata {
        std::mem::take(&mut self.meta)
    }
}

/// `create NAME TYPE OPTIONS`: only types whose entries are addresses.
fn create(number: u32, mut words: Words<'_>, out: Out<'_>) {
    let (_name, kind) = (words.next(), words.next());
    let Some((kind, column)) = kind else {
        return out(Found::Wrong(number, Flaw::new(0, "create: the type is missing")));
    };
    if !matches!(kind, "hash:ip" | "hash:net" | "bitmap:ip" | "iphash" | "nethash" | "ipmap") {
        let message = format!("a set of type {} does not hold addresses alone", shown(kind));
        return out(Found::Guard(number, Flaw::new(column, message)));
    }
    while let Some((option, column)) = words.next() {
        if matches!(option, "netmask" | "bitmask") {
            let message = format!("a set with {option}: its entries stand for more than they say");
            return out(Found::Guard(number, Flaw::new(column, message)));
        }
    }
}

/// `add NAME ENTRY OPTIONS`
fn add(number: u32, mut words: Words<'_>, out: Out<'_>) {
    let (_name, entry) = (words.next(), words.next());
    let Some((entry, offset)) = entry else {
        return out(Found::Wrong(number, Flaw::new(0, "add: the entry is missing")));
    };
    if entry.contains(',') {
        let message = format!("{} is more than an address", shown(entry));
        return out(Found::Guard(number, Flaw::new(offset, message)));
    }
    let mut remark = String::new();
    while let Some((option, column)) = words.next() {
        match option {
            "nomatch" => {
                let message = "nomatch: a list has no exceptions; name them in a list with \
                               action = \"allow\"";
                return out(Found::Guard(number, Flaw::new(column, message)));
            }
            "comment" => match words.value() {
                "" => {}
                comment => say(&mut remark, "", comment),
            },
            "timeout" => match words.value() {
                "" | "0" => {}
                seconds => say(&mut remark, "timeout ", seconds),
            },
            // The rest is counters and marks: packets, bytes, skbmark and so on, each with its value.
            _ => {}
        }
    }
    match loose(entry) {
        Err(flaw) => out(Found::Wrong(number, flaw.behind(offset))),
        Ok((subject, masked)) => {
            let (column, remark) = (offset.saturating_add(1), Cow::Owned(remark));
            out(Found::Item(Item { subject, line: number, column, remark, masked }));
        }
    }
}

fn say(remark: &mut String, before: &str, what: &str) {
    if !remark.is_empty() {
        remark.push_str(", ");
    }
    remark.push_str(before);
    remark.push_str(what);
}

/// Words between blanks; one in double quotes may hold blanks.
struct Words<'a> {
    text: &'a str,
    /// Bytes and characters that were read.
    at: usize,
    before: u32,
}

impl<'a> Words<'a> {
    /// The next word without its quotes, and the characters before it.
    fn next(&mut self) -> Option<(&'a str, u32)> {
        let rest = self.text.get(self.at..)?;
        let start = rest.find(|c: char| !c.is_ascii_whitespace())?;
        self.skip(rest, start);
        let rest = rest.get(start..)?;
        let offset = self.before;
        let (word, length) = match rest.strip_prefix('"') {
            Some(inside) => match inside.split_once('"') {
                Some((word, _)) => (word, word.len() + 2),
                None => (inside, rest.len()),
            },
            None => {
                let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
                (rest.get(..end)?, end)
            }
        };
        self.skip(rest, length);
        Some((word, offset))
    }

    /// The next word, without its place.
    fn value(&mut self) -> &'a str {
        self.next().map_or("", |(text, _)| text)
    }

    fn skip(&mut self, rest: &str, bytes: usize) {
        let passed = rest.as_bytes().get(..bytes).unwrap_or_default();
        self.before = self.before.saturating_add(characters(passed));
        self.at += bytes;
    }
}
