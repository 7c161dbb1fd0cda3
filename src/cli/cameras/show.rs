//! `kordon cameras show`: what one camera sends to.

use super::super::output::{self, columns, day, grouped, span};
use super::table;
use crate::evidence::cameras::{CameraReport, CamerasReport, ContactReport, Outcome};
use crate::explain::Named;

pub(super) fn text(report: &CamerasReport) -> String {
    let mut text = String::new();
    for camera in &report.cameras {
        text.push_str(&one(camera, report.now));
    }
    text.push_str(&table::source(report));
    text
}

fn one(camera: &CameraReport, now: u64) -> String {
    let mut rows = Vec::new();
    let mut row = |label: &str, text: String| rows.push(vec![format!("  {label}"), text]);
    if let Some(site) = &camera.site {
        row("site", site.clone());
    }
    match (camera.mac, table::mac(camera)) {
        (Some(mac), _) => row("mac", format!("{mac}, declared")),
        (None, Some(seen)) => row("mac", format!("{}, as seen", seen.trim_start_matches("MAC "))),
        (None, None) => {}
    }
    if let Some(interface) = &camera.interface {
        row("interface", interface.clone());
    }
    let policy = camera.policy.as_deref().unwrap_or("everybody's");
    row("policy", format!("{policy}; unlisted destinations: {}", camera.default));
    match (camera.first, camera.last) {
        (Some(first), Some(last)) => {
            let ago = span(now.saturating_sub(last));
            row("seen", format!("first {}, last {ago} ago", day(first)));
        }
        (_, _) => row("seen", "never".to_owned()),
    }
    row(
        "flow min",
        format!(
            "{} = {} passed + {} would be dropped + {} dropped",
            grouped(table::minutes(camera)),
            grouped(camera.passed),
            grouped(camera.would_drop),
            grouped(camera.dropped)
        ),
    );
    if let (Some(packets), Some(dropped)) = (camera.packets, camera.packets_dropped) {
        let text = format!("{}, {} dropped, since the start", grouped(packets), grouped(dropped));
        row("packets", text);
    }
    let mut text = format!("{}  {}\n{}", camera.name, camera.address, columns(&rows));
    for note in table::notes(camera, now) {
        text.push_str(&format!("  {note}\n"));
    }
    if camera.contacts.is_empty() {
        return text;
    }
    let head = ["DESTINATION", "WHAT", "FIRST", "LAST", "FLOW MIN", "MET LAST"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(camera.contacts.iter().map(|contact| {
        vec![
            contact.contact.destination.to_string(),
            contact.what.clone(),
            day(contact.first),
            format!("{} ago", span(now.saturating_sub(contact.last))),
            grouped(contact.passed + contact.would_drop + contact.dropped),
            met(contact),
        ]
    }));
    text.push_str(&columns(&rows));
    text
}

pub(super) fn met(contact: &ContactReport) -> String {
    let list = contact.listed.as_ref().map_or(String::new(), |entry| format!(" by {}", entry.list));
    match (contact.outcome, contact.reason.as_str()) {
        (Outcome::Passed, "no_match") => "passed".to_owned(),
        (Outcome::Passed, reason) => format!("passed: {reason}"),
        (Outcome::WouldDrop, reason) => format!("WOULD DROP: {reason}{list}"),
        (Outcome::Dropped, reason) => format!("DROPPED: {reason}{list}"),
    }
}

pub(super) fn csv(report: &CamerasReport) -> String {
    let head = [
        "camera",
        "address",
        "destination",
        "protocol",
        "what",
        "first",
        "last",
        "outcome",
        "reason",
        "passed_minutes",
        "would_drop_minutes",
        "dropped_minutes",
        "list",
        "prefix",
        "origin_as",
        "basis",
        "source",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for camera in &report.cameras {
        rows.extend(camera.contacts.iter().map(|contact| {
            let listed =
                |of: fn(&Named) -> String| contact.listed.as_ref().map_or(String::new(), of);
            vec![
                camera.name.clone(),
                camera.address.to_string(),
                contact.contact.destination.to_string(),
                contact.contact.protocol.to_string(),
                contact.what.clone(),
                contact.first.to_string(),
                contact.last.to_string(),
                match contact.outcome {
                    Outcome::Passed => "passed",
                    Outcome::WouldDrop => "would_drop",
                    Outcome::Dropped => "dropped",
                }
                .to_owned(),
                contact.reason.clone(),
                contact.passed.to_string(),
                contact.would_drop.to_string(),
                contact.dropped.to_string(),
                listed(|entry| entry.list.clone()),
                listed(|entry| entry.prefix.clone()),
                listed(|entry| entry.origin_as.map_or(String::new(), |asn| asn.to_string())),
                listed(|entry| entry.basis.clone()),
                report.source.clone(),
            ]
        }));
    }
    output::csv(&rows)
}
