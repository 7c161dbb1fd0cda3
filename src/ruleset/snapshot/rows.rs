//! Entries to bytes and back, each as what differs from the one before: a full table takes 5 bytes an entry instead of 20.
//! What is written after each reload is what packets may have to wait for. Reading is total.
//!
//! A row begins with a byte whose lower five bits say how many bytes of the address are those of the row before; its upper
//! bits say that list, origin and sources are, too. Then come the prefix length, the rest of the address as far as
//! the prefix reaches, the line as a difference, and those of list, origin and sources that are not as before.

use super::bytes::{Reader, Writer};
use crate::ruleset::entries::{Bits, Entry};

const SHARED: u8 = 0x1f;
const SAME_LIST: u8 = 0x20;
const SAME_ORIGIN: u8 = 0x40;
const SAME_SOURCES: u8 = 0x80;

/// The row before the first one.
fn nothing<B: Bits>() -> Entry<B> {
    Entry { bits: B::default(), line: 0, origin: 0, list: 0, length: 0, sources: 0 }
}

/// The address at the upper end of the number.
fn upper<B: Bits>(bits: B) -> u128 {
    bits.number() << (128 - u32::from(B::LENGTH))
}

/// How many bytes a prefix of this length reaches into.
fn reaches(length: u8) -> u32 {
    u32::from(length).div_ceil(8)
}

/// The first bytes of a number, as many as this.
fn first(number: u128, bytes: u32) -> u128 {
    number & !u128::MAX.checked_shr(8 * bytes).unwrap_or(0)
}

/// Writes sorted entries and their number.
pub(super) fn put<'a, B: Bits + 'a>(
    body: &mut Writer,
    rows: impl Iterator<Item = &'a Entry<B>> + Clone,
) {
    body.number(rows.clone().count() as u64);
    let mut before = nothing::<B>();
    for row in rows {
        put_one(body, &before, row);
        before = *row;
    }
}

fn put_one<B: Bits>(body: &mut Writer, before: &Entry<B>, row: &Entry<B>) {
    let (address, end) = (upper(row.bits), reaches(row.length));
    let shared = ((address ^ upper(before.bits)).leading_zeros() / 8).min(end);
    let same = |same: bool, flag: u8| if same { flag } else { 0 };
    let flags = same(row.list == before.list, SAME_LIST)
        | same(row.origin == before.origin, SAME_ORIGIN)
        | same(row.sources == before.sources, SAME_SOURCES);
    body.0.extend_from_slice(&[flags | shared as u8, row.length]);
    let rest = shared as usize..end as usize;
    body.0.extend_from_slice(address.to_be_bytes().get(rest).unwrap_or_default());
    body.difference(before.line, row.line);
    if flags & SAME_LIST == 0 {
        body.0.extend_from_slice(&row.list.to_le_bytes());
    }
    if flags & SAME_ORIGIN == 0 {
        body.0.extend_from_slice(&row.origin.to_le_bytes());
    }
    if flags & SAME_SOURCES == 0 {
        body.0.push(row.sources);
    }
}

/// Entries of lists below `lists`, canonical and in order; `None` if they are not.
pub(super) fn take<B: Bits>(reader: &mut Reader<'_>, lists: usize) -> Option<Vec<Entry<B>>> {
    let count = reader.count()?;
    let mut rows: Vec<Entry<B>> = Vec::with_capacity(count);
    let mut before = nothing::<B>();
    for number in 0..count {
        let row = take_one(reader, &before)?;
        let canonical = row.bits.masked(row.length) == row.bits && usize::from(row.list) < lists;
        let ordered = number == 0 || before.key() < row.key();
        if !(canonical && ordered) {
            return None;
        }
        rows.push(row);
        before = row;
    }
    Some(rows)
}

