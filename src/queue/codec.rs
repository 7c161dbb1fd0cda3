//! Netlink bytes to messages of the NFQUEUE subsystem, and back.
//!
//! Reading is total: any bytes give an answer, every walk ends, nothing is indexed by a length that the
//! bytes themselves claim. Each step of a walk moves forward by at least one header. Netlink's own
//! headers are in host byte order, what nfnetlink puts inside them in network order.
//!
//! Sources: include/uapi/linux/netlink.h, include/uapi/linux/netfilter/nfnetlink.h and
//! nfnetlink_queue.h, net/netfilter/nfnetlink_queue.c; RFC 3549 for the message layout.

mod shape;
mod write;

pub(super) use shape::Shapes;
pub(super) use write::*;

use crate::config::Mac;

/// Bytes of a netlink message header (`struct nlmsghdr`).
const HEADER: usize = 16;
/// Bytes of nfnetlink's header behind it (`struct nfgenmsg`).
const GENERIC: usize = 4;
/// Bytes of an attribute's header (`struct nlattr`).
const ATTRIBUTE: usize = 4;

/// `NLMSG_NOOP`.
const NOOP: u16 = 1;
/// `NLMSG_ERROR`: an acknowledgement (errno 0) or an error reply.
const ERROR: u16 = 2;
/// `NLMSG_DONE`.
const DONE: u16 = 3;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
const ACK: u16 = 4;

/// `NFNL_SUBSYS_QUEUE` in the upper byte of a message type.
const QUEUE: u16 = 3 << 8;
/// `NFQNL_MSG_PACKET`: kernel to us.
pub(super) const PACKET: u16 = QUEUE;
/// `NFQNL_MSG_VERDICT`.
pub(super) const VERDICT: u16 = QUEUE | 1;
/// `NFQNL_MSG_CONFIG`.
pub(super) const CONFIG: u16 = QUEUE | 2;
/// `NFQNL_MSG_VERDICT_BATCH`.
pub(super) const VERDICT_BATCH: u16 = QUEUE | 3;

/// Attributes of a packet and of a verdict (`enum nfqnl_attr_type`).
const NFQA_PACKET_HDR: u16 = 1;
const NFQA_VERDICT_HDR: u16 = 2;
const NFQA_MARK: u16 = 3;
const NFQA_IFINDEX_INDEV: u16 = 5;
const NFQA_HWADDR: u16 = 9;
const NFQA_PAYLOAD: u16 = 10;
const NFQA_CAP_LEN: u16 = 13;
const NFQA_SKB_INFO: u16 = 14;
/// `NFQA_SKB_GSO` in `NFQA_SKB_INFO`.
const SKB_GSO: u32 = 2;

/// Attributes of a configuration (`enum nfqnl_attr_config`).
const NFQA_CFG_CMD: u16 = 1;
const NFQA_CFG_PARAMS: u16 = 2;
const NFQA_CFG_QUEUE_MAXLEN: u16 = 3;
const NFQA_CFG_MASK: u16 = 4;
const NFQA_CFG_FLAGS: u16 = 5;
/// `NFQNL_CFG_CMD_BIND`.
const CMD_BIND: u8 = 1;
/// `NFQNL_CFG_CMD_UNBIND`.
const CMD_UNBIND: u8 = 2;
/// `NFQNL_COPY_PACKET`.
const COPY_PACKET: u8 = 2;
/// `NFQA_CFG_F_FAIL_OPEN`.
const FAIL_OPEN: u32 = 1;
/// `NFQA_CFG_F_GSO`.
const GSO: u32 = 4;

/// `NF_DROP` and `NF_ACCEPT` (include/uapi/linux/netfilter.h).
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;

/// One netlink message of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// `nlmsg_type`.
    pub(super) kind: u16,
    /// `nlmsg_seq`.
    pub(super) sequence: u32,
    /// What follows the header, as far as the datagram has it.
    pub(super) body: &'a [u8],
    /// Where `body` starts in the datagram, in bytes.
    pub(super) start: usize,
    /// The datagram holds all that the header promises.
    pub(super) whole: bool,
}

/// What is left of the datagram is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The messages of a datagram, in order; one [`Malformed`] at most, and then the end.
#[derive(Debug, Clone)]
pub(super) struct Messages<'a> {
    datagram: &'a [u8],
    at: usize,
}

