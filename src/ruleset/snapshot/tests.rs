use super::*;
use crate::config::Action;
use crate::ruleset::Age;
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

/// What a daemon would make of these bytes.
fn read(bytes: &[u8], config: &Config) -> Result<Ruleset, Flaw> {
    let stored = decode(bytes)?;
    match stored.is_for(config) {
        true => Ok(stored.complete(config, &[], place).unwrap()),
        false => Err(Flaw::OtherConfiguration),
    }
}

fn from_files(rules: &Ruleset) -> Vec<&ListInfo> {
    rules.lists.iter().filter(|list| list.is_from_a_file()).collect()
}

fn same(one: &Ruleset, other: &Ruleset) {
    assert_eq!(from_files(one), from_files(other));
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
    assert_eq!(from_files(&rules).len(), 3);
    let back = read(&encode(&rules, &config).unwrap(), &config).unwrap_or_else(|f| panic!("{f}"));
    same(&rules, &back);
}

#[test]
fn no_damage_of_a_bit_or_of_the_length_gives_a_rule_set() {
    let site = Site::new();
    let config = site.config();
    let good = encode(&Ruleset::load(&config, place, None).unwrap(), &config).unwrap();
    for length in 0..good.len() {
        assert!(read(&good[..length], &config).is_err(), "cut at {length}");
    }
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bytes, &config).is_err(), "bit {bit}");
    }
    assert_eq!(read(&[&good[..], &[0]].concat(), &config).err(), Some(Flaw::Damaged));
    assert!(read(&good, &config).is_ok(), "the control");
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
        let other = read(&good, &site.config()).err();
        assert_eq!(other, Some(Flaw::OtherConfiguration), "{to}");
    }
    // What says nothing about lists does not matter.
    site.write("kordon.toml", &format!("mode = \"monitor\"\n{CONFIG}"));
    assert!(read(&good, &site.config()).is_ok());
    let mut other = good.clone();
    other[7] = 1;
    assert_eq!(read(&other, &config).err(), Some(Flaw::OtherLayout));
    // The same layout, whole, of another version.
    let mut other = good.clone();
    let at = 16 + 8 + "{\"version\":\"".len();
    other[at] ^= 1;
    let sum = digest(&other[16..]).to_le_bytes();
    other[8..16].copy_from_slice(&sum);
    assert!(read(&other, &config).is_ok(), "the layout counts, not the version");
}

/// Whoever makes this test fail changes the layout, or what a field means: count MAGIC up, then write it anew.
#[test]
fn layout_is_the_one_that_its_number_stands_for() {
    let mut list = ListInfo::named("a", Action::Block, 3);
    list.path = "a.txt".into();
    list.remarks.add(2, "said");
    list.carved.add(|| "a.txt:1: 10.0.0.0/8".to_owned());
    (list.lines, list.prefixes, list.serial, list.dated) = (2, 2, Some(7), Some(8));
    (list.digest, list.changed) = (9, 10);
    let mut builder = Builder::new();
    let id = builder.list(Action::Block);
    builder.add(id, "203.0.113.0/24".parse().unwrap(), 2, Some(64500));
    builder.add(id, "2001:db8::/32".parse().unwrap(), 3, None);
    let mut rules = Ruleset::new(vec![list], builder.compile());
    rules.compiled = 11;
    rules.origin_names.insert(64500, "Example".to_owned());
    rules.origin_dates.push(("o".to_owned(), "2026-06-17".to_owned(), 12));
    let age = |name: &str| Age { name: name.to_owned(), written: Some(13), limit: Some(14) };
    rules.freshness = Freshness { lists: vec![age("a")], origins: vec![age("o")] };
    let resolution = concat!(
        r#"{"countries":[[0,2,[82,85]]],"formats":["vrp-json"],"groups":[{"asns":[64500],"name":"g","#,
        r#""title":"G"}],"warnings":["w"],"withdrawn":[[0,2,"203.0.113.0/24",15]]}"#,
    );
    rules.resolution = serde_json::from_str(resolution).unwrap();
    let site = Site::new();
    let bytes = encode(&rules, &site.config()).unwrap();
    let mut reader = Reader(&bytes[16..]);
    let mut head: serde_json::Value = serde_json::from_slice(reader.text().unwrap()).unwrap();
    head["version"] = "".into();
    head["configured"] = 0.into();
    let expected = concat!(
        r#"{"compiled":11,"configured":0,"freshness":{"lists":[{"limit":14,"name":"a","written":13}],"#,
        r#""origins":[{"limit":14,"name":"o","written":13}]},"lists":[{"action":"block","basis":{"dat"#,
        r#"e":null,"issuer":"","note":null,"number":""},"carved":{"first":["a.txt:1: 10.0.0.0/8"],"to"#,
        r#"tal":1},"changed":10,"dated":8,"digest":9,"duplicates":0,"format":"cidr","kind":"prefix",""#,
        r#"lines":2,"masked":0,"name":"a","path":"a.txt","prefixes":2,"rejected":{"first":[],"total":0},"remarks"#,
        r#"":{"ends":[[2,4]],"left_out":0,"texts":"said"},"review_by":null,"serial":7,"unterminated":"#,
        r#"false}],"origin_dates":[["o","2026-06-17",12]],"origin_names":{"64500":"Example"},"resolut"#,
        r#"ion":{"countries":[[0,2,[82,85]]],"formats":["vrp-json"],"groups":[{"asns":[64500],"name":"#,
        r#""g","title":"G"}],"warnings":["w"],"withdrawn":[[0,2,"203.0.113.0/24",15]]},"version":""}"#,
    );
    assert_eq!((MAGIC[7], head.to_string().as_str()), (6, expected));
    let entries: Vec<String> = reader.0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        entries.concat(),
        "0100000000000000a018cb007104f4fb00000100000000000000e02020010db806"
    );
}

