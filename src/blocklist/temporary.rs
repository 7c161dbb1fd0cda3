//! Entries given by command, which end by themselves: kept in `entries.json` in the state folder, so that they
//! outlive the daemon.
//!
//! Invariants: what is read or added is canonical, blocks or allows, and is no wider than a list may hold; one
//! prefix stands at most once for each action; there are at most [`LIMIT`]. What has ended is never in force,
//! however long the daemon was away.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::prefix::guard;
use crate::config::Action;
use crate::failure::{ExitStatus, Failure};
use crate::{regular, whole};

/// The most entries at a time.
pub const LIMIT: usize = 1000;
/// The longest that an entry may last, in seconds: 90 days. What is to stay belongs into a list.
pub const LONGEST: u64 = 90 * 86_400;
/// The longest reason, in characters.
pub const LONGEST_WHY: usize = 300;

/// The file's name.
const FILE: &str = "entries.json";
/// The largest file that is read, in bytes: a thousand entries with the longest reasons take some 2 MiB.
const LARGEST: u64 = 8 << 20;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemporaryEntry {
    /// The prefix.
    pub prefix: IpNet,
    /// Block or allow.
    pub action: Action,
    /// When it was given, in seconds since 1970.
    pub at: u64,
    /// When it ends, in seconds since 1970.
    pub until: u64,
    /// Who gave it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    entries: Vec<TemporaryEntry>,
}

impl TemporaryEntry {
    /// It has not ended at this time.
    pub fn lasts(&self, now: u64) -> bool {
        now < self.until
    }

    /// What may stand in the file and in a request.
    ///
    /// # Errors
    /// What is wrong with it, naming the prefix.
    pub fn check(&self) -> Result<(), String> {
        let prefix = self.prefix;
        if prefix != prefix.trunc() {
            return Err(format!("{prefix} has host bits set: write {}", prefix.trunc()));
        }
        guard(prefix, false).map_err(|refusal| match refusal {
            super::Refusal::Mapped(_) => format!("{prefix} {refusal}"),
            super::Refusal::EveryAddress | super::Refusal::WiderThan(_) => {
                format!(
                    "{prefix} is too wide for a command: put it into a list with allow_wide = true"
                )
            }
        })?;
        match self.action {
            Action::Block | Action::Allow => {}
            Action::Monitor => return Err(format!("{prefix}: a command blocks or allows")),
        }
        if self.why.trim().is_empty() {
            return Err(format!("{prefix}: say why (--why TEXT)"));
        }
        let characters = self.why.chars().count();
        if characters > LONGEST_WHY || self.why.chars().any(char::is_control) {
            return Err(format!(
                "{prefix}: the reason is one line of at most {LONGEST_WHY} characters"
            ));
        }
        Ok(())
    }
}

/// The entries that this folder keeps and that have not ended at this time; none where there is no file.
///
/// # Errors
/// 65, 66, 77 with the file: then nothing of it counts.
pub fn read(folder: &Path, now: u64) -> Result<Vec<TemporaryEntry>, Failure> {
    let path = path(folder);
    let broken =
        |why: &str| Failure::new(ExitStatus::BadData, format!("{}: {why}", path.display()));
    let text = match regular::read(&path, LARGEST) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::reading(&path, &error)),
    };
    let File { schema, mut entries } =
        serde_json::from_slice(&text).map_err(|error| broken(&error.to_string()))?;
    if schema != 1 {
        return Err(broken("written by a newer version"));
    }
    if entries.len() > LIMIT {
        return Err(broken(&format!("more than {LIMIT} entries")));
    }
    for (place, entry) in entries.iter().enumerate() {
        entry.check().map_err(|why| broken(&why))?;
        let twice = |other: &TemporaryEntry| same(other, entry);
        if entries.iter().take(place).any(twice) {
            return Err(broken(&format!("{} stands twice", entry.prefix)));
        }
    }
    entries.retain(|entry| entry.lasts(now));
    Ok(entries)
}

