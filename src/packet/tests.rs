use super::samples::{PORTS, Sample, V4, V6, good, with_chain};
use super::*;
use proptest::prelude::*;

fn whole(bytes: &[u8]) -> Result<Headers, Unparsable> {
    parse(Held::from(bytes))
}

fn cut(sample: &Sample, at: usize) -> Result<Headers, Unparsable> {
    parse(Held { bytes: &sample.bytes[..at], length: sample.bytes.len() as u32, aggregate: false })
}

#[test]
fn every_sample_gives_its_addresses_protocol_and_ports() {
    for sample in good() {
        let headers =
            whole(&sample.bytes).unwrap_or_else(|cause| panic!("{}: {cause:?}", sample.name));
        let (source, destination) = if sample.name.starts_with("v4") {
            (IpAddr::from(V4.0), IpAddr::from(V4.1))
        } else {
            (IpAddr::from(V6.0), IpAddr::from(V6.1))
        };
        assert_eq!(headers.addresses.source(), source, "{}", sample.name);
        assert_eq!(headers.addresses.destination(), destination, "{}", sample.name);
        assert_eq!(headers.protocol, sample.protocol, "{}", sample.name);
        assert_eq!(headers.ports, sample.ports.then_some(PORTS), "{}", sample.name);
        let fragment = match sample.name {
            name if name.ends_with("first-fragment") => Fragment::First,
            name if name.ends_with("later-fragment") || name.ends_with("last-fragment") => {
                Fragment::Later
            }
            _ => Fragment::Whole,
        };
        assert_eq!(headers.fragment, fragment, "{}", sample.name);
    }
}

#[test]
fn a_packet_that_ends_too_early_is_unparsable_and_never_a_panic() {
    for sample in good() {
        for at in 0..sample.bytes.len() {
            // The packet itself ends here: its length field lies.
            assert!(whole(&sample.bytes[..at]).is_err(), "{} of {at} bytes", sample.name);
        }
    }
}

#[test]
fn a_copy_cut_within_the_headers_is_unparsable_and_one_cut_behind_them_is_not() {
    for sample in good() {
        for at in 0..sample.bytes.len() {
            let found = cut(&sample, at);
            assert_eq!(
                found.is_ok(),
                at >= sample.headers,
                "{} cut at {at}: {found:?}",
                sample.name
            );
            if let Ok(headers) = found {
                let reached = sample.ports && at >= sample.headers + 4;
                assert_eq!(headers.ports, reached.then_some(PORTS), "{} cut at {at}", sample.name);
            }
        }
    }
}

#[test]
fn causes_are_told_apart() {
    let samples = good();
    let sample = |name| samples.iter().find(|sample| sample.name == name).unwrap().bytes.clone();
    assert_eq!(whole(&[]), Err(Unparsable::Empty));
    for nibble in (0..16).filter(|nibble| ![4, 6].contains(nibble)) {
        let mut bytes = sample("v4-udp");
        bytes[0] = nibble << 4 | 5;
        assert_eq!(whole(&bytes), Err(Unparsable::Version), "version {nibble}");
    }
    assert_eq!(whole(&sample("v4-udp")[..19]), Err(Unparsable::Truncated));
    assert_eq!(whole(&sample("v6-udp")[..39]), Err(Unparsable::Truncated));
    for words in 0..5 {
        let mut bytes = sample("v4-udp");
        bytes[0] = 0x40 | words;
        assert_eq!(whole(&bytes), Err(Unparsable::HeaderLength), "{words} words");
    }
    for total in [0_u16, 1, 19, 53, u16::MAX] {
        let mut bytes = sample("v4-udp");
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        assert_eq!(whole(&bytes), Err(Unparsable::TotalLength), "total length {total}");
    }
    let mut bytes = sample("v6-udp");
    bytes[4..6].copy_from_slice(&33_u16.to_be_bytes());
    assert_eq!(whole(&bytes), Err(Unparsable::TotalLength));
    let long = with_chain(&sample("v6-udp"), 60, &[17, 200, 1, 4, 0, 0, 0, 0]);
    assert_eq!(whole(&long), Err(Unparsable::ExtensionLength));
    let nine = [[60, 0, 1, 4, 0, 0, 0, 0]; 9].concat();
    assert_eq!(
        whole(&with_chain(&sample("v6-udp"), 60, &nine)),
        Err(Unparsable::HeaderChainTooLong)
    );
}

