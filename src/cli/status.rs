//! `kordon status`: one screen.

use std::process::ExitCode;

use super::{Format, Place, output};
use crate::control::client;
use crate::control::message::{Answer, PolicyStatus, QueueStatus, Request, Status};
use crate::failure::Failure;
use output::{columns, grouped, size, span};

/// Seconds without a packet since the start that are worth a word.
const QUIET: u64 = 60;
/// Cameras shown in the table.
const CAMERAS: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    if let Answer::Status(status) = client::ask(&place.socket(), &Request::Status {})? {
        match args.output {
            Format::Json => output::json(&status)?,
            Format::Table => output::data(&text(&status))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(status: &Status) -> String {
    let mut rows = mode(status);
    rows.extend([
        row(
            "running",
            format!(
                "{}, process {}, version {}{}",
                span(status.uptime_seconds),
                status.pid,
                status.version,
                if status.ready { "" } else { ", NOT READY" }
            ),
        ),
        row("config", status.config.join(" + ")),
        row("rules", rules(status)),
    ]);
    rows.extend(status.rules.enslaved.iter().map(|line| row("", format!("NOT HELD: {line}"))));
    rows.push(row("rule set", rule_set(status)));
    rows.extend(policies(status));
    if status.last_good {
        let why =
            "THE LISTS WERE REFUSED AT START: this is the last good rule set; mend them and reload";
        rows.push(row("", why.to_owned()));
    }
    if let Some(by) = &status.undone_by {
        let what = "the files say otherwise, and the next reload or restart puts them in force";
        rows.push(row("", format!("UNDONE by {by}: {what}")));
    }
    if let Some(refused) = &status.last_reload_refused {
        rows.push(row("", format!("LAST RELOAD REFUSED: {refused}")));
    }
    for (index, change) in status.changes.iter().enumerate() {
        let ago = span(status.now.saturating_sub(change.at));
        let label = if index == 0 { "last asked" } else { "" };
        let text = format!("{}, {}, {ago} ago, by {}", change.kind.label(), change.what, change.by);
        rows.push(row(label, text));
    }
    let traffic = &status.traffic;
    rows.push(row(
        "packets",
        format!(
            "{} judged = {} accepted + {} dropped{}",
            grouped(traffic.packets),
            grouped(traffic.accepted),
            grouped(traffic.dropped),
            match traffic.would_drop {
                0 => String::new(),
                count => format!("; {} would be dropped", grouped(count)),
            }
        ),
    ));
    if !traffic.by_reason.is_empty() {
        let one = |(reason, count): &(String, u64)| format!("{} {reason}", grouped(*count));
        let reasons: Vec<String> = traffic.by_reason.iter().map(one).collect();
        rows.push(row("", format!("by reason: {}", reasons.join(", "))));
    }
    for (index, queue) in status.queues.iter().enumerate() {
        let [buffer, late, orphan] = queue.lost;
        let fill = match (queue.buffer_used, queue.buffer_size) {
            (Some(used), Some(room)) => format!("buffer {} of {}", size(used), size(room)),
            (_, _) => "BUFFER UNKNOWN: losses are seen late or not at all".to_owned(),
        };
        let stalled = if queue.stalled { "  STALLED" } else { "" };
        rows.push(row(
            if index == 0 { "queues" } else { "" },
            format!(
                "{}: {}; {fill}; lost {} in the buffer, {} late, {} orphans{stalled}",
                queue.number,
                last_packet(queue),
                grouped(buffer),
                grouped(late),
                grouped(orphan)
            ),
        ));
    }
    if let Some(asked) = status.queues.iter().find_map(QueueStatus::too_small) {
        let why = format!(
            "BUFFER TOO SMALL: {} asked: bursts are lost sooner; sysctl -w net.core.rmem_max={}, then kordon restart",
            size(asked),
            asked / 2
        );
        rows.push(row("", why));
    }
    let silent = status.queues.iter().all(|queue| queue.last_packet_seconds_ago.is_none());
    if silent && status.uptime_seconds >= QUIET {
        let why = "NO PACKET since the start: do the cameras' packets come by here?";
        rows.push(row("", why.to_owned()));
    }
    let mut text = columns(&rows);
    text.push('\n');
    text.push_str(&lists(status));
    text.push_str(&cameras(status));
    text
}

/// What is different for some cameras, a row each; nothing where nothing is.
fn policies(status: &Status) -> Vec<Vec<String>> {
    let plain = |policy: &PolicyStatus| policy.default == "accept" && policy.tunnels.is_empty();
    if status.policies.len() < 2 && status.policies.iter().all(plain) {
        return Vec::new();
    }
    let text = |policy: &PolicyStatus| {
        let name = if policy.name.is_empty() { "everybody else" } else { &policy.name };
        let mut parts = vec![format!("unlisted {}", policy.default)];
        parts.extend(policy.monitor.then(|| "MONITOR".to_owned()));
        parts.extend(policy.lists.as_ref().map(|lists| format!("lists {}", lists.join(", "))));
        parts.extend(policy.tunnels.iter().cloned());
        format!("{name}: {}", parts.join("; "))
    };
    let rows = status.policies.iter().rev().enumerate();
    rows.map(|(index, policy)| row(if index == 0 { "policies" } else { "" }, text(policy)))
        .collect()
}

/// When a queue last had a packet.
pub(super) fn last_packet(queue: &QueueStatus) -> String {
    match queue.last_packet_seconds_ago {
        None => "no packet yet".to_owned(),
        Some(0) => "last packet just now".to_owned(),
        Some(seconds) => format!("last packet {} ago", span(seconds)),
    }
}

/// The mode and all that is said about it, a row each.
pub(super) fn mode(status: &Status) -> Vec<Vec<String>> {
    let mode = match (&status.rules.removed, status.mode.as_str(), &status.paused) {
        (Some(_), _, _) => "OFF: the rules are removed, no packet is judged",
        (None, "monitor", _) => "MONITOR: nothing is dropped",
        (None, _, Some(_)) => "PAUSED: nothing is dropped",
        (None, _, None) => "ENFORCING",
    };
    let down = match (status.open, &status.rules.removed, status.rules.managed) {
        (true, _, _) => "everything passes (open)",
        (false, Some(_), _) => "everything passes, as now",
        (false, None, true) => "nothing passes (closed)",
        (false, None, false) => "whatever your own rules say (rules.manage = false)",
    };
    let mut rows = vec![row("mode", format!("{mode}; if the daemon is down: {down}"))];
    let left = |until: u64| span(until.saturating_sub(status.now));
    if let Some(pause) = &status.paused {
        let text = format!(
            "enforcing again in {} by itself; paused by {}: {}",
            left(pause.until),
            pause.by,
            pause.why
        );
        rows.push(row("", text));
    }
    if let Some(unconfirmed) = &status.mode_unconfirmed {
        let text = match unconfirmed.until > status.now {
            true => format!(
                "UNCONFIRMED: back to {} in {} unless `kordon mode confirm`",
                unconfirmed.back_to,
                left(unconfirmed.until)
            ),
            false => format!("UNCONFIRMED: going back to {} now", unconfirmed.back_to),
        };
        rows.push(row("", text));
    }
    if let Some(back) = &status.mode_went_back {
        let ago = span(status.now.saturating_sub(back.at));
        let from = &back.from;
        let text = format!(
            "WENT BACK by itself {ago} ago: nobody confirmed {from} (kordon mode {from}, then kordon mode confirm)"
        );
        rows.push(row("", text));
    }
    if let Some(set) = &status.mode_set {
        let ago = span(status.now.saturating_sub(set.at));
        let why = if set.why.is_empty() { String::new() } else { format!(": {}", set.why) };
        rows.push(row("", format!("set {ago} ago by {}{why}", set.by)));
    }
    if status.mode_configured != status.mode {
        rows.push(row("", format!("the configuration says {}", status.mode_configured)));
    }
    rows
}

fn row(label: &str, text: String) -> Vec<String> {
    vec![label.to_owned(), text]
}

fn rules(status: &Status) -> String {
    let rules = &status.rules;
    if let Some(why) = &rules.removed {
        return format!("REMOVED, everything passes: {why}");
    }
    let rearmed = match rules.rearmed {
        0 => String::new(),
        count => format!("; put back {} times", grouped(count)),
    };
    match (rules.managed, rules.present) {
        (false, _) => format!(
            "left to you (rules.manage = false){}",
            match rules.planned {
                None => "",
                Some(true) => "; the planned ones stand",
                Some(false) => "; the planned ones do not stand, yours must lead to the queues",
            }
        ),
        (true, None) => "not asked yet".to_owned(),
        (true, Some(true)) => format!(
            "in place ({}); gate dropped {}{rearmed}",
            rules.tool,
            grouped(rules.gate_dropped)
        ),
        (true, Some(false)) => {
            format!("NOT AS PLANNED ({}): {}{rearmed}", rules.tool, rules.faults.join("; "))
        }
    }
}

fn rule_set(status: &Status) -> String {
    let [v4, v6] = status.prefixes;
    format!(
        "generation {}, {} IPv4 and {} IPv6 prefixes, loaded {} ago",
        status.generation,
        grouped(v4 as u64),
        grouped(v6 as u64),
        span(status.now.saturating_sub(status.loaded))
    )
}

fn lists(status: &Status) -> String {
    let head = ["LIST", "ACTION", "PREFIXES", "DROPPED", "WOULD DROP", "EXEMPTED", "BASIS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for list in &status.lists {
        rows.push(vec![
            list.name.clone(),
            list.action.clone(),
            grouped(list.prefixes as u64),
            grouped(list.dropped),
            grouped(list.would_drop),
            grouped(list.exempted),
            list.basis.clone(),
        ]);
    }
    columns(&rows)
}

fn cameras(status: &Status) -> String {
    if status.cameras.len() < 2 {
        return String::new();
    }
    let mut rows = vec![vec!["CAMERA".to_owned(), "PACKETS".to_owned(), "DROPPED".to_owned()]];
    for camera in status.cameras.iter().take(CAMERAS) {
        rows.push(vec![camera.name.clone(), grouped(camera.packets), grouped(camera.dropped)]);
    }
    let more = status.cameras.len().saturating_sub(CAMERAS);
    let mut text = format!("\n{}", columns(&rows));
    if more > 0 {
        text.push_str(&format!("{more} more in -o json\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_smaller_than_asked_is_said_with_what_to_do() {
        let mut status = Status::sample();
        assert!(
            text(&status).contains("buffer 0 B of 976.6 KiB") && !text(&status).contains("BUFFER")
        );
        status.queues[0].buffer_size = Some(425_984);
        let said = text(&status);
        assert!(said.contains("buffer 0 B of 416.0 KiB"), "{said}");
        assert!(said.contains("BUFFER TOO SMALL: 976.6 KiB asked"), "{said}");
        assert!(said.contains("net.core.rmem_max=500000"), "{said}");
        status.queues[0].buffer_size = None;
        assert!(text(&status).contains("BUFFER UNKNOWN"));
    }

    #[test]
    fn nobody_reads_that_it_enforces_while_the_rules_are_removed() {
        let mut status = Status::sample();
        status.mode = "enforce".to_owned();
        assert!(text(&status).contains("ENFORCING; if the daemon is down"), "{}", text(&status));
        status.rules.removed = Some("a fire drill".to_owned());
        let said = text(&status);
        assert!(said.contains("OFF: the rules are removed"), "{said}");
        assert!(!said.contains("ENFORCING") && said.contains("a fire drill"), "{said}");
    }
}
