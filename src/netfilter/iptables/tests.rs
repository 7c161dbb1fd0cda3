use super::listing::{Line, leads_into, split_words};
use super::*;
use crate::netfilter::samples;

/// The kernel's side of one table, as far as kordon's commands go.
#[derive(Clone, Default)]
struct Model(Listing);

impl Model {
    fn run(&mut self, argv: &[String]) {
        let chains = &mut self.0.chains;
        let line = |words: &[String]| Line { words: words.to_vec(), packets: 0 };
        let (verb, chain, rest) = (argv[4].as_str(), &argv[5], &argv[6..]);
        if verb == "-N" {
            assert!(chains.insert(chain.clone(), Vec::new()).is_none(), "{chain} exists");
            return;
        }
        if verb == "-X" {
            assert!(chains.remove(chain).unwrap().is_empty(), "{chain} is not empty");
            let used = chains.values().flatten().any(|line| leads_into(&line.words, &[chain]));
            assert!(!used, "{chain} is in use");
            return;
        }
        let rules = chains.get_mut(chain).unwrap();
        match verb {
            "-A" => rules.push(line(rest)),
            "-I" => rules.insert(rest[0].parse::<usize>().unwrap() - 1, line(&rest[1..])),
            "-F" => rules.clear(),
            "-D" => {
                let number = match rest {
                    [number] => number.parse::<usize>().unwrap() - 1,
                    words => rules.iter().position(|line| line.words == words).unwrap(),
                };
                rules.remove(number);
            }
            other => panic!("{other}"),
        }
    }

    fn with_base(text: &str) -> Self {
        Model(Listing::parse(&format!("-P FORWARD ACCEPT -c 0 0\n-P INPUT ACCEPT -c 0 0\n{text}")))
    }

    fn install(&mut self, plan: &Plan, half: Half) -> usize {
        let mut steps = Steps::new(half, Family::V4);
        steps.install(&self.0, half, &iptables_chains(plan, half, Family::V4));
        steps.list.iter().for_each(|argv| self.run(argv));
        steps.list.len()
    }

    fn presence(&self, plan: &Plan, half: Half) -> Presence {
        self.0.presence(half, &iptables_chains(plan, half, Family::V4))
    }
}

const LISTED: &str = r#"-P FORWARD ACCEPT -c 9 900
-N kordon-check
-N kordon-gate
-A FORWARD -c 4 400 -j kordon-gate
-A FORWARD -p tcp -m comment --comment "a \"q\" b" -c 0 0 -j RETURN
-A kordon-check -m mark ! --mark 0x10000000/0x30000000 -c 7 588 -j DROP
-A kordon-check -c 0 0 -j MARK --set-xmark 0x0/0x30000000
-A kordon-gate -i cam0 -c 7 588 -g kordon-check
-A kordon-gate -i vlan.10 -c 0 0 -g kordon-check
"#;

