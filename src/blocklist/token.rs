//! The one entry of a line, without blanks and comment.
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

/// The only token of a line; `None` if there is nothing but blanks and a comment.
///
/// # Errors
///
/// A second token, or bytes outside a comment that are not UTF-8.
pub(super) fn only_token(line: &[u8]) -> Result<Option<Token<'_>>, Flaw> {
    let data = before_comment(line);
    let data = match std::str::from_utf8(data) {
        Ok(data) => data,
        Err(e) => {
            let good = data.get(..e.valid_up_to()).unwrap_or_default();
            return Err(Flaw::new(characters(good), "bytes that are not UTF-8"));
        }
    };
    let mut tokens = data.split(is_blank).filter(|t| !t.is_empty());
    let Some(text) = tokens.next() else { return Ok(None) };
    match tokens.next() {
        None => Ok(Some(Token { text, offset: offset_of(data, text) })),
        Some(second) => Err(Flaw::new(
            offset_of(data, second),
            format!("one entry per line: {} is too much", shown(second)),
        )),
    }
}

/// Space, tab, and the no-break space that comes with text pasted from web pages and documents.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{a0}')
}

fn before_comment(line: &[u8]) -> &[u8] {
    let begins = |(at, byte): (usize, &u8)| match byte {
        b'#' | b';' => true,
        b'/' => line.get(at + 1) == Some(&b'/') && ends_in_blank(line.get(..at)),
        _ => false,
    };
    let end = line.iter().enumerate().position(begins).unwrap_or(line.len());
    line.get(..end).unwrap_or(line)
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
}
