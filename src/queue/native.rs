//! The native backend: one netlink socket per queue, packets in batches, verdicts in one send.
//!
//! The queue is bound and configured by one message. What arrives before the kernel acknowledges it is
//! kept and judged. A batch is answered before the next one is received, whatever the caller does; when the
//! last descriptor of the socket closes, the kernel drops what it still holds.
//!
//! What was received is recorded beside the socket before it is judged ([`answered`](super::answered)), so that
//! a successor that takes the socket over ([`adopt`](super::adopt)) knows what nobody can answer any more.
//!
//! Sources: net/netfilter/nfnetlink_queue.c, net/netlink/af_netlink.c, netlink(7), recvmmsg(2).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, NetlinkAddr, SockFlag, SockProtocol, SockType, bind,
    connect, getsockopt, recvmmsg, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::answered::{Answered, Record};
use super::batch::Batch;
use super::codec::{self, Configuration, Incoming, Messages};
use super::losses::{BufferGauge, QueueCounters};
use super::options::NoEnobufs;
use super::refusal::{Step, Surroundings, refused, settled};
use super::takeover::UNRECORDED;
use super::{BATCH, PacketQueue, QueueSettings};
use crate::failure::{ExitStatus, Failure};
use crate::packet::Held;
use crate::verdict::{Mark, Verdict};

/// How long a receive waits for the first packet.
pub(super) const WAIT: Duration = Duration::from_millis(250);
/// How long the kernel may take to acknowledge the configuration: it does so while we send.
const ACKNOWLEDGE: Duration = Duration::from_secs(2);
/// The sequence number of the configuration message.
pub(super) const CONFIGURE: u32 = 1;
/// How often a send is tried. With the pauses between, 127 ms at most: then the watchdog's restart is
/// better than packets held without a verdict.
const TRIES: u32 = 8;

thread_local! {
    /// The headers that `recvmmsg` fills: kept per thread because they hold pointers, so that a queue can
    /// move to its packet thread and no batch allocates.
    static HEADERS: RefCell<MultiHeaders<()>> =
        RefCell::new(MultiHeaders::preallocate(BATCH, None));
}

/// A queue with a netlink socket of its own.
#[derive(Debug)]
pub struct NativeQueue {
    number: u16,
    mark: Mark,
    fail_open: bool,
    /// The sequence number of the last change, if there was one.
    asked: Option<u32>,
    /// Why that change could not be sent.
    unsent: Option<Errno>,
    pub(super) socket: OwnedFd,
    pub(super) answered: Answered,
    copy_range: u16,
    buffer_granted: usize,
    pub(super) batch: Batch,
    /// Datagrams that came before the configuration was acknowledged.
    early: VecDeque<Vec<u8>>,
    /// Verdicts on their way out.
    pub(super) outgoing: Vec<u8>,
    counters: Arc<QueueCounters>,
}

impl NativeQueue {
    /// Opens, binds and configures the queue. From then on the kernel holds packets for it.
    ///
    /// # Errors
    ///
    /// `NoPermission` without CAP_NET_ADMIN, `TryAgain` if another socket owns the number, `Unavailable`
    /// if the kernel has no NFQUEUE, `Failed` for the rest.
    pub fn open(settings: &QueueSettings) -> Result<Self, Failure> {
        settled(|| Self::ask(settings))
    }

    fn ask(settings: &QueueSettings) -> Result<Self, Failure> {
        let number = settings.number;
        let explain =
            |step: Step| move |errno| refused(number, step, errno, &Surroundings::look(number));
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        )
        .map_err(explain(Step::Socket))?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(explain(Step::SetUp))?;
        hear_only_the_kernel(&socket).map_err(explain(Step::SetUp))?;
        setsockopt(&socket, NoEnobufs, &true).map_err(explain(Step::SetUp))?;
        let buffer_granted =
            grant_buffer(&socket, settings.buffer_bytes).map_err(explain(Step::SetUp))?;
        wait_at_most(&socket, WAIT).map_err(explain(Step::SetUp))?;
        let record = Record { queue: number, copy_range: settings.copy_range, ..Record::default() };
        let answered = Answered::create(&record).map_err(explain(Step::SetUp))?;

