//! Everyday commands: who asked, and what the doctor finds.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::lab::process::{self, Output};
use crate::lab::topology::*;
use crate::lab::{Context, Res, rules};
use crate::{Bench, Site};

/// The limit of a command.
const COMMAND: Duration = Duration::from_secs(30);

/// `kordon ARGUMENTS` in this site as sudo would start it for alice.
fn sudo(site: &Site, arguments: &str) -> Res<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kordon"));
    command.args(arguments.split_whitespace()).current_dir(site.folder());
    process::run(command.env("SUDO_USER", "alice"), COMMAND)
}

/// `kordon ARGUMENTS` in this site as nobody, in group nogroup; `None` where this namespace has no other user
/// than its root.
fn nobody(site: &Site, arguments: &str) -> Res<Option<Output>> {
    let numbers = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
    let mut probe = Command::new("setpriv");
    if process::run(probe.args(numbers).arg("true"), COMMAND)?.code != Some(0) {
        return Ok(None);
    }
    let mut command = Command::new("setpriv");
    command.args(numbers).arg(env!("CARGO_BIN_EXE_kordon"));
    command.args(arguments.split_whitespace()).current_dir(site.folder());
    process::run(&mut command, COMMAND).map(Some)
}

fn status(site: &Site) -> Res<Value> {
    let text = site.kordon_ok("status -c kordon.toml -o json")?;
    serde_json::from_str(&text).context("status -o json")
}

/// A reload and an order about the rules are recorded with user and process as the kernel says, and with
/// sudo's user as claimed; the group of the socket may ask and reload and no more.
pub(super) fn who_asked(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    if status(&site)?["changes"] != Value::Array(Vec::new()) {
        return Err("changes before anybody asked".to_owned());
    }
    site.kordon_ok("reload -c kordon.toml")?;
    let plain = status(&site)?["changes"][0]["by"]["sudo_user"].clone();
    if plain != Value::Null {
        return Err(format!("a reload without sudo is by {plain}"));
    }
    for arguments in ["reload -c kordon.toml", "rules apply -c kordon.toml"] {
        let output = sudo(&site, arguments)?;
        if output.code != Some(0) {
            return Err(format!("`kordon {arguments}` {}", output.said()));
        }
    }
    let changes = status(&site)?["changes"].clone();
    for (place, kind, what) in [(0, "rules", "apply"), (1, "reload", "generation 3")] {
        let change = &changes[place];
        let by = (&change["by"]["uid"], &change["by"]["sudo_user"]);
        if change["kind"] != kind
            || change["what"] != what
            || by != (&Value::from(0), &Value::from("alice"))
            || !change["by"]["pid"].is_i64()
        {
            return Err(format!("in place of {kind} {what} by root for alice: {change}"));
        }
    }
    let text = site.kordon_ok("status -c kordon.toml")?;
    for part in ["last asked", "rules, apply", "through sudo by alice (claimed)"] {
        if !text.contains(part) {
            return Err(format!("status does not say {part:?}:\n{text}"));
        }
    }
    for part in ["asked: rules apply", "reloaded: ", "through sudo by alice (claimed)"] {
        if !daemon.log().contains(part) {
            return Err(format!("the log does not say {part:?}:\n{}", daemon.log()));
        }
    }
    // Each other command that changes something, too.
    for (arguments, kind, what) in [
        ("pause --for 1m --why drill", "pause", "for 60 s: drill"),
        ("resume", "pause", "resume"),
        ("mode monitor --confirm-within 1m", "mode", "monitor, to be confirmed within 60 s"),
        ("mode confirm", "mode", "confirm"),
        ("mode enforce", "mode", "enforce"),
        ("block add 203.0.113.192/26 --ttl 1h --why drill", "entries", "203.0.113.192/26"),
        ("allow add 203.0.113.192/26 --ttl 1h --why drill", "entries", "203.0.113.192/26"),
        ("allow remove 203.0.113.192/26", "entries", "203.0.113.192/26"),
        ("rules remove --why drill", "rules", "remove: drill"),
        ("rules apply", "rules", "apply"),
    ] {
        let output = sudo(&site, &format!("{arguments} -c kordon.toml"))?;
        let last = status(&site)?["changes"][0].clone();
        let said = last["what"].as_str().unwrap_or_default().contains(what);
        let by = last["by"]["uid"] == 0 && last["by"]["sudo_user"] == "alice";
        if output.code != Some(0) || last["kind"] != kind || !said || !by {
            return Err(format!("`kordon {arguments}` {}, recorded as {last}", output.said()));
        }
    }
    strangers(&site)
}

