//! AS numbers and countries of one list to prefixes: what the tables say, what is held though they no longer say
//! it, what was shipped.
//!
//! Invariants: nobody's prefixes vanish in silence. What the tables withdraw stays for the list's `hold_down`; an
//! AS number or country that had prefixes and has none now keeps its last ones, and so do the shipped AS numbers
//! theirs, with a warning; one that never had any is refused.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use ipnet::IpNet;

use super::Entry;
use super::errors::ListErrors;
use super::list::ListFile;
use super::origin::{Held, Holder, Memory, OriginPrefix, OriginTable};
use super::place::{Place, shown};
use super::prefix::guard;
use super::shipped;
use super::sources::Sources;
use crate::config::{Day, Group, ListConfig, OriginConfig};

/// How many AS numbers or countries a warning names.
const NAMED: usize = 5;

/// Something on a line that has to be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) holder: Holder,
    /// Its line and column, from 1.
    pub(super) line: u32,
    pub(super) column: u32,
    /// The line names a group that it belongs to.
    pub(super) of_group: bool,
}

/// What a list file names that has to be resolved, in the order of the file, each once; a group is its AS numbers.
/// A group that there is not is added to `errors`.
pub(super) fn lines_of(
    file: &ListFile,
    path: &Path,
    groups: &[Group],
    errors: &mut ListErrors,
) -> Vec<Line> {
    let asns = file.asns.iter().map(|named| (Holder::Asn(named.what), named.line, named.column));
    let countries =
        file.countries.iter().map(|named| (Holder::Country(named.what), named.line, named.column));
    let mut lines: Vec<Line> = asns
        .chain(countries)
        .map(|(holder, line, column)| Line { holder, line, column, of_group: false })
        .collect();
    for named in &file.groups {
        let (line, column) = (named.line, named.column);
        match groups.iter().find(|group| group.name == named.what) {
            Some(group) => lines.extend(group.asns.iter().map(|asn| Line {
                holder: Holder::Asn(*asn),
                line,
                column,
                of_group: true,
            })),
            None => {
                let known: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
                errors.refuse(
                    Place::at(path, line, column),
                    format_args!(
                        "there is no group {}: add a [[group]] (there are: {})",
                        shown(&named.what),
                        known.join(", ")
                    ),
                );
            }
        }
    }
    lines.sort_by_key(|line| (line.line, line.column));
    let mut seen = HashSet::with_capacity(lines.len());
    lines.retain(|line| seen.insert(line.holder));
    lines
}

/// An entry that stays although no table, or too few of them, say it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawn {
    /// The prefix.
    pub prefix: IpNet,
    /// The line of the list, from 1.
    pub line: u32,
    /// When the tables last said it, in seconds since 1970; for what was shipped, the date of that data.
    pub seen: u64,
}

/// What the lines of a list resolve to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) entries: Vec<Entry>,
    pub(super) withdrawn: Vec<Withdrawn>,
    pub(super) warnings: Vec<String>,
}

/// What it takes to resolve the lines of one list.
pub(super) struct Resolve<'a> {
    pub(super) list: &'a ListConfig,
    pub(super) origins: &'a [OriginConfig],
    pub(super) table: &'a OriginTable,
    pub(super) memory: &'a Memory,
}

