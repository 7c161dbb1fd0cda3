//! The vocabulary of a decision: verdict, reason, and what the reason refers to.
//!
//! Invariant: the verdict is a function of the reason ([`Reason::verdict`]), so that a counter kept by
//! reason cannot disagree with the answer that the kernel got.

use std::fmt;

mod hidden;
mod tunnel;

pub use hidden::{Embedding, Redirect};
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
}

impl Unparsable {
    /// All causes, in the order of [`Unparsable::index`].
    pub const ALL: [Unparsable; 7] = [
        Unparsable::Empty,
        Unparsable::Version,
        Unparsable::Truncated,
        Unparsable::HeaderLength,
        Unparsable::TotalLength,
        Unparsable::HeaderChainTooLong,
        Unparsable::ExtensionLength,
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
    /// A `block` list names the destination.
    Blocked,
    /// The header cannot be judged.
    Unparsable(Unparsable),
}

impl Reason {
    /// The verdict that follows from this reason.
    pub const fn verdict(self) -> Verdict {
        match self {
            Reason::NoMatch | Reason::Exempt | Reason::Monitored => Verdict::Accept,
            Reason::Blocked | Reason::Unparsable(_) => Verdict::Drop,
        }
    }

    /// The label value in metrics and messages.
    pub const fn label(self) -> &'static str {
        match self {
            Reason::NoMatch => "no_match",
            Reason::Exempt => "exempt",
            Reason::Monitored => "monitored",
            Reason::Blocked => "blocked",
            Reason::Unparsable(_) => "unparsable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoMatch => f.write_str("no match"),
            Reason::Exempt => f.write_str("exempt"),
            Reason::Monitored => f.write_str("monitored"),
            Reason::Blocked => f.write_str("blocked"),
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
