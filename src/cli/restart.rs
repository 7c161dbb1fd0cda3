//! `kordon restart`: checks what the next daemon will read, then has the service manager restart it.
//!
//! Invariant: while the check fails, the daemon that runs is left alone.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use super::{Place, check, output};
use crate::config::Config;
use crate::control::client;
use crate::control::message::{Answer, Request, Status};
use crate::doctor;
use crate::failure::{ExitStatus, Failure};
use crate::regular;

/// Exists where systemd is the service manager (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";
/// How long the new daemon may take to be ready once systemd says that it has started.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service's unit
    #[arg(long, value_name = "NAME", default_value = "kordon.service")]
    unit: String,
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    let before = status(place);
    let unreadable = || before.as_ref().and_then(|running| unreadable(place, running));
    if let Some(failure) = check::first_failure(place).or_else(unreadable) {
        let message = format!("not restarted, what runs is left alone: {}", failure.message);
        return Err(Failure::new(failure.status, message));
    }
    if !Path::new(SYSTEMD).exists() {
        return Err(nobody_to_ask(place, before.as_ref()));
    }
    let began = Instant::now();
    systemctl(&args.unit)?;
    let after = wait_for_ready(place, before.as_ref().map(|status| status.pid))?;
    let was = before.map_or("was not running".to_owned(), |was| format!("process {}", was.pid));
    let changed = format!(
        "restarted: {was} -> process {}, ready after {:.1} s\n",
        after.pid,
        began.elapsed().as_secs_f64()
    );
    output::data(&changed)?;
    Ok(ExitCode::SUCCESS)
}

fn status(place: &Place) -> Option<Status> {
    match client::ask(&place.socket(), &Request::Status {}) {
        Ok(Answer::Status(status)) => Some(*status),
        Ok(_) | Err(_) => None,
    }
}

/// What root has just read, and the user that the daemon runs as may not.
fn unreadable(place: &Place, running: &Status) -> Option<Failure> {
    let reader = doctor::reader(Some(running))?;
    if reader.uid == nix::unistd::geteuid().as_raw() {
        return None;
    }
    let failure = doctor::as_reader(&reader, || read(place.config()))?.err()?;
    let message = format!("{} for {}, whom the daemon runs as", failure.message, reader.name);
    Some(Failure::new(failure.status, message))
}

/// Opens what a daemon with this configuration reads.
fn read(config: &Path) -> Result<(), Failure> {
    let config = Config::load(config)?;
    for path in config.inputs() {
        regular::open(path).map_err(|error| Failure::reading(path, &error))?;
    }
    Ok(())
}

/// Outside systemd: what to do instead.
fn nobody_to_ask(place: &Place, running: Option<&Status>) -> Failure {
    let run = format!("kordon run --config {}", place.config().display());
    let what = match running {
        Some(status) => {
            format!("end process {} (kill {}), then start `{run}`", status.pid, status.pid)
        }
        None => format!("no daemon answers; start `{run}`"),
    };
    Failure::new(
        ExitStatus::Failed,
        format!(
            "the check found nothing wrong, but systemd is not the service manager here and nobody can be \
             asked to restart the daemon: {what}; unless your service manager keeps descriptors \
             (sd_notify(3), FDSTORE=1), what waits in the queues meanwhile is dropped"
        ),
    )
}

/// Has systemd restart the unit and waits until it says that the daemon is ready.
///
/// # Errors
/// The daemon's own exit status where it ended, 77 where systemd refuses us, otherwise 1.
fn systemctl(unit: &str) -> Result<(), Failure> {
    let output =
        Command::new("systemctl").args(["restart", unit]).output().map_err(|error| match error
            .kind()
        {
            ErrorKind::NotFound => {
                Failure::new(ExitStatus::Unavailable, "systemctl: program not found")
            }
            _ => Failure::new(ExitStatus::Failed, format!("systemctl: {error}")),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("failed");
    let status = if said.contains("ccess denied") || said.contains("authentication") {
        ExitStatus::NoPermission
    } else {
        ended_with(unit).unwrap_or(ExitStatus::Failed)
    };
    let message = format!(
        "systemctl restart {unit}: {said}; while no daemon runs nothing passes, unless configured open: \
         journalctl -u {unit} -n 20 says why"
    );
    Err(Failure::new(status, message))
}

/// The exit status of a daemon that did not start, where systemd knows it.
fn ended_with(unit: &str) -> Option<ExitStatus> {
    let arguments = ["show", "--property=ExecMainStatus", "--value", unit];
    let output = Command::new("systemctl").args(arguments).output().ok()?;
    let code: u8 = String::from_utf8_lossy(&output.stdout).trim().parse().ok()?;
    (code != 0).then(|| ExitStatus::from_code(code))
}

/// Waits until another process than `before` answers and is ready.
fn wait_for_ready(place: &Place, before: Option<u32>) -> Result<Status, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = status(place).filter(|now| now.ready && Some(now.pid) != before) {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            let message = format!(
                "the service was restarted, and after {} s no new daemon is ready at {}",
                PATIENCE.as_secs(),
                place.socket().display()
            );
            return Err(Failure::new(ExitStatus::Failed, message));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
