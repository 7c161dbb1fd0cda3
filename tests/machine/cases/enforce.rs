//! The service as systemd runs it: start, verdicts, reload.

use crate::frame::Way;
use crate::gateway::{
    BLOCKED, CAMERAS, CONFIG, Gateway, OFFICE, allowed, blocked, camera, office, tagged, way,
};
use crate::lab::Res;

/// The positive control of this group: without kordon, what it will block arrives.
pub(crate) fn everything_passes(gateway: &mut Gateway<'_>) -> Res<String> {
    let ways = [allowed(), blocked(), vec![office()]].concat();
    let passed = gateway.passes(&ways, 10)?;
    Ok(format!("{passed} of {passed} arrived"))
}

pub(crate) fn native_queue(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.enforcing()?;
    let rules = gateway.ok("nft list table inet kordon")?;
    if !rules.contains("queue flags fanout to 40-41") && !rules.contains("queue to 40-41") {
        return Err(format!("hold is not by nftables' queue:\n{rules}"));
    }
    let before = gateway.held()?;
    let passed = gateway.passes(&allowed(), 20)?;
    let stopped = gateway.blocked(&blocked(), 20)?;
    let judged = gateway.metric("kordon_packets_total")?;
    let dropped = gateway.metric("kordon_packets_dropped_total")?;
    if (judged, dropped) != (u64::from(passed + stopped), u64::from(stopped)) {
        return Err(format!(
            "judged {judged} and dropped {dropped} of {passed} + {stopped} probes"
        ));
    }
    let held = gateway.held()? - before;
    if held != judged {
        return Err(format!("held {held}, judged {judged}"));
    }
    Ok(format!("{passed} of {passed} allowed arrived, 0 of {stopped} blocked; judged {judged}"))
}

pub(crate) fn reload(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.enforcing()?;
    let new = [camera("198.51.100.10")];
    let before = gateway.passes(&new, 10)?;
    gateway.write("/etc/kordon/lists.d/blocked.txt", &format!("{BLOCKED}198.51.100.0/28\n"))?;
    gateway.ok("systemctl reload kordon")?;
    let stopped = gateway.blocked(&new, 10)?;
    // Refused: the list that is in force stays in force.
    gateway.write("/etc/kordon/lists.d/blocked.txt", "203.0.113.0/255\n")?;
    let status = gateway.sh("systemctl reload kordon")?.code;
    if status == Some(0) {
        return Err("systemctl reload succeeds with a list that cannot be read".to_owned());
    }
    let still = gateway.blocked(&[new.to_vec(), blocked()].concat(), 10)?;
    let passed = gateway.passes(&[camera("203.0.113.20")], 10)?;
    gateway.ok("systemctl is-active kordon")?;
    Ok(format!(
        "{before} arrived before, 0 of {stopped} after a good one; refused with status {}: 0 of {still} \
         arrived, {passed} of {passed} elsewhere",
        status.unwrap_or(-1)
    ))
}

/// The tags that a frame may carry, with what the machine does with it where kordon's rules do not stand.
const TAGS: &[(&str, &[u16], bool)] = &[
    ("camera VLAN", &[CAMERAS], true),
    ("office VLAN", &[OFFICE], true),
    ("untagged", &[], true),
    ("priority tag alone", &[0], true),
    ("priority tag within the camera VLAN", &[CAMERAS, 0], true),
    ("a VLAN without a device", &[99], false),
    ("camera VLAN within itself", &[CAMERAS, CAMERAS], false),
    ("camera VLAN within the office's", &[OFFICE, CAMERAS], false),
    ("office VLAN within the cameras'", &[CAMERAS, OFFICE], false),
];

