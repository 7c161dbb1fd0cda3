//! Text to prefixes, and which prefixes a list may hold.
//!
//! Invariants: a prefix that comes out is canonical (no host bits); one that passes the guard is not an IPv4
//! prefix in IPv6 clothes and no wider than the list may hold. What has two readings is refused, never guessed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::place::{Flaw, characters, shown};

/// The shortest IPv4 prefix of a list without `allow_wide`: what one registry block is.
pub const WIDEST_IPV4: u8 = 8;
/// The shortest IPv6 prefix of a list without `allow_wide`.
pub const WIDEST_IPV6: u8 = 16;

/// Why a well-formed prefix may not stand in a list. Displayed, it follows the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `/0`.
    EveryAddress,
    /// Shorter than this length.
    WiderThan(u8),
    /// Inside `::ffff:0:0/96` (RFC 4291 section 2.5.5.2); the IPv4 prefix that it stands for.
    Mapped(Ipv4Net),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const IF_MEANT: &str = "set allow_wide = true on this list if it is meant";
        match self {
            Refusal::EveryAddress => write!(f, "covers every address: {IF_MEANT}"),
            Refusal::WiderThan(limit) => write!(f, "is wider than /{limit}: {IF_MEANT}"),
            Refusal::Mapped(net) => write!(f, "is an IPv4-mapped prefix: write {net}"),
        }
    }
}

/// Whether a list may hold this prefix.
///
/// # Errors
///
/// The reason why not.
pub fn guard(prefix: IpNet, allow_wide: bool) -> Result<(), Refusal> {
    let limit = match prefix {
        IpNet::V4(_) => WIDEST_IPV4,
        IpNet::V6(net) => {
            if let (Some(addr), Some(len)) =
                (net.network().to_ipv4_mapped(), net.prefix_len().checked_sub(96))
                && let Ok(net) = Ipv4Net::new(addr, len)
            {
                return Err(Refusal::Mapped(net));
            }
            WIDEST_IPV6
        }
    };
    match prefix.prefix_len() {
        len if allow_wide || len >= limit => Ok(()),
        0 => Err(Refusal::EveryAddress),
        _ => Err(Refusal::WiderThan(limit)),
    }
}

/// An address or a prefix without host bits.
///
/// # Errors
///
/// What is wrong, and with which part: the address, the length, or both together.
pub fn parse_prefix(text: &str) -> Result<IpNet, Flaw> {
    let net = parse_net(text)?;
    let canonical = net.trunc();
    if canonical == net {
        return Ok(net);
    }
    let (address, width) = (net.addr(), net.max_prefix_len());
    Err(Flaw::new(0, format!("{net} has host bits set: write {canonical} or {address}/{width}")))
}

/// The same, with host bits cleared; and whether there were any.
///
/// # Errors
///
/// As [`parse_prefix`], but for host bits.
pub(super) fn parse_loose(text: &str) -> Result<(IpNet, bool), Flaw> {
    let net = parse_net(text)?;
    Ok((net.trunc(), net.trunc() != net))
}

fn parse_net(text: &str) -> Result<IpNet, Flaw> {
    if text.contains(',') {
        return Err(Flaw::new(0, format!("{}: one entry per line, without commas", shown(text))));
    }
    let (address_text, length_text) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address = parse_address(address_text)?;
    let width = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let length = match length_text {
        None => width,
        Some(length) => parse_length(length, width)
            .map_err(|flaw| flaw.behind(characters(address_text.as_bytes()) + 1))?,
    };
    IpNet::new(address, length).map_err(|e| Flaw::new(0, e.to_string()))
}

/// An address, in the one way of writing that has one reading.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn parse_address(text: &str) -> Result<IpAddr, Flaw> {
    let may_be_ipv6 = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '%');
    if text.contains(':') && text.chars().all(may_be_ipv6) {
        return match text.parse::<Ipv6Addr>() {
            Ok(address) => Ok(IpAddr::V6(address)),
            Err(_) if text.contains('%') => {
                Err(Flaw::new(0, format!("{}: an address with a zone is refused", shown(text))))
            }
            Err(_) => Err(Flaw::new(0, format!("{} is not an IPv6 address", shown(text)))),
        };
    }
    match text.parse::<Ipv4Addr>() {
        Ok(address) => Ok(IpAddr::V4(address)),
        Err(_) => Err(what_is_wrong_with_ipv4(text)),
    }
}

/// Only called for what the standard library does not take as an IPv4 address.
fn what_is_wrong_with_ipv4(text: &str) -> Flaw {
    let say = |what: &str| Flaw::new(0, format!("{}{what}", shown(text)));
    if text.is_empty() {
        return Flaw::new(0, "the address is missing");
    }
    if super::asn::looks_like_asn(text) {
        return say(" is an AS number: this list holds prefixes (kind = \"asn\" holds AS numbers)");
    }
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return say(" is neither an IPv4 nor an IPv6 address");
    }
    let octets: Vec<&str> = text.split('.').collect();
    if octets.len() != 4 || octets.iter().any(|o| o.is_empty()) {
        return say(" is not an IPv4 address: it needs four octets");
    }
    let mut offset = 0;
    for octet in octets {
        let what = if octet.len() > 1 && octet.starts_with('0') {
            Some("has a leading zero and is ambiguous")
        } else if octet.parse::<u8>().is_err() {
            Some("is above 255")
        } else {
            None
        };
        if let Some(what) = what {
            return Flaw::new(offset, format!("{}: octet {} {what}", shown(text), shown(octet)));
        }
        offset += characters(octet.as_bytes()) + 1;
    }
    say(" is not an IPv4 address")
}

fn parse_length(text: &str, width: u8) -> Result<u8, Flaw> {
    let say = |what: String| Err(Flaw::new(0, what));
    if text.is_empty() {
        return say("the length after the slash is missing".to_owned());
    }
    if text.parse::<Ipv4Addr>().is_ok() {
        return say(format!("length {text} is a netmask: write the number of bits"));
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return say(format!("length {} is not a number", shown(text)));
    }
    if text.len() > 1 && text.starts_with('0') {
        return say(format!("length {} has a leading zero", shown(text)));
    }
    match text.parse::<u8>() {
        Ok(length) if length <= width => Ok(length),
        Ok(_) | Err(_) => say(format!("length {} is above {width}", shown(text))),
    }
}
