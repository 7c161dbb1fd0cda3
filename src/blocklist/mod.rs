//! List files and origin tables to entries, each with its line and origin AS.
//!
//! Invariant: what is loaded is whole. One bad line, one missing file or one AS number without a prefix
//! refuses everything, with all places in one message; the caller keeps what was in force.

mod asn;
mod country;
mod errors;
mod lines;
mod origin;
mod place;
mod prefix;
mod rejected;
mod remarks;
mod sources;
mod token;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

pub use asn::{AsnLine, AsnList, parse_asn, read_asns};
pub use country::Country;
pub use errors::ListErrors;
pub use lines::MAX_LINE_BYTES;
pub use origin::{Guess, Holder, OriginDate, OriginPrefix, OriginTable, sniff_origin};
pub use place::{Flaw, Place};
pub use prefix::{
    PrefixLine, PrefixList, Refusal, WIDEST_IPV4, WIDEST_IPV6, guard, parse_prefix, read_prefixes,
};
pub use unpack::{MAX_FILE_BYTES, MAX_PACKED_BYTES, MAX_RATIO, Packing};

pub use rejected::Rejected;
pub use remarks::Remarks;
pub use sources::Sources;

use crate::config::{ListConfig, ListFormat, ListKind, OriginConfig};
use crate::failure::{ExitStatus, Failure};

/// A prefix that a list names, by itself or through an AS number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The prefix, canonical.
    pub prefix: IpNet,
    /// The line of the list file, from 1.
    pub line: u32,
    /// The AS number that the line names and that announces the prefix; `None` in a prefix list.
    pub origin: Option<u32>,
    /// The origin tables that say so; none in a prefix list.
    pub sources: Sources,
}

/// A list with all its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedList {
    /// Index of the list in the configuration.
    pub config: usize,
    /// The entries in the order of the file. Two AS numbers may announce the same prefix: then both are here.
    pub entries: Vec<Entry>,
    /// The format that it was read in.
    pub format: ListFormat,
    /// How many AS numbers the list names; 0 for a prefix list.
    pub asns: usize,
    /// What its lines say besides.
    pub remarks: Remarks,
    /// Lines that were left out.
    pub rejected: Rejected,
    /// The number that the file counts its versions by, where it has one.
    pub serial: Option<u64>,
    /// The time of the data by the file's own words, in seconds since 1970.
    pub dated: Option<u64>,
    /// Lines that repeat an earlier one.
    pub duplicates: usize,
    /// The last line has no line end: the file may be cut off.
    pub unterminated: bool,
}

/// All lists, and what the origin tables say about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The lists in the order of the configuration.
    pub lists: Vec<LoadedList>,
    /// The organisation of each AS number that some list names, where a table knows it.
    pub origin_names: BTreeMap<u32, String>,
    /// The age of each origin table, in the order of the configuration.
    pub origin_dates: Vec<OriginDate>,
}

/// Reads every list and every origin table and joins them.
///
/// # Errors
///
/// All that is wrong in all files, in one failure: 65 for bad data and AS numbers that no table knows, 66 and
/// 77 for files that cannot be read, 78 for a list of AS numbers without any origin table. The first cause
/// gives the status.
pub fn load(lists: &[ListConfig], origins: &[OriginConfig]) -> Result<Loaded, Failure> {
    let mut errors = ListErrors::new();
    let read: Vec<Read> =
        lists.iter().map(|list| read_list(list, origins.is_empty(), &mut errors)).collect();

    let wanted = read.iter().flat_map(Read::asns).map(Holder::Asn).collect();
    let before = errors.total();
    let table = OriginTable::gather(origins, &wanted, &mut errors);
    // From half a table every AS number of the other half would look unknown.
    let table_is_whole = !origins.is_empty() && errors.total() == before;

    let mut loaded = Vec::with_capacity(lists.len());
    for (config, (list, read)) in lists.iter().zip(read).enumerate() {
        loaded.push(match read {
            Read::Prefixes(read) => from_prefixes(config, read),
            Read::Asns(read) if table_is_whole => {
                let resolve = Resolve { list, origins, table: &table };
                resolve.list(config, read, &mut errors)
            }
            Read::Asns(read) => from_asns(config, read, Vec::new()),
        });
    }
    errors.into_result()?;
    let (origin_names, origin_dates) = table.into_names_and_dates();
    Ok(Loaded { lists: loaded, origin_names, origin_dates })
}