#[test]
fn what_iptables_lists_is_what_was_planned() {
    let model = Model(Listing::parse(LISTED));
    assert_eq!(model.presence(&samples::interfaces(), Half::Gate), Presence::AsPlanned);
    assert_eq!(model.0.chain("kordon-check")[0].packets, 7);
    assert_eq!(model.0.chain("FORWARD")[1].words[5], r#"a "q" b"#);
    assert!(matches!(model.presence(&samples::networks(), Half::Gate), Presence::Different(_)));
}

#[test]
fn a_base_chain_without_a_hook_and_a_table_that_is_switched_off_are_not_as_planned() {
    let plan = samples::interfaces();
    let presence = |listing: Listing| Model(listing).presence(&plan, Half::Gate);
    assert_eq!(presence(Listing::parse(LISTED)), Presence::AsPlanned);
    let unhooked = LISTED.replace("-P FORWARD ACCEPT -c 9 900", "-N FORWARD");
    let Presence::Different(what) = presence(Listing::parse(&unhooked)) else {
        panic!("{unhooked}")
    };
    assert!(what.contains("hangs in no hook"), "{what}");
    let asleep = Listing { asleep: true, ..Listing::parse(LISTED) };
    let Presence::Different(what) = presence(asleep) else { panic!("as planned") };
    assert!(what.contains("switched off"), "{what}");
}

#[test]
fn a_rule_that_lets_all_or_all_of_a_criterion_past_hold_is_found() {
    let criteria = iptables_chains(&samples::interfaces(), Half::Hold, Family::V4).criteria;
    let past = |rules: &str| {
        let text = format!("-P FORWARD ACCEPT -c 0 0\n{rules}-A FORWARD -c 0 0 -j kordon-hold\n");
        Listing::parse(&text).past(Half::Hold, &criteria)
    };
    assert_eq!(past(""), None);
    assert_eq!(past("-A FORWARD -c 1 60 -j ACCEPT\n"), Some(1));
    assert_eq!(
        past("-A FORWARD -c 1 60 -j MARK --set-xmark 0x1/0x1\n-A FORWARD -j RETURN\n"),
        Some(2)
    );
    assert_eq!(past("-A FORWARD -i cam0 -c 1 60 -j ACCEPT\n"), Some(1));
    // Of others' traffic, or not past hold.
    for harmless in [
        "-i office -j ACCEPT",
        "-i cam0 -p tcp -j TCPMSS --clamp-mss-to-pmtu",
        "-i cam0 -j DROP",
        "-i cam0",
    ] {
        assert_eq!(past(&format!("-A FORWARD {harmless}\n")), None, "{harmless}");
    }
    let behind = "-P FORWARD ACCEPT\n-A FORWARD -j kordon-hold\n-A FORWARD -j ACCEPT\n";
    assert_eq!(Listing::parse(behind).past(Half::Hold, &criteria), None);
}

#[test]
fn what_hold_queued_is_read_from_its_queue_rule_alone() {
    let listing = Listing::parse(
        "-N kordon-queue\n-A kordon-queue -c 9 900 -j MARK --set-xmark 0x0/0x30000000\n\
         -A kordon-queue -c 8 800 -j NFQUEUE --queue-num 40\n\
         -A FORWARD -c 5 500 -j NFQUEUE --queue-num 40\n\
         -N kordon-queue-in\n-A kordon-queue-in -c 3 300 -j NFQUEUE --queue-balance 40:41\n",
    );
    assert_eq!(listing.queued(Half::Hold), 8);
    assert_eq!(listing.queued(Half::HoldInput), 3);
    assert_eq!(Listing::default().queued(Half::Hold), 0);
}

#[test]
fn every_line_that_is_missing_is_noticed() {
    for number in 1..LISTED.lines().count() {
        let mut lines: Vec<&str> = LISTED.lines().collect();
        let gone = lines.remove(number);
        if gone.starts_with("-A FORWARD -p") || gone.starts_with("-N") {
            continue;
        }
        let model = Model(Listing::parse(&lines.join("\n")));
        assert_ne!(
            model.presence(&samples::interfaces(), Half::Gate),
            Presence::AsPlanned,
            "{gone}"
        );
    }
}

#[test]
fn from_any_state_the_plan_is_reached_and_then_nothing_changes() {
    let plans = [samples::interfaces(), samples::networks(), samples::trusted(), samples::input()];
    let states = [
        "",
        "-A FORWARD -p tcp -j RETURN\n",
        "-N kordon-hold\n-N kordon-queue\n-N kordon-gate\n-N kordon-check\n",
        "-N kordon-hold\n-A FORWARD -j kordon-hold\n-A FORWARD -p tcp -j RETURN\n",
        "-N kordon-gate\n-A FORWARD -p tcp -j RETURN\n-A FORWARD -j kordon-gate\n-A FORWARD -j kordon-gate\n",
        "-N kordon-gate\n-A FORWARD -j kordon-gate\n-A FORWARD -j kordon-gate\n",
        "-N kordon-hold\n-A FORWARD -j kordon-hold\n-A FORWARD -j kordon-hold\n",
        "-N kordon-queue\n-A kordon-queue -j DROP\n-P PREROUTING ACCEPT\n-A PREROUTING -i x -j kordon-queue\n",
        "-N kordon-gate-in\n-A INPUT -j ACCEPT\n-A INPUT -j kordon-gate-in\n",
        "-N kordon-hold-in\n-A INPUT -j kordon-hold-in\n-A INPUT -j ACCEPT\n",
    ];
    for state in states {
        for before in &plans {
            for after in &plans {
                for half in Half::ALL {
                    let mut model = Model::with_base(state);
                    let foreign = foreign_rules(&model);
                    for plan in [before, after] {
                        model.install(plan, half);
                        assert_eq!(model.presence(plan, half), Presence::AsPlanned, "{state}");
                        assert_eq!(model.install(plan, half), 0, "{state}");
                    }
                    let mut steps = Steps::new(half, Family::V4);
                    steps.remove(&model.0, half);
                    steps.list.iter().for_each(|argv| model.run(argv));
                    assert_eq!(model.presence(after, half), Presence::Absent, "{state}");
                    assert_eq!(foreign_rules(&model), foreign, "{state}");
                }
            }
        }
    }
}

fn foreign_rules(model: &Model) -> Vec<Vec<String>> {
    let own: Vec<&str> =
        Half::ALL.iter().flat_map(|half| [half.criteria_chain(), half.body_chain()]).collect();
    let outside = model.0.chains.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let lines = outside.flat_map(|(_, lines)| lines.iter().map(|line| line.words.clone()));
    lines.filter(|words| !leads_into(words, &own)).collect()
}

/// Whether a packet that enters by `interface` reaches the body of a half.
fn reaches_body(model: &Model, half: Half, interface: &str) -> bool {
    for jump in
        model.0.chain(half.base()).iter().filter(|l| leads_into(&l.words, &[half.criteria_chain()]))
    {
        assert!(!jump.words.is_empty());
        for rule in model.0.chain(half.criteria_chain()) {
            let words: Vec<&str> = rule.words.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["-i", name, "-g", _] if *name == interface => return true,
                ["-i", name, "-j", "RETURN"] if *name == interface => break,
                ["-g", _] => return true,
                _ => {}
            }
        }
    }
    false
}

