//! A proposal as a part of the configuration, and as the lines of its list. Pure.

use std::fmt::Write as _;

use super::super::output::toml::{array, quoted};
use super::super::output::{counted, day};
use crate::evidence::cameras::{Allowed, Proposal, ProposedCamera};
use crate::explain::RUNNING;

/// Cameras and services named in one remark.
const NAMED: usize = 3;

/// What goes into the configuration; the list's file is at `path`.
pub(super) fn toml(proposal: &Proposal, name: &str, path: &str) -> String {
    let mut text = String::new();
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{arguments}");
    };
    let source = match proposal.source.as_str() {
        RUNNING => format!("{RUNNING} daemon, generation {}", proposal.generation),
        kept => kept.to_owned(),
    };
    line(format_args!(
        "# Proposed by `kordon cameras learn` on {} from what passed since {} ({source}).",
        day(proposal.now),
        day(proposal.since)
    ));
    if proposal.missed > 0 {
        let missed = counted(proposal.missed, "flow minute", "flow minutes");
        line(format_args!(
            "# THE RECORD WAS FULL: {missed} to further destinations are missing here."
        ));
    }
    if proposal.policies.iter().chain(&proposal.lists).any(|known| known == name) {
        line(format_args!(
            "# {name} IS THERE ALREADY: put the new lines into its list, or choose another --name."
        ));
    }
    for silent in &proposal.silent {
        line(format_args!("# {silent}: nothing passed that could be allowed; not in the policy."));
    }
    for camera in proposal.cameras.iter().filter(|camera| camera.declare) {
        let addresses: Vec<String> = camera.addresses.iter().map(ToString::to_string).collect();
        line(format_args!("\n[[camera]]\nname = {}", quoted(&camera.name)));
        line(format_args!("address = {}", array(&addresses)));
        if let Some(mac) = camera.mac {
            line(format_args!("mac = \"{mac}\""));
        }
        if let Some(note) = &camera.note {
            line(format_args!("# {note}"));
        }
    }
    line(format_args!("\n[[list]]\nname = {}\npath = {}", quoted(name), quoted(path)));
    line(format_args!("kind = \"prefix\"\naction = \"allow\""));
    line(format_args!(
        "basis = {{ issuer = \"kordon cameras learn\", date = {} }}",
        day(proposal.now)
    ));
    let named = |camera: &ProposedCamera| match camera.declared || camera.declare {
        true => vec![camera.name.clone()],
        false => camera.addresses.iter().map(ToString::to_string).collect(),
    };
    let cameras: Vec<String> = proposal.cameras.iter().flat_map(named).collect();
    line(format_args!("\n[[policy]]\nname = {}\ncameras = {}", quoted(name), array(&cameras)));
    for camera in &proposal.cameras {
        if let Some(policy) = &camera.policy {
            line(format_args!("# {} is in policy {policy} now: take it out there.", camera.name));
        }
    }
    let mut lists: Vec<String> = proposal.lists.clone();
    if !lists.iter().any(|known| known == name) {
        lists.push(name.to_owned());
    }
    line(format_args!("# A list that comes later counts for these cameras when it is named here."));
    line(format_args!("lists = {}", array(&lists)));
    line(format_args!("default = \"drop\""));
    line(format_args!(
        "# For the first days, only to count what it would drop:\n# mode = \"monitor\""
    ));
    text
}

/// The lines of the list's file.
pub(super) fn list(proposal: &Proposal) -> String {
    let mut text = format!(
        "# Proposed by `kordon cameras learn` on {} from what passed since {}.\n\
         # An allow list beats every block list, for every camera that it counts for.\n",
        day(proposal.now),
        day(proposal.since)
    );
    for allowed in &proposal.allow {
        let _ = writeln!(text, "{} # {}", allowed.destination, remark(allowed));
    }
    for out in &proposal.left_out {
        let cameras = some(&out.cameras);
        let _ = writeln!(text, "# not proposed: {} ({cameras}): {}", out.destination, out.why);
    }
    text
}

/// Who uses it for what, when and how often.
fn remark(allowed: &Allowed) -> String {
    let (mut services, mut cameras, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut first, mut last, mut minutes) = (u64::MAX, 0, 0);
    for one in &allowed.uses {
        push(&mut services, &one.what);
        push(&mut cameras, &one.camera);
        one.note.iter().for_each(|note| push(&mut notes, note));
        (first, last) = (first.min(one.first), last.max(one.last));
        minutes += one.minutes;
    }
    let when = match (day(first), day(last)) {
        (first, last) if first == last => first,
        (first, last) => format!("{first} to {last}"),
    };
    let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
    format!(
        "{}: {}; {when}, {}{notes}",
        some(&services),
        some(&cameras),
        counted(minutes, "flow minute", "flow minutes")
    )
}

fn push(all: &mut Vec<String>, one: &str) {
    if !all.iter().any(|known| known == one) {
        all.push(one.to_owned());
    }
}

/// The first few, and how many more.
fn some(all: &[String]) -> String {
    let shown = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
