//! A real Prometheus scrapes a real daemon, and each alert fires when its cause is made, and not before.
//!
//! The alerts are those of `config/prometheus/kordon.rules.yml`, with nothing changed but their times: all of
//! them are a three-hundredth of what is shipped ([`hasten`]), so that half an hour takes six seconds.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::lab::daemon::{CONFIG, Daemon};
use crate::lab::topology::*;
use crate::lab::traffic::Stream;
use crate::lab::{Context, Res, rules, wait_until};
use crate::{Bench, Site};

/// The time of a test to the time of a gateway.
const HASTE: u64 = 300;
/// Between two scrapes and two looks at the rules: a minute of the gateway's time.
const INTERVAL: &str = "200ms";
/// How long an alert may take to fire: the longest waits for 6 s, and the machine may be busy.
const FIRES: Duration = Duration::from_secs(25);
/// How long nothing may fire while all is well: a quarter of an hour of the gateway's time.
const QUIET: Duration = Duration::from_secs(3);
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 9090);
const N: u32 = 20;

pub(super) fn alerts(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    // Small enough to overflow.
    setup.buffer = Some(65_536);
    let site = Site::new(setup)?;
    let text = site.setup().toml();
    let text =
        with_max_age(&with_max_age(&text, "path = \"blocked.txt\"\n")?, "path = \"origin.csv\"\n")?;
    site.write(CONFIG, &text)?;
    let daemon = site.start()?;
    let prometheus = Prometheus::start(site.folder())?;

    // All is well: traffic, a reload, a list and an origin table that are young.
    bench.lab.passes(ALLOWED, N)?;
    site.kordon_ok("reload --config kordon.toml")?;
    prometheus.wait_quiet()?;
    let watched = Instant::now();
    while watched.elapsed() < QUIET {
        bench.lab.passes(ALLOWED, 1)?;
        prometheus.none_fires()?;
        std::thread::sleep(Duration::from_millis(50));
    }

    // One packet to a blocked address is no beacon; one in each minute is.
    bench.lab.blocked(BLOCKED, 1)?;
    let beacon = bench.lab.stream(BLOCKED)?.run(Duration::from_millis(300));
    prometheus.fires("KordonCameraBeaconing", &[("camera", "gate-3")])?;
    prometheus.only_beacon()?;

    site.add_to_list("blocked", "nonsense\n")?;
    site.kordon("reload --config kordon.toml")?;
    prometheus.fires("KordonReloadRefused", &[])?;
    site.add_to_list("blocked", "")?;
    site.kordon_ok("reload --config kordon.toml")?;
    prometheus.ends("KordonReloadRefused")?;

    for (file, alert, label) in [
        ("blocked.txt", "KordonListStale", ("list", "blocked")),
        ("origin.csv", "KordonOriginDataStale", ("source", "extract")),
    ] {
        prometheus.only_beacon()?;
        make_old(&site.folder().join(file))?;
        site.kordon_ok("reload --config kordon.toml")?;
        prometheus.fires(alert, &[label])?;
        File::options()
            .append(true)
            .open(site.folder().join(file))
            .and_then(|file| file.set_modified(SystemTime::now()))
            .context(file)?;
        site.kordon_ok("reload --config kordon.toml")?;
        prometheus.ends(alert)?;
    }

    prometheus.only_beacon()?;
    let due = "path = \"exempt.txt\"\n";
    site.write(CONFIG, &text.replace(due, &format!("{due}review_by = 2026-01-01\n")))?;
    site.kordon_ok("reload --config kordon.toml")?;
    prometheus.fires("KordonListReviewDue", &[("list", "exempt")])?;
    site.write(CONFIG, &text)?;
    site.kordon_ok("reload --config kordon.toml")?;
    prometheus.ends("KordonListReviewDue")?;

    prometheus.only_beacon()?;
    // The window that losses are looked for in is a second here: where the machine was too busy for a scrape
    // before and after, they are made again.
    prometheus.fires_after("KordonQueueLosing", &[("queue", "40"), ("cause", "buffer")], || {
        overflow(bench, &daemon)
    })?;
    prometheus.only_beacon()?;

    prometheus.fires_after("KordonRulesAltered", &[], rules::flush_hold)?;
    prometheus.only_beacon()?;
    let pause = ["pause", "--config", CONFIG, "--for", "2m", "--why", "a fire drill"];
    let output = site.kordon_words(&pause)?;
    if output.code != Some(0) {
        return Err(format!("`pause` {}", output.said()));
    }
    prometheus.fires("KordonPaused", &[])?;
    std::thread::sleep(Duration::from_secs(2));
    if prometheus.is_firing("KordonNotEnforcing", &[])? {
        return Err("a pause is called monitor mode".to_owned());
    }
    site.kordon_ok("resume --config kordon.toml")?;
    prometheus.only_beacon()?;
    let remove = ["rules", "remove", "--config", CONFIG, "--why", "a fire drill"];
    let output = site.kordon_words(&remove)?;
    if output.code != Some(0) {
        return Err(format!("`rules remove` {}", output.said()));
    }
    prometheus.fires("KordonRulesMissing", &[])?;
    site.kordon_ok("rules apply --config kordon.toml")?;
    prometheus.ends("KordonRulesMissing")?;
    prometheus.only_beacon()?;
    // A second camera at the first one's port, which nobody declared.
    let mut second = Stream::from(IpAddr::from([192, 0, 2, 11]), ALLOWED)?;
    second.send_many(N)?;
    prometheus.fires("KordonUndeclaredCamera", &[])?;
    prometheus.every_panel_shows_something()?;

    // Killed, and nobody starts it again.
    prometheus.only_beacon()?;
    daemon.kill()?;
    prometheus.fires("KordonDown", &[("job", "kordon")])?;

    // Started again, in monitor mode: the camera is seen to beacon by what would have been dropped.
    prometheus.ends("KordonCameraBeaconing")?;
    site.write(CONFIG, &text.replace("mode = \"enforce\"", "mode = \"monitor\""))?;
    let daemon = site.start()?;
    prometheus.fires("KordonNotEnforcing", &[])?;
    prometheus.ends("KordonDown")?;
    prometheus.fires("KordonCameraBeaconing", &[("camera", "gate-3")])?;
    if prometheus.is_firing("KordonNoPackets", &[])? {
        return Err("packets come by, and KordonNoPackets fires".to_owned());
    }
    beacon.stop()?;
    match daemon.metrics()?.get("kordon_camera_packets_dropped_total", &[])? {
        0 => {}
        n => return Err(format!("monitor mode dropped {n} packets")),
    }
    // One who comes again and again: killed, and started by somebody who does not look why.
    if prometheus.is_firing("KordonRestarting", &[])? {
        return Err("one restart is called many".to_owned());
    }
    let mut daemon = daemon;
    for _ in 0..8 {
        daemon.kill()?;
        daemon = site.start()?;
        // Start times are told to the second, and each has to be scraped.
        std::thread::sleep(Duration::from_millis(1_100));
        if prometheus.is_firing("KordonRestarting", &[])? {
            break;
        }
    }
    prometheus.fires("KordonRestarting", &[("job", "kordon")])?;
    // The cameras are silent since the beacon has stopped.
    prometheus.fires("KordonNoPackets", &[("job", "kordon")])
}

