//! Sample packets that the tests of several rooms share.

pub(crate) mod ordinary;
pub(crate) mod tunnels;

use etherparse::{IpFragOffset, IpNumber, PacketBuilder};

/// Camera and destination of every IPv4 sample.
pub(crate) const V4: ([u8; 4], [u8; 4]) = ([192, 0, 2, 10], [203, 0, 113, 7]);
/// Camera and destination of every IPv6 sample.
pub(crate) const V6: ([u8; 16], [u8; 16]) = (
    [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10],
    [0x20, 1, 0xd, 0xb8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
);
/// Source and destination port of every sample that has ports.
pub(crate) const PORTS: (u16, u16) = (40_000, 8_883);
/// Payload of the samples.
const PAYLOAD: [u8; 24] = [0xa5; 24];

/// A whole packet, by name.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Protocol after all extension headers.
    pub(crate) protocol: u8,
    /// The sample's headers hold ports.
    pub(crate) ports: bool,
    /// Length of everything up to the transport header.
    pub(crate) headers: usize,
}

/// Every kind of packet that passes the parser.
pub(crate) fn good() -> Vec<Sample> {
    let v4 = || PacketBuilder::ipv4(V4.0, V4.1, 64);
    let v6 = || PacketBuilder::ipv6(V6.0, V6.1, 64);
    let mut samples = Vec::new();
    let mut add = |name, bytes: Vec<u8>, protocol, ports, headers| {
        samples.push(Sample { name, bytes, protocol, ports, headers });
    };
    let mut bytes = Vec::new();
    v4().udp(PORTS.0, PORTS.1).write(&mut bytes, &PAYLOAD).unwrap();
    add("v4-udp", bytes.clone(), 17, true, 20);
    add("v4-options", with_options(&bytes, &[1; 40]), 17, true, 60);
    add("v4-first-fragment", fragment(&bytes, 0, true), 17, true, 20);
    add("v4-later-fragment", fragment(&bytes, 185, true), 17, false, 20);
    add("v4-last-fragment", fragment(&bytes, 370, false), 17, false, 20);
    let mut bytes = Vec::new();
    v4().tcp(PORTS.0, PORTS.1, 1, 1024).write(&mut bytes, &PAYLOAD).unwrap();
    add("v4-tcp", bytes, 6, true, 20);
    let mut bytes = Vec::new();
    v4().icmpv4_echo_request(1, 2).write(&mut bytes, &PAYLOAD).unwrap();
    add("v4-icmp", bytes, 1, false, 20);
    let mut bytes = Vec::new();
    v4().write(&mut bytes, IpNumber::GRE, &PAYLOAD).unwrap();
    add("v4-gre", bytes, 47, false, 20);
    add("v4-header-only", header_only(V4), 17, false, 20);
    let mut bytes = Vec::new();
    v6().udp(PORTS.0, PORTS.1).write(&mut bytes, &PAYLOAD).unwrap();
    add("v6-udp", bytes.clone(), 17, true, 40);
    let destination = vec![17, 0, 1, 4, 0, 0, 0, 0];
    add("v6-destination-options", with_chain(&bytes, 60, &destination), 17, true, 48);
    let hop_then_routing = [vec![43, 0, 1, 4, 0, 0, 0, 0], vec![17, 0, 2, 0, 0, 0, 0, 0]].concat();
    add("v6-hop-by-hop-routing", with_chain(&bytes, 0, &hop_then_routing), 17, true, 56);
    add("v6-first-fragment", with_chain(&bytes, 44, &[17, 0, 0, 1, 0, 0, 0, 9]), 17, true, 48);
    add("v6-atomic-fragment", with_chain(&bytes, 44, &[17, 0, 0, 0, 0, 0, 0, 9]), 17, true, 48);
    add("v6-later-fragment", with_chain(&bytes, 44, &[17, 0, 5, 0xa9, 0, 0, 0, 9]), 17, false, 48);
    let authentication =
        [17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    add("v6-authentication", with_chain(&bytes, 51, &authentication), 17, true, 64);
    let eight = [[60, 0, 1, 4, 0, 0, 0, 0]; 7].concat();
    let eight = [eight, vec![17, 0, 1, 4, 0, 0, 0, 0]].concat();
    add("v6-eight-extensions", with_chain(&bytes, 60, &eight), 17, true, 104);
    let mut bytes = Vec::new();
    v6().tcp(PORTS.0, PORTS.1, 1, 1024).write(&mut bytes, &PAYLOAD).unwrap();
    add("v6-tcp", bytes, 6, true, 40);
    let mut bytes = Vec::new();
    v6().write(&mut bytes, IpNumber::ENCAPSULATING_SECURITY_PAYLOAD, &PAYLOAD).unwrap();
    add("v6-esp", bytes, 50, false, 40);
    let mut bytes = Vec::new();
    v6().write(&mut bytes, IpNumber::IPV6_NO_NEXT_HEADER, &[]).unwrap();
    add("v6-no-next-header", bytes, 59, false, 40);
    samples
}

fn header_only((source, destination): ([u8; 4], [u8; 4])) -> Vec<u8> {
    let mut header =
        etherparse::Ipv4Header::new(0, 64, IpNumber::UDP, source, destination).unwrap();
    header.header_checksum = header.calc_header_checksum();
    header.to_bytes().to_vec()
}

/// The IPv4 packet with these options: header and total length grow.
pub(crate) fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let mut bytes = [&packet[..20], options, &packet[20..]].concat();
    bytes[0] = 0x40 | ((20 + options.len()) / 4) as u8;
    let total = (bytes.len() as u16).to_be_bytes();
    bytes[2..4].copy_from_slice(&total);
    bytes
}

/// The IPv4 packet as the fragment at this offset (in units of eight bytes).
pub(crate) fn fragment(packet: &[u8], offset: u16, more: bool) -> Vec<u8> {
    let mut bytes = packet.to_vec();
    let field = IpFragOffset::try_new(offset).unwrap().value() | if more { 0x2000 } else { 0 };
    bytes[6..8].copy_from_slice(&field.to_be_bytes());
    bytes
}

/// The IPv6 packet with these extension headers before its transport header.
pub(crate) fn with_chain(packet: &[u8], first: u8, chain: &[u8]) -> Vec<u8> {
    let mut bytes = [&packet[..40], chain, &packet[40..]].concat();
    bytes[6] = first;
    let payload = ((bytes.len() - 40) as u16).to_be_bytes();
    bytes[4..6].copy_from_slice(&payload);
    bytes
}
