//! The one line about the daemon that `systemctl status` shows, refreshed while it runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::control::notify::notify;
use crate::counters::Volume;
use crate::telemetry::Observed;

/// Time between two lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// Packets judged and dropped up to a moment.
#[derive(Clone, Copy)]
struct Totals {
    at: Instant,
    judged: u64,
    dropped: u64,
}

impl Totals {
    fn now(observed: &Observed) -> Self {
        let packets = |volumes: &[Volume]| volumes.iter().map(|v| v.packets.get()).sum::<u64>();
        Totals {
            at: Instant::now(),
            judged: observed
                .sum(|shard| shard.families.iter().map(|f| f.judged.packets.get()).sum()),
            dropped: observed.sum(|shard| shard.lists.iter().map(|l| packets(&l.dropped)).sum()),
        }
    }

    /// Packets judged and dropped per second since then.
    fn rates_since(self, then: Totals) -> [f64; 2] {
        let seconds = self.at.duration_since(then.at).as_secs_f64().max(0.001);
        [self.judged.saturating_sub(then.judged), self.dropped.saturating_sub(then.dropped)]
            .map(|count| count as f64 / seconds)
    }
}

/// Tells the service manager how things are, until the runtime ends.
pub(super) async fn keep_telling(observed: Arc<Observed>) {
    let mut then = Totals::now(&observed);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = Totals::now(&observed);
        notify(&format!("STATUS={}", text(&observed, now.rates_since(then))));
        then = now;
    }
}

/// The line at the start, before there is a rate.
pub(super) fn first(observed: &Observed) -> String {
    text(observed, [0.0, 0.0])
}

fn text(observed: &Observed, [judged, dropped]: [f64; 2]) -> String {
    let rules = observed.rules.current();
    let [v4, v6] = rules.prefixes();
    let kernel = observed.kernel_rules();
    // First: a line that is too long is cut at its end.
    let trouble = match (&kernel.removed, kernel.present, observed.stalled().is_empty()) {
        (Some(_), _, _) => "RULES REMOVED: everything passes; ",
        (None, Some(false), _) => "RULES NOT AS PLANNED; ",
        (None, Some(true) | None, false) => "STALLED; ",
        (None, Some(true) | None, true) if observed.reloads.last().last_good => {
            "LISTS REFUSED, the last good rule set is in force; "
        }
        (None, Some(true) | None, true) => "",
    };
    format!(
        "{trouble}{}, {}, {} prefixes, generation {}, {} packets/s, {} drops/s",
        observed.standing().words(),
        match rules.lists.iter().filter(|list| list.is_from_a_file()).count() {
            1 => "1 list".to_owned(),
            count => format!("{count} lists"),
        },
        v4 + v6,
        rules.generation,
        rate(judged),
        rate(dropped)
    )
}

/// `0`, `0.4`, `12`, `1.2k`: short, and never 0 where something happens.
fn rate(per_second: f64) -> String {
    match per_second {
        none if none <= 0.0 => "0".to_owned(),
        little if little < 0.1 => "<0.1".to_owned(),
        few if few < 9.95 => format!("{few:.1}"),
        some if some < 999.5 => format!("{some:.0}"),
        many if many < 9_950.0 => format!("{:.1}k", many / 1e3),
        many => format!("{:.0}k", many / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_short_and_never_zero_where_something_happens() {
        for (per_second, text) in [
            (0.0, "0"),
            (0.02, "<0.1"),
            (0.4, "0.4"),
            (9.94, "9.9"),
            (9.96, "10"),
            (999.0, "999"),
            (999.6, "1.0k"),
            (1_234.0, "1.2k"),
            (20_000.0, "20k"),
        ] {
            assert_eq!(rate(per_second), text);
        }
    }

    #[test]
    fn rates_are_over_the_time_that_went_by() {
        let at = Instant::now();
        let then = Totals { at, judged: 10, dropped: 5 };
        let now = Totals { at: at + Duration::from_secs(5), judged: 110, dropped: 10 };
        assert_eq!(now.rates_since(then), [20.0, 1.0]);
    }
}
