//! List files and origin tables to entries, each with its line and origin AS.
//!
//! Invariant: what is loaded is whole. One bad line, one missing file or one AS number without a prefix
//! refuses everything, with all places in one message; the caller keeps what was in force.

mod asn;
mod country;
mod date;
mod errors;
mod format;
mod gather;
mod lines;
mod list;
mod local;
mod origin;
mod place;
mod prefix;
mod range;
mod rejected;
mod remarks;
mod sources;
pub mod temporary;
mod token;
mod unpack;

use std::collections::BTreeMap;

use ipnet::IpNet;

pub use asn::parse_asn;
pub use country::Country;
pub use errors::ListErrors;
pub use format::{Declared, ListGuess, Metadata, in_words, sniff_list};
pub use lines::MAX_LINE_BYTES;
pub use list::{ListFile, MAX_ENTRIES, Named, PrefixLine, Reading, read_list};
pub use local::{Carved, LocalSpace};
pub use origin::{Guess, Holder, OriginDate, OriginPrefix, OriginTable, sniff_origin};
pub use place::{Flaw, Place};
pub use prefix::{Refusal, WIDEST_IPV4, WIDEST_IPV6, guard, parse_prefix};
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
    /// Entries of which host bits were cleared.
    pub masked: usize,
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
    let read: Vec<ListFile> =
        lists.iter().map(|list| read_one(list, origins.is_empty(), &mut errors)).collect();

    let wanted = read
        .iter()
        .flat_map(|list| list.asns.iter().map(|named| Holder::Asn(named.what)))
        .collect();
    let before = errors.total();
    let table = OriginTable::gather(origins, &wanted, &mut errors);
    // From half a table every AS number of the other half would look unknown.
    let table_is_whole = !origins.is_empty() && errors.total() == before;

    let mut loaded = Vec::with_capacity(lists.len());
    for (config, (list, read)) in lists.iter().zip(read).enumerate() {
        let mut entries: Vec<Entry> = read.prefixes.iter().map(named_itself).collect();
        if table_is_whole {
            let resolve = Resolve { list, origins, table: &table };
            resolve.list(&read.asns, &mut entries, &mut errors);
        }
        loaded.push(with_entries(config, read, entries));
    }
    errors.into_result()?;
    let (origin_names, origin_dates) = table.into_names_and_dates();
    Ok(Loaded { lists: loaded, origin_names, origin_dates })
}

fn read_one(list: &ListConfig, no_origins: bool, errors: &mut ListErrors) -> ListFile {
    let read = gather::gather(&list.path, &Reading::from(list), errors);
    let needs_origins = match list.kind {
        ListKind::Prefix => false,
        ListKind::Asn => true,
        // A registry's own file says itself what is registered where.
        ListKind::Country => read.format != ListFormat::Delegated,
    };
    if no_origins && needs_origins {
        let message = format!(
            "list {}: kind = \"{}\" needs an origin table: add an [[origin]]",
            list.name,
            list.kind.label()
        );
        errors.absorb(Failure::new(ExitStatus::BadConfig, message));
    }
    read
}

/// An entry of a prefix that the list names itself.
fn named_itself(named: &PrefixLine) -> Entry {
    Entry { prefix: named.prefix, line: named.line, origin: None, sources: Sources::NONE }
}

fn with_entries(config: usize, read: ListFile, entries: Vec<Entry>) -> LoadedList {
    LoadedList {
        config,
        entries,
        format: read.format,
        asns: read.asns.len(),
        remarks: read.remarks,
        rejected: read.rejected,
        serial: read.metadata.serial,
        dated: read.metadata.dated,
        duplicates: read.duplicates,
        masked: read.masked,
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
    fn list(&self, asns: &[Named<u32>], entries: &mut Vec<Entry>, errors: &mut ListErrors) {
        for line in asns {
            let found = self.table.prefixes_of(line.what);
            if found.is_empty() {
                errors.refuse(
                    Place::at(&self.list.path, line.line, line.column),
                    format_args!(
                        "AS{} resolves to no prefix in any origin table (origin: {})",
                        line.what,
                        self.origin_names()
                    ),
                );
            }
            for OriginPrefix { prefix, sources, source, line: row } in found.iter().copied() {
                match guard(prefix, self.list.allow_wide) {
                    Ok(()) => {
                        let (line, origin) = (line.line, Some(line.what));
                        entries.push(Entry { prefix, line, origin, sources });
                    }
                    Err(refusal) => errors.refuse(
                        Place::at(&self.list.path, line.line, line.column),
                        format_args!(
                            "AS{} resolves to {prefix} (origin {}, line {row}), which {refusal}",
                            line.what,
                            self.origins.get(source).map_or("", |o| o.name.as_str())
                        ),
                    ),
                }
            }
        }
    }

    fn origin_names(&self) -> String {
        let names: Vec<&str> = self.origins.iter().map(|o| o.name.as_str()).collect();
        names.join(", ")
    }
}
