//! Where the running daemon listens, read leniently.
//!
//! A command that talks to the daemon must find it even where the configuration has just been broken: it is
//! the daemon that says what is wrong.

use std::path::{Path, PathBuf};

use super::Config;

/// Where the daemon listens if no configuration says otherwise.
const DEFAULT: &str = "/run/kordon/control.sock";

/// The control socket that the configuration at `path` names, as far as it can be read.
pub fn control_socket(path: &Path) -> PathBuf {
    if let Ok(config) = Config::load(path) {
        return config.control_socket;
    }
    let named = std::fs::read_to_string(path).ok().and_then(|text| named_in(&text));
    let folder = path.parent().unwrap_or(Path::new(""));
    folder.join(named.unwrap_or_else(|| DEFAULT.to_owned()))
}

/// `socket = "..."` under `[control]`, line by line: the rest of the text may not be TOML at all.
fn named_in(text: &str) -> Option<String> {
    let mut in_control = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_control = line == "[control]";
        } else if in_control
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "socket"
        {
            return value.trim().trim_matches(['"', '\'']).to_owned().into();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::named_in;

    #[test]
    fn the_socket_is_found_in_a_broken_file() {
        let text = "mode = \n[list\n[control]\nsocket = \"run/control.sock\"\n";
        assert_eq!(named_in(text).as_deref(), Some("run/control.sock"));
        assert_eq!(named_in("[metrics]\nsocket = \"x\"\n"), None);
    }
}