fn with_max_age(text: &str, behind: &str) -> Res<String> {
    match text.matches(behind).count() {
        1 => Ok(text.replace(behind, &format!("{behind}max_age = \"1h\"\n"))),
        n => Err(format!("{behind:?} is {n} times in the configuration")),
    }
}

fn make_old(path: &Path) -> Res {
    let time = SystemTime::now() - Duration::from_secs(2 * 3_600);
    let file = File::options().append(true).open(path).context(path.display())?;
    file.set_modified(time).context(path.display())
}

fn overflow(bench: &Bench<'_>, daemon: &Daemon) -> Res {
    daemon.freeze()?;
    let mut stream = bench.lab.stream(ALLOWED)?;
    stream.send_many(300)?;
    daemon.thaw()?;
    // A gap shows with the packet behind it.
    std::thread::sleep(Duration::from_millis(50));
    bench.lab.passes(ALLOWED, 1)
}

/// The rules with every time constant (`for: 30m` and `[10m]`) divided by [`HASTE`], and nothing else.
fn hasten(shipped: &str) -> Res<String> {
    let mut hastened = String::new();
    let mut changed = Vec::new();
    for line in shipped.lines() {
        let mut rest = line;
        while let Some((begin, end)) = time_constant(rest) {
            let (time, millis) = (&rest[begin..end], millis(&rest[begin..end])?);
            if millis % HASTE != 0 {
                return Err(format!("{time} cannot be divided by {HASTE}"));
            }
            let _ = write!(hastened, "{}{}ms", &rest[..begin], millis / HASTE);
            changed.push((time, millis / HASTE));
            rest = &rest[end..];
        }
        hastened += rest;
        hastened.push('\n');
    }
    // Checked from the other side: put back one by one, the shipped file comes out.
    let mut back = hastened.clone();
    let mut from = 0;
    for (time, millis) in &changed {
        let short = format!("{millis}ms");
        let at = back[from..].find(&short).ok_or("a time constant is gone")? + from;
        back.replace_range(at..at + short.len(), time);
        from = at + time.len();
    }
    match back == shipped && changed.len() >= 10 {
        true => Ok(hastened),
        false => Err(format!("more than {} times was changed in the rules", changed.len())),
    }
}

