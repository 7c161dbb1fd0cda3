//! The words of a line, without blanks and comment.
//!
//! Invariant: nothing that looks like an entry is passed over. A second token on a line is refused, not
//! ignored, and `//` begins a comment only after a blank, so that `10.0.0.0//8` is not read as one address.

use super::place::{Flaw, characters, shown};

/// An entry's text and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// The text, without blanks.
    pub(super) text: &'a str,
    /// Characters before it in its line.
    pub(super) offset: u32,
}

/// The tokens of a line that has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words<'a> {
    pub(super) first: Token<'a>,
    second: Option<Token<'a>>,
    third: Option<Token<'a>>,
    more: bool,
}

impl<'a> Words<'a> {
    /// The only token.
    ///
    /// # Errors
    ///
    /// There is a second one.
    pub(super) fn only(&self) -> Result<Token<'a>, Flaw> {
        match self.second {
            None => Ok(self.first),
            Some(second) => Err(Flaw::new(
                second.offset,
                format!("one entry per line: {} is too much", shown(second.text)),
            )),
        }
    }

    /// The two tokens of `FIRST - LAST`.
    pub(super) fn parted(&self) -> Option<(Token<'a>, Token<'a>)> {
        match (self.second, self.third) {
            (Some(sign), Some(last)) if sign.text == "-" && !self.more => Some((self.first, last)),
            (_, _) => None,
        }
    }
}

/// The tokens of what stands before a comment; `None` if there are only blanks.
///
/// # Errors
///
/// Bytes that are not UTF-8.
pub(super) fn words(data: &[u8]) -> Result<Option<Words<'_>>, Flaw> {
    let data = match std::str::from_utf8(data) {
        Ok(data) => data,
        Err(e) => {
            let good = data.get(..e.valid_up_to()).unwrap_or_default();
            return Err(Flaw::new(characters(good), "bytes that are not UTF-8"));
        }
    };
    let token = |text| Token { text, offset: offset_of(data, text) };
    let mut tokens = data.split(is_blank).filter(|t| !t.is_empty()).map(token);
    let Some(first) = tokens.next() else { return Ok(None) };
    let (second, third) = (tokens.next(), tokens.next());
    Ok(Some(Words { first, second, third, more: tokens.next().is_some() }))
}

/// Space, tab, and the no-break space that comes with text pasted from web pages and documents.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{a0}')
}

/// What stands before the comment of a line, and the comment with its sign.
pub(super) fn comment_of(line: &[u8]) -> (&[u8], &[u8]) {
    let begins = |(at, byte): (usize, &u8)| match byte {
        b'#' | b';' => true,
        b'/' => line.get(at + 1) == Some(&b'/') && ends_in_blank(line.get(..at)),
        _ => false,
    };
    let end = line.iter().enumerate().position(begins).unwrap_or(line.len());
    line.split_at_checked(end).unwrap_or((line, &[]))
}

/// Whether what stands before is empty or ends in a blank.
fn ends_in_blank(before: Option<&[u8]>) -> bool {
    match before {
        None | Some([]) => true,
        Some(bytes) => {
            bytes.ends_with(b" ") || bytes.ends_with(b"\t") || bytes.ends_with("\u{a0}".as_bytes())
        }
    }
}

/// Characters of `whole` before `part`, a slice of it.
fn offset_of(whole: &str, part: &str) -> u32 {
    let bytes = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    characters(whole.as_bytes().get(..bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only_token(line: &[u8]) -> Result<Option<Token<'_>>, Flaw> {
        words(comment_of(line).0)?.map(|words| words.only()).transpose()
    }

    fn token(line: &str) -> Option<(&str, u32)> {
        only_token(line.as_bytes()).unwrap().map(|t| (t.text, t.offset))
    }

    #[test]
    fn blanks_and_comments_are_no_part_of_an_entry() {
        for line in ["", "  \t ", "# x", " ; x", "// x", "\u{a0}// x", "\u{a0}\u{a0}"] {
            assert_eq!(token(line), None, "{line}");
        }
        assert_eq!(token("a"), Some(("a", 0)));
        assert_eq!(token("\u{a0} a\u{a0}"), Some(("a", 2)));
        assert_eq!(token("a#b c"), Some(("a", 0)));
        assert_eq!(token("a;b c"), Some(("a", 0)));
        assert_eq!(token("a // b c"), Some(("a", 0)));
        assert_eq!(token("a\u{a0}//b"), Some(("a", 0)));
    }

    #[test]
    fn slashes_inside_a_token_are_no_comment() {
        assert_eq!(token("10.0.0.0//8"), Some(("10.0.0.0//8", 0)));
        assert_eq!(token("10.0.0.0/8//x"), Some(("10.0.0.0/8//x", 0)));
    }

    #[test]
    fn a_second_token_is_refused_at_its_column() {
        let flaw = only_token("é a  b # c".as_bytes()).unwrap_err();
        assert_eq!((flaw.offset, flaw.message.as_str()), (2, "one entry per line: a is too much"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_in_data_only() {
        assert_eq!(only_token(b"a # \xff\xfe").unwrap().unwrap().text, "a");
        let flaw = only_token(b"a\xc3\xa9\xff").unwrap_err();
        assert_eq!((flaw.offset, flaw.message.as_str()), (2, "bytes that are not UTF-8"));
    }

    #[test]
    fn two_tokens_with_a_dash_between_them_are_parted() {
        let parted = |line: &'static str| {
            let words = words(line.as_bytes()).unwrap().unwrap();
            words.parted().map(|(a, b)| (a.text, b.text, b.offset))
        };
        assert_eq!(parted("a - b"), Some(("a", "b", 4)));
        for line in ["a", "a b", "a -", "- b", "a - b c", "a-b", "a : b"] {
            assert_eq!(parted(line), None, "{line}");
        }
    }
}
