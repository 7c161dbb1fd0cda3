use super::*;
use crate::packet::samples::ordinary::ordinary;
use crate::packet::samples::tunnels::*;
use crate::packet::samples::{V4, fragment, good, with_chain};
use crate::packet::{Held, parse};
use crate::verdict::Family;
use proptest::prelude::*;

fn of(bytes: &[u8]) -> Sight {
    let held = Held::from(bytes);
    sight(&parse(held).unwrap(), held)
}

/// What the message tells, the same in both families, whole and with a copy of 128 bytes.
fn told(message: &Message) -> Sight {
    let mut told = Vec::new();
    for family in Family::ALL {
        let bytes = message.packet(family);
        let copy = &bytes[..bytes.len().min(128)];
        let cut = Held { length: bytes.len() as u32, ..Held::from(copy) };
        told.extend([of(&bytes), sight(&parse(cut).unwrap(), cut)]);
    }
    assert!(told.iter().all(|one| *one == told[0]), "{}: {told:?}", message.name);
    told[0]
}

fn is(message: &Message, expected: Sight) {
    assert_eq!(told(message), expected, "{}", message.name);
}

/// No tunnel, by this message alone.
fn is_none(message: &Message) {
    let found = told(message);
    assert!(!matches!(found, Sight::Tunnel(_) | Sight::Flow { .. }), "{}: {found:?}", message.name);
}

fn flow(tunnel: Tunnel) -> Sight {
    Sight::Flow { now: tunnel, later: tunnel }
}

#[test]
fn wireguard_is_recognised_on_any_port_and_its_neighbours_are_not() {
    for message in wireguard() {
        is(&message, flow(Tunnel::WireGuard));
        is(&message.on((53, 53)), flow(Tunnel::WireGuard));
        let length = message.payload.len();
        for other in [length - 1, length + 1, length - 16] {
            is(&message.long(other), Sight::Nothing);
        }
        is(&message.with("reserved byte", 2, &[1]), Sight::Nothing);
        is(&message.with("type 5", 0, &[5]), Sight::Nothing);
        is(&message.with("no key", 8, &[0; 32]), Sight::Nothing);
        is(&message.with("text", 8, &[b'e'; 36]), Sight::Nothing);
    }
    let [initiation, response, _] = &wireguard()[..] else { panic!("three") };
    is(&initiation.with("key above 2^255", 39, &[0x83]), Sight::Nothing);
    is(&response.with("key above 2^255", 43, &[0x83]), Sight::Nothing);
}

#[test]
fn wireguards_data_is_suspected_and_its_neighbours_are_not() {
    let expected = Sight::MaybeWireGuard { receiver: 0x1122_3344, counter: 7 };
    for length in [32, 48, 70, 96, 1424] {
        is(&wireguard_data(7, length), expected);
    }
    is(&wireguard_data(7, 32).long(31), Sight::Nothing);
    is(&wireguard_data(1 << 40, 96), Sight::Nothing);
    is(&wireguard_data(7, 96).with("no noise", 16, &[0; 16]), Sight::Nothing);
}

#[test]
fn openvpn_is_recognised_over_udp_and_tcp_and_its_neighbours_are_not() {
    for message in openvpn() {
        let expected = flow(Tunnel::OpenVpn);
        is(&message, expected);
        opens_in_tcp(&message);
        let last = message.payload.len() - 1;
        let fixed = !message.name.contains("v2");
        let plain = message.name.contains("plain") || message.name.contains("reset");
        let mut near = vec![
            message.with("no session", 1, &[0; 8]),
            message.with("opcode 12", 0, &[12 << 3]),
            message.with("no opcode", 0, &[0]),
        ];
        if fixed {
            near.push(message.long(last));
            near.push(message.long(last + 2));
        } else {
            near.push(message.long(53));
        }
        if !message.name.contains("crypt") {
            let near = message.with("not the first", last, &[1]);
            assert_eq!(of(&near.packet(Family::V6)), Sight::Nothing, "{}", near.name);
            assert_eq!(of(&in_tcp(&near).packet(Family::V6)), Sight::Nothing, "{}", near.name);
        }
        if !plain {
            let at = match message.name.rsplit_once("of ") {
                Some((_, hmac)) => 9 + hmac.parse::<usize>().unwrap(),
                None => 9,
            };
            near.push(message.with("other replay identifier", at, &[0x80, 0, 0, 1]));
        }
        for near in near {
            is(&near, Sight::Nothing);
            for family in Family::ALL {
                assert_eq!(of(&in_tcp(&near).packet(family)), Sight::Nothing, "{}", near.name);
            }
        }
        let mut longer = in_tcp(&message);
        longer.payload.push(0);
        is_none(&longer);
    }
}

