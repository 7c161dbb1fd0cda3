//! Local space: what is never meant by a list of foreign networks, though popular lists contain it.
//!
//! Invariants: a prefix inside local space leaves nothing; of one that covers some, exactly the rest is left, in
//! the fewest prefixes. The documentation prefixes are not local space: they are nobody's.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use crate::config::Config;

/// What is local everywhere, and where that is said.
const BUILT_IN: [(&str, &str); 15] = [
    ("0.0.0.0/8", "this network, RFC 1122"),
    ("10.0.0.0/8", "private, RFC 1918"),
    ("100.64.0.0/10", "shared by providers, RFC 6598"),
    ("127.0.0.0/8", "loopback, RFC 1122"),
    ("169.254.0.0/16", "link-local, RFC 3927"),
    ("172.16.0.0/12", "private, RFC 1918"),
    ("192.168.0.0/16", "private, RFC 1918"),
    ("224.0.0.0/4", "multicast, RFC 5771"),
    ("255.255.255.255/32", "broadcast, RFC 919"),
    ("::/128", "unspecified, RFC 4291"),
    ("::1/128", "loopback, RFC 4291"),
    ("fc00::/7", "unique local, RFC 4193"),
    ("fe80::/10", "link-local, RFC 4291"),
    ("fec0::/10", "site-local, RFC 3879"),
    ("ff00::/8", "multicast, RFC 4291"),
];

/// A piece of local space.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    first: u128,
    last: u128,
    network: IpNet,
    what: &'static str,
}

/// Local space: what is so everywhere, what the configuration adds, and the cameras' own networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSpace {
    /// Ascending, none inside another.
    v4: Vec<Block>,
    v6: Vec<Block>,
}

/// What local space leaves of a prefix. The networks that take something away follow in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carved {
    /// All of it.
    Whole,
    /// Nothing; the network that it lies in.
    Nothing(String),
    /// These prefixes, ascending; the networks that it covers.
    Parts(Vec<IpNet>, String),
}

/// The most networks that are named where a prefix covers several.
const NAMED: usize = 3;

impl LocalSpace {
    /// The local space of a gateway with this configuration.
    pub fn of(config: &Config) -> LocalSpace {
        let cameras = config.cameras.networks.iter().map(|net| (*net, "a network of the cameras"));
        let more = config.local.iter().map(|net| (*net, "local.networks of the configuration"));
        LocalSpace::new(cameras.chain(more))
    }

    /// What is local everywhere.
    pub fn everywhere() -> LocalSpace {
        LocalSpace::new(std::iter::empty())
    }

