//! Judgements about the machine: kernel, files, interfaces, sysctls, buffers, queues.

use std::path::PathBuf;

use super::Finding;
use super::facts::{Facts, Reader, Step, USER, Way};
use crate::control::message::QueueStatus;
use crate::failure::ExitStatus;

/// The oldest kernel that is known to do what is needed.
const OLDEST: (u32, u32) = (5, 10);
/// `CAP_NET_ADMIN` (include/uapi/linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;
/// Address data older than this many seconds is worth a look: a quarter of a year.
const OLD: u64 = 90 * 86_400;

pub(super) fn kernel(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "kernel";
    let mut numbers = facts.release.split(['.', '-', '+']).map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => {
            findings.push(Finding::pass(SUBJECT, format!("Linux {}", facts.release)));
        }
        (Some(_), Some(_)) => findings.push(Finding::fail(
            SUBJECT,
            format!("Linux {} is older than {}.{}", facts.release, OLDEST.0, OLDEST.1),
            "install a newer kernel",
        )),
        (_, _) => findings.push(Finding::skip(
            SUBJECT,
            format!("`{}` is no release that can be compared", facts.release),
        )),
    }
    findings.push(match facts.queue_module {
        true => Finding::pass(SUBJECT, "queues are there (nfnetlink_queue)"),
        false => Finding::fail(
            SUBJECT,
            "no queues: the module nfnetlink_queue is not loaded",
            "modprobe nfnetlink_queue",
        ),
    });
    findings.push(match &facts.tool {
        Ok(tool) => Finding::pass(SUBJECT, format!("{tool} can hold packets")),
        Err(failure) if failure.status == ExitStatus::NoPermission => {
            Finding::skip(SUBJECT, "only root can ask which tool can hold packets")
        }
        Err(failure) => Finding::fail(
            SUBJECT,
            failure.message.replace('\n', "; "),
            "modprobe nft_queue || modprobe xt_NFQUEUE; apt install nftables iptables",
        ),
    });
    if let Some(Reader { name, capabilities: Some(set), .. }) = &facts.reader {
        findings.push(match set >> CAP_NET_ADMIN & 1 {
            1 => Finding::pass(SUBJECT, format!("the daemon ({name}) has CAP_NET_ADMIN")),
            _ => Finding::fail(
                SUBJECT,
                format!("the daemon ({name}) lacks CAP_NET_ADMIN"),
                "systemctl cat kordon    # AmbientCapabilities=CAP_NET_ADMIN",
            ),
        });
    }
}

pub(super) fn lists(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "lists";
    let lists = match &facts.lists {
        None => return,
        Some(Ok(lists)) => lists,
        Some(Err(failure)) if failure.status == ExitStatus::NoPermission => {
            return findings.push(Finding::skip(SUBJECT, failure.message.replace('\n', "; ")));
        }
        Some(Err(failure)) => {
            let detail = failure.message.replace('\n', "; ");
            return findings.push(Finding::fail(SUBJECT, detail, "kordon check"));
        }
    };
    let [v4, v6] = lists.prefixes;
    findings.push(Finding::pass(SUBJECT, format!("{v4} IPv4 and {v6} IPv6 prefixes")));
    for (name, date, seconds) in &lists.origins {
        let age = facts.now.saturating_sub(*seconds);
        findings.push(if age > OLD {
            Finding::warn(
                "origin",
                format!("{name}: data of {date}, {} days old: prefixes change hands", age / 86_400),
                "put a newer table in its place, then kordon reload",
            )
        } else {
            Finding::pass("origin", format!("{name}: data of {date}"))
        });
    }
    match facts.sysctls.get("ipv6/conf/all/forwarding").map(String::as_str) {
        Some("0") => findings.push(Finding::pass("ipv6", "not forwarded")),
        Some(_) if v6 == 0 => findings.push(Finding::warn(
            "ipv6",
            "IPv6 is forwarded, and no list names an IPv6 prefix: by IPv6 everything passes",
            "add IPv6 prefixes, or: sysctl -w net.ipv6.conf.all.forwarding=0",
        )),
        Some(_) => findings.push(Finding::pass("ipv6", "forwarded, and listed")),
        None => findings.push(Finding::pass("ipv6", "not in this kernel")),
    }
}

