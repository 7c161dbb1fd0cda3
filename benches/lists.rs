//! Lists from real files: read, checked, compiled, reloaded and explained, with time and peak memory.
//!
//! Each case runs in a child process of its own, which does what a daemon does at start and at a reload, short of
//! the kernel; it reports `VmHWM`, the high-water mark of its resident memory (proc(5)). Not part of a plain
//! `cargo bench`: `make bench-lists`.

mod common;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use common::{figure, mib};
use kordon::config::Config;
use kordon::explain::{FILES, Standing, compare, explain_prefix};
use kordon::ruleset::{Changes, Published, Ruleset};

/// Told to the child only: the case's folder.
const CHILD: &str = "KORDON_BENCH_LISTS_CHILD";
/// Prefixes in each of the ten lists.
const MANY: usize = 100_000;
/// Lines of the file that is too long.
const LINES: u32 = 10_000_000;

fn main() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return child(folder.as_ref());
    }
    let folder = std::env::temp_dir().join(format!("kordon-bench-lists-{}", std::process::id()));
    for (name, make) in [
        ("full-table", full_table as fn(&Path)),
        ("ten-lists", ten_lists),
        ("ten-million-lines", ten_million_lines),
        ("ten-million-repeated", ten_million_repeated),
    ] {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        make(&folder);
        run(name, &folder);
        std::fs::remove_dir_all(&folder).expect("it can be removed");
    }
    std::fs::remove_dir_all(&folder).expect("it can be removed");
}

fn run(name: &str, folder: &Path) {
    let this = std::env::current_exe().expect("the bench knows its file");
    let output = Command::new(this).env(CHILD, folder).output().expect("it runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    println!("{name}");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        println!("  {line}");
    }
}

/// The BGP table but for its default routes, as one list.
fn full_table(folder: &Path) {
    let routes = common::without_default(&common::full());
    let mut text = String::with_capacity(routes.len() * 20);
    for route in &routes {
        let _ = writeln!(text, "{} # AS{}", route.prefix, route.origin);
    }
    write(folder, "full", &text);
    config(folder, &["full"]);
}

/// Ten lists, each a random part of the table.
fn ten_lists(folder: &Path) {
    let routes = common::without_default(&common::full());
    let mut random = common::Random(common::SEED);
    let names: Vec<String> = (0..10).map(|number| format!("list-{number}")).collect();
    for name in &names {
        let (mut text, mut taken) = (String::new(), HashSet::new());
        while taken.len() < MANY {
            let route = &routes[random.below(routes.len())];
            if taken.insert(route.prefix) {
                let _ = writeln!(text, "{}", route.prefix);
            }
        }
        write(folder, name, &text);
    }
    config(folder, &names.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Every line another address: more than a list may hold.
fn ten_million_lines(folder: &Path) {
    let mut text = String::with_capacity(LINES as usize * 15);
    for n in 0..LINES {
        let _ = writeln!(text, "{}", std::net::Ipv4Addr::from_bits(0x2000_0000 + n * 3));
    }
    write(folder, "long", &text);
    config(folder, &["long"]);
}

/// As many lines, and a million addresses.
fn ten_million_repeated(folder: &Path) {
    let mut text = String::with_capacity(LINES as usize * 15);
    for n in 0..LINES {
        let _ =
            writeln!(text, "{}", std::net::Ipv4Addr::from_bits(0x2000_0000 + n % 1_000_000 * 3));
    }
    write(folder, "repeated", &text);
    config(folder, &["repeated"]);
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a list can be written");
}

fn config(folder: &Path, lists: &[&str]) {
    let mut text = "[cameras]\ninterfaces = [\"cam0\"]\n[state]\nfolder = \"state\"\n".to_owned();
    for name in lists {
        let _ = write!(
            text,
            "[[list]]\nname = \"{name}\"\npath = \"{name}\"\nkind = \"prefix\"\naction = \"block\"\n\
             allow_wide = true\n[list.basis]\nissuer = \"bench\"\n"
        );
    }
    write(folder, "kordon.toml", &text);
}

/// One case: a start, a reload after one line came, and questions.
fn child(folder: &Path) {
    let path: PathBuf = folder.join("kordon.toml");
    let empty = figure("VmHWM:");
    let config = Config::load(&path).expect("the configuration is right");
    let (began, before) = (Instant::now(), processor());
    let first = match Ruleset::load(&config, |_| Some(1), None) {
        Ok(first) => first,
        Err(failure) => {
            println!(
                "refused after {:.2} s, {:.2} s of processor: {failure}",
                began.elapsed().as_secs_f64(),
                processor() - before
            );
            println!("peak {:.0} MiB ({:.0} at start)", mib(figure("VmHWM:")), mib(empty));
            return;
        }
    };
    let [v4, v6] = first.table().prefixes();
    println!(
        "load (read, check, compile) {:.2} s, {:.2} s of processor: {v4} IPv4 and {v6} IPv6 prefixes",
        began.elapsed().as_secs_f64(),
        processor() - before
    );
    println!(
        "peak {:.0} MiB ({:.0} at start), resident {:.0} MiB",
        mib(figure("VmHWM:")),
        mib(empty),
        mib(figure("VmRSS:"))
    );
    let published = Published::new(first);
    let list = &config.lists[0].path;
    let mut file = File::options().append(true).open(list).expect("the list is there");
    file.write_all(b"198.51.100.1\n").expect("a line can be added");
    let (began, before) = (Instant::now(), processor());
    let old = published.current();
    let next = Ruleset::load(&config, |_| Some(1), Some(&old)).expect("it loads again");
    let changes = Changes::between(&old, &next);
    let (compiled, used) = (began.elapsed(), processor() - before);
    let comparing = Instant::now();
    let comparison = compare(&old, &next, Vec::new());
    let compared = comparing.elapsed();
    drop(old);
    published.publish(next);
    println!(
        "reload {:.2} s, {used:.2} s of processor (+ {}); comparison {:.2} s (+ {}); peak {:.0} MiB",
        compiled.as_secs_f64(),
        changes.added,
        compared.as_secs_f64(),
        comparison.added_total,
        mib(figure("VmHWM:"))
    );
    published.sweep();
    let rules = published.current();
    let standing = Standing { mode: config.mode, paused: false };
    let began = Instant::now();
    let answer = explain_prefix(&rules, standing, FILES, "32.0.0.0/8".parse().expect("a prefix"));
    println!(
        "why 32.0.0.0/8 {:.1} ms: {} entries inside",
        began.elapsed().as_secs_f64() * 1e3,
        answer.covered_total
    );
    println!("resident with one rule set {:.0} MiB", mib(figure("VmRSS:")));
}

/// Seconds that this thread has run so far, whatever else the machine did (proc(5), schedstat).
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("proc is mounted");
    let nanoseconds = text.split_whitespace().next().and_then(|figure| figure.parse::<f64>().ok());
    nanoseconds.expect("the kernel counts the time") / 1e9
}
