//! Probes as Ethernet frames: what a camera puts on the wire, tags and all, and what comes out again.
//!
//! A probe carries its stream's number and its own, as in the lab's ledger: no two are alike.

use std::net::IpAddr;

use crate::lab::raw::{checksum, udp};

/// The gateway's network cards.
pub(crate) const LAN: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
pub(crate) const WAN: [u8; 6] = [2, 0, 0, 0, 0, 0x20];
/// Who sends on the trunk. The next hop on the way out has 02:00:00:00:00:02.
const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];

const MAGIC: &[u8; 8] = b"KRDPROBE";
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TAG: u16 = 0x8100;
const UDP: u8 = 17;

/// Which way a probe goes: the tags on its frame (VLAN numbers, outermost first), from, to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) tags: Vec<u16>,
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
}

/// The frame of one probe.
pub(crate) fn frame(way: &Way, stream: u32, number: u32) -> Vec<u8> {
    let mut payload = MAGIC.to_vec();
    payload.extend(stream.to_be_bytes());
    payload.extend(number.to_be_bytes());
    let mut frame = [LAN, SENDER].concat();
    for tag in &way.tags {
        frame.extend(TAG.to_be_bytes());
        frame.extend(tag.to_be_bytes());
    }
    match (way.from, way.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let udp = udp(&payload);
            let length = 20 + udp.len() as u16;
            let mut header = vec![0x45, 0];
            header.extend(length.to_be_bytes());
            header.extend([0, 0, 0, 0, 64, UDP, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(&[&header]).to_be_bytes();
            header[10..12].copy_from_slice(&sum);
            frame.extend(IPV4.to_be_bytes());
            frame.extend(header);
            frame.extend(udp);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut udp = udp(&payload);
            let length = (udp.len() as u16).to_be_bytes();
            let pseudo = [&from.octets()[..], &to.octets(), &length, &[0, UDP]];
            let sum = checksum(&[&pseudo.concat(), &udp]).to_be_bytes();
            udp[6..8].copy_from_slice(&sum);
            frame.extend(IPV6.to_be_bytes());
            frame.extend([0x60, 0, 0, 0]);
            frame.extend(length);
            frame.extend([UDP, 64]);
            frame.extend(from.octets());
            frame.extend(to.octets());
            frame.extend(udp);
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
    }
    frame
}

/// Stream and number of the probe in a frame, if it is one.
pub(crate) fn probe(frame: &[u8]) -> Option<(u32, u32)> {
    let at = frame.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    let (stream, rest) = frame.get(at + MAGIC.len()..)?.split_first_chunk::<4>()?;
    let (number, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*stream), u32::from_be_bytes(*number)))
}