impl Resolve<'_> {
    /// Resolves the lines of the list; what cannot be is added to `errors`.
    pub(super) fn lines(&self, lines: &[Line], errors: &mut ListErrors) -> Resolved {
        let mut resolved = Resolved::default();
        // Where they come from, then how many prefixes each has.
        let mut kept: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        // Of groups, those that have no prefix, and the lines of which some member has one.
        let (mut silent, mut spoken): (Vec<&Line>, HashSet<u32>) = Default::default();
        for line in lines {
            let before = resolved.entries.len();
            let current = self.current(line, &mut resolved, errors);
            if !current.is_empty() {
                let hold_down = self.list.hold_down.as_secs();
                let held =
                    self.memory.withdrawn(line.holder, self.list.at_least, hold_down, &current);
                self.hold(line, &held, &mut resolved, errors);
            } else if !self.keep(line, &mut kept, &mut resolved, errors) {
                silent.push(line);
            }
            if line.of_group && resolved.entries.len() > before {
                spoken.insert(line.line);
            }
        }
        resolved.warnings.extend(kept.iter().map(|(from, named)| self.warning(from, named)));
        // A sibling may announce nothing; that a whole organisation does not is a mistake.
        let (quiet, wrong): (Vec<&Line>, Vec<&Line>) =
            silent.into_iter().partition(|line| spoken.contains(&line.line));
        for line in wrong {
            let place = Place::at(&self.list.path, line.line, line.column);
            errors.refuse(place, self.unknown(line));
        }
        if !quiet.is_empty() {
            let named: Vec<String> = quiet.iter().map(|line| line.holder.to_string()).collect();
            let text = named_in_short(&named);
            let name = &self.list.name;
            resolved.warnings.push(format!("list {name}: of its groups, without a prefix: {text}"));
        }
        resolved
    }

    /// Takes what somebody had who has nothing now; false if there was never anything.
    fn keep(
        &self,
        line: &Line,
        kept: &mut BTreeMap<&'static str, Vec<String>>,
        resolved: &mut Resolved,
        errors: &mut ListErrors,
    ) -> bool {
        let last = self.memory.last(line.holder, self.list.at_least);
        let (from, held) = match line.holder {
            Holder::Asn(asn) if last.is_empty() => (SHIPPED, shipped::prefixes_of(asn)),
            Holder::Asn(_) | Holder::Country(_) => (EARLIER, last),
        };
        let Some(first) = held.first() else { return false };
        let seen = Day::of_unix(first.seen).map_or(String::new(), |day| format!(" of {day}"));
        let text = format!("{} ({} prefixes{seen})", line.holder, held.len());
        kept.entry(from).or_default().push(text);
        self.hold(line, &held, resolved, errors);
        true
    }

    /// Takes what enough tables say now.
    fn current(&self, line: &Line, resolved: &mut Resolved, errors: &mut ListErrors) -> Vec<IpNet> {
        let mut current = Vec::new();
        let enough = |found: &&OriginPrefix| found.sources.count() >= u32::from(self.list.at_least);
        for found in self.table.held_by(line.holder).iter().filter(enough) {
            current.push(found.prefix);
            let from = || {
                let name = self.origins.get(found.source).map_or("", |o| o.name.as_str());
                match found.line {
                    0 => format!("origin {name}"),
                    row => format!("origin {name}, line {row}"),
                }
            };
            self.entry(line, found.prefix, found.sources, &from, resolved, errors);
        }
        current
    }

    /// Takes what is held.
    fn hold(&self, line: &Line, held: &[Held], resolved: &mut Resolved, errors: &mut ListErrors) {
        for Held { prefix, seen } in held.iter().copied() {
            let from = || "earlier".to_owned();
            self.entry(line, prefix, Sources::NONE, &from, resolved, errors);
            resolved.withdrawn.push(Withdrawn { prefix, line: line.line, seen });
        }
    }

    fn entry(
        &self,
        line: &Line,
        prefix: IpNet,
        sources: Sources,
        from: &dyn Fn() -> String,
        resolved: &mut Resolved,
        errors: &mut ListErrors,
    ) {
        let origin = match line.holder {
            Holder::Asn(asn) => Some(asn),
            Holder::Country(_) => None,
        };
        match guard(prefix, self.list.allow_wide) {
            Ok(()) => resolved.entries.push(Entry { prefix, line: line.line, origin, sources }),
            Err(refusal) => errors.refuse(
                Place::at(&self.list.path, line.line, line.column),
                format_args!("{} resolves to {prefix} ({}), which {refusal}", line.holder, from()),
            ),
        }
    }

    fn unknown(&self, line: &Line) -> String {
        let (holder, at_least) = (line.holder, self.list.at_least);
        let names: Vec<&str> = self.origins.iter().map(|o| o.name.as_str()).collect();
        let names = names.join(", ");
        match (self.table.held_by(holder).len(), holder) {
            (0, Holder::Asn(_)) => {
                format!("{holder} resolves to no prefix in any origin table (origin: {names})")
            }
            (0, Holder::Country(_)) => format!(
                "{holder} resolves to no prefix in any origin table (origin: {names}): only tables in the \
                 formats iptoasn and delegated name countries"
            ),
            (some, _) => format!(
                "{holder} has {some} prefixes in the origin tables ({names}), but none that at least \
                 {at_least} of them give to it (at_least = {at_least})"
            ),
        }
    }

    fn warning(&self, from: &str, named: &[String]) -> String {
        let text = named_in_short(named);
        format!(
            "list {}: no longer in the origin tables, {from}: {text}; look at the tables",
            self.list.name
        )
    }
}

/// The first few of them.
fn named_in_short(named: &[String]) -> String {
    let mut text = named.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = named.len().checked_sub(NAMED) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Where prefixes come from that no table says.
const EARLIER: &str = "so what they said last stays";
const SHIPPED: &str = "so what is shipped with kordon is used";
