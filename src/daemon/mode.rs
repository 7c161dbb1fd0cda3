//! The daemon's part in the mode: set, confirmed and paused by command; the way there is in `switch`.
//!
//! Invariants: one change at a time; a mode to be confirmed, and a pause, end by themselves; a mode outlives
//! the daemon only once it is confirmed, a pause never.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::rules::Keeper;
use super::switch::Switch;
use crate::clock;
use crate::config::{Commanded, Config, Mode};
use crate::control::caller::Caller;
use crate::control::message::ModeOrder;
use crate::control::server::ModeClerk;
use crate::failure::{ExitStatus, Failure};
use crate::stance::{Stance, Terms};
use crate::telemetry::Observed;
use crate::telemetry::standing::{Pause, Set, Unconfirmed, WentBack};

/// The longest pause, and the longest time to confirm: a day.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Time between two looks at what is due.
const LOOK: Duration = Duration::from_millis(200);
/// Time until what was due and failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps the mode.
pub(super) struct Helm {
    switch: Switch,
    observed: Arc<Observed>,
    due: Mutex<Due>,
}

/// When what ends by itself does. Locked for as long as a change takes: one at a time.
#[derive(Default)]
struct Due {
    back: Option<Instant>,
    /// Who had set the mode that it goes back to.
    set_before: Option<Set>,
    resume: Option<Instant>,
}

impl Helm {
    /// A helm over a daemon that runs in the mode of this configuration; `config.mode` is what is in force.
    pub(super) fn new(
        config: &Config,
        stance: &Arc<Stance>,
        keeper: Option<&Arc<Keeper>>,
        observed: &Arc<Observed>,
    ) -> Arc<Self> {
        Arc::new(Helm {
            switch: Switch::new(config, stance, keeper, observed),
            observed: Arc::clone(observed),
            due: Mutex::default(),
        })
    }

    /// Carries out what the control socket is asked about the mode.
    pub(super) fn clerk(self: &Arc<Self>) -> ModeClerk {
        let helm = Arc::clone(self);
        Box::new(move |order, caller| match order {
            ModeOrder::Set { mode, confirm_within, why } => {
                helm.set(mode, confirm_within, &why, caller)
            }
            ModeOrder::Confirm => helm.confirm(caller),
            ModeOrder::Pause { seconds, why } => helm.pause(seconds, &why, caller),
            ModeOrder::Resume => helm.resume(),
        })
    }

