//! `kordon doctor`: what is wrong on this gateway, and what mends it.

use std::process::ExitCode;

use serde::Serialize;

use super::{Format, Place, output};
use crate::doctor::{self, Finding, Outcome};
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    failed: usize,
    warned: usize,
    skipped: usize,
    findings: Vec<Finding>,
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    let findings = doctor::examine(&doctor::gather(place.config(), &place.socket()));
    let count = |result| findings.iter().filter(|finding| finding.result == result).count();
    let report = Report {
        schema: 1,
        failed: count(Outcome::Fail),
        warned: count(Outcome::Warn),
        skipped: count(Outcome::Skip),
        findings,
    };
    match args.output {
        Format::Json => output::json(&report)?,
        Format::Table => output::data(&text(&report))?,
    }
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(report: &Report) -> String {
    let width = report.findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in &report.findings {
        let result = match finding.result {
            Outcome::Pass => "PASS",
            Outcome::Warn => "WARN",
            Outcome::Fail => "FAIL",
            Outcome::Skip => "SKIP",
        };
        text.push_str(&format!("{result}  {:width$}  {}\n", finding.subject, finding.detail));
        if let Some(fix) = &finding.fix {
            text.push_str(&format!("      {:width$}  -> {fix}\n", ""));
        }
    }
    let Report { failed, warned, skipped, .. } = report;
    text.push_str(&format!("{failed} failed, {warned} to look at, {skipped} not looked at\n"));
    let fixes = |start: &str| {
        let all = report.findings.iter().filter_map(|finding| finding.fix.as_deref());
        all.into_iter().any(|fix| fix.contains(start))
    };
    if fixes("sysctl -w") {
        text.push_str("what `sysctl -w` sets is lost at a boot: write it into a file in /etc/sysctl.d as well\n");
    }
    if *skipped > 0 && !nix::unistd::geteuid().is_root() {
        text.push_str("run it as root to have everything looked at: sudo kordon doctor\n");
    }
    text
}
