use super::*;
use crate::packet::parse;
use crate::packet::samples::ordinary::ordinary;
use crate::packet::samples::tunnels::*;
use crate::verdict::Family;
use proptest::prelude::*;

/// What the memory says of this packet, of which 128 bytes are copied.
fn says(memory: &mut FlowMemory, bytes: &[u8]) -> Option<Tunnel> {
    let copy = &bytes[..bytes.len().min(128)];
    let held = Held { length: bytes.len() as u32, ..Held::from(copy) };
    memory.tunnel(&parse(held).unwrap(), held)
}

/// What a memory says of each message of a flow, the same in both families.
fn of_flow(messages: &[Message]) -> Vec<Option<Tunnel>> {
    let [four, six] = Family::ALL.map(|family| {
        let mut memory = FlowMemory::new(7);
        let said = |message: &Message| says(&mut memory, &message.packet(family));
        messages.iter().map(said).collect::<Vec<_>>()
    });
    assert_eq!(four, six);
    four
}

/// Some message of another protocol between the same ports, and in the same transport protocol.
fn anything(like: &Message) -> Message {
    Message { payload: noise(99, 500), ..like.clone() }
}

#[test]
fn what_follows_a_recognised_message_in_its_flow_is_the_same_tunnel() {
    let bound = ike(0x20, 34);
    let mut openings: Vec<(Message, Tunnel, Tunnel)> =
        vec![(bound.clone(), Tunnel::Ike, Tunnel::Ike), (marked(&bound), Tunnel::Ike, Tunnel::Esp)];
    let wireguard = wireguard().into_iter();
    openings.extend(wireguard.map(|message| (message, Tunnel::WireGuard, Tunnel::WireGuard)));
    let openvpn = openvpn().into_iter();
    openings.extend(openvpn.map(|message| (message, Tunnel::OpenVpn, Tunnel::OpenVpn)));
    for (message, now, later) in openings {
        let follows = anything(&message);
        let said = of_flow(&[follows.clone(), message.clone(), follows.clone()]);
        assert_eq!(said, [None, Some(now), Some(later)], "{}", message.name);
        // Between other ports it is not remembered.
        let elsewhere = follows.on((RANDOM.0 + 1, RANDOM.1));
        assert_eq!(of_flow(&[message.clone(), elsewhere]), [Some(now), None], "{}", message.name);
    }
}

#[test]
fn openvpn_in_tcp_is_recognised_within_five_packets_however_long_its_hmac() {
    for opening in openvpn() {
        let opening = in_tcp(&opening);
        let session = noise(8, 8);
        let acknowledges = [&[0, 90, 0x28], &session[..], &noise(1, 81)].concat();
        let acknowledges = Message::tcp("acknowledgement", acknowledges);
        let nothing = Message::tcp("tcp's own", Vec::new());
        let flow = [nothing.clone(), nothing.clone(), opening.clone(), nothing, acknowledges];
        for family in Family::ALL {
            let mut memory = FlowMemory::new(7);
            let said = flow.iter().map(|message| says(&mut memory, &message.packet(family)));
            assert_eq!(said.last(), Some(Some(Tunnel::OpenVpn)), "{}", opening.name);
        }
        let other = [&[0, 90, 0x28], &noise(5, 8)[..], &noise(1, 81)].concat();
        let other = Message::tcp("another session", other);
        if says(&mut FlowMemory::new(1), &opening.packet(Family::V6)).is_none() {
            let mut memory = FlowMemory::new(1);
            says(&mut memory, &opening.packet(Family::V6));
            assert_eq!(says(&mut memory, &other.packet(Family::V6)), None, "{}", opening.name);
        }
    }
}

