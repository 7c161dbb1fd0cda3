//! Front tables: exact answers for whole blocks of addresses, so that most look-ups never reach a trie.
//!
//! A trie is a chain of loads, each of which waits for the one before; a front table is two or three that do
//! not keep the processor from beginning the next packet's. It holds no answer that the trie would not give:
//! where prefixes are listed that are longer than its blocks, it says [`Brief::ASK`].

use super::precedence::Slot;

/// A [`Slot`] in 16 bits, or the number of a page that knows more, or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Brief(u16);

/// Set in an answer, over two bits of the action's code and 13 of the list; not set in a page's number.
const ANSWER: u16 = 0x8000;
const CODE_SHIFT: u32 = 13;
const LIST: u16 = 0x1fff;

impl Brief {
    /// With so many lists each of them has room in an answer.
    pub(super) const LISTS: usize = LIST as usize;
    /// Nothing is listed.
    pub(super) const NONE: Brief = Brief(ANSWER);
    /// The trie knows. In the place of an answer of list 8191.
    pub(super) const ASK: Brief = Brief(u16::MAX);

    /// The answer, or [`ASK`](Self::ASK) if its list does not fit.
    pub(super) fn of(slot: Slot) -> Brief {
        match slot.code_and_list() {
            (0, _) => Brief::NONE,
            (code @ 1..=3, list @ 0..LIST) => Brief(ANSWER | (code as u16) << CODE_SHIFT | list),
            (_, _) => Brief::ASK,
        }
    }

    /// A page, or [`ASK`](Self::ASK) if its number does not fit.
    pub(super) fn page(number: usize) -> Brief {
        match u16::try_from(number) {
            Ok(number @ 0..ANSWER) => Brief(number),
            Ok(_) | Err(_) => Brief::ASK,
        }
    }

    /// The page, if this is one.
    #[inline]
    pub(super) fn as_page(self) -> Option<usize> {
        (self.0 & ANSWER == 0).then_some(usize::from(self.0))
    }

    /// The answer; of no meaning for [`ASK`](Self::ASK) or a page.
    #[inline]
    pub(super) fn slot(self) -> Slot {
        Slot::from_code_and_list(u32::from(self.0 >> CODE_SHIFT & 3), self.0 & LIST)
    }

    #[inline]
    pub(super) fn bits(self) -> u16 {
        self.0
    }

    #[inline]
    pub(super) fn from_bits(bits: u16) -> Brief {
        Brief(bits)
    }
}

/// Blocks on a page: one for each value of eight bits.
const PAGE: usize = 256;

/// Pages of 256 blocks, 512 bytes each.
pub(super) struct Pages(Vec<Brief>);

impl Pages {
    pub(super) fn with_room(pages: usize) -> Self {
        Pages(Vec::with_capacity(pages * PAGE))
    }

    /// A new page on which every block says the same; returns its number.
    pub(super) fn add(&mut self, all: Brief) -> usize {
        self.0.resize(self.0.len() + PAGE, all);
        self.0.len() / PAGE - 1
    }

    #[inline]
    pub(super) fn get(&self, page: usize, block: u8) -> Brief {
        self.0.get(page * PAGE + usize::from(block)).copied().unwrap_or(Brief::ASK)
    }

    /// Writes 2 to the power of `bits` blocks, from `first` on.
    pub(super) fn fill(&mut self, page: usize, first: u8, bits: u8, brief: Brief) {
        fill(&mut self.0, page * PAGE + usize::from(first), bits, brief);
    }
}

/// Writes 2 to the power of `bits` places, from `first` on.
pub(super) fn fill<T: Copy>(places: &mut [T], first: usize, bits: u8, value: T) {
    if let Some(places) = places.get_mut(first..first + (1 << bits)) {
        places.fill(value);
    }
}

/// How many different values there are among neighbours: all, where they are sorted.
pub(super) fn count_distinct<T: PartialEq>(sorted: impl Iterator<Item = T>) -> usize {
    let (mut count, mut last) = (0, None);
    for value in sorted {
        if last.as_ref() != Some(&value) {
            count += 1;
            last = Some(value);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brief_gives_back_what_fits_and_asks_for_the_rest() {
        for code in 0..=3 {
            for list in [0, 1, 8190, 8191, 8192, u16::MAX] {
                let slot = Slot::from_code_and_list(code, list);
                let brief = Brief::of(slot);
                assert_eq!(brief.as_page(), None);
                match (code, list) {
                    (0, _) => assert_eq!(brief.slot(), Slot::NONE),
                    (_, ..=8190) => assert_eq!((brief != Brief::ASK, brief.slot()), (true, slot)),
                    (_, _) => assert_eq!(brief, Brief::ASK),
                }
            }
        }
    }

    #[test]
    fn page_that_does_not_fit_asks_the_trie() {
        assert_eq!(Brief::page(0).as_page(), Some(0));
        assert_eq!(Brief::page(0x7fff).as_page(), Some(0x7fff));
        assert_eq!(Brief::page(0x8000), Brief::ASK);
        assert_eq!(Brief::page(0x1_0000), Brief::ASK);
        assert_eq!(Brief::ASK.as_page(), None);
        assert_eq!(Brief::NONE.as_page(), None);
    }

    #[test]
    fn filling_beyond_the_last_page_changes_nothing() {
        let mut pages = Pages::with_room(1);
        assert_eq!(pages.add(Brief::NONE), 0);
        pages.fill(0, 0, 8, Brief::ASK);
        pages.fill(1, 0, 8, Brief::NONE);
        assert_eq!(pages.get(0, 255), Brief::ASK);
        assert_eq!(pages.get(1, 0), Brief::ASK);
    }
}