/// Recognised whole; with a copy of 128 bytes at least suspected, and recognised unless the HMAC is very long.
fn opens_in_tcp(message: &Message) {
    for family in Family::ALL {
        let bytes = in_tcp(message).packet(family);
        assert_eq!(of(&bytes), flow(Tunnel::OpenVpn), "{}", message.name);
        let cut = Held { length: bytes.len() as u32, ..Held::from(&bytes[..bytes.len().min(128)]) };
        let found = sight(&parse(cut).unwrap(), cut);
        if found != flow(Tunnel::OpenVpn) {
            let session = u64::from_be_bytes(noise(8, 8).try_into().unwrap());
            assert_eq!(found, Sight::MaybeOpenVpn { session, opens: true }, "{}", message.name);
            assert!(["of 48", "of 64"].iter().any(|long| message.name.ends_with(long)));
        }
    }
}

#[test]
fn ike_is_recognised_on_any_port_and_its_neighbours_are_not() {
    let exchanges = [(0x10, 2), (0x10, 4), (0x10, 32), (0x20, 34), (0x20, 35), (0x20, 37)];
    for (version, exchange) in exchanges {
        let message = ike(version, exchange);
        let bound = Sight::Flow { now: Tunnel::Ike, later: Tunnel::Esp };
        let ports = [RANDOM, (500, 500), (4500, 4500)];
        for ports in ports {
            is(&message.on(ports), flow(Tunnel::Ike));
            is(&marked(&message).on(ports), bound);
        }
        let length = message.payload.len();
        for near in [
            message.with("no identifier", 0, &[0; 8]),
            message.with("version 3", 17, &[0x30]),
            message.with("exchange 99", 18, &[99]),
            message.with("a flag that is none", 19, &[0x40]),
            message.with("another length", 27, &[0xe4]),
            message.long(length - 4),
            message.long(length + 4),
        ] {
            is(&near, Sight::Nothing);
            is(&marked(&near), Sight::Nothing);
        }
    }
    let opening = Message::tcp("ike in tcp", b"IKETCP\x00\x20".to_vec());
    is(&opening, Sight::Flow { now: Tunnel::Ike, later: Tunnel::Esp });
    is(&Message::tcp("not ike in tcp", b"IKETCQ\x00\x20".to_vec()), Sight::Nothing);
}

#[test]
fn esp_in_udp_is_known_by_its_port_and_suspected_elsewhere() {
    let message = esp(5, 124);
    let suspected = Sight::MaybeEsp { spi: 0xc123_4567, sequence: 5 };
    is(&message.on((4500, 4500)), Sight::Tunnel(Tunnel::Esp));
    is(&message.on((40_000, 4500)), Sight::Tunnel(Tunnel::Esp));
    let media = message.with("as media begins", 0, &[0x80, 0x60]).on((40_000, 4500));
    is(&media, Sight::MaybeEsp { spi: 0x8060_4567, sequence: 5 });
    is(&message, suspected);
    // From the port alone it is no more than suspected.
    is(&message.on((4500, 40_000)), suspected);
    for near in [
        message.with("reserved identifier", 0, &[0, 0, 0, 255]),
        message.with("high number", 4, &[0, 1, 0, 0]),
        message.with("number 0", 4, &[0, 0, 0, 0]),
        message.with("no noise", 16, &[0; 16]),
        message.long(123),
        message.long(28),
    ] {
        is(&near, Sight::Nothing);
    }
    let keepalive = Message::udp("keepalive", (4500, 4500), vec![0xff]);
    is(&keepalive, Sight::Tunnel(Tunnel::Esp));
    is(&keepalive.on(RANDOM), Sight::Nothing);
    is(&keepalive.with("another byte", 0, &[0xfe]), Sight::Nothing);
}

