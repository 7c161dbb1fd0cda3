//! Numbers and texts to bytes and back, and a digest over bytes. Reading is total.

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

/// Independent sums, so that the processor works on four words at a time.
const LANES: usize = 4;
/// An odd number with bits all over (2 to the power of 64 divided by the golden ratio).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A digest against damage, not against forgery: whoever may write the file needs no trick.
///
/// Each step can be undone, in the sum as in the word. So bytes that differ within one aligned word of eight
/// never have the same digest, and others have it by a chance of one in 2 to the power of 64.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let mut lanes: [u64; LANES] = std::array::from_fn(|lane| lane as u64);
    let mut blocks = bytes.chunks_exact(8 * LANES);
    for block in &mut blocks {
        mix(&mut lanes, block);
    }
    let mut last = [0; 8 * LANES];
    last.iter_mut().zip(blocks.remainder()).for_each(|(to, from)| *to = *from);
    mix(&mut lanes, &last);
    lanes.into_iter().fold(bytes.len() as u64, step)
}

#[inline]
fn mix(lanes: &mut [u64; LANES], block: &[u8]) {
    for (lane, word) in lanes.iter_mut().zip(block.as_chunks().0) {
        *lane = step(*lane, u64::from_le_bytes(*word));
    }
}

#[inline]
fn step(sum: u64, word: u64) -> u64 {
    let product = (sum ^ word).wrapping_mul(FACTOR);
    product ^ (product >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_single_change_changes_the_digest(
            bytes in proptest::collection::vec(any::<u8>(), 1..200), at in any::<usize>(), by in 1u8..,
        ) {
            let mut other = bytes.clone();
            let at = at % bytes.len();
            other[at] ^= by;
            prop_assert_ne!(digest(&bytes), digest(&other));
            prop_assert_ne!(digest(&bytes), digest(&bytes[..at]));
            other = bytes.clone();
            other.push(0);
            prop_assert_ne!(digest(&bytes), digest(&other));
        }

        #[test]
        fn what_is_written_is_read(
            number in any::<u64>(), text in ".*",
        ) {
            let mut writer = Writer::default();
            writer.number(number);
            writer.text(text.as_bytes());
            let mut reader = Reader(&writer.0);
            prop_assert_eq!(reader.number(), Some(number));
            prop_assert_eq!(reader.text(), Some(text.as_bytes()));
            prop_assert!(reader.0.is_empty());
        }
    }
}
