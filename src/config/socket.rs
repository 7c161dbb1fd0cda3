//! Where the running daemon listens, read leniently.
//!
//! A command that talks to the daemon must find it even where the configuration has just been broken: it is
//! the daemon that says what is wrong.

use std::path::{Path, PathBuf};

use super::Config;
use super::load::drop_ins;
use super::source::read;

/// Where the daemon listens if no configuration says otherwise.
const DEFAULT: &str = "/run/kordon/control.sock";

/// The control socket that the configuration at `path` names, as far as it can be read.
pub fn control_socket(path: &Path) -> PathBuf {
    if let Ok(config) = Config::load(path) {
        return config.control_socket;
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = vec![path.to_path_buf()];
    files.extend(drop_ins(&folder.join("conf.d")).unwrap_or_default());
    let texts = files.iter().filter_map(|file| read(file).ok());
    let named = texts.filter_map(|text| named_in(&text)).next_back();
    folder.join(named.unwrap_or_else(|| DEFAULT.to_owned()))
}

/// `control.socket`: from the TOML, if it is any; otherwise from a line `socket = "..."` under `[control]`.
fn named_in(text: &str) -> Option<String> {
    if let Ok(table) = text.parse::<toml::Table>() {
        return Some(table.get("control")?.get("socket")?.as_str()?.to_owned());
    }
    let mut in_control = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_control = line.starts_with("[control]");
        } else if in_control
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "socket"
        {
            let quote = value.trim().chars().next().filter(|c| matches!(c, '"' | '\''))?;
            return value.split(quote).nth(1).map(str::to_owned);
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
        let text = "mode = \n[control]  # where\nsocket = 'a.sock' # here\n";
        assert_eq!(named_in(text).as_deref(), Some("a.sock"));
        assert_eq!(named_in("control.socket = \"b\"\nqueu = 1\n").as_deref(), Some("b"));
        assert_eq!(named_in("[metrics]\nsocket = \"x\"\n"), None);
    }
}