#[test]
fn what_carries_packets_in_the_clear_is_recognised_and_where_it_may_not_be_it_is_not() {
    for family in Family::ALL {
        for (tunnel, message, anywhere) in in_the_clear(&inside(family)) {
            is(&message, Sight::Tunnel(tunnel));
            if message.protocol == 17 {
                let found = told(&message.on(RANDOM));
                assert_eq!(found == Sight::Tunnel(tunnel), anywhere, "{}: {found:?}", message.name);
                // The packet within is one byte longer than it says, the datagram too.
                if anywhere {
                    let longer = message.long(message.payload.len() + 1).on(RANDOM);
                    is_none(&longer);
                }
            } else {
                let other = Message { protocol: 253, ..message.clone() };
                is_none(&other);
            }
        }
    }
    for (protocol, tunnel) in
        [(50, Tunnel::Esp), (55, Tunnel::Ipip), (98, Tunnel::Ipip), (108, Tunnel::IpComp)]
    {
        is(&Message::ip("unreadable", protocol, noise(1, 64)), Sight::Tunnel(tunnel));
        is(&Message::ip("neighbour", protocol + 6, noise(1, 64)), Sight::Nothing);
    }
}

#[test]
fn headers_of_tunnels_on_their_ports_are_held_against_their_form() {
    let inside = inside(Family::V4);
    let clear = in_the_clear(&inside);
    let find =
        |name: &str| clear.iter().find(|(_, message, _)| message.name == name).unwrap().1.clone();
    let near = [
        find("vxlan").with("no identifier", 0, &[0]),
        find("vxlan").with("reserved byte", 7, &[1]),
        find("vxlan").with("reserved bytes", 2, &[1]),
        find("vxlan").long(20),
        find("geneve").with("version 1", 0, &[0x40]),
        find("geneve").with("another protocol", 2, &[0x12, 0x34]),
        find("geneve").with("reserved byte", 7, &[1]),
        find("gtp-u").with("version 2", 0, &[0x50]),
        find("gtp-u").with("charging", 0, &[0x20]),
        find("gtp-u").with("another length", 3, &[9]),
        find("gtp-u").with("unknown message", 1, &[77]),
        find("mpls in udp").with("no time to live", 3, &[0]),
        find("mpls in udp").with("another length within", 7, &[9]),
        find("l2tp").with("no frame", 6, &[1, 1]),
        find("l2tp").with("version 1", 1, &[1]),
        find("l2tp").with("reserved bit", 0, &[0x20]),
        find("l2tp").with("no tunnel", 2, &[0, 0]),
        find("l2tp with all").with("another length", 3, &[9]),
        find("l2tp version 3").with("reserved bytes", 2, &[0, 1]),
        find("ipv4 in udp").with("another checksum", 10, &[1, 2]),
    ];
    for near in near {
        is_none(&near);
    }
    // A media stream from such a port is none of them.
    let media = ordinary(3).into_iter().find(|message| message.name == "rtp").unwrap();
    for port in [4789, 8472, 6081, 2152, 3544, 1701, 6635, 4500, 500] {
        is(&media.on((port, 6970)), Sight::Nothing);
    }
}

