//! IPv4 addresses that stand in IPv6 destinations (RFC 4291, RFC 3056, RFC 4380, RFC 5214, RFC 6052, RFC 8215).
//!
//! Invariant: no destination embeds more than [`MOST`] addresses, so none is left out.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use crate::verdict::Embedding;

/// The most addresses that one destination can embed: one at each of the six lengths of RFC 6052, two of Teredo,
/// and one of ISATAP.
const MOST: usize = 9;

/// The addresses that a destination embeds, in the order in which they were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedded {
    found: [(Embedding, Ipv4Addr); MOST],
    count: u8,
}

impl Default for Embedded {
    #[inline]
    fn default() -> Self {
        Embedded { found: [(Embedding::Mapped, Ipv4Addr::UNSPECIFIED); MOST], count: 0 }
    }
}

impl Embedded {
    /// How each stands there, and the address.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (Embedding, Ipv4Addr)> + Clone + '_ {
        self.found.iter().take(usize::from(self.count)).copied()
    }

    /// The destination embeds no address.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, how: Embedding, address: u32) {
        let new = (how, Ipv4Addr::from_bits(address));
        if self.iter().all(|known| known != new)
            && let Some(place) = self.found.get_mut(usize::from(self.count))
        {
            *place = new;
            self.count += 1;
        }
    }
}

/// What `destination` embeds, with these NAT64 prefixes besides the well-known one. Their lengths are those of
/// RFC 6052: 32, 40, 48, 56, 64 or 96; one of another length embeds nothing.
#[inline]
pub fn embedded(destination: Ipv6Addr, nat64: &[Ipv6Net]) -> Embedded {
    let bits = destination.to_bits();
    let top = (bits >> 96) as u32;
    let unusual = top == 0 || top == TEREDO || top >> 16 == SIX_TO_FOUR || top == NAT64;
    if !unusual && !is_isatap(bits) && nat64.is_empty() {
        return Embedded::default();
    }
    read(bits, nat64)
}

const TEREDO: u32 = 0x2001_0000;
const SIX_TO_FOUR: u32 = 0x2002;
const NAT64: u32 = 0x0064_ff9b;
/// The bits before the last 32, of the forms that have 96 of them.
const MAPPED: u128 = 0xffff;
const TRANSLATED: u128 = 0xffff_0000;
const WELL_KNOWN: u128 = 0x0064_ff9b << 64;
/// `64:ff9b:1::/48` (RFC 8215): its operator chooses the length.
const LOCAL_USE: u128 = 0x0064_ff9b_0001;
const LOCAL_USE_LENGTHS: [u8; 4] = [48, 56, 64, 96];

/// Of any prefix; the bit that says "universal" may be set (RFC 5214 section 6.1).
#[inline]
fn is_isatap(bits: u128) -> bool {
    (bits >> 32) as u32 & !0x0200_0000 == 0x0000_5efe
}

fn read(bits: u128, nat64: &[Ipv6Net]) -> Embedded {
    let mut embedded = Embedded::default();
    let last = bits as u32;
    match bits >> 32 {
        MAPPED => embedded.add(Embedding::Mapped, last),
        TRANSLATED => embedded.add(Embedding::Translated, last),
        WELL_KNOWN => embedded.add(Embedding::Nat64, last),
        // :: and ::1 are addresses of their own (RFC 4291 sections 2.5.2 and 2.5.3).
        0 if last > 1 => embedded.add(Embedding::Compatible, last),
        _ => {}
    }
    match (bits >> 96) as u32 {
        TEREDO => {
            embedded.add(Embedding::TeredoServer, (bits >> 64) as u32);
            embedded.add(Embedding::TeredoClient, !last);
        }
        top if top >> 16 == SIX_TO_FOUR => {
            embedded.add(Embedding::SixToFour, (bits >> 80) as u32);
        }
        _ => {}
    }
    let mut configured = false;
    for prefix in nat64 {
        if covers(prefix, bits)
            && let Some(address) = translated(bits, prefix.prefix_len())
        {
            embedded.add(Embedding::Nat64, address);
            configured = true;
        }
    }
    // Where the operator has said how it is read, no other reading is guessed.
    if bits >> 80 == LOCAL_USE && !configured {
        for address in LOCAL_USE_LENGTHS.into_iter().filter_map(|length| translated(bits, length)) {
            embedded.add(Embedding::Nat64, address);
        }
    }
    if is_isatap(bits) {
        embedded.add(Embedding::Isatap, last);
    }
    embedded
}

fn covers(prefix: &Ipv6Net, bits: u128) -> bool {
    let different = prefix.addr().to_bits() ^ bits;
    different.checked_shr(128 - u32::from(prefix.prefix_len())).unwrap_or(0) == 0
}

