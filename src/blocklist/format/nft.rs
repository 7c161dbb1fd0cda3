//! nftables sets: `elements = { ... }` as `nft list set` prints them, and `add element ... { ... }`.
//!
//! Source: nft(8). An element may be an address, a prefix or an interval, with a timeout, a comment and counters.
//! Invariants: elements are taken from sets alone, never from rules; what makes an element more than an address
//! (a port, a verdict) is refused; braces that are still open at the end mean that the file is cut off.

use std::borrow::Cow;

use super::meta::{Dialect, Metadata};
use super::text::loose;
use super::{Found, Item, Out, Parser};
use crate::blocklist::place::{Flaw, characters, shown};

/// A file of sets.
#[derive(Default)]
pub(super) struct Nft {
    meta: Metadata,
    state: State,
    /// Braces open around the statement, and the line of the first.
    depth: u32,
    opened: u32,
    element: Element,
    line: u32,
}

/// What was read of the statement so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Any,
    /// `elements`
    Elements,
    /// `elements =`
    Equals,
    /// `add`, `delete`
    Verb { adds: bool },
    /// `add element ...`
    AddElement,
    /// `{` of elements.
    Inside,
}

/// What was read of an element so far.
#[derive(Default)]
struct Element {
    value: String,
    line: u32,
    column: u32,
    remark: String,
    next: Next,
    flaw: Option<Found<'static>>,
}

/// What the next word of an element is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Any,
    Comment,
    Timeout,
}

impl Parser for Nft {
    fn line(&mut self, number: u32, line: &[u8], out: Out<'_>) {
        self.line = number;
        let text = String::from_utf8_lossy(line);
        let mut tokens = Tokens { rest: &text, before: 0 };
        while let Some((token, column)) = tokens.next() {
            match token {
                Token::Comment(comment) => {
                    self.meta.comment(Dialect::Own, number, comment.as_bytes());
                }
                token if self.state == State::Inside => self.inside(token, column, out),
                token => self.outside(token, column, out),
            }
        }
    }

    fn end(&mut self, out: Out<'_>) -> Metadata {
        if self.depth > 0 {
            let message = format!(
                "the brace of line {} is still open at the end: the file may be cut off",
                self.opened
            );
            out(Found::Guard(self.line, Flaw::new(0, message)));
        }
        std::mem::take(&mut self.meta)
    }
}

impl Nft {
    fn outside(&mut self, token: Token<'_>, column: u32, out: Out<'_>) {
        self.state = match (token, self.state) {
            (Token::Word("elements"), _) => State::Elements,
            (Token::Sign('='), State::Elements) => State::Equals,
            (Token::Word("add" | "create"), State::Any) => State::Verb { adds: true },
            (Token::Word("delete" | "destroy"), State::Any) => State::Verb { adds: false },
            (Token::Word("element"), State::Verb { adds }) => {
                if !adds {
                    let message =
                        "an element that is taken out again is not read: list the set anew";
                    out(Found::Guard(self.line, Flaw::new(column, message)));
                }
                State::AddElement
            }
            (Token::Sign('{'), State::Equals | State::AddElement) => {
                self.open();
                State::Inside
            }
            (Token::Sign('{'), _) => {
                self.open();
                State::Any
            }
            (Token::Sign('}'), _) => {
                match self.depth.checked_sub(1) {
                    Some(depth) => self.depth = depth,
                    None => {
                        let flaw = Flaw::new(column, "a brace that closes nothing");
                        out(Found::Wrong(self.line, flaw));
                    }
                }
                State::Any
            }
            (Token::Sign(_), State::AddElement) => State::AddElement,
            (Token::Sign(_), _) => State::Any,
            (Token::Word(_) | Token::Text(_) | Token::Comment(_), State::AddElement) => {
                State::AddElement
            }
            // The name of a table may be any word, so a verb counts only where a statement begins.
            (Token::Word(_) | Token::Text(_) | Token::Comment(_), _) => State::Any,
        };
    }

