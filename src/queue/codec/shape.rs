//! Reading packets that look like those before: the attributes of nearly all messages of a queue have the same lengths and
//! stand in the same places.
//!
//! The first bytes of a message are compared with those of an earlier one, values left out; where they are the same, so
//! are the places of the values. Whatever differs is walked, attribute by attribute. The answer is the same either way.

use super::{
    ATTRIBUTE, Attributes, GENERIC, Incoming, Message, NFQA_CAP_LEN, NFQA_HWADDR,
    NFQA_IFINDEX_INDEV, NFQA_MARK, NFQA_PACKET_HDR, NFQA_PAYLOAD, NFQA_SKB_INFO, PACKET, Packet,
    SKB_GSO, aligned, chunk_at, u16_be, u32_be,
};
use crate::config::Mac;

/// Bytes that are compared: the kernel's attributes before the payload take fewer, with a hardware address, a mark and a
/// time stamp.
const WINDOW: usize = 96;

/// What messages of one kind have in common.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// The first bytes of their bodies, and which bits of them count.
    like: [u8; WINDOW],
    counts: [u8; WINDOW],
    /// Where the values stand; 0: there is none.
    header: usize,
    interface: usize,
    mac: usize,
    mark: usize,
    info: usize,
    cap_length: usize,
    payload: usize,
}

/// The kinds of messages that came last: two, for those that were cut and those that were not.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    known: [Option<Shape>; 2],
    /// The one that is forgotten next.
    older: usize,
}

impl Shapes {
    /// Reads one message.
    #[inline]
    pub(crate) fn read(&mut self, message: &Message<'_>) -> Incoming {
        if message.kind == PACKET && message.whole {
            for (place, shape) in self.known.iter().enumerate() {
                if let Some(packet) = shape.as_ref().and_then(|shape| shape.read(message)) {
                    self.older = 1 - place;
                    return Incoming::Packet(packet);
                }
            }
        }
        self.learn(message)
    }

    #[cold]
    fn learn(&mut self, message: &Message<'_>) -> Incoming {
        let incoming = super::read(message);
        if let Incoming::Packet(packet) = incoming
            && packet.whole
            && let Some(shape) = Shape::of(message)
            && let Some(place) = self.known.get_mut(self.older)
        {
            *place = Some(shape);
            self.older = 1 - self.older;
        }
        incoming
    }
}

impl Shape {
    /// The shape of a whole packet message, if it can be told by its first bytes.
    fn of(message: &Message<'_>) -> Option<Shape> {
        let mut shape = Shape {
            like: *message.body.first_chunk()?,
            counts: [0; WINDOW],
            header: 0,
            interface: 0,
            mac: 0,
            mark: 0,
            info: 0,
            cap_length: 0,
            payload: 0,
        };
        for attribute in (Attributes { bytes: message.body, at: GENERIC }) {
            let (at, length) = (attribute.start, attribute.value.len());
            let place = match (attribute.kind, length) {
                (NFQA_PACKET_HDR, 7..) => &mut shape.header,
                (NFQA_IFINDEX_INDEV, 4..) => &mut shape.interface,
                (NFQA_HWADDR, 10..) if u16_be(attribute.value, 0) == Some(6) => &mut shape.mac,
                (NFQA_MARK, 4..) => &mut shape.mark,
                (NFQA_SKB_INFO, 4..) => &mut shape.info,
                (NFQA_CAP_LEN, 4..) => &mut shape.cap_length,
                (NFQA_PAYLOAD, _) => &mut shape.payload,
                (
                    NFQA_PACKET_HDR | NFQA_IFINDEX_INDEV | NFQA_HWADDR | NFQA_MARK | NFQA_SKB_INFO
                    | NFQA_CAP_LEN,
                    _,
                ) => return None,
                (_, _) => &mut 0,
            };
            *place = at;
            // Of the payload the kind counts; how long it is, is looked at each time.
            let counts = match attribute.kind {
                NFQA_PAYLOAD => at - ATTRIBUTE + 2..at,
                NFQA_HWADDR => at - ATTRIBUTE..at + 2,
                _ => at - ATTRIBUTE..at,
            };
            shape.counts.get_mut(counts)?.fill(0xff);
            if attribute.kind == NFQA_PAYLOAD {
                return (shape.header != 0).then_some(shape);
            }
        }
        None
    }

