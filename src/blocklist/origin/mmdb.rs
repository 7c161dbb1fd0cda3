//! GeoLite2 ASN and the like as a MaxMind database; the door to the `maxminddb` crate.
//!
//! Invariants: memory is the file, at most [`MAX_BYTES`], and 40 bytes for each of its records. The search tree of
//! a made-up file can have more paths than there are addresses, so its networks are counted, up to a limit,
//! before they are read. Networks that only repeat IPv4 ones (`::ffff:0:0/96` and the like) are passed over.

use std::collections::HashMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};

use super::row::{Asns, Row};
use super::{Dated, Reading, Sink};
use crate::blocklist::errors::ListErrors;
use crate::blocklist::lines::MAX_LINE_BYTES;
use crate::blocklist::place::{Place, shown};
use crate::blocklist::unpack::{self, Unpacked};
use crate::failure::Failure;

/// The largest database, in bytes. GeoLite2 ASN is about 10 MB.
const MAX_BYTES: u64 = 128 << 20;
/// The most networks, those without data and repeated ones included. GeoLite2 ASN has about 2 million.
const MAX_NETWORKS: usize = 16_000_000;
/// The most different records: each is read once, and one of a made-up file can take a millisecond. GeoLite2 ASN
/// has about 80,000.
const MAX_RECORDS: usize = 500_000;

/// Reads the database at `path`; rows go to `sink`, with the count of networks in the place of a line.
///
/// # Errors
/// As [`Unpacked::open`], and where it cannot be read on.
pub(super) fn read(
    path: &Path,
    errors: &mut ListErrors,
    sink: &mut Sink<'_>,
) -> Result<Reading, Failure> {
    let mut bytes = Vec::new();
    let read = Unpacked::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| unpack::failure(path, &error))?;
    let mut reading = Reading::default();
    if bytes.len() as u64 > MAX_BYTES {
        errors.refuse(Place::file(path), format_args!("is larger than {MAX_BYTES} bytes"));
    } else if let Err(cause) = walk(bytes, &mut reading, sink) {
        errors.refuse(Place::file(path), cause);
    }
    Ok(reading)
}

/// What is known about a record, which many networks share. The name lies in the file: many records may point
/// to one long name.
struct Record<'d> {
    asn: u32,
    name: &'d [u8],
}

fn walk(bytes: Vec<u8>, reading: &mut Reading, sink: &mut Sink<'_>) -> Result<(), String> {
    let database = Reader::from_source(bytes).map_err(|error| say(&error))?;
    count(&database)?;
    let mut records: HashMap<usize, Record<'_>> = HashMap::new();
    let networks = database.networks(WithinOptions::default()).map_err(|error| say(&error))?;
    for (number, network) in (1u32..).zip(networks) {
        let network = network.map_err(|error| say(&error))?;
        let found = network.network().map_err(|error| say(&error))?;
        let Some(offset) = network.offset() else { continue };
        if !records.contains_key(&offset) {
            if records.len() == MAX_RECORDS {
                return Err(format!("more than {MAX_RECORDS} records"));
            }
            let asn = network
                .decode_path::<u32>(&[PathElement::Key("autonomous_system_number")])
                .map_err(|error| say(&error))?;
            let name = network
                .decode_path::<&str>(&[PathElement::Key("autonomous_system_organization")])
                .map_err(|error| say(&error))?;
            let name = name.unwrap_or_default();
            let name = name.as_bytes();
            let name = name.get(..MAX_LINE_BYTES).unwrap_or(name);
            records.insert(offset, Record { asn: asn.unwrap_or(0), name });
        }
        if let (Some(record), Some(net)) = (records.get(&offset), net(found.ip(), found.prefix())) {
            // A database of countries or cities has no AS numbers: then it has no rows for us.
            if record.asn > 0 {
                reading.rows += 1;
            }
            let (range, asns) = (net.into(), Asns::One(record.asn));
            sink(number, &Row { range, asns, country: None, name: record.name });
        }
    }
    reading.dated = Dated::at(database.metadata().build_epoch);
    Ok(())
}

/// Counts all that there is to walk over, so that the walk is known to end.
fn count(database: &Reader<Vec<u8>>) -> Result<(), String> {
    let all = WithinOptions::default().include_aliased_networks().include_networks_without_data();
    let mut count = 0usize;
    for network in database.networks(all).map_err(|error| say(&error))? {
        network.map_err(|error| say(&error))?;
        count += 1;
        if count > MAX_NETWORKS {
            return Err(format!("more than {MAX_NETWORKS} networks: this is no tree of addresses"));
        }
    }
    Ok(())
}

fn net(address: IpAddr, length: u8) -> Option<IpNet> {
    IpNet::new(address, length).ok().map(|net| net.trunc())
}

fn say(error: &MaxMindDbError) -> String {
    format!("is not whole as a MaxMind database: {}", shown(&error.to_string()))
}
