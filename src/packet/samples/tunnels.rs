//! Sample tunnels, and messages of ordinary protocols that look a little like them.

use etherparse::{IpNumber, PacketBuilder};

use super::{V4, V6, good};
use crate::verdict::{Family, Tunnel};

/// Ports that no protocol here is assigned to.
pub(crate) const RANDOM: (u16, u16) = (40_123, 51_001);

/// A payload and how it travels.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) protocol: u8,
    pub(crate) ports: (u16, u16),
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn udp(name: &str, ports: (u16, u16), payload: Vec<u8>) -> Self {
        Message { name: name.to_owned(), protocol: 17, ports, payload }
    }

    pub(crate) fn tcp(name: &str, payload: Vec<u8>) -> Self {
        Message { protocol: 6, ..Message::udp(name, RANDOM, payload) }
    }

    pub(crate) fn ip(name: &str, protocol: u8, payload: Vec<u8>) -> Self {
        Message { protocol, ..Message::udp(name, RANDOM, payload) }
    }

    /// The packet that carries it.
    pub(crate) fn packet(&self, family: Family) -> Vec<u8> {
        let builder = match family {
            Family::V4 => PacketBuilder::ipv4(V4.0, V4.1, 64),
            Family::V6 => PacketBuilder::ipv6(V6.0, V6.1, 64),
        };
        let mut bytes = Vec::new();
        let (source, destination) = self.ports;
        match self.protocol {
            17 => builder.udp(source, destination).write(&mut bytes, &self.payload),
            6 => builder
                .tcp(source, destination, 1, 1024)
                .psh()
                .ack(1)
                .write(&mut bytes, &self.payload),
            other => builder.write(&mut bytes, IpNumber(other), &self.payload),
        }
        .unwrap();
        bytes
    }

    /// The same, and other bytes at `at`.
    pub(crate) fn with(&self, name: &str, at: usize, bytes: &[u8]) -> Self {
        let mut changed = self.clone();
        changed.name = format!("{}, {name}", self.name);
        changed.payload[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    }

    /// The same, and longer or shorter.
    pub(crate) fn long(&self, length: usize) -> Self {
        let mut changed = self.clone();
        changed.name = format!("{}, {length} bytes long", self.name);
        changed.payload.resize(length, 0xa5);
        changed
    }

    pub(crate) fn on(&self, ports: (u16, u16)) -> Self {
        Message { name: format!("{}, on {ports:?}", self.name), ports, ..self.clone() }
    }
}

/// Bytes that look like ciphertext; the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..100).for_each(|_| _ = next());
    (0..length).map(|_| next()).collect()
}

/// A whole packet of this family.
pub(crate) fn inside(family: Family) -> Vec<u8> {
    let name = if family == Family::V4 { "v4-udp" } else { "v6-udp" };
    good().into_iter().find(|sample| sample.name == name).unwrap().bytes
}

/// In an Ethernet frame, with these tags.
pub(crate) fn frame(tags: &[u8], packet: &[u8]) -> Vec<u8> {
    let kind: &[u8] = if packet[0] >> 4 == 4 { &[8, 0] } else { &[0x86, 0xdd] };
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], tags, kind, packet].concat()
}

/// WireGuard's first three messages.
pub(crate) fn wireguard() -> Vec<Message> {
    let message = |name: &str, kind: u8, length: usize, key: usize| {
        let mut payload = [vec![kind, 0, 0, 0], noise(u64::from(kind), length - 4)].concat();
        payload[key + 31] &= 0x7f;
        Message::udp(name, RANDOM, payload)
    };
    let mut initiation = message("wireguard initiation", 1, 148, 8);
    // Without a cookie the last field is zero.
    initiation.payload[132..].fill(0);
    vec![
        initiation,
        message("wireguard response", 2, 92, 12),
        message("wireguard cookie", 3, 64, 8),
    ]
}

/// WireGuard's data with this counter.
pub(crate) fn wireguard_data(counter: u64, length: usize) -> Message {
    let head = [&[4, 0, 0, 0, 0x11, 0x22, 0x33, 0x44], &counter.to_le_bytes()[..]].concat();
    let payload = [head, noise(counter, length - 16)].concat();
    Message::udp("wireguard data", RANDOM, payload)
}

/// ESP in UDP with this sequence number.
pub(crate) fn esp(sequence: u32, length: usize) -> Message {
    let head = [[0xc1, 0x23, 0x45, 0x67], sequence.to_be_bytes()].concat();
    let payload = [head, noise(u64::from(sequence), length - 8)].concat();
    Message::udp("esp", RANDOM, payload)
}

