//! What a packet hides: addresses within addresses, headers that send it elsewhere, packets within packets.
//!
//! Each packet is sent from the camera as it would be on a wire, with a mark in it, and looked for on the wire of the
//! server; first without kordon, so that each is known to be forwarded.

use std::net::IpAddr;

use super::count::{dropped, expect};
use crate::lab::capture::{Capture, Mark, mark};
use crate::lab::raw::{self, udp_between};
use crate::lab::topology::*;
use crate::lab::{PATIENCE, Res, wait_until};
use crate::{Bench, Site};

const UDP: u8 = 17;
const GRE: u8 = 47;
const ROUTING: u8 = 43;

/// A packet, by name, and whether it may pass.
struct Probe {
    name: String,
    to: IpAddr,
    packet: Vec<u8>,
    mark: Mark,
    passes: bool,
}

impl Probe {
    /// A packet whose payload `make` builds around the mark.
    fn new(
        name: &str,
        passes: bool,
        to: IpAddr,
        make: impl FnOnce(&Mark) -> Res<Vec<u8>>,
    ) -> Res<Probe> {
        let mark = mark();
        Ok(Probe { name: name.to_owned(), to, packet: make(&mark)?, mark, passes })
    }
}

/// Sends every probe; those that may pass are seen by the server, the others are not. `all`: every one may.
fn seen(bench: &Bench<'_>, capture: &mut Capture, probes: &[Probe], all: bool) -> Res {
    for probe in probes {
        let before = capture.arrived(&probe.mark);
        raw::send_as_it_is(&probe.packet, probe.to)?;
        if all || probe.passes {
            let arrived = wait_until(PATIENCE, || capture.arrived(&probe.mark) > before);
            if !arrived {
                return Err(format!("{} did not arrive, and should", probe.name));
            }
        }
    }
    let refused: Vec<&Probe> = probes.iter().filter(|probe| !all && !probe.passes).collect();
    for probe in &refused {
        bench.lab.fence(probe.to)?;
        // Once without kordon.
        match capture.arrived(&probe.mark) {
            1 => {}
            n => {
                return Err(format!(
                    "{} arrived {n} times, and may only without kordon",
                    probe.name
                ));
            }
        }
    }
    Ok(())
}

/// In documentation space: an interface identifier of ISATAP, and a NAT64 prefix of the network's own.
pub(super) fn embedded_addresses(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.more.push_str("\n[packets]\nnat64_prefixes = [\"2001:db8:2:64::/96\"]\n");
    let site = Site::new(setup)?;
    let mut capture = Capture::start(Place::Out1)?;
    let to = |text: &str| text.parse::<IpAddr>().map_err(|error| format!("{text}: {error}"));
    let probe = |name: &str, passes, text: &str| {
        let to = to(text)?;
        Probe::new(name, passes, to, |mark| {
            raw::v6(CAMERA6, to, UDP, &udp_between(4000, 5000, mark))
        })
    };
    let probes = [
        probe("ISATAP of a blocked address", false, "2001:db8:2::5efe:203.0.113.10")?,
        probe("ISATAP of another address", true, "2001:db8:2::5efe:198.51.100.10")?,
        probe("ISATAP with the global bit", false, "2001:db8:2::200:5efe:203.0.113.10")?,
        probe("NAT64 of a blocked address", false, "2001:db8:2:64::203.0.113.10")?,
        probe("NAT64 of an exempt address", true, "2001:db8:2:64::203.0.113.20")?,
        probe("NAT64 of another address", true, "2001:db8:2:64::198.51.100.10")?,
        probe("the same bits behind another prefix", true, "2001:db8:2:65::203.0.113.10")?,
    ];
    seen(bench, &mut capture, &probes, true)?;
    let daemon = site.start()?;
    seen(bench, &mut capture, &probes, false)?;
    expect("embedded", dropped(&daemon, "embedded")?, 3)?;
    let why = site.kordon_ok("why --config kordon.toml --running 2001:db8:2:64::203.0.113.10")?;
    for word in ["DROPPED", "nat64", "203.0.113.10", "Test Office"] {
        if !why.contains(word) {
            return Err(format!("`kordon why` does not say `{word}`:\n{why}"));
        }
    }
    for word in ["hidden=203.0.113.10", "reason=embedded"] {
        if !wait_until(PATIENCE, || daemon.log().contains(word)) {
            return Err(format!("the log does not say `{word}`:\n{}", daemon.log()));
        }
    }
    Ok(())
}

pub(super) fn redirecting_headers(bench: &Bench<'_>) -> Res {
    // Otherwise the kernel itself refuses what carries a source route.
    source_routes("1")?;
    let outcome = redirecting(bench);
    source_routes("0")?;
    outcome
}

fn source_routes(accept: &str) -> Res {
    ["all", "cam0", "wan1"].iter().try_for_each(|interface| {
        let path = format!("/proc/sys/net/ipv4/conf/{interface}/accept_source_route");
        std::fs::write(&path, accept).map_err(|error| format!("{path}: {error}"))
    })
}