        let batch = Batch::new(settings.copy_range);
        let mut queue = NativeQueue::over(settings, socket, answered, batch, buffer_granted);
        let configuration = Configuration::from(settings);
        codec::put_configuration(&mut queue.outgoing, CONFIGURE, number, &configuration);
        queue.send().map_err(explain(Step::Configure))?;
        queue.await_acknowledgement()?;
        Ok(queue)
    }

    /// A queue over a socket that is set up.
    pub(super) fn over(
        settings: &QueueSettings,
        socket: OwnedFd,
        answered: Answered,
        batch: Batch,
        buffer_granted: usize,
    ) -> Self {
        NativeQueue {
            number: settings.number,
            mark: settings.accept_mark,
            fail_open: settings.fail_open,
            asked: None,
            unsent: None,
            socket,
            answered,
            copy_range: settings.copy_range,
            buffer_granted,
            batch,
            early: VecDeque::new(),
            outgoing: Vec::with_capacity(BATCH * 40),
            counters: Arc::default(),
        }
    }

    /// The socket and the record of what was received: what a successor needs, see [`Stored`](super::Stored).
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.socket.as_fd(), self.answered.as_fd()]
    }

    /// The receive buffer that the kernel granted, in bytes after its doubling. Below
    /// [`QueueSettings::buffer_bytes`] where the buffer cannot be forced (a user namespace) and
    /// `net.core.rmem_max` is lower.
    pub fn buffer_granted(&self) -> usize {
        self.buffer_granted
    }

    /// Asks for another receive buffer, in bytes after the kernel's doubling.
    pub(super) fn set_buffer(&mut self, bytes: usize) -> Result<(), Errno> {
        self.buffer_granted = grant_buffer(&self.socket, bytes)?;
        Ok(())
    }

    /// The counters of this queue.
    pub fn counters(&self) -> Arc<QueueCounters> {
        Arc::clone(&self.counters)
    }

    /// A gauge of the socket's buffer; `None` if no second descriptor could be had.
    ///
    /// The kernel keeps the queue bound while any descriptor of its socket is open: drop the gauge
    /// before another process is to take the queue over.
    pub fn gauge(&self) -> Option<BufferGauge> {
        self.socket.try_clone().ok().map(BufferGauge::new)
    }

    /// Waits for the reply to the configuration and sets everything else aside.
    pub(super) fn await_acknowledgement(&mut self) -> Result<(), Failure> {
        let number = self.number;
        let deadline = Instant::now() + ACKNOWLEDGE;
        while Instant::now() < deadline {
            self.fill()?;
            let mut answer = None;
            for datagram in self.batch.datagrams() {
                match acknowledgement(datagram) {
                    Some(errno) => answer = Some(errno),
                    None => self.early.push_back(datagram.to_vec()),
                }
            }
            match answer {
                None => {}
                Some(0) => {
                    self.batch.received(std::iter::empty());
                    return Ok(());
                }
                Some(errno) => {
                    let around = Surroundings::look(number);
                    return Err(refused(number, Step::Configure, Errno::from_raw(errno), &around));
                }
            }
        }
        Err(Failure::new(
            ExitStatus::TryAgain,
            format!(
                "queue {number}: the kernel did not acknowledge the configuration within {} s \
                 (receive buffer of {} bytes too small for what is held?)",
                ACKNOWLEDGE.as_secs(),
                self.buffer_granted
            ),
        ))
    }

    /// Receives datagrams into the slab; none after [`WAIT`].
    fn fill(&mut self) -> Result<(), Failure> {
        let NativeQueue { socket, batch, number, .. } = self;
        let mut lengths = [0; BATCH];
        let received = HEADERS.with_borrow_mut(|headers| {
            let mut slots = batch.slots();
            let datagrams = recvmmsg(
                socket.as_raw_fd(),
                headers,
                slots.iter_mut(),
                MsgFlags::MSG_WAITFORONE,
                None,
            )?;
            let mut received = 0;
            for (length, datagram) in lengths.iter_mut().zip(datagrams) {
                received += 1;
                // A datagram cut short (MSG_TRUNC) shows as a message that is not whole.
                *length = datagram.bytes;
            }
            Ok(received)
        });
        match received {
            Ok(received) => batch.received(lengths.into_iter().take(received)),
            // Nothing came, a signal did, or the socket was full: gaps in the ids will tell.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => {}
            Err(errno) => {
                return Err(refused(*number, Step::Receive, errno, &Surroundings::default()));
            }
        }
        Ok(())
    }

    /// Sends what is in `outgoing`, all of it at once, and empties it.
    pub(super) fn send(&mut self) -> Result<(), Errno> {
        let mut outcome = Ok(());
        for attempt in 0..TRIES {
            if attempt > 0 {
                sleep(Duration::from_millis(1 << (attempt - 1)));
            }
            // Netlink takes a datagram whole or not at all.
            outcome =
                send(self.socket.as_raw_fd(), &self.outgoing, MsgFlags::MSG_NOSIGNAL).map(drop);
            match outcome {
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS | Errno::ENOMEM) => {}
                Ok(()) | Err(_) => break,
            }
        }
        self.outgoing.clear();
        outcome
    }
}

impl From<&QueueSettings> for Configuration {
    fn from(settings: &QueueSettings) -> Self {
        Configuration {
            copy_range: settings.copy_range,
            max_length: settings.max_length,
            fail_open: settings.fail_open,
        }
    }
}

