//! The hold and gate rules: what they say, and putting them into the kernel, checking and removing them.
//!
//! *Hold* hands every camera packet to the queue, *gate* drops every camera packet that does not carry the
//! mark of an accepted one. Both work on the forward hook, hold in mangle (after DNAT, before SNAT), gate
//! after every filter, in a base chain of its own (nftables) or in the `security` table (iptables), where
//! no accept of another rule can skip it. Both clear kordon's bits of the packet mark: hold before it
//! queues, so that nobody else's mark counts, gate after it looked, so that nobody else sees kordon's.
//!
//! What cameras send to the gateway itself meets the same pair on the input hook where `rules.hold_input` says so;
//! the gate there also drops what wraps other packets, which would leave a tunnel device unheld.
//!
//! Invariants: each gate stands before a hold does and falls after it, so a step that fails leaves it
//! standing; both families always; nothing that is not kordon's is touched; applying what is already in
//! force changes nothing. What a rule sets in between, on the same hook, is out of reach: whoever forges
//! kordon's bits between hold and gate (a CONNMARK restored in the filter table, say) passes the gate.

mod asleep;
mod change;
mod generation;
mod input;
mod iptables;
mod links;
mod nftables;
mod observed;
mod plan;
mod render;
mod run;
mod saved;

use std::fmt;

pub use change::Change;
pub use generation::{Commits, Generation};
pub use input::PORTS as TUNNEL_PORTS;
pub use links::{Enslaved, enslaved, is_missing};
pub use observed::{Observed, Presence};
pub use plan::Plan;
pub use run::be_patient;
pub use saved::Saved;

use crate::config::RulesBackend;
use crate::failure::{ExitStatus, Failure};

/// The tool that carries the rules into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `nft`, own table `inet kordon`.
    Nftables,
    /// `iptables-nft` and `ip6tables-nft`, own chains.
    Iptables,
}

impl Tool {
    /// Both tools.
    pub const ALL: [Tool; 2] = [Tool::Nftables, Tool::Iptables];

    const fn other(self) -> Tool {
        match self {
            Tool::Nftables => Tool::Iptables,
            Tool::Iptables => Tool::Nftables,
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tool::Nftables => "nftables",
            Tool::Iptables => "iptables",
        })
    }
}

/// The tool that the configuration names, or, left to kordon, the one that works here: nftables where the
/// kernel has its `queue` statement, otherwise iptables. Changes nothing.
///
/// # Errors
/// Only with [`RulesBackend::Auto`]: 69 if neither works (says what is missing), 77 if the permission to
/// ask is missing.
pub fn choose(backend: RulesBackend) -> Result<Tool, Failure> {
    match backend {
        RulesBackend::Nftables => Ok(Tool::Nftables),
        RulesBackend::Iptables => Ok(Tool::Iptables),
        RulesBackend::Auto => {
            let first = match nftables::probe() {
                Ok(()) => return Ok(Tool::Nftables),
                Err(failure) => failure,
            };
            let second = match iptables::probe() {
                Ok(()) => return Ok(Tool::Iptables),
                Err(failure) => failure,
            };
            Err(match (first.status, second.status) {
                (ExitStatus::NoPermission, _) => first,
                (_, ExitStatus::NoPermission) => second,
                _ => Failure::new(
                    ExitStatus::Unavailable,
                    format!("no way to hold packets\nby nftables: {first}\nby iptables: {second}"),
                ),
            })
        }
    }
}

/// What [`apply`] runs where nothing of kordon's is installed yet: the text for `nft -f -`, or one command
/// per line.
pub fn show(plan: &Plan, tool: Tool) -> String {
    match tool {
        Tool::Nftables => render::nft_script_of(plan, &render::nft_halves(plan)),
        Tool::Iptables => {
            let commands = iptables::first_install(plan);
            commands.iter().map(|argv| run::shell_line(argv) + "\n").collect()
        }
    }
}