#[test]
fn a_chain_of_extension_headers_without_end_is_walked_only_so_far() {
    let samples = good();
    let udp = &samples.iter().find(|sample| sample.name == "v6-udp").unwrap().bytes;
    for kind in [0, 43, 60, 135, 139, 140] {
        let endless = [[kind, 0, 1, 4, 0, 0, 0, 0]; 100].concat();
        assert_eq!(whole(&with_chain(udp, kind, &endless)), Err(Unparsable::HeaderChainTooLong));
    }
}

#[test]
fn a_length_of_zero_is_an_aggregate_only_where_the_kernel_says_so() {
    let samples = good();
    for (name, at) in [("v4-tcp", 2), ("v6-tcp", 4)] {
        let mut bytes = samples.iter().find(|sample| sample.name == name).unwrap().bytes.clone();
        bytes[at..at + 2].copy_from_slice(&[0, 0]);
        assert_eq!(whole(&bytes), Err(Unparsable::TotalLength), "{name}");
        let held = Held { bytes: &bytes, length: 150_000, aggregate: true };
        assert_eq!(parse(held).unwrap().ports, Some(PORTS), "{name}");
    }
}

#[test]
fn made_up_packets_are_parsed_to_the_address_they_were_made_for() {
    for address in
        ["203.0.113.7", "0.0.0.0", "255.255.255.255", "2001:db8::7", "::", "::ffff:192.0.2.1"]
    {
        let address: IpAddr = address.parse().unwrap();
        let bytes = synthetic::packet_to(address);
        assert_eq!(whole(&bytes).unwrap().addresses.destination(), address);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_have_headers_or_a_cause(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        nibble in prop::sample::select(vec![4_u8, 6, 0]),
        extra in 0_u32..100_000,
        aggregate: bool,
    ) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() && nibble != 0 {
            *first = nibble << 4 | (*first & 0x0f);
        }
        let held = Held { bytes: &bytes, length: bytes.len() as u32 + extra, aggregate };
        let _ = parse(held);
    }

    /// Another parser as oracle: what both take for whole has the same addresses, protocol and ports.
    #[test]
    fn a_library_parser_agrees(
        bytes in prop::collection::vec(any::<u8>(), 60..160),
        next in prop::sample::select(vec![0_u8, 6, 17, 43, 44, 51, 60, 1]),
        six: bool,
    ) {
        let mut bytes = bytes;
        if six {
            bytes[0] = 0x60 | (bytes[0] & 0x0f);
            let payload = (bytes.len() - 40) as u16;
            bytes[4..6].copy_from_slice(&payload.to_be_bytes());
            bytes[6] = next;
            bytes[41] %= 3;
        } else {
            bytes[0] = 0x45;
            let total = bytes.len() as u16;
            bytes[2..4].copy_from_slice(&total.to_be_bytes());
            bytes[9] = next;
        }
        let theirs = etherparse::IpSlice::from_slice(&bytes);
        let ours = whole(&bytes);
        if let (Ok(theirs), Ok(ours)) = (&theirs, &ours) {
            prop_assert_eq!(theirs.source_addr(), ours.addresses.source());
            prop_assert_eq!(theirs.destination_addr(), ours.addresses.destination());
            let payload = theirs.payload();
            // They stop at a later fragment as we do, and name the protocol that follows.
            // In IPv4 they take AH for an extension header; there it is a protocol like any other.
            let comparable = six || ours.protocol != 51;
            if comparable && !is_extension(payload.ip_number.0) && !is_extension(ours.protocol) {
                prop_assert_eq!(payload.ip_number.0, ours.protocol);
                prop_assert_eq!(payload.fragmented, ours.fragment != Fragment::Whole);
            }
        }
        if !six {
            prop_assert!(ours.is_ok() || theirs.is_err(), "{:?} {:?}", ours, theirs);
        }
    }
}

fn is_extension(number: u8) -> bool {
    matches!(number, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140)
}