fn take_one<B: Bits>(reader: &mut Reader<'_>, before: &Entry<B>) -> Option<Entry<B>> {
    let (flags, length) = (reader.byte()?, reader.byte()?);
    let (shared, end) = (u32::from(flags & SHARED), reaches(length));
    if length > B::LENGTH || shared > end {
        return None;
    }
    let mut address = first(upper(before.bits), shared);
    for (place, byte) in (shared..end).zip(reader.take((end - shared) as usize)?) {
        address |= u128::from(*byte) << (120 - 8 * place);
    }
    let line = reader.difference(before.line)?;
    let list = match flags & SAME_LIST {
        0 => u16::from_le_bytes(*reader.take(2)?.first_chunk()?),
        _ => before.list,
    };
    let origin = match flags & SAME_ORIGIN {
        0 => u32::from_le_bytes(*reader.take(4)?.first_chunk()?),
        _ => before.origin,
    };
    let sources = match flags & SAME_SOURCES {
        0 => reader.byte()?,
        _ => before.sources,
    };
    let bits = B::of_number(address >> (128 - u32::from(B::LENGTH)));
    Some(Entry { bits, line, origin, list, length, sources })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows<B: Bits + std::fmt::Debug>() -> impl Strategy<Value = Vec<Entry<B>>> {
        let number =
            prop_oneof![any::<u128>(), any::<u16>().prop_map(|low| u128::from(low) << 100)];
        let line = prop_oneof![0..9_u32, any::<u32>()];
        let origin = prop_oneof![0..2_u32, any::<u32>()];
        let row = (number, line, origin, 0..300_u16, 0..=B::LENGTH, 0..3_u8);
        let entry = |(number, line, origin, list, length, sources): (u128, _, _, _, _, _)| {
            let bits = B::of_number(number >> (128 - u32::from(B::LENGTH))).masked(length);
            Entry { bits, line, origin, list, length, sources }
        };
        proptest::collection::vec(row.prop_map(entry), 0..60).prop_map(|mut rows| {
            rows.sort_unstable_by_key(Entry::key);
            rows.dedup_by_key(|row| row.key());
            rows
        })
    }

    fn bytes<B: Bits>(rows: &[Entry<B>]) -> Vec<u8> {
        let mut body = Writer::default();
        put(&mut body, rows.iter());
        body.0
    }

    fn all<B: Bits>(row: &Entry<B>) -> (u128, u32, u32, u16, u8, u8) {
        (row.bits.number(), row.line, row.origin, row.list, row.length, row.sources)
    }

    fn come_back<B: Bits>(rows: &[Entry<B>]) -> Result<(), TestCaseError> {
        let bytes = bytes(rows);
        let mut reader = Reader(&bytes);
        let read = take::<B>(&mut reader, 300).expect("what was written can be read");
        prop_assert!(reader.0.is_empty());
        prop_assert!(read.iter().map(all).eq(rows.iter().map(all)));
        for end in 0..bytes.len() {
            prop_assert!(take::<B>(&mut Reader(&bytes[..end]), 300).is_none(), "cut at {end}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn entries_come_back_as_they_were(v4 in rows::<u32>(), v6 in rows::<u128>()) {
            come_back(&v4)?;
            come_back(&v6)?;
        }

        #[test]
        fn any_bytes_give_an_answer_and_only_entries_that_are_canonical_and_in_order(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0..20_u64,
        ) {
            let bytes = [&count.to_le_bytes()[..], &bytes].concat();
            if let Some(rows) = take::<u128>(&mut Reader(&bytes), 7) {
                prop_assert!(rows.is_sorted_by(|one, next| one.key() < next.key()));
                prop_assert!(rows.iter().all(|row| row.list < 7 && row.bits.masked(row.length) == row.bits));
            }
        }
    }

    #[test]
    fn neighbours_of_one_list_take_five_bytes() {
        let row =
            |n: u32| Entry { bits: n << 8, line: n, origin: 0, list: 0, length: 24, sources: 0 };
        let rows: Vec<Entry<u32>> = (0x000a_0000..0x000a_1000).map(row).collect();
        assert!(bytes(&rows).len() < 5 * rows.len(), "{}", bytes(&rows).len());
    }
}