impl<'a> Messages<'a> {
    /// The messages from byte `at` on: 0, or what [`at`](Self::at) said earlier.
    pub(super) fn from(datagram: &'a [u8], at: usize) -> Self {
        Messages { datagram, at }
    }

    /// Where the next message starts, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.datagram.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return None;
        }
        let header = rest.first_chunk::<HEADER>();
        let Some([a, b, c, d, e, f, _, _, g, h, i, j, ..]) = header else {
            self.at = self.datagram.len();
            return Some(Err(Malformed));
        };
        let kind = u16::from_ne_bytes([*e, *f]);
        let sequence = u32::from_ne_bytes([*g, *h, *i, *j]);
        let length = u32::from_ne_bytes([*a, *b, *c, *d]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length < HEADER {
            self.at = self.datagram.len();
            return Some(Err(Malformed));
        }
        let end = length.min(rest.len());
        let message = Message {
            kind,
            sequence,
            body: rest.get(HEADER..end).unwrap_or_default(),
            start: self.at + HEADER,
            whole: length <= rest.len(),
        };
        // The last message of a datagram may lack its padding.
        self.at = self.at.saturating_add(aligned(end)).min(self.datagram.len());
        Some(Ok(message))
    }
}

/// What a message from the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A held packet.
    Packet(Packet),
    /// An acknowledgement (errno 0) or an error reply.
    Reply(Reply),
    /// A message without meaning for us: no operation, end of a dump, another subsystem.
    Other,
    /// A packet or a reply that cannot be read.
    Unreadable,
}

/// A held packet: its name, and where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet {
    /// The kernel's name for it in this queue.
    pub(super) id: u32,
    /// The link layer's protocol number (EtherType).
    pub(super) hw_protocol: u16,
    /// The netfilter hook that holds it.
    pub(super) hook: u8,
    /// The packet mark; the kernel leaves it out when it is 0.
    pub(super) mark: u32,
    /// The number of the interface that it came by; 0 where the kernel does not say.
    pub(super) interface: u32,
    /// The MAC address that it came from; the kernel leaves it out where there is no Ethernet header.
    pub(super) mac: Option<Mac>,
    /// Where the copied bytes start in the datagram, in bytes.
    pub(super) start: usize,
    /// How many bytes were copied.
    pub(super) copied: usize,
    /// The packet's length in bytes before the copy was cut (`NFQA_CAP_LEN`, left out when nothing was).
    pub(super) length: u32,
    /// The kernel flagged it as an aggregate.
    pub(super) aggregate: bool,
    /// Everything that the message promised was there.
    pub(super) whole: bool,
}

/// A reply to one of our messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply {
    /// The error number, positive; 0 acknowledges.
    pub(super) errno: i32,
    /// Our sequence number.
    pub(super) sequence: u32,
    /// The type of our message, where the kernel echoed it.
    pub(super) kind: Option<u16>,
}

/// Reads one message.
pub(super) fn read(message: &Message<'_>) -> Incoming {
    match message.kind {
        PACKET => packet(message).map_or(Incoming::Unreadable, Incoming::Packet),
        ERROR => reply(message).map_or(Incoming::Unreadable, Incoming::Reply),
        NOOP | DONE => Incoming::Other,
        _ => Incoming::Other,
    }
}

/// A packet message, if it names its packet.
fn packet(message: &Message<'_>) -> Option<Packet> {
    let mut id = None;
    let mut packet = Packet {
        id: 0,
        hw_protocol: 0,
        hook: 0,
        mark: 0,
        interface: 0,
        mac: None,
        start: message.start,
        copied: 0,
        length: 0,
        aggregate: false,
        whole: message.whole,
    };
    let mut cap_length = None;
    let mut attributes = Attributes { bytes: message.body, at: GENERIC };
    for attribute in attributes.by_ref() {
        packet.whole &= attribute.whole;
        match attribute.kind {
            NFQA_PACKET_HDR => {
                id = u32_be(attribute.value, 0);
                // Packed: packet_id, hw_protocol, hook, without padding.
                match (u16_be(attribute.value, 4), attribute.value.get(6)) {
                    (Some(protocol), Some(hook)) => {
                        packet.hw_protocol = protocol;
                        packet.hook = *hook;
                    }
                    (_, _) => packet.whole = false,
                }
            }
            NFQA_IFINDEX_INDEV => packet.interface = u32_be(attribute.value, 0).unwrap_or(0),
            // struct nfqnl_msg_packet_hw: length, padding, eight bytes of which the first six are Ethernet's.
            NFQA_HWADDR if u16_be(attribute.value, 0) == Some(6) => {
                let bytes = attribute.value.get(4..).and_then(|rest| rest.first_chunk::<6>());
                packet.mac = bytes.copied().map(Mac);
            }
            NFQA_MARK => packet.mark = u32_be(attribute.value, 0).unwrap_or(0),
            NFQA_CAP_LEN => cap_length = u32_be(attribute.value, 0),
            NFQA_SKB_INFO => {
                let info = u32_be(attribute.value, 0).unwrap_or(0);
                packet.aggregate = info & SKB_GSO != 0;
            }
            NFQA_PAYLOAD => {
                packet.start = message.start.saturating_add(attribute.start);
                packet.copied = attribute.value.len();
            }
            _ => {}
        }
    }
    packet.whole &= attributes.at >= attributes.bytes.len();
    packet.id = id?;
    packet.length = cap_length.unwrap_or(u32::try_from(packet.copied).unwrap_or(u32::MAX));
    Some(packet)
}

