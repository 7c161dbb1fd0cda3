//! `kordon check`: what the guards would refuse, what local space takes out of the lists, and what is in force by
//! command.

use super::Findings;
use crate::blocklist::temporary;
use crate::clock;
use crate::config::Config;
use crate::failure::{ExitStatus, Failure};
use crate::log::moment;
use crate::ruleset::{Ruleset, alarms, last_in_force};

/// Entries that are named for each list.
const NAMED: usize = 20;

/// Adds what there is to say about a rule set that was read from the files.
pub(super) fn look(config: &Config, rules: &Ruleset, findings: &mut Findings) {
    for list in rules.lists.iter().filter(|list| list.carved.total > 0) {
        let mut lines = vec![format!(
            "{}: local space is left out of {} of its entries (keep_local = true leaves it in)",
            list.name, list.carved.total
        )];
        lines.extend(list.carved.first.iter().take(NAMED).cloned());
        let more = list.carved.total.saturating_sub(NAMED as u64);
        if more > 0 {
            lines.push(format!("... and {more} more"));
        }
        findings.add("list", "warning", lines.join("\n"));
    }
    match last_in_force(config) {
        Err(why) => {
            let detail = format!("nothing to compare with: {why}");
            findings.add("guards", "not checked", detail);
        }
        Ok(last) => {
            let found = alarms(last.side(), rules.side(), config);
            if found.is_empty() {
                let since = moment(last.loaded());
                findings.add(
                    "guards",
                    "ok",
                    format!("compared with what was in force, read {since}"),
                );
            }
            for alarm in found {
                let message = format!(
                    "{alarm}\nif that is meant, once: kordon reload --accept {}",
                    alarm.list
                );
                findings.fail("guards", Failure::new(ExitStatus::BadData, message));
            }
        }
    }
    let now = clock::now();
    match temporary::read(&config.state_folder, now) {
        Ok(entries) if entries.is_empty() => {}
        Ok(entries) => {
            let path = temporary::path(&config.state_folder);
            let detail = format!("{} by command, in {}", entries.len(), path.display());
            findings.add("entries", "ok", detail);
        }
        Err(failure) if failure.status == ExitStatus::NoPermission => {
            findings.add("entries", "not checked", failure.message);
        }
        // A daemon starts all the same, without them.
        Err(failure) => findings.add("entries", "warning", failure.message),
    }
}
