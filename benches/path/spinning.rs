//! A queue that is looked at for a while after the last packet before its thread sleeps: what kordon could do and
//! does not, to see what it would bring.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kordon::failure::{ExitStatus, Failure};
use kordon::queue::{Around, NativeQueue, PacketQueue};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The native queue itself while `spin`, in nanoseconds, is 0.
pub(super) struct Spinning<'a> {
    queue: NativeQueue,
    spin: &'a AtomicU64,
    /// The socket is one whose reads do not wait.
    spins: bool,
    last: Instant,
}

impl<'a> Spinning<'a> {
    pub(super) fn new(queue: NativeQueue, spin: &'a AtomicU64) -> Self {
        Spinning { queue, spin, spins: false, last: Instant::now() }
    }

    fn set(&mut self, spins: bool) -> Result<(), Failure> {
        self.spins = spins;
        let flags = if spins { OFlag::O_NONBLOCK } else { OFlag::empty() };
        let [socket, _] = self.queue.descriptors();
        fcntl(socket, FcntlArg::F_SETFL(flags)).map(drop).map_err(failed)
    }

    fn sleep(&self) -> Result<(), Failure> {
        let [socket, _] = self.queue.descriptors();
        let mut one = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        // As long as the queue's own wait.
        poll(&mut one, PollTimeout::from(250_u8)).map(drop).map_err(failed)
    }
}

fn failed(errno: Errno) -> Failure {
    Failure::new(ExitStatus::Failed, errno.to_string())
}

impl Around for Spinning<'_> {
    type Inner = NativeQueue;

    fn inner(&self) -> &NativeQueue {
        &self.queue
    }

    fn inner_mut(&mut self) -> &mut NativeQueue {
        &mut self.queue
    }

    fn receive(&mut self) -> Result<usize, Failure> {
        let spin = Duration::from_nanos(self.spin.load(Ordering::Relaxed));
        if self.spins == spin.is_zero() {
            self.set(!spin.is_zero())?;
        }
        while self.spins && self.last.elapsed() < spin {
            let count = self.queue.receive()?;
            if count > 0 {
                self.last = Instant::now();
                return Ok(count);
            }
        }
        if self.spins {
            self.sleep()?;
        }
        let count = self.queue.receive()?;
        self.last = Instant::now();
        Ok(count)
    }
}