/// A reply, if it has an error number. The kernel echoes our header behind it.
fn reply(message: &Message<'_>) -> Option<Reply> {
    let errno = i32::from_ne_bytes(*message.body.first_chunk::<4>()?);
    Some(Reply {
        errno: errno.checked_abs().unwrap_or(i32::MAX),
        sequence: u32_at(message.body, 12).unwrap_or(message.sequence),
        kind: u16_at(message.body, 8),
    })
}

/// One attribute.
struct Attribute<'a> {
    kind: u16,
    value: &'a [u8],
    /// Where `value` starts in the walked bytes.
    start: usize,
    whole: bool,
}

/// Walks attributes; stops early (`at` short of the end) at a length below an attribute's header.
struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let [a, b, c, d] = *rest.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        // The two upper bits are flags: nested, network byte order.
        let kind = u16::from_ne_bytes([c, d]) & 0x3fff;
        if length < ATTRIBUTE {
            return None;
        }
        let end = length.min(rest.len());
        let attribute = Attribute {
            kind,
            value: rest.get(ATTRIBUTE..end).unwrap_or_default(),
            start: self.at + ATTRIBUTE,
            whole: length <= rest.len(),
        };
        self.at = (self.at + aligned(end)).min(self.bytes.len());
        Some(attribute)
    }
}

/// Messages and attributes start at multiples of 4 bytes.
const fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn chunk_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    chunk_at(bytes, at).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    chunk_at(bytes, at).map(u32::from_ne_bytes)
}

fn u16_be(bytes: &[u8], at: usize) -> Option<u16> {
    chunk_at(bytes, at).map(u16::from_be_bytes)
}

fn u32_be(bytes: &[u8], at: usize) -> Option<u32> {
    chunk_at(bytes, at).map(u32::from_be_bytes)
}

/// Messages as the kernel would send them, for the tests of this room.
#[cfg(test)]
pub(super) mod made {
    use super::*;

    /// A packet message.
    pub(crate) fn packet(id: u32, mark: u32, payload: &[u8], cap: Option<u32>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let start = begin(&mut bytes, PACKET, 0, 0, 40);
        let [a, b, c, d] = id.to_be_bytes();
        put_attribute(&mut bytes, NFQA_PACKET_HDR, &[a, b, c, d, 0x08, 0x00, 2]);
        put_attribute(&mut bytes, 5, &3u32.to_be_bytes());
        if mark != 0 {
            put_attribute(&mut bytes, NFQA_MARK, &mark.to_be_bytes());
        }
        put_attribute(&mut bytes, NFQA_SKB_INFO, &3u32.to_be_bytes());
        if let Some(cap) = cap {
            put_attribute(&mut bytes, NFQA_CAP_LEN, &cap.to_be_bytes());
        }
        put_attribute(&mut bytes, NFQA_PAYLOAD, payload);
        finish(&mut bytes, start);
        bytes
    }