fn strangers(site: &Site) -> Res {
    let expect = |arguments: &str, code: i32, said: &str| -> Res<bool> {
        let Some(output) = nobody(site, arguments)? else { return Ok(false) };
        if output.code != Some(code) || !(output.stdout + &output.stderr).contains(said) {
            return Err(format!(
                "nobody's `kordon {arguments}`: expected status {code} and {said:?}, got status {:?}",
                output.code
            ));
        }
        Ok(true)
    };
    let socket = site.folder().join("control.sock");
    let mode = std::fs::metadata(&socket).context("the socket")?.permissions().mode() & 0o777;
    if mode != 0o660 {
        return Err(format!("the control socket has mode {mode:o}"));
    }
    let give = |group: u32| {
        std::os::unix::fs::chown(&socket, None, Some(group)).context("chown of the socket")
    };
    give(0)?;
    if !expect("status -c kordon.toml", 77, "permission denied")? {
        println!("note: no other user in this namespace; strangers are not tried");
        return Ok(());
    }
    give(65_534)?;
    expect("status -c kordon.toml", 0, "ENFORCING")?;
    for reading in ["mode", "why 203.0.113.10 --running", "lists", "cameras", "block list"] {
        expect(&format!("{reading} -c kordon.toml"), 0, "")?;
    }
    expect("reload -c kordon.toml", 0, "in force")?;
    for changing in
        ["mode monitor", "pause --for 1m --why x", "resume", "block add 203.0.113.1 --why x"]
    {
        expect(&format!("{changing} -c kordon.toml"), 77, "only root may")?;
    }
    expect("rules apply -c kordon.toml", 77, "only root may")?;
    expect("rules remove --why x -c kordon.toml", 77, "only root may").map(drop)
}

/// Result, subject and detail of a finding.
type Found = (String, String, String);

/// What `kordon doctor` finds: its status, and result, subject and detail of all but what passes.
fn doctor(site: &Site) -> Res<(i32, Vec<Found>)> {
    let output = site.kordon("doctor -c kordon.toml -o json")?;
    let report: Value = serde_json::from_str(&output.stdout).context(output.said())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    if findings.len() < 12 {
        return Err(format!("only {} findings: {report}", findings.len()));
    }
    let found = findings
        .iter()
        .map(|one| (text(&one["result"]), text(&one["subject"]), text(&one["detail"])))
        .filter(|(result, _, _)| result != "pass")
        .collect();
    Ok((output.code.unwrap_or(-1), found))
}