#[test]
fn esp_in_udp_on_any_port_is_recognised_by_its_fourth_packet_and_its_neighbours_never() {
    let flow = |numbers: &[u32]| -> Vec<Message> {
        numbers.iter().map(|number| esp(*number, 124)).collect()
    };
    let fourth = [None, None, None, Some(Tunnel::Esp), Some(Tunnel::Esp)];
    assert_eq!(of_flow(&flow(&[1, 2, 3, 4, 5])), fourth);
    assert_eq!(of_flow(&flow(&[7, 9, 10, 30, 5])), fourth);
    for near in [
        // The same number again, a wide step, a high one to begin with.
        flow(&[1, 2, 3, 3, 4, 5]),
        flow(&[1, 2, 200, 201, 202, 500]),
        flow(&[2_000, 2_001, 2_002, 2_003, 2_004]),
    ] {
        assert_eq!(of_flow(&near), vec![None; near.len()]);
    }
    // Another index, or a message of another form, between them.
    let mut others = flow(&[1, 2, 3, 4, 5, 6]);
    others[2] = others[2].with("another index", 0, &[9, 9, 9, 9]);
    assert_eq!(of_flow(&others), [None; 6]);
    let mut others = flow(&[1, 2, 3, 4, 5, 6]);
    others[3] = others[3].long(123);
    assert_eq!(of_flow(&others), [None; 6]);
    // A keepalive is part of a flow that is known.
    let mut keepalive = flow(&[1, 2, 3, 4, 5]);
    keepalive[4] = keepalive[4].long(1);
    assert_eq!(of_flow(&keepalive), fourth);
}

#[test]
fn wireguards_data_without_a_handshake_is_recognised_by_its_third_packet() {
    let flow = |counters: [u64; 4]| counters.map(|counter| wireguard_data(counter, 96));
    let third = [None, None, Some(Tunnel::WireGuard), Some(Tunnel::WireGuard)];
    assert_eq!(of_flow(&flow([1_000_000, 1_000_001, 1_000_005, 3])), third);
    assert_eq!(of_flow(&flow([5, 5, 5, 5])), [None; 4]);
    assert_eq!(of_flow(&flow([5, 5_000, 50_000, 500_000])), [None; 4]);
    let mut others = flow([1, 2, 3, 4]);
    others[1] = others[1].with("another receiver", 4, &[1]);
    others[3] = others[3].with("another receiver", 4, &[2]);
    assert_eq!(of_flow(&others), [None; 4]);
}

#[test]
fn flows_of_ordinary_protocols_are_no_tunnel_however_long() {
    for family in Family::ALL {
        let mut memories: Vec<FlowMemory> =
            ordinary(1).iter().map(|_| FlowMemory::new(3)).collect();
        for n in 1..200 {
            for (message, memory) in ordinary(n).iter().zip(&mut memories) {
                memory.tick(n / 10);
                let said = says(memory, &message.packet(family));
                assert_eq!(said, None, "{} number {n}", message.name);
            }
        }
    }
}

#[test]
fn a_new_connection_between_the_same_ports_is_judged_anew() {
    let opening = in_tcp(&openvpn()[0]);
    let mut packet = anything(&opening).packet(Family::V4);
    let mut memory = FlowMemory::new(1);
    assert_eq!(says(&mut memory, &opening.packet(Family::V4)), Some(Tunnel::OpenVpn));
    assert_eq!(says(&mut memory, &packet), Some(Tunnel::OpenVpn));
    // SYN
    packet[33] = 0x02;
    assert_eq!(says(&mut memory, &packet), None);
    packet[33] = 0x10;
    assert_eq!(says(&mut memory, &packet), None);
    assert!(memory.is_empty());
}

#[test]
fn an_idle_flow_is_forgotten_and_a_busy_one_is_not() {
    let [initiation, ..] = &wireguard()[..] else { panic!("some") };
    let opening = initiation.packet(Family::V4);
    let keepalive = wireguard_data(3, 32).packet(Family::V4);
    let mut memory = FlowMemory::new(1);
    for start in [0, 1_000_000, u32::MAX - 100] {
        memory.tick(start);
        assert_eq!(says(&mut memory, &opening), Some(Tunnel::WireGuard));
        for n in 1..20 {
            memory.tick(start.wrapping_add(n * 120));
            assert_eq!(says(&mut memory, &keepalive), Some(Tunnel::WireGuard), "{start} {n}");
        }
        let last = start.wrapping_add(19 * 120);
        memory.tick(last.wrapping_add(IDLE - 1));
        assert_eq!(
            says(&mut memory, &anything(initiation).packet(Family::V4)),
            Some(Tunnel::WireGuard)
        );
        // That was no message of WireGuard, so it does not keep the flow alive.
        memory.tick(last.wrapping_add(IDLE));
        assert_eq!(says(&mut memory, &anything(initiation).packet(Family::V4)), None);
        for second in 0..32 {
            memory.tick(last.wrapping_add(IDLE + second));
        }
        assert!(memory.is_empty(), "swept after {start}");
    }
}

