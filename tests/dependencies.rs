//! What the daemon links: few packages, and none that builds C.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use std::process::Command;

/// The most packages that the daemon may link, kordon included.
const MOST: usize = 80;
/// Packages that run a C compiler or look for C libraries.
const C_BUILDERS: [&str; 4] = ["bindgen", "cc", "cmake", "pkg-config"];

/// `NAME vVERSION` of every package that kordon reaches over dependencies of these kinds.
fn packages(edges: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "kordon", "--edges", edges])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let found: BTreeSet<String> = text.lines().filter(|line| !line.is_empty()).map(name).collect();
    // The control: the list is one of packages, and of kordon's.
    for known in ["kordon v", "tokio v", "iptrie v"] {
        assert!(found.iter().any(|package| package.starts_with(known)), "no {known}: {found:#?}");
    }
    found
}

#[test]
fn the_daemon_links_few_packages() {
    // Macros run at build time and are not linked.
    let linked = packages("normal,no-proc-macro");
    assert!(linked.len() <= MOST, "{} packages, more than {MOST}: {linked:#?}", linked.len());
}

#[test]
fn nothing_that_the_daemon_is_built_from_builds_c() {
    let built = packages("normal,build");
    let name = |package: &String| package.split(' ').next().unwrap_or_default().to_owned();
    let builders: Vec<_> =
        built.iter().map(name).filter(|name| C_BUILDERS.contains(&name.as_str())).collect();
    assert!(builders.is_empty(), "{builders:?} among {built:#?}");
}