/// On a good gateway nothing fails; each thing that is set wrong is named.
pub(super) fn doctor_finds(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.tool = Some("iptables");
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    let expect = |code: i32, wanted: &[(&str, &str, &str)]| -> Res {
        let (status, found) = doctor(&site)?;
        for (result, subject, says) in wanted {
            let hit = |one: &Found| one.0 == *result && one.1 == *subject && one.2.contains(says);
            if !found.iter().any(hit) {
                return Err(format!("no {result} of {subject} with {says:?} among {found:#?}"));
            }
        }
        let failed = found.iter().any(|(result, _, _)| result == "fail");
        match status == code && failed == (code == 1) {
            true => Ok(()),
            false => Err(format!("status {status} instead of {code}, with {found:#?}")),
        }
    };
    // The machine may have rules of its own to warn of; none in these namespaces, and no failure.
    expect(0, &[])?;
    let (_, calm) = doctor(&site)?;
    if let Some(noise) = calm.iter().find(|(_, subject, _)| subject == "marks" || subject == "hold")
    {
        return Err(format!("found on a good gateway: {noise:?}"));
    }
    rules::both("-w -t mangle -A PREROUTING -j CONNMARK --restore-mark")?;
    let set = |name: &str, value: &str| {
        std::fs::write(format!("/proc/sys/net/{name}"), value).context(name)
    };
    set("ipv4/conf/cam0/send_redirects", "1")?;
    expect(
        0,
        &[
            ("warn", "marks", "CONNMARK --restore-mark"),
            ("warn", "sysctl", "send_redirects is on for cam0"),
        ],
    )?;
    set("ipv4/ip_forward", "0")?;
    let outcome = expect(1, &[("fail", "sysctl", "ip_forward")]);
    set("ipv4/ip_forward", "1")?;
    outcome?;
    expect(0, &[])?;
    daemon.kill()?;
    expect(1, &[("fail", "daemon", "not running")])?;
    // Without a daemon nobody moves hold behind it.
    rules::both("-w -t mangle -A FORWARD -m comment --comment late -j MARK --or-mark 0x4")?;
    let narrow = ["-w", "-t", "mangle", "-I", "FORWARD", "-s", "192.0.2.99", "-j", "ACCEPT"];
    process::tool("iptables-nft", &narrow)?;
    expect(
        1,
        &[
            ("warn", "hold", "--comment late"),
            ("warn", "hold", "ahead of hold"),
            ("fail", "rules", "not the last rule"),
        ],
    )?;
    // Somebody else reads the queue.
    let mut setup = bench.setup();
    (setup.port, setup.tool) = (setup.port + 1, Some("iptables"));
    let other = Site::new(setup)?;
    let _other = other.start()?;
    if std::fs::read_to_string("/proc/self/net/netfilter/nfnetlink_queue").is_ok() {
        expect(1, &[("fail", "queues", "queue 40 belongs to another process")])?;
    }
    // Who may not look is told so, and nothing passes unseen.
    if let Some(output) = nobody(&site, "doctor -c kordon.toml")? {
        let skipped = output.stdout.matches("SKIP  ").count();
        if skipped < 4 || output.stdout.contains("PASS  rules") {
            return Err(format!("nobody's doctor {}", output.said()));
        }
    }
    Ok(())
}

fn bridge_port_is_refused(refuse: &dyn Fn(&str, i32, &str) -> Res) -> Res {
    let ip =
        |line: &str| process::tool("ip", &line.split_whitespace().collect::<Vec<_>>()).map(drop);
    let tried = (|| {
        ip("link add br7 type bridge")?;
        ip("link add port7 type veth peer name port8")?;
        ip("link set port7 master br7")?;
        let port = "setup --interface port7 --yes -c kordon.toml";
        refuse(port, 69, "port7 is a port of bridge br7")
    })();
    for link in ["br7", "port7"] {
        // Those that were not made are not there.
        let _ = ip(&format!("link delete {link}"));
    }
    tried
}

