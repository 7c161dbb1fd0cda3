//! The control socket, as a client that need not wait for its answer; and the daemon's threads.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use super::{Context, Res};

/// A request that was sent, and is perhaps not answered yet.
pub(crate) struct Asked(UnixStream);

impl Asked {
    /// Sends `{"command": COMMAND}`.
    pub(crate) fn send(socket: &Path, command: &str) -> Res<Self> {
        Asked::send_request(socket, &format!("{{\"command\":\"{command}\"}}"))
    }

    /// Sends a request as it is. Whoever drops it has left.
    pub(crate) fn send_request(socket: &Path, request: &str) -> Res<Self> {
        let mut stream = UnixStream::connect(socket).context("control.sock")?;
        stream.write_all(format!("{request}\n").as_bytes()).context("control.sock")?;
        Ok(Asked(stream))
    }

    /// The answer, waited for no longer than `limit`.
    pub(crate) fn answer(self, limit: Duration) -> Res<Value> {
        self.0.set_read_timeout(Some(limit)).context("control.sock")?;
        let mut line = String::new();
        BufReader::new(self.0).read_line(&mut line).context("no answer")?;
        serde_json::from_str(&line).context(format!("the answer {line:?}"))
    }
}

/// Lets this process and its children have `count` descriptors each, where the system lets them.
pub(crate) fn allow_descriptors(count: u64) -> Res {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(count, |most| most.min(count));
    if limit.current.is_some_and(|now| now < most) {
        let raised = Rlimit { current: Some(most), ..limit };
        setrlimit(Resource::Nofile, raised).context("RLIMIT_NOFILE")?;
    }
    Ok(())
}

/// A thread of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) nice: i32,
}

/// The threads of a process (proc(5), `/proc/PID/task/TID/stat`).
pub(crate) fn tasks(pid: u32) -> Res<Vec<Task>> {
    let folder = format!("/proc/{pid}/task");
    let mut tasks = Vec::new();
    for entry in std::fs::read_dir(&folder).context(&folder)? {
        // One that has just ended is none.
        let Ok(text) = std::fs::read_to_string(entry.context(&folder)?.path().join("stat")) else {
            continue;
        };
        // `PID (NAME) STATE ...`: the 19th field is the nice value, the 3rd is the first behind the name.
        let task = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") ")).and_then(
            |(name, rest)| {
                let nice = rest.split(' ').nth(16)?.parse().ok()?;
                Some(Task { name: name.to_owned(), nice })
            },
        );
        tasks.push(task.ok_or_else(|| format!("{folder}: {text}"))?);
    }
    Ok(tasks)
}
