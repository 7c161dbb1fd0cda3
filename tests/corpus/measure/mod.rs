//! Measures kordon on recorded traffic: what of it is dropped as a tunnel, and how early.
//!
//! Each file of a corpus holds the outward packets of one camera, in order. `ordinary` files must pass whole;
//! in the others, whose folder is named after the tunnel, every flow must be dropped within its first
//! [`EARLY`] packets, and nothing of it may pass after that.

#![expect(clippy::unwrap_used, reason = "in a measurement a panic is the report")]

pub(crate) mod pcap;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use kordon::decide::{Memory, decide};
use kordon::packet::{Addresses, Fragment, Held, parse};
use kordon::ruleset::{Builder, Ruleset};
use kordon::verdict::{Reason, Verdict};

use pcap::Packet;

/// The packet of a flow, counted from 1, at which a tunnel must have been recognised.
pub(crate) const EARLY: usize = 5;
/// Bytes of each packet that the queue copies unless configured otherwise (`queue.copy_range`).
const COPIED: usize = 128;
/// Longer than any packet of the recordings that was not merged on receipt.
const MTU: u32 = 1_500;
/// Where a look from the middle begins: kordon starts while the tunnel stands.
const MIDDLE: usize = 20;
/// OpenVPN with a shared key: no handshake, and not a byte that could be told from noise. `docs/configuration.md`
/// says that it is not recognised; were it one day, the document would be wrong.
const UNRECOGNISABLE: [&str; 2] =
    ["openvpn/openvpn-static-key-udp", "openvpn/openvpn-static-key-tcp"];

/// What is said about one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It passes.
    Passes,
    /// Dropped as belonging to a tunnel of this kind.
    Tunnel(&'static str),
    /// Dropped for another reason.
    Other(String),
}

/// A judge: one for each file, since each is another camera's.
pub(crate) type Judge = Box<dyn FnMut(&Packet) -> Answer>;

/// kordon with no list and every tunnel forbidden, as for cameras by default.
pub(crate) fn kordon() -> Judge {
    let rules = Ruleset::new(Vec::new(), Builder::default().compile());
    let mut memory = Memory::default();
    Box::new(move |packet| {
        memory.tick(packet.seconds);
        let decision = decide(&rules, &mut memory, held(packet));
        match (decision.verdict(), decision.reason) {
            (Verdict::Accept, _) => Answer::Passes,
            (Verdict::Drop, Reason::Tunnel(tunnel)) => Answer::Tunnel(tunnel.label()),
            (Verdict::Drop, reason) => Answer::Other(reason.to_string()),
        }
    })
}

/// The packet as the kernel would hand it over.
pub(crate) fn held(packet: &Packet) -> Held<'_> {
    Held {
        bytes: &packet.bytes[..packet.bytes.len().min(COPIED)],
        length: packet.length,
        aggregate: packet.length > MTU,
        interface: 0,
        mac: None,
    }
}

/// Source, destination, protocol and ports.
pub(crate) type FlowKey = (IpAddr, IpAddr, u8, Option<(u16, u16)>);

/// The flow that a packet belongs to. Nothing for later fragments, which say nothing of their flow and are
/// worth nothing without the first, nor for errors of ICMP, which a tunnel's host sends beside it.
pub(crate) fn flow(packet: &Packet) -> Option<FlowKey> {
    let headers = parse(held(packet)).ok()?;
    let (source, destination) = match headers.addresses {
        Addresses::V4 { source, destination } => (IpAddr::V4(source), IpAddr::V4(destination)),
        Addresses::V6 { source, destination } => (IpAddr::V6(source), IpAddr::V6(destination)),
    };
    let error = match headers.protocol {
        1 => packet.bytes.get(20).is_some_and(|kind| [3, 11, 12].contains(kind)),
        58 => packet.bytes.get(40).is_some_and(|kind| *kind < 128),
        _ => false,
    };
    let key = (source, destination, headers.protocol, headers.ports);
    (headers.fragment != Fragment::Later && !error).then_some(key)
}

/// What a judge made of one file.
#[derive(Debug)]
pub(crate) struct Measured {
    /// `class/program-variant`, with the set where it is the late one.
    pub(crate) name: String,
    /// Packets judged.
    pub(crate) packets: usize,
    /// Flows among them.
    pub(crate) flows: usize,
    /// Packets dropped as tunnels, by kind.
    pub(crate) tunnels: BTreeMap<&'static str, usize>,
    /// Packets dropped for other reasons.
    pub(crate) others: BTreeMap<String, usize>,
    /// Over all flows, the latest first drop: its place in the flow, from 1. Nothing where a flow passed.
    pub(crate) latest: Option<usize>,
    /// Whether every flow is dropped, and by which packet, when judged from the middle on.
    pub(crate) from_the_middle: Option<usize>,
    /// What is wrong, in words; empty when all is as it must be.
    pub(crate) wrong: Vec<String>,
}

impl Measured {
    /// The folder: `ordinary`, or the name of the tunnel.
    pub(crate) fn class(&self) -> &str {
        self.name.split('/').next().unwrap()
    }
}

