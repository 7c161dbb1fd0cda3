//! Files that are read only if they are regular ones, whatever somebody lays in their place.
//!
//! Invariants: opening never waits (a FIFO without a writer) and makes no terminal ours; what was opened is
//! asked for its kind, not the path, which may be another file by then; no more is read than was asked for.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

/// Opens a regular file. Links are followed.
///
/// # Errors
/// What the system says, and in its place what it is if it is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        // open(2): ENXIO is a socket, or a device without a driver.
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
            return Err(not_regular("a socket or a device"));
        }
        Err(error) => return Err(error),
    };
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(not_regular("a directory"))
    } else if kind.is_fifo() {
        Err(not_regular("a named pipe"))
    } else {
        Err(not_regular("a device"))
    }
}

/// All of a regular file.
///
/// # Errors
/// As [`open`]; [`ErrorKind::FileTooLarge`] for one of more than `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_opened(open(path)?, most)
}

/// Whose something is, and whether nobody else may write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// Neither group nor others may write it.
    pub alone: bool,
}

impl Owner {
    /// Of a file or folder, by its permission bits.
    pub fn of(found: &Metadata) -> Owner {
        Owner { uid: found.uid(), alone: found.mode() & 0o022 == 0 }
    }

    /// Only `user` and root may have written it.
    pub fn is_trusted_by(self, user: u32) -> bool {
        self.alone && (self.uid == 0 || self.uid == user)
    }
}

/// All of a file that [`open`] gave.
///
/// # Errors
/// As [`read`].
pub fn read_opened(file: File, most: u64) -> io::Result<Vec<u8>> {
    let too_large =
        || io::Error::new(ErrorKind::FileTooLarge, format!("is larger than {most} bytes"));
    let length = file.metadata()?.len();
    if length > most {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // It may have grown since.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(bytes) }
}

fn not_regular(what: &str) -> io::Error {
    io::Error::other(format!("is {what}, not a regular file"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_at_once_and_by_its_kind() {
        let folder = std::env::temp_dir().join(format!("kordon-regular-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [pipe, socket, file, link] = ["p", "s", "f", "l"].map(|name| folder.join(name));
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let _listening = UnixListener::bind(&socket).unwrap();
        std::fs::write(&file, "four").unwrap();
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for (path, what) in [
            (pipe.as_path(), "is a named pipe, not a regular file"),
            (&link, "is a named pipe, not a regular file"),
            (&socket, "is a socket or a device, not a regular file"),
            (&folder, "is a directory, not a regular file"),
            (Path::new("/dev/null"), "is a device, not a regular file"),
        ] {
            assert_eq!(open(path).unwrap_err().to_string(), what);
            assert_eq!(read(path, 9).unwrap_err().to_string(), what);
        }
        assert_eq!(open(&folder.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        // The control, also behind a link.
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&file, 4).unwrap(), b"four");
        assert_eq!(read(&link, 9).unwrap(), b"four");
        assert_eq!(read(&file, 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