    fn new(more: impl Iterator<Item = (IpNet, &'static str)>) -> LocalSpace {
        let built_in = BUILT_IN.iter().filter_map(|(net, what)| Some((net.parse().ok()?, *what)));
        let mut blocks: Vec<Block> =
            built_in.chain(more).map(|(net, what)| block(net, what)).collect();
        // One that covers others comes before them.
        blocks.sort_by_key(|block| (block.first, std::cmp::Reverse(block.last)));
        let (v4, v6) = blocks.into_iter().partition(|block| matches!(block.network, IpNet::V4(_)));
        LocalSpace { v4: outermost(v4), v6: outermost(v6) }
    }

    /// What is left of a prefix.
    pub fn carve(&self, prefix: IpNet) -> Carved {
        let (first, last) = ends(prefix);
        let blocks = match prefix {
            IpNet::V4(_) => &self.v4,
            IpNet::V6(_) => &self.v6,
        };
        let from = blocks.partition_point(|block| block.last < first);
        let touched = blocks.get(from..).unwrap_or_default();
        let count = touched.partition_point(|block| block.first <= last);
        let touched = touched.get(..count).unwrap_or_default();
        match touched {
            [] => Carved::Whole,
            // Of two prefixes that meet, one lies in the other.
            [block, ..] if block.first <= first && last <= block.last => {
                Carved::Nothing(named(std::slice::from_ref(block)))
            }
            inside => Carved::Parts(subtract(prefix, inside), named(inside)),
        }
    }
}

fn block(network: IpNet, what: &'static str) -> Block {
    let (first, last) = ends(network);
    Block { first, last, network: network.trunc(), what }
}

/// The first and the last address, as numbers.
fn ends(net: IpNet) -> (u128, u128) {
    (number(net.network()), number(net.broadcast()))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Of ascending blocks those that lie in no other.
fn outermost(blocks: Vec<Block>) -> Vec<Block> {
    let mut kept: Vec<Block> = Vec::with_capacity(blocks.len());
    for block in blocks {
        if kept.last().is_none_or(|last| block.last > last.last) {
            kept.push(block);
        }
    }
    kept
}

fn named(blocks: &[Block]) -> String {
    let one = |block: &Block| format!("{} ({})", block.network, block.what);
    let mut names: Vec<String> = blocks.iter().take(NAMED).map(one).collect();
    if blocks.len() > NAMED {
        names.push(format!("{} more", blocks.len() - NAMED));
    }
    names.join(", ")
}

/// What is left of a prefix without these ascending blocks inside it.
fn subtract(prefix: IpNet, blocks: &[Block]) -> Vec<IpNet> {
    let (first, last) = ends(prefix);
    let mut left = Vec::new();
    let mut next = Some(first);
    for block in blocks {
        if let Some(from) = next
            && let Some(to) = block.first.checked_sub(1)
            && from <= to
        {
            push(prefix, from, to, &mut left);
        }
        next = block.last.checked_add(1);
    }
    if let Some(from) = next.filter(|from| *from <= last) {
        push(prefix, from, last, &mut left);
    }
    left
}

/// The fewest prefixes that cover exactly this range, in the family of `prefix`.
fn push(prefix: IpNet, from: u128, to: u128, into: &mut Vec<IpNet>) {
    match (prefix, u32::try_from(from), u32::try_from(to)) {
        (IpNet::V4(_), Ok(from), Ok(to)) => {
            into.extend(Ipv4Subnets::new(from.into(), to.into(), 0).map(IpNet::V4));
        }
        (IpNet::V4(_), _, _) => {}
        (IpNet::V6(_), _, _) => {
            into.extend(Ipv6Subnets::new(from.into(), to.into(), 0).map(IpNet::V6));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn space(more: &[&str]) -> LocalSpace {
        LocalSpace::new(more.iter().map(|text| (net(text), "ours")))
    }

    #[test]
    fn every_built_in_network_is_taken() {
        let space = space(&[]);
        assert_eq!(space.v4.len() + space.v6.len(), BUILT_IN.len());
        for (text, what) in BUILT_IN {
            assert_eq!(space.carve(net(text)), Carved::Nothing(format!("{text} ({what})")));
        }
    }

    #[test]
    fn what_lies_inside_is_left_out_and_what_covers_is_split() {
        let space = space(&["203.0.113.0/25", "203.0.113.64/26"]);
        for inside in ["10.1.2.3/32", "192.168.0.0/16", "203.0.113.64/27", "fe80::1/128", "::1/128"]
        {
            assert!(matches!(space.carve(net(inside)), Carved::Nothing(_)), "{inside}");
        }
        for outside in
            ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.128/25", "2001:db8::/32", "11.0.0.0/8"]
        {
            assert_eq!(space.carve(net(outside)), Carved::Whole, "{outside}");
        }
        assert_eq!(
            space.carve(net("203.0.113.0/24")),
            Carved::Parts(vec![net("203.0.113.128/25")], "203.0.113.0/25 (ours)".into())
        );
        let Carved::Parts(parts, said) = space.carve(net("192.0.0.0/8")) else { panic!() };
        assert_eq!(said, "192.168.0.0/16 (private, RFC 1918)");
        let expected = [
            "192.0.0.0/9",
            "192.128.0.0/11",
            "192.160.0.0/13",
            "192.169.0.0/16",
            "192.170.0.0/15",
            "192.172.0.0/14",
            "192.176.0.0/12",
            "192.192.0.0/10",
        ];
        assert_eq!(parts, expected.map(net));
        let Carved::Parts(parts, said) = space.carve(net("::/0")) else { panic!() };
        assert!(parts.len() < 150, "{}", parts.len());
        assert_eq!(
            said,
            "::/128 (unspecified, RFC 4291), ::1/128 (loopback, RFC 4291), \
            fc00::/7 (unique local, RFC 4193), 3 more"
        );
        let Carved::Parts(parts, _) = space.carve(net("0.0.0.0/0")) else { panic!() };
        assert!(
            !parts.iter().any(|part| part.contains(&"255.255.255.255".parse::<IpAddr>().unwrap()))
        );
        assert!(
            parts.iter().any(|part| part.contains(&"255.255.255.254".parse::<IpAddr>().unwrap()))
        );
    }

    /// Address by address: obviously right.
    fn slowly(prefix: IpNet, space: &[IpNet]) -> Vec<u32> {
        let (first, last) = ends(prefix);
        let holds = |a: u32| space.iter().any(|net| net.contains(&IpAddr::V4(a.into())));
        (first as u32..=last as u32).filter(|a| !holds(*a)).collect()
    }

    proptest! {
        #[test]
        fn what_is_left_is_what_a_slow_subtraction_leaves(
            seed in prop::collection::vec((0u32..4096, 22u8..=32), 0..12), bits in 0u32..4096, length in 20u8..=32,
        ) {
            // All in 198.18.0.0/20, where nothing is built in.
            let make = |bits: u32, length: u8| {
                IpNet::new(IpAddr::V4((0xc612_0000 + bits).into()), length).unwrap().trunc()
            };
            let networks: Vec<IpNet> = seed.iter().map(|(bits, length)| make(*bits, *length)).collect();
            let space = LocalSpace::new(networks.iter().map(|net| (*net, "ours")));
            let prefix = make(bits, length);
            let left = match space.carve(prefix) {
                Carved::Whole => vec![prefix],
                Carved::Nothing(_) => vec![],
                Carved::Parts(parts, _) => parts,
            };
            let mut addresses = Vec::new();
            for part in &left {
                let (first, last) = ends(*part);
                addresses.extend(first as u32..=last as u32);
            }
            prop_assert_eq!(addresses, slowly(prefix, &networks));
        }

        #[test]
        fn of_ipv6_no_address_is_in_local_space_and_none_is_lost(
            seed in prop::collection::vec((any::<u64>(), 20u8..=128), 0..8), length in 16u8..=64,
        ) {
            let make = |bits: u64, length: u8| {
                let address = (0x2001_0db8_u128 << 96) | u128::from(bits) << 40;
                IpNet::new(IpAddr::V6(address.into()), length).unwrap().trunc()
            };
            let networks: Vec<IpNet> = seed.iter().map(|(bits, length)| make(*bits, *length)).collect();
            let space = LocalSpace::new(networks.iter().map(|net| (*net, "ours")));
            let prefix = make(0, length);
            let left = match space.carve(prefix) {
                Carved::Whole => vec![prefix],
                Carved::Nothing(_) => vec![],
                Carved::Parts(parts, _) => parts,
            };
            for (one, next) in left.iter().zip(left.iter().skip(1)) {
                prop_assert!(ends(*one).1 < ends(*next).0);
            }
            prop_assert!(left.iter().all(|part| prefix.contains(part)));
            prop_assert!(left.iter().all(|part| networks.iter().all(|n| !n.contains(part) && !part.contains(n))));
            // Sizes add up: what is missing is what the outermost networks inside take.
            let size = |net: IpNet| { let (first, last) = ends(net); last - first + 1 };
            let taken: u128 = if networks.iter().any(|n| n.contains(&prefix)) { size(prefix) } else {
                space.v6.iter().filter(|b| prefix.contains(&b.network)).map(|b| size(b.network)).sum()
            };
            prop_assert_eq!(left.iter().map(|part| size(*part)).sum::<u128>() + taken, size(prefix));
        }
    }
}
