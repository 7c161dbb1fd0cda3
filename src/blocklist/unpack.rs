//! A file as bytes: opened safely, unpacked if it is packed, every dimension bounded.
//!
//! Invariants: only regular files are read ([`regular`]); no more than [`MAX_FILE_BYTES`] come out, and no more
//! than [`MAX_RATIO`] times what went in; a file that changes while it is read is refused; packed data that ends
//! too early, does not match its checksum or is followed by something else is an error, never an end. The
//! packing is told by the first bytes, never by the name.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::failure::{ExitStatus, Failure};
use crate::regular;

/// The largest file, in bytes, after unpacking. A full origin table is about 35 MB.
pub const MAX_FILE_BYTES: u64 = 512 << 20;

/// The largest packed file, in bytes: a quarter of [`MAX_FILE_BYTES`]. Lists pack to a fifth and less.
pub const MAX_PACKED_BYTES: u64 = 128 << 20;

/// How many times larger a file may become by unpacking. Lists become 3 to 20 times larger; what becomes
/// more is made to fill memory.
pub const MAX_RATIO: u64 = 200;

/// Below this many unpacked bytes the ratio is not looked at: a small file may be all blanks.
const RATIO_FROM: u64 = 1 << 20;

/// The memory that a zstd frame may ask for: what RFC 8878 section 3.1.1.1.2 recommends a decoder to
/// support, and what `zstd` takes at all levels up to 19.
const MAX_ZSTD_WINDOW: u64 = 8 << 20;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952), one member or several.
    Gzip,
    /// Zstandard (RFC 8878), one frame or several.
    Zstd,
}

impl Packing {
    /// The word for messages: `plain`, `gzip`, `zstd`.
    pub const fn label(self) -> &'static str {
        match self {
            Packing::Plain => "plain",
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
        }
    }
}

/// What is wrong with a packed file, or one that is too large. Travels inside an [`io::Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

/// An error that says what is wrong with the data itself.
pub(super) fn unreadable(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Unreadable(what.into()))
}

/// What a read error of an [`Unpacked`] is as a failure: 65 where the data is to blame, otherwise 66 or 77.
pub(super) fn failure(path: &Path, error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Unreadable>()) {
        Some(what) => Failure::new(ExitStatus::BadData, format!("{}: {what}", path.display())),
        None => Failure::reading(path, error),
    }
}

/// The bytes of a file, unpacked.
pub(super) struct Unpacked {
    input: Input,
    packing: Packing,
    /// As it was when it was opened.
    before: Metadata,
    read: u64,
    max_bytes: u64,
}

enum Input {
    Plain(BufReader<File>),
    Gzip(MultiGzDecoder<BufReader<File>>),
    Zstd(Box<Zstd>),
}

impl Unpacked {
    /// Opens a regular file and looks how it is packed.
    ///
    /// # Errors
    ///
    /// 66 if there is no such file or it is not a regular one, 77 without permission, 65 if it is larger
    /// than [`MAX_FILE_BYTES`], or than [`MAX_PACKED_BYTES`] and packed, or packed in a way that is not read.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        Self::open_limited(path, MAX_FILE_BYTES)
    }

    pub(super) fn open_limited(path: &Path, max_bytes: u64) -> Result<Self, Failure> {
        let file = regular::open(path).map_err(|e| Failure::reading(path, &e))?;
        let before = file.metadata().map_err(|e| Failure::reading(path, &e))?;
        if before.len() > max_bytes {
            return Err(failure(path, &too_large(max_bytes)));
        }
        let mut input = BufReader::with_capacity(64 << 10, file);
        let begin = input.fill_buf().map_err(|e| Failure::reading(path, &e))?;
        let packing = packing(begin).map_err(|e| failure(path, &e))?;
        if packing != Packing::Plain && before.len() > MAX_PACKED_BYTES {
            let message = format!("is larger than {MAX_PACKED_BYTES} bytes and packed");
            return Err(failure(path, &unreadable(message)));
        }
        let input = match packing {
            Packing::Plain => Input::Plain(input),
            Packing::Gzip => Input::Gzip(MultiGzDecoder::new(input)),
            Packing::Zstd => Input::Zstd(Box::new(Zstd::new(input))),
        };
        Ok(Unpacked { input, packing, before, read: 0, max_bytes })
    }

    /// How the file is packed.
    pub(super) fn packing(&self) -> Packing {
        self.packing
    }

    /// Half of an old file and half of a new one, or half of one that is being written, is neither.
    fn check_unchanged(&self) -> io::Result<()> {
        let file = match &self.input {
            Input::Plain(input) => input.get_ref(),
            Input::Gzip(input) => input.get_ref().get_ref(),
            Input::Zstd(input) => input.source.input.get_ref(),
        };
        let now = file.metadata()?;
        if now.len() != self.before.len() || now.modified()? != self.before.modified()? {
            return Err(unreadable(
                "changed while it was read: write it beside its place, then rename it",
            ));
        }
        Ok(())
    }

    /// Counts what came out, and refuses what is too much.
    fn account(&mut self, read: usize) -> io::Result<usize> {
        self.read = self.read.saturating_add(read as u64);
        let most = self.before.len().saturating_mul(MAX_RATIO).max(RATIO_FROM);
        if self.packing != Packing::Plain && self.read > most {
            return Err(unreadable(format!(
                "unpacks to more than {MAX_RATIO} times its size: that is no list"
            )));
        }
        Ok(read)
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let left = usize::try_from(self.max_bytes - self.read.min(self.max_bytes));
        let room = left.unwrap_or(usize::MAX).min(buffer.len());
        // At the limit one byte more tells whether the file ends there.
        let mut probe = [0];
        let part = match buffer.get_mut(..room) {
            Some(part) if room > 0 => part,
            Some(_) | None => &mut probe[..],
        };
        let read = match &mut self.input {
            Input::Plain(input) => input.read(part)?,
            Input::Gzip(input) => input.read(part).map_err(|e| gzip_error(&e))?,
            Input::Zstd(input) => input.read(part)?,
        };
        if room == 0 && read > 0 {
            return Err(too_large(self.max_bytes));
        }
        if read == 0 {
            self.check_unchanged()?;
        }
        self.account(read)
    }
}

