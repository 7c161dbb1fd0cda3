use std::net::Ipv4Addr;

use super::*;
use crate::packet::Addresses;
use crate::verdict::Forgery;

const DAY: u64 = 86_400;

/// From 192.0.2.`camera`, or beyond, to an address of 203.0.113.0, or beyond.
fn sighting(camera: u32, destination: u32) -> Sighting {
    Sighting {
        addresses: Addresses::V4 {
            source: Ipv4Addr::from_bits(0xc000_0200 + camera),
            destination: Ipv4Addr::from_bits(0xcb00_7100 + destination),
        },
        protocol: 17,
        service: Service::At(123),
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        interface: 0,
        reason: Reason::NoMatch,
        dropped: false,
    }
}

fn source(camera: u32) -> IpAddr {
    sighting(camera, 0).addresses.source()
}

fn forged(camera: u32) -> Sighting {
    Sighting { reason: Reason::Forged(Forgery::Mac), dropped: true, ..sighting(camera, 1) }
}

fn blocked(camera: u32, destination: u32) -> Sighting {
    Sighting { reason: Reason::Blocked, dropped: true, ..sighting(camera, destination) }
}

#[test]
fn a_sender_is_told_with_what_it_sent_to_and_what_became_of_that() {
    let mut cameras = Cameras::new(10);
    cameras.note(&sighting(1, 1), false, Some("cam0"), 20);
    cameras.note(&sighting(1, 1), false, Some("cam0"), 80);
    cameras.note(&blocked(1, 2), false, Some("cam0"), 90);
    cameras.note(&Sighting { dropped: false, ..blocked(1, 3) }, false, None, 95);
    let sender = cameras.sender(&source(1)).unwrap();
    assert_eq!((sender.first, sender.last), (20, 95));
    assert_eq!((sender.passed, sender.would_drop, sender.dropped), (2, 1, 1));
    assert_eq!(sender.interface.as_deref(), Some("cam0"));
    assert_eq!(sender.macs, [(Mac([2, 0, 0, 0, 0, 1]), 95)]);
    assert_eq!(sender.destinations(), 3);
    let last = sender.last_drop.as_ref().unwrap();
    assert_eq!((last.at, last.why.as_str()), (95, "blocked"));
    let met: Vec<_> = sender.contacts().map(|(_, talk)| (talk.outcome, talk.last)).collect();
    assert_eq!(met, [(Outcome::Passed, 80), (Outcome::Dropped, 90), (Outcome::WouldDrop, 95)]);
    assert_eq!(cameras.sender(&source(2)), None);
}

#[test]
fn a_minute_of_the_clock_counts_once_for_each_flow_however_often_it_is_reported() {
    let mut cameras = Cameras::new(0);
    for second in 0..180 {
        cameras.note(&sighting(1, 1), false, None, second);
        cameras.note(&blocked(1, 2), false, None, second);
        cameras.note(&forged(2), false, None, second);
    }
    let sender = cameras.sender(&source(1)).unwrap();
    assert_eq!((sender.passed, sender.dropped), (3, 3));
    assert_eq!(sender.contacts().next().unwrap().1.last_passed, Some(179));
    assert_eq!(cameras.sender(&source(2)).unwrap().forged.as_ref().unwrap().1, 3);
}

#[test]
fn a_forged_packet_says_nothing_about_the_camera_whose_address_it_bears() {
    let mut cameras = Cameras::new(0);
    let stranger = Mac([2, 0, 0, 0, 0, 9]);
    cameras.note(&sighting(1, 1), true, None, 1);
    cameras.note(&Sighting { mac: Some(stranger), ..forged(1) }, true, None, 2);
    let sender = cameras.sender(&source(1)).unwrap();
    assert_eq!(sender.macs.len(), 1);
    assert_eq!(sender.destinations(), 1);
    assert_eq!(sender.last_drop, None);
    let (last, minutes) = sender.forged.as_ref().unwrap();
    assert_eq!((last.mac, *minutes), (Some(stranger), 1));
    // Whoever was only forged is no camera that was seen.
    cameras.note(&forged(7), false, None, 3);
    assert_eq!(cameras.seen(|address| *address == source(1)), [1, 0]);
    cameras.note(&sighting(7, 1), false, None, 4);
    assert_eq!(cameras.seen(|address| *address == source(1)), [1, 1]);
}

#[test]
fn senders_are_bounded_and_a_declared_camera_always_has_room() {
    let mut cameras = Cameras::new(0);
    for camera in 0..1_000 {
        cameras.note(&forged(10_000 + camera), false, None, 1);
    }
    assert_eq!(cameras.senders().count(), FORGED);
    assert_eq!(cameras.no_room.senders, 1_000 - FORGED as u64);
    for camera in 0..3_000 {
        cameras.note(&sighting(camera, 1), false, None, 1);
    }
    assert_eq!(cameras.senders().count(), SENDERS);
    assert_eq!(cameras.no_room.senders, 4_000 - SENDERS as u64);
    cameras.note(&sighting(9_999, 1), true, None, 2);
    assert!(cameras.sender(&source(9_999)).is_some());
}

