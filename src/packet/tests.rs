use super::samples::{PORTS, Sample, V4, V6, fragment, good, with_chain, with_options};
use super::*;
use proptest::prelude::*;

fn whole(bytes: &[u8]) -> Result<Headers, Unparsable> {
    parse(Held::from(bytes))
}

fn cut(sample: &Sample, at: usize) -> Result<Headers, Unparsable> {
    parse(Held { length: sample.bytes.len() as u32, ..Held::from(&sample.bytes[..at]) })
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
        let held = Held { length: 150_000, aggregate: true, ..Held::from(&bytes[..]) };
        assert_eq!(parse(held).unwrap().ports, Some(PORTS), "{name}");
    }
}

/// The sample of this name.
fn sample(name: &str) -> Vec<u8> {
    good().into_iter().find(|sample| sample.name == name).unwrap().bytes
}

fn redirect_by_options(options: &[u8]) -> Result<Option<Redirect>, Unparsable> {
    let mut padded = options.to_vec();
    padded.resize(options.len().next_multiple_of(4), 0);
    whole(&with_options(&sample("v4-udp"), &padded)).map(|headers| headers.redirect)
}

#[test]
fn source_routes_are_found_wherever_they_stand_among_the_options() {
    let loose = [131, 7, 4, 198, 51, 100, 9];
    let strict = [137, 7, 4, 198, 51, 100, 9];
    let timestamp = [68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(redirect_by_options(&loose), Ok(Some(Redirect::LooseSourceRoute)));
    assert_eq!(redirect_by_options(&strict), Ok(Some(Redirect::StrictSourceRoute)));
    for before in [&[1_u8][..], &[1, 1, 1], &timestamp, &[148, 4, 0, 0], &[7, 3, 4]] {
        let options = [before, &strict].concat();
        assert_eq!(redirect_by_options(&options), Ok(Some(Redirect::StrictSourceRoute)));
        let both = [before, &loose, &strict].concat();
        assert_eq!(redirect_by_options(&both), Ok(Some(Redirect::LooseSourceRoute)));
        assert_eq!(redirect_by_options(before), Ok(None));
    }
    // Behind the end of the options stands padding.
    assert_eq!(redirect_by_options(&[&[0], &loose[..]].concat()), Ok(None));
    // Within another option's data.
    assert_eq!(redirect_by_options(&[&[7, 10, 4], &loose[..]].concat()), Ok(None));
}

#[test]
fn every_option_type_is_walked_by_its_length_and_one_that_overruns_is_refused() {
    for kind in 2..=255_u8 {
        let expected = match kind {
            131 => Some(Redirect::LooseSourceRoute),
            137 => Some(Redirect::StrictSourceRoute),
            _ => None,
        };
        for length in 2..=40_u8 {
            let mut options = vec![0_u8; 40];
            options[..2].copy_from_slice(&[kind, length]);
            assert_eq!(redirect_by_options(&options), Ok(expected), "{kind} of {length}");
        }
        for length in [0, 1, 41, 255] {
            let mut options = vec![0_u8; 40];
            options[..2].copy_from_slice(&[kind, length]);
            assert_eq!(redirect_by_options(&options), Err(Unparsable::Options), "{kind}, {length}");
        }
        assert_eq!(redirect_by_options(&[1, 1, 1, kind]), Err(Unparsable::Options), "{kind}");
    }
}

#[test]
fn routing_headers_are_told_apart_by_type_and_type_2_covers_up_no_other() {
    let udp = sample("v6-udp");
    let routing = |next: u8, kind: u8| [next, 2, kind, 1].into_iter().chain([0; 20]);
    let redirect = |chain: Vec<u8>| whole(&with_chain(&udp, 43, &chain)).unwrap().redirect;
    for kind in 0..=255 {
        let expected = match kind {
            0 => Redirect::Routing0,
            2 => Redirect::Routing2,
            4 => Redirect::Routing4,
            _ => Redirect::RoutingOther,
        };
        assert_eq!(redirect(routing(17, kind).collect()), Some(expected), "type {kind}");
        let covered = routing(43, 2).chain(routing(17, kind)).collect();
        assert_eq!(redirect(covered), Some(expected), "type {kind} behind type 2");
    }
    assert_eq!(redirect(routing(43, 0).chain(routing(17, 2)).collect()), Some(Redirect::Routing0));
    // None left to visit.
    assert_eq!(redirect(vec![17, 0, 0, 0, 0, 0, 0, 0]), Some(Redirect::Routing0));
    assert_eq!(whole(&udp).unwrap().redirect, None);
    let options = with_chain(&udp, 60, &[17, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(whole(&options).unwrap().redirect, None);
}

#[test]
fn an_authentication_header_in_the_chain_is_seen() {
    assert!(whole(&sample("v6-authentication")).unwrap().authenticated);
    assert!(!whole(&sample("v6-udp")).unwrap().authenticated);
    assert!(!whole(&sample("v6-eight-extensions")).unwrap().authenticated);
}

/// First fragments of this protocol with so many bytes from the transport header on, in both families.
fn first_fragments(protocol: u8, beyond: usize) -> [Vec<u8>; 2] {
    let mut four = fragment(&sample("v4-header-only"), 0, true);
    four[9] = protocol;
    four.resize(20 + beyond, 0xa5);
    let total = (four.len() as u16).to_be_bytes();
    four[2..4].copy_from_slice(&total);
    let six = with_chain(&sample("v6-udp")[..40], 44, &[protocol, 0, 0, 1, 0, 0, 0, 9]);
    let mut six = six;
    six.resize(48 + beyond, 0xa5);
    let payload = (six.len() as u16 - 40).to_be_bytes();
    six[4..6].copy_from_slice(&payload);
    [four, six]
}

#[test]
fn a_first_fragment_that_ends_before_its_transport_header_lacks_it() {
    for (protocol, needed) in [(6, 20), (17, 64), (33, 12), (132, 12), (4, 20), (41, 40), (253, 8)]
    {
        for beyond in 0..80 {
            for bytes in first_fragments(protocol, beyond) {
                let lacks = |bytes: &[u8], length: usize| {
                    let held = Held { length: length as u32, ..Held::from(bytes) };
                    parse(held).unwrap().lacks_transport(held)
                };
                let what = format!("protocol {protocol}, {beyond} bytes");
                assert_eq!(lacks(&bytes, bytes.len()), beyond < needed, "{what}");
                // The copy may end earlier than the packet.
                let copy = &bytes[..bytes.len() - beyond];
                assert_eq!(lacks(copy, bytes.len()), beyond < needed, "{what}, cut");
                // What is appended behind the packet's own length is no part of it.
                assert_eq!(lacks(&bytes, bytes.len() + 100), beyond < needed, "{what}, padded");
            }
        }
    }
    for name in ["v4-header-only", "v4-later-fragment", "v6-later-fragment", "v6-no-next-header"] {
        let bytes = sample(name);
        let held = Held::from(&bytes[..]);
        assert!(!parse(held).unwrap().lacks_transport(held), "{name} is no first fragment");
    }
}

#[test]
fn headers_that_push_a_datagram_out_of_the_copy_are_seen() {
    let mut udp = sample("v6-udp");
    udp.resize(400, 0xa5);
    let options = |units: u8| {
        let mut chain = vec![0; usize::from(units) * 8 + 8];
        chain[..4].copy_from_slice(&[17, units, 1, units * 8 + 4]);
        with_chain(&udp, 60, &chain)
    };
    let hides = |bytes: &[u8], copy: usize| {
        let held =
            Held { length: bytes.len() as u32, ..Held::from(&bytes[..copy.min(bytes.len())]) };
        parse(held).unwrap().hides_payload(held)
    };
    assert!(!hides(&options(2), 128));
    assert!(hides(&options(3), 128));
    assert!(hides(&options(9), 128));
    assert!(!hides(&options(9), 512), "a longer copy shows it");
    assert!(!hides(&with_chain(&udp, 60, &[17, 0, 1, 4, 0, 0, 0, 0]), 128));
    // Without options a short copy range is a matter of configuration.
    assert!(!hides(&with_chain(&udp, 17, &[]), 64));
    let whole = sample("v6-eight-extensions");
    assert!(!hides(&whole, whole.len()), "nothing was cut off");
}

#[test]
fn made_up_packets_are_parsed_to_the_address_they_were_made_for() {
    for address in
        ["203.0.113.7", "0.0.0.0", "255.255.255.255", "2001:db8::7", "::", "::ffff:192.0.2.1"]
    {
        let address: IpAddr = address.parse().unwrap();
        let bytes = synthetic::packet(None, address);
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
        let held = Held { length: bytes.len() as u32 + extra, aggregate, ..Held::from(&bytes[..]) };
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
