use super::*;
use crate::config::samples::Folder;

const GOOD: &str = r#"[cameras]
interfaces = ["cam0"]
[[list]]
name = "a"
path = "a.txt"
kind = "prefix"
action = "block"
"#;

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let folder = Folder::new();
    let config = folder.load(GOOD).unwrap();
    assert_eq!(config.mode, Mode::Enforce);
    assert_eq!(config.on_failure, OnFailure::Closed);
    assert!(!config.is_open());
    assert_eq!(config.queue.first, 40);
    assert!((1..=4).contains(&config.queue.count));
    assert_eq!(config.queue.backend, QueueBackend::Native);
    assert_eq!(config.queue.copy_range, 128);
    let all = u32::from(config.queue.count) * config.queue.max_length;
    assert!((32_700..=32_768).contains(&all), "2 GiB of 64 KiB aggregates");
    assert_eq!(config.rules.mark, Mark { value: 0x1000_0000, mask: 0x3000_0000 });
    assert_eq!(config.metrics_listen.unwrap().to_string(), "127.0.0.1:19420");
    assert_eq!(config.control_socket, Path::new("/run/kordon/control.sock"));
    assert_eq!(config.state_folder, Path::new("/var/lib/kordon"));
    assert!(!config.watch);
    assert_eq!(config.lists[0].path, folder.0.join("a.txt"));
}

#[test]
fn monitor_mode_is_open() {
    let config = Folder::new().load(&format!("mode = \"monitor\"\n{GOOD}")).unwrap();
    assert!(config.is_open());
}

#[test]
fn a_drop_in_wins_and_adds_lists() {
    let folder = Folder::new();
    folder.write("conf.d/10-mode.toml", "mode = \"monitor\"\n[queue]\nfirst = 50\n");
    folder.write(
        "conf.d/20-more.toml",
        "[queue]\nfirst = 60\n[[list]]\nname = \"b\"\npath = \"lists.d/b\"\nkind = \"asn\"\naction = \"allow\"\n",
    );
    folder.write("conf.d/ignored.toml.bak", "not TOML");
    let config = folder.load(GOOD).unwrap();
    assert_eq!((config.mode, config.queue.first), (Mode::Monitor, 60));
    let names: Vec<&str> = config.lists.iter().map(|list| list.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        config.lists[1].path,
        folder.0.join("lists.d/b"),
        "relative to the main file's folder"
    );
    assert_eq!(config.files.len(), 3);
}

#[test]
fn a_drop_in_is_refused_at_its_own_place() {
    let folder = Folder::new();
    folder.write("conf.d/10.toml", "[queue]\n\nfirst = -1\n");
    let (status, message) = folder.refusal(GOOD);
    assert_eq!(status, 78);
    assert_eq!(message, "conf.d/10.toml:3:9: -1 is out of range: expected 0 to 65535");
}

