//! Made-up packets: what `why` judges in place of a real one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;

/// The bytes of a UDP packet to `destination` from a camera's address, or, without one of that family, from the
/// unspecified address, which is nobody's: the policy of everybody judges it.
///
/// Built by a library of its own, not by the parser's inverse, so
/// that `why` passes through the same parser as a held packet.
pub fn packet(source: Option<IpAddr>, destination: IpAddr) -> Vec<u8> {
    let builder = match (destination, source) {
        (IpAddr::V4(address), Some(IpAddr::V4(source))) => {
            PacketBuilder::ipv4(source.octets(), address.octets(), 64)
        }
        (IpAddr::V4(address), _) => {
            PacketBuilder::ipv4(Ipv4Addr::UNSPECIFIED.octets(), address.octets(), 64)
        }
        (IpAddr::V6(address), Some(IpAddr::V6(source))) => {
            PacketBuilder::ipv6(source.octets(), address.octets(), 64)
        }
        (IpAddr::V6(address), _) => {
            PacketBuilder::ipv6(Ipv6Addr::UNSPECIFIED.octets(), address.octets(), 64)
        }
    };
    let mut bytes = Vec::with_capacity(64);
    // Writing to a vector cannot fail; an empty packet would be dropped as unparsable, never passed.
    if builder.udp(49_152, 443).write(&mut bytes, &[]).is_err() {
        bytes.clear();
    }
    bytes
}
