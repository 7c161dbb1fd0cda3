//! A list file to its entries, whatever the format and kind: the one way by which list files are read.
//!
//! Invariants: a file without an entry, with more entries than [`MAX_ENTRIES`], or with another number of them
//! than it says itself is refused; wrong entries are left out only up to `max_rejected`, those that a guard
//! refuses never; memory is about 24 bytes for each entry and what the remarks may hold.

use std::collections::HashSet;
use std::path::Path;

use ipnet::IpNet;

use super::asn::{RESERVED, reserved};
use super::contained::contained;
use super::errors::ListErrors;
use super::format::delegated::disagree;
use super::format::{self, Found, Item, ListGuess, Metadata, Subject};
use super::lines::Lines;
use super::list::{ListFile, MAX_ENTRIES, Named, PrefixLine, Reading};
use super::place::{Flaw, Place};
use super::prefix::guard;
use super::rejected::KEPT;
use crate::config::ListFormat;
use crate::failure::{ExitStatus, Failure};

/// The same, with what is wrong added to `errors`; the list is worth something only if nothing was.
pub(super) fn gather(path: &Path, reading: &Reading, errors: &mut ListErrors) -> ListFile {
    let work = || settle(path, reading).and_then(|guess| read(path, reading, guess, errors));
    match contained(path, work) {
        Ok(list) => list,
        Err(failure) => {
            errors.absorb(failure);
            ListFile::new(reading.format)
        }
    }
}

/// Finds the format out if it is not given, and whether it is one of the kind.
fn settle(path: &Path, reading: &Reading) -> Result<Option<ListGuess>, Failure> {
    let refuse = |text: String| {
        let message = format!("{}: {text}", Place::file(path));
        Err(Failure::new(ExitStatus::BadData, message))
    };
    if reading.format != ListFormat::Auto {
        return match format::serves(reading.format, reading.kind) {
            true => Ok(None),
            false => refuse(format!(
                "format = \"{}\" is no format of a list with kind = \"{}\"",
                reading.format,
                reading.kind.label()
            )),
        };
    }
    let guess = format::sniff_list(path, Some(reading.kind))?;
    match format::serves(guess.format, reading.kind) {
        true => Ok(Some(guess)),
        false => refuse(format!(
            "looks like {} ({}), which is no list with kind = \"{}\"; if the guess is wrong, set format",
            format::in_words(guess.format),
            guess.why,
            reading.kind.label()
        )),
    }
}

fn read(
    path: &Path,
    reading: &Reading,
    guess: Option<ListGuess>,
    errors: &mut ListErrors,
) -> Result<ListFile, Failure> {
    let format = guess.as_ref().map_or(reading.format, |guess| guess.format);
    let mut gather = Gather {
        path,
        allow_wide: reading.allow_wide,
        list: ListFile::new(format),
        faults: Vec::new(),
        guarded: 0,
        groups: HashSet::new(),
        seen: 0,
        full: false,
    };
    let mut parser = format::parser(format, reading.kind);
    let mut lines = Lines::open(path)?;
    gather.list.packing = lines.packing();
    while let Some((number, line)) = lines.next_or_flaw()? {
        match line {
            Ok(line) => parser.line(number, line, &mut |found| gather.take(found)),
            Err(flaw) => gather.take(Found::Wrong(number, flaw)),
        }
        if gather.full {
            let message = format!("more than {MAX_ENTRIES} entries in one list");
            let message = format!("{}: {message}", Place::at(path, number, 1));
            return Err(Failure::new(ExitStatus::BadData, message));
        }
    }
    let metadata = parser.end(&mut |found| gather.take(found));
    gather.list.unterminated = !lines.is_terminated();
    gather.list.guess = guess;
    Ok(gather.end(metadata, reading.max_rejected, errors))
}

/// What is wrong, in the order of the file.
struct Fault {
    text: String,
    guard: bool,
}

struct Gather<'p> {
    path: &'p Path,
    allow_wide: bool,
    list: ListFile,
    /// The first of each sort.
    faults: Vec<Fault>,
    guarded: usize,
    /// The names of groups so far.
    groups: HashSet<String>,
    /// Entries, right or wrong, as the file counts them.
    seen: u64,
    full: bool,
}

