use super::*;
use crate::ruleset::ListId;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder with a configuration and its lists, gone at the end.
struct Site(PathBuf);

const CONFIG: &str = r#"[cameras]
interfaces = ["cam0"]
[state]
folder = "."
[[list]]
name = "a"
path = "a.txt"
kind = "prefix"
action = "block"
basis = { issuer = "Office", number = "7", date = 2026-01-02, note = "n" }
[[list]]
name = "b"
path = "b.asn"
kind = "asn"
action = "monitor"
[[list]]
name = "c"
path = "c.txt"
kind = "prefix"
action = "allow"
[[origin]]
name = "o"
path = "o.csv"
format = "csv"
"#;

impl Site {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kordon-snapshot-{}-{number}", std::process::id());
        let site = Site(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&site.0).unwrap();
        site.write("kordon.toml", CONFIG);
        site.write("a.txt", "203.0.113.0/24\n203.0.113.0/24\n2001:db8::/32\n198.51.100.7");
        site.write("b.asn", "AS64500\n");
        site.write("c.txt", "203.0.113.9\n2001:db8:0:1::/64\n");
        site.write(
            "o.csv",
            "# date: 2026-06-17\n203.0.113.144,203.0.113.159,64500,Example Relay\n",
        );
        site
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn config(&self) -> Config {
        Config::load(&self.0.join("kordon.toml")).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

fn place(name: &str) -> Option<u16> {
    Some(name.len() as u16 + 1)
}

fn same(one: &Ruleset, other: &Ruleset) {
    assert_eq!(one.lists, other.lists);
    assert_eq!(one.compiled, other.compiled);
    assert_eq!(one.origin_names, other.origin_names);
    assert_eq!(one.origin_dates, other.origin_dates);
    assert_eq!(one.freshness, other.freshness);
    assert!(one.table().entries().eq(other.table().entries()));
    assert_eq!(one.table().prefixes(), other.table().prefixes());
    for address in ["203.0.113.1", "203.0.113.9", "203.0.113.150", "198.51.100.7", "2001:db8::1"] {
        let address = address.parse().unwrap();
        assert!(one.table().lookup(address).is_some());
        assert_eq!(one.table().lookup(address), other.table().lookup(address));
    }
}

#[test]
fn rule_set_comes_back_as_it_was() {
    let site = Site::new();
    let config = site.config();
    let rules = Ruleset::load(&config, place, None).unwrap();
    assert_eq!(rules.lists.len(), 3);
    let back =
        decode(&encode(&rules, &config).unwrap(), &config, place).unwrap_or_else(|f| panic!("{f}"));
    same(&rules, &back);
}

#[test]
fn no_damage_of_a_bit_or_of_the_length_gives_a_rule_set() {
    let site = Site::new();
    let config = site.config();
    let good = encode(&Ruleset::load(&config, place, None).unwrap(), &config).unwrap();
    for length in 0..good.len() {
        assert!(decode(&good[..length], &config, place).is_err(), "cut at {length}");
    }
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&bytes, &config, place).is_err(), "bit {bit}");
    }
    assert_eq!(decode(&[&good[..], &[0]].concat(), &config, place).err(), Some(Flaw::Damaged));
    assert!(decode(&good, &config, place).is_ok(), "the control");
}

#[test]
fn snapshot_is_used_only_where_it_belongs() {
    let site = Site::new();
    let config = site.config();
    let rules = Ruleset::load(&config, place, None).unwrap();
    let good = encode(&rules, &config).unwrap();
    for (from, to) in [
        ("action = \"block\"", "action = \"monitor\""),
        ("path = \"c.txt\"", "path = \"a.txt\""),
        ("number = \"7\"", "number = \"8\""),
        (
            "kind = \"prefix\"\naction = \"allow\"",
            "kind = \"prefix\"\naction = \"allow\"\nallow_wide = true",
        ),
        ("name = \"o\"", "name = \"p\""),
        ("format = \"csv\"", "format = \"iptoasn\""),
    ] {
        assert!(CONFIG.contains(from), "{from}");
        site.write("kordon.toml", &CONFIG.replace(from, to));
        let other = decode(&good, &site.config(), place).err();
        assert_eq!(other, Some(Flaw::OtherConfiguration), "{to}");
    }
    // What says nothing about lists does not matter.
    site.write("kordon.toml", &format!("mode = \"monitor\"\n{CONFIG}"));
    assert!(decode(&good, &site.config(), place).is_ok());
    let mut other = good.clone();
    other[7] = 1;
    assert_eq!(decode(&other, &config, place).err(), Some(Flaw::OtherVersion));
    // The same layout, whole, of another version.
    let mut other = good.clone();
    let at = 16 + 8 + "{\"version\":\"".len();
    other[at] ^= 1;
    let sum = digest(&other[16..]).to_le_bytes();
    other[8..16].copy_from_slice(&sum);
    assert_eq!(decode(&other, &config, place).err(), Some(Flaw::OtherVersion));
}

#[test]
fn file_is_never_older_than_what_is_in_force() {
    let site = Site::new();
    let config = site.config();
    let load = || Arc::new(Ruleset::load(&config, place, None).unwrap());
    let snapshots = Snapshots::new(&config, true);
    assert!(restore(&config, place).is_err_and(|why| why.contains("no such file")));
    snapshots.write().unwrap();
    assert!(restore(&config, place).is_err());
    let first = load();
    snapshots.note(&config, Arc::clone(&first));
    snapshots.write().unwrap();
    same(&restore(&config, place).unwrap_or_else(|why| panic!("{why}")), &first);
    // Outdated, it is gone at once, and what was noted before is not written any more.
    snapshots.note(&config, first);
    snapshots.outdated();
    assert!(restore(&config, place).is_err_and(|why| why.contains("no such file")));
    snapshots.write().unwrap();
    assert!(restore(&config, place).is_err());
    snapshots.note(&config, load());
    snapshots.write().unwrap();
    assert!(restore(&config, place).is_ok());
}

#[test]
fn file_that_others_may_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    let config = site.config();
    let snapshots = Snapshots::new(&config, true);
    snapshots.note(&config, Arc::new(Ruleset::load(&config, place, None).unwrap()));
    snapshots.write().unwrap();
    for (mode, good) in [(0o602, false), (0o620, false), (0o644, true)] {
        let path = site.0.join("ruleset.bin");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(restore(&config, place).is_ok(), good, "{mode:o}");
    }
}

proptest::proptest! {
    /// Whatever a body says, with a digest that fits, it gives a rule set whose parts belong together, or none.
    #[test]
    fn any_body_is_a_rule_set_or_none(
        at in proptest::prelude::any::<usize>(), bytes in proptest::collection::vec(0u8..3, 0..12),
        cut in 0usize..60,
    ) {
        let site = Site::new();
        let config = site.config();
        let good = encode(&Ruleset::load(&config, place, None).unwrap(), &config).unwrap();
        let mut other = good.clone();
        let at = 16 + at % (other.len() - 16);
        other.iter_mut().skip(at).zip(&bytes).for_each(|(to, from)| *to = *from);
        other.truncate(other.len() - cut.min(other.len() - 16));
        let sum = digest(&other[16..]).to_le_bytes();
        other[8..16].copy_from_slice(&sum);
        if let Ok(rules) = decode(&other, &config, place) {
            for entry in rules.table().entries() {
                assert!(rules.list(entry.list).is_some());
                assert_eq!(entry.prefix, entry.prefix.trunc());
                assert!(rules.list(ListId(3)).is_none());
            }
        }
    }
}