/// Keeps these entries in this folder, whole or not at all.
///
/// # Errors
/// 77 or 1, with the file.
pub fn write(folder: &Path, entries: &[TemporaryEntry]) -> Result<(), Failure> {
    let path = path(folder);
    let refuse = |error: &std::io::Error| {
        let status = match error.kind() {
            std::io::ErrorKind::PermissionDenied => ExitStatus::NoPermission,
            _ => ExitStatus::Failed,
        };
        Failure::new(status, format!("{}: {error}", path.display()))
    };
    if entries.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(refuse(&error)),
            Ok(()) | Err(_) => Ok(()),
        };
    }
    let file = File { schema: 1, entries: entries.to_vec() };
    let text = serde_json::to_vec_pretty(&file)
        .map_err(|error| Failure::new(ExitStatus::Failed, error.to_string()))?;
    // A daemon that root started by hand may write it, and the daemon's user reads it at boot.
    whole::replace(&path, 0o644, &text).map_err(|error| refuse(&error))
}

/// Where the entries are kept.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// The same prefix with the same action: the later one takes the place of the earlier one.
pub fn same(one: &TemporaryEntry, other: &TemporaryEntry) -> bool {
    (one.prefix, one.action) == (other.prefix, other.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(prefix: &str, until: u64) -> TemporaryEntry {
        TemporaryEntry {
            prefix: prefix.parse().unwrap(),
            action: Action::Block,
            at: 100,
            until,
            by: "root (uid 0)".into(),
            why: "a camera calls home".into(),
        }
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("kordon-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn entries_outlive_the_process_until_they_end() {
        let folder = Folder::new("temporary");
        assert_eq!(read(&folder.0, 0), Ok(vec![]));
        let entries = [entry("203.0.113.0/24", 200), entry("2001:db8::/32", 300)];
        write(&folder.0, &entries).unwrap();
        assert_eq!(read(&folder.0, 199), Ok(entries.to_vec()));
        assert_eq!(read(&folder.0, 200), Ok(entries[1..].to_vec()));
        assert_eq!(read(&folder.0, 300), Ok(vec![]));
        write(&folder.0, &[]).unwrap();
        assert!(!path(&folder.0).exists());
        write(&folder.0, &[]).unwrap();
        assert!(write(&folder.0.join("nowhere"), &entries).is_err());
    }

    #[test]
    fn file_with_anything_wrong_counts_for_nothing() {
        let folder = Folder::new("temporary-broken");
        let good = |entries: &[TemporaryEntry]| {
            serde_json::to_string(&File { schema: 1, entries: entries.to_vec() }).unwrap()
        };
        let one = good(&[entry("203.0.113.0/24", 200)]);
        for text in [
            String::new(),
            "[]".into(),
            one.replace("\"schema\":1", "\"schema\":2"),
            one.replace("203.0.113.0/24", "203.0.113.1/24"),
            one.replace("203.0.113.0/24", "0.0.0.0/0"),
            one.replace("\"block\"", "\"monitor\""),
            one.replace("a camera", "a\\ncamera"),
            one.replace("a camera calls home", " "),
            one.replace("\"by\"", "\"for\""),
            good(&[entry("203.0.113.0/24", 200), entry("203.0.113.0/24", 300)]),
            good(&vec![entry("203.0.113.0/24", 200); LIMIT + 1]),
        ] {
            std::fs::write(path(&folder.0), &text).unwrap();
            assert_eq!(
                read(&folder.0, 0).map_err(|f| f.status),
                Err(ExitStatus::BadData),
                "{text}"
            );
        }
        // Positive control.
        std::fs::write(path(&folder.0), one).unwrap();
        assert_eq!(read(&folder.0, 0).unwrap().len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_file_gives_entries_that_may_stand_there_or_none(
            at in 0usize..400, bytes in proptest::collection::vec(0u8..=255, 0..8), cut in 0usize..400,
        ) {
            let folder = Folder::new("temporary-any");
            write(&folder.0, &[entry("203.0.113.0/24", 200), entry("2001:db8::/32", 300)]).unwrap();
            let mut text = std::fs::read(path(&folder.0)).unwrap();
            text.iter_mut().skip(at).zip(&bytes).for_each(|(to, from)| *to = *from);
            text.truncate(text.len().saturating_sub(cut / 100));
            std::fs::write(path(&folder.0), &text).unwrap();
            if let Ok(entries) = read(&folder.0, 0) {
                proptest::prop_assert!(entries.iter().all(|entry| entry.check().is_ok()));
            }
        }
    }
}
