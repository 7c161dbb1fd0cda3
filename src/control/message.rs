//! The messages on the control socket: one line of JSON each way, then the connection ends.

mod status;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::cameras::{CamerasAnswer, CamerasOrder};
use super::entries::{EntriesOrder, EntriesReport};
use crate::config::Mode;
use crate::explain::{Comparison, Explanation, ListReports, OriginExplanation, PrefixExplanation};
use crate::failure::{ExitStatus, Failure};

pub use status::{
    CameraStatus, ListStatus, ModeSet, ModeUnconfirmed, ModeWentBack, Paused, PolicyStatus,
    QueueStatus, RulesStatus, Status, TrafficStatus,
};

/// The longest request, in bytes.
pub const REQUEST_LIMIT: usize = 64 << 10;
/// The most addresses in one `why` request; a client splits what is more.
pub const ADDRESSES: usize = 512;
/// The most prefixes or AS numbers in one request: their answers name many entries.
pub const STRETCHES: usize = 16;

/// What the daemon is asked.
///
/// Braces on those without fields, too: serde looks at unknown fields of a tagged variant only where there
/// are braces, and a request that says more than is understood must be refused, not carried out in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// How things are.
    Status {},
    /// Read configuration and lists again and put them in force.
    Reload {
        /// Lists that the guards may find odd, this once.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        accept: Vec<String>,
        /// The user behind sudo, as the client claims.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sudo_user: Option<String>,
    },
    /// Put the rule set that was in force before in force again.
    Undo {
        /// The user behind sudo, as the client claims.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sudo_user: Option<String>,
    },
    /// Block or allow by command.
    Entries {
        /// What.
        order: EntriesOrder,
        /// The user behind sudo, as the client claims.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sudo_user: Option<String>,
    },
    /// Put the rules in place or take them away.
    Rules {
        /// Which of the two.
        order: RulesOrder,
        /// The user behind sudo, as the client claims.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sudo_user: Option<String>,
    },
    /// Change the mode, or pause.
    Mode {
        /// How.
        order: ModeOrder,
        /// The user behind sudo, as the client claims.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sudo_user: Option<String>,
    },
    /// Everything about each list.
    Lists {},
    /// What a reload would change now; nothing is put in force.
    Compare {},
    /// What these addresses meet.
    Why {
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// The camera that sends, by its name or address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        camera: Option<String>,
    },
    /// What is listed about these prefixes.
    Prefixes {
        /// The prefixes.
        prefixes: Vec<IpNet>,
    },
    /// What is listed through these AS numbers.
    Origins {
        /// The AS numbers.
        origins: Vec<u32>,
    },
    /// Who sends what.
    Cameras {
        /// What of it.
        order: CamerasOrder,
    },
}

/// What shall happen to the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RulesOrder {
    /// Put in place; ends a removal.
    Apply,
    /// Looked at now and put back if others touched them; a removal stays.
    Gate,
    /// Taken away until they are applied again.
    Remove {
        /// Why, for the log and the status.
        why: String,
    },
}