fn too_large(max_bytes: u64) -> io::Error {
    unreadable(format!("is larger than {max_bytes} bytes"))
}

/// By the first bytes of a file.
fn packing(begin: &[u8]) -> io::Result<Packing> {
    const OTHERS: [(&[u8], &str); 3] =
        [(b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2"), (b"PK\x03\x04", "zip")];
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| begin.starts_with(magic)) {
        return Err(unreadable(format!("is compressed with {what}: unpack it first")));
    }
    // RFC 8878: a frame, or one of the 16 kinds of skippable frames that pzstd puts first.
    let skippable = matches!(begin, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    Ok(match begin {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        _ if skippable => Packing::Zstd,
        _ => Packing::Plain,
    })
}

fn gzip_error(error: &io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => cut_off("gzip"),
        // What flate2 finds wrong with the data; the rest comes from the file.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            unreadable(format!("is not whole gzip data: {error}"))
        }
        kind => io::Error::new(kind, error.to_string()),
    }
}

fn cut_off(packing: &str) -> io::Error {
    unreadable(format!("is cut off: the {packing} data ends too early"))
}

/// Zstandard frames, one after the other.
struct Zstd {
    source: Source,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl Zstd {
    fn new(input: BufReader<File>) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_ZSTD_WINDOW);
        Zstd { source: Source { input, ended: false }, decoder, in_frame: false }
    }

    /// Begins the next frame; false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.source.input.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let mut frame = (&mut self.source).take(length);
                    if io::copy(&mut frame, &mut io::sink())? < length {
                        return Err(cut_off("zstd"));
                    }
                }
                Err(error) => return Err(self.error(&error)),
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stored = self.decoder.get_checksum_from_data();
        if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
            return Err(unreadable("is not whole zstd data: its checksum does not match"));
        }
        Ok(())
    }

    fn error(&self, error: &FrameDecoderError) -> io::Error {
        match error {
            FrameDecoderError::WindowSizeTooBig { requested, max } => unreadable(format!(
                "needs {requested} bytes of memory to unpack, more than {max}: pack it without \
                 --ultra and --long"
            )),
            _ if self.source.ended => cut_off("zstd"),
            _ => unreadable(format!("is not whole zstd data: {error}")),
        }
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if !self.begin()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                if let Err(error) = self.decoder.decode_blocks(&mut self.source, one) {
                    return Err(self.error(&error));
                }
            }
            match self.decoder.read(buffer)? {
                0 => self.end()?,
                read => return Ok(read),
            }
        }
    }
}

