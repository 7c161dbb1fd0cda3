//! Tunnels that are IP protocols of their own, and what they carry.

use super::carried::{self, Carried};
use super::rest::Rest;
use super::{Inner, Sight, gre, inner, l2tp, sight};
use crate::packet::{Fragment, Headers, Held};
use crate::verdict::Tunnel;

/// By IANA's protocol numbers. IP in IP has had four: 4, the minimal encapsulation of RFC 2004, KA9Q's, and RFC 1241's.
#[inline]
pub(super) fn tunnel(protocol: u8) -> Option<Tunnel> {
    match protocol {
        4 | 55 | 94 | 98 => Some(Tunnel::Ipip),
        41 => Some(Tunnel::SixInFour),
        47 => Some(Tunnel::Gre),
        50 => Some(Tunnel::Esp),
        51 => Some(Tunnel::Ah),
        97 => Some(Tunnel::EtherIp),
        108 => Some(Tunnel::IpComp),
        115 => Some(Tunnel::L2tp),
        137 => Some(Tunnel::Mpls),
        _ => None,
    }
}

/// What stands behind the IP header.
pub(super) fn carries<'a>(headers: &Headers, held: Held<'a>) -> Carried<'a> {
    if headers.fragment == Fragment::Later {
        return Carried::Unknown;
    }
    let rest = Rest::of(headers, held);
    match headers.protocol {
        4 | 41 | 94 => carried::ip(rest),
        47 => gre::carries(rest),
        // RFC 3378 section 3: version 3, and reserved bits.
        97 if rest.u16(0) == Some(0x3000) => {
            rest.skip(2).map_or(Carried::Unknown, carried::ethernet)
        }
        115 => l2tp::in_ip(rest),
        137 => carried::labels(rest),
        _ => Carried::Unknown,
    }
}

/// The most authentication headers in a row that are read.
const MOST: usize = 4;

/// What is authenticated: another tunnel, or the packet itself, which goes where its header says.
pub(super) fn behind_authentication<'a>(headers: &Headers, held: Held<'a>) -> Inner<'a> {
    let mut headers = Headers { authenticated: false, ..*headers };
    for _ in 0..MOST {
        if headers.fragment == Fragment::Later {
            return Inner::Unreadable;
        }
        if headers.protocol != 51 {
            break;
        }
        // RFC 4302 section 2.2: in units of four bytes, less two.
        let Some([next, length]) = Rest::of(&headers, held).array(0) else {
            return Inner::Unreadable;
        };
        headers.protocol = next;
        headers.transport = headers.transport.saturating_add((u16::from(length) + 2) * 4);
    }
    match sight(&headers, held) {
        // More of them than are read.
        Sight::Tunnel(Tunnel::Ah) => Inner::Unreadable,
        Sight::Tunnel(tunnel) | Sight::Flow { now: tunnel, .. } => inner(tunnel, &headers, held),
        Sight::MaybeEsp { .. } | Sight::MaybeOpenVpn { .. } | Sight::MaybeWireGuard { .. } => {
            Inner::Unreadable
        }
        // ICMP, TCP, UDP, DCCP, ICMPv6, no next header, SCTP, UDP-Lite.
        Sight::Nothing if matches!(headers.protocol, 1 | 6 | 17 | 33 | 58 | 59 | 132 | 136) => {
            Inner::Nothing
        }
        Sight::Nothing => Inner::Unreadable,
    }
}
