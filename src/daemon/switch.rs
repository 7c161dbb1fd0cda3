//! From one mode to the other while packets flow, step by step.
//!
//! To enforce: accepted packets get the mark, the gate stands, judgements are carried out, then `bypass` and
//! the queues' fail-open flag go. To monitor: the reverse. Each step is finished before the next one begins; a
//! step about packets is when every packet thread answers by it. Where one fails before judgements change,
//! what was done is taken back; after that, the rest is tried again.
//!
//! Invariants: where the gate stands, accepted packets are marked; where judgements are carried out, the gate
//! stands (unless `on_failure` is open).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rules::Keeper;
use crate::config::{Config, Mode, OnFailure};
use crate::failure::{ExitStatus, Failure};
use crate::stance::{Stance, Terms};
use crate::telemetry::Observed;

/// How long the packet threads may take to answer by new terms. A turn takes 250 ms where nothing comes; a
/// thread that has not turned for 5 s has stalled and ends the daemon.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a change of the mode works on.
pub(super) struct Switch {
    /// The configuration that the daemon started with.
    pub(super) config: Config,
    stance: Arc<Stance>,
    keeper: Option<Arc<Keeper>>,
    observed: Arc<Observed>,
}

/// The terms of a mode.
pub(super) const fn terms(mode: Mode, open: bool) -> Terms {
    Terms { enforce: matches!(mode, Mode::Enforce), mark: !open, fail_open: open }
}

impl Switch {
    pub(super) fn new(
        config: &Config,
        stance: &Arc<Stance>,
        keeper: Option<&Arc<Keeper>>,
        observed: &Arc<Observed>,
    ) -> Self {
        Switch {
            config: config.clone(),
            stance: Arc::clone(stance),
            keeper: keeper.map(Arc::clone),
            observed: Arc::clone(observed),
        }
    }

    /// Goes to the other mode. Returns what is left to do, and is tried again by itself.
    pub(super) fn to(&self, mode: Mode) -> Result<Vec<String>, Failure> {
        if let Some(why) = self.keeper.as_ref().and_then(|keeper| keeper.removed()) {
            return Err(Failure::new(
                ExitStatus::Failed,
                format!("mode: the rules are removed ({why}): run `kordon rules apply` first"),
            ));
        }
        match (self.config.on_failure, mode) {
            // Rules and flag stay as they are: open.
            (OnFailure::Open, mode) => {
                self.post_or_undo(self.terms(mode), || ()).map(|()| Vec::new())
            }
            (OnFailure::Closed, Mode::Enforce) => self.to_enforce(),
            (OnFailure::Closed, Mode::Monitor) => self.to_monitor(),
        }
    }

    fn to_enforce(&self) -> Result<Vec<String>, Failure> {
        let monitor = self.terms(Mode::Monitor);
        let marking = Terms { mark: true, ..monitor };
        self.post_or_undo(marking, || ())?;
        self.plan(true, true).inspect_err(|_| {
            self.stance.post(monitor);
        })?;
        self.post_or_undo(Terms { enforce: true, ..marking }, || {
            self.plan_at_last(true, false);
            self.stance.post(monitor);
        })?;
        // From here on blocked packets are dropped, and nothing passes the gate unjudged.
        let mut notes = Vec::new();
        notes.extend(self.plan_at_last(false, true));
        if let Err(failure) = self.post(self.terms(Mode::Enforce)) {
            notes.push(format!(
                "what finds no room in a queue goes on to the gate, which drops it: {failure}"
            ));
        }
        Ok(notes)
    }

    fn to_monitor(&self) -> Result<Vec<String>, Failure> {
        let enforce = self.terms(Mode::Enforce);
        let flagged = Terms { fail_open: true, ..enforce };
        self.plan(true, true)?;
        self.post_or_undo(flagged, || {
            self.plan_at_last(false, true);
        })?;
        self.post_or_undo(Terms { enforce: false, ..flagged }, || {
            self.plan_at_last(false, true);
        })?;
        // From here on judgements are only counted.
        if let Some(note) = self.plan_at_last(true, false) {
            // While the gate may still stand, accepted packets need the mark.
            return Ok(vec![
                note,
                "until the next change packets leave with kordon's mark".to_owned(),
            ]);
        }
        let marked = self.post(self.terms(Mode::Monitor)).err();
        Ok(marked
            .map(|failure| format!("packets leave with kordon's mark: {failure}"))
            .into_iter()
            .collect())
    }

    /// Changes the rules; where that fails, the old ones are put back.
    fn plan(&self, open: bool, gate: bool) -> Result<(), Failure> {
        self.keeper.as_ref().map_or(Ok(()), |keeper| keeper.change(open, gate, false))
    }

    /// Changes the rules; where that fails, it is tried again until it works. Returns why it failed.
    fn plan_at_last(&self, open: bool, gate: bool) -> Option<String> {
        let outcome = self.keeper.as_ref().map(|keeper| keeper.change(open, gate, true));
        outcome.and_then(Result::err).map(|failure| format!("{failure}; trying again"))
    }

    /// Posts terms and waits until every packet thread answers by them; otherwise posts the old ones again,
    /// and undoes what was done before.
    pub(super) fn post_or_undo(&self, terms: Terms, undo: impl FnOnce()) -> Result<(), Failure> {
        let before = self.stance.read().terms();
        self.post(terms).inspect_err(|_| {
            self.stance.post(before);
            undo();
        })
    }

    /// Posts terms and waits until every packet thread answers by them.
    pub(super) fn post(&self, terms: Terms) -> Result<(), Failure> {
        let posted = self.stance.post(terms);
        let deadline = Instant::now() + PATIENCE;
        for queue in &self.observed.queues {
            while !queue.shard.heard.answers(posted)? {
                if Instant::now() >= deadline {
                    return Err(Failure::new(
                        ExitStatus::Failed,
                        format!(
                            "queue {}: its packet thread did not take a change over within {} s",
                            queue.number,
                            PATIENCE.as_secs()
                        ),
                    ));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// Whether everything passes in this mode while nobody judges.
    pub(super) fn is_open(&self, mode: Mode) -> bool {
        Config { mode, ..self.config.clone() }.is_open()
    }

    /// The terms of a mode.
    pub(super) fn terms(&self, mode: Mode) -> Terms {
        terms(mode, self.is_open(mode))
    }
}
