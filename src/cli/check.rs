//! `kordon check`: configuration, lists and rules, without touching anything.

mod guards;
mod running;

use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;

use super::{Format, Place, output};
use crate::blocklist;
use crate::clock;
use crate::config::{COPIED_TO_INSPECT, Config, ListKind, RulesBackend, Tunnels};
use crate::failure::{ExitStatus, Failure};
use crate::netfilter;
use crate::ruleset::Ruleset;
use output::{columns, counted, grouped};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Instead: what a reload of the running daemon would add and remove; changes nothing
    #[arg(long)]
    against_running: bool,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    subject: String,
    /// `ok`, `warning`, `error` or `not checked`.
    result: &'static str,
    detail: String,
}

#[derive(Debug, Default, Serialize)]
struct Findings {
    schema: u32,
    findings: Vec<Finding>,
    #[serde(skip)]
    first_failure: Option<Failure>,
}

impl Findings {
    fn add(&mut self, subject: &str, result: &'static str, detail: impl Into<String>) {
        self.findings.push(Finding { subject: subject.to_owned(), result, detail: detail.into() });
    }

    fn fail(&mut self, subject: &str, failure: Failure) {
        self.add(subject, "error", failure.message.clone());
        self.first_failure.get_or_insert(failure);
    }
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    if args.against_running {
        return running::run(place, args.output);
    }
    let findings = look(place);
    print(&findings, args.output)?;
    Ok(match &findings.first_failure {
        None => ExitCode::SUCCESS,
        Some(failure) => ExitCode::from(failure.status.code()),
    })
}

/// The first thing that would keep a daemon from starting with this configuration.
pub(super) fn first_failure(place: &Place) -> Option<Failure> {
    look(place).first_failure
}

fn look(place: &Place) -> Findings {
    let mut findings = Findings { schema: 1, ..Findings::default() };
    match Config::load(place.config()) {
        Err(failure) => findings.fail("config", failure),
        Ok(config) => {
            let files: Vec<String> =
                config.files.iter().map(|file| file.display().to_string()).collect();
            findings.add(
                "config",
                "ok",
                format!("{} (mode {})", files.join(" + "), config.mode.label()),
            );
            check_interfaces(&config, &mut findings);
            check_enslaved(&config, &mut findings);
            check_senders(&config, &mut findings);
            check_lists(&config, &mut findings);
            check_kernel(&config, &mut findings);
        }
    }
    findings
}

fn check_interfaces(config: &Config, findings: &mut Findings) {
    let cameras = &config.cameras;
    for name in cameras.interfaces.iter().chain(&cameras.trusted_interfaces) {
        if netfilter::is_missing(name) {
            let detail = format!("{name}: no such interface now; its rules wait for it");
            findings.add("interface", "warning", detail);
        }
    }
}

/// Interfaces that belong to another one: a camera's is refused, as at start; a trusted one trusts nobody.
fn check_enslaved(config: &Config, findings: &mut Findings) {
    let cameras = &config.cameras;
    match netfilter::enslaved(&cameras.interfaces) {
        Ok(found) => found.iter().for_each(|one| {
            let message = format!("cameras.interfaces: {one}");
            findings.fail("interface", Failure::new(ExitStatus::Unavailable, message));
        }),
        Err(failure) => findings.add("interface", "not checked", failure.message),
    }
    for one in netfilter::enslaved(&cameras.trusted_interfaces).unwrap_or_default() {
        findings.add("interface", "warning", format!("cameras.trusted_interfaces: {one}"));
    }
}

/// What is not seen, because the configuration does not say enough.
fn check_senders(config: &Config, findings: &mut Findings) {
    let cameras = &config.cameras;
    let known = |name: &String| cameras.sources.iter().any(|(interface, _)| interface == name);
    if cameras.networks.is_empty() {
        for name in cameras.interfaces.iter().filter(|name| !known(name)) {
            let detail = format!(
                "{name}: sources are not checked, a camera can send as another one: name its networks in \
                 cameras.sources or cameras.networks"
            );
            findings.add("senders", "warning", detail);
        }
    }
    let policies = config.policies.iter().map(|policy| &policy.tunnels);
    let inspect = policies.chain([&config.tunnels]).any(Tunnels::inspect_any);
    if inspect && config.queue.copy_range < COPIED_TO_INSPECT {
        let detail = format!(
            "queue.copy_range = {}: tunnels are inspected, and what lies behind these bytes is dropped unread; \
             leave the key out, or set {COPIED_TO_INSPECT}",
            config.queue.copy_range
        );
        findings.add("tunnels", "warning", detail);
    }
}