#[test]
fn no_step_between_two_plans_lets_a_camera_of_both_slip() {
    let mut trusted = samples::trusted();
    trusted.trusted_interfaces = vec!["lan0".into()];
    let mut trusted_more = trusted.clone();
    trusted_more.trusted_interfaces = vec!["lan1".into(), "lan0".into()];
    let mut fewer = samples::interfaces();
    fewer.interfaces = vec!["cam0".into()];
    let plans = [samples::interfaces(), fewer, trusted, trusted_more];
    for half in Half::ALL {
        let plans = plans.clone().map(|plan| Plan { hold_input: true, ..plan });
        for (before, after) in plans.iter().flat_map(|b| plans.iter().map(move |a| (b, a))) {
            for state in ["", "-A FORWARD -p tcp -j RETURN\n"] {
                let mut model = Model::with_base(state);
                model.install(before, half);
                // Someone pushes in at the edge where kordon's jump belongs.
                let foreign = Line { words: words(&["-p", "udp"]), packets: 0 };
                let base = model.0.chains.get_mut(half.base()).unwrap();
                match half.is_gate() {
                    false => base.push(foreign),
                    true => base.insert(0, foreign),
                }
                let mut steps = Steps::new(half, Family::V4);
                steps.install(&model.0, half, &iptables_chains(after, half, Family::V4));
                for argv in &steps.list {
                    model.run(argv);
                    assert!(reaches_body(&model, half, "cam0"), "{}", argv.join(" "));
                }
            }
        }
    }
}

#[test]
fn a_gate_stands_in_both_families_before_anything_is_held() {
    let commands = first_install(&samples::networks());
    let lines: Vec<String> = commands.iter().map(|argv| argv.join(" ")).collect();
    let first_hold = lines.iter().position(|line| line.contains("mangle")).unwrap();
    for program in ["iptables-nft", "ip6tables-nft"] {
        let jump = format!("{program} -w -t security -I FORWARD 1 -j kordon-gate");
        assert!(lines.iter().position(|line| *line == jump).unwrap() < first_hold);
    }
    assert!(lines.iter().all(|line| line.contains(" -w ")));
}

#[test]
fn a_word_given_to_iptables_restore_comes_back_as_it_was() {
    for word in ["-j", "kordon-hold", "", "two words", "a\"quote", "back\\slash"] {
        let line = format!("-m comment --comment {} -j X", quoted(word));
        assert_eq!(split_words(&line)[3], word, "{line}");
    }
}

#[test]
fn protocols_are_compared_by_number_whatever_the_machine_calls_them() {
    let plan = Plan { hold_input: false, ..samples::input() };
    let listed = |protocols: [&str; 9]| {
        let mut text = "-P INPUT ACCEPT -c 0 0\n-N kordon-check-in\n-N kordon-gate-in\n\
                        -A INPUT -c 4 400 -j kordon-gate-in\n"
            .to_owned();
        for protocol in protocols {
            text.push_str(&format!("-A kordon-check-in -p {protocol} -c 3 180 -j DROP\n"));
        }
        text += "-A kordon-check-in -p udp -m multiport --dports \
                 500,1701,2152,3544,4500,4789,6081,8472,51820 -c 0 0 -j DROP\n\
                 -A kordon-gate-in -i lo -c 0 0 -j RETURN\n\
                 -A kordon-gate-in -i cam0 -c 7 588 -g kordon-check-in\n\
                 -A kordon-gate-in -i vlan.10 -c 0 0 -g kordon-check-in\n";
        Model(Listing::parse(&text)).presence(&plan, Half::GateInput)
    };
    let names = ["ipencap", "ipv6", "gre", "esp", "ah", "etherip", "ipcomp", "l2tp", "mpls-in-ip"];
    assert_eq!(listed(names), Presence::AsPlanned);
    let numbers = ["4", "41", "47", "50", "51", "97", "108", "115", "137"];
    assert_eq!(listed(numbers), Presence::AsPlanned);
    let other = ["4", "41", "47", "50", "51", "97", "108", "115", "132"];
    assert!(matches!(listed(other), Presence::Different(_)));
}
