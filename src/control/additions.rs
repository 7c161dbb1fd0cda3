//! What is in force beside the files: entries given by command, added, removed and ended by themselves, and the
//! gateway's own addresses; and the one place where rule sets are put in force, so that no reload loses an entry that
//! came meanwhile.
//!
//! Invariants: an entry is in force when the command that gave it returns, whatever the list files say, for the
//! rule set is made anew from the one in force; one change at a time; an order with anything wrong changes nothing.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

use super::aside::aside;
use super::caller::Caller;
use super::entries::{EntriesOrder, EntriesReport};
use crate::blocklist::temporary::{self, TemporaryEntry};
use crate::blocklist::{Carved, ListErrors, LocalSpace};
use crate::clock;
use crate::config::{Action, Config};
use crate::failure::{ExitStatus, Failure};
use crate::log::moment;
use crate::ruleset::{Ruleset, covering_protected, protects_all};
use crate::telemetry::Observed;

/// Time between two looks at what has ended.
const LOOK: Duration = Duration::from_millis(200);
/// Looks until the kernel is asked for the gateway's own addresses again: five seconds.
const LOOKS: u32 = 25;
/// Lines in an answer about many entries.
const LINES: usize = 20;

/// Keeps the entries of a running daemon.
pub struct Additions {
    observed: Arc<Observed>,
    folder: PathBuf,
    state: Mutex<State>,
    /// A replaced rule set waits to be freed.
    unswept: AtomicBool,
}

struct State {
    entries: Vec<TemporaryEntry>,
    /// Counts up with each change of the entries.
    number: u64,
    /// What the rule set in force was made by.
    config: Config,
}

impl Additions {
    /// Keeps these entries, which are in force, and their file in the state folder.
    pub fn new(config: Config, entries: Vec<TemporaryEntry>, observed: Arc<Observed>) -> Self {
        let folder = config.state_folder.clone();
        let state = Mutex::new(State { entries, number: 0, config });
        Additions { observed, folder, state, unswept: AtomicBool::new(false) }
    }

    /// The entries, and the number of their last change.
    pub fn now(&self) -> (Vec<TemporaryEntry>, u64) {
        let state = self.lock();
        (state.entries.clone(), state.number)
    }

    /// The configuration that the rule set in force was made by.
    pub fn config(&self) -> Config {
        self.lock().config.clone()
    }

    /// Puts a rule set in force that was made by this configuration, with the entries as they were at `number`;
    /// `before` is done right before. Returns the generation.
    ///
    /// # Errors
    /// As [`Ruleset::rebuilt`], where entries came or went meanwhile; then nothing has changed.
    pub fn publish(
        &self,
        mut next: Ruleset,
        number: u64,
        config: &Config,
        before: impl FnOnce(),
    ) -> Result<u64, Failure> {
        let mut state = self.lock();
        if state.number != number {
            next = next.rebuilt(config, &state.entries, |name| self.observed.lists.place(name))?;
        }
        before();
        state.config = config.clone();
        Ok(self.replace(next))
    }

    /// Carries out what the control socket is asked; blocks.
    ///
    /// # Errors
    /// 2 or 65 with everything that is wrong with the order, 1 where the rule set cannot be made anew.
    pub fn order(&self, order: EntriesOrder, caller: &Caller) -> Result<EntriesReport, Failure> {
        let mut state = self.lock();
        let text = match order {
            EntriesOrder::List { action } => {
                return Ok(report(String::new(), &state.entries, action));
            }
            EntriesOrder::Add { action, prefixes, seconds, why } => {
                let (at, by) = (clock::now(), caller.to_string());
                let until = at + seconds;
                if !(1..=temporary::LONGEST).contains(&seconds) {
                    let days = temporary::LONGEST / 86_400;
                    let message = format!("--ttl: {seconds} s is out of range: 1 s to {days} d");
                    return Err(Failure::new(ExitStatus::Usage, message));
                }
                let why = why.trim().to_owned();
                let new: Vec<TemporaryEntry> = prefixes
                    .into_iter()
                    .map(|prefix| {
                        let (by, why) = (by.clone(), why.clone());
                        TemporaryEntry { prefix, action, at, until, by, why }
                    })
                    .collect();
                self.add(&mut state, new)?
            }
            EntriesOrder::Remove { action, prefixes } => {
                self.remove(&mut state, action, &prefixes, caller)?
            }
        };
        Ok(report(text, &[], Action::Block))
    }

