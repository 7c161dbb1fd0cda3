//! A daemon's life in the order it happens; the one place that knows everybody.
//!
//! Order matters: the rule set is read before the kernel is touched, queues are taken over or bound before the
//! rules that feed them stand, and rules stay when the daemon ends (closed), unless the configuration says open.
//! Packet threads end at the boundary of a batch, so that a successor finds nothing half done.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock;
use crate::config::{Commanded, Config, Found, Mode};
use crate::control::additions::Additions;
use crate::control::aside::leave;
use crate::control::changes::Changes;
use crate::control::compare::Comparer;
use crate::control::notify::notify;
use crate::control::reload::{Reloading, reloader, write_snapshot};
use crate::control::requests::Reloader;
use crate::control::server::{self, Desk};
use crate::control::store::Store;
use crate::control::watch::Watch;
use crate::counters::{CameraPlaces, ListPlaces, Sightings, events, sightings};
use crate::evidence::{Evidence, Recorder};
use crate::failure::{ExitStatus, Failure};
use crate::ruleset::{Follower, Published, Snapshots};
use crate::stance::Stance;
use crate::telemetry::standing::Set;
use crate::telemetry::{Exporter, Observed, Reloads, RulesState, Standing, http};

mod begin;
mod fault;
mod line;
mod mode;
mod queues;
mod rules;
mod status;
mod surroundings;
mod switch;
mod watchdog;

use begin::{Begin, begin};
use mode::Helm;
use watchdog::Watchdog;

