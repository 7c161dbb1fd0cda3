//! Runs a program, feeds it, and turns its complaint into an error with the right exit status.
//!
//! Invariants: no shell is involved; the program speaks the C locale, because its complaints are read; an
//! error names the command and the first line of what the program said; a program that hangs is killed at
//! its deadline, so that it holds up neither the keeping of the rules nor the daemon's end.

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, ExitStatus as Ended, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::failure::{ExitStatus, Failure};

/// Seconds that one run may take. Without load it takes some 10 ms; nft may wait for others' transactions.
static DEADLINE: AtomicU64 = AtomicU64::new(10);
/// Seconds for whoever has nothing else to do: at boot a run loads modules while everything else starts (15 s
/// were seen on an emulated machine), and to kill it leaves the gateway open.
const PATIENT: u64 = 60;
/// The least time between two looks whether the program has ended.
const LOOK: Duration = Duration::from_millis(1);

/// From now on a run of this process may take a minute instead of ten seconds.
pub fn be_patient() {
    DEADLINE.store(PATIENT, Ordering::Relaxed);
}

/// What a program left behind.
pub(super) struct Output {
    /// Ended with status 0.
    pub(super) success: bool,
    /// Standard output.
    pub(super) stdout: String,
    /// Standard error.
    pub(super) stderr: String,
}

/// Runs `argv` with `input` on its standard input and returns its standard output.
///
/// # Errors
/// As [`attempt`], and if the program says no: 77 where it lacks the permission, 69 where the kernel lacks
/// the facility, otherwise 1.
pub(super) fn run(argv: &[String], input: &str) -> Result<String, Failure> {
    let output = attempt(argv, input)?;
    if output.success { Ok(output.stdout) } else { Err(complaint(argv, &output.stderr)) }
}

/// Runs `argv` with `input` on its standard input, whatever it answers.
///
/// # Errors
/// 69 if the program is not installed (names the Debian package), 1 if it cannot be run or does not end
/// within ten seconds (a minute after [`be_patient`]); it is killed then.
pub(super) fn attempt(argv: &[String], input: &str) -> Result<Output, Failure> {
    attempt_within(argv, input, Duration::from_secs(DEADLINE.load(Ordering::Relaxed)))
}

fn attempt_within(argv: &[String], input: &str, limit: Duration) -> Result<Output, Failure> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Failure::new(ExitStatus::Failed, "no command to run"));
    };
    let broken = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Failure::new(
            ExitStatus::Unavailable,
            format!(
                "{program}: program not found; install the Debian package `{}`",
                package(program)
            ),
        ),
        _ => Failure::new(ExitStatus::Failed, format!("{program}: {error}")),
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .env("PATH", search_path())
        // Meant for us: the descriptors are closed in the program, and it shall not look for them.
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_FDNAMES")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    let deadline = Instant::now() + limit;
    // On threads of their own: none of the three pipes may keep us from looking at the clock. They end when
    // the program does.
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // A program that ends without reading says why on its standard error.
        let feed = move || stdin.write_all(input.as_bytes());
        // Without a thread the program gets no input, and says so.
        let _fed = std::thread::Builder::new().spawn(feed);
    }
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let ended = wait(&mut child, deadline).map_err(broken)?;
    // A program's child that keeps its pipes open must not hold us up either.
    let rest = |stream: Receiver<Vec<u8>>| {
        let left = deadline.saturating_duration_since(Instant::now());
        stream.recv_timeout(left).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).ok()
    };
    match ended.map(|status| (status, rest(stdout), rest(stderr))) {
        Some((status, Some(stdout), Some(stderr))) => {
            Ok(Output { success: status.success(), stdout, stderr })
        }
        Some(_) | None => Err(Failure::new(
            ExitStatus::Failed,
            format!("{}: hung: no end within {} s, killed", shell_line(argv), limit.as_secs()),
        )),
    }
}

/// Reads a stream to its end, elsewhere.
fn drain(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (done, result) = channel();
    // Without a thread the sender is gone, and the run counts as cut short.
    let _drained = std::thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _cut_short = stream.read_to_end(&mut bytes);
        }
        // Nobody waits any more: the deadline is over.
        let _late = done.send(bytes);
    });
    result
}

