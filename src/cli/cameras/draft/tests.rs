use std::net::IpAddr;

use super::*;
use crate::config::samples::Folder;
use crate::config::{Action, Mac, Unlisted};
use crate::counters::Service;
use crate::evidence::cameras::{Contact, LeftOut, Use, service};
use crate::ruleset::Ruleset;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn uses(camera: &str, destination: &str, port: u16, minutes: u64) -> Use {
    let service_ = Service::At(port);
    Use {
        camera: camera.to_owned(),
        contact: Contact { destination: ip(destination), protocol: 17, service: service_ },
        what: service(17, service_),
        first: 1_795_000_000,
        last: 1_795_600_000,
        minutes,
        note: None,
    }
}

fn proposal() -> Proposal {
    let camera = |name: &str, declared, address: &str, mac| ProposedCamera {
        name: name.to_owned(),
        declared,
        declare: !declared,
        addresses: vec![ip(address)],
        mac,
        policy: None,
        note: None,
    };
    let ntp = "198.51.100.1";
    Proposal {
        schema: 1,
        source: RUNNING.to_owned(),
        generation: 5,
        now: 1_795_600_000,
        since: 1_795_000_000,
        cameras: vec![
            camera("gate-3", true, "192.0.2.3", None),
            camera("camera-192.0.2.9", false, "192.0.2.9", Some(Mac([2, 0, 0, 0, 0, 9]))),
        ],
        silent: vec!["gate-4".to_owned()],
        allow: vec![
            Allowed {
                destination: ip(ntp),
                uses: vec![uses("gate-3", ntp, 123, 1_000), uses("camera-192.0.2.9", ntp, 123, 7)],
            },
            Allowed {
                destination: ip("2001:db8:2::1"),
                uses: vec![uses("gate-3", "2001:db8:2::1", 9000, 1)],
            },
        ],
        left_out: vec![LeftOut {
            destination: ip("203.0.113.7"),
            cameras: vec!["gate-3".to_owned()],
            why: "list blocked blocks it".to_owned(),
        }],
        lists: vec!["blocked".to_owned()],
        policies: vec!["yard".to_owned()],
        missed: 0,
    }
}

const BEFORE: &str = "[cameras]\ninterfaces = [\"cam0\"]\n\
    [[camera]]\nname = \"gate-3\"\naddress = \"192.0.2.3\"\n\
    [[list]]\nname = \"blocked\"\npath = \"blocked.txt\"\nkind = \"prefix\"\naction = \"block\"\n";

#[test]
fn the_draft_is_a_configuration_that_allows_just_what_was_proposed() {
    let folder = Folder::new();
    folder.write("blocked.txt", "203.0.113.0/25\n");
    folder.write("learned.txt", list(&proposal()));
    let text = format!("{BEFORE}{}", toml(&proposal(), "learned", "learned.txt"));
    let config = folder.load(&text).unwrap();
    let policy = &config.policies[0];
    assert_eq!((policy.name.as_str(), policy.unlisted), ("learned", Unlisted::Drop));
    assert_eq!(policy.cameras.len(), 2);
    assert_eq!(policy.lists.as_deref(), Some(&["blocked".to_owned(), "learned".to_owned()][..]));
    assert_eq!(config.cameras.named[1].mac, Some(Mac([2, 0, 0, 0, 0, 9])));
    assert_eq!(config.lists[1].action, Action::Allow);
    let rules = Ruleset::load(&config, |_| Some(0), None).unwrap();
    for (to, passes) in [
        ("198.51.100.1", true),
        ("198.51.100.2", false),
        ("203.0.113.7", false),
        ("2001:db8:2::1", true),
        ("2001:db8:2::2", false),
    ] {
        let answer = crate::explain::explain(
            &rules,
            crate::config::Mode::Enforce,
            RUNNING,
            ip(to),
            Some("gate-3"),
        );
        assert_eq!(answer.unwrap().outcome == "passes", passes, "{to}");
    }
}

#[test]
fn a_camera_for_which_there_is_no_name_left_is_in_the_policy_by_its_address() {
    let mut proposal = proposal();
    proposal.cameras[1].declare = false;
    let text = toml(&proposal, "learned", "x");
    assert!(!text.contains("[[camera]]"), "{text}");
    assert!(text.contains("cameras = [\"gate-3\", \"192.0.2.9\"]"), "{text}");
}

#[test]
fn each_line_says_who_needs_it_what_for_and_since_when() {
    let text = list(&proposal());
    let wanted = "198.51.100.1 # udp 123 (NTP): gate-3, camera-192.0.2.9; 2026-11-18 to 2026-11-25, \
         1 007 flow minutes\n";
    assert!(text.contains(wanted), "{text}");
    assert!(
        text.contains("# not proposed: 203.0.113.7 (gate-3): list blocked blocks it\n"),
        "{text}"
    );
}

#[test]
fn a_name_that_is_taken_a_full_record_and_a_silent_camera_are_said() {
    let quiet = toml(&proposal(), "learned", "x");
    assert!(!quiet.contains("ALREADY") && !quiet.contains("FULL"), "{quiet}");
    assert!(quiet.contains("# gate-4: nothing passed"), "{quiet}");
    for taken in ["yard", "blocked"] {
        assert!(toml(&proposal(), taken, "x").contains(&format!("# {taken} IS THERE ALREADY")));
    }
    let full = Proposal { missed: 3, ..proposal() };
    assert!(toml(&full, "learned", "x").contains("THE RECORD WAS FULL: 3 flow minutes"));
}
