//! The backend on the `nfq` crate: the same promises, kept around the crate's own limits.
//!
//! Every message gets a verdict, `Drop` unless somebody said otherwise: the crate itself would accept, and
//! a message thrown away is held for ever. The crate keeps its socket to itself, so a second descriptor of
//! it is borrowed through `pidfd_getfd`; where that is refused (a seccomp filter), the backend still
//! works, with the default buffer, without a gauge, and by polling.
//!
//! Limits of nfq 0.2.5, which this file cannot lift:
//! - one system call per packet and one per verdict;
//! - the queue is bound first and configured after: what comes between the two is dropped by the kernel, and
//!   what comes until the last of the settings is acknowledged is read and thrown away by the crate. It is
//!   counted as orphans once the first packet comes, and dropped then if there is a second descriptor;
//! - the error of an earlier verdict comes out of a later `recv`, and does not say which packet it was;
//! - a verdict that cannot be sent cannot be sent again: it ends the thread, and the kernel drops the rest;
//! - the sender of a message is not checked, and messages that make no sense panic;
//! - the socket is inherited by child processes, and keeps the queue bound while they live;
//! - each packet of a batch allocates a buffer of 4 KiB and the copy range.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{MsgFlags, NetlinkAddr, getsockname, getsockopt, send, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::losses::{BufferGauge, IdSequence, QueueCounters};
use super::native::{WAIT, grant_buffer, wait_at_most};
use super::options::{Domain, Protocol};
use super::refusal::{Step, Surroundings, current_owner, refused, settled};
use super::{BATCH, PacketQueue, QueueSettings, codec};
use crate::config::Mac;
use crate::failure::{ExitStatus, Failure};
use crate::packet::Held;
use crate::verdict::{Mark, Verdict};

/// One queue at a time is opened, so that the socket that appeared is the crate's.
static OPENING: Mutex<()> = Mutex::new(());
/// The pause between two looks where the socket cannot be told to wait.
const POLL: Duration = Duration::from_millis(2);
/// Error replies taken out of the socket in one receive before the thread gets a turn again.
const MOST_REPLIES: usize = 4 * BATCH;

/// A queue on the `nfq` crate.
pub struct NfqQueue {
    number: u16,
    mark: Mark,
    fail_open: bool,
    /// Why the last change was refused.
    refused: Option<Failure>,
    queue: nfq::Queue,
    /// A second descriptor of the crate's socket; with it, a receive waits [`WAIT`] at most.
    socket: Option<OwnedFd>,
    buffer_granted: Option<usize>,
    batch: Vec<(nfq::Message, Verdict)>,
    sequence: IdSequence,
    /// Packets that the crate threw away while the queue was configured are still to be looked for.
    adopted: bool,
    /// An error reply to the drop of those packets is no late verdict.
    orphans_reply: bool,
    counters: Arc<QueueCounters>,
}

/// What one `recv` of the crate brought.
enum Received {
    /// A held packet.
    Packet(nfq::Message),
    /// A reply about something else; there may be more.
    Reply,
    /// Nothing.
    Nothing,
}

impl NfqQueue {
    /// Opens, binds and configures the queue, in that order (see the limits above).
    ///
    /// # Errors
    ///
    /// Those of [`NativeQueue::open`](super::NativeQueue::open).
    pub fn open(settings: &QueueSettings) -> Result<Self, Failure> {
        settled(|| Self::ask(settings))
    }

    fn ask(settings: &QueueSettings) -> Result<Self, Failure> {
        let number = settings.number;
        let explain = |step: Step| {
            move |error: io::Error| {
                refused(number, step, errno(&error), &Surroundings::look(number))
            }
        };
        let (mut queue, socket) = {
            let _alone = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
            let before = sockets();
            let queue = nfq::Queue::open().map_err(explain(Step::Socket))?;
            (queue, second_descriptor(&before))
        };
        // Before the queue is bound: whatever comes then finds the buffer ready.
        let mut socket = socket.filter(|socket| wait_at_most(socket, WAIT).is_ok());
        let mut buffer_granted = None;
        if let Some(socket) = &socket {
            buffer_granted = grant_buffer(socket, settings.buffer_bytes).ok();
        }
        let configure = |queue: &mut nfq::Queue| -> io::Result<()> {
            queue.bind(number)?;
            queue.set_copy_range(number, settings.copy_range.max(1))?;
            queue.set_recv_gso(number, true)?;
            queue.set_fail_open(number, settings.fail_open)?;
            queue.set_queue_max_len(number, settings.max_length)
        };
        configure(&mut queue).map_err(explain(Step::Configure))?;
        // Another netfilter socket may have appeared at the same moment: ask the kernel, where it says.
        if let (Some(owner), Some(port)) = (current_owner(number), socket.as_ref().and_then(port)) {
            socket = socket.filter(|_| owner == port);
        }
        buffer_granted = buffer_granted.filter(|_| socket.is_some());
        Ok(NfqQueue {
            number,
            mark: settings.accept_mark,
            fail_open: settings.fail_open,
            refused: None,
            queue,
            socket,
            buffer_granted,
            batch: Vec::with_capacity(BATCH),
            sequence: IdSequence::default(),
            adopted: false,
            orphans_reply: false,
            counters: Arc::default(),
        })
    }

