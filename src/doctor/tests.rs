use std::collections::BTreeMap;
use std::path::PathBuf;

use super::facts::{Lists, Reader, Room, Step, Way};
use super::marks::{iptables_touches, nft_touches};
use super::queueing::{iptables_queue, nft_queue};
use super::system::{Obstacle, obstacle};
use super::*;
use crate::config::Config;
use crate::control::message::{ModeUnconfirmed, Paused};
use crate::netfilter::{Enslaved, Observed, Presence, Tool};
use crate::verdict::{Family, Mark};

const MARK: Mark = Mark { value: 0x1000_0000, mask: 0x3000_0000 };

fn config() -> Config {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("kordon-doctor-{}-{number}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    let text = "[cameras]\ninterfaces = [\"vlan20\"]\n[queue]\ncount = 1\nbuffer_bytes = 1000000\n\
                [[list]]\nname = \"x\"\npath = \"x\"\nkind = \"prefix\"\naction = \"block\"\n";
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    config
}

fn status() -> Status {
    Status::sample()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn link(name: &str, kind: &str) -> Link {
    Link { name: name.to_owned(), kind: kind.to_owned(), up: true, ..Link::default() }
}

/// A gateway with nothing wrong.
fn good() -> Facts {
    let sysctls = [
        ("ipv4/ip_forward", "1"),
        ("ipv6/conf/all/forwarding", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/vlan20/rp_filter", "1"),
        ("ipv4/conf/all/accept_source_route", "0"),
        ("ipv4/conf/vlan20/accept_source_route", "1"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/vlan20/send_redirects", "0"),
        ("ipv4/conf/all/accept_redirects", "0"),
        ("ipv4/conf/vlan20/accept_redirects", "1"),
        ("ipv6/conf/all/seg6_enabled", "0"),
        ("ipv6/conf/vlan20/accept_source_route", "0"),
        ("core/rmem_max", "212992"),
    ];
    let step = |uid, mode| Some(Step { uid, gid: 0, mode });
    let way = Way {
        steps: vec![
            (PathBuf::from("/"), step(0, 0o755)),
            (PathBuf::from("/etc/kordon"), step(0, 0o755)),
            (PathBuf::from("/etc/kordon/kordon.toml"), step(0, 0o644)),
        ],
    };
    Facts {
        config: Ok(config()),
        lists: Some(Ok(Lists {
            prefixes: [3, 1],
            origins: vec![("asn".to_owned(), "2026-06-17".to_owned(), 1_000_000_000)],
        })),
        status: Ok(status()),
        release: "6.1.0-18-amd64".to_owned(),
        queue_module: true,
        tool: Ok(Tool::Iptables),
        rules: Some(Ok(Observed {
            open: false,
            hold: [Presence::AsPlanned, Presence::AsPlanned],
            gate: [Presence::AsPlanned, Presence::AsPlanned],
            gate_dropped: [Some(0), Some(0)],
            hold_input: false,
            gate_input: true,
            input: [
                [Presence::Absent, Presence::Absent],
                [Presence::AsPlanned, Presence::AsPlanned],
            ],
            tunnels_dropped: [Some(0), Some(0)],
            held: [0; 4],
            past: Vec::new(),
            misplaced: false,
        })),
        ways: vec![way],
        reader: Some(Reader {
            name: "kordon".to_owned(),
            uid: 990,
            gids: vec![990],
            capabilities: Some(1 << 12),
        }),
        state: Some((
            PathBuf::from("/var/lib/kordon"),
            Some(Room { read_only: false, free: 1 << 30 }),
        )),
        interfaces: vec!["vlan20".to_owned()],
        missing_interfaces: Vec::new(),
        enslaved: Vec::new(),
        sysctls: sysctls.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        queue_table: Some("   40      7     0 2   128     0     0        9  1\n".to_owned()),
        iptables: vec![(
            Family::V4,
            "mangle",
            lines(
                "-P FORWARD ACCEPT\n-N kordon-queue\n-A FORWARD -p tcp -j TCPMSS --clamp-mss-to-pmtu\n\
                 -A FORWARD -j kordon-hold\n-A kordon-queue -j MARK --set-xmark 0x0/0x30000000\n\
                 -A kordon-queue -j NFQUEUE --queue-num 40",
            ),
        )],
        nft: Some("table inet kordon {\n\tchain x {\n\t\tmeta mark set 0x1\n\t}\n}\n".to_owned()),
        flowtables: Ok(r#"{"nftables":[{"metainfo":{}}]}"#.to_owned()),
        links: Some(vec![
            link("eth0", ""),
            link("eth1", ""),
            link("vlan20", "vlan"),
            Link { up: false, ..link("tunl0", "ipip") },
        ]),
        routes: Some(vec![Route {
            to: "default".to_owned(),
            device: "eth0".to_owned(),
            gateway: Some("198.51.100.1".to_owned()),
        }]),
        redirected: vec![("vlan20".to_owned(), Vec::new())],
        lower: BTreeMap::from([("vlan20".to_owned(), vec!["eth1".to_owned()])]),
        nftables_conf: Some("#!/usr/sbin/nft -f\nflush ruleset\n".to_owned()),
        drop_in: true,
        legacy: Some(Vec::new()),
        now: 1_000_000_000 + 86_400,
    }
}

#[test]
fn a_good_gateway_passes_in_everything() {
    let findings = examine(&good());
    let bad: Vec<_> = findings.iter().filter(|f| f.result != Outcome::Pass).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(findings.len() >= 18, "{} findings", findings.len());
}

/// Makes one thing wrong and returns what is found about it.
fn with(change: impl FnOnce(&mut Facts)) -> Vec<Finding> {
    let mut facts = good();
    change(&mut facts);
    examine(&facts).into_iter().filter(|finding| finding.result != Outcome::Pass).collect()
}

/// Exactly one finding, of this kind, that says this, and how to mend it.
#[track_caller]
fn one(found: &[Finding], subject: &str, result: Outcome, says: &str) {
    let [finding] = found else { panic!("not one finding: {found:#?}") };
    assert_eq!((finding.subject, finding.result), (subject, result), "{finding:#?}");
    assert!(finding.detail.contains(says), "{finding:#?}");
    assert_eq!(finding.fix.is_some(), result != Outcome::Skip, "{finding:#?}");
}

#[test]
fn a_configuration_that_is_missing_or_wrong_has_a_command_that_helps() {
    for (status, fix) in
        [(ExitStatus::NoInput, "kordon setup"), (ExitStatus::BadConfig, "kordon check")]
    {
        let found =
            about(with(|facts| facts.config = Err(Failure::new(status, "x.toml: odd"))), "config");
        one(&found, "config", Outcome::Fail, "x.toml: odd");
        assert!(found[0].fix.as_ref().unwrap().starts_with(fix), "{found:?}");
    }
}

#[test]
fn a_daemon_in_trouble_is_found() {
    use Outcome::{Fail, Skip, Warn};
    let down = || Err(Failure::new(ExitStatus::NotRunning, "the daemon is not running"));
    let found = with(|facts| {
        facts.status = down();
        facts.queue_table = Some(String::new());
    });
    one(&about(found, "daemon"), "daemon", Fail, "not running");
    let running = |change: fn(&mut Status)| {
        with(|facts| {
            let mut status = status();
            change(&mut status);
            facts.status = Ok(status);
        })
    };
    one(&running(|status| status.ready = false), "daemon", Fail, "not ready");
    one(&running(|status| status.queues[0].stalled = true), "daemon", Fail, "queue 40");
    one(&running(|status| status.mode = "monitor".into()), "daemon", Warn, "monitor");
    let paused = Paused { until: 9, by: "root".into(), why: "a drill".into() };
    let found = with(|facts| facts.status = Ok(Status { paused: Some(paused), ..status() }));
    one(&found, "daemon", Warn, "blocked packets pass: a drill");
    let waits = Some(ModeUnconfirmed { until: 9, back_to: "monitor".into() });
    let found = with(|facts| facts.status = Ok(Status { mode_unconfirmed: waits, ..status() }));
    one(&found, "daemon", Warn, "not confirmed: back to monitor");
    one(&running(|status| status.queues[0].lost[0] = 3), "daemon", Warn, "3 packets");
    one(&running(|s| s.last_reload_refused = Some("x:1:2".into())), "daemon", Warn, "x:1:2");
    one(&running(|s| s.rules.removed = Some("drill".into())), "daemon", Fail, "drill");
    let found = with(|facts| {
        facts.status = Err(Failure::new(ExitStatus::NoPermission, "permission denied"));
    });
    assert!(found.iter().all(|finding| finding.result == Skip), "{found:#?}");
}

#[test]
fn a_kernel_that_lacks_something_is_found() {
    use Outcome::{Fail, Skip};
    one(&with(|facts| facts.release = "5.4.0".into()), "kernel", Fail, "older than 5.10");
    one(&with(|facts| facts.release = "next".into()), "kernel", Skip, "`next`");
    assert!(with(|facts| facts.release = "5.10.0-28".into()).is_empty());
    one(&with(|facts| facts.queue_module = false), "kernel", Fail, "nfnetlink_queue");
    let missing = Failure::new(ExitStatus::Unavailable, "no way to hold packets");
    one(&with(|facts| facts.tool = Err(missing)), "kernel", Fail, "no way");
    let found = with(|facts| facts.reader.as_mut().unwrap().capabilities = Some(0));
    one(&found, "kernel", Fail, "CAP_NET_ADMIN");
}

#[test]
fn old_data_and_unlisted_ipv6_are_found() {
    use Outcome::Warn;
    one(&with(|facts| facts.now += 120 * 86_400), "origin", Warn, "121 days old");
    let no_v6 = |facts: &mut Facts| {
        if let Some(Ok(lists)) = &mut facts.lists {
            lists.prefixes = [3, 0];
        }
    };
    one(&with(no_v6), "ipv6", Warn, "no list names an IPv6 prefix");
    let found = with(|facts| {
        no_v6(facts);
        facts.sysctls.insert("ipv6/conf/all/forwarding".into(), "0".into());
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_file_that_the_daemons_user_cannot_read_is_found() {
    let reader = |uid, gids: &[u32]| Reader {
        name: "kordon".into(),
        uid,
        gids: gids.to_vec(),
        capabilities: None,
    };
    let way = |folder: u32, file: u32| Way {
        steps: vec![
            (PathBuf::from("/etc/kordon"), Some(Step { uid: 0, gid: 990, mode: folder })),
            (PathBuf::from("/etc/kordon/a"), Some(Step { uid: 0, gid: 0, mode: file })),
        ],
    };
    let closed = |path: &str| Err(Obstacle::Closed(PathBuf::from(path)));
    let kordon = reader(990, &[990]);
    assert_eq!(obstacle(&way(0o750, 0o644), &kordon), Ok(()));
    assert_eq!(obstacle(&way(0o700, 0o644), &kordon), closed("/etc/kordon"));
    assert_eq!(obstacle(&way(0o750, 0o640), &kordon), closed("/etc/kordon/a"));
    // The group counts where it fits, however generous the rest is.
    assert_eq!(obstacle(&way(0o705, 0o644), &kordon), closed("/etc/kordon"));
    assert_eq!(obstacle(&way(0o705, 0o644), &reader(5, &[5])), Ok(()));
    assert_eq!(obstacle(&way(0o000, 0o000), &reader(0, &[0])), Ok(()), "root");
    let found = with(|facts| facts.ways[0].steps[2].1.as_mut().unwrap().mode = 0o600);
    one(&found, "files", Outcome::Fail, "/etc/kordon/kordon.toml: not readable for kordon");
    let found = with(|facts| facts.ways[0].steps[2].1 = None);
    one(&found, "files", Outcome::Skip, "/etc/kordon/kordon.toml");
    one(&with(|facts| facts.reader = None), "files", Outcome::Warn, "no user kordon");
}

#[test]
fn state_that_cannot_be_kept_is_found() {
    use Outcome::{Fail, Warn};
    let found = |room: Option<Room>| {
        with(|facts| facts.state = Some((PathBuf::from("/var/lib/kordon"), room)))
    };
    let room = |read_only, free| found(Some(Room { read_only, free }));
    one(&room(true, 1 << 30), "state", Fail, "/var/lib/kordon is mounted read-only");
    one(&room(false, 0), "state", Fail, "no room in /var/lib/kordon");
    one(&room(false, 20 << 20), "state", Warn, "20 MiB left");
    one(&found(None), "state", Warn, "not there");
    assert!(room(false, 64 << 20).is_empty());
}

#[test]
fn interfaces_sysctls_and_buffers_that_are_wrong_are_found() {
    use Outcome::{Fail, Warn};
    let found = with(|facts| facts.missing_interfaces.push("vlan30".into()));
    one(&found, "interfaces", Warn, "vlan30");
    let found = with(|facts| {
        facts.enslaved.push(Enslaved {
            configured: "vlan20".into(),
            interface: "vlan20".into(),
            master: "br0".into(),
            kind: "bridge".into(),
        });
    });
    one(&found, "interfaces", Fail, "br0");
    let set = |name: &'static str, value: &'static str| {
        with(move |facts| {
            facts.sysctls.insert(name.into(), value.into());
        })
    };
    one(&set("ipv4/ip_forward", "0"), "sysctl", Fail, "ip_forward");
    one(&set("ipv4/conf/vlan20/rp_filter", "0"), "sysctl", Warn, "rp_filter");
    one(&set("ipv4/conf/all/accept_source_route", "1"), "sysctl", Warn, "accept_source_route");
    one(&set("ipv4/conf/vlan20/send_redirects", "1"), "sysctl", Warn, "send_redirects");
    one(&set("ipv4/conf/all/accept_redirects", "1"), "sysctl", Warn, "accept_redirects");
    let v6 = "ipv6/conf/vlan20/accept_source_route";
    one(&set(v6, "1"), "sysctl", Warn, "accept_source_route (IPv6)");
    assert!(set(v6, "-1").is_empty() && set("ipv6/conf/vlan20/seg6_enabled", "1").is_empty());
    let found = with(|facts| {
        for name in ["all", "vlan20"] {
            facts.sysctls.insert(format!("ipv6/conf/{name}/seg6_enabled"), "1".into());
        }
    });
    one(&found, "sysctl", Warn, "seg6_enabled");
    let found = with(|facts| {
        let mut status = status();
        status.queues[0].buffer_size = Some(425_984);
        facts.status = Ok(status);
    });
    one(&found, "buffers", Warn, "425984 bytes granted of 1000000");
    assert!(found[0].fix.as_ref().unwrap().contains("rmem_max=500000"));
    let found = with(|facts| {
        let mut status = status();
        status.queues[0].buffer_size = None;
        facts.status = Ok(status);
    });
    one(&found, "buffers", Warn, "queue 40 cannot be read or set");
}

#[test]
fn a_queue_of_another_process_is_found() {
    let found = with(|facts| {
        facts.status = Err(Failure::new(ExitStatus::NotRunning, "not running"));
    });
    let queues = about(found, "queues");
    one(&queues, "queues", Outcome::Fail, "queue 40 belongs to another process");
    let found = with(|facts| facts.queue_table = Some("   41      7     0 2\n".to_owned()));
    one(&about(found, "queues"), "queues", Outcome::Fail, "0 of 1 queues have a reader");
    one(&with(|facts| facts.queue_table = None), "queues", Outcome::Skip, "only root");
}

#[test]
fn rules_that_are_gone_or_stand_in_the_way_are_found() {
    use Outcome::{Fail, Warn};
    let found = with(|facts| {
        if let Some(Ok(rules)) = &mut facts.rules {
            rules.gate[1] = Presence::Absent;
        }
    });
    one(&found, "rules", Fail, "ipv6: hold present; gate absent");
    let rule = |place: usize, text: &'static str| {
        with(move |facts| facts.iptables[0].2.insert(place, text.to_owned()))
    };
    let found = rule(4, "-A FORWARD -p tcp -m comment --comment late -j TCPMSS --set-mss 1400");
    one(&found, "hold", Warn, "--comment late");
    let found = rule(2, "-A FORWARD -s 192.0.2.9/32 -j ACCEPT");
    one(&found, "hold", Warn, "ahead of hold");
    assert!(rule(2, "-A FORWARD -j DSCP --set-dscp 0x10").is_empty());
}

#[test]
fn rules_of_others_that_use_kordons_bits_are_found() {
    for (rule, touches) in [
        ("-A PREROUTING -j CONNMARK --restore-mark", true),
        ("-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff", false),
        ("-A POSTROUTING -j CONNMARK --save-mark", false),
        ("-A PREROUTING -j MARK --set-xmark 0x10000000/0x10000000", true),
        ("-A PREROUTING -j MARK --set-xmark 0x1/0xff", false),
        ("-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff", true),
        ("-A FORWARD -m mark --mark 0x20000000/0x20000000 -j ACCEPT", true),
        ("-A FORWARD -m mark --mark 0x1 -j ACCEPT", false),
        ("-A FORWARD -j ACCEPT", false),
    ] {
        assert_eq!(iptables_touches(rule, MARK), touches, "{rule}");
    }
    for (rule, touches) in [
        ("meta mark set ct mark", true),
        ("meta mark set 0x00000001", true),
        ("meta mark set meta mark & 0xffffff00 | 0x00000001", false),
        ("meta mark set meta mark & 0x0fffffff", true),
        ("meta mark set meta mark | 0x10000000", true),
        ("meta mark set meta mark | 0x00000004", false),
        ("meta mark & 0x10000000 == 0x10000000 accept", true),
        ("meta mark 0x00000001 accept", false),
        ("ct mark set meta mark", false),
        ("tcp dport 22 accept", false),
    ] {
        assert_eq!(nft_touches(rule, MARK), touches, "{rule}");
    }
    let found = with(|facts| {
        facts.nft = Some("table ip vpn {\n\tchain a {\n\t\tmeta mark set ct mark\n\t}\n}\n".into());
    });
    one(&found, "marks", Outcome::Warn, "nft, table ip vpn: meta mark set ct mark");
    // iptables-nft's tables are read by iptables.
    let found = with(|facts| {
        facts.nft = Some("table ip mangle {\n\tchain a {\n\t\tmeta mark set 0x1\n\t}\n}\n".into());
    });
    assert!(found.is_empty(), "{found:#?}");
    let found = with(|facts| {
        facts.iptables[0].2.push("-A PREROUTING -j CONNMARK --restore-mark".to_owned());
    });
    one(&found, "marks", Outcome::Warn, "iptables-nft -t mangle -A PREROUTING");
}

#[test]
fn a_flowtable_is_found_by_its_name_and_by_what_it_forwards() {
    let listing = |devices: &str, flags: &str| {
        format!(
            r#"{{"nftables":[{{"flowtable":{{"family":"inet","name":"fastpath","table":"fw",
            "handle":1,"hook":"ingress","prio":0,"dev":{devices}{flags}}}}}]}}"#
        )
    };
    let found = |devices: &str, flags: &str| {
        let text = listing(devices, flags);
        with(move |facts| facts.flowtables = Ok(text))
    };
    use Outcome::{Fail, Warn};
    one(&found(r#"["eth0","vlan20"]"#, ""), "flowtables", Fail, "fastpath (inet fw) forwards past");
    one(&found(r#"["eth0","eth1"]"#, ""), "flowtables", Fail, "`eth1`");
    one(&found(r#""eth0""#, ""), "flowtables", Warn, "fastpath (inet fw) forwards eth0");
    let hardware = found(r#"["vlan20"]"#, r#","flags":"offload""#);
    one(&hardware, "flowtables", Fail, "in hardware");
    let denied = Failure::new(ExitStatus::NoPermission, "no");
    one(&with(|facts| facts.flowtables = Err(denied)), "flowtables", Outcome::Skip, "only root");
}

#[test]
fn what_flushes_or_stands_beside_is_found() {
    let found = with(|facts| facts.drop_in = false);
    one(&found, "flush", Outcome::Warn, "flushes all rules");
    let found = with(|facts| {
        facts.drop_in = false;
        facts.nftables_conf = Some("# flush ruleset\n".into());
    });
    assert!(found.is_empty(), "{found:#?}");
    let found = with(|facts| facts.legacy = Some(vec!["iptables-legacy -t filter -A X".into()]));
    one(&found, "legacy", Outcome::Warn, "iptables-legacy -t filter -A X");
    one(&with(|facts| facts.legacy = None), "legacy", Outcome::Skip, "only root");
}

/// The first rule of IPv4's mangle table that leads to the queue.
const QUEUE: &str = "-A kordon-queue -j NFQUEUE --queue-num 40";

/// The facts with hold's rule replaced by this one.
fn queued(facts: &mut Facts, rule: &str) {
    let lines = &mut facts.iptables[0].2;
    let place = lines.iter().position(|line| line == QUEUE).unwrap();
    lines[place] = rule.to_owned();
}

fn no_gate(facts: &mut Facts) {
    if let Some(Ok(rules)) = &mut facts.rules {
        rules.gate = [Presence::Absent, Presence::Absent];
    }
}

/// What is found about one subject.
fn about(found: Vec<Finding>, subject: &str) -> Vec<Finding> {
    found.into_iter().filter(|finding| finding.subject == subject).collect()
}

#[test]
fn a_queue_is_read_from_either_tools_words() {
    for (rule, wanted) in [
        ("-A x -j NFQUEUE --queue-num 40", Some((40..=40, false))),
        ("-A x -i cam0 -j NFQUEUE --queue-balance 40:43 --queue-bypass", Some((40..=43, true))),
        ("-A x -j NFQUEUE", Some((0..=0, false))),
        ("-A x -j DROP", None),
    ] {
        assert_eq!(iptables_queue(rule), wanted, "{rule}");
    }
    for (rule, wanted) in [
        ("queue to 40", Some((40..=40, false))),
        ("queue flags bypass,fanout to 40-43", Some((40..=43, true))),
        (
            "iifname \"cam0\" counter packets 0 bytes 0 queue num 40-43 bypass",
            Some((40..=43, true)),
        ),
        ("counter name \"held\" queue flags bypass to 40-43", Some((40..=43, true))),
        ("queue", Some((0..=0, false))),
        ("queue to numgen inc mod 4", None),
        ("accept", None),
    ] {
        assert_eq!(nft_queue(rule), wanted, "{rule}");
    }
}

#[test]
fn a_bypass_is_found_whether_the_gate_stands_or_not() {
    use Outcome::{Fail, Warn};
    let bypassing = "-A kordon-queue -j NFQUEUE --queue-num 40 --queue-bypass";
    one(&with(|facts| queued(facts, bypassing)), "bypass", Warn, "only the gate stops it");
    let found = with(|facts| {
        queued(facts, bypassing);
        no_gate(facts);
    });
    one(&about(found, "bypass"), "bypass", Fail, "passes unjudged: `iptables-nft -t mangle");
    // In nftables' own table, for both families.
    let listed = "table inet mine {\n\tchain a {\n\t\tqueue flags bypass to 40\n\t}\n}\n";
    let found = with(|facts| {
        facts.nft = Some(listed.to_owned());
        no_gate(facts);
    });
    one(&about(found, "bypass"), "bypass", Fail, "nft, table inet mine, chain a");
    // Another program's queue is its own matter.
    let found = with(|facts| facts.nft = Some(listed.replace("40", "7")));
    assert!(found.is_empty(), "{found:#?}");
    let open = |facts: &mut Facts| {
        queued(facts, bypassing);
        no_gate(facts);
        if let (Ok(config), Some(Ok(rules))) = (&mut facts.config, &mut facts.rules) {
            config.on_failure = crate::config::OnFailure::Open;
            rules.open = true;
            rules.gate_input = false;
            rules.input[1] = [Presence::Absent, Presence::Absent];
        }
    };
    one(&with(open), "bypass", Warn, "open by configuration");
    let found = with(|facts| {
        open(facts);
        if let Ok(config) = &mut facts.config {
            config.mode = crate::config::Mode::Monitor;
        }
    });
    assert!(found.is_empty(), "monitor mode is always open: {found:#?}");
}

#[test]
fn a_balanced_range_with_a_queue_that_nobody_reads_is_found() {
    let balanced = "-A kordon-queue -j NFQUEUE --queue-balance 40:42";
    let found = with(|facts| queued(facts, balanced));
    one(&found, "balance", Outcome::Fail, "2 of 3 queues have no reader (41, 42)");
    let found = with(|facts| {
        queued(facts, balanced);
        facts.queue_table = Some(String::new());
    });
    one(&about(found, "balance"), "balance", Outcome::Skip, "nobody reads");
    let found = with(|facts| {
        queued(facts, balanced);
        facts.queue_table = Some("40 7 0\n41 8 0\n42 9 0\n".to_owned());
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn ipv6_that_no_rule_holds_is_found() {
    use Outcome::Fail;
    let unmanaged = |facts: &mut Facts| {
        if let Ok(config) = &mut facts.config {
            config.rules.manage = false;
        }
    };
    // iptables' rules of the admin's own, for IPv4 alone.
    let found = with(unmanaged);
    one(&found, "ipv6", Fail, "only IPv4 is held");
    let both = (Family::V6, "mangle", vec!["-A mine -j NFQUEUE --queue-num 40".to_owned()]);
    let found = with(|facts| {
        unmanaged(facts);
        facts.iptables.push(both);
    });
    assert!(found.is_empty(), "{found:#?}");
    let found = with(|facts| {
        unmanaged(facts);
        facts.sysctls.insert("ipv6/conf/all/forwarding".into(), "0".into());
    });
    assert!(found.is_empty(), "not forwarded: {found:#?}");
    let found = with(|facts| {
        if let Some(Ok(rules)) = &mut facts.rules {
            rules.hold[1] = Presence::Absent;
        }
    });
    one(&about(found, "ipv6"), "ipv6", Fail, "only IPv4 is held");
    let found = with(|facts| {
        if let Ok(config) = &mut facts.config {
            config.cameras.interfaces.clear();
            config.cameras.networks = vec!["192.0.2.0/24".parse().unwrap()];
        }
    });
    one(&about(found, "ipv6"), "ipv6", Fail, "known by IPv4 networks alone");
}

#[test]
fn rules_of_the_admins_own_are_compared_where_they_carry_kordons_names() {
    let left = |change: fn(&mut Observed)| {
        with(|facts| {
            if let (Ok(config), Some(Ok(rules))) = (&mut facts.config, &mut facts.rules) {
                config.rules.manage = false;
                change(rules);
            }
            facts.sysctls.insert("ipv6/conf/all/forwarding".into(), "0".into());
        })
    };
    assert!(left(|_| {}).is_empty());
    let skipped = left(|rules| {
        rules.hold = [Presence::Absent, Presence::Absent];
        rules.gate = [Presence::Absent, Presence::Absent];
    });
    one(&skipped, "rules", Outcome::Skip, "rules verify");
    let altered = left(|rules| rules.gate[0] = Presence::Different("not the first rule".into()));
    one(&altered, "rules", Outcome::Fail, "not the first rule");
}

#[test]
fn queues_and_rules_of_others_are_found() {
    let found = with(|facts| {
        if let Ok(config) = &mut facts.config {
            config.queue.count = 2;
        }
        facts.queue_table = Some("40 7 0\n41 99 0\n".to_owned());
    });
    one(&found, "queues", Outcome::Fail, "queue 41 belongs to another process (netlink port 99)");
    let found =
        with(|facts| facts.iptables[0].2.push("-A PREROUTING -j NFQUEUE --queue-num 40".into()));
    one(&found, "queues", Outcome::Warn, "rules of others feed kordon's queues");
}

#[test]
fn what_skips_hold_by_a_detour_is_found() {
    let rule = |rules: &'static [&'static str]| {
        with(move |facts| {
            for rule in rules.iter().rev() {
                facts.iptables[0].2.insert(2, (*rule).to_owned());
            }
        })
    };
    let skipping: [&[&str]; 4] = [
        &["-A FORWARD -j tenant", "-A tenant -s 192.0.2.9/32 -j inner", "-A inner -j ACCEPT"],
        &["-A FORWARD -p udp -g tenant"],
        &["-A FORWARD -j NFQUEUE --queue-num 7"],
        &["-A FORWARD ! -i lan0 -j ACCEPT"],
    ];
    for rules in skipping {
        one(&rule(rules), "hold", Outcome::Warn, "ahead of hold");
    }
    let harmless: [&[&str]; 4] = [
        &["-A FORWARD -j tenant", "-A tenant -j RETURN", "-A tenant -j tenant"],
        &["-A FORWARD -i lan0 -j ACCEPT"],
        &["-A FORWARD -j DROP"],
        &["-A FORWARD -j tenant", "-A tenant -i lan0 -j ACCEPT"],
    ];
    for rules in harmless {
        assert!(rule(rules).is_empty(), "{rules:?}");
    }
}

#[test]
fn a_mark_that_is_set_between_hold_and_gate_forges_the_pass() {
    use Outcome::{Fail, Warn};
    let nft = |text: &'static str| with(move |facts| facts.nft = Some(text.to_owned()));
    let chain = |hook: &str, rule: &str| {
        format!(
            "table inet vpn {{\n\tchain a {{\n\t\ttype filter hook {hook}; policy accept;\n\t\t{rule}\n\t}}\n}}\n"
        )
    };
    for (hook, rule, result) in [
        ("forward priority filter", "meta mark set ct mark", Fail),
        ("forward priority filter", "meta mark & 0x10000000 == 0x10000000 accept", Warn),
        ("forward priority security + 110", "meta mark set ct mark", Warn),
        ("prerouting priority mangle", "meta mark set ct mark", Warn),
    ] {
        let text: &'static str = Box::leak(chain(hook, rule).into_boxed_str());
        one(&nft(text), "marks", result, rule);
    }
    let iptables = |table: &'static str, rule: &str| {
        let lines = vec![rule.to_owned()];
        with(move |facts| facts.iptables.push((Family::V6, table, lines)))
    };
    let restore = "-A FORWARD -j CONNMARK --restore-mark";
    one(&iptables("filter", restore), "marks", Fail, "forge kordon's pass");
    one(&iptables("security", restore), "marks", Warn, "--restore-mark");
    one(&iptables("filter", "-A INPUT -j CONNMARK --restore-mark"), "marks", Warn, "INPUT");
}

#[test]
fn proxies_and_copies_are_found() {
    use Outcome::Warn;
    let rule = |table: &'static str, rule: &'static str| {
        with(move |facts| facts.iptables.push((Family::V6, table, vec![rule.to_owned()])))
    };
    one(&rule("nat", "-A PREROUTING -p tcp -j REDIRECT --to-ports 3128"), "proxy", Warn, "3128");
    one(&rule("mangle", "-A PREROUTING -j TEE --gateway 2001:db8::9"), "copies", Warn, "TEE");
    assert!(rule("mangle", "-A PREROUTING -i lan0 -j TEE --gateway 2001:db8::9").is_empty());
    assert!(rule("nat", "-A OUTPUT -p tcp -j REDIRECT --to-ports 53").is_empty());
    let nft = |rule: &str| {
        let text = format!("table ip x {{\n\tchain a {{\n\t\t{rule}\n\t}}\n}}\n");
        with(move |facts| facts.nft = Some(text))
    };
    one(&nft("tcp dport 80 redirect to :3128"), "proxy", Warn, "redirect to :3128");
    one(&nft("tcp dport 80 tproxy to 127.0.0.1:3128"), "proxy", Warn, "tproxy");
    one(&nft("iifname \"vlan20\" dup to 192.0.2.9 device \"eth0\""), "copies", Warn, "dup to");
    one(&nft("fwd to \"eth0\""), "copies", Warn, "fwd to");
    assert!(nft("ip daddr 192.0.2.9 dnat to 192.0.2.10").is_empty());
}

#[test]
fn a_bridge_that_forwards_past_hold_is_found() {
    use Outcome::{Fail, Warn};
    let bridged = |change: &dyn Fn(&mut Facts)| {
        with(|facts| {
            if let Some(links) = &mut facts.links {
                links.push(link("br0", "bridge"));
                for port in ["eth1", "eth2"] {
                    links.push(Link { master: Some("br0".into()), ..link(port, "") });
                }
            }
            facts.sysctls.insert("bridge/bridge-nf-call-iptables".into(), "0".into());
            facts.sysctls.insert("bridge/bridge-nf-call-ip6tables".into(), "0".into());
            change(facts);
        })
    };
    // vlan20 stands on eth1, so its frames are bridged as well.
    one(&bridged(&|_| {}), "bridges", Warn, "br0 carries cameras and bridges between eth1, eth2");
    let found = bridged(&|facts| {
        if let Some(routes) = &mut facts.routes {
            routes[0].device = "br0".into();
        }
    });
    one(&found, "bridges", Fail, "the way out (by 198.51.100.1)");
    let filtered = bridged(&|facts| {
        facts.sysctls.insert("bridge/bridge-nf-call-iptables".into(), "1".into());
        facts.sysctls.insert("bridge/bridge-nf-call-ip6tables".into(), "1".into());
    });
    assert!(filtered.is_empty(), "{filtered:#?}");
    let by_itself = bridged(&|facts| {
        for link in facts.links.iter_mut().flatten() {
            link.filtered = [true, true];
        }
    });
    assert!(by_itself.is_empty(), "{by_itself:#?}");
    let chip = bridged(&|facts| {
        facts.sysctls.insert("bridge/bridge-nf-call-iptables".into(), "1".into());
        facts.sysctls.insert("bridge/bridge-nf-call-ip6tables".into(), "1".into());
        for link in facts.links.iter_mut().flatten().filter(|link| link.master.is_some()) {
            link.switch = Some("00e0".into());
        }
    });
    one(&chip, "bridges", Warn, "a switch chip");
    let elsewhere = with(|facts| {
        if let Some(links) = &mut facts.links {
            links.push(link("br9", "bridge"));
            for port in ["eth8", "eth9"] {
                links.push(Link { master: Some("br9".into()), ..link(port, "") });
            }
        }
    });
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

#[test]
fn uplinks_tunnels_and_programs_below_are_found() {
    use Outcome::{Fail, Skip, Warn};
    let route = |to: &str, device: &str| Route {
        to: to.to_owned(),
        device: device.to_owned(),
        gateway: Some("192.0.2.77".to_owned()),
    };
    let routed = |more: Route| with(move |facts| facts.routes.as_mut().unwrap().push(more));
    one(&routed(route("default", "wwan0")), "uplinks", Warn, "2 ways out: eth0, wwan0");
    one(&routed(route("128.0.0.0/1", "ppp0")), "uplinks", Warn, "eth0, ppp0");
    assert!(routed(route("default", "eth0")).is_empty(), "the same device twice");
    assert!(routed(route("10.0.0.0/8", "lan0")).is_empty());
    one(
        &routed(route("10.0.0.0/8", "vlan20")),
        "uplinks",
        Fail,
        "10.0.0.0/8 via 192.0.2.77 dev vlan20",
    );
    one(&routed(route("default", "eth1")), "uplinks", Fail, "among the cameras");
    let device = |link: Link| with(move |facts| facts.links.as_mut().unwrap().push(link));
    one(&device(link("wg0", "wireguard")), "tunnels", Warn, "wg0 (wireguard, on whatever port)");
    // Known ways to wrap are dropped on their way to the gateway, while its gate stands.
    let vxlan = |port: u16| Link { port: Some(port), ..link("vx0", "vxlan") };
    one(&device(vxlan(4790)), "tunnels", Warn, "vx0 (vxlan, port 4790)");
    assert!(device(vxlan(4789)).is_empty() && device(link("gre1", "gre")).is_empty());
    let without = with(|facts| {
        facts.links.as_mut().unwrap().push(vxlan(4789));
        if let Some(Ok(rules)) = &mut facts.rules {
            rules.input[1][1] = Presence::Absent;
        }
    });
    one(&about(without, "tunnels"), "tunnels", Warn, "vx0 (vxlan, port 4789)");
    let off = with(|facts| {
        facts.links.as_mut().unwrap().push(link("gre1", "gre"));
        if let Ok(config) = &mut facts.config {
            config.rules.drop_tunnels_to_gateway = false;
        }
    });
    one(&off, "tunnels", Warn, "gre1 (gre)");
    assert!(device(link("tap0", "tap")).is_empty() && device(link("dummy0", "dummy")).is_empty());
    let held = with(|facts| {
        facts.links.as_mut().unwrap().push(link("wg0", "wireguard"));
        if let Ok(config) = &mut facts.config {
            config.cameras.trusted_interfaces = vec!["eth0".into()];
        }
    });
    assert!(held.is_empty(), "what is not trusted is held: {held:#?}");
    let xdp = |name: &str| device(Link { xdp: true, ..link(name, "") });
    one(&xdp("eth1"), "redirects", Warn, "XDP");
    assert!(xdp("eth7").is_empty());
    let found = with(|facts| facts.redirected[0].1.push("eth0".into()));
    one(&found, "redirects", Fail, "tc sends what enters by vlan20");
    one(&with(|facts| facts.links = None), "network", Skip, "ip -j");
}

#[test]
fn what_ip_and_tc_list_is_read() {
    use super::network::{links, redirected, routes};
    let listed = r#"[{"ifname":"lo","flags":["LOOPBACK"]},{"ifname":"c1","flags":["UP","LOWER_UP"],"master":"br0",
        "phys_switch_id":"00e0","xdp":{"mode":1},"linkinfo":{"info_kind":"veth","info_slave_kind":"bridge"}},
        {"ifname":"br0","flags":[],"linkinfo":{"info_kind":"bridge","info_data":{"nf_call_iptables":1,"nf_call_ip6tables":0}}},
        {"ifname":"tap0","flags":["UP"],"linkinfo":{"info_kind":"tun","info_data":{"type":"tap"}}},
        {"ifname":"vx0","linkinfo":{"info_kind":"vxlan","info_data":{"port":4789}}},{}]"#;
    let found = links(listed).unwrap();
    assert_eq!((found.len(), found[4].port), (5, Some(4789)));
    assert_eq!(
        found[1],
        Link {
            master: Some("br0".into()),
            switch: Some("00e0".into()),
            xdp: true,
            ..link("c1", "veth")
        }
    );
    assert_eq!(
        (found[2].filtered, found[2].up, found[3].kind.as_str()),
        ([true, false], false, "tap")
    );
    assert!(links("Cannot open").is_none());
    let listed = r#"[{"dst":"default","table":"100","flags":[],"nexthops":[{"gateway":"192.0.2.8","dev":"a"},
        {"gateway":"192.0.2.7","dev":"b"}]},{"dst":"default","gateway":"192.0.2.9","dev":"c"},
        {"dst":"default","dev":"ppp0","scope":"link"},{"dst":"192.0.2.0/25","dev":"c","scope":"link"},
        {"type":"local","dst":"192.0.2.1","dev":"c","table":"local"},{"type":"unreachable","dst":"default","dev":"lo"},
        {"dst":"10.0.0.0/8","via":{"family":"inet6","host":"fe80::1"},"dev":"d"}]"#;
    let found: Vec<_> =
        routes(listed).unwrap().into_iter().map(|r| (r.device, r.gateway.is_some())).collect();
    let wanted = [("a", true), ("b", true), ("c", true), ("ppp0", false), ("d", true)];
    assert_eq!(found, wanted.map(|(device, via)| (device.to_owned(), via)));
    assert_eq!(routes("\n"), Some(Vec::new()));
    assert!(routes("Error").is_none());
    let listed = r#"[{"protocol":"all","kind":"matchall"},{"kind":"matchall","options":{"actions":[{"kind":"mirred",
        "mirred_action":"redirect","direction":"egress","to_dev":"wan0"}]}},
        {"kind":"bpf","options":{"bpf_name":"fast.o"}},{"kind":"u32","options":{"actions":[{"kind":"gact"}]}}]"#;
    assert_eq!(redirected(listed), ["wan0", "where the program fast.o says"]);
    assert!(redirected("[]").is_empty() && redirected("").is_empty());
}
