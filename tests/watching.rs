//! The alert rules and the dashboard: they name only what kordon exports, the alerts fire when they should
//! (promtool says so), and the documents explain each.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kordon::telemetry::families::{self, Kind};
use serde_json::{Value, json};

/// What Prometheus itself puts on every series.
const FROM_PROMETHEUS: [&str; 2] = ["job", "instance"];
/// What the client library exports about the process, and Prometheus about the target.
const FROM_OTHERS: [&str; 8] = [
    "up",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every series that can be asked for, with its labels.
fn series() -> BTreeMap<String, Vec<&'static str>> {
    let mut series = BTreeMap::new();
    for metric in families::ALL {
        if metric.kind == Kind::Histogram {
            let labels: Vec<_> = metric.labels.iter().copied().chain(["le"]).collect();
            series.insert(format!("{}_bucket", metric.name), labels);
            series.insert(format!("{}_sum", metric.name), metric.labels.to_vec());
            series.insert(format!("{}_count", metric.name), metric.labels.to_vec());
        } else {
            series.insert(metric.name.to_owned(), metric.labels.to_vec());
        }
    }
    series.extend(FROM_OTHERS.map(|name| (name.to_owned(), Vec::new())));
    series
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The text without what stands between quotes.
fn unquoted(text: &str) -> String {
    text.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// What is wrong with an expression (and the labels that its legend or annotations show), in words.
fn faults(expression: &str, shown: &[&str]) -> Vec<String> {
    let (series, text) = (series(), unquoted(expression));
    let (mut faults, mut labels, mut used) = (Vec::new(), BTreeSet::from(FROM_PROMETHEUS), 0);
    let mut rest = text.as_str();
    while let Some(begin) = rest.find(is_word) {
        let end = rest[begin..].find(|c| !is_word(c)).map_or(rest.len(), |end| begin + end);
        let (word, after) = (&rest[begin..end], &rest[end..]);
        rest = after;
        let ours = ["kordon_", "process_"].iter().any(|prefix| word.starts_with(prefix));
        let Some(known) = series.get(word) else {
            if ours {
                faults.push(format!("{word} is not exported"));
            }
            continue;
        };
        used += 1;
        labels.extend(known);
        if let Some(matchers) = after.strip_prefix('{') {
            let matchers = &matchers[..matchers.find('}').unwrap_or(matchers.len())];
            for name in matchers.split(',').map(|m| m.trim().trim_end_matches(['=', '~', '!', '"']))
            {
                if !known.contains(&name) && !FROM_PROMETHEUS.contains(&name) {
                    faults.push(format!("{word} has no label {name:?}"));
                }
            }
            rest = &after[matchers.len() + 2..];
        }
    }
    if used == 0 {
        faults.push("no metric of kordon's in it".to_owned());
    }
    let grouped = ["by (", "on (", "without (", "ignoring ("].into_iter().flat_map(|word| {
        text.split(word).skip(1).flat_map(|rest| rest.split(')').next().unwrap().split(','))
    });
    for name in grouped.map(str::trim).chain(shown.iter().copied()) {
        if !labels.contains(name) {
            faults.push(format!("nothing in it has a label {name:?}"));
        }
    }
    faults
}

/// The labels in `{{camera}}` or `{{ $labels.camera }}`.
fn shown(text: &str) -> Vec<&str> {
    let inside = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    inside
        .flat_map(|inside| inside.split_whitespace())
        .filter_map(|word| match word.strip_prefix("$labels.") {
            Some(label) => Some(label),
            None => word.chars().all(is_word).then_some(word),
        })
        .filter(|word| !["with", "end"].contains(word))
        .collect()
}

/// One alert of the rule file.
struct Alert {
    name: String,
    expression: String,
    text: String,
}

/// The alerts, read by the file's indentation.
fn alerts() -> Vec<Alert> {
    let text = read("kordon.rules.yml");
    let parts = text.split("\n      - alert: ").skip(1);
    let alerts = parts.map(|part| {
        let (_, after) = part.split_once("\n        expr: ").expect("an alert has an expression");
        let folded = after.strip_prefix(">-\n");
        let expression = match folded {
            None => after.lines().next().unwrap().to_owned(),
            Some(lines) => {
                let lines = lines.lines().take_while(|line| line.starts_with("          "));
                lines.map(str::trim).collect::<Vec<_>>().join(" ")
            }
        };
        Alert { name: part.lines().next().unwrap().to_owned(), expression, text: part.to_owned() }
    });
    alerts.collect()
}

#[test]
fn no_alert_names_an_unknown_metric_or_label() {
    let alerts = alerts();
    assert!(alerts.len() >= 12, "{} alerts", alerts.len());
    for alert in &alerts {
        let faults = faults(&alert.expression, &shown(&alert.text));
        assert!(faults.is_empty(), "{}: {}: {faults:?}", alert.name, alert.expression);
        for key in ["severity:", "summary:", "description:", "command:"] {
            assert!(alert.text.contains(key), "{} has no {key}", alert.name);
        }
    }
    // The controls.
    for (expression, shown, fault) in [
        ("kordon_enforced == 0", vec![], "kordon_enforced is not exported"),
        ("process_memory > 1", vec![], "process_memory is not exported"),
        ("kordon_enforcing{list=\"x\"} == 0", vec![], "no label \"list\""),
        ("kordon_packets_total{job=\"a\",families=~\"b\"}", vec![], "no label \"families\""),
        ("sum by (job, camera) (kordon_packets_total)", vec![], "a label \"camera\""),
        ("kordon_packets_total > 1", vec!["queue"], "a label \"queue\""),
        ("kordon_decision_duration_seconds > 1", vec![], "is not exported"),
        ("vector(1)", vec![], "no metric"),
    ] {
        let found = faults(expression, &shown);
        assert!(found.iter().any(|found| found.contains(fault)), "{expression}: {found:?}");
    }
    assert_eq!(shown("{{ $labels.camera }} of {{queue}}"), ["camera", "queue"]);
}

/// Each object in a JSON document.
fn objects<'a>(
    value: &'a serde_json::Value,
    found: &mut Vec<&'a serde_json::Map<String, serde_json::Value>>,
) {
    match value {
        serde_json::Value::Object(map) => {
            found.push(map);
            map.values().for_each(|value| objects(value, found));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| objects(value, found)),
        _ => {}
    }
}

#[test]
fn no_panel_names_an_unknown_metric_or_label_or_a_data_source_of_somebody() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("kordon.dashboard.json")).unwrap();
    let mut found = Vec::new();
    objects(&dashboard, &mut found);
    let mut expressions = 0;
    for object in found {
        if let Some(expression) = object.get("expr").and_then(|text| text.as_str()) {
            expressions += 1;
            let legend = object.get("legendFormat").and_then(|text| text.as_str()).unwrap_or("");
            let faults =
                faults(&expression.replace("$__", "").replace("$instance", ""), &shown(legend));
            assert!(faults.is_empty(), "{expression}: {faults:?}");
            assert!(expression.contains("$instance"), "{expression}: mixes the gateways");
        }
        if object.contains_key("targets") {
            let title = object["title"].as_str().unwrap();
            assert!(
                !object["description"].as_str().unwrap_or("").is_empty(),
                "{title}: says nothing"
            );
        }
        if let Some(uid) = object.get("datasource").and_then(|source| source.get("uid")) {
            assert_eq!(uid, "${datasource}", "provisioning cannot choose this one");
        }
    }
    assert!(expressions >= 25, "{expressions} expressions");
}