/// The same rules for a ruleset that somebody keeps by himself: what to paste, and where.
pub fn show_for_pasting(plan: &Plan, tool: Tool) -> String {
    match tool {
        Tool::Nftables => format!(
            "# kordon's hold and gate, for a ruleset of your own (rules.manage = false).\n\
             # Into /etc/nftables.conf, behind its `flush ruleset`.\n{}",
            render::nft_table(plan)
        ),
        Tool::Iptables => format!(
            "# kordon's hold and gate, for a ruleset of your own (rules.manage = false), in this order.\n\
             # The jump to kordon-hold must stay the last rule of mangle FORWARD, the jump to kordon-gate the\n\
             # first of security FORWARD; the same for kordon-hold-in and kordon-gate-in on INPUT.\n{}",
            show(plan, tool)
        ),
    }
}

/// What [`apply`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// What was changed; nothing if everything stood already.
    pub changes: Vec<Change>,
    /// What the user should know besides.
    pub notes: Vec<String>,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lines(f, &self.changes, "nothing changed: the rules were already in force", &self.notes)
    }
}

/// Puts the plan into force with this tool and removes what the other tool left, in this order.
///
/// While the tool is changed, both hold and both gates stand for a moment: accepted packets may be lost,
/// none leaks.
///
/// # Errors
/// 69 if a program or a kernel facility is missing, 77 without CAP_NET_ADMIN, otherwise 1, with the command
/// that failed. Steps already done stay done.
pub fn apply(plan: &Plan, tool: Tool) -> Result<Applied, Failure> {
    let seen = match tool {
        Tool::Nftables => nftables::observe(plan)?,
        Tool::Iptables => Observed::nothing(plan),
    };
    apply_where(plan, tool, &seen)
}

/// As [`apply`], where [`observe`] just saw this: nothing is asked again before the rules stand.
///
/// # Errors
/// As [`apply`].
pub fn apply_where(plan: &Plan, tool: Tool, seen: &Observed) -> Result<Applied, Failure> {
    let changes = match tool {
        Tool::Nftables => nftables::apply(plan, seen)?,
        // Many commands, and each half of each family is asked for just before its own.
        Tool::Iptables => iptables::apply(plan)?,
    };
    let mut applied = Applied { changes, notes: Vec::new() };
    let other = tool.other();
    let looked = match other {
        Tool::Nftables => nftables::look(),
        Tool::Iptables => iptables::look(),
    };
    match looked {
        Ok(()) => applied.changes.append(&mut remove(other)?.changes),
        // Where the tool is missing, nothing was installed by it.
        Err(failure) if failure.status == ExitStatus::Unavailable => {}
        Err(failure) => {
            applied.notes.push(format!("could not look for rules left by {other}: {failure}"));
        }
    }
    Ok(applied)
}

/// What [`apply`] would change with this tool, after the tool has taken it in a dry run. Nothing is changed.
///
/// # Errors
/// As [`apply`].
pub fn check(plan: &Plan, tool: Tool) -> Result<Vec<Change>, Failure> {
    match tool {
        Tool::Nftables => nftables::check(plan),
        Tool::Iptables => iptables::check(plan),
    }
}

/// Puts the gates of a closed plan into force and leaves hold as it is: nothing of a camera's passes until
/// hold and a daemon stand. On the input hook, too, only packets of cameras are looked at. An open plan has no gate: nothing is changed. Where this tool is missing, the
/// other one carries the gate: a gateway that cannot hold packets shall be closed all the same.
///
/// # Errors
/// As [`apply`], of the first tool if neither can be used.
pub fn apply_gate(plan: &Plan, tool: Tool) -> Result<Applied, Failure> {
    if plan.open {
        return Ok(Applied::default());
    }
    let by = |tool| match tool {
        Tool::Nftables => nftables::apply_gate(plan),
        Tool::Iptables => iptables::apply_gate(plan),
    };
    match by(tool) {
        Ok(changes) => Ok(Applied { changes, notes: Vec::new() }),
        Err(failure) if failure.status == ExitStatus::Unavailable => match by(tool.other()) {
            Ok(changes) => {
                Ok(Applied { changes, notes: vec![format!("not by {tool}: {failure}")] })
            }
            Err(_) => Err(failure),
        },
        Err(failure) => Err(failure),
    }
}

