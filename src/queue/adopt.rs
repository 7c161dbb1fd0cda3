//! A native queue from the socket that a predecessor left.
//!
//! Nothing that waits in the socket is read here, so a process that ends in the middle of it loses nothing. The
//! kernel is asked, without waiting for the answer, which comes in order behind what waits, to drop what the
//! predecessor had received and not answered ([`takeover`](super::takeover)); a predecessor that was told to end
//! has noted that there is nothing of that kind. The kernel is also told to configure the queue anew. Only where
//! nothing waits is it to acknowledge that, and waited for: a socket in which packets wait is bound to its queue,
//! and an acknowledgement that finds it full would be counted among the packets that did.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{NetlinkAddr, getsockname, getsockopt};

use super::QueueSettings;
use super::answered::{Answered, Record, Unusable};
use super::batch::Batch;
use super::codec::{self, Configuration};
use super::native::{
    CONFIGURE, NativeQueue, WAIT, grant_buffer, hear_only_the_kernel, wait_at_most,
};
use super::options::{Domain, MemInfo, Protocol};
use super::takeover::RECORDED;
use crate::failure::{ExitStatus, Failure};

/// Room that the answers need beside a full buffer, in bytes as the kernel counts them.
pub const ROOM: usize = 64 << 10;

/// What a predecessor left of a queue.
#[derive(Debug)]
pub struct Stored {
    /// The queue's socket.
    pub socket: OwnedFd,
    /// The record of what was received from it.
    pub answered: OwnedFd,
}

/// Why a stored socket was not adopted.
#[derive(Debug)]
pub enum NotAdopted {
    /// Its reader lives (75), or the kernel refuses us.
    Refused(Failure),
    /// It is of no use; why.
    Broken(String),
}

impl NativeQueue {
    /// Takes over the queue of a predecessor that has ended. What waits in it is not lost.
    ///
    /// # Errors
    ///
    /// [`NotAdopted`]; the descriptors are closed then.
    pub fn adopt(settings: &QueueSettings, stored: Stored) -> Result<Self, NotAdopted> {
        let number = settings.number;
        let broken = |what: &str, errno: Errno| {
            NotAdopted::Broken(format!("{what}: {}", errno.desc().to_lowercase()))
        };
        let (answered, record) = locked(number, stored.answered)?;
        if record.queue != number {
            return Err(NotAdopted::Broken(format!("it belongs to queue {}", record.queue)));
        }
        if record.is_settled() {
            // From here on it is this process that may leave something.
            let unsettled = Record { batch: 0, ..record };
            answered.write(&unsettled).map_err(|errno| broken("its record", errno))?;
        }
        let socket = netfilter_socket(stored.socket)?;
        hear_only_the_kernel(&socket).map_err(|errno| broken("its connection", errno))?;
        wait_at_most(&socket, WAIT).map_err(|errno| broken("its time limit", errno))?;
        // With room to spare until the question is asked: an answer that finds the buffer full is lost.
        let set_up = |errno| broken("its buffer", errno);
        let room = if record.is_settled() { 0 } else { ROOM };
        grant_buffer(&socket, settings.buffer_bytes.saturating_add(room)).map_err(set_up)?;
        let [waiting, _, _, _, _, _, _, _, dropped] =
            getsockopt(&socket, MemInfo).map_err(set_up)?;

        // What waits was copied by the predecessor's range.
        let mut batch = Batch::new(settings.copy_range.max(record.copy_range));
        batch.take_over(&record, dropped);
        let mut queue = NativeQueue::over(settings, socket, answered, batch, 0);
        queue.counters().inherit(record.lost);
        let configuration = Configuration::from(settings);
        codec::put_new_configuration(
            &mut queue.outgoing,
            (CONFIGURE, waiting == 0),
            number,
            &configuration,
        );
        queue.send().map_err(|errno| broken("it cannot be configured", errno))?;
        if waiting == 0 {
            queue.await_acknowledgement().map_err(|failure| NotAdopted::Broken(failure.message))?;
        }
        if !record.is_settled() {
            codec::ask_drop_up_to(&mut queue.outgoing, RECORDED, number, record.received);
            queue.send().map_err(|errno| broken("it takes no verdicts", errno))?;
        }
        queue.set_buffer(settings.buffer_bytes).map_err(set_up)?;
        Ok(queue)
    }
}

impl Stored {
    /// Gives the queue up: the kernel drops what it holds for it, and the number is free, at the latest when the
    /// last copy of the socket is closed.
    ///
    /// # Errors
    ///
    /// 75 if its reader lives.
    pub fn release(self, number: u16) -> Result<(), Failure> {
        match locked(number, self.answered) {
            Err(NotAdopted::Refused(failure)) => return Err(failure),
            // Whether somebody reads it cannot be told; it ends with its last descriptor.
            Err(NotAdopted::Broken(_)) => return Ok(()),
            Ok(_) => {}
        }
        let mut message = Vec::new();
        codec::put_unbind(&mut message, CONFIGURE, number);
        // Of a broken socket nothing is to be expected; closing it has to do.
        let _broken = nix::sys::socket::send(
            self.socket.as_raw_fd(),
            &message,
            nix::sys::socket::MsgFlags::MSG_NOSIGNAL,
        );
        Ok(())
    }
}

fn locked(
    number: u16,
    answered: OwnedFd,
) -> Result<(Answered, super::answered::Record), NotAdopted> {
    Answered::adopt(answered).map_err(|why| match why {
        Unusable::Locked => NotAdopted::Refused(Failure::new(
            ExitStatus::TryAgain,
            format!(
                "queue {number} is in use by another process: it still reads the stored socket"
            ),
        )),
        Unusable::Broken => NotAdopted::Broken("the record beside it cannot be read".to_owned()),
    })
}

/// The socket, if it is one of netfilter's with an address.
fn netfilter_socket(socket: OwnedFd) -> Result<OwnedFd, NotAdopted> {
    let is_netfilter = getsockopt(&socket, Domain) == Ok(libc::AF_NETLINK)
        && getsockopt(&socket, Protocol) == Ok(libc::NETLINK_NETFILTER)
        && getsockname::<NetlinkAddr>(socket.as_raw_fd()).is_ok_and(|address| address.pid() != 0);
    match is_netfilter {
        true => Ok(socket),
        false => Err(NotAdopted::Broken("it is no netfilter socket".to_owned())),
    }
}