/// The IPv4 address behind a prefix of this length; bits 64 to 71 are skipped, whatever they say (RFC 6052
/// section 2.2).
fn translated(bits: u128, length: u8) -> Option<u32> {
    // Without bits 64 to 71.
    let closed = (bits >> 64) << 56 | (bits & 0x00ff_ffff_ffff_ffff);
    match length {
        32 | 40 | 48 | 56 | 64 => Some((closed >> (120 - 32 - u32::from(length))) as u32),
        96 => Some(bits as u32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 33);

    fn found(destination: &str, nat64: &[&str]) -> Vec<(Embedding, Ipv4Addr)> {
        let nat64: Vec<Ipv6Net> = nat64.iter().map(|prefix| prefix.parse().unwrap()).collect();
        embedded(destination.parse().unwrap(), &nat64).iter().collect()
    }

    #[test]
    fn each_form_gives_the_address_in_it_and_its_neighbour_gives_none() {
        let forms = [
            (Embedding::Mapped, "::ffff:192.0.2.33", "::fffe:192.0.2.33"),
            (Embedding::Compatible, "::192.0.2.33", "::1:192.0.2.33"),
            (Embedding::Translated, "::ffff:0:192.0.2.33", "::ffff:1:192.0.2.33"),
            (Embedding::SixToFour, "2002:c000:221::1", "2003:c000:221::1"),
            (Embedding::SixToFour, "2002:c000:221:ffff:1:2:3:4", "2001:2:c000:221::"),
            (Embedding::Nat64, "64:ff9b::192.0.2.33", "64:ff9b::1:0:192.0.2.33"),
            (Embedding::Isatap, "2001:db8::5efe:192.0.2.33", "2001:db8::5eff:192.0.2.33"),
            (Embedding::Isatap, "fe80::200:5efe:192.0.2.33", "fe80::400:5efe:192.0.2.33"),
        ];
        for (how, with, without) in forms {
            assert_eq!(found(with, &[]), [(how, INSIDE)], "{with}");
            assert_eq!(found(without, &[]), [], "{without}");
        }
    }

    #[test]
    fn a_teredo_address_gives_its_server_and_its_client() {
        let client = Ipv4Addr::new(203, 0, 113, 9);
        let destination = "2001:0:c000:221:8000:63bf:34ff:8ef6";
        let both = [(Embedding::TeredoServer, INSIDE), (Embedding::TeredoClient, client)];
        assert_eq!(found(destination, &[]), both);
        assert_eq!(found("2001:1:c000:221:8000:63bf:34ff:8ef6", &[]), []);
    }

    #[test]
    fn the_unspecified_and_the_loopback_address_embed_nothing_and_their_neighbour_does() {
        assert_eq!(found("::", &[]), []);
        assert_eq!(found("::1", &[]), []);
        assert_eq!(found("::2", &[]), [(Embedding::Compatible, Ipv4Addr::new(0, 0, 0, 2))]);
    }

    /// The examples of RFC 6052 section 2.4, with bits 64 to 71 also set.
    #[test]
    fn configured_prefixes_are_read_at_every_length_of_the_standard() {
        let examples = [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
        ];
        for (prefix, destination) in examples {
            assert_eq!(found(destination, &[prefix]), [(Embedding::Nat64, INSIDE)], "{prefix}");
            assert_eq!(found(destination, &[]), [], "{prefix} is not configured");
            assert_eq!(found("2001:db9::1", &[prefix]), [], "{prefix} does not cover it");
            if !prefix.ends_with("/96") {
                let with_u = destination.parse::<Ipv6Addr>().unwrap().to_bits() | 0xff << 56;
                let with_u = Ipv6Addr::from_bits(with_u).to_string();
                assert_eq!(found(&with_u, &[prefix]), [(Embedding::Nat64, INSIDE)], "{with_u}");
            }
        }
    }

    #[test]
    fn the_local_use_prefix_is_read_at_each_length_unless_configured() {
        let inside = (Embedding::Nat64, INSIDE);
        for destination in [
            "64:ff9b:1:c000:2:2100::",
            "64:ff9b:1:3c0:0:221::",
            "64:ff9b:1:344:c0:2:2100::",
            "64:ff9b:1:344::192.0.2.33",
        ] {
            assert!(found(destination, &[]).contains(&inside), "{destination}");
        }
        assert_eq!(found("64:ff9b:1:344::192.0.2.33", &["64:ff9b:1:344::/96"]), [inside]);
        assert_eq!(found("64:ff9b:2:344::192.0.2.33", &[]), []);
    }

    #[test]
    fn the_most_that_one_destination_can_embed_finds_room() {
        let destination: Ipv6Addr = "2001:0:102:304:0:5efe:506:708".parse().unwrap();
        let nat64 =
            [32, 40, 48, 56, 64, 96].map(|length| Ipv6Net::new(destination, length).unwrap());
        let found: Vec<_> = embedded(destination, &nat64).iter().collect();
        assert_eq!(found.len(), MOST, "{found:?}");
        assert_eq!(found.last(), Some(&(Embedding::Isatap, Ipv4Addr::new(5, 6, 7, 8))));
    }

    proptest! {
        /// A slow reading, octet by octet, as oracle.
        #[test]
        fn configured_prefixes_are_read_as_octet_by_octet(
            address: u128,
            length in prop::sample::select(vec![32_u8, 40, 48, 56, 64, 96]),
        ) {
            let address = Ipv6Addr::from_bits(address);
            let octets = address.octets();
            let expected: Vec<u8> = (usize::from(length) / 8..16)
                .filter(|at| *at != 8 || length == 96)
                .map(|at| octets[at])
                .take(4)
                .collect();
            let expected = Ipv4Addr::from(<[u8; 4]>::try_from(expected).unwrap());
            let prefix = Ipv6Net::new(address, length).unwrap();
            let found = embedded(address, &[prefix]);
            prop_assert!(found.iter().any(|one| one == (Embedding::Nat64, expected)));
        }

        #[test]
        fn an_ordinary_destination_embeds_nothing(low: u64, site in 1_u32..0xffff) {
            prop_assume!(low >> 32 != 0x5efe && low >> 32 != 0x0200_5efe);
            let bits = u128::from(0x2001_0db8_u32) << 96 | u128::from(site) << 64 | u128::from(low);
            prop_assert!(embedded(Ipv6Addr::from_bits(bits), &[]).is_empty());
        }
    }
}