/// Runs until a signal or a fatal failure ends it. `store`: what the service manager passed.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(path: &Path, mut store: Store) -> Result<(), Failure> {
    let began = Instant::now();
    // Places in messages shall mean the same to whoever asks from another folder.
    let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut fault = fault::asked()?;
    let configured = Config::load(path)?;
    let (config, mode_set) = with_commanded_mode(&configured);
    // Made before the lists are read: what changes from now on is not missed.
    let watch = match config.watch {
        true => Some(Watch::new(path, &config)).transpose(),
        false => Ok(None),
    };
    let watch = watch.unwrap_or_else(|failure| {
        tracing::error!("{failure}; lists are not watched, use `kordon reload`");
        None
    });
    let lists = Arc::new(ListPlaces::default());
    let Begin { rules, given, unread, refused, outdated } =
        begin(&config, &lists, queues::handed_over(&config, &store))?;
    let snapshots = Arc::new(Snapshots::new(&config));
    if let Some(how) = outdated {
        // Whatever an earlier daemon left is older than what is now put in force.
        snapshots.outdated(how);
    }
    let loaded = (rules.compiled, began.elapsed());
    let published = Arc::new(Published::new(rules));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitStatus::Failed, format!("runtime: {error}")))?;
    // Caught from here on: a signal in the middle of the start must not end it half done.
    let signals = runtime.block_on(async { Signals::new() })?;
    let stop = Arc::new(AtomicBool::new(false));
    let (failed, failures) = mpsc::unbounded_channel();
    let cameras = Arc::new(CameraPlaces::new(&config.cameras.named));

    surroundings::refuse_enslaved(&config)?;
    // Queues first: a second daemon must learn whose they are before it touches anything else.
    let stance = Arc::new(Stance::new(switch::terms(config.mode, config.is_open())));
    let mut queues = queues::open(&config, &stance, &cameras, &mut store)?;
    // What nobody asked for is closed.
    drop(store);
    let evidence = Arc::new(Evidence::default());
    let observed = Arc::new(Observed {
        began,
        began_unix: clock::now(),
        standing: Mutex::new(Standing::new(
            config.mode,
            config.is_open(),
            configured.mode,
            mode_set,
        )),
        queues: queues.iter_mut().filter_map(queues::Opened::view).collect(),
        lists: Arc::clone(&lists),
        cameras: Arc::clone(&cameras),
        rules: Arc::clone(&published),
        evidence: Arc::clone(&evidence),
        reloads: Reloads::default(),
        kernel_rules: Mutex::new(RulesState::default()),
        surroundings: Mutex::default(),
        ready: AtomicBool::new(false),
        control_alive: AtomicU64::new(0),
    });
    observed.mark_control_alive();
    observed.reloads.note_start(loaded.0, loaded.1);
    if let Some(refused) = &refused {
        observed.reloads.note_last_good(&refused.message, loaded.1);
    }
    let additions = Arc::new(Additions::new(config.clone(), given, Arc::clone(&observed)));
    let metrics = config.metrics_listen.map(http::listen).transpose()?;
    let control = runtime.block_on(async { server::listen(&config.control_socket) })?;
    // From here on the control socket's file is ours to remove, whatever happens.
    let _socket_file = SocketFile(&config.control_socket);

    let (mut events, mut sightings) = (events(), sightings());
    let accounts = queues.iter().map(|queue| {
        let account = queue.account(&cameras, events.way(), &config);
        (account, Sightings::new(sightings.way()))
    });
    let accounts: Vec<_> = accounts.collect();
    let mut threads = Vec::new();
    let recorder = Recorder::new(
        evidence,
        (events, sightings),
        lists,
        cameras.clone(),
        published.clone(),
        &config.state_folder,
    );
    threads.push(spawn("kordon-evidence", {
        let stop = Arc::clone(&stop);
        move || recorder.run(&stop)
    })?);
    // Open means without a gate, and then an accepted packet gets no mark: what waits from a closed predecessor
    // would end at the gate that it left.
    let keeper = match config.is_open() {
        true => Some(rules::apply(&config, &observed)?),
        false => None,
    };
    let mut packet_threads = Vec::new();
    for (queue, accounts) in queues.into_iter().zip(accounts) {
        let follower = Follower::new(Arc::clone(&published));
        packet_threads.push(queue.spawn(
            follower,
            accounts,
            began,
            &stop,
            &failed,
            fault.take(),
        )?);
    }

    let keeper = match keeper {
        Some(keeper) => keeper,
        None => rules::apply(&config, &observed)?,
    };

    let outcome = runtime.block_on(async {
        let comparer = Comparer::new(path.to_path_buf(), configured.clone(), Arc::clone(&observed));
        let (reloader, reloading) = reloader(Reloading {
            path: path.to_path_buf(),
            running: configured,
            observed: Arc::clone(&observed),
            snapshots: Arc::clone(&snapshots),
            additions: Arc::clone(&additions),
        });
        tokio::spawn(reloading);
        if let Some(watch) = watch {
            let (reloader, stop) = (reloader.clone(), Arc::clone(&stop));
            threads.push(spawn("kordon-watch", move || watch.run(&reloader, &stop))?);
        }
        if let Some(listener) = metrics {
            let exporter = Exporter::new(Arc::clone(&observed))
                .map_err(|error| Failure::new(ExitStatus::Failed, format!("metrics: {error}")))?;
            let (observed, stop) = (Arc::clone(&observed), Arc::clone(&stop));
            // Not waited for at the end: it has nothing to bring home.
            spawn("kordon-http", move || http::serve(&listener, &exporter, &observed, &stop))?;
        }
        let helm = Helm::new(&config, &stance, keeper.as_ref(), &observed);
        let changes = Arc::new(Changes::default());
        let tool = keeper.as_ref().map(|keeper| keeper.tool);
        let desk = Desk {
            observed: Arc::clone(&observed),
            reloader: reloader.clone(),
            comparer,
            status: status::reporter(&config, &observed, &changes, tool),
            rules: rules::clerk(keeper.clone()),
            mode: helm.clerk(),
            additions: Arc::clone(&additions),
            changes,
        };
        tokio::spawn(server::serve(control, Arc::new(desk)));
        tokio::spawn(helm.watch());
        tokio::spawn(additions.watch());
        if let Some(keeper) = keeper {
            tokio::spawn(rules::watch(keeper));
        }
        observed.ready.store(true, Ordering::Release);
        announce(&config, &observed);
        match unread {
            true => reloader.request("restart"),
            false if refused.is_some() => {}
            false => {
                snapshots.note(&config, observed.rules.current());
                let snapshots = Arc::clone(&snapshots);
                leave(move || write_snapshot(&snapshots));
            }
        }
        tokio::spawn(line::keep_telling(Arc::clone(&observed)));
        tokio::spawn(surroundings::watch(config.clone(), Arc::clone(&observed)));
        let watchdog = Watchdog::new(observed.queues.len());
        serve(signals, &reloader, failures, watchdog, &observed).await
    });

    // Not to be waited for: a reload may hang on a disk that is gone.
    runtime.shutdown_background();
    notify("STOPPING=1");
    stop.store(true, Ordering::Relaxed);
    if outcome.is_ok() {
        queues::join(packet_threads);
        for thread in threads {
            // A thread that panicked has ended the process already.
            let _joined = thread.join();
        }
        tracing::info!(
            event = "stopped",
            "stopped; {}",
            match (config.rules.manage, observed.kernel_rules().removed, observed.standing().open) {
                (false, _, _) => "the rules are not managed by kordon and stay as they are",
                (true, Some(_), _) => "the rules were removed: everything passes",
                (true, None, false) => "the rules stay: nothing passes until kordon runs again",
                (true, None, true) => "the rules stay, open: everything passes unjudged",
            }
        );
    }
    outcome
}

