//! The daemon's queues: taken over from a predecessor or opened, by configuration, each handed to a thread of
//! its own.
//!
//! The sockets of the native backend outlive the process in the service manager's store, under `nfq-NUMBER`,
//! with the record of what was received beside them, under `nfq-NUMBER-answered`. What is there and no longer
//! wanted is given up first: a queue has one socket.

use std::collections::BTreeSet;
use std::os::unix::thread::JoinHandleExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use super::fault::{Deaf, Dying, Fault, Slow};
use super::spawn;
use crate::config::{Config, QueueBackend};
use crate::control::store::{self, Store};
use crate::counters::{Account, CameraPlaces, Event, Reports, Shard, Sightings};
use crate::failure::{ExitStatus, Failure};
use crate::queue::{NativeQueue, NfqQueue, NotAdopted, PacketQueue, QueueSettings, Stored};
use crate::ruleset::Follower;
use crate::stance::Stance;
use crate::telemetry::QueueView;
use crate::verdict::Mark;
use crate::worker::{Worker, marking};

/// One open queue of either backend, and its thread's counters.
pub(super) struct Opened {
    number: u16,
    queue: AnyBackend,
    shard: Arc<Shard>,
    /// The terms on which its packets are answered, and the mark that they may ask for.
    terms: (Arc<Stance>, Mark),
}

enum AnyBackend {
    Native(Box<NativeQueue>),
    Nfq(Box<NfqQueue>),
}

/// How long the service manager may take to close what it was told to forget.
const CLOSING: Duration = Duration::from_secs(2);

/// The names under which a queue's socket and record are stored.
fn names(number: u16) -> [String; 2] {
    [format!("nfq-{number}"), format!("nfq-{number}-answered")]
}

/// The queue that a stored descriptor belongs to.
fn number_in(name: &str) -> Option<u16> {
    let rest = name.strip_prefix("nfq-")?;
    rest.strip_suffix("-answered").unwrap_or(rest).parse().ok()
}

/// Whether a predecessor left a socket of a queue that is to be read: packets may wait in it.
pub(super) fn handed_over(config: &Config, store: &Store) -> bool {
    store.names().filter_map(number_in).any(|number| wanted(config, number))
}

/// Whether the native backend is to read this queue.
fn wanted(config: &Config, number: u16) -> bool {
    let native = config.queue.backend == QueueBackend::Native;
    native && number.wrapping_sub(config.queue.first) < config.queue.count
}

/// Has the service manager close what it keeps of a queue.
fn forget(number: u16) {
    names(number).iter().for_each(|name| store::forget(name));
}

/// Takes what is stored of a queue. `None` if nothing is, or not both parts once: then it is forgotten.
fn take(store: &mut Store, number: u16) -> Option<Stored> {
    let [mut sockets, mut records] = names(number).map(|name| store.take(&name));
    match (sockets.pop(), records.pop(), sockets.is_empty() && records.is_empty()) {
        (None, None, _) => None,
        (Some(socket), Some(answered), true) => Some(Stored { socket, answered }),
        (_, _, _) => {
            tracing::warn!(
                "queue {number}: what is stored of it is not whole; a new one is opened"
            );
            forget(number);
            None
        }
    }
}

/// Gives up what is stored of queues that this configuration does not read by the native backend.
fn give_up(config: &Config, store: &mut Store, stored: &BTreeSet<u16>) -> Result<(), Failure> {
    for &number in stored.iter().filter(|number| !wanted(config, **number)) {
        if let Some(stored) = take(store, number) {
            stored.release(number)?;
            forget(number);
            tracing::info!("queue {number}: no longer read; its stored socket is given up");
        }
    }
    Ok(())
}

/// The native queue of this number: a predecessor's if one is stored and of use, otherwise a new one.
fn native(
    settings: &QueueSettings,
    store: &mut Store,
    patience: Duration,
) -> Result<NativeQueue, Failure> {
    let number = settings.number;
    if let Some(stored) = take(store, number) {
        match NativeQueue::adopt(settings, stored) {
            Ok(queue) => {
                tracing::info!("queue {number}: taken over with what waits in it");
                return Ok(queue);
            }
            Err(NotAdopted::Refused(failure)) => return Err(failure),
            Err(NotAdopted::Broken(why)) => {
                tracing::error!(
                    "queue {number}: its stored socket is of no use ({why}); a new one is opened, what \
                     waited is lost"
                );
                forget(number);
            }
        }
    }
    let queue = patiently(patience, || NativeQueue::open(settings))?;
    // The record first: a socket without one is of no use.
    let [socket, answered] = queue.descriptors();
    let [socket_name, answered_name] = names(number);
    store::keep(&answered_name, answered);
    store::keep(&socket_name, socket);
    Ok(queue)
}