/// A camera's address on every kind of frame: what the machine forwards at all is judged by its source.
pub(crate) fn tags(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.ok("systemctl stop kordon; kordon rules remove --why 'the control'")?;
    let mut open = Vec::new();
    for (name, tags, arrives) in TAGS {
        let (yes, no) = each(gateway, tags, "198.51.100.10", "203.0.113.10")?;
        if (yes, no) != if *arrives { (10, 10) } else { (0, 0) } {
            return Err(format!("without kordon, {name}: {yes} and {no} of 10 arrive"));
        }
        open.push(*name);
    }
    gateway.enforcing()?;
    let mut judged = Vec::new();
    for (name, tags, arrives) in TAGS {
        let (yes, no) = each(gateway, tags, "198.51.100.10", "203.0.113.10")?;
        if (yes, no) != if *arrives { (10, 0) } else { (0, 0) } {
            return Err(format!("{name}: {yes} of 10 allowed and {no} of 10 blocked arrive"));
        }
        judged.push(format!("{name} {yes}/10 and {no}/10"));
    }
    Ok(format!("allowed and blocked: {}", judged.join(", ")))
}

/// An address that is no camera's: only where all but trusted interfaces are cameras is it judged.
pub(crate) fn strangers(gateway: &mut Gateway<'_>) -> Res<String> {
    let stranger = |tags: &[u16]| way(tags, "192.0.2.200", "203.0.113.10");
    let kinds: [(&str, &[u16]); 4] = [
        ("camera VLAN", &[CAMERAS]),
        ("office VLAN", &[OFFICE]),
        ("untagged", &[]),
        ("priority tag", &[0]),
    ];
    let count = |gateway: &mut Gateway<'_>| -> Res<Vec<u32>> {
        kinds.iter().map(|(_, tags)| arrive(gateway, &stranger(tags))).collect()
    };
    gateway.enforcing()?;
    let listed = count(gateway)?;
    let trusting = CONFIG
        .replace("interfaces = [\"lan0.20\"]", "trusted_interfaces = [\"wan0\", \"lan0.30\"]")
        .replace("networks = [\"192.0.2.0/26\", \"2001:db8:1::/64\"]\n", "");
    gateway.write("/etc/kordon/kordon.toml", &trusting)?;
    gateway.ok("systemctl restart kordon")?;
    let inverted = count(gateway)?;
    let passed = gateway.passes(&allowed(), 5)?;
    gateway.enforcing()?;
    if (&listed[..], &inverted[..]) != (&[0, 10, 10, 10], &[0, 10, 0, 0]) {
        return Err(format!(
            "arrived by interface: {listed:?}; by trusted interfaces: {inverted:?}"
        ));
    }
    Ok(format!(
        "to a blocked address, of 10 each from {}: {listed:?} arrive where camera interfaces are named, \
         {inverted:?} where trusted ones are; {passed} of {passed} allowed",
        kinds.map(|(name, _)| name).join(", ")
    ))
}

/// How many of ten probes to each address arrive.
fn each(gateway: &mut Gateway<'_>, tags: &[u16], yes: &str, no: &str) -> Res<(u32, u32)> {
    Ok((arrive(gateway, &tagged(tags, yes))?, arrive(gateway, &tagged(tags, no))?))
}

fn arrive(gateway: &mut Gateway<'_>, way: &Way) -> Res<u32> {
    crate::wire::leaks(gateway.wires, std::slice::from_ref(way), &office(), 10)
}

/// A camera interface that belongs to another one never is what packets enter by: refused, with its name.
pub(crate) fn belongs_to_another(gateway: &mut Gateway<'_>) -> Res<String> {
    let mut counts = Vec::new();
    for (kind, master, make) in [
        ("bridge", "br0", "ip link add br0 type bridge && ip link set br0 up"),
        ("VRF", "cams", "ip link add cams type vrf table 100 && ip link set cams up"),
    ] {
        gateway.enforcing()?;
        gateway.ok(&format!("{make} && ip link set lan0.20 master {master}"))?;
        let started = gateway.sh("systemctl restart kordon")?;
        let status = gateway.ok("systemctl show -p ExecMainStatus --value kordon")?;
        let said = gateway.ok("journalctl -q -u kordon --no-pager -o cat -n 20")?;
        let leaked = crate::wire::leaks(gateway.wires, &blocked(), &office(), 10)?;
        gateway.ok(&format!("ip link delete {master}; ip link set lan0.20 up"))?;
        gateway.ok("networkctl reconfigure lan0.20 && /lib/systemd/systemd-networkd-wait-online --timeout=30 -i lan0.20:routable")?;
        if started.code == Some(0) || status.trim() != "69" || !said.contains(master) {
            return Err(format!(
                "{kind}: start {}, status {status}, journal: {said}",
                started.said()
            ));
        }
        if leaked > 0 {
            return Err(format!("{kind}: {leaked} blocked packets arrived"));
        }
        counts.push(format!("{kind} member: status 69, {master} named, 0 of 30 blocked arrived"));
    }
    gateway.enforcing()?;
    let passed = gateway.passes(&allowed(), 10)?;
    Ok(format!("{}; freed: {passed} of {passed} allowed arrived", counts.join("; ")))
}