/// Every refusal: what is written, and the whole message.
#[test]
fn every_refusal_names_the_thing_and_the_place() {
    let with = |tail: &str| format!("{GOOD}{tail}");
    let list = "[[list]]\npath = \"b\"\nkind = \"prefix\"\naction = \"block\"\n";
    let cases = [
        (
            format!("queu = 3\n{GOOD}"),
            "kordon.toml:1:1: unknown field `queu`, expected one of `mode`, `on_failure`, `cameras`, `camera`, `queue`, `rules`, `metrics`, `control`, `state`, `reload`, `list`, `origin`, `group`, `recorder`, `local`, `default`, `tunnels`, `packets`, `policy`",
        ),
        (
            format!("mode = \"enforced\"\n{GOOD}"),
            "kordon.toml:1:8: mode: unknown variant `enforced`, expected `monitor` or `enforce`",
        ),
        (format!("mode = 3\n{GOOD}"), "kordon.toml:1:8: mode: expected text in quotes"),
        (
            format!("on_failure = \"ajar\"\n{GOOD}"),
            "kordon.toml:1:14: on_failure: unknown variant `ajar`, expected `closed` or `open`",
        ),
        ("[cameras\n".into(), "kordon.toml:1:9: unclosed table, expected `]`"),
        (
            String::new(),
            "kordon.toml: cameras: name at least one of `interfaces`, `networks`, `trusted_interfaces`, or no packet is judged",
        ),
        (
            "[cameras]\ninterfaces = [\"cam0\"]\n".into(),
            "kordon.toml: no [[list]]: an empty rule set is refused",
        ),
        (
            "[cameras]\ninterfaces = [\"cam 0\"]\n".into(),
            "kordon.toml:2:15: `cam 0` is not an interface name (1 to 15 characters, no blanks)",
        ),
        (
            "[cameras]\ninterfaces = \"cam0\"\n".into(),
            "kordon.toml:2:14: interfaces: invalid type: string \"cam0\", expected a sequence",
        ),
        (
            "[cameras]\ninterfaces = [\"cam0\"]\ntrusted_interfaces = [\"cam0\"]\n".into(),
            "kordon.toml: cameras: interface `cam0` is in `interfaces` and in `trusted_interfaces`",
        ),
        (
            "[cameras]\nnetworks = [\"192.0.2.7/24\"]\n".into(),
            "kordon.toml:2:13: `192.0.2.7/24` has host bits set: write 192.0.2.0/24",
        ),
        (
            "[cameras]\nnetworks = [\"::/0\"]\n".into(),
            "kordon.toml:2:13: `::/0` is every address; use `trusted_interfaces` for that",
        ),
        (
            "[cameras]\nnetworks = [\"192.0.2.0\"]\n".into(),
            "kordon.toml:2:13: `192.0.2.0` is not a network: write ADDRESS/LENGTH, as in 192.0.2.0/24",
        ),
        (
            with("at_least = 2\n"),
            "kordon.toml:8:12: at_least counts origin tables, which a list of prefixes does not use",
        ),
        (
            with("hold_down = \"never\"\n"),
            "kordon.toml:8:13: `never` is no time to hold: write \"0s\" for none",
        ),
        (with("max_shrink = 101\n"), "kordon.toml:8:14: 101 is out of range: expected 0 to 100"),
        (
            with("review_by = 2026-01-01T00:00:00\n"),
            "kordon.toml:8:13: `2026-01-01T00:00:00` is not a date: write YYYY-MM-DD without quotes",
        ),
        (
            with("[[group]]\nname = \"x\"\nasns = []\n"),
            "kordon.toml:10:8: a group has 1 to 4096 AS numbers, not 0",
        ),
        (
            with("[[group]]\nname = \"x\"\nasns = [0]\n"),
            "kordon.toml:10:9: 0 is out of range: expected 1 to 4294967294",
        ),
        (
            with("[[recorder]]\nname = \"x\"\naddress = \"192.0.2.0/24\"\n"),
            "kordon.toml:10:11: `192.0.2.0/24` is not an IP address",
        ),
        (
            with("[[group]]\nname = \"x\"\nasns = [1]\n[[group]]\nname = \"x\"\nasns = [2]\n"),
            "kordon.toml:12:8: group `x` is declared twice, first at kordon.toml:9:8",
        ),
        (
            with("[queue]\nfirst = 70000\n"),
            "kordon.toml:9:9: 70000 is out of range: expected 0 to 65535",
        ),
        (with("[queue]\ncount = 0\n"), "kordon.toml:9:9: 0 is out of range: expected 1 to 64"),
        (
            with("[queue]\nfirst = 65535\ncount = 2\n"),
            "kordon.toml: queue: first = 65535 with count = 2 runs beyond queue number 65535",
        ),
        (
            with("[queue]\ncopy_range = 20\n"),
            "kordon.toml:9:14: 20 is out of range: expected 64 to 1024",
        ),
        (
            with("[queue]\nbackend = \"pcap\"\n"),
            "kordon.toml:9:11: backend: unknown variant `pcap`, expected `native` or `nfq`",
        ),
        (
            with("[queue]\nmax_held_bytes = \"12 parsecs\"\n"),
            "kordon.toml:9:18: not a size: write a number of bytes, or text such as \"16MiB\"",
        ),
        (
            with("[queue]\nmax_held_bytes = \"1MiB\"\n"),
            "kordon.toml:9:18: 1048576 bytes is too small: at least 16777216",
        ),
        (
            with("[queue]\ncount = 4\nmax_held_bytes = \"63MiB\"\n"),
            "kordon.toml: queue.max_held_bytes = 66060288 is too small for 4 queues: at least 64 MiB (256 aggregates of 64 KiB each)",
        ),
        (
            with("[queue]\ncount = 1\nmax_held_bytes = \"16MiB\"\nbuffer_bytes = \"1MiB\"\n"),
            "kordon.toml: queue.buffer_bytes = 1048576 is too large: a queue within queue.max_held_bytes = 16777216, \
             shared out among 1, is full before it, and what is lost then is not counted; at most 80384, or \
             queue.max_held_bytes of at least 95 MiB",
        ),
        (
            with("[queue]\nbuffer_bytes = 100\n"),
            "kordon.toml:9:16: 100 bytes is too small: at least 65536",
        ),
        (
            with("[queue]\nbuffer_bytes = true\n"),
            "kordon.toml:9:16: buffer_bytes: expected a number of bytes such as 16777216 or \"16MiB\"",
        ),
        (
            with("[rules]\nmark = 0x1\n"),
            "kordon.toml:9:8: rules.mark 0x1 has bits outside rules.mask 0x30000000",
        ),
        (
            with("[rules]\nmark = 0\n"),
            "kordon.toml:9:8: 0 is not a mark: expected 0x1 to 0xffffffff",
        ),
        (
            with("[metrics]\nlisten = \"localhost:1\"\n"),
            "kordon.toml:9:10: `localhost:1` is not ADDRESS:PORT (or \"off\")",
        ),
        (with("[control]\nsocket = \" \"\n"), "kordon.toml:9:10: must not be empty"),
        (with("[state]\nfolder = \"\"\n"), "kordon.toml:9:10: must not be empty"),
        (
            with("[reload]\ndebounce = \"fast\"\n"),
            "kordon.toml:9:12: `fast` is not a duration from 10ms to 60m, such as \"500ms\" or \"2s\"",
        ),
        (
            with("max_age = \"1w\"\n"),
            "kordon.toml:8:11: `1w` is not an age from 1h to 3650d, such as \"36h\" or \"30d\" (or \"never\")",
        ),
        (
            with("max_age = \"0d\"\n"),
            "kordon.toml:8:11: `0d` is not an age from 1h to 3650d, such as \"36h\" or \"30d\" (or \"never\")",
        ),
        (
            with("[list.basis]\nissuer = \"x\"\ndate = \"2022\"\n"),
            "kordon.toml:10:8: date: invalid type: string \"2022\", expected a TOML datetime",
        ),
        (
            with("[list.basis]\nissuer = \"x\"\ndate = 2022-02-27T10:00:00Z\n"),
            "kordon.toml:10:8: `2022-02-27T10:00:00Z` is not a date: write YYYY-MM-DD without quotes",
        ),
        (with("[list.basis]\nnumber = \"1\"\n"), "kordon.toml:8:1: missing field `issuer`"),
        (
            with("allow_wides = true\n"),
            "kordon.toml:8:1: unknown field `allow_wides`, expected one of `name`, `path`, `kind`, `format`, `action`, `basis`, `review_by`, `allow_wide`, `keep_local`, `at_least`, `hold_down`, `max_shrink`, `max_growth`, `max_rejected`, `max_age`",
        ),
        (
            with(&format!("{list}name = \"a\"\n")),
            "kordon.toml:12:8: list `a` is declared twice, first at kordon.toml:4:8",
        ),
        (
            with(&format!("{list}name = \"_b\"\n")),
            "kordon.toml:12:8: `_b` is not a name: 1 to 64 letters, digits, `-`, `_`, `.`, not beginning with `_`",
        ),
        (
            with("[[camera]]\nname = \"x\"\naddress = \"192.0.2\"\n"),
            "kordon.toml:10:11: `192.0.2` is not an IP address",
        ),
        (
            with(
                "[[camera]]\nname = \"x\"\naddress = \"192.0.2.1\"\n[[camera]]\nname = \"y\"\naddress = \"192.0.2.1\"\n",
            ),
            "kordon.toml:13:11: camera address `192.0.2.1` is declared twice, first at kordon.toml:10:11",
        ),
        (
            with("[tunnels]\nvpn = \"drop\"\n"),
            "kordon.toml:9:1: `vpn` is not a tunnel: one of ipip, 6in4, gre, esp, ah, l2tp, etherip, ipcomp, mpls, vxlan, geneve, gtp_u, teredo, wireguard, openvpn, ike",
        ),
        (
            with("[tunnels]\nwireguard = \"inspect\"\n"),
            "kordon.toml:9:13: wireguard cannot be inspected, what it carries is encrypted or compressed: drop or accept",
        ),
        (
            with("[packets]\nnat64_prefixes = [\"2001:db8::/44\"]\n"),
            "kordon.toml:9:19: `2001:db8::/44` is not a NAT64 prefix: IPv6, of length 32, 40, 48, 56, 64 or 96",
        ),
        (
            with("[[camera]]\nname = \"x\"\naddress = \"192.0.2.1\"\nmac = \"02:00\"\n"),
            "kordon.toml:11:7: `02:00` is not a MAC address, such as 02:00:5e:10:00:01",
        ),
        (
            with("[[camera]]\nname = \"x\"\naddress = []\n"),
            "kordon.toml:10:11: a camera needs at least one address",
        ),
        (
            with("[[policy]]\nname = \"p\"\ncameras = []\n"),
            "kordon.toml:10:11: a policy without cameras is for nobody; for everybody write [\"0.0.0.0/0\", \"::/0\"]",
        ),
        (
            with("[[policy]]\nname = \"p\"\ncameras = [\"gate\"]\n"),
            "kordon.toml:10:12: `gate` is neither the name of a [[camera]] nor a network",
        ),
        (
            with("[[policy]]\nname = \"p\"\ncameras = [\"192.0.2.1\", \"192.0.2.1/32\"]\n"),
            "kordon.toml:10:25: 192.0.2.1/32 is in policy `p` already",
        ),
        (
            with("[[policy]]\nname = \"p\"\ncameras = [\"192.0.2.1\"]\nlists = [\"b\"]\n"),
            "kordon.toml:11:10: there is no [[list]] `b`",
        ),
        (
            with("[[policy]]\nname = \"p\"\ncameras = [\"192.0.2.1\"]\nlists = []\n"),
            "kordon.toml:9:8: policy `p` has no lists and lets unlisted destinations pass: it would judge nothing",
        ),
        (
            with("[[origin]]\nname = \"o\"\npath = \"o\"\nformat = \"xml\"\n"),
            "kordon.toml:11:10: format: unknown variant `xml`, expected one of `auto`, `iptoasn`, `csv`, `pfx2as`, `bgptools`, `geolite2`, `mmdb`, `vrp-json`, `vrp-csv`, `prefix-asn`, `delegated`",
        ),
    ];
    let folder = Folder::new();
    for (text, expected) in &cases {
        assert_eq!(folder.refusal(text), (78, (*expected).to_owned()), "for:\n{text}");
    }
    folder.load(GOOD).expect("the control: the configuration the cases are made from is good");
}