    /// An error reply to a message of type `kind`.
    pub(crate) fn reply(errno: i32, kind: u16, sequence: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&36u32.to_ne_bytes());
        bytes.extend_from_slice(&ERROR.to_ne_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(-errno).to_ne_bytes());
        bytes.extend_from_slice(&32u32.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&[1, 0]);
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Walks everything; panics or hangs if the codec does.
    fn walk(bytes: &[u8]) -> Vec<Incoming> {
        let mut found = Vec::new();
        for message in Messages::from(bytes, 0) {
            let Ok(message) = message else { continue };
            let incoming = read(&message);
            if let Incoming::Packet(packet) = incoming {
                assert!(bytes.get(packet.start..packet.start + packet.copied).is_some());
            }
            found.push(incoming);
            assert!(found.len() <= bytes.len() / HEADER + 1, "the walk does not move forward");
        }
        found
    }

    fn good() -> Vec<u8> {
        made::packet(7, 0x0a00_abcd, &[0x45, 0, 0, 20, 1, 2, 3], Some(1400))
    }

    #[test]
    fn packet_message_is_read_whole() {
        let bytes = good();
        let [Incoming::Packet(packet)] = walk(&bytes)[..] else { panic!("no packet") };
        assert_eq!((packet.id, packet.hw_protocol, packet.hook), (7, 0x0800, 2));
        assert_eq!((packet.mark, packet.length, packet.aggregate), (0x0a00_abcd, 1400, true));
        assert_eq!(&bytes[packet.start..][..packet.copied], &[0x45, 0, 0, 20, 1, 2, 3]);
        assert!(packet.whole);
    }

    #[test]
    fn absent_mark_is_zero_and_absent_length_is_what_was_copied() {
        let [Incoming::Packet(packet)] = walk(&made::packet(1, 0, &[1, 2, 3], None))[..] else {
            panic!("no packet")
        };
        assert_eq!((packet.mark, packet.length), (0, 3));
    }

    #[test]
    fn every_truncation_keeps_the_id_once_it_is_there_and_is_never_whole() {
        let bytes = good();
        for length in 0..bytes.len() - 1 {
            let found = walk(&bytes[..length]);
            // 16 header, 4 generic, 4 attribute header, 4 id.
            if length < 28 {
                assert!(!found.iter().any(|i| matches!(i, Incoming::Packet(_))), "at {length}");
            } else {
                let [Incoming::Packet(packet)] = found[..] else { panic!("no packet at {length}") };
                assert_eq!(packet.id, 7);
                assert!(!packet.whole, "at {length}");
            }
        }
    }

    #[test]
    fn message_of_length_zero_or_below_a_header_ends_the_walk() {
        for length in 0u32..16 {
            let mut bytes = good();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            bytes.extend(good());
            let messages: Vec<_> = Messages::from(&bytes, 0).collect();
            assert_eq!(messages, [Err(Malformed)]);
        }
    }

    #[test]
    fn message_longer_than_the_datagram_is_not_whole() {
        for length in [good().len() as u32 + 1, 70_000, u32::MAX] {
            let mut bytes = good();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            let [Incoming::Packet(packet)] = walk(&bytes)[..] else { panic!("no packet") };
            assert_eq!((packet.id, packet.whole), (7, false));
        }
    }

    #[test]
    fn attribute_shorter_than_its_header_ends_the_walk() {
        for length in 0u16..4 {
            let mut bytes = good();
            // The second attribute, behind the 12 bytes of the packet header's.
            bytes[32..34].copy_from_slice(&length.to_ne_bytes());
            let [Incoming::Packet(packet)] = walk(&bytes)[..] else { panic!("no packet") };
            assert_eq!((packet.id, packet.copied, packet.whole), (7, 0, false));
            // The first: no id, so no packet.
            let mut bytes = good();
            bytes[20..22].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(walk(&bytes), [Incoming::Unreadable]);
        }
    }

    #[test]
    fn attribute_longer_than_its_message_is_cut_there() {
        let mut bytes = good();
        let payload = bytes.len() - 12;
        bytes[payload..payload + 2].copy_from_slice(&u16::MAX.to_ne_bytes());
        bytes.extend(made::packet(8, 0, &[9; 40], None));
        let [Incoming::Packet(first), Incoming::Packet(second)] = walk(&bytes)[..] else {
            panic!("not two packets")
        };
        assert_eq!((first.id, first.copied, first.whole), (7, 8, false));
        assert_eq!((second.id, second.copied, second.whole), (8, 40, true));
    }

