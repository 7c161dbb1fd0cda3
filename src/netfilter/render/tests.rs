use super::*;
use crate::netfilter::{Plan, Tool, samples, show};
use crate::verdict::Mark;

fn nft(plan: &Plan, half: Half) -> (Vec<String>, Vec<String>) {
    let chains = nft_chains(plan, half);
    (chains.criteria, chains.body)
}

fn iptables(plan: &Plan, half: Half, family: Family) -> (Vec<String>, Vec<String>) {
    let chains = iptables_chains(plan, half, family);
    let lines = |rules: Vec<Vec<String>>| rules.iter().map(|rule| rule.join(" ")).collect();
    (lines(chains.criteria), lines(chains.body))
}

fn lines<const N: usize>(lines: [&str; N]) -> Vec<String> {
    words(&lines)
}

#[test]
fn nftables_transaction_closed() {
    let text = show(&samples::interfaces(), Tool::Nftables);
    let expected = r#"table inet kordon {
	counter gate_ipv4 { }
	counter gate_ipv6 { }
	counter held { }
	chain check_camera { }
	chain gate {
		type filter hook forward priority 50; policy accept;
	}
	chain queue_camera { }
	chain hold {
		type filter hook forward priority -150; policy accept;
	}
}
flush chain inet kordon gate
flush chain inet kordon check_camera
flush chain inet kordon hold
flush chain inet kordon queue_camera
table inet kordon {
	chain check_camera {
		meta mark & 0x30000000 != 0x10000000 meta nfproto ipv4 counter name "gate_ipv4" drop
		meta mark & 0x30000000 != 0x10000000 meta nfproto ipv6 counter name "gate_ipv6" drop
		meta mark set meta mark & 0xcfffffff
	}
	chain gate {
		iifname "cam0" goto check_camera
		iifname "vlan.10" goto check_camera
	}
	chain queue_camera {
		meta mark set meta mark & 0xcfffffff
		counter name "held" queue to 40
	}
	chain hold {
		iifname "cam0" goto queue_camera
		iifname "vlan.10" goto queue_camera
	}
}
"#;
    assert_eq!(text, expected);
}

#[test]
fn nftables_transaction_open_keeps_the_gates_base_chain_and_empties_it() {
    let mut plan = samples::networks();
    (plan.open, plan.gate) = (true, false);
    let text = show(&plan, Tool::Nftables);
    assert!(text.contains("flush chain inet kordon gate\n"));
    assert!(
        text.contains("\tchain gate {\n\t\ttype filter hook forward priority 50; policy accept;\n")
    );
    assert!(!text.contains("delete") && !text.contains("check_camera {\n"));
    assert!(text.ends_with(
        r#"	chain queue_camera {
		meta mark set meta mark & 0xcfffffff
		counter name "held" queue flags bypass to 40-43
	}
	chain hold {
		ip saddr 192.0.2.0/24 goto queue_camera
		ip saddr 198.51.100.7/32 goto queue_camera
		ip6 saddr 2001:db8:c::/48 goto queue_camera
	}
}
"#
    ));
}

