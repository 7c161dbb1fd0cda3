//! A digest over bytes, the same in every version and on every machine: it stands in files.

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

    /// Whoever makes this test fail changes what stands in snapshots: count their layout up.
    #[test]
    fn digest_is_the_one_that_stands_in_files() {
        let text = b"203.0.113.0/24 AS64500, longer than a block";
        let found: Vec<u64> = [0, 1, 8, 32, 33, 43].map(|n| digest(&text[..n])).into();
        assert_eq!(
            found,
            [
                0xc70d_906c_eec3_7c05,
                0x4518_fe85_6e02_05ca,
                0x03d4_9391_cf98_f1f6,
                0xc1b0_3985_4f78_0c63,
                0x258d_1e19_cb5e_ea85,
                0x748c_2df6_fb90_728c,
            ]
        );
    }

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
    }
}