/// The configuration that setup writes is the one that was shown, works, and leaves the old one beside it.
pub(super) fn setup_writes(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let read = |file: &str| std::fs::read_to_string(site.folder().join(file)).context(file);
    let before = read("kordon.toml")?;
    let refuse = |arguments: &str, code: i32, says: &str| -> Res {
        let output = site.kordon(arguments)?;
        if output.code != Some(code) || !output.stderr.contains(says) {
            return Err(format!("`kordon {arguments}` {}", output.said()));
        }
        match read("kordon.toml")? == before {
            true => Ok(()),
            false => Err(format!("`kordon {arguments}` changed the configuration")),
        }
    };
    refuse(
        "setup --interface cam7 --yes -c kordon.toml",
        2,
        "no interface cam7; there are: cam0 (192.0.2.0/25, 2001:db8:1::/64), ",
    )?;
    refuse("setup --yes -c kordon.toml", 2, "behind which interface are the cameras?")?;
    refuse("setup --interface cam0 --dry-run -c kordon.toml", 0, "nothing written")?;
    refuse("setup --interface cam0 -c kordon.toml", 2, "--yes")?;
    bridge_port_is_refused(&refuse)?;
    let narrow = "setup --interface cam0 --cameras 192.0.2.0/25 --dry-run -c kordon.toml";
    refuse(narrow, 0, "cam0 also has 2001:db8:1::/64, which is none of them")?;
    // What the result says, with the files that are read after it.
    std::fs::create_dir(site.folder().join("conf.d")).context("conf.d")?;
    let drop_in = site.folder().join("conf.d/10.toml");
    std::fs::write(&drop_in, "mode = \"enforce\"\n").context("conf.d")?;
    let plain = "setup --interface cam0 --dry-run -c kordon.toml";
    refuse(plain, 0, "not what will be in force: mode = \"enforce\" by conf.d/10.toml")?;
    std::fs::write(&drop_in, "mode = 7\n").context("conf.d")?;
    refuse(plain, 78, "nothing written: the result would be refused: conf.d/10.toml:1:")?;
    std::fs::remove_file(&drop_in).context("conf.d")?;
    if let Some(output) = nobody(&site, "setup --interface cam0 --yes -c kordon.toml")? {
        let told = output.stderr.contains("nothing written: . may not be written by this user");
        if output.code != Some(77) || !told {
            return Err(format!("nobody's setup {}", output.said()));
        }
    }
    // Readable for the daemon through its group alone; another group where this namespace has one.
    let file = site.folder().join("kordon.toml");
    let grouped = std::os::unix::fs::chown(&file, None, Some(65_534)).is_ok();
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&file, mode).context("kordon.toml")?;
    let order = format!(
        "setup --interface cam0 --cameras 192.0.2.0/25 --recorder {BLOCKED} --local \
         203.0.113.64/26 --mode enforce --yes -c kordon.toml"
    );
    let said = site.kordon_ok(&order)?;
    for part in [
        "- networks = [",
        "+ networks = [\"192.0.2.0/25\"]",
        "+ name = \"recorder-1\"",
        "+ networks = [\"203.0.113.64/26\"]",
        "next:",
    ] {
        if !said.contains(part) {
            return Err(format!("setup does not show {part:?}:\n{said}"));
        }
    }
    let found = std::fs::metadata(&file).context("kordon.toml")?;
    if found.mode() & 0o7777 != 0o640 || (grouped && found.gid() != 65_534) {
        return Err(format!("the new file has mode {:o}, group {}", found.mode(), found.gid()));
    }
    let folder = std::fs::read_dir(site.folder()).context("the folder")?;
    let kept: Vec<_> = folder
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".bak"))
        .map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default())
        .collect();
    if kept != [before] {
        return Err(format!("{} old configurations are kept, or another", kept.len()));
    }
    let again = site.kordon(&order)?;
    let left_out = "cam0 also has 2001:db8:1::/64";
    if !again.stderr.contains("nothing to change") || !again.stderr.contains(left_out) {
        return Err(format!("a second time: {}", again.said()));
    }
    let _daemon = site.start()?;
    bench.lab.passes(BLOCKED, 20)?;
    bench.lab.passes("203.0.113.70".parse().context("address")?, 20)?;
    bench.lab.blocked("203.0.113.11".parse().context("address")?, 20)?;
    bench.lab.passes(ALLOWED, 20)?;
    // Without an old one: the shipped one, with the networks of the interface itself, in monitor mode.
    std::fs::create_dir(site.folder().join("fresh")).context("fresh")?;
    site.kordon_ok("setup --interface cam0 --yes -c fresh/kordon.toml")?;
    let text = read("fresh/kordon.toml")?;
    for part in ["mode = \"monitor\"", "interfaces = [\"cam0\"]", "192.0.2.0/2", "2001:db8:1::/64"]
    {
        if !text.contains(part) {
            return Err(format!("a fresh configuration without {part}:\n{text}"));
        }
    }
    let rules = site.kordon_ok("rules show -c fresh/kordon.toml")?;
    match rules.contains("cam0") && rules.contains("192.0.2.") {
        true => Ok(()),
        false => Err(format!("rules of a fresh configuration:\n{rules}")),
    }
}
