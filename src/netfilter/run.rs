//! Runs a program, feeds it, and turns its complaint into an error with the right exit status.
//!
//! Invariants: no shell is involved; the program speaks the C locale, because its complaints are read; an
//! error names the command and the first line of what the program said.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use crate::failure::{ExitStatus, Failure};

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
/// 69 if the program is not installed (names the Debian package), 1 if it cannot be run.
pub(super) fn attempt(argv: &[String], input: &str) -> Result<Output, Failure> {
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
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading says why on its standard error.
        match stdin.write_all(input.as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) => return Err(broken(error)),
        }
    }
    let output = child.wait_with_output().map_err(broken)?;
    Ok(Output {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
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
    Failure::new(ExitStatus::Failed, format!("{command}: {said}"))
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
        assert_eq!(complaint(&nft, "").message, "nft -f -: failed and said nothing");
    }

    #[test]
    fn a_shell_line_survives_the_shell() {
        let words = vec!["a".to_owned(), "!".to_owned(), "x$y'z".to_owned(), String::new()];
        assert_eq!(shell_line(&words), r"a ! 'x$y'\''z' ''");
    }
}