    /// The receive buffer that the kernel granted, in bytes after its doubling; `None` where the crate's
    /// socket could not be reached: it then has the system's default (`net.core.rmem_default`).
    pub fn buffer_granted(&self) -> Option<usize> {
        self.buffer_granted
    }

    /// The counters of this queue.
    pub fn counters(&self) -> Arc<QueueCounters> {
        Arc::clone(&self.counters)
    }

    /// A gauge of the socket's buffer; `None` where the crate's socket could not be reached.
    pub fn gauge(&self) -> Option<BufferGauge> {
        self.socket.as_ref()?.try_clone().ok().map(BufferGauge::new)
    }

    /// One `recv`, waiting for at most [`WAIT`] or not at all.
    fn next(&mut self, wait: bool) -> Result<Received, Failure> {
        let blocking = wait && self.socket.is_some();
        self.queue.set_nonblocking(!blocking);
        let deadline = Instant::now() + WAIT;
        loop {
            let error = match self.queue.recv() {
                Ok(message) => return Ok(Received::Packet(message)),
                Err(error) => errno(&error),
            };
            match error {
                Errno::EAGAIN if wait && !blocking && Instant::now() < deadline => sleep(POLL),
                Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS => return Ok(Received::Nothing),
                // The packet of an earlier verdict was gone.
                Errno::ENOENT => {
                    match std::mem::take(&mut self.orphans_reply) {
                        true => {}
                        false => self.counters.add_late_verdicts(1),
                    }
                    return Ok(Received::Reply);
                }
                // A message longer than the crate's buffer, or a verdict that the kernel did not understand.
                Errno::ENOSPC | Errno::EINVAL => {
                    self.counters.add_malformed();
                    return Ok(Received::Reply);
                }
                errno => {
                    let step = match errno {
                        Errno::EPERM | Errno::ENODEV => Step::Verdict,
                        _ => Step::Receive,
                    };
                    return Err(refused(self.number, step, errno, &Surroundings::default()));
                }
            }
        }
    }

    /// Puts a packet into the batch, to be dropped unless judged.
    fn keep(&mut self, message: nfq::Message) {
        let id = message.get_packet_id();
        if !self.adopted {
            self.adopted = true;
            self.drop_orphans(id);
        }
        self.counters.add_lost_buffer(self.sequence.lost_before(id));
        self.batch.push((message, Verdict::Drop));
    }

    /// Ids start at 1. If the first packet has a later one, those before it were thrown away by the crate
    /// while the queue was configured, and nobody else will answer them.
    fn drop_orphans(&mut self, first: u32) {
        let orphans = first.saturating_sub(1);
        if orphans == 0 {
            return;
        }
        self.counters.add_orphans(orphans);
        if let Some(socket) = &self.socket {
            let mut verdict = Vec::new();
            codec::put_drop_up_to(&mut verdict, self.number, orphans);
            // If it fails, they stay held until the socket closes: nothing passes.
            let sent = send(socket.as_raw_fd(), &verdict, MsgFlags::MSG_NOSIGNAL);
            self.orphans_reply = sent.is_ok();
        }
    }
}

impl PacketQueue for NfqQueue {
    fn receive(&mut self) -> Result<usize, Failure> {
        if !self.batch.is_empty() {
            self.answer()?;
        }
        let mut replies = 0;
        while self.batch.len() < BATCH && replies < MOST_REPLIES {
            match self.next(self.batch.is_empty() && replies == 0)? {
                Received::Packet(message) => self.keep(message),
                Received::Reply => replies += 1,
                Received::Nothing => break,
            }
        }
        Ok(self.batch.len())
    }

