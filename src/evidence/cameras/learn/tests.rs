use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::config::samples::Folder;
use crate::counters::{Service, Sighting};
use crate::packet::Addresses;
use crate::verdict::Tunnel;

/// Two lists that block, one that exempts, one that watches; two declared cameras.
fn rules() -> Ruleset {
    let folder = Folder::new();
    folder.write("blocked.txt", "203.0.113.0/25\n");
    folder.write("exempt.txt", "203.0.113.20\n");
    folder.write("watched.txt", "198.51.100.128/25\n");
    let mut text = "[cameras]\ninterfaces = [\"cam0\"]\n\
        [[camera]]\nname = \"gate-3\"\naddress = [\"192.0.2.3\", \"2001:db8:1::3\"]\n\
        [[camera]]\nname = \"gate-4\"\naddress = \"192.0.2.4\"\n\
        [[policy]]\nname = \"yard\"\ncameras = [\"gate-4\"]\nlists = [\"blocked\"]\n"
        .to_owned();
    for (name, action) in [("blocked", "block"), ("exempt", "allow"), ("watched", "monitor")] {
        text += &format!(
            "[[list]]\nname = \"{name}\"\npath = \"{name}.txt\"\nkind = \"prefix\"\naction = \"{action}\"\n"
        );
    }
    let config = folder.load(&text).unwrap();
    Ruleset::load(&config, |_| Some(0), None).unwrap()
}

fn from(source: &str, destination: &str) -> Sighting {
    let (source, destination): (IpAddr, IpAddr) =
        (source.parse().unwrap(), destination.parse().unwrap());
    let addresses = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Addresses::V4 { source, destination },
        (IpAddr::V6(source), IpAddr::V6(destination)) => Addresses::V6 { source, destination },
        _ => panic!("{source} {destination}"),
    };
    Sighting {
        addresses,
        protocol: 17,
        service: Service::At(123),
        mac: None,
        interface: 0,
        reason: Reason::NoMatch,
        dropped: false,
    }
}

fn with_mac(last: u8, sighting: Sighting) -> Sighting {
    Sighting { mac: Some(Mac([2, 0, 0, 0, 0, last])), ..sighting }
}

fn record(sightings: &[(u64, Sighting)]) -> Cameras {
    let mut cameras = Cameras::new(1);
    for (at, sighting) in sightings {
        cameras.note(sighting, true, None, *at);
    }
    cameras
}

fn proposed(cameras: &Cameras, asked: &[&str], since: u64) -> Result<Proposal, Failure> {
    let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
    propose(cameras, &rules(), &asked, (since, 1_000), "test")
}

fn destinations(proposal: &Proposal) -> Vec<String> {
    proposal.allow.iter().map(|allowed| allowed.destination.to_string()).collect()
}

#[test]
fn what_passed_is_proposed_and_what_was_dropped_is_not() {
    let dropped = Sighting {
        reason: Reason::Tunnel(Tunnel::Gre),
        dropped: true,
        ..from("192.0.2.3", "198.51.100.9")
    };
    let cameras = record(&[
        (10, from("192.0.2.3", "198.51.100.1")),
        (70, from("192.0.2.3", "198.51.100.1")),
        (20, from("2001:db8:1::3", "2001:db8:2::1")),
        (30, dropped),
    ]);
    let proposal = proposed(&cameras, &["gate-3"], 0).unwrap();
    assert_eq!(destinations(&proposal), ["198.51.100.1", "2001:db8:2::1"]);
    let used = &proposal.allow[0].uses;
    assert_eq!((used.len(), used[0].camera.as_str(), used[0].minutes), (1, "gate-3", 2));
    assert_eq!((used[0].first, used[0].last), (10, 70));
    assert_eq!(used[0].what, "udp 123 (NTP)");
    assert_eq!(proposal.cameras.len(), 1, "two addresses of one camera");
    assert_eq!(proposal.lists, ["blocked", "exempt", "watched"]);
    assert!(proposal.left_out.is_empty(), "it never passed: {:?}", proposal.left_out);
}

#[test]
fn what_a_list_names_is_never_proposed_even_where_it_passed() {
    let monitored = |to: &str| Sighting { reason: Reason::Blocked, ..from("192.0.2.3", to) };
    let exempt = Sighting { reason: Reason::Exempt, ..from("192.0.2.3", "203.0.113.20") };
    let cameras = record(&[
        (10, from("192.0.2.3", "203.0.113.250")),
        // Passed in its time: the list came later, or only counted.
        (20, from("192.0.2.3", "203.0.113.7")),
        (30, monitored("203.0.113.8")),
        (40, exempt),
        (50, from("192.0.2.3", "198.51.100.200")),
        // 203.0.113.7 behind the well-known NAT64 prefix, and an address that is on no list.
        (60, from("2001:db8:1::3", "64:ff9b::cb00:7107")),
        (70, from("2001:db8:1::3", "64:ff9b::cb00:71fa")),
    ]);
    let proposal = proposed(&cameras, &[], 0).unwrap();
    assert_eq!(destinations(&proposal), ["203.0.113.250", "64:ff9b::cb00:71fa"]);
    let why = |to: &str| {
        let out = proposal.left_out.iter().find(|out| out.destination.to_string() == to);
        out.map_or("", |out| out.why.as_str())
    };
    assert_eq!(why("203.0.113.7"), "list blocked blocks it");
    assert_eq!(why("203.0.113.8"), "", "never passed by right");
    assert!(why("203.0.113.20").contains("list exempt lets it pass"), "{}", why("203.0.113.20"));
    assert!(why("198.51.100.200").starts_with("list watched watches it"));
    assert_eq!(why("64:ff9b::cb00:7107"), "it embeds 203.0.113.7: list blocked blocks it");
}