#[test]
fn control_messages_of_l2tp_and_pptp_are_recognised_and_carry_nothing() {
    let start = [
        &[0xc8, 2, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[0x80, 8, 0, 0, 0, 0, 0, 1],
        &[0x80, 8, 0, 0, 0, 2, 1, 0],
    ];
    let message = Message::udp("l2tp control", RANDOM, start.concat());
    is(&message, flow(Tunnel::L2tp));
    is(&message.on((1701, 1701)), Sight::Tunnel(Tunnel::L2tp));
    is(&message.with("another attribute", 17, &[9]), Sight::Nothing);
    is(&message.long(27), Sight::Nothing);
    let held = message.packet(Family::V4);
    let held = Held::from(&held[..]);
    assert_eq!(inner(Tunnel::L2tp, &parse(held).unwrap(), held), Inner::Nothing);

    let mut start = vec![0, 156, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0];
    start.resize(156, 0);
    let message = Message::tcp("pptp control", start);
    is(&message, flow(Tunnel::Gre));
    is(&message.with("another cookie", 7, &[0x4e]), Sight::Nothing);
    is(&message.long(155), Sight::Nothing);
    let held = message.packet(Family::V4);
    let held = Held::from(&held[..]);
    assert_eq!(inner(Tunnel::Gre, &parse(held).unwrap(), held), Inner::Nothing);
}

#[test]
fn an_authentication_header_is_a_tunnel_in_both_families() {
    let header = [17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let six = with_chain(&inside(Family::V6), 51, &header);
    assert_eq!(of(&six), Sight::Tunnel(Tunnel::Ah));
    let four = Message::ip("ah", 51, header.to_vec());
    is(&four, Sight::Tunnel(Tunnel::Ah));
    // What it carries goes where the packet goes.
    for bytes in [six, four.packet(Family::V4)] {
        let held = Held::from(&bytes[..]);
        assert_eq!(inner(Tunnel::Ah, &parse(held).unwrap(), held), Inner::Nothing);
    }
}

#[test]
fn ordinary_protocols_are_no_tunnel_by_any_message() {
    for n in 1..400 {
        for message in ordinary(n) {
            let found = told(&message);
            // Suspicions are for the memory of flows to clear up.
            let harmless = !matches!(found, Sight::Tunnel(_) | Sight::Flow { .. });
            assert!(harmless, "{}: {found:?}", message.name);
        }
    }
}

#[test]
fn fragments_are_known_by_protocol_and_by_the_length_of_the_whole_datagram() {
    let whole = wireguard()[0].packet(Family::V4);
    let first = |bytes: usize| {
        let mut first = fragment(&whole[..20 + bytes], 0, true);
        first[2..4].copy_from_slice(&(20 + bytes as u16).to_be_bytes());
        first
    };
    assert_eq!(of(&first(64)), flow(Tunnel::WireGuard));
    // What is too short to tell is refused as such.
    let short = first(32);
    let held = Held::from(&short[..]);
    assert!(parse(held).unwrap().lacks_transport(held));
    let later = fragment(&Message::ip("gre", 47, noise(1, 64)).packet(Family::V4), 100, false);
    assert_eq!(of(&later), Sight::Tunnel(Tunnel::Gre));
    let held = Held::from(&later[..]);
    assert_eq!(inner(Tunnel::Gre, &parse(held).unwrap(), held), Inner::Unreadable);
    assert_eq!(of(&fragment(&whole, 100, false)), Sight::Nothing);
}

#[test]
fn bytes_behind_the_end_of_a_datagram_change_nothing() {
    for message in wireguard() {
        let mut bytes = message.packet(Family::V4);
        // Within the packet, and behind it.
        bytes.extend([0xee; 44]);
        assert_eq!(of(&bytes), flow(Tunnel::WireGuard));
        let total = (bytes.len() as u16).to_be_bytes();
        bytes[2..4].copy_from_slice(&total);
        assert_eq!(of(&bytes), flow(Tunnel::WireGuard));
    }
}

#[test]
fn aggregates_are_known_by_their_first_message() {
    let sizes = [(&wireguard()[0], 148), (&openvpn()[0], 14), (&ike(0x20, 34), 0xe0)];
    for (message, size) in sizes {
        let bytes = message.long(size * 5 + 3).packet(Family::V4);
        let held = Held {
            length: bytes.len() as u32,
            aggregate: true,
            ..Held::from(&bytes[..128.min(bytes.len())])
        };
        assert_ne!(sight(&parse(held).unwrap(), held), Sight::Nothing, "{}", message.name);
        assert_eq!(of(&bytes), Sight::Nothing, "{} is no aggregate", message.name);
    }
}

/// The inner packet of the tunnel in this copy.
fn inspected(tunnel: Tunnel, bytes: &[u8], copy: usize) -> Inner<'_> {
    let bytes_copied = &bytes[..copy.min(bytes.len())];
    let held = Held { length: bytes.len() as u32, ..Held::from(bytes_copied) };
    match parse(held) {
        Ok(headers) => inner(tunnel, &headers, held),
        Err(_) => Inner::Unreadable,
    }
}

#[test]
fn the_packet_within_is_found_whole_and_every_cut_is_a_beginning_of_it_or_unreadable() {
    for family in Family::ALL {
        for outer in Family::ALL {
            let packet = inside(family);
            for (tunnel, message, _) in in_the_clear(&packet) {
                let bytes = message.packet(outer);
                let name = &message.name;
                let Inner::Packet(whole) = inspected(tunnel, &bytes, bytes.len()) else {
                    panic!("{name}: {:?}", inspected(tunnel, &bytes, bytes.len()));
                };
                // Teredo's samples have another source.
                assert_eq!(whole.bytes[24.min(packet.len())..], packet[24..], "{name}");
                assert_eq!(whole.length as usize, packet.len(), "{name}");
                assert!(parse(whole).is_ok());
                for copy in 0..bytes.len() {
                    match inspected(tunnel, &bytes, copy) {
                        Inner::Packet(cut) => {
                            assert_eq!(cut.length as usize, packet.len(), "{name} cut at {copy}");
                            assert!(whole.bytes.starts_with(cut.bytes), "{name} cut at {copy}");
                            let missing = bytes.len() - copy;
                            assert_eq!(cut.bytes.len() + missing, packet.len(), "{name}");
                        }
                        Inner::Unreadable => {}
                        Inner::Nothing => panic!("{name} cut at {copy} carries nothing"),
                    }
                }
            }
        }
    }
}

#[test]
fn what_cannot_carry_a_packet_is_nothing_and_what_might_is_unreadable() {
    let nothing: [(&str, Tunnel, Message); 9] = [
        (
            "arp",
            Tunnel::EtherIp,
            Message::ip("", 97, [&[0x30, 0], &[2; 12][..], &[8, 6, 0, 1]].concat()),
        ),
        (
            "lldp",
            Tunnel::EtherIp,
            Message::ip("", 97, [&[0x30, 0], &[2; 12][..], &[0x88, 0xcc]].concat()),
        ),
        (
            "spanning tree",
            Tunnel::EtherIp,
            Message::ip("", 97, [&[0x30, 0], &[2; 12][..], &[0, 38, 0x42, 0x42, 3]].concat()),
        ),
        ("keepalive of gre", Tunnel::Gre, Message::ip("", 47, vec![0, 0, 0, 0])),
        (
            "acknowledgement of pptp",
            Tunnel::Gre,
            Message::ip("", 47, vec![0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 9]),
        ),
        (
            "lcp",
            Tunnel::Gre,
            Message::ip(
                "",
                47,
                vec![0x30, 1, 0x88, 0x0b, 0, 8, 0, 1, 0, 0, 0, 9, 0xff, 3, 0xc0, 0x21, 9, 0, 0, 8],
            ),
        ),
        (
            "echo of gtp-u",
            Tunnel::GtpU,
            Message::udp("", (2152, 2152), vec![0x32, 1, 0, 4, 0, 0, 0, 0, 0, 7, 0, 0]),
        ),
        ("control of l2tp over ip", Tunnel::L2tp, Message::ip("", 115, vec![0; 16])),
        (
            "bubble",
            Tunnel::Teredo,
            Message::udp(
                "",
                (40_000, 3544),
                [&[0x60, 0, 0, 0, 0, 0, 59, 0x15], &[0x20; 32][..]].concat(),
            ),
        ),
    ];
    for (name, tunnel, message) in nothing {
        let bytes = message.packet(Family::V4);
        assert_eq!(inspected(tunnel, &bytes, 512), Inner::Nothing, "{name}");
    }
    let unreadable: [(&str, Tunnel, Message); 9] = [
        (
            "macsec",
            Tunnel::EtherIp,
            Message::ip("", 97, [&[0x30, 0], &[2; 12][..], &[0x88, 0xe5, 9]].concat()),
        ),
        (
            "five tags",
            Tunnel::EtherIp,
            Message::ip(
                "",
                97,
                [&[0x30, 0], &[2; 12][..], &[0x81, 0, 0, 1].repeat(5), &[8, 0]].concat(),
            ),
        ),
        (
            "other version of etherip",
            Tunnel::EtherIp,
            Message::ip("", 97, frame(&[], &inside(Family::V4))),
        ),
        (
            "routing in gre",
            Tunnel::Gre,
            Message::ip("", 47, [&[0x40, 0, 8, 0][..], &inside(Family::V4)].concat()),
        ),
        (
            "encrypted ppp",
            Tunnel::Gre,
            Message::ip(
                "",
                47,
                vec![0x30, 1, 0x88, 0x0b, 0, 8, 0, 1, 0, 0, 0, 9, 0, 0xfd, 9, 0, 0, 8],
            ),
        ),
        ("labels without end", Tunnel::Mpls, Message::ip("", 137, [0, 1, 0, 64].repeat(40))),
        (
            "pseudowire",
            Tunnel::Mpls,
            Message::ip(
                "",
                137,
                [&[0, 1, 1, 64, 0, 0, 0, 0][..], &frame(&[], &inside(Family::V4))].concat(),
            ),
        ),
        (
            "extension headers without end",
            Tunnel::GtpU,
            Message::udp(
                "",
                (2152, 2152),
                [&[0x34, 255, 0, 68, 0, 0, 0, 0, 0, 0, 0, 0x85][..], &[1, 0, 0, 0x85].repeat(16)]
                    .concat(),
            ),
        ),
        ("esp", Tunnel::Esp, Message::ip("", 50, noise(1, 64))),
    ];
    for (name, tunnel, message) in unreadable {
        let bytes = message.packet(Family::V4);
        assert_eq!(inspected(tunnel, &bytes, 512), Inner::Unreadable, "{name}");
    }
}

#[test]
fn a_pseudowire_whose_frame_fits_in_two_places_is_unreadable() {
    // A frame whose own payload, twelve bytes on, is a frame as well.
    let arp = [&[2; 12][..], &[8, 6, 0, 1, 8, 0, 6, 4], &[0; 20]].concat();
    let one = Message::ip("", 115, [&[0, 0, 0, 9][..], &arp].concat());
    assert_eq!(inspected(Tunnel::L2tp, &one.packet(Family::V4), 512), Inner::Nothing);
    let twice = [&[2; 12][..], &[8, 6, 0, 1, 8, 0, 6, 4, 2, 2, 2, 2], &[8, 6, 0, 1, 8, 0, 6, 4]];
    let twice = Message::ip("", 115, [&[0, 0, 0, 9][..], &twice.concat(), &[0; 20]].concat());
    assert_eq!(inspected(Tunnel::L2tp, &twice.packet(Family::V4), 512), Inner::Unreadable);
}

#[test]
fn behind_the_first_packet_of_an_aggregate_nothing_is_taken_for_read() {
    for (tunnel, message, _) in in_the_clear(&inside(Family::V4)) {
        let one = message.packet(Family::V4);
        let two = message.long(message.payload.len() * 2).packet(Family::V4);
        let found = |bytes: &[u8]| {
            let held = Held { length: bytes.len() as u32, aggregate: true, ..Held::from(bytes) };
            let found = inner(tunnel, &parse(held).unwrap(), held);
            matches!(found, Inner::Packet(_))
        };
        assert!(found(&one), "{}", message.name);
        assert!(!found(&two), "{}", message.name);
    }
}

#[test]
fn the_first_fragment_of_a_tunnelled_packet_shows_where_it_goes() {
    let mut packet = inside(Family::V4);
    packet.resize(1_000, 0xa5);
    packet[2..4].copy_from_slice(&1_000_u16.to_be_bytes());
    let whole = Message::ip("ipip", 4, packet).packet(Family::V4);
    let mut first = fragment(&whole[..520], 0, true);
    first[2..4].copy_from_slice(&520_u16.to_be_bytes());
    let Inner::Packet(held) = inspected(Tunnel::Ipip, &first, 128) else { panic!("unreadable") };
    assert_eq!(held.length, 1_000);
    assert_eq!(parse(held).unwrap().addresses.destination(), std::net::IpAddr::from(V4.1));
}

/// Every sample packet of this room.
fn samples() -> Vec<Vec<u8>> {
    let clear = Family::ALL.into_iter().flat_map(|family| in_the_clear(&inside(family)));
    let messages = clear
        .map(|(_, message, _)| message)
        .chain(wireguard())
        .chain(openvpn())
        .chain(openvpn().into_iter().map(|message| in_tcp(&message)))
        .chain([ike(0x20, 34), marked(&ike(0x10, 2)), esp(1, 96), wireguard_data(1, 96)])
        .chain(ordinary(1));
    let packets = messages
        .flat_map(|message| Family::ALL.map(|family| message.packet(family)))
        .chain(good().into_iter().map(|sample| sample.bytes));
    packets.collect()
}

/// `scripts/fuzz` has them written as it begins with them: see `packets` in `fuzz/lib.rs`.
#[test]
fn samples_are_seeds_of_the_fuzz_target() {
    let seed = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[0, 0], &length[..], bytes].concat()
    };
    let seeds: Vec<Vec<u8>> = samples().iter().map(|bytes| seed(bytes)).collect();
    let flow = (1..6).flat_map(|number| {
        let data = [esp(number, 96), wireguard_data(number.into(), 96)];
        data.map(|message| seed(&message.packet(Family::V4))).concat()
    });
    let seeds: Vec<Vec<u8>> = seeds.into_iter().chain([flow.collect()]).collect();
    assert!(seeds.len() > 200);
    if let Some(folder) = std::env::var_os("KORDON_WRITE_SEEDS") {
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(std::path::Path::new(&folder).join(format!("{number:03}")), seed)
                .unwrap();
        }
    }
}