#[test]
fn destinations_are_bounded_and_what_never_passes_leaves_room() {
    let mut cameras = Cameras::new(0);
    for destination in 0..1_000 {
        cameras.note(&blocked(1, destination), false, None, 1);
    }
    assert_eq!(cameras.sender(&source(1)).unwrap().destinations(), CONTACTS_OF_ONE / 2);
    for destination in 2_000..3_000 {
        cameras.note(&sighting(1, destination), false, None, 1);
    }
    let sender = cameras.sender(&source(1)).unwrap();
    assert_eq!(sender.destinations(), CONTACTS_OF_ONE);
    assert_eq!(sender.missed, 2_000 - CONTACTS_OF_ONE as u64);
    assert_eq!(cameras.no_room.contacts, sender.missed);
    // All senders together.
    for camera in 2..200 {
        for destination in 0..CONTACTS_OF_ONE as u32 {
            cameras.note(&sighting(camera, destination), true, None, 1);
        }
    }
    let all: usize = cameras.senders().map(|(_, sender)| sender.contacts().count()).sum();
    assert_eq!(all, CONTACTS);
}

#[test]
fn many_ports_of_one_destination_are_one_contact_in_the_end() {
    let mut cameras = Cameras::new(0);
    for port in 10_000..20_000 {
        let one = Sighting { service: Service::At(port), ..sighting(1, 1) };
        cameras.note(&one, false, None, 1);
    }
    let sender = cameras.sender(&source(1)).unwrap();
    assert_eq!(sender.contacts().count(), SERVICES + 1);
    assert_eq!((sender.destinations(), sender.missed), (1, 0));
}

#[test]
fn what_is_silent_is_forgotten_and_makes_room() {
    let mut cameras = Cameras::new(0);
    cameras.note(&sighting(1, 1), false, None, 0);
    cameras.note(&sighting(1, 2), false, None, DAY);
    cameras.note(&sighting(2, 1), false, None, 0);
    cameras.forget(FORGET - 1);
    assert_eq!(cameras.senders().count(), 2);
    cameras.forget(FORGET);
    assert_eq!(cameras.senders().count(), 1);
    assert_eq!(cameras.sender(&source(1)).unwrap().destinations(), 1);
    assert_eq!(cameras.contacts, 1);
}

#[test]
fn the_mac_address_that_was_silent_for_longest_makes_room() {
    let mut cameras = Cameras::new(0);
    for last in 0..=MACS as u8 {
        let one = Sighting { mac: Some(Mac([2, 0, 0, 0, 0, last])), ..sighting(1, 1) };
        cameras.note(&one, false, None, u64::from(last));
    }
    let macs = &cameras.sender(&source(1)).unwrap().macs;
    assert_eq!(macs.len(), MACS);
    assert!(macs.iter().all(|(mac, _)| mac.0[5] != 0));
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("kordon-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_record_is_read_as_it_was_written_however_full_it_is() {
    let folder = folder("cameras");
    assert_eq!(read(&folder), Ok(None));
    let mut cameras = Cameras::new(7);
    for camera in 0..SENDERS as u32 {
        for destination in 0..10 {
            let reason = Reason::NotAllowed;
            let one = Sighting { reason, ..sighting(camera, destination) };
            cameras.note(&one, false, Some("cam0"), 1_795_000_000);
        }
    }
    cameras.note(&forged(70_000), true, None, 9);
    let text = text(&cameras).unwrap();
    assert!(text.len() < 8 << 20, "{} bytes", text.len());
    write(&folder, &text).unwrap();
    assert_eq!(read(&folder), Ok(Some(cameras)));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_damaged_record_is_none() {
    let folder = folder("cameras-damaged");
    let mut cameras = Cameras::new(7);
    cameras.note(&sighting(1, 1), false, None, 8);
    let good = String::from_utf8(text(&cameras).unwrap()).unwrap();
    write(&folder, good.as_bytes()).unwrap();
    assert!(read(&folder).unwrap().is_some(), "the control");
    for bad in [
        "",
        "{}",
        &good[..good.len() / 2],
        &good.replace("\"schema\":1", "\"schema\":2"),
        &good.replace("192.0.2.1", "192.0.2.x"),
        &good.replace("02:00:00:00:00:01", "02:00"),
    ] {
        write(&folder, bad.as_bytes()).unwrap();
        let failure = read(&folder).unwrap_err();
        assert_eq!(failure.status, crate::failure::ExitStatus::BadData, "{bad}");
        assert!(failure.message.contains("cameras.json: "), "{failure}");
    }
    let file = std::fs::File::create(folder.join("cameras.json")).unwrap();
    file.set_len(33 << 20).unwrap();
    assert!(read(&folder).is_err(), "too large to be read");
    std::fs::remove_dir_all(&folder).unwrap();
}
