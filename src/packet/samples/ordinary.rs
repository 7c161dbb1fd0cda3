//! What cameras send: messages of ordinary protocols, those that begin a little like a tunnel's among them.

use super::tunnels::{Message, RANDOM, noise};

/// The message number `n`, from 1 on, of each protocol.
pub(crate) fn ordinary(n: u32) -> Vec<Message> {
    let mut all = media(n);
    all.extend(questions(n));
    all.extend(streams(n));
    all
}

fn be16(number: u32) -> [u8; 2] {
    (number as u16).to_be_bytes()
}

/// A protocol's name, and parts of its message.
fn udp(name: &str, parts: &[&[u8]]) -> Message {
    Message::udp(name, RANDOM, parts.concat())
}

fn media(n: u32) -> Vec<Message> {
    let time = (0x1234_0000 + n * 3_000).to_be_bytes();
    let source = [0xde, 0xad, 0xbe, 0xef];
    let number = n.to_be_bytes();
    let rtp = [&[0x80, 0xe0], &be16(n)[..], &time, &source, &noise(n.into(), 1000)].concat();
    let relayed = [&[0x40, 0, 0x03, 0xf4], &rtp[..]].concat();
    let sender = [&[0x80, 0xc8, 0, 6], &source[..], &noise(n.into(), 8), &time, &[0; 8]].concat();
    let sealed = noise(u64::from(n) + 7, 400);
    let acknowledged = [time, source, number, [0, 0, 0x9c, 0x40], [0, 0, 1, 0], [0, 0, 0x20, 0]];
    vec![
        udp("rtp", &[&rtp]),
        udp("rtp by turn", &[&relayed]),
        udp("rtcp", &[&sender]),
        udp("mpeg-ts", &[&[0x47, 1, 0, 0x10 | (n as u8 & 15)], &noise(n.into(), 1312)]),
        udp("srt data", &[&number, &[0xe0, 0, 0, 1], &time, &source, &sealed]),
        udp("srt acknowledgement", &[&[0x80, 2, 0, 0], &number, &acknowledged.concat()]),
        udp("srt acknowledgement of it", &[&[0x80, 6, 0, 0], &number, &time, &source, &[0; 4]]),
        udp(
            "kcp",
            &[
                &[0x44, 0x33, 0x22, 0x11, 81, 0, 0x80, 0],
                &time,
                &n.to_le_bytes(),
                &[0; 4],
                &[0x90, 1, 0, 0],
                &sealed,
            ],
        ),
        udp("quic initial", &[&[0xc3, 0, 0, 0, 1, 8], &noise(3, 8), &[0, 0], &sealed, &sealed]),
        udp("quic of 54", &[&[0x40], &noise(3, 8), &noise(n.into(), 45)]),
        udp("quic of 26", &[&[0x40], &noise(3, 8), &noise(n.into(), 17)]),
        udp("quic of 400", &[&[0x50], &noise(3, 8), &noise(n.into(), 391)]),
        udp("dtls", &[&[0x17, 0xfe, 0xfd, 0, 1, 0, 0], &number, &[1, 0x90], &sealed]),
        udp("counted words", &[b"CAM0", &number, b"{\"frame\": \"abcdefghijklmnopqrst\"}  "]),
        udp("counted numbers", &[&[4, 0, 0, 0], &[7, 0, 0, 0], &n.to_le_bytes(), &[0; 36]]),
    ]
}

fn questions(n: u32) -> Vec<Message> {
    let question = b"\x07relay-1\x07example\x00\x00\x01\x00\x01";
    let mut all = Vec::new();
    // Identifiers that look like a type of WireGuard, an opcode of OpenVPN, a version of GTP.
    for identifier in [0x0100, 0x0200, 0x0400, 0x3800, 0x4000, 0x5000, 0x30ff, 0x0800, 0xc802] {
        for flags in [[1, 0], [0, 0]] {
            let id = be16(identifier);
            all.push(udp("dns", &[&id, &flags, &[0, 1, 0, 0, 0, 0, 0, 0], question]));
        }
    }
    // As long as an initiation of WireGuard.
    let long = [&[63], &[b'a'; 63][..], &[61], &[b'b'; 61], &[0, 0, 1, 0, 1, 0, 0, 0, 0, 0]];
    let long = long.concat();
    all.push(udp("dns of 148", &[&[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], &long]));
    let transaction = noise(n.into(), 12);
    let cookie = [0x21, 0x12, 0xa4, 0x42];
    let attributes =
        [&[0, 6, 0, 9][..], b"abcd:efgh\0\0\0", &[0x80, 0x28, 0, 4, 1, 2, 3, 4]].concat();
    all.extend([
        udp("stun", &[&[0, 1, 0, 24], &cookie, &transaction, &attributes]),
        udp("stun answer", &[&[1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42], &transaction, &[0; 12]]),
        udp("ntp", &[&[0x23, 0, 6, 0xec], &[0; 36], &noise(n.into(), 8)]),
        udp("tftp", &[&[0, 3], &be16(n), &noise(n.into(), 512)]),
        udp("coap", &[&[0x40, 1], &be16(n), b"\xb4live"]),
        udp(
            "snmp",
            &[&[0x30, 0x29, 2, 1, 1, 4, 6], b"public", &[0xa0, 0x1c, 2, 4], &noise(n.into(), 28)],
        ),
        udp("sip", &[b"OPTIONS sip:nvr@example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10\r\n\r\n"]),
        udp("ssdp", &[b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n"]),
        udp("multicast dns", &[&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0], question]),
        udp("radius", &[&[4, n as u8, 0, 60], &noise(n.into(), 56)]),
        udp("one byte", &[&[0xff]]),
        udp("nothing", &[]),
    ]);
    all
}

fn streams(n: u32) -> Vec<Message> {
    let sealed = noise(n.into(), 300);
    vec![
        Message::tcp("rtsp", b"OPTIONS rtsp://nvr.example/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec()),
        Message::tcp("rtp in rtsp", [&[0x24, 0, 1, 0x2c], &sealed[..]].concat()),
        Message::tcp("tls", [&[0x16, 3, 1, 1, 0x27, 1, 0, 1, 0x23, 3, 3], &sealed[..289]].concat()),
        Message::tcp("http", b"POST /onvif/events HTTP/1.1\r\nHost: nvr\r\n\r\n".to_vec()),
        Message::tcp("dns in tcp", [&[0, 44, 0x38, 0, 1, 0, 0, 1], &[0; 38][..]].concat()),
        Message::tcp("length and noise", [&[1, 0x2c], &sealed[..]].concat()),
        Message::tcp("nothing", Vec::new()),
        Message::ip("icmp", 1, vec![8, 0, 0, 0, 0, 1, 0, 1, 9, 9, 9, 9]),
        Message::ip("ospf", 89, vec![2; 44]),
        Message::ip("vrrp", 112, vec![0x31; 20]),
    ]
}
