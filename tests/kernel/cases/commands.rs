//! Everyday commands: who asked.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::lab::process::{self, Output};
use crate::lab::{Context, Res};
use crate::{Bench, Site};

/// The limit of a command.
const COMMAND: Duration = Duration::from_secs(30);

/// `kordon ARGUMENTS` in this site as sudo would start it for alice.
fn sudo(site: &Site, arguments: &str) -> Res<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kordon"));
    command.args(arguments.split_whitespace()).current_dir(site.folder());
    process::run(command.env("SUDO_USER", "alice"), COMMAND)
}

/// `kordon ARGUMENTS` in this site as nobody, in group nogroup; `None` where this namespace has no other user
/// than its root.
fn nobody(site: &Site, arguments: &str) -> Res<Option<Output>> {
    let numbers = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
    let mut probe = Command::new("setpriv");
    if process::run(probe.args(numbers).arg("true"), COMMAND)?.code != Some(0) {
        return Ok(None);
    }
    let mut command = Command::new("setpriv");
    command.args(numbers).arg(env!("CARGO_BIN_EXE_kordon"));
    command.args(arguments.split_whitespace()).current_dir(site.folder());
    process::run(&mut command, COMMAND).map(Some)
}

fn status(site: &Site) -> Res<Value> {
    let text = site.kordon_ok("status -c kordon.toml -o json")?;
    serde_json::from_str(&text).context("status -o json")
}

/// A reload and an order about the rules are recorded with user and process as the kernel says, and with
/// sudo's user as claimed; the group of the socket may ask and reload and no more.
pub(super) fn who_asked(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    if status(&site)?["changes"] != Value::Array(Vec::new()) {
        return Err("changes before anybody asked".to_owned());
    }
    site.kordon_ok("reload -c kordon.toml")?;
    let plain = status(&site)?["changes"][0]["by"]["sudo_user"].clone();
    if plain != Value::Null {
        return Err(format!("a reload without sudo is by {plain}"));
    }
    for arguments in ["reload -c kordon.toml", "rules apply -c kordon.toml"] {
        let output = sudo(&site, arguments)?;
        if output.code != Some(0) {
            return Err(format!("`kordon {arguments}` {}", output.said()));
        }
    }
    let changes = status(&site)?["changes"].clone();
    for (place, kind, what) in [(0, "rules", "apply"), (1, "reload", "generation 3")] {
        let change = &changes[place];
        let by = (&change["by"]["uid"], &change["by"]["sudo_user"]);
        if change["kind"] != kind
            || change["what"] != what
            || by != (&Value::from(0), &Value::from("alice"))
            || !change["by"]["pid"].is_i64()
        {
            return Err(format!("in place of {kind} {what} by root for alice: {change}"));
        }
    }
    let text = site.kordon_ok("status -c kordon.toml")?;
    for part in ["last asked", "rules, apply", "through sudo by alice (claimed)"] {
        if !text.contains(part) {
            return Err(format!("status does not say {part:?}:\n{text}"));
        }
    }
    for part in ["asked: rules apply", "reloaded: ", "through sudo by alice (claimed)"] {
        if !daemon.log().contains(part) {
            return Err(format!("the log does not say {part:?}:\n{}", daemon.log()));
        }
    }
    strangers(&site)
}

fn strangers(site: &Site) -> Res {
    let expect = |arguments: &str, code: i32, said: &str| -> Res<bool> {
        let Some(output) = nobody(site, arguments)? else { return Ok(false) };
        if output.code != Some(code) || !(output.stdout + &output.stderr).contains(said) {
            return Err(format!(
                "nobody's `kordon {arguments}`: expected status {code} and {said:?}, got status {:?}",
                output.code
            ));
        }
        Ok(true)
    };
    let socket = site.folder().join("control.sock");
    let give = |group: u32| {
        std::os::unix::fs::chown(&socket, None, Some(group)).context("chown of the socket")
    };
    give(0)?;
    if !expect("status -c kordon.toml", 77, "permission denied")? {
        println!("note: no other user in this namespace; strangers are not tried");
        return Ok(());
    }
    give(65_534)?;
    expect("status -c kordon.toml", 0, "ENFORCING")?;
    expect("reload -c kordon.toml", 0, "in force")?;
    expect("rules apply -c kordon.toml", 77, "only root may")?;
    expect("rules remove --why x -c kordon.toml", 77, "only root may").map(drop)
}
