//! A mode set by command: kept in `mode.json` in the state folder, so that it outlives the daemon.
//!
//! Invariant: it counts only while the configuration says what it said when the mode was set. Whoever edits
//! `mode` in the configuration has the last word.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Config, Mode};
use crate::failure::{ExitStatus, Failure};
use crate::{regular, whole};

/// The file's name.
const FILE: &str = "mode.json";
/// The longest file that is read, in bytes.
const LIMIT: u64 = 64 << 10;

/// A mode set by command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commanded {
    /// Version of this shape.
    pub schema: u32,
    /// The mode.
    pub mode: Mode,
    /// What the configuration said then.
    pub configured: Mode,
    /// When it was set, in seconds since 1970.
    pub at: u64,
    /// Who set it.
    pub by: String,
    /// Why; empty if nobody said.
    pub why: String,
}

/// What the state folder says about the mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// This mode is in force.
    InForce(Commanded),
    /// The configuration was edited since: it has the last word.
    Outdated(Commanded),
    /// The file cannot be read or makes no sense: kordon enforces. There is a file because a command set a mode; if
    /// it was the other one, to go by the configuration would open the gateway.
    Unreadable(Failure),
}

impl Commanded {
    /// What the state folder of this configuration, as read from its files, says about the mode.
    pub fn find(config: &Config) -> Found {
        let path = path(&config.state_folder);
        match read(&path) {
            Ok(None) => Found::Nothing,
            Ok(Some(commanded)) if commanded.configured == config.mode => Found::InForce(commanded),
            Ok(Some(commanded)) => Found::Outdated(commanded),
            Err(failure) => Found::Unreadable(failure),
        }
    }

    /// Keeps it in this folder, whole or not at all.
    ///
    /// # Errors
    /// 77 or 1, with the file.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let path = path(folder);
        let text = serde_json::to_vec(self)
            .map_err(|error| Failure::new(ExitStatus::Failed, error.to_string()))?;
        // A daemon that root started by hand may write it, and the daemon's user reads it at boot.
        whole::replace(&path, 0o644, &text).map_err(|error| refuse(&path, &error))
    }

    /// Removes what was kept in this folder; nothing there is fine.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn remove(folder: &Path) -> Result<(), Failure> {
        let path = path(folder);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(refuse(&path, &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Config {
    /// As [`Config::load`], with the mode that is in force: one set by command before the configuration's.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_in_force(path: &Path) -> Result<Config, Failure> {
        let mut config = Config::load(path)?;
        match Commanded::find(&config) {
            Found::InForce(commanded) => config.mode = commanded.mode,
            Found::Unreadable(_) => config.mode = Mode::Enforce,
            Found::Nothing | Found::Outdated(_) => {}
        }
        Ok(config)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

fn read(path: &Path) -> Result<Option<Commanded>, Failure> {
    let text = match regular::read(path, LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::reading(path, &error)),
    };
    let broken =
        |why: &str| Failure::new(ExitStatus::BadData, format!("{}: {why}", path.display()));
    serde_json::from_slice(&text).map(Some).map_err(|error| broken(&error.to_string()))
}

fn refuse(path: &Path, error: &std::io::Error) -> Failure {
    let status = match error.kind() {
        std::io::ErrorKind::PermissionDenied => ExitStatus::NoPermission,
        _ => ExitStatus::Failed,
    };
    Failure::new(status, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commanded_mode_counts_until_the_configuration_says_another() {
        let folder = std::env::temp_dir().join(format!("kordon-commanded-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("kordon.toml");
        let configure = |mode: &str| {
            let text = format!(
                "mode = \"{mode}\"\n[cameras]\ninterfaces = [\"cam0\"]\n[state]\nfolder = \".\"\n\
                 [[list]]\nname = \"x\"\npath = \"x\"\nkind = \"prefix\"\naction = \"block\"\n"
            );
            std::fs::write(&file, text).unwrap();
            Config::load(&file).unwrap()
        };
        let config = configure("monitor");
        assert_eq!(Commanded::find(&config), Found::Nothing);
        let commanded = Commanded {
            schema: 1,
            mode: Mode::Enforce,
            configured: Mode::Monitor,
            at: 7,
            by: "root".to_owned(),
            why: String::new(),
        };
        commanded.write(&config.state_folder).unwrap();
        assert_eq!(Commanded::find(&config), Found::InForce(commanded.clone()));
        assert_eq!(Config::load_in_force(&file).unwrap().mode, Mode::Enforce);
        assert_eq!(Config::load(&file).unwrap().mode, Mode::Monitor);

        assert_eq!(Commanded::find(&configure("enforce")), Found::Outdated(commanded.clone()));

        let config = configure("monitor");
        for rubbish in ["", "{}", "[1]", "{\"schema\":1,\"mode\":\"off\"}"] {
            std::fs::write(folder.join(FILE), rubbish).unwrap();
            assert!(matches!(Commanded::find(&config), Found::Unreadable(_)), "{rubbish}");
            assert_eq!(Config::load_in_force(&file).unwrap().mode, Mode::Enforce, "{rubbish}");
        }
        Commanded::remove(&folder).unwrap();
        Commanded::remove(&folder).unwrap();
        assert_eq!(Commanded::find(&config), Found::Nothing);
        assert_eq!(Config::load_in_force(&file).unwrap().mode, Mode::Monitor, "the control");
        assert!(commanded.write(&folder.join("nowhere")).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