    /// A whole message of this shape; `None` for any other.
    #[inline]
    fn read(&self, message: &Message<'_>) -> Option<Packet> {
        let body = message.body;
        let first: &[u8; WINDOW] = body.first_chunk()?;
        let pairs = first.iter().zip(&self.like).zip(&self.counts);
        let differ =
            pairs.fold(0, |differ, ((byte, like), counts)| differ | (byte ^ like) & counts);
        // The payload is the last attribute, and all of it is there, with its padding at most behind it.
        let length = u16::from_ne_bytes(chunk_at(body, self.payload - ATTRIBUTE)?);
        let copied = usize::from(length).checked_sub(ATTRIBUTE)?;
        let left = body.len().checked_sub(self.payload + copied)?;
        if differ != 0 || left > aligned(copied) - copied {
            return None;
        }
        let number = |at: usize| if at == 0 { None } else { u32_be(first, at) };
        let mac = match self.mac {
            0 => None,
            at => chunk_at(first, at + 4).map(Mac),
        };
        Some(Packet {
            id: u32_be(first, self.header)?,
            hw_protocol: u16_be(first, self.header + 4)?,
            hook: *first.get(self.header + 6)?,
            mark: number(self.mark).unwrap_or(0),
            interface: number(self.interface).unwrap_or(0),
            mac,
            start: message.start + self.payload,
            copied,
            length: number(self.cap_length).unwrap_or(copied as u32),
            aggregate: number(self.info).unwrap_or(0) & SKB_GSO != 0,
            whole: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Messages, made};
    use super::*;
    use proptest::prelude::*;

    fn message(bytes: &[u8]) -> Message<'_> {
        Messages::from(bytes, 0).next().unwrap().unwrap()
    }

    /// The message with a hardware address of this length behind its first attribute.
    fn with_address(mut bytes: Vec<u8>, length: u8, address: [u8; 8]) -> Vec<u8> {
        let attribute = [&[16, 0, 9, 0, 0, length, 0, 0][..], &address].concat();
        bytes.splice(32..32, attribute);
        let whole = bytes.len() as u32;
        bytes[..4].copy_from_slice(&whole.to_ne_bytes());
        bytes
    }

    proptest! {
        /// Messages that are alike, of two kinds and with bytes changed, read one after the other.
        #[test]
        fn what_is_read_by_its_shape_is_what_a_walk_reads(
            messages in proptest::collection::vec(
                (
                    any::<u32>(), prop_oneof![Just(0), any::<u32>()],
                    proptest::collection::vec(any::<u8>(), 0..140), any::<Option<u32>>(),
                    prop_oneof![
                        3 => Just(None),
                        1 => (0..90_usize, any::<u8>()).prop_map(Some),
                    ],
                    prop_oneof![3 => Just(0), 1 => 0..30_usize],
                    proptest::option::of((prop_oneof![4 => Just(6), 1 => 0..9_u8], any::<[u8; 8]>())),
                    prop_oneof![3 => Just(0), 1 => 0..6_usize],
                ),
                1..30,
            ),
        ) {
            let mut shapes = Shapes::default();
            for (id, mark, payload, cap, changed, cut, address, more) in messages {
                let mut bytes = made::packet(id, mark, &payload, cap);
                if let Some((length, address)) = address {
                    bytes = with_address(bytes, length, address);
                }
                // What the message says is in it, behind the last attribute.
                bytes.resize(bytes.len() + more, 0);
                let whole = bytes.len() as u32;
                bytes[..4].copy_from_slice(&whole.to_ne_bytes());
                if let Some((at, to)) = changed && at >= 16 && let Some(byte) = bytes.get_mut(at) {
                    *byte = to;
                }
                bytes.truncate(bytes.len() - cut.min(bytes.len() - 16));
                let message = message(&bytes);
                prop_assert_eq!(shapes.read(&message), super::super::read(&message));
            }
        }
    }

    #[test]
    fn messages_alike_are_read_by_their_shape() {
        let mut shapes = Shapes::default();
        for id in 0..4 {
            for cap in [Some(1_400), None] {
                let bytes = made::packet(id, 7, &[0x45; 64 + 2], cap);
                let bytes = with_address(bytes, 6, [1, 2, 3, 4, 5, id as u8, 0, 0]);
                let message = message(&bytes);
                let known =
                    shapes.known.iter().flatten().any(|shape| shape.read(&message).is_some());
                assert_eq!(known, id > 0, "{id} {cap:?}");
                let Incoming::Packet(packet) = shapes.read(&message) else { panic!("no packet") };
                assert_eq!(packet.mac, Some(Mac([1, 2, 3, 4, 5, id as u8])));
            }
        }
    }
}