/// The packed file, remembering whether more was wanted than there is.
struct Source {
    input: BufReader<File>,
    ended: bool,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.ended |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn written(name: &str, bytes: &[u8]) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kordon-unpack-{}-{number}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn read(name: &str, bytes: &[u8]) -> Result<(Packing, Vec<u8>), String> {
        let path = written(name, bytes);
        let say = |failure: Failure| {
            assert_eq!(failure.status, ExitStatus::BadData);
            failure.message.replace(&path.display().to_string(), "f")
        };
        let outcome = Unpacked::open(&path).map_err(say).and_then(|mut file| {
            let mut out = Vec::new();
            file.read_to_end(&mut out).map_err(|e| say(failure(&path, &e)))?;
            Ok((file.packing(), out))
        });
        std::fs::remove_file(&path).unwrap();
        outcome
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn text() -> Vec<u8> {
        (0..300u32).flat_map(|n| format!("198.51.{}.{}\n", n / 256, n % 256).into_bytes()).collect()
    }

    #[test]
    fn packed_files_come_out_as_they_went_in_in_one_piece_or_several() {
        let text = text();
        let twice = [text.clone(), text.clone()].concat();
        assert_eq!(read("plain", &text), Ok((Packing::Plain, text.clone())));
        assert_eq!(read("none", b""), Ok((Packing::Plain, vec![])));
        for (packing, pack) in
            [(Packing::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (Packing::Zstd, zstd)]
        {
            let name = packing.label();
            let packed = pack(&text);
            assert!(packed.len() < text.len());
            assert_eq!(read(name, &packed), Ok((packing, text.clone())));
            assert_eq!(read(name, &[&packed[..], &packed].concat()), Ok((packing, twice.clone())));
            assert_eq!(read(name, &pack(b"")), Ok((packing, vec![])));
        }
        let skippable = b"\x5f\x2a\x4d\x18\x03\0\0\0abc";
        let framed = [&skippable[..], &zstd(&text), skippable].concat();
        assert_eq!(read("skippable", &framed), Ok((Packing::Zstd, text)));
    }

    #[test]
    fn packed_files_that_end_early_are_refused_wherever_they_are_cut() {
        let text = text();
        for (name, packed) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
            for length in 4..packed.len() {
                let said = read(name, &packed[..length]).unwrap_err();
                assert_eq!(said, format!("f: is cut off: the {name} data ends too early"));
            }
            let cut = &packed[..packed.len() - 1];
            let twice = [&packed[..], cut].concat();
            assert!(read(name, &twice).unwrap_err().contains("ends too early"));
            assert!(read(name, &packed).is_ok(), "the control");
        }
    }

    #[test]
    fn packed_files_with_a_changed_byte_are_refused_or_still_the_same() {
        let text = text();
        for (name, packed) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
            let mut refused = 0;
            for at in 4..packed.len() {
                let mut changed = packed.clone();
                changed[at] ^= 0x10;
                match read(name, &changed) {
                    // Fields that no reader looks at: the time and the system in a gzip header.
                    Ok((_, out)) => assert_eq!(out, text, "{name}, byte {at}"),
                    Err(_) => refused += 1,
                }
            }
            assert!(refused > packed.len() - 20, "{name}: {refused} of {}", packed.len());
        }
        let followed = [gzip(&text), b"more than a header is long".to_vec()].concat();
        assert!(read("gzip", &followed).unwrap_err().starts_with("f: is not whole gzip data: "));
        let followed = [zstd(&text), b"more than a header is long".to_vec()].concat();
        assert!(read("zstd", &followed).unwrap_err().starts_with("f: is not whole zstd data: "));
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused_and_little_of_it_read() {
        let bomb = vec![b'#'; 4 << 20];
        for (name, packed) in [("gzip", gzip(&bomb)), ("zstd", zstd(&bomb))] {
            assert!((packed.len() as u64) < bomb.len() as u64 / MAX_RATIO, "{name}");
            let said = read(name, &packed).unwrap_err();
            assert_eq!(said, "f: unpacks to more than 200 times its size: that is no list");
        }
        // The control: as much that does not pack as well.
        let mut state = 1u32;
        let noise: Vec<u8> = (0..2 << 20)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        assert_eq!(read("noise", &gzip(&noise)).unwrap().1.len(), noise.len());
        // Below the limit of bytes, but not of those that come out.
        let path = written("limit", &gzip(&text()));
        let mut file = Unpacked::open_limited(&path, 3_000).unwrap();
        let error = file.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(failure(&path, &error).message.ends_with(": is larger than 3000 bytes"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_zstd_frame_that_asks_for_much_memory_is_refused() {
        // Frame header: no checksum, window descriptor 0x68 (exponent 13: 8 MiB) or 0x70 (16 MiB); one
        // last block of four raw bytes.
        let frame = |window: u8| [&b"\x28\xb5\x2f\xfd\0"[..], &[window], b"\x21\0\0AS1\n"].concat();
        assert_eq!(read("window", &frame(0x68)), Ok((Packing::Zstd, b"AS1\n".to_vec())));
        let said = read("window", &frame(0x70)).unwrap_err();
        assert!(said.starts_with("f: needs 16777216 bytes of memory to unpack, more than 8388608"));
    }

    #[test]
    fn other_packings_are_named() {
        for (begin, what) in
            [(&b"\xfd7zXZ\0\0"[..], "xz"), (b"BZh9", "bzip2"), (b"PK\x03\x04", "zip")]
        {
            let said = format!("f: is compressed with {what}: unpack it first");
            assert_eq!(read(what, begin), Err(said));
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_refused() {
        for longer in [false, true] {
            let path = written("changes", &text());
            let mut file = Unpacked::open(&path).unwrap();
            let mut some = [0; 100];
            file.read_exact(&mut some).unwrap();
            let other = if longer { vec![b'#'; 100_000] } else { b"AS1\n".to_vec() };
            std::fs::write(&path, other).unwrap();
            let error = file.read_to_end(&mut Vec::new()).unwrap_err();
            let said = failure(&path, &error);
            assert!(said.message.contains(": changed while it was read: "), "{said}");
            assert_eq!(said.status, ExitStatus::BadData);
            std::fs::remove_file(&path).unwrap();
        }
    }
}
