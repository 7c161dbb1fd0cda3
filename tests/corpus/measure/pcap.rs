//! Reads and writes pcap files of bare IP packets (LINKTYPE_RAW, 101), little-endian, microseconds.

use std::path::Path;

const MAGIC: u32 = 0xa1b2_c3d4;
const RAW: u32 = 101;
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

/// One recorded packet.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    /// When it was recorded, in seconds since 1970, and the microseconds of that second.
    pub(crate) seconds: u32,
    /// The same.
    pub(crate) micros: u32,
    /// Its length before it was cut.
    pub(crate) length: u32,
    /// Its first bytes, from the IP header on.
    pub(crate) bytes: Vec<u8>,
}

/// All packets of a file.
///
/// # Panics
/// If the file cannot be read, is no such file, or ends within a packet.
pub(crate) fn read(path: &Path) -> Vec<Packet> {
    let data = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let number = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
    assert_eq!((number(0), number(20)), (MAGIC, RAW), "{}: not such a pcap file", path.display());
    let mut packets = Vec::new();
    let mut at = FILE_HEADER;
    while at < data.len() {
        let begin = at + PACKET_HEADER;
        let end = begin + number(at + 8) as usize;
        packets.push(Packet {
            seconds: number(at),
            micros: number(at + 4),
            length: number(at + 12),
            bytes: data[begin..end].to_vec(),
        });
        at = end;
    }
    packets
}

/// Writes packets, each cut at `snap` bytes.
///
/// # Panics
/// If the file cannot be written.
#[allow(dead_code, reason = "only one of the two programs that share this file writes")]
pub(crate) fn write(path: &Path, packets: &[&Packet], snap: usize) {
    let mut data = Vec::new();
    for number in [MAGIC, 4 << 16 | 2, 0, 0, snap as u32, RAW] {
        data.extend(number.to_le_bytes());
    }
    for packet in packets {
        let kept = &packet.bytes[..packet.bytes.len().min(snap)];
        for number in [packet.seconds, packet.micros, kept.len() as u32, packet.length] {
            data.extend(number.to_le_bytes());
        }
        data.extend(kept);
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, data).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
