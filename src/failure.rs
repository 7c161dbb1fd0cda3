//! What stopped a command, and the exit status it ends with.
//!
//! The lowest room: every other one may say with which status its errors end, so that the same cause
//! gives the same status at start, at a reload through the control socket, and in `check`.

use std::fmt;

/// The exit status of a command that did not do what it was asked (sysexits.h where it has a word for it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// 1: failed for a reason without a number of its own.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 3: the daemon is not running.
    NotRunning,
    /// 65: a list or an origin table holds bad data.
    BadData,
    /// 66: a file is missing or cannot be read.
    NoInput,
    /// 69: the kernel lacks a facility.
    Unavailable,
    /// 75: try again later (the queue belongs to another process).
    TryAgain,
    /// 77: a permission is missing.
    NoPermission,
    /// 78: the configuration is wrong.
    BadConfig,
}

impl ExitStatus {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        match self {
            ExitStatus::Failed => 1,
            ExitStatus::Usage => 2,
            ExitStatus::NotRunning => 3,
            ExitStatus::BadData => 65,
            ExitStatus::NoInput => 66,
            ExitStatus::Unavailable => 69,
            ExitStatus::TryAgain => 75,
            ExitStatus::NoPermission => 77,
            ExitStatus::BadConfig => 78,
        }
    }

    /// The status with this number; `Failed` for a number that is none of ours.
    pub const fn from_code(code: u8) -> Self {
        match code {
            2 => ExitStatus::Usage,
            3 => ExitStatus::NotRunning,
            65 => ExitStatus::BadData,
            66 => ExitStatus::NoInput,
            69 => ExitStatus::Unavailable,
            75 => ExitStatus::TryAgain,
            77 => ExitStatus::NoPermission,
            78 => ExitStatus::BadConfig,
            _ => ExitStatus::Failed,
        }
    }
}

/// A cause, said once and whole, with the exit status that goes with it.
///
/// The message names the thing and the place (path, line, key, queue), in lower case, and may run over
/// several lines when several places are wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub status: ExitStatus,
    /// The message for the user.
    pub message: String,
}

impl Failure {
    /// A failure with this status and message.
    pub fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Failure { status, message: message.into() }
    }

    /// A file that cannot be opened or read: 66, 77 where the permission is missing, 65 where it is too large.
    pub fn reading(path: &std::path::Path, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::new(ExitStatus::NoInput, format!("{}: no such file", path.display()))
            }
            std::io::ErrorKind::PermissionDenied => Failure::new(
                ExitStatus::NoPermission,
                format!("{}: permission denied", path.display()),
            ),
            std::io::ErrorKind::FileTooLarge => {
                Failure::new(ExitStatus::BadData, format!("{}: {error}", path.display()))
            }
            _ => Failure::new(ExitStatus::NoInput, format!("{}: {error}", path.display())),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