#[test]
fn files_that_are_none_are_refused() {
    let folder = Folder::new();
    let missing = Config::load(&folder.0.join("none.toml")).unwrap_err();
    assert_eq!(
        (missing.status.code(), folder.strip(&missing.message).as_str()),
        (66, "none.toml: no such file")
    );
    let directory = Config::load(&folder.0.join("conf.d")).unwrap_err();
    assert_eq!(
        (directory.status.code(), folder.strip(&directory.message).as_str()),
        (66, "conf.d: is a directory, not a regular file")
    );
    let bytes = folder.write("latin.toml", b"# \n# caf\xe9\n");
    let latin = Config::load(&bytes).unwrap_err();
    assert_eq!(
        (latin.status.code(), folder.strip(&latin.message).as_str()),
        (78, "latin.toml:2: not UTF-8")
    );
}

#[test]
fn a_configured_group_replaces_the_shipped_one() {
    let folder = Folder::new();
    let shipped = folder.load(GOOD).unwrap().groups;
    let names: Vec<&str> = shipped.iter().map(|g| g.name.as_str()).collect();
    assert_eq!(names, ["vk", "digital-network"]);
    let text = format!("{GOOD}[[group]]\nname = \"vk\"\ntitle = \"Ours\"\nasns = [64500]\n");
    let groups = folder.load(&text).unwrap().groups;
    let vk: Vec<_> = groups.iter().filter(|g| g.name == "vk").collect();
    assert_eq!(vk.len(), 1);
    assert_eq!((vk[0].title.as_str(), vk[0].asns.as_slice()), ("Ours", [64500].as_slice()));
}