#[test]
fn what_is_dropped_by_now_is_not_proposed_unless_only_the_policy_would() {
    let unlisted = |to: &str, dropped| Sighting {
        reason: Reason::NotAllowed,
        dropped,
        ..from("192.0.2.3", to)
    };
    let cameras = record(&[
        (10, from("192.0.2.3", "198.51.100.1")),
        (20, unlisted("198.51.100.1", true)),
        (30, unlisted("198.51.100.2", false)),
        (40, unlisted("198.51.100.3", true)),
    ]);
    let proposal = proposed(&cameras, &[], 0).unwrap();
    assert_eq!(destinations(&proposal), ["198.51.100.2"]);
    assert_eq!(proposal.allow[0].uses[0].note.as_deref(), Some("its policy would drop it"));
    assert_eq!(proposal.left_out.len(), 1);
    assert_eq!(proposal.left_out[0].why, "dropped since: not_allowed");
}

#[test]
fn only_what_passed_since_then_counts() {
    let cameras = record(&[
        (10, from("192.0.2.3", "198.51.100.1")),
        (500, from("192.0.2.3", "198.51.100.2")),
        (10, from("192.0.2.4", "198.51.100.3")),
    ]);
    let proposal = proposed(&cameras, &["gate-3", "gate-4"], 500).unwrap();
    assert_eq!(destinations(&proposal), ["198.51.100.2"]);
    assert_eq!(proposal.silent, ["gate-4"]);
    assert_eq!(proposed(&cameras, &[], 501).unwrap_err().status, ExitStatus::Failed);
}

#[test]
fn a_camera_is_asked_for_by_name_or_address() {
    let cameras = record(&[
        (10, from("192.0.2.3", "198.51.100.1")),
        (10, from("192.0.2.4", "198.51.100.2")),
        (10, from("192.0.2.9", "198.51.100.3")),
    ]);
    let proposal = proposed(&cameras, &["gate-4"], 0).unwrap();
    assert_eq!(destinations(&proposal), ["198.51.100.2"]);
    assert_eq!(proposal.lists, ["blocked"], "those of its policy");
    assert_eq!(proposal.cameras[0].policy.as_deref(), Some("yard"));
    let proposal = proposed(&cameras, &["192.0.2.9"], 0).unwrap();
    assert_eq!(destinations(&proposal), ["198.51.100.3"]);
    assert_eq!(proposal.cameras[0].name, "camera-192.0.2.9");
    assert!(!proposal.cameras[0].declared);
    assert_eq!(proposed(&cameras, &["gate-5"], 0).unwrap_err().status, ExitStatus::Usage);
}

#[test]
fn an_undeclared_camera_gets_the_mac_address_that_is_its_alone() {
    let v6 = |host: u16| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, host).to_string();
    let v4 = |host: u8| Ipv4Addr::new(192, 0, 2, host).to_string();
    let (to4, to6) = ("198.51.100.1", "2001:db8:2::1");
    let cameras = record(&[
        // One camera with an address of each family.
        (10, with_mac(1, from(&v4(11), to4))),
        (10, with_mac(1, from(&v6(0x11), to6))),
        // Two behind a router.
        (10, with_mac(2, from(&v4(12), to4))),
        (10, with_mac(2, from(&v4(13), to4))),
        // One that came from two.
        (10, with_mac(3, from(&v4(14), to4))),
        (20, with_mac(4, from(&v4(14), to4))),
        // One that bears the MAC address of a declared camera.
        (10, with_mac(5, from(&v4(3), to4))),
        (10, with_mac(5, from(&v4(15), to4))),
    ]);
    let proposal = proposed(&cameras, &[], 0).unwrap();
    let camera = |name: &str| proposal.cameras.iter().find(|camera| camera.name == name).unwrap();
    let own = camera("camera-192.0.2.11");
    assert_eq!(own.addresses.len(), 2);
    assert_eq!(own.mac, Some(Mac([2, 0, 0, 0, 0, 1])));
    for (host, said) in [(12, "a router"), (13, "a router"), (14, "several MAC"), (15, "a router")]
    {
        let other = camera(&format!("camera-192.0.2.{host}"));
        assert_eq!((other.mac, other.addresses.len()), (None, 1), "{host}");
        assert!(other.note.as_ref().unwrap().contains(said), "{other:?}");
    }
    assert_eq!(proposal.cameras.len(), 6);
}

#[test]
fn no_more_cameras_are_declared_than_have_room() {
    let sightings: Vec<_> = (0..400_u32)
        .map(|host| {
            let source = Ipv4Addr::from_bits(0xc000_0a00 + host).to_string();
            (10, from(&source, "198.51.100.1"))
        })
        .collect();
    let proposal = proposed(&record(&sightings), &[], 0).unwrap();
    assert_eq!(proposal.cameras.len(), 400);
    let declared = proposal.cameras.iter().filter(|camera| camera.declare).count();
    assert_eq!(declared, CAMERA_LIMIT - 2, "two have names already");
}

#[test]
fn whoever_was_only_forged_gets_nothing() {
    let forged = Sighting {
        reason: Reason::Forged(crate::verdict::Forgery::Network),
        ..from("192.0.2.77", "198.51.100.1")
    };
    let cameras = record(&[(10, forged), (10, from("192.0.2.3", "198.51.100.2"))]);
    let proposal = proposed(&cameras, &[], 0).unwrap();
    assert_eq!(destinations(&proposal), ["198.51.100.2"]);
    assert_eq!(proposal.cameras.len(), 1);
    assert!(proposed(&cameras, &["192.0.2.77"], 0).is_err());
}