#[test]
fn a_full_memory_forgets_suspicions_first_and_then_the_oldest() {
    let [initiation, ..] = &wireguard()[..] else { panic!("some") };
    let on = |message: &Message, port: u16| message.on((port, 9)).packet(Family::V4);
    let mut memory = FlowMemory::new(5);
    for port in 1..=15_000 {
        says(&mut memory, &on(&esp(1, 124), port));
        assert!(memory.len() <= BUCKETS * WAYS);
    }
    assert_eq!(memory.len(), BUCKETS * WAYS);
    // Known ones find room among them, and no flood of suspicions drives them out.
    for port in 1..=100 {
        memory.tick(1);
        assert_eq!(says(&mut memory, &on(initiation, port)), Some(Tunnel::WireGuard));
    }
    for port in 1_000..=15_000 {
        says(&mut memory, &on(&esp(1, 124), port));
    }
    for port in 1..=100 {
        assert_eq!(says(&mut memory, &on(&anything(initiation), port)), Some(Tunnel::WireGuard));
    }
    // Known ones drive out the oldest known.
    for port in 0..=16_000 {
        memory.tick(2 + u32::from(port) / 250);
        says(&mut memory, &on(initiation, port));
    }
    assert_eq!(memory.len(), BUCKETS * WAYS);
    let newest = (15_800..=16_000)
        .filter(|port| says(&mut memory, &on(&anything(initiation), *port)).is_some());
    assert_eq!(newest.count(), 201);
    let oldest =
        (0..1_000).filter(|port| says(&mut memory, &on(&anything(initiation), *port)).is_some());
    assert_eq!(oldest.count(), 0);
}

#[test]
fn flows_spread_over_the_buckets_by_the_seed() {
    let [initiation, ..] = &wireguard()[..] else { panic!("some") };
    let held = |seed: u64| {
        let mut memory = FlowMemory::new(seed);
        for port in 0..2_048 {
            says(&mut memory, &initiation.on((port, 51_820)).packet(Family::V6));
        }
        memory.len()
    };
    // Half as many flows as places: by chance one in fifty of the buckets would need more than eight.
    for seed in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
        assert!(held(seed) > 2_000, "{} of 2,048 with {seed}", held(seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The same seed and packets give the same answers.
    #[test]
    fn the_memory_is_deterministic(
        seed: u64,
        steps in prop::collection::vec((0_usize..200, 0_u16..4, 0_u32..80, any::<bool>()), 1..120),
    ) {
        let mut kinds: Vec<Message> = wireguard();
        kinds.extend(openvpn());
        kinds.extend(ordinary(1));
        kinds.extend((1..9).map(|number| esp(number, 96)));
        kinds.extend((1..9).map(|counter| wireguard_data(counter, 96)));
        let run = || {
            let mut memory = FlowMemory::new(seed);
            let mut now = 0;
            let said = steps.iter().map(|(kind, port, later, six)| {
                now += later;
                memory.tick(now);
                let message = kinds[kind % kinds.len()].on((*port, 9));
                says(&mut memory, &message.packet(if *six { Family::V6 } else { Family::V4 }))
            });
            let said: Vec<_> = said.collect();
            let kept = memory.buckets.iter().flat_map(|bucket| bucket.tags).filter(|tag| *tag != 0);
            assert_eq!(kept.count(), memory.len());
            (said, memory.len())
        };
        prop_assert_eq!(run(), run());
    }
}