/// The configuration with the mode that is in force: one set by command, as long as the configuration was not
/// edited since.
fn with_commanded_mode(configured: &Config) -> (Config, Option<Set>) {
    let mut config = configured.clone();
    let set = match Commanded::find(configured) {
        Found::Nothing => None,
        Found::InForce(commanded) => {
            tracing::warn!(
                mode = commanded.mode.label(),
                "mode {} as set by command, not {} as configured; set by {}{}",
                commanded.mode.label(),
                configured.mode.label(),
                commanded.by,
                if commanded.why.is_empty() {
                    String::new()
                } else {
                    format!(": {}", commanded.why)
                }
            );
            config.mode = commanded.mode;
            Some(Set { by: commanded.by, at: commanded.at, why: commanded.why })
        }
        Found::Outdated(commanded) => {
            tracing::warn!(
                "mode {} as configured: it was edited since a command by {} set {}, which counts no longer",
                configured.mode.label(),
                commanded.by,
                commanded.mode.label()
            );
            if let Err(failure) = Commanded::remove(&configured.state_folder) {
                tracing::warn!("{failure}");
            }
            None
        }
        Found::Unreadable(failure) => {
            tracing::error!(
                "{failure}; a command has set a mode and it cannot be said which: mode enforce; \
                 `kordon mode` sets another, which also replaces the file"
            );
            config.mode = Mode::Enforce;
            None
        }
    };
    (config, set)
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

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Failure> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| Failure::new(ExitStatus::Failed, format!("thread {name}: {error}")))
}

fn announce(config: &Config, observed: &Observed) {
    let rules = observed.rules.current();
    let [v4, v6] = rules.prefixes();
    let last = config.queue.first + (config.queue.count - 1);
    tracing::info!(
        event = "ready",
        mode = config.mode.label(),
        queues = format!("{}-{last}", config.queue.first),
        lists = rules.lists.iter().filter(|list| list.is_from_a_file()).count(),
        prefixes = v4 + v6,
        "ready"
    );
    notify(&format!("READY=1\nSTATUS={}", line::first(observed)));
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
    mut watchdog: Watchdog,
    observed: &Observed,
) -> Result<(), Failure> {
    let stalled = watchdog.watch(observed);
    tokio::pin!(stalled);
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => reloader.request("SIGHUP"),
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            failure = &mut stalled => return Err(failure),
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
