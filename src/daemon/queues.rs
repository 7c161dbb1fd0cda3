//! The daemon's queues: opened by configuration, each handed to a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::mpsc;

use super::fault::Fault;
use super::spawn;
use crate::config::{Config, QueueBackend};
use crate::counters::{Account, CameraPlaces, Event, Shard};
use crate::failure::{ExitStatus, Failure};
use crate::queue::{NativeQueue, NfqQueue, PacketQueue, QueueSettings};
use crate::ruleset::Follower;
use crate::telemetry::QueueView;
use crate::verdict::Mark;
use crate::worker::Worker;

/// One open queue of either backend, and its thread's counters.
pub(super) struct Opened {
    number: u16,
    queue: AnyBackend,
    shard: Arc<Shard>,
}

enum AnyBackend {
    Native(Box<NativeQueue>),
    Nfq(Box<NfqQueue>),
}

pub(super) fn open(config: &Config, cameras: &CameraPlaces) -> Result<Vec<Opened>, Failure> {
    (0..config.queue.count)
        .map(|offset| {
            let settings = QueueSettings {
                number: config.queue.first + offset,
                copy_range: config.queue.copy_range,
                max_length: config.queue.max_length,
                buffer_bytes: config.queue.buffer_bytes,
                fail_open: config.is_open(),
                // Where no gate stands, nobody would clear it again.
                accept_mark: match config.is_open() {
                    true => Mark { value: 0, ..config.rules.mark },
                    false => config.rules.mark,
                },
            };
            let (queue, granted) = match config.queue.backend {
                QueueBackend::Native => {
                    let queue = NativeQueue::open(&settings)?;
                    let granted = Some(queue.buffer_granted());
                    (AnyBackend::Native(Box::new(queue)), granted)
                }
                QueueBackend::Nfq => {
                    let queue = NfqQueue::open(&settings)?;
                    let granted = queue.buffer_granted();
                    (AnyBackend::Nfq(Box::new(queue)), granted)
                }
            };
            warn_of_small_buffer(&settings, granted);
            let shard = Arc::new(Shard::new(cameras.names().len()));
            Ok(Opened { number: settings.number, queue, shard })
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
        None => tracing::warn!("queue {number}: the receive buffer cannot be read or set"),
    }
}

impl Opened {
    pub(super) fn view(&mut self) -> Option<QueueView> {
        let (counters, gauge) = match &self.queue {
            AnyBackend::Native(queue) => (queue.counters(), queue.gauge()),
            AnyBackend::Nfq(queue) => (queue.counters(), queue.gauge()),
        };
        Some(QueueView { number: self.number, counters, gauge, shard: Arc::clone(&self.shard) })
    }

    pub(super) fn account(
        &self,
        cameras: &Arc<CameraPlaces>,
        events: &std::sync::mpsc::SyncSender<Event>,
        config: &Config,
    ) -> Account {
        Account::new(Arc::clone(&self.shard), Arc::clone(cameras), events.clone(), config.mode)
    }

    pub(super) fn spawn(
        self,
        rules: Follower,
        account: Account,
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
                loop {
                    std::thread::park();
                }
            });
        }
        match self.queue {
            AnyBackend::Native(queue) => {
                spawn_worker(self.number, Worker::new(*queue, rules, account, began), stop, failed)
            }
            AnyBackend::Nfq(queue) => {
                spawn_worker(self.number, Worker::new(*queue, rules, account, began), stop, failed)
            }
        }
    }
}

fn spawn_worker<Q: PacketQueue + 'static>(
    number: u16,
    worker: Worker<Q>,
    stop: Arc<AtomicBool>,
    failed: mpsc::UnboundedSender<Failure>,
) -> Result<JoinHandle<()>, Failure> {
    spawn(&format!("kordon-queue-{number}"), move || {
        let outcome = worker.run(&stop);
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