fn check_lists(config: &Config, findings: &mut Findings) {
    let began = Instant::now();
    let rules = match Ruleset::load(config, |_| Some(0), None) {
        Ok(rules) => rules,
        Err(failure) => return findings.fail("lists", failure),
    };
    for list in rules.lists.iter().filter(|list| list.is_from_a_file()) {
        let prefixes = counted(list.prefixes as u64, "prefix", "prefixes");
        let lines = list.lines as u64;
        let detail = match list.kind {
            _ if list.names_prefixes() => format!("{}: {} prefixes", list.name, list.prefixes),
            ListKind::Asn => {
                let named = counted(lines, "AS number", "AS numbers");
                format!("{}: {named} -> {prefixes}", list.name)
            }
            ListKind::Country => {
                let named = counted(lines, "country", "countries");
                format!("{}: {named} -> {prefixes}", list.name)
            }
            ListKind::Prefix => format!("{}: {prefixes}", list.name),
        };
        findings.add("list", "ok", format!("{detail} ({})", list.action.label()));
        if list.unterminated {
            let detail = format!(
                "{}: {}: the last line has no line end: is the file whole?",
                list.name,
                list.path.display()
            );
            findings.add("list", "warning", detail);
        }
        if list.duplicates > 0 {
            let detail = format!("{}: {} lines repeat earlier ones", list.name, list.duplicates);
            findings.add("list", "warning", detail);
        }
        if list.masked > 0 {
            let detail = format!(
                "{}: {} prefixes had host bits, which were cleared",
                list.name,
                grouped(list.masked as u64)
            );
            findings.add("list", "warning", detail);
        }
        if list.rejected.total > 0 {
            let detail = format!(
                "{}: {} lines are wrong and were left out, the first: {}",
                list.name,
                grouped(list.rejected.total),
                list.rejected.first.first().map_or("", String::as_str)
            );
            findings.add("list", "warning", detail);
        }
        if let Some(day) = list.review_by.filter(|day| day.unix() <= clock::now()) {
            let detail = format!("{}: to be looked at again since {day} (review_by)", list.name);
            findings.add("list", "warning", detail);
        }
        if list.basis.line().is_empty() {
            let detail = format!("{}: no basis: nobody can say later by which order", list.name);
            findings.add("list", "warning", detail);
        }
    }
    guards::look(config, &rules, findings);
    for warning in &rules.resolution.warnings {
        findings.add("origin", "warning", warning.clone());
    }
    check_disagreements(config, &rules, findings);
    for (name, date, _) in &rules.origin_dates {
        findings.add("origin", "ok", format!("{name}: data of {date}"));
    }
    let now = clock::now();
    let ages = [("list", &rules.freshness.lists), ("origin", &rules.freshness.origins)];
    for (subject, age) in ages.iter().flat_map(|(s, ages)| ages.iter().map(move |a| (s, a))) {
        if let (Some(old), Some(limit)) = (age.stale(now), age.limit) {
            let (old, limit) = (output::span(old), output::span(limit));
            let detail = format!("{}: {old} old, more than max_age ({limit})", age.name);
            findings.add(subject, "warning", detail);
        }
    }
    let [v4, v6] = rules.prefixes();
    let took = began.elapsed().as_secs_f64();
    let detail = format!(
        "{} IPv4 and {} IPv6 prefixes, {took:.3} s to load",
        grouped(v4 as u64),
        grouped(v6 as u64)
    );
    findings.add("table", "ok", detail);
}

/// Counts what the origin tables disagree on.
fn check_disagreements(config: &Config, rules: &Ruleset, findings: &mut Findings) {
    let asns = super::lists::listed(rules, None);
    if config.origins.len() < 2 || asns.is_empty() {
        return;
    }
    match blocklist::disagreements(&config.origins, &asns) {
        Ok(found) if found.total == 0 => {
            findings.add(
                "origin",
                "ok",
                "the tables agree on the prefixes of the listed AS numbers",
            );
        }
        Ok(found) => {
            let detail = format!(
                "{} prefixes of listed AS numbers are given to others by another table; see: kordon lists disagreements",
                grouped(found.total)
            );
            findings.add("origin", "warning", detail);
        }
        Err(failure) => findings.add("origin", "not checked", failure.message),
    }
}

fn check_kernel(config: &Config, findings: &mut Findings) {
    if !nix::unistd::geteuid().is_root() {
        findings.add("rules", "not checked", "only root can ask the kernel");
        return;
    }
    match netfilter::choose(config.rules.backend) {
        Ok(tool) => {
            let how = match config.rules.backend {
                RulesBackend::Auto => "chosen by asking the kernel",
                RulesBackend::Nftables | RulesBackend::Iptables => "as configured",
            };
            findings.add("rules", "ok", format!("{tool}, {how}"));
        }
        Err(failure) => findings.fail("rules", failure),
    }
}

fn print(findings: &Findings, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(findings);
    }
    let mut rows = Vec::new();
    for finding in &findings.findings {
        for (index, line) in finding.detail.lines().enumerate() {
            let (subject, result) =
                if index == 0 { (finding.subject.as_str(), finding.result) } else { ("", "") };
            rows.push(vec![subject.to_owned(), result.to_owned(), line.to_owned()]);
        }
    }
    output::data(&columns(&rows))
}