/// Opens a queue; one whose number is taken is tried again for this long.
fn patiently<Q>(patience: Duration, open: impl Fn() -> Result<Q, Failure>) -> Result<Q, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        match open() {
            Err(failure) if failure.status == ExitStatus::TryAgain && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

pub(super) fn open(
    config: &Config,
    stance: &Arc<Stance>,
    cameras: &CameraPlaces,
    store: &mut Store,
) -> Result<Vec<Opened>, Failure> {
    let stored: BTreeSet<u16> = store.names().filter_map(number_in).collect();
    give_up(config, store, &stored)?;
    let terms = stance.read().terms();
    (0..config.queue.count)
        .map(|offset| {
            let settings = QueueSettings {
                number: config.queue.first + offset,
                copy_range: config.queue.copy_range,
                max_length: config.queue.max_length,
                buffer_bytes: config.queue.buffer_bytes,
                fail_open: terms.fail_open,
                accept_mark: marking(terms, config.rules.mark),
            };
            // What the service manager is told to forget is open until it has done so.
            let patience = match stored.contains(&settings.number) {
                true => CLOSING,
                false => Duration::ZERO,
            };
            let (queue, granted) = match config.queue.backend {
                QueueBackend::Native => {
                    let queue = native(&settings, store, patience)?;
                    let granted = Some(queue.buffer_granted());
                    (AnyBackend::Native(Box::new(queue)), granted)
                }
                QueueBackend::Nfq => {
                    let queue = patiently(patience, || NfqQueue::open(&settings))?;
                    let granted = queue.buffer_granted();
                    (AnyBackend::Nfq(Box::new(queue)), granted)
                }
            };
            warn_of_small_buffer(&settings, granted);
            let shard = Arc::new(Shard::new(cameras.names().len()));
            let terms = (Arc::clone(stance), config.rules.mark);
            Ok(Opened { number: settings.number, queue, shard, terms })
        })
        .collect()
}

fn warn_of_small_buffer(settings: &QueueSettings, granted: Option<usize>) {
    let (number, asked) = (settings.number, settings.buffer_bytes);
    match granted {
        // The kernel rounds what it doubles.
        Some(granted) if granted + 1 < asked => tracing::warn!(
            "queue {number}: receive buffer of {granted} bytes granted, {asked} asked: \
             bursts are lost sooner; set sysctl net.core.rmem_max={} (or run with CAP_NET_ADMIN)",
            asked / 2
        ),
        Some(_) => {}
        None => tracing::warn!(
            "queue {number}: the receive buffer cannot be read or set: losses are seen late, or not at all where \
             the system's default holds more packets than the queue; set queue.backend = \"native\""
        ),
    }
}

impl Opened {
    pub(super) fn view(&mut self) -> Option<QueueView> {
        let (counters, gauge) = match &self.queue {
            AnyBackend::Native(queue) => (queue.counters(), queue.gauge()),
            AnyBackend::Nfq(queue) => (queue.counters(), queue.gauge()),
        };
        Some(QueueView {
            number: self.number,
            counters,
            gauge,
            shard: Arc::clone(&self.shard),
            unread: AtomicU64::new(0),
        })
    }

    pub(super) fn account(
        &self,
        cameras: &Arc<CameraPlaces>,
        events: Reports<Event>,
        config: &Config,
    ) -> Account {
        Account::new(Arc::clone(&self.shard), Arc::clone(cameras), events, config.mode)
    }

    pub(super) fn spawn(
        self,
        rules: Follower,
        (account, sightings): (Account, Sightings),
        began: Instant,
        stop: &Arc<AtomicBool>,
        failed: &mpsc::UnboundedSender<Failure>,
        fault: Option<Fault>,
    ) -> Result<JoinHandle<()>, Failure> {
        let (stop, failed) = (Arc::clone(stop), failed.clone());
        if fault == Some(Fault::EndFirstWorker) {
            return spawn(&format!("kordon-queue-{}", self.number), move || {
                report_end(self.number, Ok(()), &AtomicBool::new(false), &failed);
            });
        }
        if fault == Some(Fault::StallFirstWorker) {
            return spawn(&format!("kordon-queue-{}", self.number), move || {
                // The queue stays open and unread for as long as the process lives.
                let _held = self.queue;
                self.shard.mark_alive(began.elapsed());
                loop {
                    std::thread::park();
                }
            });
        }
        let (number, (stance, mark)) = (self.number, self.terms);
        let job = Job { rules, account, sightings, began, stance, mark, stop, failed };
        match (self.queue, fault) {
            (AnyBackend::Native(queue), Some(Fault::DieWithABatch)) => {
                spawn_worker(number, Dying(*queue), job)
            }
            (AnyBackend::Native(queue), Some(Fault::DeafFirstWorker)) => {
                spawn_worker(number, Deaf(*queue), job)
            }
            (AnyBackend::Native(queue), Some(Fault::SlowFirstWorker(rate))) => {
                spawn_worker(number, Slow::new(*queue, rate), job)
            }
            (AnyBackend::Nfq(queue), Some(Fault::SlowFirstWorker(rate))) => {
                spawn_worker(number, Slow::new(*queue, rate), job)
            }
            (AnyBackend::Native(queue), _) => spawn_worker(number, *queue, job),
            (AnyBackend::Nfq(queue), _) => spawn_worker(number, *queue, job),
        }
    }
}

/// What a packet thread works with, besides its queue.
struct Job {
    rules: Follower,
    account: Account,
    sightings: Sightings,
    began: Instant,
    stance: Arc<Stance>,
    mark: Mark,
    stop: Arc<AtomicBool>,
    failed: mpsc::UnboundedSender<Failure>,
}

/// Waits for the packet threads to end at the boundary of a batch, now that they were told to. A thread that
/// waits for packets is woken by a signal; one that hangs is left behind.
pub(super) fn join(threads: Vec<JoinHandle<()>>) {
    /// Between two signals: one may come just before the thread begins to wait.
    const AGAIN: Duration = Duration::from_millis(2);
    /// Signals until a thread is left behind.
    const TRIES: u32 = 500;
    for _ in 0..TRIES {
        let running = threads.iter().filter(|thread| !thread.is_finished());
        // Caught by the process, which is ending already; the thread's wait ends with it.
        let woken = running.map(|thread| pthread_kill(thread.as_pthread_t(), Signal::SIGTERM));
        if woken.count() == 0 {
            break;
        }
        std::thread::sleep(AGAIN);
    }
    for thread in threads.into_iter().filter(JoinHandle::is_finished) {
        // A thread that panicked has ended the process already.
        let _joined = thread.join();
    }
}

fn spawn_worker<Q: PacketQueue + 'static>(
    number: u16,
    queue: Q,
    job: Job,
) -> Result<JoinHandle<()>, Failure> {
    let Job { rules, account, sightings, began, stance, mark, stop, failed } = job;
    let worker = Worker::new(queue, rules, account, sightings, began, stance, mark);
    spawn(&format!("kordon-queue-{number}"), move || {
        let outcome = worker.run(&stop);
        if outcome.is_err() {
            // A socket that failed is not handed on.
            forget(number);
        }
        report_end(number, outcome, &stop, &failed);
    })
}

/// A packet thread that ends unasked ends the daemon.
fn report_end(
    number: u16,
    outcome: Result<(), Failure>,
    stop: &AtomicBool,
    failed: &mpsc::UnboundedSender<Failure>,
) {
    let unasked = || {
        let message = format!("queue {number}: its packet thread has ended unasked");
        Failure::new(ExitStatus::Failed, message)
    };
    let failure = match outcome {
        Err(failure) => failure,
        Ok(()) if stop.load(Ordering::Relaxed) => return,
        Ok(()) => unasked(),
    };
    // The receiver is gone only when the process is ending anyway.
    let _ending = failed.send(failure);
}
