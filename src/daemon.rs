//! A daemon's life in the order it happens; the one place that knows everybody.
//!
//! Order matters: the rule set is read before the kernel is touched, queues are bound before the rules
//! that feed them stand, and rules stay when the daemon ends (closed), unless the configuration says open.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::{Config, QueueBackend};
use crate::control::notify::notify;
use crate::control::reload::{Reloader, Reloading, reloader};
use crate::control::server::{self, Desk};
use crate::control::watch::Watch;
use crate::counters::{Account, CameraPlaces, Event, ListPlaces, Shard, events};
use crate::evidence::{Evidence, Recorder};
use crate::failure::{ExitStatus, Failure};
use crate::netfilter::{self, Plan, Tool};
use crate::queue::{NativeQueue, NfqQueue, PacketQueue, QueueSettings};
use crate::ruleset::{Follower, Published, Ruleset};
use crate::telemetry::{Exporter, Observed, QueueView, Reloads, RulesState, http};
use crate::worker::Worker;

mod status;

/// Time between two looks at the rules in the kernel.
const RULES_LOOK: Duration = Duration::from_secs(5);

/// Runs until a signal or a fatal failure ends it.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(path: &Path) -> Result<(), Failure> {
    let began = Instant::now();
    let config = Config::load(path)?;
    let lists = Arc::new(ListPlaces::default());
    let rules = Ruleset::load(&config, |name| lists.place(name), None)?;
    let loaded = (rules.compiled, began.elapsed());
    let published = Arc::new(Published::new(rules));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitStatus::Failed, format!("runtime: {error}")))?;
    let stop = Arc::new(AtomicBool::new(false));
    let (failed, failures) = mpsc::unbounded_channel();
    let (event_sender, event_receiver) = events();
    let cameras = Arc::new(CameraPlaces::new(&config.cameras.named));

    // Queues first: a second daemon must learn whose they are before it touches anything else.
    let mut queues = open_queues(&config, &cameras)?;
    let evidence = Arc::new(Evidence::default());
    let observed = Arc::new(Observed {
        began,
        began_unix: now(),
        mode: config.mode,
        open: config.is_open(),
        queues: queues.iter_mut().filter_map(Opened::view).collect(),
        lists: Arc::clone(&lists),
        cameras: Arc::clone(&cameras),
        rules: Arc::clone(&published),
        evidence: Arc::clone(&evidence),
        reloads: Reloads::default(),
        kernel_rules: Mutex::new(RulesState::default()),
        ready: AtomicBool::new(false),
    });
    observed.reloads.note_start(loaded.0, loaded.1);
    let (metrics, control) = runtime.block_on(async {
        let metrics = match config.metrics_listen {
            Some(address) => Some(http::listen(address).await?),
            None => None,
        };
        Ok::<_, Failure>((metrics, server::listen(&config.control_socket)?))
    })?;
    // From here on the control socket's file is ours to remove, whatever happens.
    let _socket_file = SocketFile(&config.control_socket);

    let mut threads = Vec::new();
    let recorder =
        Recorder::new(evidence, event_receiver, lists, cameras.clone(), published.clone());
    threads.push(spawn("kordon-evidence", {
        let stop = Arc::clone(&stop);
        move || recorder.run(&stop)
    })?);
    for queue in queues {
        let account = queue.account(&cameras, &event_sender, &config);
        let follower = Follower::new(Arc::clone(&published));
        threads.push(queue.spawn(follower, account, began, &stop, &failed)?);
    }
    drop(event_sender);

    let tool = apply_rules(&config, &observed)?;

    let outcome = runtime.block_on(async {
        let signals = Signals::new()?;
        let (reloader, reloading) = reloader(Reloading {
            path: path.to_path_buf(),
            running: config.clone(),
            observed: Arc::clone(&observed),
        });
        tokio::spawn(reloading);
        if config.watch {
            let watch = Watch::new(path, &config)?;
            let (reloader, stop) = (reloader.clone(), Arc::clone(&stop));
            threads.push(spawn("kordon-watch", move || watch.run(&reloader, &stop))?);
        }
        if let Some(listener) = metrics {
            let exporter = Exporter::new(Arc::clone(&observed))
                .map_err(|error| Failure::new(ExitStatus::Failed, format!("metrics: {error}")))?;
            tokio::spawn(http::serve(listener, Arc::new(exporter), Arc::clone(&observed)));
        }
        let status = status::reporter(&config, &observed, tool);
        let desk = Desk { observed: Arc::clone(&observed), reloader: reloader.clone(), status };
        tokio::spawn(server::serve(control, Arc::new(desk)));
        if let Some(tool) = tool {
            tokio::spawn(look_at_rules(Plan::of(&config), tool, Arc::clone(&observed)));
        }
        observed.ready.store(true, Ordering::Release);
        announce(&config, &observed);
        serve(signals, &reloader, failures, &observed).await
    });

    notify("STOPPING=1");
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        // A thread that panicked has ended the process already.
        let _joined = thread.join();
    }
    if outcome.is_ok() {
        tracing::info!(
            "stopped; {}",
            match (config.is_open(), config.rules.manage) {
                (_, false) => "the rules are not managed by kordon and stay as they are",
                (false, true) => "the rules stay: nothing passes until kordon runs again",
                (true, true) => "the rules stay, open: everything passes unjudged",
            }
        );
    }
    outcome
}