pub(super) fn readable(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "files";
    let Some(reader) = &facts.reader else {
        if !facts.ways.is_empty() {
            findings.push(Finding::warn(
                SUBJECT,
                format!("there is no user {USER}, as whom the service runs"),
                "systemd-sysusers, or install the package",
            ));
        }
        return;
    };
    let before = findings.len();
    for way in &facts.ways {
        match obstacle(way, reader) {
            Ok(()) => {}
            Err(Obstacle::Unseen(path)) => findings
                .push(Finding::skip(SUBJECT, format!("{}: may not be looked at", path.display()))),
            Err(Obstacle::Closed(path)) => findings.push(Finding::fail(
                SUBJECT,
                format!("{}: not readable for {}", path.display(), reader.name),
                format!("chgrp {USER} {0} && chmod g+rX {0}", path.display()),
            )),
        }
    }
    if findings.len() == before && !facts.ways.is_empty() {
        let detail = format!("{} files, all readable for {}", facts.ways.len(), reader.name);
        findings.push(Finding::pass(SUBJECT, detail));
    }
}

/// Two rule sets with the full routing table and what else is kept take so many bytes (docs/operations.md, Sizing).
const STATE: u64 = 64 << 20;
/// Not even the mode can be counted upon to be kept.
const NOTHING: u64 = 1 << 20;

/// What shall outlive the daemon can be written.
pub(super) fn state(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "state";
    const LOST: &str = "a mode or an entry set by command, and the last good rule set, are not kept for the next start";
    let Some((folder, room)) = &facts.state else { return };
    let folder = folder.display();
    findings.push(match room {
        None => Finding::warn(
            SUBJECT,
            format!("{folder}: cannot be looked at, or is not there: {LOST}"),
            format!("systemd-tmpfiles --create; ls -ld {folder}"),
        ),
        Some(room) if room.read_only => Finding::fail(
            SUBJECT,
            format!("{folder} is mounted read-only: {LOST}"),
            format!("findmnt -T {folder}, then mount it for writing"),
        ),
        Some(room) if room.free < NOTHING => Finding::fail(
            SUBJECT,
            format!("no room in {folder}: {LOST}"),
            format!("df -h {folder}"),
        ),
        Some(room) if room.free < STATE => Finding::warn(
            SUBJECT,
            format!("{} MiB left for {folder}: soon {LOST}", room.free >> 20),
            format!("df -h {folder}"),
        ),
        Some(_) => Finding::pass(SUBJECT, format!("{folder} has room")),
    });
}

/// What keeps somebody from a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// This may not be read or entered.
    Closed(PathBuf),
    /// This cannot be looked at.
    Unseen(PathBuf),
}

/// What keeps this reader from the end of a way: folders are entered (x), the file is read (r). Access
/// control lists are not looked at.
pub(super) fn obstacle(way: &Way, reader: &Reader) -> Result<(), Obstacle> {
    if reader.uid == 0 {
        return Ok(());
    }
    let last = way.steps.len().saturating_sub(1);
    for (place, (path, step)) in way.steps.iter().enumerate() {
        let Some(step) = step else { return Err(Obstacle::Unseen(path.clone())) };
        let wanted = if place == last { 0o4 } else { 0o1 };
        if granted(step, reader) & wanted == 0 {
            return Err(Obstacle::Closed(path.clone()));
        }
    }
    Ok(())
}

/// The kernel takes the first class that fits, not the most generous one.
fn granted(step: &Step, reader: &Reader) -> u32 {
    if step.uid == reader.uid {
        step.mode >> 6
    } else if reader.gids.contains(&step.gid) {
        step.mode >> 3
    } else {
        step.mode
    }
}

pub(super) fn interfaces(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "interfaces";
    for name in &facts.missing_interfaces {
        let detail = format!("{name}: no such interface now; its rules wait for it");
        findings.push(Finding::warn(SUBJECT, detail, "ip -br link"));
    }
    for one in &facts.enslaved {
        findings.push(Finding::fail(
            SUBJECT,
            one.to_string(),
            format!("write \"{}\" into cameras.interfaces", one.master),
        ));
    }
    if facts.enslaved.is_empty() && !facts.interfaces.is_empty() {
        findings.push(Finding::pass(SUBJECT, facts.interfaces.join(", ")));
    }
}

