//! Commands that are run to their end, with a limit.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Context, Res};

/// The limit for a tool that has next to nothing to do.
pub(crate) const SHORT: Duration = Duration::from_secs(60);

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Output {
    /// Exit status; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Both streams, for messages.
    pub(crate) fn said(&self) -> String {
        let code = self.code.map_or("a signal".to_owned(), |code| format!("status {code}"));
        format!("ended with {code}; stdout: {:?}; stderr: {:?}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end; kills it, by its pid, after `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Res<Output> {
    feed(command, "", limit)
}

/// [`run`], with `input` on its standard input.
pub(crate) fn feed(command: &mut Command, input: &str, limit: Duration) -> Res<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(format!("cannot start {name}"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input closes the pipe; that is its right.
        let _ = stdin.write_all(input.as_bytes());
    }
    let code = wait(&mut child, limit).context(&name)?;
    Ok(Output {
        code,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    })
}

/// Runs a tool that must succeed; returns its standard output.
pub(crate) fn tool(program: &str, arguments: &[&str]) -> Res<String> {
    let output = run(Command::new(program).args(arguments), SHORT)?;
    match output.code {
        Some(0) => Ok(output.stdout),
        _ => Err(format!("`{program} {}` {}", arguments.join(" "), output.said())),
    }
}

/// Waits for a child's end and returns its exit status; kills it after `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Res<Option<i32>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("wait")? {
            return Ok(status.code());
        }
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("still running after {} s, killed", limit.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn drain(source: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut source) = source {
            let _ = source.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