/// Removes the control socket's file when the daemon ends.
struct SocketFile<'a>(&'a Path);

impl Drop for SocketFile<'_> {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(self.0) {
            tracing::debug!("{}: {error}", self.0.display());
        }
    }
}

/// One open queue of either backend, and its thread's counters.
struct Opened {
    number: u16,
    queue: AnyBackend,
    shard: Arc<Shard>,
}

enum AnyBackend {
    Native(Box<NativeQueue>),
    Nfq(Box<NfqQueue>),
}

fn open_queues(config: &Config, cameras: &CameraPlaces) -> Result<Vec<Opened>, Failure> {
    (0..config.queue.count)
        .map(|offset| {
            let settings = QueueSettings {
                number: config.queue.first + offset,
                copy_range: config.queue.copy_range,
                max_length: config.queue.max_length,
                buffer_bytes: config.queue.buffer_bytes,
                fail_open: config.is_open(),
                accept_mark: config.rules.mark,
            };
            let queue = match config.queue.backend {
                QueueBackend::Native => AnyBackend::Native(Box::new(NativeQueue::open(&settings)?)),
                QueueBackend::Nfq => AnyBackend::Nfq(Box::new(NfqQueue::open(&settings)?)),
            };
            let shard = Arc::new(Shard::new(cameras.names().len()));
            Ok(Opened { number: settings.number, queue, shard })
        })
        .collect()
}

impl Opened {
    fn view(&mut self) -> Option<QueueView> {
        let (counters, gauge) = match &self.queue {
            AnyBackend::Native(queue) => (queue.counters(), queue.gauge()),
            AnyBackend::Nfq(queue) => (queue.counters(), queue.gauge()),
        };
        Some(QueueView { number: self.number, counters, gauge, shard: Arc::clone(&self.shard) })
    }

    fn account(
        &self,
        cameras: &Arc<CameraPlaces>,
        events: &std::sync::mpsc::SyncSender<Event>,
        config: &Config,
    ) -> Account {
        Account::new(Arc::clone(&self.shard), Arc::clone(cameras), events.clone(), config.mode)
    }

