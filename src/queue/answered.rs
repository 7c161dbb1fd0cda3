//! What a queue's reader has taken, in a memory file that outlives it beside the socket.
//!
//! The record says up to which id packets were received and how many the last batch had. It is written after a
//! batch is received and before it is judged, once per batch: so a successor knows which packets nobody can
//! answer any more, if the kernel still holds them. A record lock on the file tells that its owner lives: the
//! kernel lets go of it when the process ends. It also would if the process closed any other descriptor of the
//! same file, so there is only this one.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};

/// The first bytes of the file; the last one counts up with the layout.
const MAGIC: [u8; 8] = *b"kordonq\x01";
/// Bytes of a record.
const LENGTH: usize = 24;

/// What the reader of a queue has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The queue's number.
    pub(super) queue: u16,
    /// Bytes of each packet that the kernel copies for this queue.
    pub(super) copy_range: u16,
    /// The id of the last packet received; 0 before the first (the kernel's ids start at 1).
    pub(super) received: u32,
    /// Packets of the batch that ends with it, or [`SETTLED`](Self::SETTLED).
    pub(super) batch: u32,
    /// Packets lost in the socket's buffer that gaps in the ids have shown, since the socket was opened; wraps,
    /// as the kernel's own counter does.
    pub(super) lost: u32,
}

impl Record {
    /// In place of a batch's size: its writer has answered everything, and will receive nothing any more.
    pub(super) const SETTLED: u32 = u32::MAX;

    /// Whether its writer left nothing unanswered.
    pub(super) fn is_settled(&self) -> bool {
        self.batch == Self::SETTLED
    }

    fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        let [a, b] = self.queue.to_le_bytes();
        let [c, d] = self.copy_range.to_le_bytes();
        let numbers = [self.received, self.batch, self.lost].map(u32::to_le_bytes);
        let all = [a, b, c, d].into_iter().chain(numbers.into_iter().flatten());
        rest.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        bytes
    }

    /// `None` for anything that [`to_bytes`](Self::to_bytes) does not write.
    fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (queue, rest) = rest.split_first_chunk()?;
        let (copy_range, rest) = rest.split_first_chunk()?;
        let (received, rest) = rest.split_first_chunk()?;
        let (batch, rest) = rest.split_first_chunk()?;
        let (lost, rest) = rest.split_first_chunk()?;
        (*magic == MAGIC && rest.is_empty()).then(|| Record {
            queue: u16::from_le_bytes(*queue),
            copy_range: u16::from_le_bytes(*copy_range),
            received: u32::from_le_bytes(*received),
            batch: u32::from_le_bytes(*batch),
            lost: u32::from_le_bytes(*lost),
        })
    }
}

/// The memory file of a queue, locked by this process.
#[derive(Debug)]
pub(super) struct Answered(File);

/// Why a memory file is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Another process reads the queue.
    Locked,
    /// It cannot be locked or read, or is something else.
    Broken,
}

impl Answered {
    /// A new file with this record.
    pub(super) fn create(record: &Record) -> Result<Self, Errno> {
        let file = File::from(memfd_create("kordon-answered", MFdFlags::MFD_CLOEXEC)?);
        lock(&file)?;
        let answered = Answered(file);
        answered.write(record).map(|()| answered)
    }

    /// Takes over the file of a process that has ended, and reads what it left.
    pub(super) fn adopt(file: OwnedFd) -> Result<(Self, Record), Unusable> {
        let file = File::from(file);
        lock(&file).map_err(|errno| match errno {
            Errno::EACCES | Errno::EAGAIN => Unusable::Locked,
            _ => Unusable::Broken,
        })?;
        let mut bytes = [0; LENGTH + 1];
        let length = file.read_at(&mut bytes, 0).map_err(|_| Unusable::Broken)?;
        let record = Record::from_bytes(bytes.get(..length).unwrap_or_default());
        Ok((Answered(file), record.ok_or(Unusable::Broken)?))
    }

    /// Writes the record: whole or not at all, for it is within one page and no signal is looked at meanwhile.
    #[inline]
    pub(super) fn write(&self, record: &Record) -> Result<(), Errno> {
        let written = self.0.write_all_at(&record.to_bytes(), 0);
        written.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    }
}

impl AsFd for Answered {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Locks the whole file for this process, or says that another one has it.
fn lock(file: &File) -> Result<(), Errno> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_SETLK(&whole)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record =
        Record { queue: 40, copy_range: 128, received: u32::MAX, batch: 64, lost: 7 };

    #[test]
    fn record_is_read_as_it_was_written() {
        let first = Answered::create(&Record::default()).unwrap();
        first.write(&RECORD).unwrap();
        // Within one process the lock is no obstacle; kernel cases try it with two.
        let second = first.0.try_clone().unwrap();
        let (_, record) = Answered::adopt(second.into()).unwrap();
        assert_eq!(record, RECORD);
    }

    #[test]
    fn another_file_is_broken() {
        let file = |bytes: &[u8]| {
            let file = File::from(memfd_create("test", MFdFlags::MFD_CLOEXEC).unwrap());
            file.write_all_at(bytes, 0).unwrap();
            Answered::adopt(file.into()).map(|(_, record)| record)
        };
        let good = RECORD.to_bytes();
        assert_eq!(file(&good), Ok(RECORD));
        for length in 0..LENGTH {
            assert_eq!(file(&good[..length]), Err(Unusable::Broken));
        }
        assert_eq!(file(&[&good[..], &[0]].concat()), Err(Unusable::Broken));
        let mut other = good;
        other[7] = 2;
        assert_eq!(file(&other), Err(Unusable::Broken));
        let (read_end, _write_end) = nix::unistd::pipe().unwrap();
        assert_eq!(Answered::adopt(read_end).map(drop), Err(Unusable::Broken));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_record_or_none(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
        ) {
            if let Some(record) = Record::from_bytes(&bytes) {
                assert_eq!(record.to_bytes(), bytes[..]);
            }
        }
    }
}
