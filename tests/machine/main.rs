//! The machine test: a gateway with Debian's own kernel and systemd, emulated by QEMU, kordon installed as an
//! operator would, cameras on a tagged VLAN, and a count of what arrives outside.
//!
//! `make test-machine` builds what it needs and runs it; `cargo test --test machine -- WORD...` runs the groups and
//! cases whose names contain a word. Each group has a machine of its own, all begin with the same installed disk.
//! One line for each promise, with its counts; the exit status is not 0 if one is broken.

mod cases;
mod frame;
mod gateway;
#[path = "../lab/mod.rs"]
mod lab;
mod machine;
mod payload;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use cases::{Case, GROUPS, Group};
use gateway::Gateway;
use lab::{Context, Res, enter};
use machine::Image;
use payload::Payload;
use wire::Wires;

/// What this test cannot do without: program, Debian package.
const TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
    ("setpriv", "util-linux"),
    ("dpkg-deb", "dpkg"),
    ("strip", "binutils"),
    ("tar", "tar"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let selected: Vec<(&Group, Vec<&Case>)> = GROUPS
        .iter()
        .map(|group| {
            (group, group.cases.iter().filter(|case| wanted(group, case, &words)).collect())
        })
        .filter(|(_, cases): &(_, Vec<_>)| !cases.is_empty())
        .collect();
    if arguments.iter().any(|word| word == "--list") {
        for (group, cases) in &selected {
            cases.iter().for_each(|case| println!("{}::{}: test", group.name, case.name));
        }
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let (mut passed, mut failed) = (0, 0);
    match run(&selected, &mut passed, &mut failed) {
        Ok(()) => {}
        Err(reason) => {
            failed += 1;
            println!("FAILED the machine test cannot go on: {reason}");
        }
    }
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; finished in {:.0} s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        start.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn wanted(group: &Group, case: &Case, words: &[&str]) -> bool {
    words.is_empty()
        || words.iter().any(|word| format!("{}::{}", group.name, case.name).contains(word))
}

fn run(selected: &[(&Group, Vec<&Case>)], passed: &mut u32, failed: &mut u32) -> Res {
    let missing = enter::missing_tools(TOOLS);
    if !missing.is_empty() {
        return Err(format!("missing: {}; scripts/setup machine installs it", missing.join(", ")));
    }
    let since = Instant::now();
    let image = Image::get()?;
    println!("image      {} ({:.0} s)", image.folder.display(), since.elapsed().as_secs_f64());
    let scratch = Scratch::new()?;
    let since = Instant::now();
    let payload = Payload::build(&scratch.0)?;
    println!("package    {} ({:.0} s)", payload.version, since.elapsed().as_secs_f64());
    let wires = Wires::lay(&scratch.0)?;
    let logs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("machine");
    let _ = std::fs::remove_dir_all(&logs);
    std::fs::create_dir_all(&logs).context(logs.display())?;
    let mut gateway = Gateway::new(&image, &payload, &wires, &scratch.0, &logs);

    let since = Instant::now();
    let said = gateway.install().inspect_err(|_| gateway.keep_logs("install"))?;
    println!("installed  {said} ({:.0} s)", since.elapsed().as_secs_f64());
    for (group, cases) in selected {
        let since = Instant::now();
        gateway.begin(group.name)?;
        if group.powered {
            gateway.power_on_and_wait()?;
            println!("\n{}: powered on in {:.0} s", group.name, since.elapsed().as_secs_f64());
        } else {
            println!("\n{}:", group.name);
        }
        for case in cases {
            let since = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| (case.run)(&mut gateway)))
                .unwrap_or_else(|_| Err("panicked".to_owned()));
            let seconds = since.elapsed().as_secs_f64();
            match result {
                Ok(counts) => {
                    *passed += 1;
                    println!("ok     {}: {counts} [{seconds:.0} s]", case.name);
                }
                Err(reason) => {
                    *failed += 1;
                    println!("FAILED {}: {reason} [{seconds:.0} s]", case.name);
                    gateway.keep_logs(case.name);
                }
            }
        }
        gateway.end();
    }
    if *failed > 0 {
        println!("\nconsoles and journals: {}", logs.display());
    }
    Ok(())
}

/// A folder for sockets and disks; removed at the end. Short, because a socket's path may have 107 bytes.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Res<Self> {
        let path = std::env::temp_dir().join(format!("kordon-machine-{}", std::process::id()));
        std::fs::create_dir(&path).context(path.display())?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