/// What [`remove`] or [`remove_all`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// What was removed.
    pub changes: Vec<Change>,
    /// What the user should know besides.
    pub notes: Vec<String>,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lines(f, &self.changes, "nothing removed: no rules of kordon's were installed", &self.notes)
    }
}

/// Removes what kordon installed with this tool, whole or in part: hold first, then the gate.
///
/// # Errors
/// As [`apply`].
pub fn remove(tool: Tool) -> Result<Removed, Failure> {
    let changes = match tool {
        Tool::Nftables => nftables::remove()?,
        Tool::Iptables => iptables::remove()?,
    };
    Ok(Removed { changes, notes: Vec::new() })
}

/// Removes what kordon installed with either tool.
///
/// # Errors
/// As [`apply`]; a missing tool is a note, unless both are missing. What the other tool installed is
/// removed all the same.
pub fn remove_all() -> Result<Removed, Failure> {
    let mut removed = Removed::default();
    let mut failures: Vec<Failure> = Vec::new();
    for tool in Tool::ALL {
        match remove(tool) {
            Ok(mut part) => removed.changes.append(&mut part.changes),
            Err(failure) => failures.push(failure),
        }
    }
    let missing =
        failures.iter().filter(|failure| failure.status == ExitStatus::Unavailable).count();
    if missing == Tool::ALL.len() || missing < failures.len() {
        // What is wrong besides a missing tool comes first.
        failures.sort_by_key(|failure| failure.status == ExitStatus::Unavailable);
        return failures.into_iter().next().map_or(Ok(removed), Err);
    }
    removed.notes = failures.iter().map(|failure| format!("not looked at: {failure}")).collect();
    Ok(removed)
}

/// Runs a tool that only lists, and returns what it prints.
///
/// # Errors
/// As [`apply`].
pub fn ask(argv: &[&str]) -> Result<String, Failure> {
    run::run(&render::words(argv), "")
}

/// Asks the kernel what stands of the plan. Changes nothing.
///
/// # Errors
/// As [`apply`].
pub fn observe(plan: &Plan, tool: Tool) -> Result<Observed, Failure> {
    match tool {
        Tool::Nftables => nftables::observe(plan),
        Tool::Iptables => iptables::observe(plan),
    }
}

fn lines(
    f: &mut fmt::Formatter<'_>,
    lines: &[Change],
    none: &str,
    notes: &[String],
) -> fmt::Result {
    if lines.is_empty() {
        writeln!(f, "{none}")?;
    }
    lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
    notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
}

#[cfg(test)]
mod samples {
    //! Plans that the tests of this room share.

    use super::Plan;
    use crate::verdict::Mark;

    pub(super) fn interfaces() -> Plan {
        Plan {
            interfaces: vec!["cam0".into(), "vlan.10".into()],
            networks: Vec::new(),
            trusted_interfaces: Vec::new(),
            first_queue: 40,
            queues: 1,
            mark: Mark { value: 0x1000_0000, mask: 0x3000_0000 },
            open: false,
            gate: true,
            hold_input: false,
            drop_tunnels: false,
        }
    }

    pub(super) fn input() -> Plan {
        Plan { hold_input: true, drop_tunnels: true, ..interfaces() }
    }

    pub(super) fn networks() -> Plan {
        let nets = ["192.0.2.0/24", "198.51.100.7/32", "2001:db8:c::/48"];
        let networks = nets.iter().map(|net| net.parse().unwrap()).collect();
        Plan { interfaces: Vec::new(), networks, queues: 4, ..interfaces() }
    }

    pub(super) fn trusted() -> Plan {
        let trusted_interfaces = vec!["lan0".into(), "wan+".into()];
        Plan { interfaces: Vec::new(), trusted_interfaces, ..interfaces() }
    }
}
