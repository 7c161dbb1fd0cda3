//! All cameras on a screen, or as CSV.
//!
//! A line of figures for each address, then what wants attention, in capitals.

use super::super::output::{self, columns, counted, day, grouped, span};
use crate::evidence::cameras::{CameraReport, CamerasReport};
use crate::explain::RUNNING;

pub(super) fn text(report: &CamerasReport) -> String {
    let head = ["CAMERA", "ADDRESS", "POLICY", "LAST SEEN", "DESTINATIONS", "FLOW MIN", "STOPPED"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for camera in &report.cameras {
        rows.push(vec![
            camera.name.clone(),
            camera.address.to_string(),
            camera.policy.clone().unwrap_or_else(|| "-".to_owned()),
            ago(camera.last, report.now),
            grouped(camera.destinations as u64),
            grouped(minutes(camera)),
            grouped(camera.dropped + camera.would_drop),
        ]);
    }
    let mut lines = columns(&rows).lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
    let mut text = lines.next().map_or(String::new(), |line| line + "\n");
    for (camera, line) in report.cameras.iter().zip(lines) {
        text.push_str(&format!("{line}\n"));
        for note in notes(camera, report.now) {
            text.push_str(&format!("  {note}\n"));
        }
    }
    text.push_str(&source(report));
    text
}

/// All flow minutes.
pub(super) fn minutes(camera: &CameraReport) -> u64 {
    camera.passed + camera.would_drop + camera.dropped
}

fn ago(last: Option<u64>, now: u64) -> String {
    last.map_or("never".to_owned(), |last| format!("{} ago", span(now.saturating_sub(last))))
}

/// What wants attention.
pub(super) fn notes(camera: &CameraReport, now: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if !camera.declared && !camera.only_forged {
        let mut what =
            vec![format!("UNDECLARED, first seen {}", camera.first.map_or_else(String::new, day))];
        what.extend(mac(camera));
        what.extend(camera.interface.as_ref().map(|name| format!("by {name}")));
        notes.push(what.join(", "));
    }
    if let Some(forged) = &camera.forged {
        let all = if camera.only_forged { "ALL OF IT FORGED" } else { "FORGED" };
        let from = forged.mac.map_or(String::new(), |mac| format!(" from MAC {mac}"));
        notes.push(format!(
            "{all}: {}, the last {} ago{from} to {}, {}",
            counted(camera.forged_minutes, "flow minute", "flow minutes"),
            span(now.saturating_sub(forged.at)),
            forged.destination,
            forged.why
        ));
    }
    if let Some(last) = &camera.last_drop {
        notes.push(format!(
            "last stopped: {}, {}, {} ago",
            last.destination,
            last.why,
            span(now.saturating_sub(last.at))
        ));
    }
    if camera.missed > 0 {
        notes.push(format!(
            "NO ROOM for further destinations: {} flow minutes",
            grouped(camera.missed)
        ));
    }
    notes
}

/// The MAC addresses that it came from.
pub(super) fn mac(camera: &CameraReport) -> Option<String> {
    let macs: Vec<String> = camera.macs.iter().map(ToString::to_string).collect();
    (!macs.is_empty()).then(|| format!("MAC {}", macs.join(" and ")))
}

/// Where this was read, and what there was no room for.
pub(super) fn source(report: &CamerasReport) -> String {
    let daemon = match report.source.as_str() {
        RUNNING => format!("{RUNNING} daemon, generation {}", report.generation),
        kept => format!("{kept}: no daemon runs"),
    };
    let mut text = format!("source: {daemon}; seen since {}\n", day(report.since));
    let lost = [
        (report.no_room.senders, "of further senders: the record is full"),
        (report.no_room.contacts, "to further destinations: the record is full"),
        (report.lost, "lost on the way to the record"),
    ];
    for (minutes, what) in lost.iter().filter(|(minutes, _)| *minutes > 0) {
        let minutes = counted(*minutes, "flow minute", "flow minutes");
        text.push_str(&format!("NO ROOM for {minutes} {what}\n"));
    }
    text
}

pub(super) fn csv(report: &CamerasReport) -> String {
    let head = [
        "camera",
        "declared",
        "site",
        "address",
        "mac_declared",
        "macs",
        "interface",
        "policy",
        "default",
        "first",
        "last",
        "destinations",
        "passed_minutes",
        "would_drop_minutes",
        "dropped_minutes",
        "forged_minutes",
        "packets",
        "packets_dropped",
        "last_drop",
        "source",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let number = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
    for camera in &report.cameras {
        let macs: Vec<String> = camera.macs.iter().map(ToString::to_string).collect();
        rows.push(vec![
            camera.name.clone(),
            camera.declared.to_string(),
            camera.site.clone().unwrap_or_default(),
            camera.address.to_string(),
            camera.mac.map_or(String::new(), |mac| mac.to_string()),
            macs.join(" "),
            camera.interface.clone().unwrap_or_default(),
            camera.policy.clone().unwrap_or_default(),
            camera.default.clone(),
            number(camera.first),
            number(camera.last),
            camera.destinations.to_string(),
            camera.passed.to_string(),
            camera.would_drop.to_string(),
            camera.dropped.to_string(),
            camera.forged_minutes.to_string(),
            number(camera.packets),
            number(camera.packets_dropped),
            camera.last_drop.as_ref().map_or(String::new(), |last| last.why.clone()),
            report.source.clone(),
        ]);
    }
    output::csv(&rows)
}
