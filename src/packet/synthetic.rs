//! Made-up packets: what `why` judges in place of a real one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;

/// The bytes of a UDP packet to `destination` from an address of documentation space.
///
/// The source plays no part in the decision. Built by a library of its own, not by the parser's inverse, so
/// that `why` passes through the same parser as a held packet.
pub fn packet_to(destination: IpAddr) -> Vec<u8> {
    let builder = match destination {
        IpAddr::V4(address) => {
            PacketBuilder::ipv4(Ipv4Addr::new(192, 0, 2, 1).octets(), address.octets(), 64)
        }
        IpAddr::V6(address) => PacketBuilder::ipv6(
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets(),
            address.octets(),
            64,
        ),
    };
    let mut bytes = Vec::with_capacity(64);
    // Writing to a vector cannot fail; an empty packet would be dropped as unparsable, never passed.
    if builder.udp(49_152, 443).write(&mut bytes, &[]).is_err() {
        bytes.clear();
    }
    bytes
}