    fn open(&mut self) {
        if self.depth == 0 {
            self.opened = self.line;
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn inside(&mut self, token: Token<'_>, column: u32, out: Out<'_>) {
        match token {
            Token::Sign(',') => self.give(out),
            Token::Sign('}') => {
                self.give(out);
                self.depth = self.depth.saturating_sub(1);
                self.state = State::Any;
            }
            Token::Sign(sign) => self.wrong(column, format!("{sign} inside of elements")),
            Token::Text(text) if self.element.next == Next::Comment => {
                self.element.next = Next::Any;
                text.clone_into(&mut self.element.remark);
            }
            Token::Text(text) => self.wrong(column, format!("{} is not an address", shown(text))),
            Token::Word(word) => self.word(word, column),
            Token::Comment(_) => {}
        }
    }

    fn word(&mut self, word: &str, column: u32) {
        let element = &mut self.element;
        if element.value.is_empty() {
            word.clone_into(&mut element.value);
            (element.line, element.column) = (self.line, column);
            return;
        }
        match (element.next, word) {
            (Next::Comment, text) => {
                element.next = Next::Any;
                text.clone_into(&mut element.remark);
            }
            (Next::Timeout, time) => {
                element.next = Next::Any;
                if element.remark.is_empty() {
                    element.remark = format!("timeout {time}");
                }
            }
            (Next::Any, "comment") => element.next = Next::Comment,
            (Next::Any, "timeout") => element.next = Next::Timeout,
            (Next::Any, ":" | ".") => {
                let message = format!("{} is more than an address", shown(&element.value));
                let flaw = Flaw::new(element.column, message);
                element.flaw.get_or_insert(Found::Guard(element.line, flaw));
            }
            // What follows an element (counters, times, limits) holds none of these; an address does.
            (Next::Any, other) if other.contains(['.', ':', '-']) => {
                let message = format!("{} is too much: is a comma missing?", shown(other));
                self.wrong(column, message);
            }
            (Next::Any, _) => {}
        }
    }

    /// The first thing that is wrong with an element refuses it.
    fn wrong(&mut self, column: u32, message: String) {
        let flaw = Found::Wrong(self.line, Flaw::new(column, message));
        self.element.flaw.get_or_insert(flaw);
    }

    /// The element is complete.
    fn give(&mut self, out: Out<'_>) {
        let element = std::mem::take(&mut self.element);
        if let Some(flaw) = element.flaw {
            return out(flaw);
        }
        if element.value.is_empty() {
            return;
        }
        match loose(&element.value) {
            Err(flaw) => out(Found::Wrong(element.line, flaw.behind(element.column))),
            Ok((subject, masked)) => out(Found::Item(Item {
                subject,
                line: element.line,
                column: element.column.saturating_add(1),
                remark: Cow::Owned(element.remark),
                masked,
            })),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// In double quotes.
    Text(&'a str),
    /// One of `{ } , ; =`.
    Sign(char),
    Comment(&'a str),
}

struct Tokens<'a> {
    rest: &'a str,
    before: u32,
}

impl<'a> Tokens<'a> {
    /// The next token, and the characters before it.
    fn next(&mut self) -> Option<(Token<'a>, u32)> {
        const SIGNS: [char; 5] = ['{', '}', ',', ';', '='];
        let blank = |c: char| c.is_whitespace() || c == '\\';
        let start = self.rest.find(|c: char| !blank(c))?;
        self.skip(start);
        let (rest, column) = (self.rest, self.before);
        let first = rest.chars().next()?;
        let (token, length) = match first {
            '#' => (Token::Comment(rest), rest.len()),
            '"' => {
                let inside = rest.get(1..).unwrap_or_default();
                match inside.split_once('"') {
                    Some((text, _)) => (Token::Text(text), text.len() + 2),
                    None => (Token::Text(inside), rest.len()),
                }
            }
            sign if SIGNS.contains(&sign) => (Token::Sign(sign), 1),
            _ => {
                let ends = |c: char| blank(c) || SIGNS.contains(&c) || c == '"';
                let end = rest.find(ends).unwrap_or(rest.len());
                (Token::Word(rest.get(..end).unwrap_or(rest)), end)
            }
        };
        self.skip(length);
        Some((token, column))
    }

    fn skip(&mut self, bytes: usize) {
        let passed = self.rest.as_bytes().get(..bytes).unwrap_or_default();
        self.before = self.before.saturating_add(characters(passed));
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}
