//! The log: who reads it slowly, or not at all, and what the journal gets.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use nix::libc::O_NONBLOCK;
use nix::sys::signal::Signal;

use crate::lab::topology::*;
use crate::lab::{Context, PATIENCE, Res, wait_until};
use crate::{Bench, Site};

const N: u32 = 20;

/// The log's disk is full: lines are lost, packets are judged.
pub(super) fn full(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.log = Some("/dev/full");
    let site = Site::new(setup)?;
    let mut daemon = site.spawn()?;
    let ready = || daemon.get("/readyz").is_ok_and(|(code, _)| code == 200);
    if !wait_until(PATIENCE, ready) {
        return Err("with a log that cannot be written kordon does not become ready".to_owned());
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    std::thread::sleep(Duration::from_millis(200));
    bench.lab.blocked(BLOCKED6, N)?;
    if daemon.metrics()?.get("kordon_log_lines_lost_total", &[])? == 0 {
        return Err("no line could be written, and none counts as lost".to_owned());
    }
    match daemon.is_alive() {
        true => Ok(()),
        false => Err("kordon ended over a log line".to_owned()),
    }
}

/// Whoever reads stderr has stopped reading, and the pipe is full: kordon starts, judges, answers, counts
/// what it could not say, says so when somebody reads again, and ends when it is told to.
pub(super) fn unread(bench: &Bench<'_>) -> Res {
    const PIPE: &str = "/run/unread";
    let _ = std::fs::remove_file(PIPE);
    nix::unistd::mkfifo(PIPE, nix::sys::stat::Mode::S_IRWXU).context(PIPE)?;
    let mut pipe = File::options().read(true).write(true).custom_flags(O_NONBLOCK).open(PIPE);
    let pipe = pipe.as_mut().map_err(|error| format!("{PIPE}: {error}"))?;
    fill(pipe)?;
    let mut setup = bench.setup();
    setup.log = Some(PIPE);
    let site = Site::new(setup)?;
    let mut daemon = site.spawn()?;
    if !wait_until(PATIENCE, || daemon.get("/readyz").is_ok_and(|(code, _)| code == 200)) {
        return Err("with a stderr that nobody reads kordon does not become ready".to_owned());
    }
    let lost = || daemon.metrics()?.get("kordon_log_lines_lost_total", &[]);
    let began = Instant::now();
    for _ in 0..400 {
        reload(&site)?;
    }
    if began.elapsed() > Duration::from_secs(30) {
        return Err(format!("400 reloads took {:?}", began.elapsed()));
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    site.kordon_ok("status --config kordon.toml")?;
    match lost()? {
        0 => return Err("400 reloads found room in a full pipe".to_owned()),
        n if n > 400 => return Err(format!("{n} lines lost of about 400")),
        _ => {}
    }
    // Somebody reads again.
    let mut text = String::new();
    let mut said = |text: &mut String| {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = pipe.read(&mut bytes) {
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    let told = wait_until(PATIENCE, || {
        said(&mut text);
        text.contains("log lines are lost") && text.contains("reloaded:")
    });
    if !told {
        return Err(format!("read again, the log says nothing of what is lost: {}", tail(&text)));
    }
    let before = lost()?;
    fill(pipe)?;
    daemon.signal(Signal::SIGTERM)?;
    match daemon.wait_end()? {
        Some(0) => {}
        other => return Err(format!("SIGTERM with a full stderr: status {other:?}")),
    }
    // A failure ends it, too, with its status.
    site.write("kordon.toml", "mode = \"loud\"\n")?;
    let mut daemon = site.spawn()?;
    match daemon.wait_end()? {
        Some(78) => Ok(()),
        other => Err(format!("a bad configuration, a full stderr: {other:?} ({before} lost)")),
    }
}

fn tail(text: &str) -> &str {
    text.get(text.len().saturating_sub(600)..).unwrap_or(text)
}

/// Writes into a pipe until nothing fits any more, and a byte at a time at the end.
fn fill(pipe: &mut File) -> Res {
    for size in [4096, 1] {
        loop {
            match pipe.write(&vec![b'\n'; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("filling a pipe: {error}")),
            }
        }
    }
    Ok(())
}

fn reload(site: &Site) -> Res {
    let socket = site.folder().join("control.sock");
    let mut stream = UnixStream::connect(&socket).context("control.sock")?;
    stream.set_read_timeout(Some(PATIENCE)).context("control.sock")?;
    stream.write_all(b"{\"command\":\"reload\"}\n").context("control.sock")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("a reload's answer")?;
    match answer.contains("\"error\"") {
        false => Ok(()),
        true => Err(format!("a reload: {answer}")),
    }
}

/// Where stderr leads to the journal, entries come with fields; where `JOURNAL_STREAM` means another stderr,
/// they do not come at all.
pub(super) fn journal(bench: &Bench<'_>) -> Res {
    const SOCKET: &str = "/run/systemd/journal/socket";
    const LOG: &str = "/run/stderr";
    std::fs::create_dir_all("/run/systemd/journal").context(SOCKET)?;
    let _ = std::fs::remove_file(SOCKET);
    let journal = UnixDatagram::bind(SOCKET).context(SOCKET)?;
    journal.set_read_timeout(Some(Duration::from_secs(5))).context(SOCKET)?;
    let file = File::create(LOG).and_then(|file| file.metadata()).context(LOG)?;
    let mut setup = bench.setup();
    setup.log = Some(LOG);
    let stream = format!("{}:{}", file.st_dev(), file.st_ino());
    setup.environment = vec![("JOURNAL_STREAM", stream)];
    let site = Site::new(setup.clone())?;
    let daemon = site.start()?;
    let ready = next(&journal, "KORDON_EVENT", "ready")?;
    expect(&ready, "SYSLOG_IDENTIFIER", "kordon")?;
    bench.lab.blocked(BLOCKED, N)?;
    let dropped = next(&journal, "KORDON_EVENT", "drop")?;
    for (name, value) in [
        ("KORDON_CAMERA", "gate-3"),
        ("KORDON_SRC", &CAMERA.to_string()),
        ("KORDON_DST", &BLOCKED.to_string()),
        ("KORDON_DPORT", &crate::lab::traffic::PORT.to_string()),
        ("KORDON_PROTO", "udp"),
        ("KORDON_PREFIX", "203.0.113.0/25"),
        ("KORDON_LIST", "blocked"),
        ("KORDON_BASIS", "Test Office 1, 2026-01-01"),
        ("KORDON_COUNT", "1"),
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "kordon"),
    ] {
        expect(&dropped, name, value)?;
    }
    bench.lab.blocked(BY_ORIGIN, N)?;
    expect(&next(&journal, "KORDON_EVENT", "drop")?, "KORDON_ASN", "64500")?;
    site.add_to_list("blocked", "nonsense\n")?;
    site.kordon("reload --config kordon.toml")?;
    expect(&next(&journal, "KORDON_EVENT", "reload-refused")?, "PRIORITY", "3")?;
    if !daemon.log().is_empty() {
        return Err(format!("in the journal, and on stderr as well: {}", daemon.log()));
    }
    daemon.kill()?;
    // The control: another stderr than the one that JOURNAL_STREAM means gets text.
    setup.environment = vec![("JOURNAL_STREAM", format!("{}:{}", file.st_dev(), 1))];
    drop(site);
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    journal.set_nonblocking(true).context(SOCKET)?;
    let mut bytes = [0; 65_536];
    // A thread of its own writes the log: what was ready first, the daemon or the line, is open.
    let logged = wait_until(PATIENCE, || daemon.log().contains("ready"));
    match (journal.recv(&mut bytes), logged) {
        (Err(_), true) => {}
        (entry, log) => return Err(format!("not the journal's stderr: {entry:?}, text: {log}")),
    }
    std::fs::remove_file(SOCKET).context(SOCKET)
}

type Entry = BTreeMap<String, String>;

/// The next entry with this field.
fn next(journal: &UnixDatagram, name: &str, value: &str) -> Res<Entry> {
    let mut bytes = vec![0; 1 << 16];
    for _ in 0..200 {
        let length = journal.recv(&mut bytes).context(format!("no entry {name}={value}"))?;
        let entry = parse(&bytes[..length])?;
        if entry.get(name).is_some_and(|found| found == value) {
            return Ok(entry);
        }
    }
    Err(format!("200 entries, none with {name}={value}"))
}

fn parse(mut bytes: &[u8]) -> Res<Entry> {
    let mut entry = Entry::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("an entry without an end")?;
        let (line, rest) = (String::from_utf8_lossy(&bytes[..end]).into_owned(), &bytes[end + 1..]);
        bytes = rest;
        if let Some((name, value)) = line.split_once('=') {
            entry.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or("an entry without a length")?;
        let length = u64::from_le_bytes(*length) as usize;
        let value = rest.get(..length).ok_or("an entry shorter than its length")?;
        entry.insert(line, String::from_utf8_lossy(value).into_owned());
        bytes = rest.get(length + 1..).ok_or("a value without an end")?;
    }
    Ok(entry)
}

fn expect(entry: &Entry, name: &str, value: &str) -> Res {
    match entry.get(name) {
        Some(found) if found == value => Ok(()),
        found => Err(format!("{name} is {found:?}, not {value:?}, in {entry:?}")),
    }
}
