//! `kordon why`: what an address meets, or what is listed about a prefix or an AS number.
//!
//! Questions of a kind are asked together; answers are printed in the order of the command line.

use std::net::IpAddr;
use std::process::ExitCode;

use ipnet::IpNet;

use super::{Place, Rows, output};
use crate::blocklist::{parse_asn, parse_prefix};
use crate::config::Config;
use crate::control::client;
use crate::control::message::{ADDRESSES, Answer, Request, STRETCHES};
use crate::explain::{
    self, Explanation, OriginExplanation, PrefixExplanation, Standing, explain, explain_origin,
    explain_prefix,
};
use crate::failure::Failure;
use crate::ruleset::Ruleset;

mod rows;
mod text;

/// The exit status of a drop by policy under `--exit-code`.
const DROPPED: u8 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Addresses, prefixes (203.0.113.0/24) or AS numbers (AS64500)
    #[arg(required = true, value_name = "ADDRESS", value_parser = question)]
    questions: Vec<Question>,

    /// As this camera would be judged: its name in the configuration, or an address
    #[arg(long, value_name = "CAMERA")]
    camera: Option<String>,

    /// Ask the running daemon even though --config is given
    #[arg(long)]
    running: bool,

    /// End with 0 if all pass, 10 if one is dropped by policy, whole or in part (also in monitor mode)
    #[arg(long)]
    exit_code: bool,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Rows,
}

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Address(IpAddr),
    Prefix(IpNet),
    Origin(u32),
}

/// One answer.
enum Reply {
    Address(Box<Explanation>),
    Prefix(Box<PrefixExplanation>),
    Origin(Box<OriginExplanation>),
}

fn question(text: &str) -> Result<Question, String> {
    if text.get(..2).is_some_and(|letters| letters.eq_ignore_ascii_case("as")) {
        return parse_asn(text).map(Question::Origin).map_err(|flaw| flaw.message);
    }
    if text.contains('/') {
        return parse_prefix(text).map(Question::Prefix).map_err(|flaw| flaw.message);
    }
    text.parse().map(Question::Address).map_err(|_| {
        "not an address, a prefix (203.0.113.0/24) or an AS number (AS64500)".to_owned()
    })
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    let replies = place.running_or_files(
        args.running,
        || by_daemon(place, args),
        || by_files(place, args),
    )?;
    match args.output {
        Rows::Csv => output::data(&rows::csv(&replies))?,
        Rows::Json => replies.iter().try_for_each(|reply| match reply {
            Reply::Address(answer) => output::json(answer),
            Reply::Prefix(answer) => output::json(answer),
            Reply::Origin(answer) => output::json(answer),
        })?,
        Rows::Table => replies.iter().try_for_each(|reply| output::data(&text::text(reply)))?,
    }
    let dropped = replies.iter().any(Reply::drops);
    Ok(if args.exit_code && dropped { ExitCode::from(DROPPED) } else { ExitCode::SUCCESS })
}

impl Reply {
    /// Something of it is dropped by policy, whatever the mode.
    fn drops(&self) -> bool {
        match self {
            Reply::Address(answer) => answer.verdict == "drop",
            Reply::Prefix(answer) => answer.shares.blocked != Default::default(),
            Reply::Origin(answer) => answer.shares.blocked != Default::default(),
        }
    }
}

fn by_daemon(place: &Place, args: &Args) -> Result<Vec<Reply>, Failure> {
    let questions = &args.questions;
    let socket = place.socket();
    let same_kind =
        |a: &Question, b: &Question| std::mem::discriminant(a) == std::mem::discriminant(b);
    let mut replies = Vec::with_capacity(questions.len());
    for run in questions.chunk_by(same_kind) {
        let limit = match run.first() {
            Some(Question::Address(_)) | None => ADDRESSES,
            Some(Question::Prefix(_) | Question::Origin(_)) => STRETCHES,
        };
        for some in run.chunks(limit) {
            match client::ask(&socket, &request(some, args.camera.clone()))? {
                Answer::Why(answers) => {
                    replies.extend(answers.into_iter().map(|a| Reply::Address(Box::new(a))));
                }
                Answer::Prefixes(answers) => {
                    replies.extend(answers.into_iter().map(|a| Reply::Prefix(Box::new(a))));
                }
                Answer::Origins(answers) => {
                    replies.extend(answers.into_iter().map(|a| Reply::Origin(Box::new(a))));
                }
                other => return Err(other.unexpected()),
            }
        }
    }
    Ok(replies)
}

/// One request for questions of one kind.
fn request(questions: &[Question], camera: Option<String>) -> Request {
    let (mut addresses, mut prefixes, mut origins) = (Vec::new(), Vec::new(), Vec::new());
    for question in questions {
        match question {
            Question::Address(address) => addresses.push(*address),
            Question::Prefix(prefix) => prefixes.push(*prefix),
            Question::Origin(asn) => origins.push(*asn),
        }
    }
    match (prefixes.is_empty(), origins.is_empty()) {
        (true, true) => Request::Why { addresses, camera },
        (false, _) => Request::Prefixes { prefixes },
        (true, false) => Request::Origins { origins },
    }
}

fn by_files(place: &Place, args: &Args) -> Result<Vec<Reply>, Failure> {
    let config = Config::load(place.config())?;
    let rules = Ruleset::load(&config, |_| Some(0), None)?;
    let standing = Standing { mode: config.mode, paused: false };
    let camera = args.camera.as_deref();
    let one = |question: &Question| {
        Ok(match *question {
            Question::Address(address) => Reply::Address(Box::new(explain(
                &rules,
                config.mode,
                explain::FILES,
                address,
                camera,
            )?)),
            Question::Prefix(prefix) => {
                Reply::Prefix(Box::new(explain_prefix(&rules, standing, explain::FILES, prefix)))
            }
            Question::Origin(asn) => {
                Reply::Origin(Box::new(explain_origin(&rules, standing, explain::FILES, asn)))
            }
        })
    };
    args.questions.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_an_address_a_prefix_or_an_as_number() {
        assert_eq!(question("203.0.113.7"), Ok(Question::Address([203, 0, 113, 7].into())));
        assert!(matches!(question("2001:db8::/32"), Ok(Question::Prefix(_))));
        assert_eq!(question("AS64500"), Ok(Question::Origin(64500)));
        assert_eq!(question("as64500"), Ok(Question::Origin(64500)));
        for wrong in ["64500", "203.0.113.7/24", "203.0.113.0/33", "AS", "ASx", "example.org", ""] {
            assert!(question(wrong).is_err(), "{wrong}");
        }
        let said = question("203.0.113.7/24").unwrap_err();
        assert!(said.contains("203.0.113.0/24"), "{said}");
    }
}