/// Judges one file's packets in their order.
pub(crate) fn measure(name: &str, packets: &[Packet], judge: fn() -> Judge) -> Measured {
    let ordinary = name.starts_with("ordinary/");
    let (mut tunnels, mut others) = (BTreeMap::new(), BTreeMap::new());
    let mut wrong = Vec::new();
    let mut seen = Flows::default();
    let mut answer = judge();
    for (number, packet) in packets.iter().enumerate() {
        let said = answer(packet);
        match &said {
            Answer::Passes => {}
            Answer::Tunnel(kind) => *tunnels.entry(*kind).or_default() += 1,
            Answer::Other(reason) => *others.entry(reason.clone()).or_default() += 1,
        }
        if ordinary && said != Answer::Passes && wrong.len() < 3 {
            wrong.push(format!("packet {} of an ordinary program: {said:?}", number + 1));
        }
        seen.add(packet, &said);
    }
    let latest = seen.latest();
    if UNRECOGNISABLE.contains(&name.trim_end_matches(".late")) {
        if !tunnels.is_empty() {
            wrong.push("recognised, where the documents say that it cannot be".to_owned());
        }
    } else if !ordinary {
        let class = name.split('/').next().unwrap();
        if !tunnels.contains_key(class) {
            wrong.push(format!("nothing was dropped as {class}"));
        }
        wrong.extend(seen.missed());
    }
    let middle = &packets[MIDDLE.min(packets.len() / 2)..];
    let mut from_the_middle = Flows::default();
    let mut answer = judge();
    middle.iter().for_each(|packet| from_the_middle.add(packet, &answer(packet)));
    Measured {
        name: name.to_owned(),
        packets: packets.len(),
        flows: seen.0.len(),
        tunnels,
        others,
        latest,
        from_the_middle: from_the_middle.latest(),
        wrong,
    }
}

/// What became of each flow: packets so far, the first dropped as a tunnel, and how many passed after it.
#[derive(Default)]
struct Flows(HashMap<FlowKey, (usize, Option<usize>, usize)>);

impl Flows {
    fn add(&mut self, packet: &Packet, said: &Answer) {
        let Some(key) = flow(packet) else { return };
        let (count, first, leaked) = self.0.entry(key).or_default();
        *count += 1;
        match said {
            Answer::Tunnel(_) if first.is_none() => *first = Some(*count),
            Answer::Passes if first.is_some() => *leaked += 1,
            Answer::Passes | Answer::Tunnel(_) | Answer::Other(_) => {}
        }
    }

    /// The latest first drop of all flows; nothing if a flow was never dropped.
    fn latest(&self) -> Option<usize> {
        self.0.values().map(|(_, first, _)| *first).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The flows that were dropped too late, or never, or not to the end.
    fn missed(&self) -> Vec<String> {
        let words = |((source, destination, protocol, ports), (count, first, leaked)): (
            &FlowKey,
            &(usize, Option<usize>, usize),
        )| {
            let place = first
                .map_or("never dropped".to_owned(), |n| format!("first dropped at packet {n}"));
            format!(
                "{source} > {destination} protocol {protocol} ports {ports:?}: {place} of {count}, {leaked} passed after that"
            )
        };
        let bad = self
            .0
            .iter()
            .filter(|(_, (_, first, leaked))| first.is_none_or(|n| n > EARLY) || *leaked > 0);
        let mut bad: Vec<String> = bad.map(words).collect();
        bad.sort();
        bad.truncate(3);
        bad
    }
}

/// The files of a corpus: name and path, in the order of names.
pub(crate) fn files(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        if !folder.is_dir() {
            continue;
        }
        for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|extension| extension == "pcap") {
                let name = path.strip_prefix(root).unwrap().with_extension("");
                found.push((name.to_str().unwrap().to_owned(), path));
            }
        }
    }
    found.sort();
    found
}

/// Judges every file under these folders.
pub(crate) fn measure_all(roots: &[PathBuf], judge: fn() -> Judge) -> Vec<Measured> {
    let files = roots.iter().flat_map(|root| files(root));
    files.map(|(name, path)| measure(&name, &pcap::read(&path), judge)).collect()
}

/// The table that people read: one line for each file, then one for each class.
pub(crate) fn table(all: &[Measured]) -> String {
    let place = |place: Option<usize>| place.map_or("-".to_owned(), |n| n.to_string());
    let mut text = format!(
        "{:52} {:>8} {:>6} {:>8} {:>6} {:>6}  dropped as\n",
        "file", "packets", "flows", "dropped", "latest", "middle"
    );
    for one in all {
        let kinds = one.tunnels.iter().map(|(kind, count)| format!("{kind} {count}"));
        let others = one.others.iter().map(|(reason, count)| format!("({reason} {count})"));
        let kinds: Vec<String> = kinds.chain(others).collect();
        let dropped: usize = one.tunnels.values().chain(one.others.values()).sum();
        writeln!(
            text,
            "{:52} {:>8} {:>6} {:>8} {:>6} {:>6}  {}{}",
            one.name,
            one.packets,
            one.flows,
            dropped,
            place(one.latest),
            place(one.from_the_middle),
            kinds.join(", "),
            if one.wrong.is_empty() { "" } else { "  WRONG" }
        )
        .unwrap();
    }
    let mut classes: BTreeMap<&str, (usize, usize, usize, usize, usize)> = BTreeMap::new();
    for one in all {
        let sum = classes.entry(one.class()).or_default();
        sum.0 += 1;
        sum.1 += one.packets;
        sum.2 += one.flows;
        sum.3 += one.tunnels.values().sum::<usize>();
        sum.4 += usize::from(!one.wrong.is_empty());
    }
    text += "\nclass        files  packets  flows  dropped as tunnels  files wrong\n";
    for (class, (files, packets, flows, dropped, wrong)) in classes {
        writeln!(text, "{class:12} {files:>5} {packets:>8} {flows:>6} {dropped:>19} {wrong:>12}")
            .unwrap();
    }
    for one in all {
        for what in &one.wrong {
            writeln!(text, "WRONG: {}: {what}", one.name).unwrap();
        }
    }
    text
}
