use std::collections::BTreeMap;
use std::path::PathBuf;

use super::facts::{Lists, Reader, Step, Way};
use super::others::{iptables_touches, nft_touches};
use super::system::{Obstacle, obstacle};
use super::*;
use crate::config::Config;
use crate::failure::ExitStatus;
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
    serde_json::from_str(
        r#"{"schema":1,"version":"0","pid":7,"mode":"enforce","mode_configured":"enforce",
        "mode_set":null,"mode_unconfirmed":null,"paused":null,"open":false,"ready":true,
        "uptime_seconds":1,"now":1,"config":[],"generation":1,"prefixes":[1,1],"loaded":1,
        "last_reload_refused":null,"changes":[],
        "rules":{"managed":true,"tool":"iptables","present":true,"faults":[],"gate_dropped":0,
        "removed":null,"rearmed":0,"planned":true,"enslaved":[]},
        "queues":[{"number":40,"buffer_used":0,"buffer_size":1000000,"lost":[0,0,0],
        "stalled":false,"last_packet_seconds_ago":0}],
        "traffic":{"packets":0,"accepted":0,"dropped":0,"would_drop":0,"unparsable":0,
        "events_suppressed":0},"lists":[],"cameras":[]}"#,
    )
    .unwrap()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
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
            misplaced: false,
        })),
        ways: vec![way],
        reader: Some(Reader {
            name: "kordon".to_owned(),
            uid: 990,
            gids: vec![990],
            capabilities: Some(1 << 12),
        }),
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
                 -A FORWARD -j kordon-hold\n-A kordon-queue -j MARK --set-xmark 0x0/0x30000000",
            ),
        )],
        nft: Some("table inet kordon {\n\tchain x {\n\t\tmeta mark set 0x1\n\t}\n}\n".to_owned()),
        flowtables: Ok(r#"{"nftables":[{"metainfo":{}}]}"#.to_owned()),
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
fn a_daemon_in_trouble_is_found() {
    use Outcome::{Fail, Skip, Warn};
    let down = || Err(Failure::new(ExitStatus::NotRunning, "the daemon is not running"));
    let found = with(|facts| {
        facts.status = down();
        facts.queue_table = Some(String::new());
    });
    one(&found, "daemon", Fail, "not running");
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
    let found = with(|facts| {
        let mut status = status();
        status.queues[0].buffer_size = Some(425_984);
        facts.status = Ok(status);
    });
    one(&found, "buffers", Warn, "425984 bytes granted of 1000000");
    assert!(found[0].fix.as_ref().unwrap().contains("rmem_max=500000"));
}

#[test]
fn a_queue_of_another_process_is_found() {
    let found = with(|facts| {
        facts.status = Err(Failure::new(ExitStatus::NotRunning, "not running"));
    });
    let queues: Vec<_> = found.into_iter().filter(|f| f.subject == "queues").collect();
    one(&queues, "queues", Outcome::Fail, "queue 40 belongs to another process");
    let found = with(|facts| facts.queue_table = Some("   41      7     0 2\n".to_owned()));
    one(&found, "queues", Outcome::Fail, "0 of 1 queues have a reader");
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
