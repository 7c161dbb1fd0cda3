//! Made-up packets: what `why` judges in place of a real one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;

/// The address of nobody, of the family of `destination`: the policy of everybody judges what it sends.
pub fn nobody(destination: IpAddr) -> IpAddr {
    match destination {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The bytes of a UDP packet to `destination` from a camera's address, or, without one of that family, from [`nobody`]'s.
///
/// Built by a library of its own, not by the parser's inverse, so that `why` passes through the same parser as a held
/// packet.
pub fn packet(source: Option<IpAddr>, destination: IpAddr) -> Vec<u8> {
    let same = |source: &IpAddr| source.is_ipv4() == destination.is_ipv4();
    let builder = match (source.filter(same).unwrap_or(nobody(destination)), destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
        }
        // Not between two families; no byte would be dropped as unparsable.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Vec::new(),
    };
    let mut bytes = Vec::with_capacity(64);
    // Writing to a vector cannot fail; an empty packet would be dropped as unparsable, never passed.
    if builder.udp(49_152, 443).write(&mut bytes, &[]).is_err() {
        bytes.clear();
    }
    bytes
}
