//! Gateways that are set wrong: each way around the queue is named by the doctor, and a right gateway passes.

use serde_json::Value;

use crate::lab::process::{self, SHORT, tool};
use crate::lab::topology::*;
use crate::lab::{Context, Res, rules};
use crate::{Bench, Site};

/// What the doctor says about ways around the queue; the machine that runs the tests may have its own other
/// troubles.
const SUBJECTS: [&str; 14] = [
    "balance",
    "bridges",
    "bypass",
    "copies",
    "flowtables",
    "hold",
    "ipv6",
    "marks",
    "proxy",
    "queues",
    "redirects",
    "sysctl",
    "tunnels",
    "uplinks",
];

/// Commands that set the gateway wrong, commands that set it right again, and what the doctor then says.
struct Wrong {
    make: &'static [&'static str],
    unmake: &'static [&'static str],
    said: &'static [(&'static str, &'static str, &'static str)],
}

/// Result, subject and detail of what does not pass, and has something to do with these ways.
fn found(site: &Site) -> Res<Vec<(String, String, String)>> {
    let output = site.kordon("doctor -c kordon.toml -o json")?;
    let report: Value = serde_json::from_str(&output.stdout).context(output.said())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = report["findings"].as_array().cloned().unwrap_or_default();
    let mut seen: Vec<&str> = SUBJECTS.to_vec();
    let mut wrong = Vec::new();
    for one in &all {
        let subject = text(&one["subject"]);
        if !SUBJECTS.contains(&subject.as_str()) {
            continue;
        }
        seen.retain(|name| *name != subject);
        if one["result"] != "pass" {
            if one["fix"].is_null() && one["result"] != "skip" {
                return Err(format!("no fix for {one}"));
            }
            wrong.push((text(&one["result"]), subject, text(&one["detail"])));
        }
    }
    match seen.as_slice() {
        [] => Ok(wrong),
        unsaid => Err(format!("nothing about {unsaid:?}: {report}")),
    }
}

/// In user namespaces only root's own tables cannot be read; these skips are no findings.
fn right(site: &Site, when: &str) -> Res {
    let wrong: Vec<_> =
        found(site)?.into_iter().filter(|(result, _, _)| result != "skip").collect();
    match wrong.as_slice() {
        [] => Ok(()),
        some => Err(format!("{when}: {some:#?}")),
    }
}

fn run(lines: &[&str]) -> Res {
    for line in lines {
        match line.strip_prefix("set ").and_then(|rest| rest.split_once(' ')) {
            Some((name, value)) => {
                std::fs::write(format!("/proc/sys/net/{name}"), value).context(line)?;
            }
            None => {
                let words: Vec<&str> = line.split_whitespace().collect();
                let (program, arguments) = words.split_first().ok_or("an empty command")?;
                tool(program, arguments)?;
            }
        }
    }
    Ok(())
}

fn named(site: &Site, wrong: &Wrong) -> Res {
    run(wrong.make)?;
    let outcome = found(site).and_then(|found| {
        let missing = wrong.said.iter().find(|(result, subject, says)| {
            !found.iter().any(|f| f.0 == *result && f.1 == *subject && f.2.contains(says))
        });
        match missing {
            None => Ok(()),
            Some(one) => Err(format!("after {:?}: no {one:?} among {found:#?}", wrong.make)),
        }
    });
    run(wrong.unmake)?;
    outcome
}

