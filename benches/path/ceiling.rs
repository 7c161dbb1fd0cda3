//! The ceiling: what a queue's reader could reach that does nothing but receive and accept.
//!
//! `recvmmsg` of 64 datagrams and one batch verdict, an accept with the mark, for the last id; of all that was
//! received it reads only that id. The kernel's part of the work is as small as NFQUEUE allows, and ours is next to
//! none. The socket is one that kordon's own queue opened, so that copy range, GSO flag, length, receive buffer and
//! socket options are the same; nothing else of that queue is used.
//!
//! It accepts what it cannot have judged: it is no queue for a firewall.
//!
//! Sources: net/netfilter/nfnetlink_queue.c, include/uapi/linux/netfilter/nfnetlink_queue.h.

use std::io::IoSliceMut;
use std::os::fd::AsRawFd;

use kordon::queue::{BATCH, NativeQueue, QueueSettings};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, send};

use super::lab::{Context, Res};

/// Bytes of a slot beside the copied ones, as kordon's own slab has them.
const ROOM: usize = 256;
/// `NFQNL_MSG_PACKET`, and where a message's type stands.
const PACKET: u16 = 3 << 8;
const TYPE: std::ops::Range<usize> = 4..6;
/// Where the id stands in a packet's message: `NFQA_PACKET_HDR` comes first, behind both headers.
const ID: std::ops::Range<usize> = 24..28;
/// Where it stands in the verdict.
const UP_TO: std::ops::Range<usize> = 28..32;
const VERDICT: usize = 40;

pub(super) struct Ceiling {
    queue: NativeQueue,
    headers: MultiHeaders<()>,
    slab: Vec<u8>,
    slot: usize,
    verdict: [u8; VERDICT],
}

impl Ceiling {
    pub(super) fn open(settings: &QueueSettings) -> Res<Self> {
        let queue = NativeQueue::open(settings).context("queue")?;
        let slot = usize::from(settings.copy_range) + ROOM;
        let headers = MultiHeaders::preallocate(BATCH, None);
        let verdict = verdict(settings);
        Ok(Ceiling { queue, headers, slab: vec![0; slot * BATCH], slot, verdict })
    }

    /// One batch; returns how many packets it had, 0 if none came for a while.
    pub(super) fn turn(&mut self) -> Res<usize> {
        let received = self.receive()?;
        self.accept(received)
    }

    pub(super) fn receive(&mut self) -> Res<usize> {
        let [socket, _] = self.queue.descriptors();
        let mut slots = self.slab.chunks_exact_mut(self.slot);
        let mut slots: [_; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let headers = &mut self.headers;
        match recvmmsg(socket.as_raw_fd(), headers, slots.iter_mut(), flags, None) {
            Ok(datagrams) => Ok(datagrams.count()),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(errno) => Err(format!("recvmmsg: {errno}")),
        }
    }

    /// Accepts everything up to the last of so many datagrams, and returns how many there were.
    pub(super) fn accept(&mut self, received: usize) -> Res<usize> {
        if received == 0 {
            return Ok(0);
        }
        let last = self.slab.chunks_exact(self.slot).nth(received - 1).ok_or("no such slot")?;
        if last[TYPE] != PACKET.to_ne_bytes() {
            return Err("the last datagram is no packet".to_owned());
        }
        self.verdict[UP_TO].copy_from_slice(&last[ID]);
        let [socket, _] = self.queue.descriptors();
        send(socket.as_raw_fd(), &self.verdict, MsgFlags::MSG_NOSIGNAL).context("send")?;
        Ok(received)
    }
}

/// A batch verdict, but for its id.
fn verdict(settings: &QueueSettings) -> [u8; VERDICT] {
    const VERDICT_BATCH: u16 = 3 << 8 | 3;
    const REQUEST: u16 = 1;
    const VERDICT_HDR: u16 = 2;
    const MARK: u16 = 3;
    const ACCEPT: u32 = 1;
    let mut message = [0; VERDICT];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        message[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    // struct nlmsghdr, in host order.
    put(&(VERDICT as u32).to_ne_bytes());
    put(&VERDICT_BATCH.to_ne_bytes());
    put(&REQUEST.to_ne_bytes());
    put(&[0; 8]);
    // struct nfgenmsg: family and version, then the queue's number.
    put(&[0, 0]);
    put(&settings.number.to_be_bytes());
    put(&12_u16.to_ne_bytes());
    put(&VERDICT_HDR.to_ne_bytes());
    put(&ACCEPT.to_be_bytes());
    put(&[0; 4]);
    put(&8_u16.to_ne_bytes());
    put(&MARK.to_ne_bytes());
    put(&settings.accept_mark.value.to_be_bytes());
    message
}