    fn held(&self, index: usize) -> Held<'_> {
        match self.batch.get(index) {
            Some((message, _)) => Held {
                bytes: message.get_payload(),
                length: u32::try_from(message.get_original_len()).unwrap_or(u32::MAX),
                aggregate: message.is_seg_offloaded(),
                interface: message.get_indev(),
                mac: message.get_hw_addr().and_then(|bytes| bytes.first_chunk()).copied().map(Mac),
            },
            None => Held::from(&[][..]),
        }
    }

    fn judge(&mut self, index: usize, verdict: Verdict) {
        if let Some((_, noted)) = self.batch.get_mut(index) {
            *noted = verdict;
        }
    }

    fn answer(&mut self) -> Result<(), Failure> {
        let mut outcome = Ok(());
        for (mut message, verdict) in self.batch.drain(..) {
            match verdict {
                Verdict::Accept => {
                    message.set_nfmark(self.mark.applied_to(message.get_nfmark()));
                    message.set_verdict(nfq::Verdict::Accept);
                }
                Verdict::Drop => message.set_verdict(nfq::Verdict::Drop),
            }
            // The rest is answered even if one cannot be.
            if let Err(error) = self.queue.verdict(message) {
                outcome = Err(error);
            }
        }
        outcome.map_err(|error| {
            refused(self.number, Step::Verdict, errno(&error), &Surroundings::default())
        })
    }

    fn change(&mut self, accept_mark: Mark, fail_open: bool) {
        self.mark = accept_mark;
        if fail_open == self.fail_open {
            self.refused = None;
            return;
        }
        let Some(socket) = &self.socket else {
            self.refused = Some(Failure::new(
                ExitStatus::Unavailable,
                format!(
                    "queue {}: the backend nfq cannot change what happens to packets that find no room \
                     while it runs, for its socket is out of reach: restart the daemon, or set \
                     queue.backend = \"native\"",
                    self.number
                ),
            ));
            return;
        };
        // Not acknowledged: the kernel has carried it out when the send returns, and a refusal, which it
        // would have said at the start, comes out of a later receive.
        let mut message = Vec::new();
        codec::put_fail_open(&mut message, None, self.number, fail_open);
        self.refused = match send(socket.as_raw_fd(), &message, MsgFlags::MSG_NOSIGNAL) {
            Ok(_) => None,
            Err(errno) => {
                Some(refused(self.number, Step::Configure, errno, &Surroundings::default()))
            }
        };
        if self.refused.is_none() {
            self.fail_open = fail_open;
        }
    }

    fn changed(&self) -> Result<bool, Failure> {
        self.refused.clone().map_or(Ok(true), Err)
    }
}

/// The numbers of this process's open sockets.
fn sockets() -> BTreeSet<i32> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    entries
        .flatten()
        .filter(|entry| {
            fs::read_link(entry.path())
                .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// A second descriptor of the one netfilter socket that appeared since `before`; `None` if there is not
/// exactly one, or if the kernel does not give it (Linux before 5.6, a seccomp filter).
fn second_descriptor(before: &BTreeSet<i32>) -> Option<OwnedFd> {
    // The same thread group: no ptrace permission is needed (kernel/ptrace.c, `__ptrace_may_access`).
    let process = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    let mut found = sockets()
        .into_iter()
        .filter(|number| !before.contains(number))
        .filter_map(|number| pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok())
        .filter(|socket| {
            getsockopt(socket, Domain) == Ok(libc::AF_NETLINK)
                && getsockopt(socket, Protocol) == Ok(libc::NETLINK_NETFILTER)
                && getsockopt(socket, sockopt::SockType).is_ok()
        });
    let socket = found.next()?;
    match found.next() {
        None => Some(socket),
        Some(_) => None,
    }
}

/// The netlink port id of a socket.
fn port(socket: &OwnedFd) -> Option<u32> {
    getsockname::<NetlinkAddr>(socket.as_raw_fd()).ok().map(|address| address.pid())
}

/// The error number in an error of the crate's; they all come from the kernel.
fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_descriptor_is_of_the_crates_own_socket() {
        let _alone = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let before = sockets();
        assert!(second_descriptor(&before).is_none());
        let _other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(second_descriptor(&before).is_none());
        // Opening and addressing a netlink socket needs no permission; only binding a queue does.
        let _queue = nfq::Queue::open().unwrap();
        let socket = second_descriptor(&before).unwrap();
        assert!(port(&socket).is_some_and(|port| port != 0));
        assert!(grant_buffer(&socket, 100_000).is_ok_and(|granted| granted >= 100_000));
        assert!(wait_at_most(&socket, WAIT).is_ok());
        let gauge = BufferGauge::new(socket);
        assert_eq!(gauge.read().map(|buffer| (buffer.used, buffer.dropped)), Some((0, 0)));
    }

    #[test]
    fn queue_may_move_to_its_thread() {
        fn moves<T: Send + 'static>() {}
        moves::<NfqQueue>();
    }
}
