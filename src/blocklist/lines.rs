//! A file as lines, read in a stream with every dimension bounded.
//!
//! Invariants: memory is one line of at most [`MAX_LINE_BYTES`] and what unpacking takes; what comes out
//! holds no NUL, no carriage return and no byte-order mark.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::errors::ListErrors;
use super::place::{Flaw, Place, characters};
use super::unpack::{self, Packing, Unpacked};
use crate::failure::{ExitStatus, Failure};

/// The longest line, without its end, in bytes. Lines of real lists are below 200.
pub const MAX_LINE_BYTES: usize = 4096;

/// A reader of lines.
pub(super) struct Lines<'p> {
    path: &'p Path,
    input: BufReader<Unpacked>,
    buffer: Vec<u8>,
    number: u32,
    terminated: bool,
}

/// A line, or what keeps it from being read.
pub(super) type LineOrFlaw<'l> = Result<&'l [u8], Flaw>;

impl<'p> Lines<'p> {
    /// Opens a regular file, packed or not.
    ///
    /// # Errors
    ///
    /// As [`Unpacked::open`].
    pub(super) fn open(path: &'p Path) -> Result<Self, Failure> {
        Ok(Self::of(path, Unpacked::open(path)?))
    }

    fn of(path: &'p Path, unpacked: Unpacked) -> Self {
        Lines {
            path,
            input: BufReader::with_capacity(64 << 10, unpacked),
            buffer: Vec::with_capacity(256),
            number: 0,
            terminated: true,
        }
    }

    /// How the file is packed.
    pub(super) fn packing(&self) -> Packing {
        self.input.get_ref().packing()
    }

    /// The next line that can be read at all, with its number; `None` at the end.
    ///
    /// Lines that cannot (too long, NUL, a carriage return inside) are reported and passed over.
    ///
    /// # Errors
    ///
    /// The file cannot be read on, is no text, or grew beyond the limit meanwhile.
    pub(super) fn next(
        &mut self,
        errors: &mut ListErrors,
    ) -> Result<Option<(u32, &[u8])>, Failure> {
        while self.fill()? {
            match self.hidden() {
                None => return Ok(Some((self.number, &self.buffer))),
                Some(flaw) => errors.refuse(flaw.place(self.path, self.number), flaw),
            }
        }
        Ok(None)
    }

    /// The next line with its number, or what keeps it from being read; `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`Lines::next`].
    pub(super) fn next_or_flaw(&mut self) -> Result<Option<(u32, LineOrFlaw<'_>)>, Failure> {
        if !self.fill()? {
            return Ok(None);
        }
        Ok(Some((self.number, self.hidden().map_or(Ok(&self.buffer[..]), Err))))
    }

