//! The lab: a camera, a gateway and two servers in network namespaces, real packets between them, and
//! a count of what arrives where.
//!
//! Invariants: nothing here runs outside namespaces that this process made (see [`enter`]); packets go
//! only to documentation addresses; every wait is bounded; every child is ended by its own pid.
//!
//! Shared by `tests/kernel` and `tests/demo`; neither uses all of it.
#![allow(dead_code)]

pub(crate) mod capture;
pub(crate) mod control;
pub(crate) mod daemon;
pub(crate) mod enter;
pub(crate) mod flood;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod rules;
pub(crate) mod scrape;
pub(crate) mod supervisor;
pub(crate) mod tcp;
pub(crate) mod topology;
pub(crate) mod toward;
pub(crate) mod traffic;

use std::fmt::Display;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tcp::TcpServer;
use topology::Place;
use traffic::{Ledger, Receiver, Stream};

/// What went wrong, in words for whoever reads the test's output.
pub(crate) type Res<T = ()> = Result<T, String>;

/// Says what was being done when an error came.
pub(crate) trait Context<T> {
    fn context(self, what: impl Display) -> Res<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, what: impl Display) -> Res<T> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}

/// How long to wait for something that must happen. Generous: the machine may be busy or emulated (where iptables, one
/// process a rule, needs ten seconds for what takes less than one elsewhere), and a test that passes does not wait this
/// long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long to look for something that must not happen where no later packet can serve as a fence.
const SILENCE: Duration = Duration::from_millis(300);

/// How long a connection may take to end once nothing blocks it any more: as long as the camera's TCP waits
/// before it sends again (RFC 6298), after a few seconds of being blocked.
const LEFTOVERS: Duration = Duration::from_secs(6);

/// The namespaces, wired up, with a receiver and a TCP server in each server's namespace.
pub(crate) struct Lab {
    ledger: Ledger,
    _receivers: [Receiver; 2],
    /// TCP echo servers: first server, second server.
    pub(crate) tcp: [TcpServer; 2],
}

impl Lab {
    /// Builds the topology in the current (own, new) network namespace, which becomes the gateway's.
    pub(crate) fn build() -> Res<Self> {
        topology::build()?;
        let ledger = Ledger::new();
        let receivers =
            [Receiver::start(Place::Out1, &ledger)?, Receiver::start(Place::Out2, &ledger)?];
        let tcp = [TcpServer::start(Place::Out1)?, TcpServer::start(Place::Out2)?];
        Ok(Lab { ledger, _receivers: receivers, tcp })
    }

    /// What has arrived so far.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The gateway without a single rule, as before kordon, and no connection left over: what it would
    /// still send again must not turn up in the next case's counters.
    pub(crate) fn clean(&self) -> Res {
        rules::flush_everything()?;
        if self.tcp.iter().filter(|server| server.wait_closed(LEFTOVERS)).count() > 0 {
            std::thread::sleep(SILENCE);
        }
        Ok(())
    }

    /// A new stream of probes from the camera to `to`, with a source port and an identity of its own.
    pub(crate) fn stream(&self, to: IpAddr) -> Res<Stream> {
        Stream::new(to)
    }

    /// Sends `count` probes to `to`; all must arrive, each once.
    pub(crate) fn passes(&self, to: IpAddr, count: u32) -> Res {
        let mut stream = self.stream(to)?;
        stream.send_many(count)?;
        self.all_arrived(&stream)
    }

    /// All probes that this stream has sent must arrive, each once.
    pub(crate) fn all_arrived(&self, stream: &Stream) -> Res {
        let (id, sent) = (stream.id(), stream.sent());
        if self.ledger.wait_for(id, sent, PATIENCE) {
            return match self.ledger.duplicates(id) {
                0 => Ok(()),
                n => Err(format!("{n} probes to {} arrived more than once", stream.to())),
            };
        }
        Err(format!(
            "{} of {sent} probes to {} arrived, all should",
            self.ledger.arrived(id),
            stream.to()
        ))
    }

    /// Sends `count` probes to `to`; none may arrive, although a probe sent after them to an unlisted
    /// address of the same server does.
    pub(crate) fn blocked(&self, to: IpAddr, count: u32) -> Res {
        let mut stream = self.stream(to)?;
        stream.send_many(count)?;
        self.fence(to)?;
        self.none_arrived(&stream)
    }

    /// No probe of this stream may have arrived, nor may one arrive before the case ends.
    pub(crate) fn none_arrived(&self, stream: &Stream) -> Res {
        self.ledger.forbid(stream.id(), stream.to());
        match self.ledger.arrived(stream.id()) {
            0 => Ok(()),
            n => {
                Err(format!("{n} of {} probes to {} arrived, none may", stream.sent(), stream.to()))
            }
        }
    }

    /// Sends `count` probes to each address; none may arrive, nor anything else that could be a fence.
    pub(crate) fn nothing_passes(&self, to: &[IpAddr], count: u32) -> Res {
        let mut streams = Vec::new();
        for &address in to {
            let mut stream = self.stream(address)?;
            stream.send_many(count)?;
            streams.push(stream);
        }
        std::thread::sleep(SILENCE);
        streams.iter().try_for_each(|stream| self.none_arrived(stream))
    }

    /// A probe to an unlisted address of the server that `to` belongs to, sent now, has arrived: what
    /// the camera sent before it has been judged, and has arrived if it may.
    pub(crate) fn fence(&self, to: IpAddr) -> Res {
        let fence = topology::fence_for(to);
        self.passes(fence, 1).context("the fence behind blocked probes")?;
        // Judged in order, but the hop behind the gateway may still reorder.
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    }
}

/// Polls until `condition` says yes; `false` after `limit`.
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