/// A list file as read, not resolved.
enum Read {
    Prefixes(PrefixList),
    Asns(AsnList),
}

impl Read {
    fn asns(&self) -> BTreeSet<u32> {
        match self {
            Read::Prefixes(_) => BTreeSet::new(),
            Read::Asns(list) => list.entries.iter().map(|e| e.asn).collect(),
        }
    }
}

fn read_list(list: &ListConfig, no_origins: bool, errors: &mut ListErrors) -> Read {
    match list.kind {
        ListKind::Prefix => {
            Read::Prefixes(prefix::gather_prefixes(&list.path, list.allow_wide, errors))
        }
        ListKind::Asn | ListKind::Country => {
            if no_origins {
                let message = format!(
                    "list {}: kind = \"asn\" needs an origin table: add an [[origin]]",
                    list.name
                );
                errors.absorb(Failure::new(ExitStatus::BadConfig, message));
            }
            Read::Asns(asn::gather_asns(&list.path, errors))
        }
    }
}

fn from_prefixes(config: usize, read: PrefixList) -> LoadedList {
    let entry = |e: PrefixLine| Entry {
        prefix: e.prefix,
        line: e.line,
        origin: None,
        sources: Sources::NONE,
    };
    LoadedList {
        config,
        format: ListFormat::Cidr,
        remarks: Remarks::default(),
        rejected: Rejected::default(),
        serial: None,
        dated: None,
        entries: read.entries.into_iter().map(entry).collect(),
        asns: 0,
        duplicates: read.duplicates,
        unterminated: read.unterminated,
    }
}

fn from_asns(config: usize, read: AsnList, entries: Vec<Entry>) -> LoadedList {
    LoadedList {
        config,
        format: ListFormat::Asn,
        remarks: Remarks::default(),
        rejected: Rejected::default(),
        serial: None,
        dated: None,
        entries,
        asns: read.entries.len(),
        duplicates: read.duplicates,
        unterminated: read.unterminated,
    }
}

/// What it takes to turn the AS numbers of one list into prefixes.
struct Resolve<'a> {
    list: &'a ListConfig,
    origins: &'a [OriginConfig],
    table: &'a OriginTable,
}

impl Resolve<'_> {
    fn list(&self, config: usize, read: AsnList, errors: &mut ListErrors) -> LoadedList {
        let mut entries = Vec::new();
        for line in &read.entries {
            let found = self.table.prefixes_of(line.asn);
            if found.is_empty() {
                errors.refuse(
                    Place::at(&self.list.path, line.line, line.column),
                    format_args!(
                        "AS{} resolves to no prefix in any origin table (origin: {})",
                        line.asn,
                        self.origin_names()
                    ),
                );
            }
            for OriginPrefix { prefix, sources, source, line: row } in found.iter().copied() {
                match guard(prefix, self.list.allow_wide) {
                    Ok(()) => {
                        let (line, origin) = (line.line, Some(line.asn));
                        entries.push(Entry { prefix, line, origin, sources });
                    }
                    Err(refusal) => errors.refuse(
                        Place::at(&self.list.path, line.line, line.column),
                        format_args!(
                            "AS{} resolves to {prefix} (origin {}, line {row}), which {refusal}",
                            line.asn,
                            self.origins.get(source).map_or("", |o| o.name.as_str())
                        ),
                    ),
                }
            }
        }
        from_asns(config, read, entries)
    }

    fn origin_names(&self) -> String {
        let names: Vec<&str> = self.origins.iter().map(|o| o.name.as_str()).collect();
        names.join(", ")
    }
}
