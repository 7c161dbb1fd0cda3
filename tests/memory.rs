//! What it takes to read a large list. Alone in its process, because it asks for the most memory that the process
//! ever had.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fmt::Write;

use kordon::blocklist::{Reading, read_list};
use kordon::config::ListKind;

/// The most memory that this process ever had, in bytes (proc(5), `VmHWM`).
fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn a_large_list_takes_few_bytes_for_each_entry_and_a_wrong_file_next_to_none() {
    const ENTRIES: u32 = 300_000;
    let path = std::env::temp_dir().join(format!("kordon-memory-{}", std::process::id()));
    let write = |line: &dyn Fn(u32) -> String| {
        let mut text = String::new();
        (0..ENTRIES).for_each(|n| writeln!(text, "{}", line(n)).unwrap());
        std::fs::write(&path, text).unwrap();
    };
    let reading = Reading::plain(ListKind::Prefix);

    write(&|n| format!("wrong{n}"));
    let before = most_memory();
    assert!(read_list(&path, &reading).is_err());
    let wrong = most_memory() - before;
    assert!(wrong < 1 << 20, "{wrong} bytes for {ENTRIES} wrong lines");

    // Scattered, so that finding the repeated ones cannot go the short way.
    let address =
        |n: u32| std::net::Ipv4Addr::from(0x0100_0000 + n.wrapping_mul(2_654_435_761) % (1 << 29));
    write(&|n| format!("{} # order {n}", address(n)));
    let before = most_memory();
    let list = read_list(&path, &reading).unwrap();
    let taken = most_memory() - before;
    assert_eq!(list.remarks.len(), ENTRIES as usize);
    // 24 bytes for an entry, 20 for its remark, and as much again while both grow.
    let each = taken / ENTRIES as usize;
    assert!(each < 100, "{taken} bytes, {each} for each of {ENTRIES} entries");
    std::fs::remove_file(&path).unwrap();
}