    fn add(&self, state: &mut State, new: Vec<TemporaryEntry>) -> Result<String, Failure> {
        let Some(first) = new.first().cloned() else {
            return Err(Failure::new(ExitStatus::Usage, "no prefix is named"));
        };
        let notes = self.look_at(state, &new)?;
        let mut entries = state.entries.clone();
        entries.retain(|entry| entry.lasts(first.at));
        for entry in new.iter().cloned() {
            entries.retain(|known| !temporary::same(known, &entry));
            entries.push(entry);
        }
        if entries.len() > temporary::LIMIT {
            let (limit, count) = (temporary::LIMIT, state.entries.len());
            let message = format!("more than {limit} entries ({count} are there): use a list");
            return Err(Failure::new(ExitStatus::Failed, message));
        }
        let what = match first.action {
            Action::Allow => "allowed",
            Action::Block | Action::Monitor => "blocked",
        };
        let named: Vec<String> = new.iter().map(|entry| entry.prefix.to_string()).collect();
        let said = format!("{what} {} until {}", shortened(&named, ", "), moment(first.until));
        let generation = self.put_in_force(state, entries)?;
        let mut lines = vec![format!("{said}; in force: generation {generation}")];
        lines.push(self.keep(state));
        lines.extend(notes);
        tracing::warn!(event = "entries", by = first.by, "{said}: {}", first.why);
        Ok(lines.join("\n") + "\n")
    }

    /// What is wrong with new entries, or what is to be said of them.
    fn look_at(&self, state: &State, new: &[TemporaryEntry]) -> Result<Vec<String>, Failure> {
        let rules = self.observed.rules.current();
        let local = LocalSpace::of(&state.config);
        let mut errors = ListErrors::new();
        let mut refuse = |why: String| errors.absorb(Failure::new(ExitStatus::BadData, why));
        let mut notes = Vec::new();
        for entry in new {
            let prefix = entry.prefix;
            if let Err(why) = entry.check() {
                refuse(why);
                continue;
            }
            if entry.action != Action::Block {
                continue;
            }
            match local.carve(prefix) {
                Carved::Whole => {}
                Carved::Nothing(network) => {
                    refuse(format!("{prefix} is in local space: {network}"));
                    continue;
                }
                Carved::Parts(_, networks) => {
                    notes.push(format!("note: {prefix} without local space: {networks}"));
                }
            }
            for (own, what) in covering_protected(&rules) {
                if own.contains(&prefix) {
                    refuse(format!("{prefix} cannot be blocked: {what}"));
                } else if prefix.contains(&own) {
                    notes.push(format!("note: {} in {prefix} stays exempt: {what}", own.addr()));
                }
            }
            if let Some(list) = exempt_by(&rules, prefix) {
                notes.push(format!("note: {prefix} has NO EFFECT: it is exempt by list {list}"));
            }
        }
        errors.into_result()?;
        if notes.len() > LINES {
            let more = notes.len() - LINES;
            notes.truncate(LINES);
            notes.push(format!("note: and {more} more"));
        }
        Ok(notes)
    }

    fn remove(
        &self,
        state: &mut State,
        action: Action,
        prefixes: &[IpNet],
        caller: &Caller,
    ) -> Result<String, Failure> {
        let wanted =
            |entry: &TemporaryEntry| entry.action == action && prefixes.contains(&entry.prefix);
        let known: Vec<IpNet> =
            state.entries.iter().filter(|e| wanted(e)).map(|e| e.prefix).collect();
        let unknown: Vec<String> =
            prefixes.iter().filter(|p| !known.contains(p)).map(ToString::to_string).collect();
        if !unknown.is_empty() || prefixes.is_empty() {
            let action = action.label();
            let message = format!(
                "no such entry: {} (see `kordon {action} list`; what stands in a list file is changed there)",
                shortened(&unknown, ", ")
            );
            return Err(Failure::new(ExitStatus::Failed, message));
        }
        let entries = state.entries.iter().filter(|entry| !wanted(entry)).cloned().collect();
        let generation = self.put_in_force(state, entries)?;
        let named: Vec<String> = known.iter().map(ToString::to_string).collect();
        let said = format!("{} by command no more: {}", action.label(), shortened(&named, ", "));
        tracing::warn!(event = "entries", by = %caller, "{said}");
        Ok(format!("{said}; in force: generation {generation}\n{}\n", self.keep(state)))
    }

