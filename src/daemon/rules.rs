//! The daemon's part in the rules: put in place at start, watched ever after, put back when others touch
//! them.
//!
//! Invariant: rules that are not as planned are noticed when they are altered, within [`LOOK`] where the kernel
//! does not say so, and put back at once, unless somebody removed them through the daemon; every such moment is
//! logged with both times and counted.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::config::Config;
use crate::control::message::RulesOrder;
use crate::control::server::Clerk;
use crate::failure::{ExitStatus, Failure};
use crate::netfilter::{self, Commits, Generation, Plan, Saved, Tool};
use crate::telemetry::{Observed, RulesState};

/// Time between two looks at the number of the kernel's rule set, unless the kernel says that it changed.
const LOOK: Duration = Duration::from_millis(250);
/// Time between two looks although it keeps changing: a look runs a program.
const APART: Duration = Duration::from_millis(50);
/// Time between two whole looks while that number stays the same: the gate's counters are read then.
const WHOLE_LOOK: Duration = Duration::from_secs(5);
/// Time between two attempts to put the rules back, when [`AT_ONCE`] have failed.
const RETRY: Duration = Duration::from_secs(1);
/// Attempts that follow each other with the looks: whoever flushes in several steps makes the first ones fail
/// in the middle (firewalld's start takes a second).
const AT_ONCE: u32 = 6;

/// Keeps the rules.
pub(super) struct Keeper {
    /// The tool that carries them.
    pub(super) tool: Tool,
    /// Where the plan in force is kept for the next boot.
    state_folder: PathBuf,
    observed: Arc<Observed>,
    state: Mutex<State>,
}

struct State {
    /// What shall stand; changes with the mode.
    plan: Plan,
    /// Why somebody removed the rules through the daemon.
    removed: Option<String>,
    /// When the rules were last seen as planned.
    last_right: Option<Instant>,
    /// When and why the rules could not be put back, the last time.
    last_failure: Option<(Instant, Failure)>,
    /// How often in a row.
    failures: u32,
}

/// Puts hold and gate in place, if they are ours to manage.
pub(super) fn apply(
    config: &Config,
    observed: &Arc<Observed>,
) -> Result<Option<Arc<Keeper>>, Failure> {
    if !config.rules.manage {
        tracing::info!("rules.manage = false: the rules are left to you (see `kordon rules show`)");
        return Ok(None);
    }
    let keeper = Keeper {
        tool: netfilter::choose(config.rules.backend)?,
        state_folder: config.state_folder.clone(),
        observed: Arc::clone(observed),
        state: Mutex::new(State {
            plan: Plan::of(config),
            removed: None,
            last_right: None,
            last_failure: None,
            failures: 0,
        }),
    };
    keeper.apply()?;
    Ok(Some(Arc::new(keeper)))
}

/// Carries out what the control socket is asked about the rules.
pub(super) fn clerk(keeper: Option<Arc<Keeper>>) -> Clerk {
    Box::new(move |order| {
        let Some(keeper) = &keeper else {
            return Err(Failure::new(
                ExitStatus::Failed,
                "rules.manage = false: this daemon leaves the rules to you",
            ));
        };
        match order {
            RulesOrder::Apply => keeper.apply(),
            RulesOrder::Gate => keeper.look_now(),
            RulesOrder::Remove { why } => keeper.remove(&why),
        }
    })
}

/// Watches the rules until the runtime ends.
pub(super) async fn watch(keeper: Arc<Keeper>) {
    let generation = Generation::open();
    let commits = commits();
    let mut seen = None;
    let mut whole_look = Instant::now();
    loop {
        tokio::time::sleep(APART).await;
        let _ = tokio::time::timeout(LOOK - APART, commits.notified()).await;
        let now = generation.as_ref().and_then(Generation::read);
        let rules = keeper.observed.kernel_rules();
        let wrong = rules.present == Some(false) && rules.removed.is_none();
        if now.is_some() && now == seen && !wrong && whole_look.elapsed() < WHOLE_LOOK {
            continue;
        }
        (seen, whole_look) = (now, Instant::now());
        let keeper = Arc::clone(&keeper);
        if tokio::task::spawn_blocking(move || keeper.keep()).await.is_err() {
            return;
        }
    }
}

/// Says so whenever somebody commits something; never where the kernel does not say.
fn commits() -> Arc<Notify> {
    let heard = Arc::new(Notify::new());
    if let Some(commits) = Commits::open() {
        let heard = Arc::clone(&heard);
        // It waits in the kernel and ends with the process.
        let _thread =
            std::thread::Builder::new().name("kordon-commits".to_owned()).spawn(move || {
                while commits.wait().is_ok() {
                    heard.notify_one();
                }
            });
    }
    heard
}

impl Keeper {
    /// Puts the rules in place and ends a removal. Returns what changed, in words.
    pub(super) fn apply(&self) -> Result<String, Failure> {
        let mut state = self.lock();
        // Ended before the attempt: what fails now is tried again until it works.
        if let Some(why) = state.removed.take() {
            tracing::warn!("rules are applied again; they had been removed: {why}");
        }
        let applied = netfilter::apply(&state.plan, self.tool);
        let _ = self.look(&mut state);
        let applied = applied?;
        for change in &applied.changes {
            tracing::debug!("rules: {change}");
        }
        for note in &applied.notes {
            tracing::warn!("rules: {note}");
        }
        self.save(&state);
        Ok(applied.to_string())
    }

