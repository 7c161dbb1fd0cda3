//! Tunnels: which one a packet is, as far as one packet tells, and what it carries.

use super::{Headers, Held};
use crate::verdict::Tunnel;

/// What an inspected tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inner<'a> {
    /// A packet.
    Packet(Held<'a>),
    /// Nothing that goes anywhere: control messages, keepalives.
    Nothing,
    /// It cannot be read: cut off by the copy, encrypted, a protocol that is not known.
    Unreadable,
}

/// What the packet, which is of this tunnel, carries.
pub fn inner<'a>(tunnel: Tunnel, headers: &Headers, held: Held<'a>) -> Inner<'a> {
    let _ = (tunnel, headers, held);
    Inner::Unreadable
}