    #[test]
    fn several_messages_in_one_datagram_are_read_in_order() {
        let mut bytes = good();
        bytes.extend(made::reply(2, VERDICT, 99));
        bytes.extend(made::packet(8, 0, &[1], None));
        let found = walk(&bytes);
        assert!(matches!(found[0], Incoming::Packet(Packet { id: 7, .. })));
        assert_eq!(
            found[1],
            Incoming::Reply(Reply { errno: 2, sequence: 99, kind: Some(VERDICT) })
        );
        assert!(matches!(found[2], Incoming::Packet(Packet { id: 8, whole: true, .. })));
    }

    #[test]
    fn other_types_are_neither_packets_nor_replies() {
        for kind in [0, NOOP, DONE, 4, VERDICT, CONFIG, VERDICT_BATCH, 0x0a00, u16::MAX] {
            let mut bytes = good();
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            assert_eq!(walk(&bytes), [Incoming::Other]);
        }
    }

    #[test]
    fn reply_without_echo_keeps_the_outer_sequence_number() {
        let mut bytes = made::reply(1, CONFIG, 5);
        bytes.truncate(20);
        bytes[..4].copy_from_slice(&20u32.to_ne_bytes());
        let expected = Reply { errno: 1, sequence: 5, kind: None };
        assert_eq!(walk(&bytes), [Incoming::Reply(expected)]);
        bytes.truncate(19);
        assert_eq!(walk(&bytes), [Incoming::Unreadable]);
    }

    #[test]
    fn smallest_error_number_does_not_overflow() {
        let mut bytes = made::reply(1, CONFIG, 5);
        bytes[16..20].copy_from_slice(&i32::MIN.to_ne_bytes());
        assert!(matches!(walk(&bytes)[..], [Incoming::Reply(Reply { errno: i32::MAX, .. })]));
    }

    #[test]
    fn configuration_is_one_message_with_everything() {
        let mut bytes = Vec::new();
        let asked = Configuration { copy_range: 128, max_length: 1024, fail_open: false };
        put_configuration(&mut bytes, 3, 40, &asked);
        let mut expected = Vec::new();
        expected.extend(64u32.to_ne_bytes());
        expected.extend(0x0302u16.to_ne_bytes());
        expected.extend(5u16.to_ne_bytes());
        expected.extend(3u32.to_ne_bytes());
        expected.extend([0, 0, 0, 0, 0, 0, 0, 40]);
        let mut attribute = |length: u16, kind: u16, value: &[u8]| {
            expected.extend(length.to_ne_bytes());
            expected.extend(kind.to_ne_bytes());
            expected.extend(value);
        };
        attribute(8, 1, &[1, 0, 0, 0]);
        attribute(9, 2, &[0, 0, 0, 128, 2, 0, 0, 0]);
        attribute(8, 3, &[0, 0, 4, 0]);
        attribute(8, 5, &[0, 0, 0, 4]);
        attribute(8, 4, &[0, 0, 0, 5]);
        assert_eq!(bytes, expected);
        bytes.clear();
        put_configuration(&mut bytes, 3, 40, &Configuration { fail_open: true, ..asked });
        assert_eq!(bytes[48..56].last_chunk::<4>(), Some(&[0, 0, 0, 5]));
    }

    #[test]
    fn verdicts_line_up_in_one_buffer() {
        let mut bytes = Vec::new();
        put_accept(&mut bytes, 40, 7, 0x1a00_abcd);
        put_drop(&mut bytes, 40, 8);
        put_drop_up_to(&mut bytes, 40, 6);
        let found: Vec<_> = Messages::from(&bytes, 0).map(Result::unwrap).collect();
        let kinds: Vec<_> = found.iter().map(|m| (m.kind, m.sequence, m.body.len())).collect();
        assert_eq!(kinds, [(VERDICT, 7, 24), (VERDICT, 8, 16), (VERDICT_BATCH, 6, 16)]);
        assert_eq!(&found[0].body[8..16], &[0, 0, 0, 1, 0, 0, 0, 7]);
        assert_eq!(&found[0].body[20..], &[0x1a, 0, 0xab, 0xcd]);
        assert_eq!(&found[1].body[8..16], &[0, 0, 0, 0, 0, 0, 0, 8]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            walk(&bytes);
        }

        #[test]
        fn any_damage_to_good_messages_is_survived(
            at in 0usize..120, value in any::<u8>(), cut in 0usize..120,
        ) {
            let mut bytes = good();
            bytes.extend(good());
            if let Some(byte) = bytes.get_mut(at) { *byte = value; }
            bytes.truncate(bytes.len().saturating_sub(cut));
            walk(&bytes);
        }
    }
}
