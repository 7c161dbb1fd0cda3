//! A list file as read, and how it is to be read.

use std::path::Path;

use ipnet::IpNet;

use super::country::Country;
use super::errors::ListErrors;
use super::format::{self, ListGuess, Metadata};
use super::gather;
use super::rejected::Rejected;
use super::remarks::Remarks;
use super::unpack::Packing;
use crate::config::{ListConfig, ListFormat, ListKind};
use crate::failure::Failure;

/// The most entries in one list: four times the internet's routing table, and a bound on the memory that one
/// wrong file can take.
pub const MAX_ENTRIES: usize = 5_000_000;

/// How a list file is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What its lines are.
    pub kind: ListKind,
    /// How they are written; `Auto`: to be found out.
    pub format: ListFormat,
    /// Accept prefixes shorter than /8 (IPv4) or /16 (IPv6).
    pub allow_wide: bool,
    /// So many entries may be wrong and are then left out.
    pub max_rejected: u32,
}

impl Reading {
    /// Strictly, in the plain text format of a kind.
    pub fn plain(kind: ListKind) -> Self {
        Reading { kind, format: format::plain(kind), allow_wide: false, max_rejected: 0 }
    }
}

impl From<&ListConfig> for Reading {
    fn from(list: &ListConfig) -> Reading {
        let ListConfig { kind, format, allow_wide, max_rejected, .. } = *list;
        Reading { kind, format, allow_wide, max_rejected }
    }
}

/// A prefix that a list names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixLine {
    /// The prefix; a single address is a /32 or /128.
    pub prefix: IpNet,
    /// Its line, from 1.
    pub line: u32,
}

/// Something that a list names and that has to be resolved: an AS number, a group, a country.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<T> {
    /// What is named.
    pub what: T,
    /// Its line, from 1.
    pub line: u32,
    /// Its column, from 1, in characters.
    pub column: u32,
}

/// A list file as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFile {
    /// The format that it was read in.
    pub format: ListFormat,
    /// How that format was found out, if it was not given.
    pub guess: Option<ListGuess>,
    /// How the file is packed.
    pub packing: Packing,
    /// The prefixes that it names, in the order of the file, each once.
    pub prefixes: Vec<PrefixLine>,
    /// The AS numbers, the same.
    pub asns: Vec<Named<u32>>,
    /// The groups of AS numbers, the same.
    pub groups: Vec<Named<String>>,
    /// The countries, the same.
    pub countries: Vec<Named<Country>>,
    /// What its lines say besides.
    pub remarks: Remarks,
    /// What it says about itself.
    pub metadata: Metadata,
    /// Entries that were wrong and left out.
    pub rejected: Rejected,
    /// Entries that repeat an earlier one.
    pub duplicates: usize,
    /// Entries of which host bits were cleared.
    pub masked: usize,
    /// The last line has no line end: the file may be cut off.
    pub unterminated: bool,
}

impl ListFile {
    pub(super) fn new(format: ListFormat) -> Self {
        ListFile {
            format,
            guess: None,
            packing: Packing::Plain,
            prefixes: Vec::new(),
            asns: Vec::new(),
            groups: Vec::new(),
            countries: Vec::new(),
            remarks: Remarks::default(),
            metadata: Metadata::default(),
            rejected: Rejected::default(),
            duplicates: 0,
            masked: 0,
            unterminated: false,
        }
    }

    /// How many entries there are, of whatever kind.
    pub fn len(&self) -> usize {
        self.prefixes.len() + self.asns.len() + self.groups.len() + self.countries.len()
    }

    /// There is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads a list file.
///
/// # Errors
///
/// 65 with up to 20 places if the file is not what it should be; 66 and 77 if it cannot be read.
pub fn read_list(path: &Path, reading: &Reading) -> Result<ListFile, Failure> {
    let mut errors = ListErrors::new();
    let list = gather::gather(path, reading, &mut errors);
    errors.into_result().map(|()| list)
}
