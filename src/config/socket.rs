//! Where the running daemon listens and what it keeps for later, read leniently.
//!
//! A command that talks to the daemon must find it even where the configuration has just been broken: it is
//! the daemon that says what is wrong. At boot a broken configuration must not keep the gate from standing:
//! the plan that was last in force lies in the state folder.

use std::path::{Path, PathBuf};

use super::Config;
use super::load::drop_ins;
use super::source::read;

/// Where the daemon listens if no configuration says otherwise.
pub(super) const DEFAULT: &str = "/run/kordon/control.sock";
/// Where it keeps what shall outlive it if no configuration says otherwise.
pub(super) const DEFAULT_STATE: &str = "/var/lib/kordon";

/// The control socket that the configuration at `path` names, as far as it can be read.
pub fn control_socket(path: &Path) -> PathBuf {
    match Config::load(path) {
        Ok(config) => config.control_socket,
        Err(_) => named(path, "control", "socket", DEFAULT),
    }
}

/// The state folder that the configuration at `path` names, as far as it can be read.
pub fn state_folder(path: &Path) -> PathBuf {
    match Config::load(path) {
        Ok(config) => config.state_folder,
        Err(_) => named(path, "state", "folder", DEFAULT_STATE),
    }
}

/// The path that the last of the files names under `[table] key`.
fn named(path: &Path, table: &str, key: &str, default: &str) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = vec![path.to_path_buf()];
    files.extend(drop_ins(&folder.join("conf.d")).unwrap_or_default());
    let texts = files.iter().filter_map(|file| read(file).ok());
    let named = texts.filter_map(|text| named_in(&text, table, key)).next_back();
    folder.join(named.unwrap_or_else(|| default.to_owned()))
}

/// A path such as `control.socket`: from the TOML, if it is any; otherwise from a line `socket = "..."` under
/// `[control]`.
fn named_in(text: &str, table: &str, key: &str) -> Option<String> {
    if let Ok(whole) = text.parse::<toml::Table>() {
        return Some(whole.get(table)?.get(key)?.as_str()?.to_owned());
    }
    let heading = format!("[{table}]");
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.starts_with(&heading);
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            let quote = value.trim().chars().next().filter(|c| matches!(c, '"' | '\''))?;
            return value.split(quote).nth(1).map(str::to_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    fn named_in(text: &str) -> Option<String> {
        super::named_in(text, "control", "socket")
    }

    #[test]
    fn the_socket_is_found_in_a_broken_file() {
        let text = "mode = \n[list\n[control]\nsocket = \"run/control.sock\"\n";
        assert_eq!(named_in(text).as_deref(), Some("run/control.sock"));
        let text = "mode = \n[control]  # where\nsocket = 'a.sock' # here\n";
        assert_eq!(named_in(text).as_deref(), Some("a.sock"));
        assert_eq!(named_in("control.socket = \"b\"\nqueu = 1\n").as_deref(), Some("b"));
        assert_eq!(named_in("[metrics]\nsocket = \"x\"\n"), None);
        let text = "mode = \n[state]\nfolder = \"kept\"\n";
        assert_eq!(super::named_in(text, "state", "folder").as_deref(), Some("kept"));
    }
}
