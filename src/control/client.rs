//! Asking a running daemon.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{Gid, Group};

use super::message::{Answer, Request, RulesOrder};
use super::rights::decides;
use crate::failure::{ExitStatus, Failure};

/// How long a reload or an order about the rules may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the gate may take: whoever asks puts it in place by itself if the daemon does not.
const GATE_PATIENCE: Duration = Duration::from_secs(2);
/// How long anything else may take; a daemon that hangs shall not look like one that thinks.
const SHORT_PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: u64 = 16 << 20;

/// Sends one request to the daemon at `socket` and waits for its answer.
///
/// # Errors
/// 3 where no daemon answers there, 77 where the socket may not be used; what the daemon answers, as the
/// failure that it names.
pub fn ask(socket: &Path, request: &Request) -> Result<Answer, Failure> {
    let stream = UnixStream::connect(socket).map_err(|error| unreachable_daemon(socket, &error))?;
    let answer = exchange(stream, request).map_err(|error| unanswered(socket, request, &error))?;
    answer.into_result()
}

/// What to say where a daemon took the request and gave no answer, or none that can be read.
fn unanswered(socket: &Path, request: &Request, error: &std::io::Error) -> Failure {
    let why = match error.kind() {
        // What the kernel calls a timeout of a socket's, and what poll calls one.
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            format!("not within {} s: it hangs, or is very busy", patience(request).as_secs())
        }
        _ => error.to_string(),
    };
    let then = match decides(request) {
        true => "; `kordon status` says whether it was carried out",
        false => "",
    };
    Failure::new(
        ExitStatus::Failed,
        format!(
            "{}: a daemon is there and did not answer: {why}{then} (systemctl status kordon; journalctl -u kordon -n 20)",
            socket.display()
        ),
    )
}

fn unreachable_daemon(socket: &Path, error: &std::io::Error) -> Failure {
    let place = socket.display();
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => Failure::new(
            ExitStatus::NotRunning,
            format!("the daemon is not running: nobody answers at {place}"),
        ),
        std::io::ErrorKind::PermissionDenied => {
            Failure::new(ExitStatus::NoPermission, format!("{place}: {}", not_permitted(socket)))
        }
        _ => Failure::new(ExitStatus::Failed, format!("{place}: {error}")),
    }
}

/// What keeps the caller out, and what helps. Where the socket cannot be looked at, its folder is what keeps
/// the caller out.
fn not_permitted(socket: &Path) -> String {
    let group = socket
        .ancestors()
        .find_map(|place| std::fs::metadata(place).ok())
        .map(|meta| Gid::from_raw(meta.gid()))
        .filter(|gid| gid.as_raw() != 0)
        .and_then(|gid| Group::from_gid(gid).ok().flatten());
    match group {
        Some(group) => format!(
            "permission denied: it is for root and for members of group {name} \
             (sudo usermod -aG {name} USER, then log in again)",
            name = group.name
        ),
        None => "permission denied: it is for root".to_owned(),
    }
}

/// How long to wait for the answer.
fn patience(request: &Request) -> Duration {
    match request {
        Request::Rules { order: RulesOrder::Gate, .. } => GATE_PATIENCE,
        Request::Reload { .. }
        | Request::Compare { .. }
        | Request::Undo { .. }
        | Request::Entries { .. }
        | Request::Rules { .. }
        | Request::Mode { .. } => PATIENCE,
        Request::Status { .. }
        | Request::Lists { .. }
        | Request::Why { .. }
        | Request::Prefixes { .. }
        | Request::Cameras { .. }
        | Request::Origins { .. } => SHORT_PATIENCE,
    }
}

fn exchange(mut stream: UnixStream, request: &Request) -> std::io::Result<Answer> {
    let patience = patience(request);
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_LIMIT)).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(std::io::Error::other("connection closed"));
    }
    Ok(serde_json::from_str(&answer)?)
}
