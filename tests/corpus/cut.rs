//! Cuts the committed part out of the recording of one set, and writes the table of README.md.
//!
//! Of each file: the first packets of its flows, in the order of the recording, and of ordinary ones some later
//! packets, chosen evenly. Each packet is cut; its length on the wire stays in its header.

#![expect(clippy::unwrap_used, reason = "a tool of the developers': a panic is the report")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::measure::pcap::{self, Packet};
use crate::measure::{files, flow};

/// Packets of each flow, and of each file in all.
const OF_A_FLOW: usize = 8;
const OF_A_FILE: usize = 48;
/// Later packets of an ordinary file.
const LATER: usize = 12;
/// Bytes of each packet.
const SNAP: usize = 192;

const TABLE_BEGIN: &str = "<!-- the table of ";

/// Cuts the set in this folder, and writes its table.
pub(crate) fn cut(folder: &Path) {
    let set = folder.file_name().unwrap().to_str().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let suffix = if set == "late" { ".late" } else { "" };
    let mut bytes = 0;
    for (name, path) in files(folder) {
        let packets = pcap::read(&path);
        let chosen = choose(&packets, name.starts_with("ordinary/"));
        let target = root.join(format!("{name}{suffix}.pcap"));
        pcap::write(&target, &chosen, SNAP);
        bytes += std::fs::metadata(target).unwrap().len();
    }
    write_table(folder, set, &root.join("README.md"));
    println!("{set}: {bytes} bytes");
}

fn choose(packets: &[Packet], ordinary: bool) -> Vec<&Packet> {
    let mut counts = HashMap::new();
    let mut places = Vec::new();
    let mut rest = Vec::new();
    for (place, packet) in packets.iter().enumerate() {
        let count: &mut usize = counts.entry(flow(packet)).or_default();
        *count += 1;
        if *count <= OF_A_FLOW && places.len() < OF_A_FILE {
            places.push(place);
        } else {
            rest.push(place);
        }
    }
    if ordinary {
        let step = rest.len().div_ceil(LATER).max(1);
        places.extend(rest.into_iter().step_by(step));
        places.sort_unstable();
    }
    places.into_iter().map(|place| &packets[place]).collect()
}

/// One row for each recording: what it is, how many packets the whole of it has, and the camera's first command.
fn write_table(folder: &Path, set: &str, readme: &Path) {
    let index = std::fs::read_to_string(folder.join("index.jsonl")).unwrap();
    let mut table =
        "| file | program | packets | command |\n| --- | --- | --- | --- |\n".to_owned();
    let mut sum = 0;
    for line in index.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let commands = line["commands"].as_array().unwrap();
        let of = |role: &str| {
            commands
                .iter()
                .find(|command| command[0] == role)
                .and_then(|command| command[1].as_str())
        };
        let command = match (line["made"].as_bool(), of("camera"), of("server")) {
            (Some(true), ..) => "made, not recorded: `record/made.py`".to_owned(),
            (_, Some(command), _) | (_, None, Some(command)) => format!("`{}`", shortened(command)),
            (_, None, None) => String::new(),
        };
        sum += line["packets"].as_u64().unwrap();
        let (file, package, version) = (word("file"), word("package"), word("version"));
        writeln!(table, "| {file} | {package} {version} | {} | {command} |", line["packets"])
            .unwrap();
    }
    writeln!(table, "| all | | {sum} | |").unwrap();
    let text = std::fs::read_to_string(readme).unwrap();
    let (begin, end) =
        (format!("{TABLE_BEGIN}{set} begins -->\n"), format!("{TABLE_BEGIN}{set} ends -->"));
    let (before, rest) = text.split_once(&begin).expect("README.md has a place for the table");
    let (_, after) = rest.split_once(&end).expect("README.md says where the table ends");
    std::fs::write(readme, format!("{before}{begin}{table}{end}{after}")).unwrap();
}

/// A command as a table can hold it.
fn shortened(command: &str) -> String {
    let command = command.replace(['|', '`', '\n'], " ");
    match command.char_indices().nth(150) {
        Some((at, _)) => format!("{}…", &command[..at]),
        None => command,
    }
}