    /// Ends what is due, until the runtime ends.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            // A change that is being carried out holds the lock; what is due waits for it.
            let due = self.due.try_lock().is_ok_and(|due| {
                let now = Instant::now();
                [due.back, due.resume].into_iter().flatten().any(|at| at <= now)
            });
            if due {
                let helm = Arc::clone(&self);
                if tokio::task::spawn_blocking(move || helm.lapse()).await.is_err() {
                    return;
                }
            }
        }
    }

    fn set(
        &self,
        mode: Mode,
        confirm_within: Option<u64>,
        why: &str,
        caller: &Caller,
    ) -> Result<String, Failure> {
        let within = confirm_within.map(|seconds| span("--confirm-within", seconds)).transpose()?;
        let mut due = self.lock();
        let before = self.observed.standing();
        let back_to = before.unconfirmed.map_or(before.mode, |unconfirmed| unconfirmed.back_to);
        // What is confirmed already needs no second confirmation.
        let needless = within.is_some() && back_to == mode;
        let within = within.filter(|_| !needless);
        let set_before = match before.unconfirmed {
            Some(_) => due.set_before.take(),
            None => before.set.clone(),
        };
        let notes = match (before.mode == mode, before.paused.is_some()) {
            (true, false) => Vec::new(),
            (true, true) => {
                self.switch.post(self.switch.terms(mode))?;
                vec!["the pause is over".to_owned()]
            }
            (false, _) => self.switch.to(mode)?,
        };
        let at = clock::now();
        let open = self.switch.is_open(mode);
        self.observed.change_standing(|standing| {
            (standing.mode, standing.open, standing.paused) = (mode, open, None);
            standing.set = Some(Set { by: caller.to_string(), at, why: why.to_owned() });
            standing.unconfirmed =
                within.map(|within| Unconfirmed { until: at + within.as_secs(), back_to });
            standing.went_back = None;
        });
        (due.back, due.resume) = (within.map(|within| Instant::now() + within), None);
        due.set_before = set_before;
        let mut said = vec![self.describe(mode)];
        match within {
            Some(within) => said.push(format!(
                "unconfirmed: goes back to {} in {} s unless you run `kordon mode confirm`",
                back_to.label(),
                within.as_secs()
            )),
            None => said.extend(self.keep(mode, why, at, caller)),
        }
        tracing::warn!(event = "mode", mode = mode.label(), by = %caller, "mode: {}", said.join("; "));
        if needless {
            said.push(format!(
                "note: {} was in force and confirmed already: --confirm-within has nothing to go back to",
                mode.label()
            ));
        }
        said.extend(notes.into_iter().map(|note| format!("note: {note}")));
        Ok(said.join("\n") + "\n")
    }

    fn confirm(&self, caller: &Caller) -> Result<String, Failure> {
        let mut due = self.lock();
        let standing = self.observed.standing();
        if standing.unconfirmed.is_none() {
            let why = match standing.went_back {
                Some(WentBack { at, from }) => format!(
                    ": {} was not confirmed in time and went back {} s ago",
                    from.label(),
                    clock::now().saturating_sub(at)
                ),
                None => String::new(),
            };
            return Err(Failure::new(
                ExitStatus::Failed,
                format!(
                    "mode: nothing waits to be confirmed; it is {}{why}",
                    standing.mode.label()
                ),
            ));
        }
        (due.back, due.set_before) = (None, None);
        self.observed.change_standing(|standing| standing.unconfirmed = None);
        let why = standing.set.map_or(String::new(), |set| set.why);
        let mut said = vec![format!("mode {} is confirmed", standing.mode.label())];
        said.extend(self.keep(standing.mode, &why, clock::now(), caller));
        let mode = standing.mode.label();
        tracing::info!(event = "mode", mode, by = %caller, "mode: {}", said.join("; "));
        Ok(said.join("\n") + "\n")
    }

    fn pause(&self, seconds: u64, why: &str, caller: &Caller) -> Result<String, Failure> {
        let length = span("--for", seconds)?;
        if why.trim().is_empty() {
            return Err(Failure::new(
                ExitStatus::Usage,
                "pause: say why (--why TEXT): blocked packets pass meanwhile",
            ));
        }
        let mut due = self.lock();
        let standing = self.observed.standing();
        if standing.mode == Mode::Monitor {
            return Err(Failure::new(
                ExitStatus::Failed,
                "pause: the mode is monitor, nothing is dropped as it is",
            ));
        }
        let terms = self.switch.terms(standing.mode);
        self.switch.post_or_undo(Terms { enforce: false, ..terms }, || ())?;
        due.resume = Some(Instant::now() + length);
        let pause =
            Pause { until: clock::now() + seconds, by: caller.to_string(), why: why.to_owned() };
        self.observed.change_standing(|standing| standing.paused = Some(pause));
        tracing::error!(
            event = "paused",
            by = %caller,
            "paused for {seconds} s, blocked packets pass and are counted: {why}"
        );
        Ok(format!(
            "paused: blocked packets pass and are counted; enforcing again in {seconds} s, or with \
             `kordon resume`\n"
        ))
    }

    fn resume(&self) -> Result<String, Failure> {
        let mut due = self.lock();
        if self.observed.standing().paused.is_none() {
            return Ok("nothing is paused\n".to_owned());
        }
        self.end_pause(&mut due)?;
        Ok("the pause is over: enforcing\n".to_owned())
    }

    /// Ends what is due.
    fn lapse(&self) {
        let mut due = self.lock();
        let now = Instant::now();
        if due.resume.is_some_and(|at| at <= now)
            && let Err(failure) = self.end_pause(&mut due)
        {
            tracing::error!("the pause is over, but: {failure}; trying again");
            due.resume = Some(now + RETRY);
        }
        if due.back.is_some_and(|at| at <= now) {
            self.go_back(&mut due);
        }
    }

    fn end_pause(&self, due: &mut Due) -> Result<(), Failure> {
        self.switch.post(self.switch.terms(self.observed.standing().mode))?;
        due.resume = None;
        self.observed.change_standing(|standing| standing.paused = None);
        tracing::warn!(event = "pause-over", "the pause is over: enforcing");
        Ok(())
    }

    /// Goes back to the mode before the one that nobody confirmed.
    fn go_back(&self, due: &mut Due) {
        let standing = self.observed.standing();
        let Some(unconfirmed) = standing.unconfirmed else {
            due.back = None;
            return;
        };
        let mode = unconfirmed.back_to;
        match self.switch.to(mode) {
            Ok(notes) => {
                let open = self.switch.is_open(mode);
                let set = due.set_before.take();
                (due.back, due.resume) = (None, None);
                self.observed.change_standing(|standing| {
                    standing.went_back = Some(WentBack { at: clock::now(), from: standing.mode });
                    (standing.mode, standing.open, standing.set) = (mode, open, set);
                    (standing.unconfirmed, standing.paused) = (None, None);
                });
                tracing::error!(
                    event = "mode-went-back",
                    mode = mode.label(),
                    "mode {} was not confirmed in time: back to {}",
                    standing.mode.label(),
                    self.describe(mode)
                );
                notes.iter().for_each(|note| tracing::error!("mode: {note}"));
            }
            Err(failure) => {
                tracing::error!(
                    "mode {} was not confirmed in time and cannot go back: {failure}; trying again",
                    standing.mode.label()
                );
                due.back = Some(Instant::now() + RETRY);
            }
        }
    }

    /// Keeps the mode for the next start; returns what the user should know of it.
    fn keep(&self, mode: Mode, why: &str, at: u64, caller: &Caller) -> Option<String> {
        let folder = &self.switch.config.state_folder;
        let configured = self.observed.standing().configured;
        if mode == configured {
            let failure = Commanded::remove(folder).err()?;
            return Some(format!("NOT KEPT for the next start: {failure}"));
        }
        let commanded = Commanded {
            schema: 1,
            mode,
            configured,
            at,
            by: caller.to_string(),
            why: why.to_owned(),
        };
        Some(match commanded.write(folder) {
            Ok(()) => format!(
                "kept for the next start; the configuration says {} (to make it permanent: mode = \
                 \"{}\" there)",
                configured.label(),
                mode.label()
            ),
            Err(failure) => format!("NOT KEPT for the next start: {failure}"),
        })
    }

    fn describe(&self, mode: Mode) -> String {
        match (mode, self.switch.is_open(mode), self.switch.config.rules.manage) {
            (Mode::Monitor, _, _) => "monitor: nothing is dropped; open".to_owned(),
            (Mode::Enforce, true, _) => "enforce: blocked packets are dropped; open".to_owned(),
            (Mode::Enforce, false, true) => {
                "enforce: blocked packets are dropped; closed: nothing passes unjudged".to_owned()
            }
            (Mode::Enforce, false, false) => "enforce: blocked packets are dropped; what passes \
                unjudged is up to your own rules (rules.manage = false)"
                .to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn span(option: &str, seconds: u64) -> Result<Duration, Failure> {
    let span = Duration::from_secs(seconds);
    if span.is_zero() || span > LONGEST {
        return Err(Failure::new(
            ExitStatus::Usage,
            format!("{option}: {seconds} s is out of range: 1 s to 24 h"),
        ));
    }
    Ok(span)
}