    fn spawn(
        self,
        rules: Follower,
        account: Account,
        began: Instant,
        stop: &Arc<AtomicBool>,
        failed: &mpsc::UnboundedSender<Failure>,
    ) -> Result<JoinHandle<()>, Failure> {
        let (stop, failed) = (Arc::clone(stop), failed.clone());
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
        if let Err(failure) = worker.run(&stop) {
            // The receiver is gone only when the process is ending anyway.
            let _ending = failed.send(failure);
        }
    })
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Failure> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| Failure::new(ExitStatus::Failed, format!("thread {name}: {error}")))
}

/// Puts hold and gate in place, if they are ours to manage; the tool that carries them.
fn apply_rules(config: &Config, observed: &Observed) -> Result<Option<Tool>, Failure> {
    if !config.rules.manage {
        tracing::info!("rules.manage = false: the rules are left to you (see `kordon rules show`)");
        return Ok(None);
    }
    let plan = Plan::of(config);
    let tool = netfilter::choose(config.rules.backend)?;
    let applied = netfilter::apply(&plan, tool)?;
    for line in applied.to_string().lines() {
        tracing::debug!("rules: {line}");
    }
    look(&plan, tool, observed);
    Ok(Some(tool))
}

/// Asks the kernel how the rules stand and notes it; a change for the worse is logged once.
fn look(plan: &Plan, tool: Tool, observed: &Observed) {
    let before = observed.kernel_rules();
    let state = match netfilter::observe(plan, tool) {
        Ok(found) => {
            let dropped = found.gate_dropped.map(|count| count.unwrap_or(0));
            RulesState {
                present: Some(found.in_force()),
                faults: if found.in_force() {
                    Vec::new()
                } else {
                    found.to_string().lines().map(str::to_owned).collect()
                },
                // Counters of a gate that was put back begin at 0: what it dropped before is kept.
                gate_dropped: [
                    before.gate_dropped[0].max(dropped[0]),
                    before.gate_dropped[1].max(dropped[1]),
                ],
                tool: tool.to_string(),
            }
        }
        Err(failure) => RulesState {
            present: Some(false),
            faults: vec![failure.message],
            gate_dropped: before.gate_dropped,
            tool: tool.to_string(),
        },
    };
    if state.present == Some(false) && before.present != Some(false) {
        tracing::error!("rules are not as planned: {}", state.faults.join("; "));
    } else if state.present == Some(true) && before.present == Some(false) {
        tracing::info!("rules are as planned again");
    }
    observed.set_kernel_rules(state);
}

async fn look_at_rules(plan: Plan, tool: Tool, observed: Arc<Observed>) {
    let plan = Arc::new(plan);
    loop {
        tokio::time::sleep(RULES_LOOK).await;
        let (plan, observed) = (Arc::clone(&plan), Arc::clone(&observed));
        if tokio::task::spawn_blocking(move || look(&plan, tool, &observed)).await.is_err() {
            return;
        }
    }
}

fn announce(config: &Config, observed: &Observed) {
    let rules = observed.rules.current();
    let [v4, v6] = rules.table().prefixes();
    let last = config.queue.first + config.queue.count - 1;
    tracing::info!(
        mode = config.mode.label(),
        queues = format!("{}-{last}", config.queue.first),
        lists = rules.lists.len(),
        prefixes = v4 + v6,
        "ready"
    );
    notify(&format!(
        "READY=1\nSTATUS={}, {} lists, {} prefixes",
        config.mode.label(),
        rules.lists.len(),
        v4 + v6
    ));
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let catch = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(ExitStatus::Failed, format!("signals: {error}")))
        };
        Ok(Signals {
            hangup: catch(SignalKind::hangup())?,
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
        })
    }
}

async fn serve(
    mut signals: Signals,
    reloader: &Reloader,
    mut failures: mpsc::UnboundedReceiver<Failure>,
    observed: &Observed,
) -> Result<(), Failure> {
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => reloader.request("SIGHUP"),
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            failure = failures.recv() => {
                if let Some(failure) = failure {
                    return Err(failure);
                }
            }
        }
    }
    observed.ready.store(false, Ordering::Release);
    Ok(())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}