/// Whoever makes this test fail has every gateway read its lists before it judges, at the upgrade that brings it, and
/// none has a last good rule set. A new key is to have no word here where it is not set (`skip_serializing_if`).
#[test]
fn what_a_snapshot_is_made_for_is_said_in_the_words_of_earlier_versions() {
    let site = Site::new();
    let mut config = site.config();
    config.lists.truncate(1);
    config.lists[0].path = "a.txt".into();
    config.origins[0].path = "o.csv".into();
    config.groups.truncate(1);
    (config.groups[0].name, config.groups[0].title) = ("g".to_owned(), "G".to_owned());
    config.groups[0].asns = vec![64500];
    config.recorders =
        vec![crate::config::Recorder { name: "r".to_owned(), address: [192, 0, 2, 7].into() }];
    config.local = vec!["192.0.2.0/24".parse().unwrap()];
    config.cameras.networks = vec!["2001:db8::/32".parse().unwrap()];
    let expected = concat!(
        r#"[[{"name":"a","path":"a.txt","kind":"prefix","format":"auto","action":"block","basis":{"issuer":"Office","#,
        r#""number":"7","date":"2026-01-02","note":"n"},"review_by":null,"allow_wide":false,"keep_local":false,"#,
        r#""at_least":1,"hold_down":{"secs":1209600,"nanos":0},"max_shrink":50,"max_growth":300,"max_rejected":0}],"#,
        r#"[{"name":"o","path":"o.csv","format":"csv"}],[{"name":"g","title":"G","asns":[64500]}],"#,
        r#"[{"name":"r","address":"192.0.2.7"}],["192.0.2.0/24"],["2001:db8::/32"]]"#,
    );
    assert_eq!(String::from_utf8(made_for(&config).unwrap()).unwrap(), expected);
}

