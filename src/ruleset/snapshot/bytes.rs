//! Numbers and texts to bytes and back. Reading is total.

/// Collects bytes, numbers in little-endian order.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
    }

    /// A number as what it differs from another one: seven bits to a byte, the lowest first, signs folded in.
    pub(super) fn difference(&mut self, from: u32, to: u32) {
        let by = to.wrapping_sub(from) as i32;
        let mut left = (by << 1 ^ by >> 31) as u32;
        while left >= 0x80 {
            self.0.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.0.push(left as u8);
    }
}

/// Takes apart what a [`Writer`] wrote; `None` where the bytes end too early or make no sense.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// The number that differs by that from this one.
    pub(super) fn difference(&mut self, from: u32) -> Option<u32> {
        let mut folded = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            folded |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let by = (folded >> 1) as i32 ^ -((folded & 1) as i32);
                return Some(from.wrapping_add(by as u32));
            }
        }
        None
    }

    /// A number of things of which each takes at least a byte, so no more than there are bytes.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            number in any::<u64>(), text in ".*", from in any::<u32>(), to in any::<u32>(),
        ) {
            let mut writer = Writer::default();
            writer.number(number);
            writer.text(text.as_bytes());
            writer.difference(from, to);
            writer.difference(to, to.wrapping_add(1));
            let mut reader = Reader(&writer.0);
            prop_assert_eq!(reader.number(), Some(number));
            prop_assert_eq!(reader.text(), Some(text.as_bytes()));
            prop_assert_eq!(reader.difference(from), Some(to));
            prop_assert_eq!(reader.0.len(), 1, "a small difference takes a byte");
            prop_assert_eq!(reader.difference(to), Some(to.wrapping_add(1)));
            prop_assert!(reader.0.is_empty());
        }
    }
}
