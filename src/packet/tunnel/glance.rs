//! The first glance at a packet: whether any form is worth a close look.
//!
//! Invariant: what a glance turns away has no form that a close look would recognise. Most packets of cameras are
//! media, and go no further.

use super::{encapsulation, ipsec};
use crate::packet::{Headers, Held};

/// UDP's header, and what the glance takes in of the payload.
const SEEN: usize = 8 + 18;

#[inline]
pub(super) fn at_datagram(headers: &Headers, held: Held<'_>) -> bool {
    let bytes = held.bytes.get(usize::from(headers.transport)..).unwrap_or_default();
    // Too little for a glance, and cheap enough for a look.
    let Some(head) = bytes.first_chunk::<SEEN>() else { return true };
    let [a, b, c, d, _, _, _, _, first, second, third, fourth, fifth, sixth, .., version] = *head;
    let ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    let word = u32::from_be_bytes([first, second, third, fourth]);
    // WireGuard, VXLAN, Teredo, the marker before IKE, L2TP.
    let is_flat = word & 0x00ff_fff0 == 0 || word >> 17 == 0 || second & 0xfe == 2;
    // OpenVPN, GTP-U, VXLAN, IPv4, IPv6.
    let begins = matches!(
        first,
        0x19..=0x1f | 0x30..=0x38 | 0x40 | 0x50 | 0x88 | 0x45..=0x4f | 0x60..=0x6f
    );
    let is_geneve =
        first < 0x40 && matches!([third, fourth], [0x65, 0x58] | [0x08, 0] | [0x86, 0xdd]);
    // ESP's sequence number, IKE's version.
    let is_ipsec = [fifth, sixth] == [0, 0] || matches!(version, 0x10 | 0x20);
    let has_port = ports.contains(&ipsec::TRAVERSAL) || ports.contains(&encapsulation::MPLS);
    is_flat | begins | is_geneve | is_ipsec | has_port
}

#[inline]
pub(super) fn at_segment(headers: &Headers, held: Held<'_>) -> bool {
    let bytes = held.bytes.get(usize::from(headers.transport)..).unwrap_or_default();
    let Some(offset) = bytes.get(12) else { return false };
    match bytes.get(usize::from(offset >> 4) * 4..) {
        // PPTP's type; OpenVPN's opcode behind its length; what opens IKE in TCP.
        Some([_, _, 0 | 0x19..=0x1f | 0x20 | 0x28 | 0x38 | 0x40 | 0x50, ..]) => true,
        Some([b'I', b'K', ..]) => true,
        Some(_) | None => false,
    }
}