/// Waits for the end; at the deadline the child is killed, and there is no status.
fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Option<Ended>> {
    let mut pause = LOOK;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The error that a program's complaint stands for.
pub(super) fn complaint(argv: &[String], stderr: &str) -> Failure {
    let said = stderr
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("Warning:"))
        .or_else(|| stderr.lines().next())
        .unwrap_or("failed and said nothing");
    let command = shell_line(argv);
    let any = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    if any(&["Operation not permitted", "Permission denied"]) {
        let message = format!("{command}: {said}; this needs the capability CAP_NET_ADMIN");
        return Failure::new(ExitStatus::NoPermission, message);
    }
    if any(&[
        "missing kernel module",
        "failed (No such file or directory): rule in chain",
        "Could not process rule: No such file or directory",
        "Protocol not supported",
        "Could not fetch rule set generation id: Invalid argument",
        "cache initialization failed",
    ]) {
        let message = format!("{command}: {said}; the kernel lacks what this needs");
        return Failure::new(ExitStatus::Unavailable, message);
    }
    let foreign = ["is incompatible, use 'nft' tool", "key not supported", "CHAIN_ADD failed"];
    if argv.iter().any(|word| word.starts_with("ip")) && any(&foreign) {
        return Failure::new(
            ExitStatus::Failed,
            format!("{command}: {said}; {}", unreadable(argv)),
        );
    }
    Failure::new(ExitStatus::Failed, format!("{command}: {said}"))
}

/// What helps where iptables does not read or fill a table.
fn unreadable(argv: &[String]) -> String {
    let family = if argv.iter().any(|word| word.starts_with("ip6")) { "ip6" } else { "ip" };
    let table = argv.iter().skip_while(|word| *word != "-t").nth(1).map_or("", |table| table);
    format!(
        "somebody put a rule or chain of nftables' own into iptables' table: find it \
         (`nft -a list table {family} {table}`) and delete it"
    )
}

/// The command as a line that a shell would take.
pub(super) fn shell_line(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    let quoted = argv.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) || word == "!" {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<String>>().join(" ")
}

/// An ordinary user's path lacks the folders of administration; the program then says what it may not do.
fn search_path() -> String {
    match std::env::var("PATH") {
        Ok(path) if !path.is_empty() => format!("{path}:/usr/sbin:/sbin"),
        Ok(_) | Err(_) => "/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
    }
}

fn package(program: &str) -> &'static str {
    if program.starts_with("nft") { "nftables" } else { "iptables" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let failure = run(&argv("iptables-nft-which-nobody-has -S"), "").unwrap_err();
        assert_eq!(failure.status, ExitStatus::Unavailable);
        assert!(failure.message.contains("Debian package `iptables`"), "{failure}");
    }

    #[test]
    fn input_reaches_the_program_and_its_answer_comes_back() {
        assert_eq!(run(&argv("cat"), "held\n").unwrap(), "held\n");
        assert!(attempt(&argv("true"), &"x".repeat(1 << 20)).unwrap().success);
    }

    #[test]
    fn a_program_that_hangs_is_killed_and_named() {
        let limit = Duration::from_millis(300);
        // It hangs; it hangs and does not read what it is fed; its child hangs on to the pipes.
        for line in ["sleep 60", "sh -c sleep${IFS}60&"] {
            let began = Instant::now();
            let failure = attempt_within(&argv(line), &"x".repeat(1 << 20), limit).err();
            let failure = failure.unwrap_or_else(|| panic!("{line}: no failure"));
            assert!(failure.message.contains(&shell_line(&argv(line))), "{failure}");
            assert!(failure.message.contains("hung"), "{failure}");
            assert!(began.elapsed() < Duration::from_secs(5), "{line}: {:?}", began.elapsed());
        }
        assert!(attempt_within(&argv("sleep 0.01"), "", limit).unwrap().success);
    }

    #[test]
    fn a_complaint_gets_the_status_of_its_cause() {
        let nft = argv("nft -f -");
        let status = |text: &str| complaint(&nft, text).status;
        assert_eq!(
            status(
                "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n"
            ),
            ExitStatus::NoPermission
        );
        assert_eq!(
            status(
                "Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed: Operation not permitted\n"
            ),
            ExitStatus::NoPermission
        );
        assert_eq!(
            status("/dev/stdin:3:1-5: Error: Could not process rule: No such file or directory\n"),
            ExitStatus::Unavailable
        );
        assert_eq!(status("Error: syntax error\n"), ExitStatus::Failed);
        assert_eq!(
            complaint(&nft, "# Warning: x\nWarning: y\nError: z\n").message,
            "nft -f -: Error: z"
        );
        let iptables = argv("ip6tables-nft -w -t mangle -v -S");
        let failure = complaint(&iptables, "table `mangle' is incompatible, use 'nft' tool.\n");
        assert!(failure.message.contains("`nft -a list table ip6 mangle`"), "{failure}");
        assert_eq!(complaint(&nft, "").message, "nft -f -: failed and said nothing");
    }

    #[test]
    fn a_shell_line_survives_the_shell() {
        let words = vec!["a".to_owned(), "!".to_owned(), "x$y'z".to_owned(), String::new()];
        assert_eq!(shell_line(&words), r"a ! 'x$y'\''z' ''");
    }
}