/// What can be set wrong beside kordon's own rules, which the daemon keeps.
const BESIDE: &[Wrong] = &[
    Wrong {
        make: &[
            "iptables-nft -w -t mangle -N tenant",
            "iptables-nft -w -t mangle -A tenant -s 192.0.2.99 -j ACCEPT",
            "iptables-nft -w -t mangle -I FORWARD -j tenant",
        ],
        unmake: &[
            "iptables-nft -w -t mangle -D FORWARD -j tenant",
            "iptables-nft -w -t mangle -F tenant",
            "iptables-nft -w -t mangle -X tenant",
        ],
        said: &[("warn", "hold", "ahead of hold")],
    },
    Wrong {
        make: &["ip6tables-nft -w -t filter -A FORWARD -j CONNMARK --restore-mark"],
        unmake: &["ip6tables-nft -w -t filter -D FORWARD -j CONNMARK --restore-mark"],
        said: &[("fail", "marks", "ip6tables-nft -t filter -A FORWARD")],
    },
    Wrong {
        make: &[
            "nft add table inet vpn",
            "nft add chain inet vpn f { type filter hook forward priority 0 ; }",
            "nft add rule inet vpn f meta mark set ct mark",
        ],
        unmake: &["nft flush chain inet vpn f"],
        said: &[("fail", "marks", "nft, table inet vpn: meta mark set ct mark")],
    },
    Wrong {
        make: &["iptables-nft -w -t mangle -A PREROUTING -i cam0 -j TEE --gateway 192.0.2.130"],
        unmake: &["iptables-nft -w -t mangle -D PREROUTING -i cam0 -j TEE --gateway 192.0.2.130"],
        said: &[("warn", "copies", "TEE --gateway 192.0.2.130")],
    },
    Wrong {
        make: &[
            "iptables-nft -w -t nat -A PREROUTING -i cam0 -p tcp --dport 80 -j REDIRECT --to-ports 3128",
        ],
        unmake: &[
            "iptables-nft -w -t nat -D PREROUTING -i cam0 -p tcp --dport 80 -j REDIRECT --to-ports 3128",
        ],
        said: &[("warn", "proxy", "--to-ports 3128")],
    },
    Wrong {
        make: &["iptables-nft -w -t filter -A FORWARD -i wan1 -j NFQUEUE --queue-num 40"],
        unmake: &["iptables-nft -w -t filter -D FORWARD -i wan1 -j NFQUEUE --queue-num 40"],
        said: &[("warn", "queues", "rules of others feed kordon's queues")],
    },
    Wrong {
        make: &[
            "ip link add vx7 type vxlan id 7 dstport 4790 local 192.0.2.1",
            "ip link set vx7 up",
        ],
        unmake: &["ip link delete vx7"],
        said: &[("warn", "tunnels", "vx7 (vxlan, port 4790)")],
    },
    Wrong {
        make: &["ip route add default via 192.0.2.134 dev wan2 metric 50"],
        unmake: &["ip route delete default via 192.0.2.134 dev wan2 metric 50"],
        said: &[("warn", "uplinks", "2 ways out: wan1, wan2")],
    },
    Wrong {
        make: &["ip route add default via 192.0.2.11 dev cam0 table 100"],
        unmake: &["ip route delete default via 192.0.2.11 dev cam0 table 100"],
        said: &[("fail", "uplinks", "default via 192.0.2.11 dev cam0")],
    },
    Wrong {
        make: &[
            "set ipv4/conf/all/accept_source_route 1",
            "set ipv4/conf/cam0/accept_source_route 1",
        ],
        unmake: &["set ipv4/conf/all/accept_source_route 0"],
        said: &[("warn", "sysctl", "accept_source_route is on for cam0")],
    },
    Wrong {
        make: &["set ipv4/conf/all/accept_redirects 1", "set ipv4/conf/cam0/accept_redirects 1"],
        unmake: &["set ipv4/conf/all/accept_redirects 0"],
        said: &[("warn", "sysctl", "accept_redirects is on for cam0")],
    },
    Wrong {
        make: &["set ipv4/conf/cam0/send_redirects 1"],
        unmake: &["set ipv4/conf/cam0/send_redirects 0"],
        said: &[("warn", "sysctl", "send_redirects is on for cam0")],
    },
    Wrong {
        make: &["set ipv6/conf/all/seg6_enabled 1", "set ipv6/conf/cam0/seg6_enabled 1"],
        unmake: &["set ipv6/conf/all/seg6_enabled 0", "set ipv6/conf/cam0/seg6_enabled 0"],
        said: &[("warn", "sysctl", "seg6_enabled (IPv6) is on for cam0")],
    },
];

/// Hold and gate themselves, where kordon leaves them to the admin.
const THEMSELVES: &[Wrong] = &[
    Wrong {
        make: &[
            "iptables-nft -w -t mangle -R kordon-queue 2 -j NFQUEUE --queue-num 40 --queue-bypass",
        ],
        unmake: &[],
        said: &[("warn", "bypass", "only the gate stops it")],
    },
    Wrong {
        make: &["iptables-nft -w -t security -F FORWARD"],
        unmake: &[
            "iptables-nft -w -t security -I FORWARD -j kordon-gate",
            "iptables-nft -w -t mangle -R kordon-queue 2 -j NFQUEUE --queue-num 40",
        ],
        said: &[("fail", "bypass", "no gate stands, and what finds no reader passes unjudged")],
    },
    Wrong {
        make: &["ip6tables-nft -w -t mangle -R kordon-queue 2 -j NFQUEUE --queue-balance 40:42"],
        unmake: &["ip6tables-nft -w -t mangle -R kordon-queue 2 -j NFQUEUE --queue-num 40"],
        said: &[("fail", "balance", "2 of 3 queues have no reader (41, 42)")],
    },
    Wrong {
        make: &[
            "ip6tables-nft -w -t mangle -F FORWARD",
            "ip6tables-nft -w -t mangle -F kordon-queue",
        ],
        unmake: &[],
        said: &[("fail", "ipv6", "only IPv4 is held")],
    },
];