fn redirecting(bench: &Bench<'_>) -> Res {
    let mut capture = Capture::start(Place::Out1)?;
    let datagram = |mark: &Mark| udp_between(4000, 5000, mark);
    let options = |name: &str, passes, options: &[u8]| {
        Probe::new(name, passes, ALLOWED, |mark| {
            raw::v4(CAMERA, ALLOWED, UDP, options, &datagram(mark))
        })
    };
    let routing = |name: &str, passes, kind: u8| {
        Probe::new(name, passes, ALLOWED6, |mark| {
            let header = [UDP, 0, kind, 0, 0, 0, 0, 0];
            raw::v6(CAMERA6, ALLOWED6, ROUTING, &[&header, &datagram(mark)[..]].concat())
        })
    };
    let probes = [
        // All hops done: the pointer stands behind the route.
        options("loose source route", false, &[131, 7, 8, 198, 51, 100, 10, 0])?,
        options("record route", true, &[7, 7, 8, 198, 51, 100, 10, 0])?,
        routing("routing header 0", false, 0)?,
        routing("routing header 2", false, 2)?,
        routing("routing header 4", false, 4)?,
        routing("routing header 9", false, 9)?,
    ];
    seen(bench, &mut capture, &probes, true)?;
    let site = bench.site()?;
    let daemon = site.start()?;
    seen(bench, &mut capture, &probes, false)?;
    expect("redirected", dropped(&daemon, "redirected")?, 5)
}

/// What keys and ciphertext look like.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// A WireGuard initiation: type 1, three zero bytes, a sender, a key (below 2^255), 148 bytes in all.
fn wireguard(mark: &Mark) -> Vec<u8> {
    let mut message = [vec![1, 0, 0, 0], noise(144)].concat();
    message[39] &= 0x7f;
    message[100..108].copy_from_slice(mark);
    message
}

/// OpenVPN's first packet of a client without tls-auth; the mark is its session.
fn openvpn(mark: &Mark) -> Vec<u8> {
    [&[0x38][..], mark, &[0], &[0; 4]].concat()
}

/// A packet of each of seven tunnels, and two that only look like one.
fn tunnels(passes: bool) -> Res<Vec<Probe>> {
    let packet = |protocol, payload: &[u8]| raw::v4(CAMERA, ALLOWED, protocol, &[], payload);
    let over_udp = |to, payload: &[u8]| packet(UDP, &udp_between(4321, to, payload));
    let carried = |mark: &Mark| raw::v4(CAMERA, ALLOWED, UDP, &[], &udp_between(4000, 5000, mark));
    let mut probes = vec![
        Probe::new("IPv4 in IPv4", passes, ALLOWED, |mark| packet(4, &carried(mark)?))?,
        Probe::new("IPv6 in IPv4", passes, ALLOWED, |mark| {
            packet(41, &raw::v6(CAMERA6, ALLOWED6, UDP, &udp_between(4000, 5000, mark))?)
        })?,
        Probe::new("GRE", passes, ALLOWED, |mark| {
            packet(GRE, &[&[0, 0, 8, 0], &carried(mark)?[..]].concat())
        })?,
        Probe::new("ESP", passes, ALLOWED, |mark| {
            packet(50, &[&[0, 0, 1, 0, 0, 0, 0, 1], &mark[..]].concat())
        })?,
        Probe::new("VXLAN", passes, ALLOWED, |mark| {
            let ethernet = [&[2; 12][..], &[8, 0], &carried(mark)?].concat();
            over_udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0], &ethernet[..]].concat())
        })?,
        Probe::new("WireGuard", passes, ALLOWED, |mark| over_udp(33_333, &wireguard(mark)))?,
    ];
    probes.push(Probe::new("OpenVPN", passes, ALLOWED, |mark| over_udp(44_444, &openvpn(mark)))?);
    // What looks like one of them, and is not.
    probes.push(Probe::new("a datagram of the length of WireGuard's", true, ALLOWED, |mark| {
        let mut message = wireguard(mark);
        message[1] = 1;
        over_udp(33_334, &message)
    })?);
    probes.push(Probe::new("RTP on VXLAN's port", true, ALLOWED, |mark| {
        over_udp(4789, &[&[0x80, 0x60, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9], &mark[..]].concat())
    })?);
    Ok(probes)
}

pub(super) fn tunnels_are_dropped(bench: &Bench<'_>) -> Res {
    let mut capture = Capture::start(Place::Out1)?;
    let probes = tunnels(false)?;
    seen(bench, &mut capture, &probes, true)?;
    let site = bench.site()?;
    let daemon = site.start()?;
    seen(bench, &mut capture, &probes, false)?;
    expect("tunnels", dropped(&daemon, "tunnel")?, 7)?;
    for tunnel in ["ipip", "6in4", "gre", "esp", "vxlan", "wireguard", "openvpn"] {
        let labels = [("tunnel", tunnel), ("answer", "dropped")];
        expect(tunnel, daemon.metrics()?.get("kordon_tunnel_packets_total", &labels)?, 1)?;
    }
    Ok(())
}