/// Where the line's first time constant stands.
fn time_constant(line: &str) -> Option<(usize, usize)> {
    let begin = match line.trim_start().strip_prefix("for: ") {
        Some(time) => line.len() - time.len(),
        None => line.find('[')? + 1,
    };
    let length = line[begin..].find(|c: char| !c.is_ascii_alphanumeric());
    let end = length.map_or(line.len(), |length| begin + length);
    line[begin..end].starts_with(|c: char| c.is_ascii_digit()).then_some((begin, end))
}

fn millis(time: &str) -> Res<u64> {
    let (digits, unit) = time.split_at(time.len() - 1);
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("{time} has an unknown unit")),
    };
    digits.parse::<u64>().map(|number| number * unit).context(time)
}

/// A running Prometheus; killed, by its pid, at the end.
struct Prometheus {
    child: Child,
    log: PathBuf,
    folder: PathBuf,
}

impl Prometheus {
    fn start(site: &Path) -> Res<Self> {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus");
        let read = |name: &str| std::fs::read_to_string(shipped.join(name)).context(name);
        let folder = site.join("prometheus");
        std::fs::create_dir(&folder).context(folder.display())?;
        // The example as shipped, but for its two intervals.
        let example = read("prometheus.example.yml")?;
        let config = example.replace("interval: 15s", &format!("interval: {INTERVAL}"));
        if config.matches(INTERVAL).count() != 2 {
            return Err(format!("other intervals than expected in the example: {example}"));
        }
        std::fs::write(folder.join("prometheus.yml"), config).context("prometheus.yml")?;
        let rules = hasten(&read("kordon.rules.yml")?)?;
        std::fs::write(folder.join("kordon.rules.yml"), rules).context("kordon.rules.yml")?;
        let log = folder.join("log");
        let open = || File::create(&log).context(log.display());
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "prometheus", "--config.file=prometheus.yml"])
            .args(["--storage.tsdb.path=data", "--log.level=warn"])
            .arg(format!("--web.listen-address={}", SocketAddr::from(ADDRESS)))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .spawn()
            .context("cannot start prometheus (Debian package prometheus)")?;
        let prometheus = Prometheus { child, log, folder };
        match wait_until(FIRES, || {
            prometheus.query("up{job=\"kordon\"} == 1").is_ok_and(|n| n == 1)
        }) {
            true => Ok(prometheus),
            false => Err(format!("prometheus does not scrape: {}", prometheus.said())),
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn get(&self, path: &str) -> Res<Value> {
        let limit = Some(Duration::from_secs(5));
        let mut stream = TcpStream::connect(SocketAddr::from(ADDRESS)).context("prometheus")?;
        stream.set_read_timeout(limit).context("prometheus")?;
        // HTTP/1.0: an answer in one piece, and then the end.
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").context("prometheus")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context("prometheus")?;
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let value: Value = serde_json::from_str(body).context(format!("{path}: {text}"))?;
        match value["status"] == "success" {
            true => Ok(value["data"].clone()),
            false => Err(format!("{path}: {body}")),
        }
    }

    /// How many series an expression gives now.
    fn query(&self, expression: &str) -> Res<usize> {
        let mut encoded = String::new();
        for byte in expression.bytes() {
            let _ = write!(encoded, "%{byte:02X}");
        }
        let data = self.get(&format!("/api/v1/query?query={encoded}"))?;
        data["result"].as_array().map(Vec::len).ok_or_else(|| format!("no result: {data}"))
    }

    /// The labels of the alerts that fire now.
    fn firing(&self) -> Res<Vec<Value>> {
        let data = self.get("/api/v1/alerts")?;
        let alerts = data["alerts"].as_array().ok_or_else(|| format!("no alerts: {data}"))?;
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        Ok(firing.map(|alert| alert["labels"].clone()).collect())
    }

    fn wait_quiet(&self) -> Res {
        match wait_until(FIRES, || self.firing().is_ok_and(|firing| firing.is_empty())) {
            true => Ok(()),
            false => self.none_fires(),
        }
    }

    fn none_fires(&self) -> Res {
        match self.firing()?.as_slice() {
            [] => Ok(()),
            firing => Err(format!("all is well, and there fires {firing:?}")),
        }
    }

    /// The control before a cause is made: only the camera's alert fires, or will when others have ended.
    fn only_beacon(&self) -> Res {
        let other = || -> Res<Option<Value>> {
            let mut firing = self.firing()?.into_iter();
            Ok(firing.find(|labels| labels["alertname"] != "KordonCameraBeaconing"))
        };
        match wait_until(FIRES, || other().is_ok_and(|other| other.is_none())) {
            true => Ok(()),
            false => Err(format!("beside the camera's alert there fires {:?}", other()?)),
        }
    }

    fn is_firing(&self, name: &str, labels: &[(&str, &str)]) -> Res<bool> {
        let firing = self.firing()?;
        Ok(firing.iter().any(|alert| {
            alert["alertname"] == name && labels.iter().all(|(name, value)| alert[name] == *value)
        }))
    }

    /// Waits until this alert fires with these labels.
    fn fires(&self, name: &str, labels: &[(&str, &str)]) -> Res {
        let began = Instant::now();
        match wait_until(FIRES, || self.is_firing(name, labels).unwrap_or(false)) {
            true => {
                println!("    {name} fires after {:.1} s", began.elapsed().as_secs_f64());
                Ok(())
            }
            false => {
                let data = self.get("/api/v1/alerts")?;
                Err(format!("{name} {labels:?} does not fire; there are {data}; {}", self.said()))
            }
        }
    }

    /// Makes the cause of an alert that did not fire before, up to five times, until it fires.
    fn fires_after(&self, name: &str, labels: &[(&str, &str)], cause: impl Fn() -> Res) -> Res {
        if self.is_firing(name, &[])? {
            return Err(format!("{name} fires before its cause was made"));
        }
        for _ in 0..4 {
            cause()?;
            let fires = || self.is_firing(name, labels).unwrap_or(false);
            if wait_until(Duration::from_secs(3), fires) {
                println!("    {name} fires");
                return Ok(());
            }
        }
        cause()?;
        self.fires(name, labels)
    }

    /// Waits until this alert does not fire: before its cause is made, and after it is gone.
    fn ends(&self, name: &str) -> Res {
        match wait_until(FIRES, || self.is_firing(name, &[]).is_ok_and(|firing| !firing)) {
            true => Ok(()),
            false => Err(format!("{name} goes on firing")),
        }
    }

    /// Each expression of the dashboard is one that Prometheus understands, and has something to show.
    fn every_panel_shows_something(&self) -> Res {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus/kordon.dashboard.json");
        let text = std::fs::read_to_string(&path).context(path.display())?;
        let dashboard: Value = serde_json::from_str(&text).context(path.display())?;
        let panels = dashboard["panels"].as_array().ok_or("a dashboard without panels")?;
        let targets = panels.iter().flat_map(|panel| panel["targets"].as_array());
        let mut shown = 0;
        for expression in targets.flatten().filter_map(|target| target["expr"].as_str()) {
            let expression = expression
                .replace("$__rate_interval", "4s")
                .replace("$__range", "10s")
                .replace("$instance", ".*");
            if self.query(&expression)? == 0 {
                return Err(format!("the dashboard has nothing to show for {expression}"));
            }
            shown += 1;
        }
        match shown {
            25.. => Ok(()),
            n => Err(format!("only {n} expressions in the dashboard")),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(self.folder.join("data"));
    }
}
