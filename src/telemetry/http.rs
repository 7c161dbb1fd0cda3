//! The HTTP endpoint: `/metrics`, `/healthz`, `/readyz`; GET and HEAD only; a thread of its own.
//!
//! Invariants, whatever clients do: at most [`CONNECTIONS`] connections, [`REQUEST_LIMIT`] bytes of request
//! and [`DEADLINE`] for an exchange; the thread uses no more than its [`Allowance`] of processor time. Where a
//! connection too many comes, the oldest unfinished one is closed: a client that asks at once is served,
//! however many others are slow. [`KEPT`] connections may stay open and ask again, first come, first served:
//! a Prometheus that was there before a flood does not notice it. Where the allowance is used up, nothing is
//! accepted for a while, and the kernel refuses what its backlog cannot hold. Packet threads are not touched:
//! counters are only read.

mod allowance;
mod answer;
mod request;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Exporter, Observed};
use crate::failure::{ExitStatus, Failure};

use allowance::Allowance;
use answer::{Answers, too_large};
use request::{REQUEST_LIMIT, is_complete, may_ask_again};

/// The most connections that wait for their client.
const CONNECTIONS: usize = 64;
/// The most connections taken up in one round, before the allowance is looked at again.
const AT_ONCE: usize = 64;
/// The most connections that stay open for another request.
const KEPT: usize = 16;
/// The whole exchange, from accept (or the request's first byte) to the last byte.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long a connection stays open between two requests: longer than anybody's scrape interval.
const IDLE: Duration = Duration::from_secs(180);
/// How often the thread looks whether it is to stop, and whose deadline is over.
const LOOK: u16 = 100;

/// Opens the endpoint.
///
/// # Errors
/// 75 where the address is in use, or is not ours (yet: an interface may come up later); 77 where it may not
/// be used.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().map_err(|error: std::io::Error| {
        let status = match error.kind() {
            ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => ExitStatus::TryAgain,
            ErrorKind::PermissionDenied => ExitStatus::NoPermission,
            _ => ExitStatus::Failed,
        };
        Failure::new(status, format!("metrics.listen {address}: {error}"))
    })
}

/// Serves until told to stop.
pub fn serve(
    listener: &TcpListener,
    exporter: &Exporter,
    observed: &Arc<Observed>,
    stop: &AtomicBool,
) {
    let mut allowance = Allowance::new();
    let mut waiting = VecDeque::with_capacity(CONNECTIONS + AT_ONCE);
    while !stop.load(Ordering::Relaxed) {
        wait(listener, &waiting);
        round(listener, &mut waiting, &mut Answers { exporter, observed, metrics: None });
        while let Some(pause) = allowance.pause() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(pause);
        }
    }
}

/// Waits until something comes, for [`LOOK`] milliseconds at most.
fn wait(listener: &TcpListener, waiting: &VecDeque<Exchange>) {
    let mut descriptors = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    descriptors.extend(waiting.iter().map(|exchange| {
        let wanted =
            if exchange.answer.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLOUT };
        PollFd::new(exchange.stream.as_fd(), wanted)
    }));
    if poll(&mut descriptors, PollTimeout::from(LOOK)).is_err() {
        // Interrupted by a signal; any other error must not become a busy loop.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Takes up what has come, reads, answers, writes.
fn round(listener: &TcpListener, waiting: &mut VecDeque<Exchange>, answers: &mut Answers<'_>) {
    accept(listener, waiting);
    // All are read before the first is answered, so that the metrics, written once, are news to everybody.
    waiting.retain_mut(|exchange| exchange.read().is_ok());
    let now = Instant::now();
    let mut kept = waiting.iter().filter(|exchange| exchange.keep).count();
    waiting.retain_mut(|exchange| {
        if exchange.is_ready() {
            let again = may_ask_again(&exchange.request);
            let newly = again && !exchange.keep && kept < KEPT;
            kept += usize::from(newly);
            exchange.keep = again && (exchange.keep || newly);
            exchange.answer = match is_complete(&exchange.request) {
                true => answers.to(&exchange.request, exchange.keep),
                false => too_large(),
            };
        }
        let limit = if exchange.is_idle() { IDLE } else { DEADLINE };
        let in_time = now.saturating_duration_since(exchange.began) < limit;
        // A client that is too slow or goes away is its own loss.
        exchange.write(now).is_ok_and(|done| !done) && in_time
    });
    let mut unfinished = waiting.iter().filter(|exchange| !exchange.keep).count();
    waiting.retain(|exchange| {
        let too_many = !exchange.keep && unfinished > CONNECTIONS;
        unfinished -= usize::from(too_many);
        !too_many
    });
}

fn accept(listener: &TcpListener, waiting: &mut VecDeque<Exchange>) {
    for _ in 0..AT_ONCE {
        match listener.accept() {
            Ok((stream, _)) => {
                if stream.set_nonblocking(true).is_ok() {
                    waiting.push_back(Exchange::new(stream));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            // The client has gone again; the next one waits.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!("metrics: accept failed: {error}");
                std::thread::sleep(Duration::from_millis(100));
                return;
            }
        }
    }
}

/// A connection: one request and its answer, and maybe the next.
struct Exchange {
    stream: TcpStream,
    /// When it was accepted, its last answer was written, or the present request began.
    began: Instant,
    request: Vec<u8>,
    /// Empty while the request is not complete.
    answer: Vec<u8>,
    sent: usize,
    /// Stays open after the answer.
    keep: bool,
}

impl Exchange {
    fn new(stream: TcpStream) -> Self {
        let (request, answer) = (Vec::new(), Vec::new());
        Exchange { stream, began: Instant::now(), request, answer, sent: 0, keep: false }
    }

    /// Between two requests.
    fn is_idle(&self) -> bool {
        self.keep && self.request.is_empty()
    }

    /// The request is there and waits for its answer.
    fn is_ready(&self) -> bool {
        self.answer.is_empty() && self.is_read()
    }

    fn is_read(&self) -> bool {
        self.request.len() > REQUEST_LIMIT || is_complete(&self.request)
    }

    /// Reads what is there. An error where nothing more will come.
    fn read(&mut self) -> std::io::Result<()> {
        let mut chunk = [0_u8; 1024];
        while self.answer.is_empty() && !self.is_read() {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    if self.is_idle() {
                        self.began = Instant::now();
                    }
                    self.request.extend_from_slice(chunk.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes what the client takes; true when the connection has done its work.
    fn write(&mut self, now: Instant) -> std::io::Result<bool> {
        while self.sent < self.answer.len() {
            match self.stream.write(self.answer.get(self.sent..).unwrap_or_default()) {
                Ok(0) => return Ok(true),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.answer.is_empty() {
            return Ok(false);
        }
        (self.request, self.answer, self.sent, self.began) = (Vec::new(), Vec::new(), 0, now);
        Ok(!self.keep)
    }
}