/// What Grafana refuses, or changes without a word, in a dashboard that is imported or provisioned.
fn structure(dashboard: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |wrong: bool, what: &str| {
        if wrong {
            faults.push(what.to_owned());
        }
    };
    // 36 is the first in which a data source is an object with type and uid.
    fault(dashboard["schemaVersion"].as_u64().is_none_or(|n| n < 36), "schemaVersion");
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let uid = dashboard["uid"].as_str().unwrap_or("");
    fault(uid.is_empty() || uid.len() > 40 || !uid.chars().all(plain), "uid");
    fault(dashboard["title"].as_str().is_none_or(str::is_empty), "title");
    fault(!dashboard["id"].is_null(), "id: the number is Grafana's to give");
    fault(!dashboard["__inputs"].is_null(), "__inputs: provisioning does not fill them in");
    let variables = dashboard["templating"]["list"].as_array().cloned().unwrap_or_default();
    let source = variables.first().filter(|first| {
        first["name"] == "datasource"
            && first["type"] == "datasource"
            && first["query"] == "prometheus"
    });
    fault(source.is_none(), "the first variable chooses a data source of Prometheus' kind");
    let instance = variables.iter().find(|variable| variable["name"] == "instance");
    let asks = instance.is_some_and(|one| {
        let query = one["query"]["query"].as_str().unwrap_or("");
        one["type"] == "query" && query.starts_with("label_values(kordon_build_info, ")
    });
    fault(!asks, "the variable instance");
    let panels = dashboard["panels"].as_array().cloned().unwrap_or_default();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in &panels {
        let name = format!("panel {}: ", panel["title"]);
        let mut fault = |wrong: bool, what: &str| fault(wrong, &format!("{name}{what}"));
        fault(!panel["id"].as_u64().is_some_and(|id| ids.insert(id)), "id");
        let known = ["row", "stat", "timeseries", "bargauge"];
        fault(!known.iter().any(|kind| panel["type"] == *kind), "type");
        let side = |name: &str| panel["gridPos"][name].as_u64();
        let (Some(x), Some(y), Some(w), Some(h)) = (side("x"), side("y"), side("w"), side("h"))
        else {
            fault(true, "gridPos");
            continue;
        };
        fault(w == 0 || h == 0 || x + w > 24, "gridPos");
        for place in (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y))) {
            fault(!taken.insert(place), "overlaps");
        }
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        fault((panel["type"] == "row") != targets.is_empty(), "targets");
        let names: BTreeSet<_> = targets.iter().filter_map(|one| one["refId"].as_str()).collect();
        fault(names.len() != targets.len(), "refId");
    }
    fault(panels.is_empty(), "no panels");
    faults
}

