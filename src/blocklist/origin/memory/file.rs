//! The file in which a daemon keeps what origin tables said: `origins` in the state folder.
//!
//! Invariant: what is read is what was written, or it is not used. Text, so that somebody can look at it:
//! `kordon origins 1`, `clock WRITTEN HIGHEST`, then for each AS number or country its name and its records
//! ` PREFIX TABLES SEEN AGE`, then `end RECORDS DIGEST`.

use std::fmt::Write;
use std::io::{ErrorKind, Read};
use std::path::Path;

use ipnet::IpNet;

use super::super::Holder;
use super::super::row::number_in;
use super::{MAX_RECORDS, Memory, Record};
use crate::blocklist::country::Country;
use crate::blocklist::unpack::{self, Unpacked};
use crate::failure::{ExitStatus, Failure};
use crate::regular::Owner;
use crate::whole;

/// The name in the state folder.
const FILE: &str = "origins";
/// The first line; its number counts up with the layout.
const FIRST: &str = "kordon origins 1";
/// No file beyond this is read or written, in bytes: all records with the longest addresses.
const LARGEST: u64 = 256 << 20;

pub(super) fn read(folder: &Path) -> Result<Memory, String> {
    let path = folder.join(FILE);
    let say = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let found = match std::fs::metadata(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Memory::default()),
        Err(error) => return Err(Failure::reading(&path, &error).message),
    };
    let held =
        std::fs::metadata(folder).map_err(|error| Failure::reading(folder, &error).message)?;
    if !is_ours(nix::unistd::geteuid().as_raw(), Owner::of(&found), Owner::of(&held)) {
        return Err(say(&"not a file that only this user and root may write"));
    }
    let mut text = String::new();
    Unpacked::open_limited(&path, LARGEST)
        .and_then(|mut file| {
            file.read_to_string(&mut text).map_err(|error| unpack::failure(&path, &error))
        })
        .map_err(|failure| failure.message)?;
    decode(&text).ok_or_else(|| say(&"damaged"))
}

/// Whether `user` believes a file: its own, or root's. Root, who checks what a daemon without root will do, also believes
/// the owner of the state folder, who can put any file there.
fn is_ours(user: u32, file: Owner, folder: Owner) -> bool {
    file.is_trusted_by(user) || (file.alone && user == 0 && folder == file)
}

pub(super) fn write(memory: &Memory, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(FILE);
    if memory.count() > MAX_RECORDS {
        let message = format!(
            "{}: more than {MAX_RECORDS} prefixes: nothing is remembered of them",
            path.display()
        );
        return Err(Failure::new(ExitStatus::Failed, message));
    }
    whole::replace(&path, 0o600, encode(memory).as_bytes())
        .map_err(|error| Failure::reading(&path, &error))
}

pub(super) fn encode(memory: &Memory) -> String {
    let mut text = format!("{FIRST}\nclock {} {}\n", memory.written, memory.highest);
    // Writing to a string does not fail.
    let mut add = |line: std::fmt::Arguments<'_>| text.write_fmt(line).unwrap_or_default();
    for (holder, records) in &memory.records {
        add(format_args!("{holder}\n"));
        for Record { prefix, tables, seen, age } in records {
            add(format_args!(" {prefix} {tables} {seen} {age}\n"));
        }
    }
    let digest = digest(text.as_bytes());
    let _ = writeln!(text, "end {} {digest:016x}", memory.count());
    text
}

pub(super) fn decode(text: &str) -> Option<Memory> {
    let at = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (before, last) = text.split_at_checked(at)?;
    let (count, stored) = last.trim_end().strip_prefix("end ")?.split_once(' ')?;
    if u64::from_str_radix(stored, 16).ok()? != digest(before.as_bytes()) {
        return None;
    }
    let mut lines = before.lines();
    if lines.next()? != FIRST {
        return None;
    }
    let (written, highest) = lines.next()?.strip_prefix("clock ")?.split_once(' ')?;
    let mut memory = Memory {
        written: written.parse().ok()?,
        highest: highest.parse().ok()?,
        ..Memory::default()
    };
    let mut of: Option<(Holder, Vec<Record>)> = None;
    let mut records = 0usize;
    for line in lines {
        match line.strip_prefix(' ') {
            Some(record) => {
                records += 1;
                of.as_mut()?.1.push(decode_record(record)?);
            }
            None => memory.records.extend(of.replace((holder(line)?, Vec::new()))),
        }
    }
    memory.records.extend(of);
    (records == count.parse::<usize>().ok()? && records <= MAX_RECORDS).then_some(memory)
}

fn holder(text: &str) -> Option<Holder> {
    if let Some(country) = Country::parse(text) {
        return Some(Holder::Country(country));
    }
    // Whatever number a group may name, also one that announces nothing.
    text.strip_prefix("AS").filter(|digits| !digits.is_empty()).and_then(number_in).map(Holder::Asn)
}

fn decode_record(text: &str) -> Option<Record> {
    let mut words = text.split(' ');
    let prefix: IpNet = words.next()?.parse().ok()?;
    let record = Record {
        prefix,
        tables: words.next()?.parse().ok()?,
        seen: words.next()?.parse().ok()?,
        age: words.next()?.parse().ok()?,
    };
    (words.next().is_none() && prefix == prefix.trunc()).then_some(record)
}

/// FNV-1a with 64 bits: against damage, not against malice, which would have to own the folder.
fn digest(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::{Owner, is_ours};

    #[test]
    fn root_believes_what_the_owner_of_the_state_folder_wrote_and_others_only_themselves_and_root()
    {
        const DAEMON: u32 = 995;
        let alone = |uid| Owner { uid, alone: true };
        let shared = |uid| Owner { uid, alone: false };
        assert!(is_ours(DAEMON, alone(DAEMON), alone(DAEMON)));
        assert!(is_ours(DAEMON, alone(0), alone(DAEMON)));
        assert!(is_ours(0, alone(DAEMON), alone(DAEMON)));
        for (user, file, folder) in [
            (0, alone(1000), alone(DAEMON)),
            (0, alone(DAEMON), shared(DAEMON)),
            (0, shared(DAEMON), alone(DAEMON)),
            (1000, alone(DAEMON), alone(DAEMON)),
            (DAEMON, alone(1000), alone(1000)),
        ] {
            assert!(!is_ours(user, file, folder), "{user} {file:?} {folder:?}");
        }
    }
}
