//! Asking a running daemon.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::message::{Answer, Request};
use crate::failure::{ExitStatus, Failure};

/// How long a reload or an order about the rules may take.
const PATIENCE: Duration = Duration::from_secs(120);
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
    let answer = exchange(stream, request).map_err(|error| {
        Failure::new(
            ExitStatus::Failed,
            format!("{}: a daemon is there and did not answer: {error}", socket.display()),
        )
    })?;
    answer.into_result()
}

fn unreachable_daemon(socket: &Path, error: &std::io::Error) -> Failure {
    let place = socket.display();
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => Failure::new(
            ExitStatus::NotRunning,
            format!("the daemon is not running: nobody answers at {place}"),
        ),
        std::io::ErrorKind::PermissionDenied => {
            Failure::new(ExitStatus::NoPermission, format!("{place}: permission denied"))
        }
        _ => Failure::new(ExitStatus::Failed, format!("{place}: {error}")),
    }
}

fn exchange(mut stream: UnixStream, request: &Request) -> std::io::Result<Answer> {
    let patience = match request {
        Request::Reload { .. } | Request::Rules { .. } => PATIENCE,
        Request::Status { .. } | Request::Why { .. } => SHORT_PATIENCE,
    };
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