impl PacketQueue for NativeQueue {
    fn receive(&mut self) -> Result<usize, Failure> {
        if self.batch.len() > 0 {
            self.answer()?;
        }
        if !self.batch.has_more() {
            if self.early.is_empty() {
                self.fill()?;
            } else {
                let most = self.early.len().min(BATCH);
                self.batch.put_back(&mut self.early.drain(..most));
            }
        }
        let number = self.number;
        let refuse = |errno| refused(number, Step::Verdict, errno, &Surroundings::default());
        self.batch.read(&self.counters).map_err(refuse)?;
        if let Some((received, batch, lost)) = self.batch.taken() {
            let copy_range = self.copy_range;
            let record = Record { queue: number, copy_range, received, batch, lost };
            self.answered.write(&record).map_err(refuse)?;
        }
        if let Some(id) = self.batch.orphans_up_to() {
            codec::ask_drop_up_to(&mut self.outgoing, UNRECORDED, number, id);
            self.send().map_err(refuse)?;
        }
        Ok(self.batch.len())
    }

    fn held(&self, index: usize) -> Held<'_> {
        self.batch.held(index)
    }

    fn judge(&mut self, index: usize, verdict: Verdict) {
        self.batch.judge(index, verdict);
    }

    fn answer(&mut self) -> Result<(), Failure> {
        self.batch.answer(self.number, self.mark, &mut self.outgoing);
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let around = Surroundings::default();
        self.send().map_err(|errno| refused(self.number, Step::Verdict, errno, &around))
    }

    fn change(&mut self, accept_mark: Mark, fail_open: bool) {
        self.mark = accept_mark;
        if fail_open == self.fail_open && self.changed().is_ok() {
            return;
        }
        self.fail_open = fail_open;
        // A predecessor's replies may still wait in the socket.
        let first = std::process::id().wrapping_shl(8) | 0x80;
        let sequence = self.asked.map_or(first, |asked| asked.wrapping_add(1));
        self.asked = Some(sequence);
        // Nothing is left in there: verdicts are sent as soon as they are written.
        self.outgoing.clear();
        codec::put_fail_open(&mut self.outgoing, Some(sequence), self.number, fail_open);
        self.unsent = self.send().err();
    }

    fn changed(&self) -> Result<bool, Failure> {
        let Some(asked) = self.asked else { return Ok(true) };
        let errno = match (self.unsent, self.batch.changed(asked)) {
            (Some(errno), _) => errno,
            (None, None) => return Ok(false),
            (None, Some(0)) => return Ok(true),
            (None, Some(errno)) => Errno::from_raw(errno),
        };
        Err(refused(self.number, Step::Configure, errno, &Surroundings::default()))
    }

    fn leave(&mut self) {
        if self.batch.has_more() || !self.early.is_empty() {
            return;
        }
        let Some(record) = self.batch.settled(self.number, self.copy_range) else { return };
        // If it cannot be written, the successor asks the kernel.
        let _asks = self.answered.write(&record);
    }
}

/// The error number of the reply to our configuration, if this datagram is it.
fn acknowledgement(datagram: &[u8]) -> Option<i32> {
    Messages::from(datagram, 0).find_map(|message| match codec::read(&message.ok()?) {
        Incoming::Reply(reply)
            if reply.sequence == CONFIGURE
                && reply.kind.is_none_or(|kind| kind == codec::CONFIG) =>
        {
            Some(reply.errno)
        }
        Incoming::Reply(_) | Incoming::Packet(_) | Incoming::Other | Incoming::Unreadable => None,
    })
}

/// Asks for a receive buffer of `bytes` after doubling and returns what the socket has now. Forced
/// where allowed; otherwise `net.core.rmem_max` caps it.
pub(super) fn grant_buffer(socket: &OwnedFd, bytes: usize) -> Result<usize, Errno> {
    // The kernel takes an int and doubles it (net/core/sock.c, `__sock_set_rcvbuf`).
    let half = (bytes / 2).min(i32::MAX as usize / 2);
    if setsockopt(socket, sockopt::RcvBufForce, &half).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &half)?;
    }
    getsockopt(socket, sockopt::RcvBuf)
}

/// Connects the socket to the kernel: then that refuses what anybody else sends to it, and no address need be asked for
/// with each message (net/netlink/af_netlink.c, `netlink_getsockbyportid`).
pub(super) fn hear_only_the_kernel(socket: &OwnedFd) -> Result<(), Errno> {
    connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))
}

/// Lets a receive wait no longer than this.
pub(super) fn wait_at_most(socket: &OwnedFd, time: Duration) -> Result<(), Errno> {
    let milliseconds = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    setsockopt(socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::super::codec::made;
    use super::*;

    #[test]
    fn only_the_reply_to_the_configuration_acknowledges_it() {
        assert_eq!(acknowledgement(&made::reply(0, codec::CONFIG, CONFIGURE)), Some(0));
        assert_eq!(acknowledgement(&made::reply(1, codec::CONFIG, CONFIGURE)), Some(1));
        assert_eq!(acknowledgement(&made::reply(0, codec::CONFIG, 2)), None);
        assert_eq!(acknowledgement(&made::reply(2, codec::VERDICT, CONFIGURE)), None);
        assert_eq!(acknowledgement(&made::packet(CONFIGURE, 0, &[1], None)), None);
        assert_eq!(acknowledgement(&[]), None);
    }

    #[test]
    fn queue_may_move_to_its_thread() {
        fn moves<T: Send + 'static>() {}
        moves::<NativeQueue>();
    }
}
