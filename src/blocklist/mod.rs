//! List files and origin tables to entries, each with its line and origin AS.
//!
//! Invariant: what is loaded is whole. One bad line, one missing file or one AS number without a prefix
//! refuses everything, with all places in one message; the caller keeps what was in force.

mod asn;
mod contained;
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
mod resolve;
mod shipped;
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
pub use origin::{
    Disagreement, Disagreements, Guess, Holder, Memory, OriginDate, OriginPrefix, OriginTable,
    disagreements, sniff_origin,
};
pub use place::{Flaw, Place};
pub use prefix::{Refusal, WIDEST_IPV4, WIDEST_IPV6, guard, parse_prefix};
pub use unpack::{MAX_FILE_BYTES, MAX_PACKED_BYTES, MAX_RATIO, Packing};

pub use rejected::Rejected;
pub use remarks::Remarks;
pub use resolve::Withdrawn;
pub use sources::Sources;

use crate::config::{Group, ListConfig, ListFormat, ListKind, OriginConfig};
use crate::failure::{ExitStatus, Failure};
use resolve::{Line, Resolve, Resolved};

/// A prefix that a list names, by itself or through an AS number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The prefix, canonical.
    pub prefix: IpNet,
    /// The line of the list file, from 1.
    pub line: u32,
    /// The AS number that the line names and that announces the prefix; `None` in a prefix list.
    pub origin: Option<u32>,
    /// The origin tables that say so; none in a prefix list, and none where it stays though no table says so.
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
    /// How many AS numbers or countries the list names, those of its groups included; 0 for a prefix list.
    pub asns: usize,
    /// Of the entries those that stay though the tables no longer say so.
    pub withdrawn: Vec<Withdrawn>,
    /// Lines that name a country.
    pub countries: Vec<(u32, Country)>,
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
    /// What each origin table says about itself, in the order of the configuration.
    pub origin_dates: Vec<OriginDate>,
    /// What to remember of the tables until the next load.
    pub memory: Memory,
    /// What somebody should look at, though everything was loaded.
    pub warnings: Vec<String>,
}

/// What is known besides the files of lists and tables.
#[derive(Debug, Clone, Default)]
pub struct Known<'a> {
    /// Groups of AS numbers that a list can name.
    pub groups: &'a [Group],
    /// What origin tables said at earlier loads.
    pub memory: Memory,
    /// The time in seconds since 1970.
    pub now: u64,
}

/// Reads every list and every origin table and joins them, with nothing else known.
///
/// # Errors
///
/// As [`load_knowing`].
pub fn load(lists: &[ListConfig], origins: &[OriginConfig]) -> Result<Loaded, Failure> {
    load_knowing(lists, origins, Known { now: u64::MAX, ..Known::default() })
}

/// Reads every list and every origin table and joins them.
///
/// # Errors
///
/// All that is wrong in all files, in one failure: 65 for bad data and AS numbers that no table knows or knew,
/// 66 and 77 for files that cannot be read, 78 for a list of AS numbers without any origin table. The first
/// cause gives the status.
pub fn load_knowing(
    lists: &[ListConfig],
    origins: &[OriginConfig],
    known: Known<'_>,
) -> Result<Loaded, Failure> {
    let mut errors = ListErrors::new();
    let read: Vec<(ListFile, Vec<Line>)> = lists
        .iter()
        .map(|list| {
            let file = read_one(list, origins, &mut errors);
            let lines = resolve::lines_of(&file, &list.path, known.groups, &mut errors);
            (file, lines)
        })
        .collect();
    let holders = read.iter().flat_map(|(_, lines)| lines.iter().map(|line| line.holder)).collect();
    let before = errors.total();
    let table = OriginTable::gather(origins, &holders, &mut errors);
    // From half a table every AS number of the other half would look unknown.
    let table_is_whole = !origins.is_empty() && errors.total() == before;

    let memory = known.memory.aged(known.now);
    let mut holds: BTreeMap<Holder, u64> = BTreeMap::new();
    let mut warnings = Vec::new();
    let mut loaded = Vec::with_capacity(lists.len());
    for (config, (list, (file, lines))) in lists.iter().zip(read).enumerate() {
        let mut resolved = Resolved::default();
        if table_is_whole {
            let resolve = Resolve { list, origins, table: &table, memory: &memory };
            resolved = resolve.lines(&lines, &mut errors);
        }
        for line in &lines {
            let hold = holds.entry(line.holder).or_default();
            *hold = list.hold_down.as_secs().max(*hold);
        }
        warnings.append(&mut resolved.warnings);
        loaded.push(joined(config, file, &lines, resolved));
    }
    errors.into_result()?;
    let memory = memory.after(&table, &holds, known.now);
    let (origin_names, mut origin_dates) = table.into_names_and_dates();
    warnings.extend(origin_dates.iter_mut().filter_map(|date| date.distrust(known.now)));
    Ok(Loaded { lists: loaded, origin_names, origin_dates, memory, warnings })
}

fn read_one(list: &ListConfig, origins: &[OriginConfig], errors: &mut ListErrors) -> ListFile {
    let read = gather::gather(&list.path, &Reading::from(list), errors);
    let needs_origins = match list.kind {
        ListKind::Prefix => false,
        ListKind::Asn => true,
        // A registry's own file says itself what is registered where.
        ListKind::Country => read.format != ListFormat::Delegated,
    };
    let mut refuse = |what: String| {
        let message = format!("list {}: {what}", list.name);
        errors.absorb(Failure::new(ExitStatus::BadConfig, message));
    };
    if origins.is_empty() && needs_origins {
        let kind = list.kind.label();
        refuse(format!("kind = \"{kind}\" needs an origin table: add an [[origin]]"));
    } else if usize::from(list.at_least) > origins.len() && needs_origins {
        // More tables than there are cannot agree.
        let (at_least, count) = (list.at_least, origins.len());
        refuse(format!("at_least = {at_least} needs as many origin tables, and there are {count}"));
    }
    read
}

fn joined(config: usize, read: ListFile, lines: &[Line], resolved: Resolved) -> LoadedList {
    let named_itself = |named: &PrefixLine| Entry {
        prefix: named.prefix,
        line: named.line,
        origin: None,
        sources: Sources::NONE,
    };
    let mut entries: Vec<Entry> = read.prefixes.iter().map(named_itself).collect();
    entries.extend(resolved.entries);
    LoadedList {
        config,
        entries,
        format: read.format,
        asns: lines.len(),
        withdrawn: resolved.withdrawn,
        countries: read.countries.iter().map(|named| (named.line, named.what)).collect(),
        remarks: read.remarks,
        rejected: read.rejected,
        serial: read.metadata.serial,
        dated: read.metadata.dated,
        duplicates: read.duplicates,
        masked: read.masked,
        unterminated: read.unterminated,
    }
}
