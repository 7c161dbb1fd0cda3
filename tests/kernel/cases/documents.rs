//! What the documents say to type, typed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::documented::{self, Documented};
use crate::lab::topology::*;
use crate::lab::{Context, Res, process};
use crate::{Bench, Site};

const N: u32 = 20;
/// The limit of one command.
const LIMIT: Duration = Duration::from_secs(30);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn of_document(path: &str) -> Res<Vec<Documented>> {
    let text = std::fs::read_to_string(root().join(path)).context(path)?;
    Ok(documented::commands(path, &text))
}

/// Every command line of the documents that can run does what the document shows: it works, or it is refused.
/// Each document finds a fresh gateway with a running daemon.
pub(super) fn commands(bench: &Bench<'_>) -> Res {
    let not_run = documented::not_run(root());
    let mut ran = 0;
    for path in documented::documents(root()) {
        let mut lines = of_document(&path)?;
        lines.retain(|line| {
            !not_run.iter().any(|(entry, _)| documented::means(entry, &line.command))
        });
        if lines.is_empty() {
            continue;
        }
        let site = bench.site()?;
        let daemon = site.start()?;
        for line in &lines {
            // The document shows what a bad list is answered with.
            let bad_list = line.refused && line.command == "kordon reload";
            if bad_list {
                site.add_to_list("blocked", "203.0.113.0/255\n")?;
            }
            let outcome = run(&site, line);
            if bad_list {
                site.add_to_list("blocked", "")?;
            }
            outcome.context(format!("{}: `{}`", line.place, line.command))?;
            ran += 1;
        }
        drop(daemon);
        bench.lab.clean()?;
    }
    match ran {
        0..10 => Err(format!("only {ran} command lines found")),
        _ => Ok(()),
    }
}

fn run(site: &Site, line: &Documented) -> Res {
    let words = line.words().ok_or("takes a shell: give its reason in not-run.txt")?;
    let (program, arguments) = words.split_first().ok_or("no words")?;
    let output = match program.as_str() {
        // As shipped, from the checkout.
        "kordon" if line.command.contains(" config/") => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_kordon"));
            process::run(command.args(arguments).current_dir(root()), LIMIT)?
        }
        // What finds /etc/kordon on a gateway finds the site's configuration here.
        "kordon" => {
            let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            arguments.extend(["--config", "kordon.toml"]);
            if arguments.first() == Some(&"why") {
                arguments.push("--running");
            }
            site.kordon_words(&arguments)?
        }
        "promtool" => {
            process::run(Command::new(program).args(arguments).current_dir(root()), LIMIT)?
        }
        other => {
            return Err(format!("{other} is not run by this test: give its reason in not-run.txt"));
        }
    };
    match (output.code, line.refused) {
        (Some(0), false) => Ok(()),
        (Some(code), true) if code != 0 && output.stderr.starts_with("kordon: ") => Ok(()),
        (_, true) => Err(format!("the document shows a refusal, and it {}", output.said())),
        (_, false) => Err(output.said()),
    }
}

/// The commands of the system's own tools that README gives for the night do open a closed gateway.
pub(super) fn open_the_gate(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut daemon = site.start()?;
    bench.lab.blocked(BLOCKED, N)?;
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait_end()?;
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6], N)?;
    let checked = site.kordon_ok("check --config kordon.toml")?;
    let nftables = checked.contains("nftables, chosen");
    let lines = of_document("README.md")?;
    let mut ran = 0;
    for words in lines.iter().filter_map(Documented::words) {
        let fits = match words.first().map(String::as_str) {
            Some("nft") => nftables,
            Some("iptables-nft" | "ip6tables-nft") => !nftables,
            _ => false,
        };
        if let (true, Some((program, arguments))) = (fits, words.split_first()) {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            process::tool(program, &arguments)?;
            ran += 1;
        }
    }
    if ran == 0 {
        return Err("README gives no command for this tool".to_owned());
    }
    for to in [ALLOWED, ALLOWED6, BLOCKED, BLOCKED6] {
        bench.lab.passes(to, N)?;
    }
    // Nothing leads to rules of kordon's any more, on the input hook either.
    let left = match nftables {
        true => process::tool("nft", &["list", "ruleset"])?,
        false => {
            let mut left = String::new();
            for program in ["iptables-nft", "ip6tables-nft"] {
                for table in ["mangle", "security"] {
                    left += &process::tool(program, &["-t", table, "-S"])?;
                }
            }
            left
        }
    };
    let jump = |line: &&str| {
        ["-A FORWARD", "-A INPUT", "table inet kordon"].iter().any(|start| line.starts_with(start))
            && line.contains("kordon")
    };
    match left.lines().find(jump) {
        None => Ok(()),
        Some(line) => Err(format!("after README's commands this still stands: {line}")),
    }
}