impl Gather<'_> {
    fn take(&mut self, found: Found<'_>) {
        match found {
            Found::Item(item) => {
                self.seen += 1;
                let line = item.line;
                if let Err(fault) = self.item(item) {
                    match fault {
                        Refused::Wrong(flaw) => self.wrong(line, &flaw),
                        Refused::Guard(flaw) => self.guard(line, &flaw),
                    }
                }
            }
            Found::Wrong(line, flaw) => {
                self.seen += 1;
                self.wrong(line, &flaw);
            }
            Found::Guard(line, flaw) => self.guard(line, &flaw),
        }
    }

    fn wrong(&mut self, line: u32, flaw: &Flaw) {
        let text = || format!("{}: {flaw}", flaw.place(self.path, line));
        if self.list.rejected.first.len() < KEPT {
            self.faults.push(Fault { text: text(), guard: false });
        }
        self.list.rejected.add(text);
    }

    fn guard(&mut self, line: u32, flaw: &Flaw) {
        if self.guarded < ListErrors::KEPT {
            let text = format!("{}: {flaw}", flaw.place(self.path, line));
            self.faults.push(Fault { text, guard: true });
        }
        self.guarded += 1;
    }

    fn item(&mut self, item: Item<'_>) -> Result<(), Refused> {
        let Item { subject, line, column, remark, masked } = item;
        let offset = column.saturating_sub(1);
        match subject {
            Subject::Prefix(prefix) => self.prefix(prefix, line, offset)?,
            Subject::Range(range) => {
                for prefix in range.prefixes() {
                    self.prefix(prefix, line, offset)?;
                }
            }
            Subject::Asn(asn) => self.asn(asn, line, column)?,
            Subject::Asns(first, count) => {
                let last = first.saturating_add(count.saturating_sub(1));
                if let Some(asn) = RESERVED.into_iter().find(|r| (first..=last).contains(r)) {
                    self.asn(asn, line, column)?;
                }
                for asn in first..=last {
                    self.asn(asn, line, column)?;
                    if self.full {
                        break;
                    }
                }
            }
            Subject::Group(name) if self.groups.contains(name) => self.list.duplicates += 1,
            Subject::Group(name) => {
                if self.has_room() {
                    self.groups.insert(name.to_owned());
                    self.list.groups.push(Named { what: name.to_owned(), line, column });
                }
            }
            Subject::Country(what) => {
                if self.has_room() {
                    self.list.countries.push(Named { what, line, column });
                }
            }
        }
        self.list.masked += usize::from(masked);
        if !remark.is_empty() {
            self.list.remarks.add(line, &remark);
        }
        Ok(())
    }

    fn prefix(&mut self, prefix: IpNet, line: u32, offset: u32) -> Result<(), Refused> {
        guard(prefix, self.allow_wide)
            .map_err(|refusal| Refused::Guard(Flaw::new(offset, format!("{prefix} {refusal}"))))?;
        if self.has_room() {
            self.list.prefixes.push(PrefixLine { prefix, line });
        }
        Ok(())
    }

    fn asn(&mut self, asn: u32, line: u32, column: u32) -> Result<(), Refused> {
        if let Some(why) = reserved(asn) {
            let flaw = Flaw::new(column.saturating_sub(1), format!("AS{asn} is {why}"));
            return Err(Refused::Wrong(flaw));
        }
        if self.has_room() {
            self.list.asns.push(Named { what: asn, line, column });
        }
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        self.full |= self.list.len() >= MAX_ENTRIES;
        !self.full
    }

    fn end(mut self, metadata: Metadata, max_rejected: u32, errors: &mut ListErrors) -> ListFile {
        if let Some(declared) = metadata.declared
            && declared.number != self.seen
        {
            self.guard(declared.line, &disagree(declared, self.seen));
        }
        let list = &mut self.list;
        list.duplicates += once(&mut list.prefixes, |e| e.prefix, |e| (e.line, e.prefix));
        list.duplicates += once(&mut list.asns, |e| e.what, |e| (e.line, e.column, e.what));
        list.duplicates += once(&mut list.countries, |e| e.what, |e| (e.line, e.column, e.what));
        list.remarks.shrink();
        list.metadata = metadata;
        // Where nothing is left, what is wrong says why.
        let nothing = list.is_empty() && list.rejected.total > 0;
        let too_many = list.rejected.total > u64::from(max_rejected) || nothing;
        if too_many || self.guarded > 0 {
            let of_wrong = if too_many { list.rejected.total as usize } else { 0 };
            let said = self.faults.iter().filter(|fault| too_many || fault.guard);
            errors.refuse_all(said.map(|fault| fault.text.as_str()), of_wrong + self.guarded);
            if nothing && max_rejected > 0 {
                errors
                    .refuse(Place::file(self.path), "no entry is right: an empty list is refused");
            } else if too_many && max_rejected > 0 {
                let message = format!(
                    "{} entries are wrong, more than max_rejected = {max_rejected}",
                    list.rejected.total
                );
                errors.refuse(Place::file(self.path), message);
            }
        } else if list.is_empty() {
            errors.refuse(Place::file(self.path), "no entries: an empty list is refused");
        }
        self.list
    }
}

enum Refused {
    Wrong(Flaw),
    Guard(Flaw),
}

/// Keeps the first of equal entries, in the order of the file; says how many went.
fn once<T, K: Ord, P: Ord>(
    entries: &mut Vec<T>,
    key: impl Fn(&T) -> K,
    place: impl Fn(&T) -> P,
) -> usize {
    let before = entries.len();
    if entries.is_sorted_by(|a, b| key(a) < key(b)) {
        return 0;
    }
    entries.sort_unstable_by_key(|e| (key(e), place(e)));
    entries.dedup_by(|b, a| key(a) == key(b));
    entries.sort_unstable_by_key(place);
    entries.shrink_to_fit();
    before - entries.len()
}
