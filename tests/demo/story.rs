//! The demonstration itself, in the order in which it is told.

use std::net::IpAddr;
use std::time::Duration;

use crate::lab::daemon::{Backend, Daemon, List, Setup, Site};
use crate::lab::topology::*;
use crate::lab::{Lab, PATIENCE, Res, tcp};
use crate::screen::Screen;

/// Probes per count.
const N: u32 = 100;
const CONFIG: &str = "--config kordon.toml";

struct Story<'a> {
    lab: &'a Lab,
    screen: Screen,
}

/// Tells it; whether every count was as it should be.
pub(crate) fn tell(lab: &Lab) -> Res<bool> {
    let mut story = Story { lab, screen: Screen::new() };
    story.introduction();
    story.without_kordon()?;
    let site = site()?;
    let daemon = story.with_kordon(&site)?;
    story.reload_under_traffic(&site)?;
    story.ask(&site, &daemon)?;
    let daemon = story.kill_and_restart(&site, daemon)?;
    drop(daemon);
    Ok(story.screen.finish())
}

fn site() -> Res<Site> {
    let mut setup = Setup::new(Backend::Native);
    let prefixes = "203.0.113.0/25      # relays\n2001:db8:3::/64     # relays, IPv6\n".to_owned();
    setup.lists = vec![List { name: "blocked", kind: "prefix", action: "block", text: prefixes }];
    setup.origin.clear();
    Site::new(setup)
}

