//! How old the data behind a rule set is, and how old it may become.
//!
//! What counts for a list is when its file was last written, as far as the daemon has read it: a list that
//! is fetched anew every night and happens not to change is fresh, and one that was fetched but not reloaded
//! is not. For an origin table it is the date in its data, and the file's time where it has none.

use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::config::Config;

/// One list or origin table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Age {
    /// Its name in the configuration.
    pub name: String,
    /// When its file was last written, in seconds since 1970; `None` where that cannot be said.
    pub written: Option<u64>,
    /// The age in seconds at which it is stale; `None`: never.
    pub limit: Option<u64>,
}

/// The ages of what a rule set was read from.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Freshness {
    /// The lists, in the order of the configuration.
    pub lists: Vec<Age>,
    /// The origin tables, in the order of the configuration; `written` is the date of the data.
    pub origins: Vec<Age>,
}

impl Freshness {
    /// Looks at the files' times. To be called before they are read: a file that is replaced meanwhile then
    /// counts as older than it is, not as newer.
    pub fn of(config: &Config) -> Freshness {
        let age = |name: &String, path: &Path, limit: Option<std::time::Duration>| Age {
            name: name.clone(),
            written: written(path),
            limit: limit.map(|limit| limit.as_secs()),
        };
        Freshness {
            lists: config.lists.iter().map(|l| age(&l.name, &l.path, l.max_age)).collect(),
            origins: config.origins.iter().map(|o| age(&o.name, &o.path, o.max_age)).collect(),
        }
    }

    /// Takes the limits of this configuration; what it does not name keeps its own.
    pub(super) fn with_limits(mut self, config: &Config) -> Freshness {
        let seconds = |limit: Option<std::time::Duration>| limit.map(|limit| limit.as_secs());
        for age in &mut self.lists {
            if let Some(list) = config.lists.iter().find(|list| list.name == age.name) {
                age.limit = seconds(list.max_age);
            }
        }
        for age in &mut self.origins {
            if let Some(origin) = config.origins.iter().find(|origin| origin.name == age.name) {
                age.limit = seconds(origin.max_age);
            }
        }
        self
    }

    /// Takes the dates that origin tables state themselves: name, date as written, seconds since 1970.
    pub fn with_dates(mut self, dates: &[(String, String, u64)]) -> Freshness {
        for origin in &mut self.origins {
            if let Some((_, _, date)) = dates.iter().find(|(name, _, _)| *name == origin.name) {
                origin.written = Some(*date);
            }
        }
        self
    }
}

impl Age {
    /// Its age in seconds, where it is past its limit at this time.
    pub fn stale(&self, now: u64) -> Option<u64> {
        let age = now.saturating_sub(self.written?);
        (age > self.limit?).then_some(age)
    }
}

fn written(path: &Path) -> Option<u64> {
    let time = std::fs::metadata(path).and_then(|found| found.modified()).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(written: Option<u64>, limit: Option<u64>) -> Age {
        Age { name: "a".into(), written, limit }
    }

    #[test]
    fn what_has_no_limit_or_no_time_is_never_stale() {
        assert_eq!(age(Some(100), Some(10)).stale(111), Some(11));
        assert_eq!(age(Some(100), Some(10)).stale(110), None);
        assert_eq!(age(Some(100), Some(10)).stale(50), None, "a clock that was set back");
        assert_eq!(age(Some(100), None).stale(1_000_000), None);
        assert_eq!(age(None, Some(10)).stale(1_000_000), None);
    }

    #[test]
    fn the_date_in_the_data_counts_before_the_files_time() {
        let ages = Freshness { lists: vec![], origins: vec![age(Some(500), Some(10))] };
        let none = ages.clone().with_dates(&[("b".into(), "1970-01-01".into(), 1)]);
        assert_eq!(none.origins[0].written, Some(500));
        let dated = ages.with_dates(&[("a".into(), "1970-01-01".into(), 7)]);
        assert_eq!(dated.origins[0].written, Some(7));
    }
}
