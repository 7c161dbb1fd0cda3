//! The vocabulary of a decision: verdict, reason, and what the reason refers to.
//!
//! Invariant: the verdict is a function of the reason ([`Reason::verdict`]), so that a counter kept by
//! reason cannot disagree with the answer that the kernel got.

use std::fmt;

mod hidden;
mod tunnel;

pub use hidden::{Embedding, Forgery, Redirect};
pub use tunnel::Tunnel;

/// The answer to a held packet, before the mode (monitor or enforce) is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The packet goes on its way.
    Accept,
    /// The packet ends here.
    Drop,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Accept => "accept",
            Verdict::Drop => "drop",
        })
    }
}

/// The address family of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 (RFC 791).
    V4,
    /// IPv6 (RFC 8200).
    V6,
}

impl Family {
    /// Both families, in the order of [`Family::index`].
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// 0 for IPv4, 1 for IPv6: a place in an array of [`Family::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Family::V4 => 0,
            Family::V6 => 1,
        }
    }

    /// The label value in metrics: `ipv4` or `ipv6`.
    pub const fn label(self) -> &'static str {
        match self {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        }
    }
}

/// What makes a packet's header unfit for a judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unparsable {
    /// No byte of an IP header.
    Empty,
    /// Version nibble neither 4 nor 6.
    Version,
    /// The bytes end before the fixed header does.
    Truncated,
    /// IPv4 header length under 20 bytes, or beyond the packet.
    HeaderLength,
    /// The length in the header disagrees with the packet's length.
    TotalLength,
    /// The IPv6 extension header chain is longer than the copy or than the walk allows.
    HeaderChainTooLong,
    /// An IPv6 extension header whose length runs beyond the packet.
    ExtensionLength,
    /// An IPv4 option whose length runs beyond the header, or is less than two.
    Options,
}

impl Unparsable {
    /// All causes, in the order of [`Unparsable::index`].
    pub const ALL: [Unparsable; 8] = [
        Unparsable::Empty,
        Unparsable::Version,
        Unparsable::Truncated,
        Unparsable::HeaderLength,
        Unparsable::TotalLength,
        Unparsable::HeaderChainTooLong,
        Unparsable::ExtensionLength,
        Unparsable::Options,
    ];

    /// A place in an array of [`Unparsable::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The label value in metrics and messages.
    pub const fn label(self) -> &'static str {
        match self {
            Unparsable::Empty => "empty",
            Unparsable::Version => "version",
            Unparsable::Truncated => "truncated",
            Unparsable::HeaderLength => "header_length",
            Unparsable::TotalLength => "total_length",
            Unparsable::HeaderChainTooLong => "header_chain_too_long",
            Unparsable::ExtensionLength => "extension_length",
            Unparsable::Options => "options",
        }
    }
}

/// Why a packet gets its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No list names the destination.
    NoMatch,
    /// An `allow` list names the destination; it beats every block.
    Exempt,
    /// A `monitor` list names the destination and no `block` list does: passes, and is counted.
    Monitored,
    /// It belongs to a tunnel that may pass, and no list names its destination.
    TunnelAccepted(Tunnel),
    /// A `block` list names the destination.
    Blocked,
    /// A `block` list names the IPv4 address that the destination embeds.
    Embedded(Embedding),
    /// The destination is an address that has no business on a wire.
    Martian(Embedding),
    /// A header sends the packet elsewhere.
    Redirected(Redirect),
    /// It belongs to a tunnel.
    Tunnel(Tunnel),
    /// A packet within this tunnel goes where it may not.
    Inside(Tunnel),
    /// What this tunnel carries was to be judged and cannot be read.
    Unreadable(Tunnel),
    /// A first fragment, or options before a cut copy, hide what a tunnel would be recognised by.
    PayloadHidden,
    /// The sender is not who it claims to be.
    Forged(Forgery),
    /// No list names the destination, and the camera's policy drops what no list allows.
    NotAllowed,
    /// The header cannot be judged.
    Unparsable(Unparsable),
}

