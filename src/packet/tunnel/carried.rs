//! What stands within a tunnel: Ethernet frames, PPP frames, MPLS labels, packets.
//!
//! Invariant: every walk is bounded, and what may be IP and cannot be read is `Unknown`, never `Nothing`.

use super::rest::Rest;

/// What a tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried<'a> {
    /// A packet, from its IP header on.
    Ip(Rest<'a>),
    /// What cannot be a packet.
    Nothing,
    /// Cut off, encrypted, or of no known protocol.
    Unknown,
}

/// A packet by its version.
pub(super) fn ip(rest: Rest<'_>) -> Carried<'_> {
    match rest.u8(0).map(|first| first >> 4) {
        Some(4 | 6) => Carried::Ip(rest),
        Some(_) => Carried::Unknown,
        None if rest.length == 0 => Carried::Nothing,
        None => Carried::Unknown,
    }
}

/// The most VLAN tags, and the most MPLS labels, that are walked.
const MOST_TAGS: usize = 4;
const MOST_LABELS: usize = 16;

/// An Ethernet frame, with VLAN tags or without.
pub(super) fn ethernet(frame: Rest<'_>) -> Carried<'_> {
    let mut at = 12;
    for _ in 0..=MOST_TAGS {
        let Some(kind) = frame.u16(at) else { return Carried::Unknown };
        if matches!(kind, 0x8100 | 0x88a8 | 0x9100 | 0x9200) {
            at += 4;
            continue;
        }
        let Some(payload) = frame.skip(at + 2) else { return Carried::Unknown };
        return match kind {
            ..=1500 => logical_link(payload),
            _ => by_ethertype(kind, payload),
        };
    }
    Carried::Unknown
}

/// What stands behind an EtherType (the IEEE's registry, and RFC 9542).
pub(super) fn by_ethertype(kind: u16, payload: Rest<'_>) -> Carried<'_> {
    match kind {
        0x0800 | 0x86dd => ip(payload),
        // ARP, RARP, slow protocols, EAPOL, PPPoE discovery, LLDP, PTP, CFM.
        0x0806 | 0x8035 | 0x8809 | 0x888e | 0x8863 | 0x88cc | 0x88f7 | 0x8902 => Carried::Nothing,
        0x8847 | 0x8848 => labels(payload),
        // A PPPoE session: a header of six bytes.
        0x8864 => payload.skip(6).map_or(Carried::Unknown, ppp),
        // A frame within.
        0x6558 => ethernet(payload),
        _ => Carried::Unknown,
    }
}

/// IEEE 802.2: a spanning tree, or SNAP with an EtherType.
fn logical_link(payload: Rest<'_>) -> Carried<'_> {
    match (payload.array(0), payload.array(3)) {
        (Some([0x42, 0x42, 0x03]), _) => Carried::Nothing,
        (Some([0xaa, 0xaa, 0x03]), Some([0, 0, 0])) => match (payload.u16(6), payload.skip(8)) {
            // Once: a frame within a frame within a frame is read no further.
            (Some(0x0800 | 0x86dd), Some(packet)) => ip(packet),
            (Some(0x0806), _) => Carried::Nothing,
            (_, _) => Carried::Unknown,
        },
        (_, _) => Carried::Unknown,
    }
}

/// A PPP frame (RFC 1661), its address and control field (RFC 1662) compressed or not, its protocol too.
pub(super) fn ppp(frame: Rest<'_>) -> Carried<'_> {
    let framed = frame.array(0) == Some([0xff, 0x03]);
    let Some(frame) = frame.skip(if framed { 2 } else { 0 }) else { return Carried::Unknown };
    let (protocol, header) = match (frame.u8(0), frame.u16(0)) {
        // Odd in the first byte: it stands alone.
        (Some(short), _) if short & 1 == 1 => (u16::from(short), 1),
        (_, Some(protocol)) => (protocol, 2),
        (None, None) if frame.length == 0 => return Carried::Nothing,
        (_, None) => return Carried::Unknown,
    };
    match (protocol, frame.skip(header)) {
        (0x0021 | 0x0057, Some(packet)) => ip(packet),
        // Control of a network protocol or of the link: LCP, PAP, CHAP, IPCP, ...
        (0x8000.., _) => Carried::Nothing,
        (_, _) => Carried::Unknown,
    }
}

/// It begins as PPP frames do: framed, or with a protocol that occurs.
pub(super) fn is_ppp(frame: &Rest<'_>) -> bool {
    matches!(frame.u8(0), Some(0x21 | 0x57))
        || matches!(
            frame.u16(0),
            Some(
                0xff03
                    | 0x0021
                    | 0x0057
                    | 0x003d
                    | 0x00fd
                    | 0x8021
                    | 0x8057
                    | 0x80fd
                    | 0xc021
                    | 0xc023
                    | 0xc025
                    | 0xc223
                    | 0xc227
            )
        )
}

/// The packet behind MPLS labels. A pseudowire behind them is not told from others.
pub(super) fn labels(stack: Rest<'_>) -> Carried<'_> {
    behind_labels(stack).map_or(Carried::Unknown, ip)
}

/// What follows the bottom of the stack (RFC 3032 section 2.1); every label has some time to live.
pub(super) fn behind_labels(stack: Rest<'_>) -> Option<Rest<'_>> {
    for entry in 0..MOST_LABELS {
        let [_, _, bottom, time_to_live] = stack.array(entry * 4)?;
        if time_to_live == 0 {
            return None;
        }
        if bottom & 1 == 1 {
            return stack.skip(entry * 4 + 4);
        }
    }
    None
}

/// The bytes are a packet of exactly this length.
pub(super) fn fits_as_ip(packet: &Rest<'_>) -> bool {
    fits_as_v4(packet) || fits_as_v6(packet)
}

/// The total length, and the header's checksum. Within an aggregate others may follow.
#[inline]
pub(super) fn fits_as_v4(packet: &Rest<'_>) -> bool {
    let Some(total) = packet.u16(2).map(u32::from) else { return false };
    packet.is_long(total) && is_v4(packet)
}

fn is_v4(packet: &Rest<'_>) -> bool {
    let Some(first) = packet.u8(0) else { return false };
    let length = usize::from(first & 0x0f) * 4;
    let Some(header) = packet.bytes.get(..length) else { return false };
    if first >> 4 != 4 || length < 20 {
        return false;
    }
    let words = header.chunks_exact(2).filter_map(|word| word.first_chunk::<2>());
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    // Both carries of sixty bytes at most.
    let folded = (sum & 0xffff) + (sum >> 16);
    (folded & 0xffff) + (folded >> 16) == 0xffff
}

/// The payload length, and a next header that occurs.
#[inline]
pub(super) fn fits_as_v6(packet: &Rest<'_>) -> bool {
    let Some(payload) = packet.u16(4) else { return false };
    packet.length == u32::from(payload) + 40 && is_v6(packet)
}

fn is_v6(packet: &Rest<'_>) -> bool {
    packet.u8(0).is_some_and(|first| first >> 4 == 6)
        && packet.u8(6).is_some_and(|next| {
            matches!(next, 0 | 4 | 6 | 17 | 41 | 43 | 44 | 47 | 50 | 51 | 58..=60 | 132)
        })
}

/// The bytes are an Ethernet frame with a packet of exactly this length, or padded to the shortest frame, or with ARP
/// for IPv4.
pub(super) fn fits_in_ethernet(frame: Rest<'_>) -> bool {
    /// IEEE 802.3: 60 bytes without the check, 14 of them the header.
    const PADDED: u32 = 46;
    if (0..=2).any(|tags| frame.array(12 + tags * 4) == Some([0x08, 0x06, 0, 1, 8, 0, 6, 4])) {
        return true;
    }
    let Carried::Ip(packet) = ethernet(frame) else { return false };
    let shorter = |length: u32| packet.length <= PADDED && length <= packet.length;
    match (packet.u8(0).map(|first| first >> 4), packet.u16(2), packet.u16(4)) {
        (Some(4), Some(total), _) => {
            (packet.is_long(total.into()) || shorter(total.into())) && is_v4(&packet)
        }
        (Some(6), _, Some(payload)) => {
            let length = u32::from(payload) + 40;
            (packet.length == length || shorter(length)) && is_v6(&packet)
        }
        (_, _, _) => false,
    }
}