impl Story<'_> {
    fn introduction(&self) {
        self.screen.say(
            "kordon demonstration. All of this happens in network namespaces on this machine;\n\
             nothing leaves it, and nothing stays behind.\n\
             \n\
             \x20 camera              gateway with kordon        server A  198.51.100.0/24\n\
             \x20 192.0.2.10     ---  cam0          wan1   ---             2001:db8:2::/48\n\
             \x20 2001:db8:1::10                    wan2   ---  server B  203.0.113.0/24\n\
             \x20                                                         2001:db8:3::/48\n\
             \n\
             Part of server B is a relay that no video may reach. Every count below is taken at\n\
             the servers: what arrived there, of what the camera sent.",
        );
    }

    fn without_kordon(&mut self) -> Res {
        self.screen.chapter("Without kordon, everything arrives");
        self.udp("no kordon: UDP to server A", ALLOWED, true)?;
        self.udp("no kordon: UDP to the relay", BLOCKED, true)?;
        self.udp("no kordon: IPv6 UDP to the relay", BLOCKED6, true)?;
        self.tcp("no kordon: TCP to the relay", BLOCKED, true)
    }

    fn with_kordon(&mut self, site: &Site) -> Res<Daemon> {
        self.screen.chapter("kordon on the gateway, with a list of blocked prefixes");
        self.screen.command("cat kordon.toml");
        self.screen.output(&site.setup().toml(), 60);
        self.screen.command("cat blocked.txt");
        self.screen.output(&site.setup().lists[0].text, 10);
        let daemon = self.start(site)?;
        self.udp("allowed: UDP to server A", ALLOWED, true)?;
        self.udp("allowed: IPv6 UDP to server A", ALLOWED6, true)?;
        self.udp("allowed: UDP to server B beside the relay", UNLISTED, true)?;
        self.tcp("allowed: TCP to server A", ALLOWED, true)?;
        self.tcp("allowed: IPv6 TCP to server A", ALLOWED6, true)?;
        self.udp("blocked: UDP to the relay", BLOCKED, false)?;
        self.udp("blocked: IPv6 UDP to the relay", BLOCKED6, false)?;
        self.tcp("blocked: TCP to the relay", BLOCKED, false)?;
        self.tcp("blocked: IPv6 TCP to the relay", BLOCKED6, false)?;
        Ok(daemon)
    }

    fn reload_under_traffic(&mut self, site: &Site) -> Res {
        self.screen.chapter("A prefix is added while a stream to it runs");
        let interval = Duration::from_millis(2);
        let hit = self.lab.stream(UNLISTED)?.run(interval);
        let other = self.lab.stream(ALLOWED)?.run(interval);
        self.screen.say("  Two streams are running: to 203.0.113.200 and to 198.51.100.10.");
        hit.wait_for_more(200)?;
        let before = hit.sent();
        self.screen.command("echo 203.0.113.200 >> blocked.txt");
        site.add_to_list("blocked", "203.0.113.200\n")?;
        self.screen.command(&format!("kordon reload {CONFIG}"));
        let output = site.kordon(&format!("reload {CONFIG}"))?;
        let after = hit.sent();
        self.screen.output(&format!("{}{}", output.stdout, output.stderr), 10);
        hit.wait_for_more(200)?;
        let (hit_id, other_id) = (hit.id(), other.id());
        let (hit_sent, other_sent) = (hit.stop()?, other.stop()?);
        self.lab.ledger().wait_for(other_id, other_sent, PATIENCE);
        let _ = self.lab.fence(UNLISTED);

        let missing = self.lab.ledger().missing(hit_id, hit_sent);
        let early = missing.iter().filter(|&&number| number < before).count();
        let late = (hit_sent - after) - missing.iter().filter(|&&n| n >= after).count() as u32;
        self.screen.count(
            "stream before the reload",
            &format!("{before} of {before}"),
            &format!("{} of {before}", before - early as u32),
            early == 0,
        );
        self.screen.count(
            "the same stream after `kordon reload` returned",
            &format!("0 of {}", hit_sent - after),
            &format!("{late} of {}", hit_sent - after),
            late == 0 && output.code == Some(0),
        );
        let arrived = self.lab.ledger().arrived(other_id);
        self.screen.count(
            "the other stream, all the time",
            &format!("{other_sent} of {other_sent}"),
            &format!("{arrived} of {other_sent}"),
            arrived == other_sent,
        );
        Ok(())
    }

    fn ask(&mut self, site: &Site, daemon: &Daemon) -> Res {
        self.screen.chapter("What kordon says about it");
        for (of, exit) in [(UNLISTED, 10), (BLOCKED6, 10), (ALLOWED, 0)] {
            let command = format!("why {of} {CONFIG} --running --exit-code");
            self.screen.command(&format!("kordon {command}"));
            let output = site.kordon(&command)?;
            self.screen.output(&format!("{}{}", output.stdout, output.stderr), 12);
            let name = format!("`why {of}` exit status");
            let seen = output.code.map_or("a signal".to_owned(), |code| code.to_string());
            self.screen.count(&name, &exit.to_string(), &seen, output.code == Some(exit));
        }
        self.screen.command(&format!("kordon status {CONFIG}"));
        let output = site.kordon(&format!("status {CONFIG}"))?;
        self.screen.output(&format!("{}{}", output.stdout, output.stderr), 25);
        let wanted = ["kordon_packets_total", "_accepted_total", "_dropped_total", "_generation"];
        self.screen.command(&format!(
            "curl -s http://127.0.0.1:{}/metrics | grep -E '^kordon_(packets|ruleset)'",
            site.setup().port
        ));
        let metrics = daemon.metrics()?;
        let counters: Vec<&str> = metrics
            .text
            .lines()
            .filter(|line| line.starts_with("kordon_packets") || line.starts_with("kordon_ruleset"))
            .filter(|line| wanted.iter().any(|part| line.contains(part)))
            .filter(|line| !line.ends_with(" 0"))
            .collect();
        self.screen.output(&counters.join("\n"), 20);
        let total = metrics.get("kordon_packets_total", &[])?;
        let sum = metrics.get("kordon_packets_accepted_total", &[])?
            + metrics.get("kordon_packets_dropped_total", &[])?;
        self.screen.count(
            "counters: packets = accepted + dropped",
            &total.to_string(),
            &sum.to_string(),
            total == sum && total > 0,
        );
        Ok(())
    }

    fn kill_and_restart(&mut self, site: &Site, daemon: Daemon) -> Res<Daemon> {
        self.screen.chapter("kordon is killed: nothing passes, not even what is allowed");
        self.screen.command(&format!("kill -9 {}", daemon.pid()));
        daemon.kill()?;
        self.silence("killed: UDP to server A", ALLOWED)?;
        self.silence("killed: IPv6 UDP to server A", ALLOWED6)?;
        self.silence("killed: UDP to the relay", BLOCKED)?;
        self.tcp("killed: TCP to server A", ALLOWED, false)?;

        self.screen.chapter("kordon is back");
        let daemon = self.start(site)?;
        self.udp("back: UDP to server A", ALLOWED, true)?;
        self.udp("back: IPv6 UDP to server A", ALLOWED6, true)?;
        self.tcp("back: TCP to server A", ALLOWED, true)?;
        self.udp("back: UDP to the relay", BLOCKED, false)?;
        self.udp("back: UDP to the added prefix", UNLISTED, false)?;
        Ok(daemon)
    }

    fn start(&mut self, site: &Site) -> Res<Daemon> {
        self.screen.command(&format!("kordon run {CONFIG} &"));
        let daemon = site.start()?;
        let log = daemon.log();
        let last = log.lines().rfind(|line| line.contains("ready")).unwrap_or_default();
        self.screen.output(last, 1);
        Ok(daemon)
    }

    /// Sends [`N`] probes; all arrive, or none although a later one beside them does.
    fn udp(&mut self, step: &str, to: IpAddr, passes: bool) -> Res {
        let mut stream = self.lab.stream(to)?;
        stream.send_many(N)?;
        if passes {
            self.lab.ledger().wait_for(stream.id(), N, PATIENCE);
        } else {
            let fence = self.lab.fence(to);
            if let Err(reason) = fence {
                self.screen.count(step, "0", &reason, false);
                return Ok(());
            }
        }
        self.arrived(step, self.lab.ledger().arrived(stream.id()), if passes { N } else { 0 });
        Ok(())
    }

    /// Sends [`N`] probes; none arrives within a while.
    fn silence(&mut self, step: &str, to: IpAddr) -> Res {
        let mut stream = self.lab.stream(to)?;
        stream.send_many(N)?;
        std::thread::sleep(Duration::from_millis(500));
        self.arrived(step, self.lab.ledger().arrived(stream.id()), 0);
        Ok(())
    }

    fn arrived(&mut self, step: &str, arrived: u32, expected: u32) {
        let (expected_text, seen) = (format!("{expected} of {N}"), format!("{arrived} of {N}"));
        self.screen.count(step, &expected_text, &seen, arrived == expected);
    }

    /// Sends a megabyte and reads its echo; or fails to connect.
    fn tcp(&mut self, step: &str, to: IpAddr, passes: bool) -> Res {
        const LENGTH: u64 = 1 << 20;
        let server = &self.lab.tcp[usize::from(to != ALLOWED && to != ALLOWED6)];
        let (connections, bytes) = (server.connections(), server.bytes());
        let limit = Duration::from_millis(if passes { 5000 } else { 1500 });
        let echoed = tcp::connect(to, limit)
            .and_then(|connection| tcp::exchange(&connection, LENGTH as usize));
        let bytes = server.bytes() - bytes;
        let connected = server.connections() - connections;
        let expected = if passes { "1 MiB echoed" } else { "no connection" };
        let seen = match (connected, bytes) {
            (0, _) => "no connection".to_owned(),
            (_, LENGTH) if echoed.is_ok() => "1 MiB echoed".to_owned(),
            (n, bytes) => format!("{n} connected, {bytes} B"),
        };
        let ok = seen == expected;
        self.screen.count(step, expected, &seen, ok);
        Ok(())
    }
}