#[test]
fn a_256th_list_is_one_too_many() {
    let folder = Folder::new();
    let list = |n: usize| {
        format!("[[list]]\nname = \"l{n}\"\npath = \"p\"\nkind = \"prefix\"\naction = \"block\"\n")
    };
    let text = |count: usize| {
        let lists: String = (0..count).map(list).collect();
        format!("[cameras]\ninterfaces = [\"cam0\"]\n{lists}")
    };
    assert_eq!(folder.load(&text(LIST_LIMIT)).unwrap().lists.len(), 255);
    let (_, message) = folder.refusal(&text(LIST_LIMIT + 1));
    assert!(message.ends_with("more than 255 lists"), "{message}");
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_configuration_or_refused(text in "[\\[\\]a-z=\"'#\n0-9. ]{0,200}") {
        let folder = Folder::new();
        let _ = folder.load(&text);
    }
}

#[test]
fn a_reload_may_change_lists_and_nothing_else() {
    let folder = Folder::new();
    let running = folder.load(GOOD).unwrap();
    let other_list = folder.load(&GOOD.replace("a.txt", "b.txt")).unwrap();
    assert!(crate::config::needs_restart(&running, &other_list).is_empty());
    for (tail, key) in [
        ("[queue]\nfirst = 41\n", "queue.first"),
        ("[queue]\ncount = 5\n", "queue.count"),
        ("[queue]\nbackend = \"nfq\"\n", "queue.backend"),
        ("[queue]\ncopy_range = 256\n", "queue.copy_range"),
        ("[queue]\nbuffer_bytes = 1000000\n", "queue.buffer_bytes"),
        ("[rules]\nmanage = false\n", "rules"),
        ("[metrics]\nlisten = \"off\"\n", "metrics.listen"),
        ("[control]\nsocket = \"x\"\n", "control.socket"),
        ("[state]\nfolder = \"x\"\n", "state.folder"),
        ("[reload]\nwatch = true\n", "reload"),
        ("[[camera]]\nname = \"x\"\naddress = \"192.0.2.1\"\n", "camera"),
    ] {
        let new = folder.load(&format!("{GOOD}{tail}")).unwrap();
        assert!(crate::config::needs_restart(&running, &new).contains(&key), "{key}");
    }
    let one = folder.load(&format!("{GOOD}[queue]\ncount = 1\n")).unwrap();
    let two = folder.load(&format!("{GOOD}[queue]\ncount = 2\n")).unwrap();
    assert_eq!(
        crate::config::needs_restart(&one, &two),
        ["queue.count"],
        "not what follows from it"
    );
    let monitor = folder.load(&format!("mode = \"monitor\"\n{GOOD}")).unwrap();
    assert_eq!(crate::config::needs_restart(&running, &monitor), ["mode"]);
    let open = folder.load(&format!("on_failure = \"open\"\n{GOOD}")).unwrap();
    assert_eq!(crate::config::needs_restart(&running, &open), ["on_failure"]);
    let cameras = folder.load(&GOOD.replace("cam0", "cam1")).unwrap();
    assert_eq!(crate::config::needs_restart(&running, &cameras), ["cameras.interfaces"]);
}