/// `inspect` lets a tunnel through where what it carries may go, and `accept` wherever it leads; both are counted.
pub(super) fn tunnels_are_inspected(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.more.push_str(
        "\n[tunnels]\ngre = \"inspect\"\nvxlan = \"inspect\"\nipip = \"inspect\"\nwireguard = \"accept\"\n",
    );
    let site = Site::new(setup)?;
    let mut capture = Capture::start(Place::Out1)?;
    let carried = |to, mark: &Mark| raw::v4(CAMERA, to, UDP, &[], &udp_between(4000, 5000, mark));
    let packet = |protocol, payload: &[u8]| raw::v4(CAMERA, ALLOWED, protocol, &[], payload);
    let gre = |inner: &[u8]| packet(GRE, &[&[0, 0, 8, 0], inner].concat());
    let vxlan = |inner: &[u8]| {
        let frame = [&[8, 0, 0, 0, 0, 0, 1, 0], &[2; 12][..], &[8, 0], inner].concat();
        packet(UDP, &udp_between(4321, 4789, &frame))
    };
    let of = |name: &str, passes, make: &dyn Fn(&Mark) -> Res<Vec<u8>>| {
        Probe::new(name, passes, ALLOWED, |mark| make(mark))
    };
    let probes = [
        of("GRE to an unlisted address", true, &|mark| gre(&carried(ALLOWED, mark)?))?,
        of("GRE to a blocked address", false, &|mark| gre(&carried(BLOCKED, mark)?))?,
        of("GRE to an exempt address", true, &|mark| gre(&carried(EXEMPT, mark)?))?,
        of("VXLAN to a blocked address", false, &|mark| vxlan(&carried(BLOCKED, mark)?))?,
        of("VXLAN to an unlisted address", true, &|mark| vxlan(&carried(ALLOWED, mark)?))?,
        of("IPv4 in GRE in IPv4 to a blocked address", false, &|mark| {
            let inner = raw::v4(
                CAMERA,
                ALLOWED,
                GRE,
                &[],
                &[&[0, 0, 8, 0], &carried(BLOCKED, mark)?[..]].concat(),
            )?;
            packet(4, &inner)
        })?,
        of("GRE that carries ESP", false, &|mark| {
            let esp = [&[0, 0, 1, 0, 0, 0, 0, 1], &mark[..]].concat();
            gre(&raw::v4(CAMERA, ALLOWED, 50, &[], &esp)?)
        })?,
        of("GRE that carries what nobody can read", false, &|mark| {
            packet(GRE, &[&[0, 0, 0x88, 0x99], &mark[..]].concat())
        })?,
        of("WireGuard", true, &|mark| packet(UDP, &udp_between(4321, 33_333, &wireguard(mark))))?,
    ];
    seen(bench, &mut capture, &probes, true)?;
    let daemon = site.start()?;
    seen(bench, &mut capture, &probes, false)?;
    expect("tunnel_inside", dropped(&daemon, "tunnel_inside")?, 4)?;
    expect("tunnel_unreadable", dropped(&daemon, "tunnel_unreadable")?, 1)?;
    let passed = [("tunnel", "wireguard"), ("answer", "passed")];
    expect("wireguard", daemon.metrics()?.get("kordon_tunnel_packets_total", &passed)?, 1)?;
    match wait_until(PATIENCE, || daemon.log().contains("passed, a tunnel that may")) {
        true => Ok(()),
        false => Err(format!("the log does not tell of the tunnel that passed:\n{}", daemon.log())),
    }
}

/// A first fragment that ends before its ports do is dropped, because it could hide a tunnel; one that has them passes.
pub(super) fn cut_headers(bench: &Bench<'_>) -> Res {
    let mut capture = Capture::start(Place::Out1)?;
    // Too short for a mark: the first eight bytes of the header, with an identification of its own, stay as they are.
    let fragment = |name: &str, passes, length: usize, identification: [u8; 2]| -> Res<Probe> {
        let datagram = udp_between(4000, 5000, &[0x5a; 120]);
        let cut = datagram.get(..length).unwrap_or(&datagram);
        let mut packet = raw::v4(CAMERA, ALLOWED, UDP, &[], cut)?;
        packet[4..6].copy_from_slice(&identification);
        packet[6] = 0x20;
        let mark: Mark = packet[..8].try_into().map_err(|_| "eight bytes")?;
        Ok(Probe { name: name.to_owned(), to: ALLOWED, packet, mark, passes })
    };
    let probes = [
        fragment("a first fragment without its ports", false, 4, [0xbe, 1])?,
        fragment("a first fragment with its ports", true, 96, [0xbe, 2])?,
    ];
    seen(bench, &mut capture, &probes, true)?;
    let site = bench.site()?;
    let daemon = site.start()?;
    seen(bench, &mut capture, &probes, false)?;
    expect("payload_hidden", dropped(&daemon, "payload_hidden")?, 1)
}