    /// Ends what has ended and follows the gateway's own addresses, until the runtime ends; frees what was
    /// replaced, by whomever.
    pub async fn watch(self: Arc<Self>) {
        let mut looks = 0_u32;
        loop {
            tokio::time::sleep(LOOK).await;
            looks = looks.wrapping_add(1);
            let ask = looks.is_multiple_of(LOOKS);
            // A change that is being carried out holds the lock; what has ended waits for it.
            let ended = self.state.try_lock().is_ok_and(|state| {
                let now = clock::now();
                state.entries.iter().any(|entry| !entry.lasts(now))
            });
            // Taken back before it is done, so that what is replaced meanwhile is seen the next time.
            let unswept = self.unswept.swap(false, Ordering::AcqRel);
            if ended || ask || unswept {
                let additions = Arc::clone(&self);
                let job = move || {
                    if ended {
                        additions.lapse();
                    }
                    if ask && let Err(failure) = additions.follow_addresses() {
                        tracing::error!("{failure}; those known before stay protected");
                    }
                    if additions.observed.rules.sweep() > 0 {
                        additions.unswept.store(true, Ordering::Release);
                    }
                };
                if let Err(failure) = aside(job).await {
                    tracing::error!("{failure}");
                    self.unswept.store(true, Ordering::Release);
                }
            }
        }
    }

    /// Protects the addresses that the gateway has now. At boot it has few when the lists are read.
    fn follow_addresses(&self) -> Result<(), Failure> {
        let mut state = self.lock();
        if protects_all(&self.observed.rules.current(), &state.config)? {
            return Ok(());
        }
        let entries = state.entries.clone();
        let generation = self.put_in_force(&mut state, entries)?;
        tracing::info!(
            generation,
            "the gateway's own addresses have changed: protected as they are now"
        );
        Ok(())
    }

    fn lapse(&self) {
        let mut state = self.lock();
        let now = clock::now();
        let (entries, ended): (Vec<_>, Vec<_>) =
            state.entries.iter().cloned().partition(|entry| entry.lasts(now));
        if ended.is_empty() {
            return;
        }
        let named: Vec<String> =
            ended.iter().map(|e| format!("{} {}", e.action.label(), e.prefix)).collect();
        match self.put_in_force(&mut state, entries) {
            Ok(generation) => {
                let kept = self.keep(&state);
                tracing::warn!(
                    event = "entries",
                    generation,
                    "ended: {}; {kept}",
                    shortened(&named, ", ")
                );
            }
            // Tried again at the next look; said at each, for it must not last.
            Err(failure) => tracing::error!("{} cannot end: {failure}", shortened(&named, ", ")),
        }
    }

    /// Puts the rule set in force with these entries instead of those it has.
    fn put_in_force(
        &self,
        state: &mut State,
        entries: Vec<TemporaryEntry>,
    ) -> Result<u64, Failure> {
        let rules = self.observed.rules.current();
        let next =
            rules.rebuilt(&state.config, &entries, |name| self.observed.lists.place(name))?;
        drop(rules);
        let generation = self.replace(next);
        state.entries = entries;
        state.number += 1;
        Ok(generation)
    }

    /// Puts a rule set in force; the one before is freed by [`watch`](Self::watch), when nobody judges by it.
    fn replace(&self, next: Ruleset) -> u64 {
        let generation = self.observed.rules.publish(next);
        self.unswept.store(true, Ordering::Release);
        generation
    }

    /// Keeps the entries for the next start; says how that went.
    fn keep(&self, state: &State) -> String {
        match temporary::write(&self.folder, &state.entries) {
            Ok(()) => "kept for the next start".to_owned(),
            Err(failure) => format!("NOT KEPT for the next start: {failure}"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An allow list with an entry that covers the whole prefix.
fn exempt_by(rules: &Ruleset, prefix: IpNet) -> Option<&str> {
    rules
        .matches(prefix.network())
        .into_iter()
        .filter(|entry| entry.prefix.contains(&prefix))
        .filter_map(|entry| rules.list(entry.list))
        .find(|list| list.action == Action::Allow)
        .map(|list| list.name.as_str())
}

fn report(text: String, entries: &[TemporaryEntry], action: Action) -> EntriesReport {
    let entries = entries.iter().filter(|entry| entry.action == action).cloned().collect();
    EntriesReport { schema: 1, now: clock::now(), text, entries }
}

fn shortened(items: &[String], separator: &str) -> String {
    let shown = items.iter().take(LINES).cloned().collect::<Vec<_>>().join(separator);
    match items.len().saturating_sub(LINES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
