//! The way in: the process starts itself again inside namespaces of its own, by `unshare`.
//!
//! Invariant: [`arrive`] refuses to go on in the network namespace that the outer process was in, so
//! that flushing rules and adding links can never touch the machine's own network.

use std::process::Command;

use nix::sys::{prctl, signal::Signal};

use super::process::{self, SHORT};
use super::{Context, Res};

const ENTRY: &str = "KORDON_LAB_ENTRY";
const OUTER: &str = "KORDON_LAB_OUTER_NETNS";

/// Where ordinary users' shells do not look, but `ip`, `nft` and `iptables-nft` live.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// What the lab itself cannot do without: program, Debian package.
pub(crate) const TOOLS: &[(&str, &str)] = &[
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("iptables-nft", "iptables"),
    ("ip6tables-nft", "iptables"),
];

/// With whose rights the namespaces are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// By root: new network and mount namespaces.
    Root,
    /// By anybody: a new user namespace as well, root only inside.
    User,
}

impl Entry {
    const ALL: [Entry; 2] = [Entry::Root, Entry::User];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Entry::Root => "root",
            Entry::User => "user namespace",
        }
    }

    fn unshare_arguments(self) -> &'static [&'static str] {
        match self {
            Entry::Root => &["--net", "--mount"],
            Entry::User => &["--user", "--map-root-user", "--net", "--mount"],
        }
    }
}

/// How this process came in, or `None` in the outer process.
pub(crate) fn entered() -> Option<Entry> {
    let label = std::env::var(ENTRY).ok()?;
    Entry::ALL.into_iter().find(|entry| entry.label() == label)
}

/// `unshare ... PROGRAM`, where `PROGRAM` finds out by [`entered`] that it is inside.
pub(crate) fn unshared(entry: Entry, program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(entry.unshare_arguments()).arg("--").arg(program);
    command.env(ENTRY, entry.label()).env(OUTER, own_netns()).env("PATH", path_with_sbin());
    command
}

/// What keeps this process from entering this way, if anything does.
pub(crate) fn obstacle(entry: Entry) -> Option<String> {
    if entry == Entry::Root && !nix::unistd::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    match process::run(&mut unshared(entry, "true"), SHORT) {
        Ok(output) if output.code == Some(0) => None,
        Ok(output) => Some(format!(
            "`unshare {}` says: {}",
            entry.unshare_arguments().join(" "),
            output.stderr.trim()
        )),
        Err(error) => Some(error),
    }
}

/// The programs of `tools` that are missing, with their packages.
pub(crate) fn missing_tools(tools: &[(&str, &str)]) -> Vec<String> {
    let path = path_with_sbin();
    let found = |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    tools
        .iter()
        .filter(|(tool, _)| !found(tool))
        .map(|(tool, package)| format!("{tool} (Debian package {package})"))
        .collect()
}

/// First steps inside: makes sure that it is inside, dies with the outer process, own /run.
pub(crate) fn arrive() -> Res {
    let outer = std::env::var(OUTER).context(OUTER)?;
    if outer == own_netns() {
        return Err("still in the outer network namespace: refusing to touch it".to_owned());
    }
    prctl::set_pdeathsig(Signal::SIGKILL).context("prctl PR_SET_PDEATHSIG")?;
    process::tool("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
    Ok(())
}

fn own_netns() -> String {
    std::fs::read_link("/proc/self/ns/net").map(|p| p.display().to_string()).unwrap_or_default()
}

fn path_with_sbin() -> String {
    match std::env::var("PATH") {
        Ok(path) if !path.is_empty() => format!("{path}:{SBIN}"),
        _ => format!("/usr/bin:/bin:{SBIN}"),
    }
}