impl Reason {
    /// The verdict that follows from this reason.
    pub const fn verdict(self) -> Verdict {
        match self {
            Reason::NoMatch | Reason::Exempt | Reason::Monitored | Reason::TunnelAccepted(_) => {
                Verdict::Accept
            }
            Reason::Blocked
            | Reason::Embedded(_)
            | Reason::Martian(_)
            | Reason::Redirected(_)
            | Reason::Tunnel(_)
            | Reason::Inside(_)
            | Reason::Unreadable(_)
            | Reason::PayloadHidden
            | Reason::Forged(_)
            | Reason::NotAllowed
            | Reason::Unparsable(_) => Verdict::Drop,
        }
    }

    /// The verdict is to accept.
    pub const fn passes(self) -> bool {
        matches!(self.verdict(), Verdict::Accept)
    }

    /// The label value in metrics and messages.
    pub const fn label(self) -> &'static str {
        match self {
            Reason::NoMatch => "no_match",
            Reason::Exempt => "exempt",
            Reason::Monitored => "monitored",
            Reason::TunnelAccepted(_) => "tunnel_accepted",
            Reason::Blocked => "blocked",
            Reason::Embedded(_) => "embedded",
            Reason::Martian(_) => "martian",
            Reason::Redirected(_) => "redirected",
            Reason::Tunnel(_) => "tunnel",
            Reason::Inside(_) => "tunnel_inside",
            Reason::Unreadable(_) => "tunnel_unreadable",
            Reason::PayloadHidden => "payload_hidden",
            Reason::Forged(_) => "forged",
            Reason::NotAllowed => "not_allowed",
            Reason::Unparsable(_) => "unparsable",
        }
    }

    /// The tunnel that it is about, if it is about one.
    pub const fn tunnel(self) -> Option<Tunnel> {
        match self {
            Reason::TunnelAccepted(tunnel)
            | Reason::Tunnel(tunnel)
            | Reason::Inside(tunnel)
            | Reason::Unreadable(tunnel) => Some(tunnel),
            Reason::NoMatch
            | Reason::Exempt
            | Reason::Monitored
            | Reason::Blocked
            | Reason::Embedded(_)
            | Reason::Martian(_)
            | Reason::Redirected(_)
            | Reason::PayloadHidden
            | Reason::Forged(_)
            | Reason::NotAllowed
            | Reason::Unparsable(_) => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoMatch => f.write_str("no match"),
            Reason::Exempt => f.write_str("exempt"),
            Reason::Monitored => f.write_str("monitored"),
            Reason::TunnelAccepted(tunnel) => write!(f, "{tunnel}, which may pass"),
            Reason::Blocked => f.write_str("blocked"),
            Reason::Embedded(how) => write!(f, "embedded address ({})", how.label()),
            Reason::Martian(how) => write!(f, "{} address, which is for no wire", how.label()),
            Reason::Redirected(how) => write!(f, "redirected ({})", how.label()),
            Reason::Tunnel(tunnel) => write!(f, "tunnel ({tunnel})"),
            Reason::Inside(tunnel) => write!(f, "within a tunnel ({tunnel})"),
            Reason::Unreadable(tunnel) => write!(f, "tunnel that cannot be read ({tunnel})"),
            Reason::PayloadHidden => f.write_str(
                "what a tunnel would be recognised by is hidden by a fragment or by options",
            ),
            Reason::Forged(how) => write!(f, "forged ({})", how.label()),
            Reason::NotAllowed => f.write_str("not allowed by its policy"),
            Reason::Unparsable(cause) => write!(f, "unparsable ({})", cause.label()),
        }
    }
}

/// A masked packet mark: `(old & !mask) | value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Bits set in the mark of an accepted packet; within `mask`.
    pub value: u32,
    /// Bits that belong to kordon; all others are kept.
    pub mask: u32,
}

impl Mark {
    /// The mark of an accepted packet whose mark was `old`.
    pub const fn applied_to(self, old: u32) -> u32 {
        (old & !self.mask) | (self.value & self.mask)
    }
}