/// Sets the sysctls of a new namespace as a careful admin does, and puts them back.
fn careful<T>(work: impl FnOnce() -> Res<T>) -> Res<T> {
    let names = [
        ("ipv4/conf/cam0/rp_filter", "1"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/cam0/send_redirects", "0"),
        ("ipv4/conf/all/accept_source_route", "0"),
        ("ipv4/conf/all/accept_redirects", "0"),
    ];
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/{name}"));
    let before: Vec<String> =
        names.iter().map(|(name, _)| read(name).context(name)).collect::<Res<_>>()?;
    let set = |name: &str, value: &str| run(&[&format!("set {name} {}", value.trim())]);
    for (name, value) in names {
        set(name, value)?;
    }
    let made = tool("ip", &["route", "add", "default", "via", "192.0.2.130", "dev", "wan1"]);
    let outcome = made.and_then(|_| work());
    tool("ip", &["route", "delete", "default", "via", "192.0.2.130", "dev", "wan1"])?;
    for ((name, _), value) in names.iter().zip(&before) {
        set(name, value)?;
    }
    outcome
}

/// A right gateway has no finding; each thing that is set wrong is named, and when it is right again nothing is.
pub(super) fn each_way_is_named(bench: &Bench<'_>) -> Res {
    careful(|| {
        let mut setup = bench.setup();
        setup.tool = Some("iptables");
        let site = Site::new(setup)?;
        let _daemon = site.start()?;
        bench.lab.passes(ALLOWED, 5)?;
        bench.lab.blocked(BLOCKED, 5)?;
        right(&site, "a right gateway")?;
        for wrong in BESIDE {
            named(&site, wrong)?;
            right(&site, &format!("after {:?}", wrong.unmake))?;
        }
        Ok(())
    })
}

/// The same for hold and gate: with `rules.manage = false` nobody puts them back.
pub(super) fn altered_rules_are_named(bench: &Bench<'_>) -> Res {
    careful(|| {
        let mut setup = bench.setup();
        setup.tool = Some("iptables");
        let site = Site::new(setup)?;
        let unmanaged = site.setup().toml().replace("\n[rules]", "\n[rules]\nmanage = false");
        site.write("kordon.toml", &unmanaged)?;
        let _daemon = site.start()?;
        let paste = site.kordon_ok("rules show -c kordon.toml")?;
        let pasted = process::feed(&mut std::process::Command::new("sh"), &paste, SHORT)?;
        if pasted.code != Some(0) {
            return Err(format!("the pasted lines {}", pasted.said()));
        }
        bench.lab.passes(ALLOWED, 5)?;
        bench.lab.blocked(BLOCKED, 5)?;
        right(&site, "pasted rules")?;
        THEMSELVES.iter().try_for_each(|wrong| named(&site, wrong))?;
        // What was named is real: by IPv6 everything passes once its gate is gone, too.
        bench.lab.blocked(BLOCKED, 5)?;
        rules::flush_gate()?;
        bench.lab.passes(BLOCKED6, 5)
    })
}

/// Cameras on a bridge: frames between its ports never meet hold unless the bridge asks the rules.
pub(super) fn bridges_are_named(bench: &Bench<'_>) -> Res {
    let filter = ["set bridge/bridge-nf-call-iptables 1", "set bridge/bridge-nf-call-ip6tables 1"];
    let switch = ["set bridge/bridge-nf-call-iptables 0", "set bridge/bridge-nf-call-ip6tables 0"];
    careful(|| {
        run(&[
            "ip link add br7 type bridge",
            "ip link add p7 type veth peer name q7",
            "ip link add p8 type veth peer name q8",
            "ip link set p7 master br7",
            "ip link set p8 master br7",
            "ip address add 192.0.2.161/28 dev br7",
            "set ipv4/conf/br7/rp_filter 1",
            "set ipv4/conf/br7/send_redirects 0",
            "ip link set br7 up",
            "ip link set p7 up",
            "ip link set q7 up",
        ])?;
        let outcome = (|| {
            let mut setup = bench.setup();
            (setup.tool, setup.interfaces) = (Some("iptables"), vec!["cam0", "br7"]);
            let site = Site::new(setup)?;
            let _daemon = site.start()?;
            run(&filter)?;
            right(&site, "a bridge that asks the rules")?;
            run(&switch)?;
            named(
                &site,
                &Wrong {
                    make: &[],
                    unmake: &[],
                    said: &[("warn", "bridges", "br7 carries cameras and bridges between p7, p8")],
                },
            )?;
            named(
                &site,
                &Wrong {
                    make: &["ip route add 198.51.100.128/25 via 192.0.2.162 dev br7"],
                    unmake: &["ip route delete 198.51.100.128/25 via 192.0.2.162 dev br7"],
                    said: &[
                        ("fail", "bridges", "the way out (by 192.0.2.162)"),
                        ("fail", "uplinks", "198.51.100.128/25 via 192.0.2.162 dev br7"),
                    ],
                },
            )
        })();
        run(&filter)?;
        run(&["ip link delete br7", "ip link delete p7", "ip link delete p8"])?;
        outcome
    })
}