pub(super) fn sysctls(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "sysctl";
    let value = |name: &str| facts.sysctls.get(name).and_then(|text| text.parse::<i64>().ok());
    let before = findings.len();
    match value("ipv4/ip_forward") {
        Some(0) => findings.push(Finding::fail(
            SUBJECT,
            "net.ipv4.ip_forward=0: this is no gateway, nothing is forwarded",
            "sysctl -w net.ipv4.ip_forward=1",
        )),
        Some(_) => {}
        None => findings.push(Finding::skip(SUBJECT, "net.ipv4.ip_forward cannot be read")),
    }
    for name in &facts.interfaces {
        let of = |key: &str, interface: &str| value(&format!("ipv4/conf/{interface}/{key}"));
        let both = |key: &str| of(key, "all").zip(of(key, name));
        // Which of the two counts: include/linux/inetdevice.h (IN_DEV_RPFILTER and its neighbours).
        if both("rp_filter").is_some_and(|(all, own)| all.max(own) == 0) {
            findings.push(Finding::warn(
                SUBJECT,
                format!("rp_filter is off on {name}: a camera may send with another's address"),
                format!("sysctl -w net.ipv4.conf.{name}.rp_filter=1"),
            ));
        }
        if both("accept_source_route").is_some_and(|(all, own)| all == 1 && own == 1) {
            findings.push(Finding::warn(
                SUBJECT,
                format!(
                    "accept_source_route is on for {name}: a packet may name its way past lists"
                ),
                format!("sysctl -w net.ipv4.conf.{name}.accept_source_route=0"),
            ));
        }
        if both("send_redirects").is_some_and(|(all, own)| all == 1 || own == 1) {
            findings.push(Finding::warn(
                SUBJECT,
                format!("send_redirects is on for {name}: cameras are told of ways around the gateway"),
                format!(
                    "sysctl -w net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.{name}.send_redirects=0"
                ),
            ));
        }
        // A router takes one only where both say so.
        if both("accept_redirects").is_some_and(|(all, own)| all == 1 && own == 1) {
            findings.push(Finding::warn(
                SUBJECT,
                format!(
                    "accept_redirects is on for {name}: a camera may bend this gateway's routes"
                ),
                format!("sysctl -w net.ipv4.conf.{name}.accept_redirects=0"),
            ));
        }
        let v6 = |key: &str| value(&format!("ipv6/conf/{name}/{key}"));
        // Segment routing needs both (`ipv6_srh_rcv`, net/ipv6/exthdrs.c); 0 takes routing header 2 alone, which
        // leads to no other host.
        let segments = both_on(value("ipv6/conf/all/seg6_enabled"), v6("seg6_enabled"));
        for (key, on) in [
            ("seg6_enabled", segments),
            ("rpl_seg_enabled", v6("rpl_seg_enabled") == Some(1)),
            ("accept_source_route", v6("accept_source_route").is_some_and(|value| value > 0)),
        ] {
            if on {
                findings.push(Finding::warn(
                    SUBJECT,
                    format!("{key} (IPv6) is on for {name}: a packet may name its way past lists"),
                    format!("sysctl -w net.ipv6.conf.{name}.{key}=0"),
                ));
            }
        }
    }
    if findings.len() == before {
        findings.push(Finding::pass(SUBJECT, "forwarding, and what protects it, as it should be"));
    }
}

fn both_on(all: Option<i64>, own: Option<i64>) -> bool {
    all.zip(own).is_some_and(|(all, own)| all.min(own) > 0)
}

pub(super) fn buffers(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "buffers";
    let Ok(config) = &facts.config else { return };
    let asked = config.queue.buffer_bytes as u64;
    if let Ok(status) = &facts.status {
        findings.extend(buffers_granted(&status.queues));
        return;
    }
    let most = facts.sysctls.get("core/rmem_max").and_then(|text| text.parse::<u64>().ok());
    findings.push(match most {
        Some(most) if most.saturating_mul(2) >= asked => {
            Finding::pass(SUBJECT, format!("net.core.rmem_max={most} is enough for {asked} bytes"))
        }
        Some(most) => Finding::pass(
            SUBJECT,
            format!("net.core.rmem_max={most}; {asked} bytes are had by CAP_NET_ADMIN alone"),
        ),
        None => Finding::skip(SUBJECT, "net.core.rmem_max cannot be read"),
    });
}

/// What the daemon got of the buffers that it asked for.
fn buffers_granted(queues: &[QueueStatus]) -> Option<Finding> {
    const SUBJECT: &str = "buffers";
    if let Some(unknown) = queues.iter().find(|queue| queue.buffer_size.is_none()) {
        let detail = format!(
            "the buffer of queue {} cannot be read or set: its losses are seen late or not at all",
            unknown.number
        );
        let fix = "set queue.backend = \"native\", then kordon restart";
        return Some(Finding::warn(SUBJECT, detail, fix));
    }
    let (least, size) = queues
        .iter()
        .filter_map(|queue| Some((queue, queue.buffer_size?)))
        .min_by_key(|(_, size)| *size)?;
    Some(match least.too_small() {
        Some(asked) => {
            let detail = format!("{size} bytes granted of {asked} asked: bursts are lost sooner");
            let fix = format!("sysctl -w net.core.rmem_max={}, then kordon restart", asked / 2);
            Finding::warn(SUBJECT, detail, fix)
        }
        None => Finding::pass(SUBJECT, format!("{size} bytes for each queue, as asked")),
    })
}