/// A flowtable on the cameras' VLAN, as a router's fast path would have it, is found and named; without it nothing is.
pub(crate) fn flowtable(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.enforcing()?;
    let before = finding(gateway, "flowtables")?;
    gateway.ok(
        "nft -f - <<'END'\n\
         table inet router {\n\
         flowtable fastpath { hook ingress priority 0; devices = { lan0.20, wan0 }; }\n\
         chain forward { type filter hook forward priority 0; meta l4proto { tcp, udp } flow add @fastpath; }\n\
         }\nEND",
    )?;
    let with = finding(gateway, "flowtables")?;
    gateway.ok("nft delete table inet router")?;
    let after = finding(gateway, "flowtables")?;
    let named = |(result, detail): &(String, String)| {
        result == "fail" && detail.contains("fastpath") && detail.contains("lan0.20")
    };
    match before.0 == "pass" && named(&with) && after.0 == "pass" {
        true => Ok(format!("without it `pass`, with it `fail`: {}", with.1)),
        false => Err(format!("before {before:?}, with it {with:?}, after {after:?}")),
    }
}

/// nftables' own queue with `bypass`, without a gate, or over a queue that nobody reads is named; rules as planned
/// are not.
pub(crate) fn altered(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.enforcing()?;
    // Nobody puts them back.
    gateway.write("/etc/kordon/kordon.toml", &format!("{CONFIG}\n[rules]\nmanage = false\n"))?;
    gateway.ok("systemctl restart kordon")?;
    let queue = |rule: &str| {
        format!(
            "nft -f - <<'END'\nflush chain inet kordon queue_camera\n\
             add rule inet kordon queue_camera meta mark set meta mark & 0xcfffffff\n\
             add rule inet kordon queue_camera {rule}\nEND"
        )
    };
    let mut said = Vec::new();
    for (change, subject, wanted, says) in [
        (String::from("true"), "bypass", "pass", "dropped"),
        (queue("queue flags bypass to 40-41"), "bypass", "warn", "only the gate stops it"),
        ("nft flush chain inet kordon gate".to_owned(), "bypass", "fail", "passes unjudged"),
        (queue("queue to 40-42"), "balance", "fail", "1 of 3 queues have no reader (42)"),
        (queue("queue to 40-41"), "balance", "pass", "no rule"),
    ] {
        gateway.ok(&change)?;
        let (result, detail) = finding(gateway, subject)?;
        if result != wanted || !detail.contains(says) {
            return Err(format!("after `{change}`, {subject}: {result}, {detail}"));
        }
        said.push(format!("{subject} {result}"));
    }
    gateway.enforcing()?;
    let stopped = gateway.blocked(&blocked(), 10)?;
    Ok(format!("{}; put back: 0 of {stopped} blocked arrived", said.join(", ")))
}

/// What `kordon doctor` says of a subject first: result and detail.
fn finding(gateway: &mut Gateway<'_>, subject: &str) -> Res<(String, String)> {
    let output = gateway.sh("kordon doctor -o json")?;
    let all: serde_json::Value = serde_json::from_str(&output.stdout)
        .map_err(|error| format!("{error}: {}", output.said()))?;
    let findings = all["findings"].as_array().into_iter().flatten();
    let mut about = findings.filter(|finding| finding["subject"] == subject);
    let finding =
        about.next().ok_or_else(|| format!("nothing about {subject}: {}", output.stdout))?;
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    Ok((text("result").to_lowercase(), text("detail")))
}