#[test]
fn the_dashboard_is_built_as_grafana_accepts_it() {
    let dashboard: Value = serde_json::from_str(&read("kordon.dashboard.json")).unwrap();
    assert_eq!(structure(&dashboard), Vec::<String>::new());
    // The controls.
    for (place, wrong, fault) in [
        ("/schemaVersion", json!("37"), "schemaVersion"),
        ("/uid", json!("k/1"), "uid"),
        ("/templating/list/0/type", json!("query"), "data source"),
        ("/templating/list/1/query", json!("up"), "variable instance"),
        ("/panels/2/id", dashboard["panels"][1]["id"].clone(), ": id"),
        ("/panels/2/gridPos", dashboard["panels"][1]["gridPos"].clone(), "overlaps"),
        ("/panels/2/gridPos/w", json!(25), "gridPos"),
        ("/panels/2/type", json!("graph"), "type"),
        ("/panels/2/targets/0/refId", json!(null), "refId"),
        ("/panels", json!([]), "no panels"),
    ] {
        let mut broken = dashboard.clone();
        *broken.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = wrong;
        let faults = structure(&broken);
        assert!(faults.iter().any(|found| found.contains(fault)), "{place}: {faults:?}");
    }
}

/// Metrics that neither an alert nor a panel shows, each for a reason.
const NOT_SHOWN: [(&str, &str); 11] = [
    ("kordon_build_info", "a variable of the dashboard, and for joins"),
    ("kordon_ruleset_generation", "the reloads show it"),
    ("kordon_packets_total", "accepted + dropped"),
    ("kordon_bytes_total", "accepted + dropped"),
    ("kordon_camera_packets_total", "a busy camera is no question of an operator's"),
    ("kordon_bytes_would_drop_total", "the packets are shown"),
    ("kordon_packets_exempted_total", "what an allow list passes is as intended"),
    ("kordon_list_entries", "the reload's report shows what changed"),
    ("kordon_list_last_change_timestamp_seconds", "says nothing about freshness"),
    ("kordon_reload_duration_seconds", "for sizing"),
    ("kordon_reload_last_success_timestamp_seconds", "the last reload's outcome is shown"),
];

