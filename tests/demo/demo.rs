//! `make demo`: a camera, a gateway with the real daemon, and two servers outside, on one machine.
//!
//! Everything happens in network namespaces that this process makes for itself (as root or as an
//! ordinary user) and that vanish with it. What is counted is what arrived at the servers. Ends with a
//! table, and with status 0 only if every count is as it should be.

#[path = "../lab/mod.rs"]
mod lab;

mod screen;
mod story;

use std::process::{ExitCode, Stdio};

use lab::enter::{self, Entry};
use lab::{Context, Lab, Res, daemon, process};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("demo: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Res<bool> {
    let kordon = built_kordon()?;
    if enter::entered().is_none() {
        return reenter();
    }
    daemon::set_binary(kordon);
    enter::arrive()?;
    let lab = Lab::build()?;
    story::tell(&lab)
}

/// Starts this program again inside namespaces of its own.
fn reenter() -> Res<bool> {
    let missing = enter::missing_tools(enter::TOOLS);
    if !missing.is_empty() {
        return Err(format!("missing: {}; scripts/setup installs it", missing.join(", ")));
    }
    let entry = match (enter::obstacle(Entry::Root), enter::obstacle(Entry::User)) {
        (None, _) => Entry::Root,
        (_, None) => Entry::User,
        (Some(root), Some(user)) => {
            return Err(format!(
                "no namespaces can be made: as root: {root}; as an ordinary user: {user}"
            ));
        }
    };
    let program = std::env::current_exe().context("current_exe")?;
    let mut child = enter::unshared(entry, &program.display().to_string())
        .stdin(Stdio::null())
        .spawn()
        .context("unshare")?;
    // Bounded, although every step inside is bounded, too.
    let limit = std::time::Duration::from_secs(300);
    Ok(process::wait(&mut child, limit)? == Some(0))
}

/// The daemon that cargo built beside this example.
fn built_kordon() -> Res<std::path::PathBuf> {
    let here = std::env::current_exe().context("current_exe")?;
    let built = here.parent().and_then(|examples| examples.parent()).map(|at| at.join("kordon"));
    match built {
        Some(path) if path.is_file() => Ok(path),
        _ => Err("kordon is not built; `make demo` builds it".to_owned()),
    }
}