    /// Looks at once and puts back what others touched, unless the rules were removed on purpose. Returns how
    /// they stand, in words.
    fn look_now(&self) -> Result<String, Failure> {
        if let Some(why) = &self.lock().removed {
            return Ok(format!("the rules were removed on purpose and stay so: {why}\n"));
        }
        self.keep();
        let rules = self.observed.kernel_rules();
        match rules.present {
            Some(true) => Ok("the daemon keeps the rules: they are in force\n".to_owned()),
            Some(false) | None => Err(Failure::new(
                ExitStatus::Failed,
                format!("rules are not as planned: {}", rules.faults.join("; ")),
            )),
        }
    }

    /// Removes the rules: everything passes until they are applied again. Returns what changed, in words.
    pub(super) fn remove(&self, why: &str) -> Result<String, Failure> {
        if why.trim().is_empty() {
            return Err(Failure::new(
                ExitStatus::Usage,
                "rules remove: say why (--why TEXT): everything passes unjudged from then on",
            ));
        }
        let mut state = self.lock();
        tracing::error!(
            event = "rules-removed",
            "rules are being removed, everything passes from now on: {why}"
        );
        let removed = netfilter::remove_all();
        // Half a removal is no removal: what is missing is put back.
        state.removed = removed.is_ok().then(|| why.to_owned());
        let _ = self.look(&mut state);
        Ok(removed?.to_string())
    }

    /// Why somebody removed the rules through the daemon, if so.
    pub(super) fn removed(&self) -> Option<String> {
        self.lock().removed.clone()
    }

    /// Puts rules with or without `bypass`, with or without a gate, in the place of those that stand. Where
    /// that fails, the old ones are put back; if `insist`, the new ones are tried again until they stand.
    pub(super) fn change(&self, open: bool, gate: bool, insist: bool) -> Result<(), Failure> {
        let mut state = self.lock();
        let new = Plan { open, gate, ..state.plan.clone() };
        let outcome = netfilter::apply(&new, self.tool);
        if outcome.is_ok() || insist {
            state.plan = new;
        }
        // Half a change is seen here, and put right as any other harm.
        let _ = self.look(&mut state);
        for change in outcome?.changes {
            tracing::debug!("rules: {change}");
        }
        // Not the one in the middle of a change.
        if state.plan.open != state.plan.gate {
            self.save(&state);
        }
        Ok(())
    }

    /// Keeps the plan in force for the next boot.
    fn save(&self, state: &State) {
        let saved = Saved { plan: state.plan.clone(), tool: self.tool };
        if let Err(failure) = saved.write(&self.state_folder) {
            tracing::warn!("the plan is not kept for the next boot: {failure}");
        }
    }

    /// Looks, and puts back what is not as planned.
    fn keep(&self) {
        let mut state = self.lock();
        let last_right = state.last_right;
        let seen = self.look(&mut state);
        if seen.as_ref().is_ok_and(netfilter::Observed::in_force) || state.removed.is_some() {
            return;
        }
        let lately = state.last_failure.as_ref().is_some_and(|(at, _)| at.elapsed() < RETRY);
        if lately && state.failures >= AT_ONCE {
            return;
        }
        let gap = last_right.map_or(Duration::ZERO, |at| at.elapsed());
        let applied = match seen {
            Ok(seen) => netfilter::apply_where(&state.plan, self.tool, &seen),
            Err(_) => netfilter::apply(&state.plan, self.tool),
        };
        match applied {
            Ok(applied) => {
                self.observed.count_rearmed();
                tracing::warn!(
                    event = "rules-put-back",
                    last_seen_right_ms_ago = gap.as_millis() as u64,
                    "rules put back: {}",
                    applied.to_string().trim_end().replace('\n', "; ")
                );
                state.last_failure = None;
                state.failures = 0;
                let _ = self.look(&mut state);
            }
            Err(failure) => {
                let known = state.last_failure.take().is_some_and(|(_, before)| before == failure);
                if !known {
                    tracing::error!("rules cannot be put back, trying again: {failure}");
                }
                state.last_failure = Some((Instant::now(), failure));
                state.failures = state.failures.saturating_add(1);
            }
        }
    }

    /// Asks the kernel how the rules stand and notes it; each change for the worse is logged. Returns what was seen.
    fn look(&self, state: &mut State) -> Result<netfilter::Observed, Failure> {
        let before = self.observed.kernel_rules();
        let seen = netfilter::observe(&state.plan, self.tool);
        let mut now = match &seen {
            Ok(found) => RulesState {
                // What lets packets past hold is not ours to take away: told, and left.
                present: Some(found.in_force() && found.past.is_empty()),
                faults: [found.faults(), found.past.clone()].concat(),
                gate_counters: found.gate_dropped.map(|count| count.unwrap_or(0)),
                tunnel_counters: found.tunnels_dropped.map(|count| count.unwrap_or(0)),
                held_counters: found.held,
                ..RulesState::default()
            },
            Err(failure) => RulesState {
                present: Some(false),
                faults: vec![failure.message.clone()],
                gate_counters: before.gate_counters,
                tunnel_counters: before.tunnel_counters,
                held_counters: before.held_counters,
                ..RulesState::default()
            },
        };
        now.tool = self.tool.to_string();
        now.removed = state.removed.clone();
        now.continue_from(&before);
        let right = now.present == Some(true);
        if right {
            state.last_right = Some(Instant::now());
            if before.present == Some(false) {
                tracing::info!("rules are as planned again");
            }
        } else if now.faults != before.faults {
            tracing::error!(
                event = "rules-altered",
                "rules are not as planned: {}",
                now.faults.join("; ")
            );
        }
        self.observed.set_kernel_rules(now);
        seen
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
