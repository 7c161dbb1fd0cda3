//! `kordon cameras stopped`: which camera tried to reach whom, by which list it was stopped, and on what that rests.

use super::super::output::{columns, counted, day, grouped, span};
use super::{show, table};
use crate::evidence::cameras::CamerasReport;

pub(super) fn text(report: &CamerasReport) -> String {
    let head = [
        "CAMERA",
        "ADDRESS",
        "DESTINATION",
        "WHAT",
        "FIRST",
        "LAST",
        "FLOW MIN",
        "MET LAST",
        "BASIS",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for camera in &report.cameras {
        rows.extend(camera.contacts.iter().map(|contact| {
            let basis = contact.listed.as_ref().map(|entry| entry.basis.clone());
            vec![
                camera.name.clone(),
                camera.address.to_string(),
                contact.contact.destination.to_string(),
                contact.what.clone(),
                day(contact.first),
                format!("{} ago", span(report.now.saturating_sub(contact.last))),
                grouped(contact.would_drop + contact.dropped),
                show::met(contact),
                basis.unwrap_or_else(|| "-".to_owned()),
            ]
        }));
    }
    let mut text = match rows.len() {
        1 => "nothing was stopped\n".to_owned(),
        _ => columns(&rows),
    };
    let forged: u64 = report.cameras.iter().map(|camera| camera.forged_minutes).sum();
    if forged > 0 {
        let minutes = counted(forged, "flow minute", "flow minutes");
        text.push_str(&format!(
            "and {minutes} of forged packets, of nobody known: kordon cameras\n"
        ));
    }
    text.push_str(&table::source(report));
    text
}