/// What opens an OpenVPN session, from either side: the message of each way to protect it.
pub(crate) fn openvpn() -> Vec<Message> {
    let mut messages = Vec::new();
    let mut add = |name: String, parts: &[&[u8]]| {
        messages.push(Message::udp(&name, RANDOM, parts.concat()));
    };
    let (session, peer) = (noise(8, 8), noise(9, 8));
    let replay = [&[0, 0, 0, 1], &0x6900_0000_u32.to_be_bytes()[..]].concat();
    let answer = [&[1, 0, 0, 0, 0], &peer[..], &[0; 4]].concat();
    for (side, opcode, end) in [("client", 0x38, &[0; 5][..]), ("server", 0x40, &answer)] {
        add(format!("openvpn {side}, plain"), &[&[opcode], &session, end]);
        for hmac in [16, 20, 28, 32, 48, 64] {
            let hash = noise(10, hmac);
            let name = format!("openvpn {side}, tls-auth of {hmac}");
            add(name, &[&[opcode], &session, &hash, &replay, end]);
        }
        let sealed = noise(11, 32 + end.len());
        add(format!("openvpn {side}, tls-crypt"), &[&[opcode], &session, &replay, &sealed]);
    }
    let sealed = noise(12, 32 + 17 + 6);
    add("openvpn server, tls-crypt-v2".to_owned(), &[&[0x40], &session, &replay, &sealed]);
    let wrapped = noise(13, 32 + 5 + 350);
    add("openvpn client, tls-crypt-v2".to_owned(), &[&[0x50], &session, &replay, &wrapped]);
    let early = [&[0x0f, 0, 0, 1], &replay[4..]].concat();
    let answer = noise(14, 32 + 17);
    add("openvpn server, tls-crypt-v2, early".to_owned(), &[&[0x40], &session, &early, &answer]);
    add("openvpn client, tls-crypt-v2, early".to_owned(), &[&[0x50], &session, &early, &wrapped]);
    add("openvpn soft reset".to_owned(), &[&[0x19], &session, &[0; 5]]);
    messages
}

/// The OpenVPN message behind its length.
pub(crate) fn in_tcp(message: &Message) -> Message {
    let length = (message.payload.len() as u16).to_be_bytes();
    Message::tcp(&message.name, [&length, &message.payload[..]].concat())
}

/// An IKE message of this version and exchange.
pub(crate) fn ike(version: u8, exchange: u8) -> Message {
    let next = if version == 0x20 { 33 } else { 1 };
    let flags = if version == 0x20 { 8 } else { 0 };
    let head = [next, version, exchange, flags, 0, 0, 0, 0, 0, 0, 0, 0xe0];
    let payload = [&noise(20, 8)[..], &[0; 8], &head, &noise(21, 0xe0 - 28)].concat();
    Message::udp(&format!("ike {version:#x} exchange {exchange}"), RANDOM, payload)
}

/// The IKE message as it shares a flow with ESP.
pub(crate) fn marked(message: &Message) -> Message {
    let payload = [&[0; 4], &message.payload[..]].concat();
    Message { name: format!("{}, marked", message.name), payload, ..message.clone() }
}

