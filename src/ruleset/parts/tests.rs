use std::path::PathBuf;

use super::*;

/// A folder with a configuration and lists, gone at the end.
struct Site(PathBuf);

impl Site {
    /// `more` stands behind the head; lists are files of these names.
    fn new(name: &str, more: &str, lists: &[(&str, &str)]) -> Self {
        let site = Site(std::env::temp_dir().join(format!("kordon-{name}-{}", std::process::id())));
        std::fs::create_dir_all(&site.0).unwrap();
        let head = "[cameras]\ninterfaces = [\"cam0\"]\nnetworks = [\"192.0.2.0/25\"]\n[state]\nfolder = \".\"\n";
        site.write("kordon.toml", &format!("{head}{more}"));
        lists.iter().for_each(|(file, text)| site.write(file, text));
        site
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).unwrap();
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

const LISTS: &str = r#"
[[list]]
name = "feed"
path = "feed.txt"
kind = "prefix"
action = "block"
[[list]]
name = "watched"
path = "feed.txt"
kind = "prefix"
action = "monitor"
[[list]]
name = "free"
path = "free.txt"
kind = "prefix"
action = "allow"
[[list]]
name = "all"
path = "feed.txt"
kind = "prefix"
action = "block"
keep_local = true
[[recorder]]
name = "nvr-1"
address = "203.0.113.9"
[local]
networks = ["198.51.100.0/28"]
"#;

const FEED: &str = "10.1.0.0/16\n203.0.113.0/24\n198.51.100.0/27\n192.0.2.64/26\n";

fn place(_: &str) -> Option<u16> {
    Some(1)
}

fn prefixes(rules: &Ruleset, name: &str) -> Vec<String> {
    let of = |entry: &super::super::Match| rules.list(entry.list).is_some_and(|l| l.name == name);
    rules.table().entries().filter(of).map(|entry| entry.prefix.to_string()).collect()
}

fn entry(prefix: &str, action: Action, until: u64) -> TemporaryEntry {
    TemporaryEntry {
        prefix: prefix.parse().unwrap(),
        action,
        at: 100,
        until,
        by: "root".into(),
        why: "ticket 7".into(),
    }
}

#[test]
fn local_space_is_taken_out_of_lists_that_drop_or_count_and_named() {
    let site = Site::new("carved", LISTS, &[("feed.txt", FEED), ("free.txt", "10.0.0.1\n")]);
    let rules = Ruleset::load(&site.config(), place, None).unwrap();
    let left = ["198.51.100.16/28", "203.0.113.0/24"];
    for name in ["feed", "watched"] {
        assert_eq!(prefixes(&rules, name), left, "{name}");
    }
    assert_eq!(prefixes(&rules, "all").len(), 4, "keep_local");
    assert_eq!(prefixes(&rules, "free"), ["10.0.0.1/32"], "an exemption is meant");
    let feed = &rules.lists[0];
    assert_eq!((feed.lines, feed.prefixes, feed.carved.total), (4, 2, 3));
    let file = site.0.join("feed.txt");
    let expected = [
        ":1: 10.1.0.0/16 is in local space and left out: 10.0.0.0/8 (private, RFC 1918)",
        ":3: 198.51.100.0/27 is used without local space: 198.51.100.0/28 (local.networks of the \
         configuration)",
        ":4: 192.0.2.64/26 is in local space and left out: 192.0.2.0/25 (a network of the cameras)",
    ];
    assert_eq!(feed.carved.first, expected.map(|text| format!("{}{text}", file.display())));
    assert!(feed.carved_in_words().unwrap().ends_with("(and 2 more: `kordon check` names them)"));
    // The part that is left still names its line.
    let part = rules.matches("198.51.100.17".parse().unwrap());
    assert_eq!(part.iter().map(|entry| entry.line).collect::<Vec<_>>(), [3, 3, 3]);
}

#[test]
fn list_of_nothing_but_local_space_is_refused() {
    let site = Site::new(
        "nothing-left",
        LISTS,
        &[("feed.txt", "10.1.0.0/16\n"), ("free.txt", "1.1.1.1\n")],
    );
    let failure = Ruleset::load(&site.config(), place, None).err().unwrap();
    assert_eq!(failure.status, ExitStatus::BadData);
    assert!(failure.message.starts_with("list feed: names nothing but local space"), "{failure}");
    site.write("feed.txt", "10.1.0.0/16\n203.0.113.7\n");
    assert!(Ruleset::load(&site.config(), place, None).is_ok(), "the control");
}

#[test]
fn recorder_is_exempt_by_name_and_its_prefix_is_not_counted() {
    let site = Site::new("recorder", LISTS, &[("feed.txt", FEED), ("free.txt", "10.0.0.1\n")]);
    let config = site.config();
    let rules = Ruleset::load(&config, place, None).unwrap();
    let hit = rules.table().lookup("203.0.113.9".parse().unwrap()).unwrap();
    assert_eq!(hit.action, Action::Allow);
    let list = rules.list(hit.list).unwrap();
    assert_eq!((list.name.as_str(), list.is_from_a_file()), (PROTECTED, false));
    let recorder = ("203.0.113.9/32".parse().unwrap(), "recorder nvr-1".to_owned());
    assert!(covering_protected(&rules).contains(&recorder));
    assert_eq!(protects_all(&rules, &config), Ok(true));
    // 4 of `all`, the part that is left of one, and the exemption; not the recorder.
    assert_eq!(rules.prefixes()[0], 6);
    let mut other = config;
    other.recorders.clear();
    assert_eq!(protects_all(&rules, &other), Ok(false));
}

#[test]
fn entries_by_command_come_and_go_without_a_file_being_read() {
    let site = Site::new("rebuilt", LISTS, &[("feed.txt", FEED), ("free.txt", "10.0.0.1\n")]);
    let config = site.config();
    let first = Ruleset::load_with(&config, place, None, &[]).unwrap();
    let files: Vec<ListInfo> = first.lists.iter().filter(|l| l.is_from_a_file()).cloned().collect();
    std::fs::remove_file(site.0.join("feed.txt")).unwrap();
    let given =
        [entry("192.0.0.0/9", Action::Block, 200), entry("203.0.113.64/26", Action::Allow, 300)];
    let with = first.rebuilt(&config, &given, place).unwrap();
    let blocked = prefixes(&with, BLOCKED);
    assert!(blocked.contains(&"192.0.2.128/25".to_owned()), "{blocked:?}");
    assert!(!blocked.contains(&"192.0.0.0/9".to_owned()), "{blocked:?}");
    assert_eq!(prefixes(&with, ALLOWED), ["203.0.113.64/26"]);
    let action = |rules: &Ruleset, address: &str| {
        rules.table().lookup(address.parse().unwrap()).map(|hit| hit.action)
    };
    assert_eq!(action(&with, "192.64.0.1"), Some(Action::Block));
    assert_eq!(action(&with, "203.0.113.65"), Some(Action::Allow));
    assert_eq!(action(&with, "203.0.113.1"), Some(Action::Block));
    let list = with.lists.iter().find(|list| list.name == ALLOWED).unwrap();
    let said = "until 1970-01-01 00:05 UTC, by root: ticket 7";
    assert_eq!((list.remarks.of(1), list.changed), (Some(said), 100));
    // Without them it is what it was.
    let back = with.rebuilt(&config, &[], place).unwrap();
    assert!(back.table().entries().eq(first.table().entries()));
    assert_eq!(
        back.lists.iter().filter(|l| l.is_from_a_file()).cloned().collect::<Vec<_>>(),
        files
    );
    assert_eq!((action(&back, "192.64.0.1"), back.compiled), (None, first.compiled));
}