/// The glance turns nothing away that a close look recognises.
fn glance_agrees(held: Held<'_>) {
    let Ok(headers) = parse(held) else { return };
    let (glance, close) = match headers.protocol {
        17 => (glance::at_datagram(&headers, held), in_datagram(&headers, held)),
        6 => (glance::at_segment(&headers, held), in_segment(&headers, held)),
        _ => return,
    };
    assert!(glance || close == Sight::Nothing, "{close:?} {held:?}");
}

#[test]
fn every_truncation_of_every_sample_ends_for_every_tunnel() {
    for bytes in samples() {
        for at in 0..=bytes.len().min(160) {
            for (length, aggregate) in
                [(bytes.len() as u32, false), (at as u32, false), (70_000, true)]
            {
                let held = Held { length, aggregate, ..Held::from(&bytes[..at]) };
                let Ok(headers) = parse(held) else { continue };
                glance_agrees(held);
                for tunnel in Tunnel::ALL {
                    let _ = resembles(tunnel, &headers, held);
                    if let Inner::Packet(within) = inner(tunnel, &headers, held) {
                        assert!(within.bytes.len() as u32 <= within.length);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_end(
        sample in prop::sample::select(samples()),
        changes in prop::collection::vec((0_usize..160, any::<u8>()), 0..12),
        more in 0_u32..3_000,
        aggregate: bool,
        tunnel in prop::sample::select(Tunnel::ALL.to_vec()),
    ) {
        let mut bytes = sample;
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        let held = Held { length: bytes.len() as u32 + more, aggregate, ..Held::from(&bytes[..]) };
        if let Ok(headers) = parse(held) {
            glance_agrees(held);
            if let Inner::Packet(within) = inner(tunnel, &headers, held) {
                prop_assert!(within.bytes.len() as u32 <= within.length);
                let _ = parse(within);
            }
        }
    }

    /// Ciphertext of any length on any port.
    #[test]
    fn noise_is_no_tunnel(bytes in prop::collection::vec(any::<u8>(), 0..200), source: u16, port in 5_000_u16..) {
        let message = Message::udp("noise", (source.max(5_000), port), bytes);
        let found = told(&message);
        prop_assert!(!matches!(found, Sight::Tunnel(_) | Sight::Flow { .. }), "{found:?}");
    }
}