#[test]
fn an_operator_finds_every_metric_on_a_panel_or_in_an_alert() {
    let shown = read("kordon.rules.yml") + &read("kordon.dashboard.json");
    let words: BTreeSet<&str> = shown.split(|c| !is_word(c)).collect();
    for metric in families::ALL {
        let bucket = format!("{}_bucket", metric.name);
        let found = words.contains(metric.name) || words.contains(bucket.as_str());
        let excused = NOT_SHOWN.iter().any(|(name, _)| *name == metric.name);
        assert!(found || excused, "{} is on no panel and in no alert", metric.name);
    }
    for (name, reason) in NOT_SHOWN {
        assert!(
            families::ALL.iter().any(|metric| metric.name == name),
            "{name} ({reason}) is gone"
        );
    }
}

#[test]
fn every_alert_is_documented_and_tested_both_ways() {
    let document = fs::read_to_string(folder().join("../../docs/watching.md")).unwrap();
    let documented: BTreeSet<&str> =
        document.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let alerts = alerts();
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(documented, names, "docs/watching.md has other alerts than the rule file");
    let tests = read("kordon.rules.test.yml");
    for name in names {
        let firing = format!("- labels: ALERTS{{alertname=\"{name}\", alertstate=\"firing\"");
        assert!(tests.contains(&firing), "kordon.rules.test.yml: {name} never fires");
        let expression = format!("- expr: ALERTS{{alertname=\"{name}\"");
        let asked = tests.split(&expression).skip(1);
        let quiet =
            asked.filter(|rest| rest.split("- expr:").next().unwrap().contains("exp_samples: []"));
        assert!(quiet.count() > 0, "kordon.rules.test.yml: {name} has no control");
    }
    // Each is made for a real Prometheus, or the document says that it is not; not both.
    let cases =
        fs::read_to_string(folder().join("../../tests/kernel/cases/prometheus.rs")).unwrap();
    let made: BTreeSet<&str> = cases.split('"').filter(|word| documented.contains(word)).collect();
    let left = document.split("Left to `promtool test rules` alone:").nth(1).expect("a list");
    let left = left.split('.').next().unwrap();
    let left: BTreeSet<&str> = left.split(',').map(str::trim).collect();
    assert_eq!(&documented - &made, left, "docs/watching.md: which alerts no kernel case makes");
    // An alert that some document names exists.
    for entry in fs::read_dir(folder().join("../../docs"))
        .unwrap()
        .chain(fs::read_dir(folder().join("../..")).unwrap())
    {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            let alert = word
                .strip_prefix("Kordon")
                .is_some_and(|rest| rest.starts_with(char::is_uppercase));
            assert!(!alert || documented.contains(word), "{}: no alert {word}", path.display());
        }
    }
}

#[test]
fn promtool_approves_of_rules_and_example_and_sees_each_alert_fire() {
    for arguments in [
        ["check", "rules", "kordon.rules.yml"],
        ["test", "rules", "kordon.rules.test.yml"],
        ["check", "config", "prometheus.example.yml"],
    ] {
        let output = Command::new("promtool").args(arguments).current_dir(folder()).output();
        let output =
            output.expect("promtool (Debian package prometheus; scripts/setup installs it)");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "promtool {}: {said}", arguments.join(" "));
    }
}