    /// Whether the last line read ended in a line end. If not, the file may be cut off.
    pub(super) fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// Reads one line into the buffer, without its end; false at the end of the file.
    fn fill(&mut self) -> Result<bool, Failure> {
        self.buffer.clear();
        // Room for the longest line and its CR LF: what fills it without an end is longer.
        let room = MAX_LINE_BYTES + 2;
        let read = (&mut self.input)
            .take(room as u64)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|e| unpack::failure(self.path, &e))?;
        if read == 0 {
            return Ok(false);
        }
        self.number = self.number.saturating_add(1);
        self.terminated = self.buffer.pop_if(|b| *b == b'\n').is_some();
        if !self.terminated && read == room {
            self.skip_rest_of_line()?;
        }
        self.buffer.pop_if(|b| *b == b'\r');
        if self.number == 1 {
            self.look_at_the_beginning()?;
        }
        Ok(true)
    }

    fn skip_rest_of_line(&mut self) -> Result<(), Failure> {
        loop {
            let chunk = self.input.fill_buf().map_err(|e| unpack::failure(self.path, &e))?;
            let (used, ended) = match chunk.iter().position(|b| *b == b'\n') {
                Some(at) => (at + 1, true),
                None => (chunk.len(), chunk.is_empty()),
            };
            self.input.consume(used);
            if ended {
                self.terminated = used > 0;
                return Ok(());
            }
        }
    }

    /// Strips a byte-order mark; names the encoding that people really send us.
    fn look_at_the_beginning(&mut self) -> Result<(), Failure> {
        if self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.buffer.drain(..3);
        } else if self.buffer.starts_with(b"\xff\xfe") || self.buffer.starts_with(b"\xfe\xff") {
            let message = format!("{}: is UTF-16 text: save it as UTF-8", Place::file(self.path));
            return Err(Failure::new(ExitStatus::BadData, message));
        }
        Ok(())
    }

    /// What would hide an entry of this line: behind a comment, or from whoever looks at the file.
    fn hidden(&self) -> Option<Flaw> {
        if self.buffer.len() > MAX_LINE_BYTES {
            return Some(Flaw::new(0, format!("line is longer than {MAX_LINE_BYTES} bytes")));
        }
        let hidden = [(0, "NUL byte"), (b'\r', "carriage return inside the line")];
        hidden.into_iter().find_map(|(byte, what)| {
            let at = self.buffer.iter().position(|b| *b == byte)?;
            Some(Flaw::new(characters(self.buffer.get(..at).unwrap_or_default()), what))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("kordon-lines-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn read(name: &str, bytes: &[u8]) -> (Vec<(u32, Vec<u8>)>, String, bool) {
        let path = written(name, bytes);
        let mut errors = ListErrors::new();
        let mut lines = Lines::open(&path).unwrap();
        let mut seen = Vec::new();
        while let Some((number, line)) = lines.next(&mut errors).unwrap() {
            seen.push((number, line.to_vec()));
        }
        let terminated = lines.is_terminated();
        std::fs::remove_file(&path).unwrap();
        (seen, errors.to_string().replace(&path.display().to_string(), "f"), terminated)
    }

    #[test]
    fn ends_and_marks_of_other_systems_are_stripped() {
        let (seen, errors, terminated) = read("crlf", b"\xef\xbb\xbfa\r\n\r\nb");
        let expected = vec![(1, b"a".to_vec()), (2, b"".to_vec()), (3, b"b".to_vec())];
        assert_eq!((seen, errors.as_str(), terminated), (expected, "", false));
        assert_eq!(read("empty", b""), (vec![], String::new(), true));
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
        for (extra, end) in [(0, "\n"), (0, "\r\n"), (0, ""), (1, "\n"), (1, "\r\n"), (1, "")]
            .into_iter()
            .chain([(2, "\n"), (2, ""), (100_000, "\r\n"), (100_000, "")])
        {
            let text = format!("{}{end}", "x".repeat(MAX_LINE_BYTES + extra));
            let follow = if end.is_empty() { "" } else { "next\n" };
            let (seen, errors, terminated) = read("long", (text + follow).as_bytes());
            let numbers: Vec<u32> = seen.iter().map(|(n, _)| *n).collect();
            let good: &[u32] = match (extra, end) {
                (0, "") => &[1],
                (0, _) => &[1, 2],
                (_, "") => &[],
                (_, _) => &[2],
            };
            assert_eq!(numbers, good, "{extra} over, end {end:?}");
            assert_eq!(terminated, !end.is_empty(), "{extra} over, end {end:?}");
            let said = if extra == 0 { "" } else { "f:1:1: line is longer than 4096 bytes" };
            assert_eq!(errors, said, "{extra} over, end {end:?}");
        }
    }

    #[test]
    fn hidden_bytes_are_refused_with_their_column() {
        let (seen, errors, _) = read("nul", "ж\0\n# a\rb\nc\n".as_bytes());
        assert_eq!(seen, vec![(3, b"c".to_vec())]);
        assert_eq!(errors, "f:1:2: NUL byte\nf:2:4: carriage return inside the line");
    }

    #[test]
    fn other_encodings_are_named() {
        for begin in [b"\xff\xfe1\0\n\0", b"\xfe\xff\x001\0\n"] {
            let path = written("utf16", begin);
            let failure = Lines::open(&path).unwrap().next_or_flaw().unwrap_err();
            assert!(failure.message.ends_with(": is UTF-16 text: save it as UTF-8"), "{failure}");
            assert_eq!(failure.status, ExitStatus::BadData);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_file_over_the_limit_is_refused_also_when_it_grows_meanwhile() {
        let path = written("large", b"12345\n12345\n");
        let failure = Unpacked::open_limited(&path, 11).err().unwrap();
        assert_eq!(failure.status, ExitStatus::BadData);
        assert!(failure.message.ends_with(": is larger than 11 bytes"), "{failure}");

        let mut errors = ListErrors::new();
        let mut lines = Lines::of(&path, Unpacked::open_limited(&path, 12).unwrap());
        std::fs::write(&path, b"12345\n12345\n1").unwrap();
        assert!(lines.next(&mut errors).unwrap().is_some());
        assert!(lines.next(&mut errors).unwrap().is_some());
        assert!(lines.next(&mut errors).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
