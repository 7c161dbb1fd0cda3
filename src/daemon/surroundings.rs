//! What decides whether packets come at all, besides the rules: interfaces that belong to another one, rules
//! that are left to others, queues that stay empty.
//!
//! Invariant: nothing here changes anything in the kernel, and nothing here ends a running daemon. At start
//! an interface that belongs to another one is refused.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::failure::{ExitStatus, Failure};
use crate::netfilter::{self, Enslaved, Generation, Plan, Tool};
use crate::telemetry::{Observed, Surroundings};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// Without a single packet for so long after the start, somebody is told, once.
pub(super) const QUIET: Duration = Duration::from_secs(60);

/// Refuses camera interfaces whose packets enter by another one: they would not be held.
///
/// # Errors
/// 69, naming interface and master.
pub(super) fn refuse_enslaved(config: &Config) -> Result<(), Failure> {
    match netfilter::enslaved(&config.cameras.interfaces) {
        Ok(found) if found.is_empty() => Ok(()),
        Ok(found) => Err(Failure::new(ExitStatus::Unavailable, lines(&found).join("\n"))),
        Err(failure) => {
            tracing::warn!("whether camera interfaces belong to others is not known: {failure}");
            Ok(())
        }
    }
}

fn lines(found: &[Enslaved]) -> Vec<String> {
    found.iter().map(|one| format!("cameras.interfaces: {one}")).collect()
}

/// Looks every few seconds until the runtime ends.
pub(super) async fn watch(config: Config, observed: Arc<Observed>) {
    let generation = Arc::new(Generation::open());
    let (config, mut seen, mut told) = (Arc::new(config), None, false);
    loop {
        let now = generation.as_ref().as_ref().and_then(Generation::read);
        let before = observed.surroundings();
        let look_at_rules = !config.rules.manage && (now.is_none() || now != seen);
        seen = now;
        let look = {
            let (config, planned) = (Arc::clone(&config), before.planned);
            move || Surroundings {
                enslaved: netfilter::enslaved(&config.cameras.interfaces)
                    .map_or_else(|_| Vec::new(), |found| lines(&found)),
                missing: missing(&config),
                planned: if look_at_rules { Some(stand(&config)) } else { planned },
            }
        };
        let Ok(after) = tokio::task::spawn_blocking(look).await else { return };
        say(&before, &after);
        observed.set_surroundings(after);
        if !told && observed.began.elapsed() >= QUIET && observed.last_held().is_none() {
            told = true;
            tracing::warn!("{}", quiet(&config));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Camera interfaces that are not there.
fn missing(config: &Config) -> Vec<String> {
    let named = config.cameras.interfaces.iter();
    named.filter(|name| netfilter::is_missing(name)).cloned().collect()
}

/// Whether the planned rules stand, whoever put them in place, and with whichever tool.
fn stand(config: &Config) -> bool {
    let plan = Plan::of(config);
    let stands = |tool| netfilter::observe(&plan, tool).is_ok_and(|found| found.in_force());
    Tool::ALL.into_iter().any(stands)
}

/// Logs what has changed.
fn say(before: &Surroundings, after: &Surroundings) {
    if after.enslaved != before.enslaved {
        match after.enslaved.as_slice() {
            [] => tracing::info!("no camera interface belongs to another one any more"),
            lines => tracing::error!("packets of cameras are not held: {}", lines.join("; ")),
        }
    }
    for name in after.missing.iter().filter(|name| !before.missing.contains(name)) {
        tracing::warn!(
            "camera interface {name} is not there: hold waits for that name, and what its cameras send by an interface of \
             another name is not held (cameras.interfaces)"
        );
    }
    for name in before.missing.iter().filter(|name| !after.missing.contains(name)) {
        tracing::info!("camera interface {name} is there");
    }
    match (before.planned, after.planned) {
        (None, Some(true)) => tracing::info!("rules.manage = false: the planned rules stand"),
        (None, Some(false)) => tracing::info!(
            "rules.manage = false: the planned rules do not stand; yours must lead to the queues \
             (`kordon rules show`)"
        ),
        (Some(true), Some(false)) => tracing::error!(
            "rules.manage = false: the planned rules stood and do so no longer: perhaps everything passes"
        ),
        (Some(false), Some(true)) => {
            tracing::info!("rules.manage = false: the planned rules stand now")
        }
        (Some(true), Some(true)) | (Some(false), Some(false)) | (_, None) => {}
    }
}

fn quiet(config: &Config) -> String {
    let (first, count) = (config.queue.first, config.queue.count);
    let queues = match count {
        1 => format!("queue {first}"),
        _ => format!("queues {first} to {}", first.saturating_add(count - 1)),
    };
    let look = match config.rules.manage {
        true => "do the cameras' packets come by here (cameras.interfaces, cameras.networks)?",
        false => "do your rules lead there (`kordon rules show` prints some that do)?",
    };
    format!("no packet in {queues} since the start {} s ago: {look}", QUIET.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rules: &str) -> Config {
        let folder = std::env::temp_dir().join(format!(
            "kordon-surroundings-{}-{}",
            std::process::id(),
            rules.len()
        ));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.txt"), "203.0.113.0/24\n").unwrap();
        let text = format!(
            "[cameras]\ninterfaces = [\"cam0\"]\n[queue]\nfirst = 40\ncount = 2\n[rules]\n{rules}\n\
             [[list]]\nname = \"a\"\npath = \"a.txt\"\naction = \"block\"\nkind = \"prefix\"\n"
        );
        std::fs::write(folder.join("kordon.toml"), text).unwrap();
        let config = Config::load(&folder.join("kordon.toml")).unwrap();
        let _ = std::fs::remove_dir_all(&folder);
        config
    }

    #[test]
    fn silence_is_told_with_what_to_look_at() {
        let managed = quiet(&config("manage = true"));
        assert!(managed.contains("queues 40 to 41") && managed.contains("cameras.interfaces"));
        assert!(quiet(&config("manage = false")).contains("kordon rules show"));
    }
}
