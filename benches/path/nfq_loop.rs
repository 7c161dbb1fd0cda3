//! An accept-all loop on the `nfq` crate, one receive and one verdict per packet, as its users write it.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use kordon::queue::QueueSettings;
use nix::sys::socket::{setsockopt, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::lab::{Context, Res};

/// The accept-all loop's queue, set up as kordon's are. The crate keeps its socket to itself: the one socket
/// that appears in /proc/self/fd is it.
pub(super) fn open(settings: &QueueSettings) -> Res<nfq::Queue> {
    let before = descriptors()?;
    let mut queue = nfq::Queue::open().context("nfq: open")?;
    let mut new = descriptors()?.into_iter().filter(|number| !before.contains(number));
    let (Some(number), None) = (new.next(), new.next()) else {
        return Err("nfq: its socket was not found".to_owned());
    };
    let process = pidfd_open(getpid(), PidfdFlags::empty()).context("pidfd_open")?;
    let socket = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).context("pidfd_getfd")?;
    let half = settings.buffer_bytes / 2;
    set_buffer(&socket, half)?;
    queue.bind(settings.number).context("nfq: bind")?;
    queue.set_copy_range(settings.number, settings.copy_range).context("nfq: copy range")?;
    queue.set_recv_gso(settings.number, true).context("nfq: GSO")?;
    queue.set_queue_max_len(settings.number, settings.max_length).context("nfq: length")?;
    Ok(queue)
}

fn set_buffer(socket: &OwnedFd, half: usize) -> Res {
    if setsockopt(socket, sockopt::RcvBufForce, &half).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &half).context("SO_RCVBUF")?;
    }
    Ok(())
}

/// The numbers of our open sockets.
fn descriptors() -> Res<BTreeSet<i32>> {
    let entries = std::fs::read_dir("/proc/self/fd").context("/proc/self/fd")?;
    let socket = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    Ok(entries.flatten().filter(socket).filter_map(number).collect())
}

/// One packet.
pub(super) fn turn(queue: &mut nfq::Queue) -> Res<usize> {
    let mut message = queue.recv().context("recv")?;
    message.set_verdict(nfq::Verdict::Accept);
    queue.verdict(message).context("verdict")?;
    Ok(1)
}