/// What shall happen to the mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum ModeOrder {
    /// Put this mode in force.
    Set {
        /// The mode.
        mode: Mode,
        /// It goes back after so many seconds unless somebody confirms it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confirm_within: Option<u64>,
        /// Why; may be empty.
        #[serde(default)]
        why: String,
    },
    /// The mode stays.
    Confirm,
    /// Drop nothing for so many seconds.
    Pause {
        /// Seconds.
        seconds: u64,
        /// Why, for the log and the status.
        why: String,
    },
    /// End a pause.
    Resume,
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Reload`] and [`Request::Undo`].
    Reload(ReloadReport),
    /// To [`Request::Entries`].
    Entries(EntriesReport),
    /// To [`Request::Rules`]: what changed, in words.
    Rules(String),
    /// To [`Request::Mode`]: what changed, in words.
    Mode(String),
    /// To [`Request::Lists`].
    Lists(ListReports),
    /// To [`Request::Compare`].
    Compare(Box<Comparison>),
    /// To [`Request::Why`].
    Why(Vec<Explanation>),
    /// To [`Request::Prefixes`].
    Prefixes(Vec<PrefixExplanation>),
    /// To [`Request::Origins`].
    Origins(Vec<OriginExplanation>),
    /// To [`Request::Cameras`].
    Cameras(Box<CamerasAnswer>),
    /// The request was refused or failed.
    Error {
        /// The exit status for the command that asked.
        status: u8,
        /// What is wrong, where.
        message: String,
    },
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Answer::Error { status: failure.status.code(), message: failure.message }
    }
}

impl Answer {
    /// What to say of an answer that does not fit the request: the daemon is of another version.
    pub fn unexpected(&self) -> Failure {
        let message =
            "the daemon answered something else than it was asked: is it of another version?";
        Failure::new(ExitStatus::Failed, message)
    }

    /// The answer, or the failure that it carries.
    pub fn into_result(self) -> Result<Answer, Failure> {
        match self {
            Answer::Error { status, message } => {
                Err(Failure::new(ExitStatus::from_code(status), message))
            }
            answer @ (Answer::Status(_)
            | Answer::Reload(_)
            | Answer::Entries(_)
            | Answer::Rules(_)
            | Answer::Mode(_)
            | Answer::Lists(_)
            | Answer::Compare(_)
            | Answer::Prefixes(_)
            | Answer::Origins(_)
            | Answer::Cameras(_)
            | Answer::Why(_)) => Ok(answer),
        }
    }
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Version of this shape.
    pub schema: u32,
    /// The generation now in force.
    pub generation: u64,
    /// Prefixes that came.
    pub added: usize,
    /// Prefixes that went.
    pub removed: usize,
    /// Changes by list, in words: what the command prints.
    pub text: String,
    /// Time from the request to the publication, in seconds.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Request> {
        serde_json::from_str(line).ok()
    }

    #[test]
    fn requests_are_read_as_they_are_written() {
        let address = IpAddr::from([192, 0, 2, 1]);
        for (request, line) in [
            (Request::Status {}, r#"{"command":"status"}"#),
            (Request::Reload { accept: vec![], sudo_user: None }, r#"{"command":"reload"}"#),
            (
                Request::Reload {
                    accept: vec!["feed".to_owned()],
                    sudo_user: Some("alice".to_owned()),
                },
                r#"{"command":"reload","accept":["feed"],"sudo_user":"alice"}"#,
            ),
            (Request::Undo { sudo_user: None }, r#"{"command":"undo"}"#),
            (
                Request::Entries {
                    order: EntriesOrder::Remove {
                        action: crate::config::Action::Block,
                        prefixes: vec!["192.0.2.0/24".parse().unwrap()],
                    },
                    sudo_user: None,
                },
                r#"{"command":"entries","order":{"remove":{"action":"block","prefixes":["192.0.2.0/24"]}}}"#,
            ),
            (
                Request::Cameras { order: CamerasOrder::All },
                r#"{"command":"cameras","order":"all"}"#,
            ),
            (
                Request::Cameras {
                    order: CamerasOrder::Learn {
                        cameras: vec!["gate-3".to_owned()],
                        since: Some(60),
                    },
                },
                r#"{"command":"cameras","order":{"learn":{"cameras":["gate-3"],"since":60}}}"#,
            ),
            (
                Request::Why { addresses: vec![address], camera: None },
                r#"{"command":"why","addresses":["192.0.2.1"]}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
            assert_eq!(read(line), Some(request));
        }
    }

    #[test]
    fn request_with_an_unknown_field_is_refused() {
        for line in [
            r#"{"command":"reload","force":true}"#,
            r#"{"command":"status","of":"queue"}"#,
            r#"{"command":"why","addresses":[],"mode":"monitor"}"#,
            r#"{"command":"stop"}"#,
            r#"{"command":"undo","generation":1}"#,
            r#"{"command":"entries","order":{"list":{"action":"drop"}}}"#,
            r#"{"command":"entries","order":{"remove":{"action":"block","prefixes":["x"]}}}"#,
            r#"{"command":"entries","order":{"list":{"action":"block","all":true}}}"#,
            r#"{"command":"cameras"}"#,
            r#"{"command":"cameras","order":{"show":{"name":"a","all":true}}}"#,
            r#"{"command":"mode","order":{"set":{"mode":"off"}}}"#,
            r#"{"command":"mode","order":{"set":{"mode":"monitor","for":1}}}"#,
            r#"{"command":"mode","order":{"pause":{"seconds":-1,"why":"x"}}}"#,
            r#"{"command":"mode","order":{"pause":{"seconds":1}}}"#,
            r#"{"addresses":[]}"#,
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
