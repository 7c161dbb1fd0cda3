//! A stand-in for the service manager: it keeps the daemon's descriptors and passes them to the next one.
//!
//! It speaks the protocol of `sd_notify(3)` and `sd_listen_fds(3)` as systemd does: FDSTORE=1 with FDNAME,
//! FDSTOREREMOVE=1, LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES. What it keeps survives a restart and a kill, and is
//! closed when it is dropped: then the queues are gone, as after `systemctl stop`.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::daemon::{Daemon, Site};
use super::{Context, PATIENCE, Res, wait_until};

/// A service manager with one service: the daemon of a site.
pub(crate) struct Supervisor<'a> {
    site: &'a Site,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
    daemon: Option<Daemon>,
    /// How long a daemon may take to get ready.
    pub(crate) patience: Duration,
    /// Variables in the environment of the daemons started from now on.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Heard>,
    /// Milliseconds until a message that closes something is acted upon.
    lag: AtomicU64,
    stop: AtomicBool,
}

#[derive(Default)]
struct Heard {
    store: Vec<(String, OwnedFd)>,
    messages: Vec<String>,
    ready: Option<Instant>,
}

impl<'a> Supervisor<'a> {
    /// A manager with an empty store; no daemon runs yet.
    pub(crate) fn new(site: &'a Site) -> Res<Self> {
        let socket = UnixDatagram::bind(site.notify_socket()).context("the manager's socket")?;
        socket.set_read_timeout(Some(Duration::from_millis(50))).context("the socket")?;
        let shared = Arc::new(Shared::default());
        let listener = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    if let Some((message, descriptors)) = receive(&socket) {
                        if message.starts_with("FDSTOREREMOVE=1") {
                            let lag = shared.lag.load(Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(lag));
                        }
                        shared.lock().note(message, descriptors);
                    }
                }
            }
        });
        Ok(Supervisor {
            site,
            shared,
            listener: Some(listener),
            daemon: None,
            patience: PATIENCE,
            environment: Vec::new(),
        })
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub(crate) fn start(&mut self) -> Res<&mut Daemon> {
        self.launch()?;
        self.wait_ready()?;
        self.daemon()
    }

    /// Starts the daemon with what is stored, and does not wait.
    pub(crate) fn launch(&mut self) -> Res {
        let daemon = {
            let mut heard = self.shared.lock();
            heard.ready = None;
            self.site.spawn_supervised(&heard.store, &self.environment)?
        };
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Another daemon with copies of what is stored, beside the one that runs.
    pub(crate) fn launch_beside(&self) -> Res<Daemon> {
        self.site.spawn_supervised(&self.shared.lock().store, &[])
    }

    /// Waits for READY=1; returns when it was heard.
    pub(crate) fn wait_ready(&mut self) -> Res<Instant> {
        let Some(daemon) = &mut self.daemon else { return Err("no daemon was started".to_owned()) };
        let shared = &self.shared;
        let mut alive = true;
        wait_until(self.patience, || {
            alive = daemon.is_alive();
            !alive || shared.lock().ready.is_some()
        });
        let ready = shared.lock().ready;
        match (ready, alive) {
            (Some(at), _) => Ok(at),
            (None, true) => Err(format!("the daemon does not get ready:\n{}", daemon.log())),
            (None, false) => {
                Err(format!("the daemon ended instead of getting ready:\n{}", daemon.log()))
            }
        }
    }

    /// Stops the daemon as for a restart: the store stays.
    pub(crate) fn end(&mut self, signal: Signal) -> Res {
        let Some(mut daemon) = self.daemon.take() else { return Err("no daemon runs".to_owned()) };
        daemon.signal(signal)?;
        let code = daemon.wait_end()?;
        match (signal, code) {
            (Signal::SIGKILL, None) | (Signal::SIGTERM, Some(0)) => Ok(()),
            (_, code) => Err(format!("{signal} ended the daemon with {code:?}:\n{}", daemon.log())),
        }
    }

    /// Ends the daemon and starts the next one.
    pub(crate) fn restart(&mut self, signal: Signal) -> Res {
        self.end(signal)?;
        self.start().map(drop)
    }

    /// The daemon that runs.
    pub(crate) fn daemon(&mut self) -> Res<&mut Daemon> {
        self.daemon.as_mut().ok_or_else(|| "no daemon runs".to_owned())
    }

    /// The names of what is stored.
    pub(crate) fn stored(&self) -> Vec<String> {
        self.shared.lock().store.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Puts a descriptor into the store, or nothing, in place of what has this name.
    pub(crate) fn replace(&self, name: &str, descriptor: Option<OwnedFd>) {
        let mut heard = self.shared.lock();
        heard.store.retain(|(known, _)| known != name);
        heard.store.extend(descriptor.map(|descriptor| (name.to_owned(), descriptor)));
    }

    /// From now on, what is to be forgotten is closed this much later.
    pub(crate) fn forgets_after(&self, milliseconds: u64) {
        self.shared.lag.store(milliseconds, Ordering::Relaxed);
    }
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        self.daemon = None;
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        let _ = std::fs::remove_file(self.site.notify_socket());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    fn note(&mut self, message: String, descriptors: Vec<OwnedFd>) {
        let field =
            |key: &str| message.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let name = field("FDNAME").unwrap_or("stored").to_owned();
        if field("FDSTORE") == Some("1") {
            self.store.extend(descriptors.into_iter().map(|one| (name.clone(), one)));
        } else if field("FDSTOREREMOVE") == Some("1") {
            self.store.retain(|(known, _)| *known != name);
        } else if field("READY") == Some("1") {
            self.ready = Some(Instant::now());
        }
        self.messages.push(message);
    }
}

/// One message and what came with it.
fn receive(socket: &UnixDatagram) -> Option<(String, Vec<OwnedFd>)> {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let received = recvmsg(socket, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC).ok()?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            descriptors.extend(more);
        }
    }
    Some((String::from_utf8_lossy(&bytes[..received.bytes]).into_owned(), descriptors))
}