#[test]
fn nftables_trusted_interfaces_invert_and_the_wildcard_is_translated() {
    let (criteria, _) = nft(&samples::trusted(), Half::Gate);
    let expected =
        lines([r#"iifname "lan0" return"#, r#"iifname "wan*" return"#, "goto check_camera"]);
    assert_eq!(criteria, expected);
}

#[test]
fn iptables_first_install_closed() {
    let text = show(&samples::interfaces(), Tool::Iptables);
    let gate = "PROGRAM -w -t security -N kordon-check
PROGRAM -w -t security -A kordon-check -m mark ! --mark 0x10000000/0x30000000 -j DROP
PROGRAM -w -t security -A kordon-check -j MARK --set-xmark 0x0/0x30000000
PROGRAM -w -t security -N kordon-gate
PROGRAM -w -t security -A kordon-gate -i cam0 -g kordon-check
PROGRAM -w -t security -A kordon-gate -i vlan.10 -g kordon-check
PROGRAM -w -t security -I FORWARD 1 -j kordon-gate
";
    let hold = "PROGRAM -w -t mangle -N kordon-queue
PROGRAM -w -t mangle -A kordon-queue -j MARK --set-xmark 0x0/0x30000000
PROGRAM -w -t mangle -A kordon-queue -j NFQUEUE --queue-num 40
PROGRAM -w -t mangle -N kordon-hold
PROGRAM -w -t mangle -A kordon-hold -i cam0 -g kordon-queue
PROGRAM -w -t mangle -A kordon-hold -i vlan.10 -g kordon-queue
PROGRAM -w -t mangle -A FORWARD -j kordon-hold
";
    let both = |text: &str| {
        ["iptables-nft", "ip6tables-nft"].map(|program| text.replace("PROGRAM", program)).concat()
    };
    assert_eq!(text, both(gate) + &both(hold));
}

#[test]
fn iptables_open_has_bypass_and_no_gate() {
    let mut plan = samples::interfaces();
    (plan.open, plan.gate) = (true, false);
    let text = show(&plan, Tool::Iptables);
    assert!(!text.contains("security"));
    assert_eq!(text.matches("-j NFQUEUE --queue-num 40 --queue-bypass\n").count(), 2);
}

#[test]
fn a_gate_may_stand_beside_a_bypass_while_the_mode_changes() {
    let mut plan = samples::interfaces();
    plan.open = true;
    let text = show(&plan, Tool::Iptables);
    assert_eq!(text.matches("-I FORWARD 1 -j kordon-gate\n").count(), 2);
    assert_eq!(text.matches("-j NFQUEUE --queue-num 40 --queue-bypass\n").count(), 2);
    let text = show(&plan, Tool::Nftables);
    assert!(text.contains("queue flags bypass to 40\n") && text.contains("check_camera {\n"));
}

#[test]
fn iptables_networks_go_to_their_own_family_and_several_queues_are_balanced() {
    let plan = samples::networks();
    let (criteria, body) = iptables(&plan, Half::Hold, Family::V4);
    let expected = lines(["-s 192.0.2.0/24 -g kordon-queue", "-s 198.51.100.7/32 -g kordon-queue"]);
    assert_eq!(criteria, expected);
    assert_eq!(body[1], "-j NFQUEUE --queue-balance 40:43");
    let (criteria, body) = iptables(&plan, Half::Gate, Family::V6);
    assert_eq!(criteria, lines(["-s 2001:db8:c::/48 -g kordon-check"]));
    assert_eq!(body[0], "-m mark ! --mark 0x10000000/0x30000000 -j DROP");
}

#[test]
fn iptables_trusted_interfaces_invert() {
    let (criteria, _) = iptables(&samples::trusted(), Half::Hold, Family::V6);
    let expected = lines(["-i lan0 -j RETURN", "-i wan+ -j RETURN", "-g kordon-queue"]);
    assert_eq!(criteria, expected);
}

#[test]
fn both_halves_see_the_same_traffic() {
    for plan in [samples::interfaces(), samples::networks(), samples::trusted()] {
        let (hold, gate) = (nft(&plan, Half::Hold).0, nft(&plan, Half::Gate).0);
        let renamed: Vec<String> =
            hold.iter().map(|rule| rule.replace("queue_camera", "check_camera")).collect();
        assert_eq!(renamed, gate);
        for family in Family::ALL {
            let hold = iptables(&plan, Half::Hold, family).0;
            let renamed: Vec<String> =
                hold.iter().map(|rule| rule.replace("kordon-queue", "kordon-check")).collect();
            assert_eq!(renamed, iptables(&plan, Half::Gate, family).0);
        }
    }
}

#[test]
fn a_mark_that_takes_all_bits_is_written_as_the_tools_list_it() {
    let mut plan = samples::interfaces();
    plan.mark = Mark { value: 5, mask: u32::MAX };
    let (_, body) = iptables(&plan, Half::Gate, Family::V4);
    assert_eq!(body, lines(["-m mark ! --mark 0x5 -j DROP", "-j MARK --set-xmark 0x0/0xffffffff"]));
    let (_, body) = nft(&plan, Half::Gate);
    assert!(body[0].starts_with("meta mark != 0x00000005 meta nfproto ipv4 "));
    assert_eq!(body[2], "meta mark set 0x00000000");
}

#[test]
fn nftables_table_for_a_file_of_the_admins_own() {
    let text = crate::netfilter::show_for_pasting(&samples::interfaces(), Tool::Nftables);
    let expected = r#"# kordon's hold and gate, for a ruleset of your own (rules.manage = false).
# Into /etc/nftables.conf, behind its `flush ruleset`.
table inet kordon {
	counter gate_ipv4 { }
	counter gate_ipv6 { }
	counter held { }
	chain check_camera {
		meta mark & 0x30000000 != 0x10000000 meta nfproto ipv4 counter name "gate_ipv4" drop
		meta mark & 0x30000000 != 0x10000000 meta nfproto ipv6 counter name "gate_ipv6" drop
		meta mark set meta mark & 0xcfffffff
	}
	chain gate {
		type filter hook forward priority 50; policy accept;
		iifname "cam0" goto check_camera
		iifname "vlan.10" goto check_camera
	}
	chain queue_camera {
		meta mark set meta mark & 0xcfffffff
		counter name "held" queue to 40
	}
	chain hold {
		type filter hook forward priority -150; policy accept;
		iifname "cam0" goto queue_camera
		iifname "vlan.10" goto queue_camera
	}
}
"#;
    assert_eq!(text, expected);
    let open = Plan { open: true, ..samples::interfaces() };
    let text = crate::netfilter::show_for_pasting(&open, Tool::Nftables);
    assert!(!text.contains("chain gate") && text.contains("flags bypass to 40"), "{text}");
}

#[test]
fn the_gate_alone_leaves_hold_out_of_the_transaction() {
    let text = nft_script_of(&samples::interfaces(), &[Half::Gate]);
    assert!(text.contains("chain gate") && !text.contains("hold") && !text.contains("queue"));
    assert!(!text.contains("delete"), "a base chain that goes costs all waiting packets");
}

#[test]
fn a_dry_run_speaks_of_what_would_be() {
    use crate::netfilter::change::{Change, Verb};
    let said = [
        Change::new(Verb::Install, "gate for ipv4 (iptables, table security)"),
        Change::new(Verb::Correct, "hold for both families (nftables, table inet kordon)"),
        Change::new(Verb::Remove, "gate for ipv6 (iptables, table security)"),
    ];
    let planned: Vec<String> = said.iter().map(Change::planned).collect();
    assert_eq!(
        planned,
        [
            "would install gate for ipv4 (iptables, table security)",
            "would correct hold for both families (nftables, table inet kordon)",
            "would remove gate for ipv6 (iptables, table security)",
        ]
    );
    assert_eq!(said[2].to_string(), "removed gate for ipv6 (iptables, table security)");
}

#[test]
fn nftables_input_halves() {
    let chains = nft_chains(&samples::input(), Half::GateInput);
    assert_eq!(
        chains.criteria,
        lines([
            r#"iifname "lo" return"#,
            r#"iifname "cam0" goto check_input"#,
            r#"iifname "vlan.10" goto check_input"#,
        ])
    );
    let protocols = "{ 4, 41, 47, 50, 51, 97, 108, 115, 137 }";
    let ports = "{ 500, 1701, 2152, 3544, 4500, 4789, 6081, 8472, 51820 }";
    let spared = [
        "icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 143 } return",
        "udp dport { 67, 547 } return",
    ];
    let mut wanted = vec![
        format!(r#"meta nfproto ipv4 meta l4proto {protocols} counter name "tunnels_ipv4" drop"#),
        format!(r#"meta nfproto ipv4 udp dport {ports} counter name "tunnels_ipv4" drop"#),
        format!(r#"meta nfproto ipv6 meta l4proto {protocols} counter name "tunnels_ipv6" drop"#),
        format!(r#"meta nfproto ipv6 udp dport {ports} counter name "tunnels_ipv6" drop"#),
        r#"ip6 nexthdr 51 counter name "tunnels_ipv6" drop"#.to_owned(),
    ];
    let tunnels = wanted.clone();
    wanted.extend(spared.map(str::to_owned));
    wanted.extend(nft_chains(&samples::input(), Half::Gate).body);
    assert_eq!(chains.body, wanted);
    let hold = nft_chains(&samples::input(), Half::HoldInput).body;
    assert_eq!(hold[..2], spared);
    assert_eq!(hold[2..], nft_chains(&samples::input(), Half::Hold).body);
    // Without hold, tunnels alone; open, nothing.
    let mut plan = Plan { hold_input: false, ..samples::input() };
    assert_eq!(nft_chains(&plan, Half::GateInput).body, tunnels);
    assert!(nft_chains(&plan, Half::HoldInput).criteria.is_empty());
    (plan.open, plan.gate) = (true, false);
    assert!(nft_chains(&plan, Half::GateInput).body.is_empty());
    let text = show(&plan, Tool::Nftables);
    assert!(text.contains("type filter hook input priority 50;") && !text.contains("l4proto"));
    assert!(!show(&samples::interfaces(), Tool::Nftables).contains("input"));
}

#[test]
fn iptables_input_halves() {
    let plan = samples::input();
    let (criteria, body) = iptables(&plan, Half::GateInput, Family::V6);
    assert_eq!(
        criteria,
        lines(["-i lo -j RETURN", "-i cam0 -g kordon-check-in", "-i vlan.10 -g kordon-check-in"])
    );
    let text = body.join("\n");
    assert!(
        text.starts_with(
            "-p 4 -j DROP\n-p 41 -j DROP\n-p 47 -j DROP\n-p 50 -j DROP\n-m ah -j DROP\n"
        )
    );
    assert!(text.contains(
        "-p udp -m multiport --dports 500,1701,2152,3544,4500,4789,6081,8472,51820 -j DROP\n\
         -p ipv6-icmp -m icmp6 --icmpv6-type 130 -j RETURN\n"
    ));
    assert!(text.ends_with(
        "-p udp -m udp --dport 547 -j RETURN\n-m mark ! --mark 0x10000000/0x30000000 -j DROP\n\
         -j MARK --set-xmark 0x0/0x30000000"
    ));
    let (_, body) = iptables(&plan, Half::HoldInput, Family::V4);
    assert_eq!(
        body,
        lines([
            "-p udp -m udp --dport 67 -j RETURN",
            "-j MARK --set-xmark 0x0/0x30000000",
            "-j NFQUEUE --queue-num 40",
        ])
    );
    // No queue has a part in what is dropped.
    let plan = Plan { hold_input: false, ..plan };
    let (_, body) = iptables(&plan, Half::GateInput, Family::V4);
    assert!(
        body.iter().all(|rule| rule.ends_with("-j DROP") && !rule.contains("mark")),
        "{body:?}"
    );
    let text = show(&plan, Tool::Iptables);
    assert_eq!(text.matches("-I INPUT 1 -j kordon-gate-in\n").count(), 2);
    assert!(!text.contains("kordon-hold-in"));
    let gates = text.rfind("-I INPUT 1 -j kordon-gate-in").unwrap();
    assert!(gates < text.find("-A FORWARD -j kordon-hold").unwrap(), "each gate before any hold");
}
