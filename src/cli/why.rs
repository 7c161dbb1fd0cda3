//! `kordon why`: what an address meets, by which list, prefix and origin AS, on what basis.

use std::net::IpAddr;
use std::process::ExitCode;

use super::{Format, Place, output};
use crate::config::{Config, Mode};
use crate::control::client;
use crate::control::message::{ADDRESSES, Answer, Request};
use crate::explain::{self, Explanation, Named, explain};
use crate::failure::Failure;
use crate::ruleset::Ruleset;

/// The exit status of a drop by policy under `--exit-code`.
const DROPPED: u8 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// IPv4 or IPv6 addresses
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<IpAddr>,

    /// Ask the running daemon even though --config is given
    #[arg(long)]
    running: bool,

    /// End with 0 if all pass, 10 if one is dropped by policy (also in monitor mode)
    #[arg(long)]
    exit_code: bool,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    let answers = place.running_or_files(
        args.running,
        || by_daemon(place, args),
        || by_files(place, args),
    )?;
    for answer in &answers {
        match args.output {
            Format::Json => output::json(answer)?,
            Format::Table => output::data(&text(answer))?,
        }
    }
    let dropped = answers.iter().any(|answer| answer.verdict == "drop");
    Ok(if args.exit_code && dropped { ExitCode::from(DROPPED) } else { ExitCode::SUCCESS })
}

fn by_daemon(place: &Place, args: &Args) -> Result<Vec<Explanation>, Failure> {
    let socket = place.socket();
    let mut answers = Vec::with_capacity(args.addresses.len());
    for addresses in args.addresses.chunks(ADDRESSES) {
        let request = Request::Why { addresses: addresses.to_vec() };
        if let Answer::Why(some) = client::ask(&socket, &request)? {
            answers.extend(some);
        }
    }
    Ok(answers)
}

fn by_files(place: &Place, args: &Args) -> Result<Vec<Explanation>, Failure> {
    let config = Config::load(place.config())?;
    let rules = Ruleset::load(&config, |_| Some(0), None)?;
    let mode: Mode = config.mode;
    let one = |address: &IpAddr| explain(&rules, mode, explain::FILES, *address);
    Ok(args.addresses.iter().map(one).collect())
}

fn text(answer: &Explanation) -> String {
    let outcome = answer.outcome.to_uppercase();
    let reason = match answer.reason.as_str() {
        "no_match" => "no list names it".to_owned(),
        "exempt" => "exempt: an allow list names it".to_owned(),
        "monitored" => "only a monitor list names it".to_owned(),
        "blocked" => "a block list names it".to_owned(),
        other => other.to_owned(),
    };
    let mut rows = vec![vec![answer.address.to_string(), format!("{outcome}: {reason}")]];
    let row = |label: &str, text: String| vec![format!("  {label}"), text];
    if let Some(winner) = &answer.winner {
        rows.extend(details(winner).into_iter().map(|(label, text)| row(label, text)));
    }
    for (index, entry) in answer.also.iter().enumerate() {
        let label = if index == 0 { "also" } else { "" };
        rows.push(row(label, format!("{}, {}", list(entry), prefix(entry))));
        if let Some(remark) = &entry.remark {
            rows.push(row("", format!("  remark: {remark}")));
        }
    }
    let source = if answer.source == explain::RUNNING {
        format!("running daemon, generation {}, mode {}", answer.generation, answer.mode)
    } else {
        format!("{}, mode {}", answer.source, answer.mode)
    };
    rows.push(row("source", source));
    output::columns(&rows)
}

/// All that is known about the entry that decided, a row each.
fn details(entry: &Named) -> Vec<(&'static str, String)> {
    let mut rows = vec![("list", list(entry)), ("prefix", prefix(entry))];
    if let Some(sources) = &entry.origin_sources {
        rows.push((
            "origin by",
            match &sources[..] {
                [] => "NO TABLE any more: kept by hold_down".to_owned(),
                names => names.join(", "),
            },
        ));
    }
    if let Some(group) = &entry.group {
        rows.push(("group", group.clone()));
    }
    if let Some(country) = &entry.registered_in {
        rows.push(("country", format!("registered in {country}, which is not where it is")));
    }
    if let Some(remark) = &entry.remark {
        rows.push(("remark", remark.clone()));
    }
    if !entry.basis.is_empty() {
        rows.push(("basis", entry.basis.clone()));
    }
    if let Some(note) = &entry.note {
        rows.push(("note", note.clone()));
    }
    if let Some(day) = &entry.review_by {
        let due = if entry.review_due { ", DUE" } else { "" };
        rows.push(("review by", format!("{day}{due}")));
    }
    rows
}

fn list(entry: &Named) -> String {
    format!("{} ({}), {}:{}", entry.list, entry.action, entry.file, entry.line)
}

fn prefix(entry: &Named) -> String {
    match (entry.origin_as, &entry.origin_name) {
        (None, _) => entry.prefix.clone(),
        (Some(asn), None) => format!("{}, origin AS{asn}", entry.prefix),
        (Some(asn), Some(name)) => format!("{}, origin AS{asn} {name}", entry.prefix),
    }
}
