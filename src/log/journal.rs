//! Entries for systemd's journal, with fields (`journalctl -t kordon KORDON_CAMERA=gate-3`).
//!
//! The format is that of <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>: one datagram, `NAME=value` lines; a
//! value with a line end in it comes with its length instead. Values are cut at [`LONGEST`], so that an entry
//! always fits a datagram.

use std::io;
use std::os::unix::net::UnixDatagram;

use tracing::Level;

use super::entry::Entry;
use super::events;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// The longest value, in bytes. An entry has at most some twenty.
const LONGEST: usize = 4096;

/// Field names that are not just `KORDON_` and the name in capitals.
const NAMES: [(&str, &str); 6] = [
    ("source", "KORDON_SRC"),
    ("destination", "KORDON_DST"),
    ("port", "KORDON_DPORT"),
    ("protocol", "KORDON_PROTO"),
    ("origin_as", "KORDON_ASN"),
    ("packets", "KORDON_COUNT"),
];

/// The way to the journal.
pub(super) struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// A way to the journal, if stderr leads there: systemd then says in `JOURNAL_STREAM` which file stderr
    /// is, and a program that was started with another stderr is not meant.
    pub(super) fn if_stderr_leads_there() -> Option<Journal> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let (device, inode) = stream.split_once(':')?;
        let found = nix::sys::stat::fstat(std::io::stderr()).ok()?;
        let same = device.parse() == Ok(found.st_dev) && inode.parse() == Ok(found.st_ino);
        same.then(UnixDatagram::unbound)?.ok().map(|socket| Journal { socket })
    }

    pub(super) fn write(&self, entry: &Entry) -> io::Result<()> {
        self.socket.send_to(&datagram(entry), SOCKET).map(drop)
    }
}

fn datagram(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    put(&mut bytes, "MESSAGE", &entry.text());
    put(&mut bytes, "PRIORITY", priority(entry.level));
    put(&mut bytes, "SYSLOG_IDENTIFIER", "kordon");
    if let Some(event) = &entry.event {
        put(&mut bytes, "KORDON_EVENT", event);
        if let Some(id) = events::message_id(event) {
            put(&mut bytes, "MESSAGE_ID", id);
        }
    }
    for (name, value) in &entry.fields {
        match NAMES.iter().find(|(known, _)| known == name) {
            Some((_, field)) => put(&mut bytes, field, value),
            None => put(&mut bytes, &format!("KORDON_{}", name.to_ascii_uppercase()), value),
        }
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    let whole = |end: &usize| value.is_char_boundary(*end);
    let end = (0..=LONGEST.min(value.len())).rev().find(whole).unwrap_or(0);
    let value = value.get(..end).unwrap_or_default();
    bytes.extend_from_slice(name.as_bytes());
    match value.contains('\n') {
        false => bytes.push(b'='),
        true => {
            bytes.push(b'\n');
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        }
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

/// The numbers of `syslog(3)`.
fn priority(level: Option<Level>) -> &'static str {
    match level {
        None | Some(Level::ERROR) => "3",
        Some(Level::WARN) => "4",
        Some(Level::INFO) => "6",
        Some(Level::DEBUG | Level::TRACE) => "7",
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::blocked;
    use super::*;

    #[test]
    fn an_entry_has_the_fields_that_the_journal_can_be_asked_for() {
        let text = String::from_utf8(datagram(&blocked())).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "MESSAGE=dropped camera=gate-3 source=192.0.2.10 port=443 \
                 basis=\"Test Office 1, 2026-01-01\"",
                "PRIORITY=4",
                "SYSLOG_IDENTIFIER=kordon",
                "KORDON_EVENT=drop",
                "MESSAGE_ID=da9d6e60c32d495098cdd8f9e7b31fd8",
                "KORDON_CAMERA=gate-3",
                "KORDON_SRC=192.0.2.10",
                "KORDON_DPORT=443",
                "KORDON_BASIS=Test Office 1, 2026-01-01",
            ]
        );
    }

    #[test]
    fn no_value_can_forge_a_field() {
        let mut bytes = Vec::new();
        put(&mut bytes, "KORDON_WHY", "one\nPRIORITY=0");
        assert_eq!(bytes, b"KORDON_WHY\n\x0e\0\0\0\0\0\0\0one\nPRIORITY=0\n");
    }

    #[test]
    fn a_long_value_is_cut_between_two_characters() {
        let mut bytes = Vec::new();
        put(&mut bytes, "A", &"є".repeat(LONGEST));
        assert_eq!(bytes.len(), "A=\n".len() + LONGEST);
        put(&mut bytes, "A", &format!("x{}", "є".repeat(LONGEST)));
        assert!(String::from_utf8(bytes).is_ok());
    }
}