/// What carries the packet in the clear: the tunnel, on its own port or protocol, and whether it fits any port.
pub(crate) fn in_the_clear(packet: &[u8]) -> Vec<(Tunnel, Message, bool)> {
    let four = packet[0] >> 4 == 4;
    let kind: [u8; 2] = if four { [8, 0] } else { [0x86, 0xdd] };
    let ppp: [u8; 2] = if four { [0, 0x21] } else { [0, 0x57] };
    let framed = frame(&[], packet);
    let tagged = frame(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7], packet);
    let mut all = Vec::new();
    let mut ip = |tunnel, name: &str, protocol, parts: &[&[u8]]| {
        all.push((tunnel, Message::ip(name, protocol, parts.concat()), false));
    };
    if four {
        ip(Tunnel::Ipip, "ipip", 4, &[packet]);
        ip(Tunnel::Ipip, "ipip of ka9q", 94, &[packet]);
    } else {
        ip(Tunnel::SixInFour, "6in4", 41, &[packet]);
    }
    ip(Tunnel::Gre, "gre", 47, &[&[0, 0], &kind, packet]);
    ip(Tunnel::Gre, "gre with key", 47, &[&[0x20, 0], &kind, &[0; 4], packet]);
    ip(Tunnel::Gre, "gre with all", 47, &[&[0xb0, 0], &kind, &[7; 12], packet]);
    ip(Tunnel::Gre, "gre with ethernet", 47, &[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1], &framed]);
    ip(Tunnel::Gre, "gre with tags", 47, &[&[0, 0, 0x65, 0x58], &tagged]);
    ip(Tunnel::Gre, "erspan", 47, &[&[0, 0, 0x88, 0xbe], &framed]);
    let erspan = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0, 1, 0, 0, 0, 0];
    ip(Tunnel::Gre, "erspan, second version", 47, &[&erspan, &framed]);
    let length = (packet.len() as u16 + 4).to_be_bytes();
    let pptp: [&[u8]; 3] = [&[0x30, 1, 0x88, 0x0b], &length, &[0, 9, 0, 0, 0, 1]];
    ip(Tunnel::Gre, "pptp", 47, &[&pptp.concat(), &[0xff, 3], &ppp, packet]);
    ip(Tunnel::Gre, "pptp, compressed", 47, &[&pptp.concat(), &ppp[1..], packet]);
    ip(Tunnel::EtherIp, "etherip", 97, &[&[0x30, 0], &framed]);
    ip(Tunnel::Mpls, "mpls", 137, &[&[0, 1, 0x00, 64, 0, 2, 0x01, 64], packet]);
    ip(Tunnel::L2tp, "l2tp over ip", 115, &[&[0, 0, 0, 9], &framed]);
    ip(Tunnel::L2tp, "l2tp over ip with cookie", 115, &[&[0, 0, 0, 9], &[0xee; 8], &framed]);
    let inside = if four { 4 } else { 41 };
    ip(Tunnel::Ah, "ah", 51, &[&[inside, 4], &[0, 0, 0, 0, 1, 1, 0, 0, 0, 1], &[0xcc; 12], packet]);

    let mut udp = |tunnel, name: &str, port: u16, anywhere: bool, parts: &[&[u8]]| {
        all.push((tunnel, Message::udp(name, (RANDOM.0, port), parts.concat()), anywhere));
    };
    let network = [8, 0, 0, 0, 0, 0x12, 0x34, 0];
    udp(Tunnel::Vxlan, "vxlan", 4789, true, &[&network, &framed]);
    udp(Tunnel::Vxlan, "vxlan as linux had it", 8472, true, &[&network, &tagged]);
    let extended = [0x0c, 0, 0, if four { 1 } else { 2 }, 0, 0, 9, 0];
    udp(Tunnel::Vxlan, "vxlan with a packet", 4790, true, &[&extended, packet]);
    udp(Tunnel::Geneve, "geneve", 6081, true, &[&[0, 0, 0x65, 0x58, 0, 0, 1, 0], &framed]);
    let options = [1, 2, 0x80, 1, 9, 9, 9, 9];
    udp(
        Tunnel::Geneve,
        "geneve with options",
        6081,
        true,
        &[&[2, 0x40, 0x65, 0x58, 0, 0, 1, 0], &options, &framed],
    );
    udp(Tunnel::Geneve, "geneve with ip", 6081, true, &[&[0, 0], &kind, &[0, 0, 1, 0], packet]);
    let length = |more: usize| ((packet.len() + more) as u16).to_be_bytes();
    udp(Tunnel::GtpU, "gtp-u", 2152, true, &[&[0x30, 255], &length(0), &[0, 0, 0, 5], packet]);
    udp(
        Tunnel::GtpU,
        "gtp-u with extension",
        2152,
        true,
        &[&[0x34, 255], &length(8), &[0, 0, 0, 5, 0, 0, 0, 0x85, 1, 0, 9, 0], packet],
    );
    udp(Tunnel::Mpls, "mpls in udp", 6635, false, &[&[0, 1, 0x01, 64], packet]);
    udp(Tunnel::L2tp, "l2tp", 1701, false, &[&[0, 2, 0, 3, 0, 4], &[0xff, 3], &ppp, packet]);
    udp(
        Tunnel::L2tp,
        "l2tp with all",
        1701,
        false,
        &[&[0x4a, 2], &length(18), &[0, 3, 0, 4, 0, 1, 0, 0, 0, 2, 0, 0], &ppp, packet],
    );
    udp(Tunnel::L2tp, "l2tp version 3", 1701, false, &[&[0, 3, 0, 0, 0, 0, 0, 9], &framed]);
    if four {
        udp(Tunnel::Ipip, "ipv4 in udp", 5555, true, &[packet]);
    } else {
        let mut client = packet.to_vec();
        client[8..12].copy_from_slice(&[0x20, 1, 0, 0]);
        let [nonce, origin] =
            [&[0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0], &[0, 0, 1, 2, 3, 4, 5, 6][..]];
        udp(Tunnel::Teredo, "teredo", 3544, false, &[packet]);
        udp(Tunnel::Teredo, "teredo's address", 3544, true, &[&client]);
        udp(Tunnel::Teredo, "teredo with indications", 3544, true, &[nonce, origin, &client]);
    }
    all
}
