//! The configuration as shipped: it blocks an address of each shipped AS number and passes the neighbours.
//!
//! Offline: only `kordon why` and `kordon check` over the files in `config/`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

/// VK, then LLC Digital Network.
const ASNS: [u32; 14] = [
    47764, 47541, 28709, 47542, 49797, 49988, 57973, 60863, 62243, 207581, 207970, 213235, 12695,
    201186,
];

fn kordon(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kordon"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("kordon runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn why(addresses: &[IpAddr]) -> Vec<serde_json::Value> {
    let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let mut arguments = vec!["why", "--config", "config/kordon.toml", "-o", "json"];
    arguments.extend(texts.iter().map(String::as_str));
    let (status, stdout, stderr) = kordon(&arguments);
    assert_eq!(status, 0, "{stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// The rows of the shipped origin table: first address, last address, AS number.
fn rows() -> Vec<(IpAddr, IpAddr, u32)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/origins/vk-digital-network.csv");
    let text = std::fs::read_to_string(path).expect("the shipped table is there");
    let row = |line: &str| {
        let mut fields = line.split(',');
        let mut next = || fields.next().expect("a field");
        let (start, end) = (next().parse().expect("start"), next().parse().expect("end"));
        (start, end, next().parse().expect("asn"))
    };
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(row).collect()
}

fn neighbour(address: IpAddr, step: i8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits().wrapping_add_signed(step.into())).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits().wrapping_add_signed(step.into())).into()),
    }
}

#[test]
fn an_address_of_each_shipped_as_number_is_blocked_by_it() {
    let mut first: BTreeMap<u32, IpAddr> = BTreeMap::new();
    for (start, _, asn) in rows() {
        first.entry(asn).or_insert(start);
    }
    let mut shipped = ASNS.to_vec();
    shipped.sort_unstable();
    assert_eq!(first.keys().copied().collect::<Vec<_>>(), shipped);
    let addresses: Vec<IpAddr> = first.values().copied().collect();
    for (answer, asn) in why(&addresses).iter().zip(first.keys()) {
        assert_eq!(answer["verdict"], "drop", "{answer}");
        assert_eq!(answer["reason"], "blocked");
        assert_eq!(answer["source"], "files: not in force");
        let winner = &answer["winner"];
        assert_eq!(winner["origin_as"], *asn);
        assert_eq!(winner["list"], "vk-digital-network");
        assert_eq!(winner["basis"], "NCU 01-140/101, 2022-02-27");
        assert!(winner["origin_name"].as_str().is_some_and(|name| !name.is_empty()), "{answer}");
    }
}

#[test]
fn every_shipped_range_is_blocked_whole_and_its_neighbours_pass() {
    let rows = rows();
    let listed =
        |address: IpAddr| rows.iter().any(|(start, end, _)| (*start..=*end).contains(&address));
    let mut inside = Vec::new();
    let mut outside = Vec::new();
    for (start, end, _) in &rows {
        inside.extend([*start, *end]);
        outside.extend(
            [neighbour(*start, -1), neighbour(*end, 1)].into_iter().filter(|a| !listed(*a)),
        );
    }
    assert!(outside.len() > 300, "the control: most neighbours are not listed ({})", outside.len());
    for (addresses, verdict) in [(inside, "drop"), (outside, "accept")] {
        for (answer, address) in why(&addresses).iter().zip(&addresses) {
            assert_eq!(answer["verdict"], verdict, "{address}: {answer}");
        }
    }
}

#[test]
fn the_exit_code_tells_a_drop_from_a_pass() {
    let listed = rows()[0].0.to_string();
    let ask = |address: &str| {
        kordon(&["why", address, "--config", "config/kordon.toml", "--exit-code"]).0
    };
    assert_eq!(ask(&listed), 10);
    assert_eq!(ask("192.0.2.1"), 0);
    assert_eq!(ask("not-an-address"), 2);
}

#[test]
fn the_shipped_configuration_passes_its_own_check() {
    let (status, stdout, stderr) = kordon(&["check", "--config", "config/kordon.toml"]);
    assert_eq!(status, 0, "{stdout}{stderr}");
    assert!(stdout.contains("14 AS numbers -> 276 prefixes"), "{stdout}");
    assert!(stdout.contains("243 IPv4 and 33 IPv6 prefixes"), "{stdout}");
}