#[test]
fn file_of_the_rule_set_before_is_of_the_last_change_or_not_there() {
    let site = Site::new();
    let config = site.config();
    let load = |text: &str| {
        site.write("c.txt", text);
        Arc::new(Ruleset::load(&config, place, None).unwrap())
    };
    let lists =
        |stored: Result<Stored, Failure>| stored.ok().map(|stored| stored.head.lists.into_owned());
    let of =
        |rules: &Arc<Ruleset>| Some(from_files(rules).into_iter().cloned().collect::<Vec<_>>());
    let uncounted = |lists: Option<Vec<ListInfo>>| {
        lists.map(|lists| {
            lists.into_iter().map(|l| ListInfo { counter: 0, ..l }).collect::<Vec<_>>()
        })
    };
    let before = || uncounted(lists(previous(&config)));
    let now = || {
        uncounted(lists(last_in_force(&config).map_err(|w| Failure::new(ExitStatus::Failed, w))))
    };
    let [one, two, three] = ["198.51.100.1\n", "198.51.100.2\n", "198.51.100.3\n"].map(load);
    let snapshots = Snapshots::new(&config);
    // Written in time.
    snapshots.note(&config, Arc::clone(&one));
    snapshots.write().unwrap();
    snapshots.outdated(Outdated::Kept);
    assert_eq!((before(), now()), (uncounted(of(&one)), None));
    // Replaced before it was written: from memory.
    snapshots.note(&config, Arc::clone(&two));
    snapshots.outdated(Outdated::Kept);
    assert_eq!((before(), now()), (None, None), "better none than an older one");
    snapshots.note(&config, Arc::clone(&three));
    snapshots.write().unwrap();
    assert_eq!((before(), now()), (uncounted(of(&two)), uncounted(of(&three))));
    // The same lists once more do not push it out.
    snapshots.outdated(Outdated::Same);
    snapshots.note(&config, Arc::clone(&three));
    snapshots.write().unwrap();
    assert_eq!((before(), now()), (uncounted(of(&two)), uncounted(of(&three))));
    // The way back is taken once.
    snapshots.outdated(Outdated::Undone);
    snapshots.write().unwrap();
    assert_eq!((before(), now()), (None, uncounted(of(&two))));
    snapshots.outdated(Outdated::Kept);
    assert_eq!((before(), now()), (uncounted(of(&two)), None));
}

#[test]
fn file_is_never_older_than_what_is_in_force() {
    let site = Site::new();
    let config = site.config();
    let load = || Arc::new(Ruleset::load(&config, place, None).unwrap());
    let snapshots = Snapshots::new(&config);
    assert!(restore(&config, &[], place).is_err_and(|why| why.contains("no such file")));
    snapshots.write().unwrap();
    assert!(restore(&config, &[], place).is_err());
    let first = load();
    snapshots.note(&config, Arc::clone(&first));
    snapshots.write().unwrap();
    same(&restore(&config, &[], place).unwrap_or_else(|why| panic!("{why}")), &first);
    // Outdated, it is gone at once, and what was noted before is not written any more.
    snapshots.note(&config, first);
    snapshots.outdated(Outdated::Same);
    assert!(restore(&config, &[], place).is_err_and(|why| why.contains("no such file")));
    snapshots.write().unwrap();
    assert!(restore(&config, &[], place).is_err());
    snapshots.note(&config, load());
    snapshots.write().unwrap();
    assert!(restore(&config, &[], place).is_ok());
}

#[test]
fn file_that_others_may_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    let config = site.config();
    let snapshots = Snapshots::new(&config);
    snapshots.note(&config, Arc::new(Ruleset::load(&config, place, None).unwrap()));
    snapshots.write().unwrap();
    for (mode, good) in [(0o602, false), (0o620, false), (0o644, true)] {
        let path = site.0.join("ruleset.bin");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(restore(&config, &[], place).is_ok(), good, "{mode:o}");
    }
}

#[test]
fn pipe_in_the_place_of_a_snapshot_is_refused_and_replaced() {
    let site = Site::new();
    let config = site.config();
    let path = site.0.join("ruleset.bin");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let said = restore(&config, &[], place).err().unwrap();
    assert!(said.ends_with("/ruleset.bin: is a named pipe, not a regular file"), "{said}");
    assert_eq!(last_in_force(&config).err().unwrap(), said);
    let snapshots = Snapshots::new(&config);
    snapshots.note(&config, Arc::new(Ruleset::load(&config, place, None).unwrap()));
    snapshots.write().unwrap();
    assert!(restore(&config, &[], place).is_ok(), "the control");
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
        if let Ok(rules) = read(&other, &config) {
            for entry in rules.table().entries() {
                assert!(rules.list(entry.list).is_some());
                assert_eq!(entry.prefix, entry.prefix.trunc());
            }
        }
    }
}
