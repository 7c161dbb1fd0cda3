//! The gateway under test: its disk, its machine while it has power, kordon's configuration on it, and the
//! ways that probes take.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::frame::Way;
use crate::lab::process::Output;
use crate::lab::{Context, Res};
use crate::machine::{Image, Machine, overlay};
use crate::payload::{self, Payload};
use crate::wire::{self, Flow, Running, Wires};

/// The VLAN that cameras are in, and one of the office, which is nobody's camera.
pub(crate) const CAMERAS: u16 = 20;
pub(crate) const OFFICE: u16 = 30;

/// The configuration of most cases.
pub(crate) const CONFIG: &str = r#"mode = "enforce"
on_failure = "closed"

[cameras]
interfaces = ["lan0.20"]
networks = ["192.0.2.0/26", "2001:db8:1::/64"]

[[camera]]
name = "gate-3"
address = "192.0.2.10"

[queue]
first = 40
count = 2

[[list]]
name = "blocked"
path = "lists.d/blocked.txt"
kind = "prefix"
action = "block"
basis = { issuer = "Test Office", number = "1", date = 2026-01-01 }

[[list]]
name = "exempt"
path = "lists.d/exempt.txt"
kind = "prefix"
action = "allow"
"#;

/// What the lists hold.
pub(crate) const BLOCKED: &str = "203.0.113.0/25\n2001:db8:3::/64\n";
const EXEMPT: &str = "203.0.113.20\n2001:db8:3::20\n";

/// A camera's probe to an address.
pub(crate) fn camera(to: &str) -> Way {
    tagged(&[CAMERAS], to)
}

/// A camera's probe to an address, with these tags.
pub(crate) fn tagged(tags: &[u16], to: &str) -> Way {
    let from = if to.contains(':') { "2001:db8:1::10" } else { "192.0.2.10" };
    way(tags, from, to)
}

/// A probe from the office VLAN, which passes whatever kordon does: the machine forwards.
pub(crate) fn office() -> Way {
    way(&[OFFICE], "192.0.2.70", "198.51.100.70")
}

/// Any probe. The addresses are written in the cases.
pub(crate) fn way(tags: &[u16], from: &str, to: &str) -> Way {
    let read = |text: &str| text.parse().expect("an address");
    Way { tags: tags.to_vec(), from: read(from), to: read(to) }
}

/// Where a camera may send, and where it may not, in both families.
pub(crate) fn allowed() -> Vec<Way> {
    ["198.51.100.10", "203.0.113.20", "203.0.113.200", "2001:db8:2::10", "2001:db8:3::20"]
        .map(camera)
        .to_vec()
}

pub(crate) fn blocked() -> Vec<Way> {
    ["203.0.113.10", "203.0.113.120", "2001:db8:3::10"].map(camera).to_vec()
}

pub(crate) struct Gateway<'a> {
    image: &'a Image,
    payload: &'a Payload,
    pub(crate) wires: &'a Wires,
    scratch: PathBuf,
    logs: PathBuf,
    /// The disk with kordon installed, configured and not enabled.
    installed: PathBuf,
    /// This group's.
    disk: PathBuf,
    group: String,
    machine: Option<Machine>,
}

impl<'a> Gateway<'a> {
    pub(crate) fn new(
        image: &'a Image,
        payload: &'a Payload,
        wires: &'a Wires,
        scratch: &Path,
        logs: &Path,
    ) -> Self {
        Gateway {
            image,
            payload,
            wires,
            scratch: scratch.to_owned(),
            logs: logs.to_owned(),
            installed: scratch.join("installed.qcow2"),
            disk: scratch.join("disk.qcow2"),
            group: "install".to_owned(),
            machine: None,
        }
    }

    /// Makes the disk that all groups begin with: the package installed, the configuration written.
    pub(crate) fn install(&mut self) -> Res<String> {
        self.disk = overlay(&self.image.disk(), &self.installed)?;
        let up = self.power_on_and_wait()?;
        self.ok(&format!("mkdir {0} && tar -xf /dev/vdb -C {0}", payload::FOLDER))?;
        self.ok(&format!("dpkg -i {}/kordon.deb 2>&1", payload::FOLDER))?;
        for (unit, question) in
            [("kordon", "is-enabled"), ("kordon-gate", "is-enabled"), ("kordon", "is-active")]
        {
            if self.sh(&format!("systemctl {question} {unit}"))?.code == Some(0) {
                return Err(format!("a first installation, and {unit} {question}"));
            }
        }
        self.fails("nft list table inet kordon", 1)?;
        self.write("/etc/kordon/kordon.toml", CONFIG)?;
        self.write("/etc/kordon/lists.d/blocked.txt", BLOCKED)?;
        self.write("/etc/kordon/lists.d/exempt.txt", EXEMPT)?;
        self.take_machine()?.power_off()?;
        self.disk = self.scratch.join("disk.qcow2");
        Ok(format!("by dpkg, neither enabled nor started; powered on in {:.0} s", up.as_secs_f64()))
    }

    /// A new group: the installed disk, no power.
    pub(crate) fn begin(&mut self, group: &str) -> Res {
        self.machine = None;
        group.clone_into(&mut self.group);
        overlay(&self.installed, &self.disk).map(drop)
    }

    /// Pulls the plug.
    pub(crate) fn end(&mut self) {
        self.machine = None;
    }

    /// Gives it power; what it does then is to be seen.
    pub(crate) fn power_on(&mut self) -> Res {
        let console = self.logs.join(format!("{}.console", self.group));
        self.machine = None;
        let machine = Machine::power_on(
            self.image,
            &self.disk,
            &self.payload.tar,
            self.wires,
            &self.scratch,
            &console,
        )?;
        self.machine = Some(machine);
        Ok(())
    }

    pub(crate) fn power_on_and_wait(&mut self) -> Res<Duration> {
        self.power_on()?;
        let took = self.wait_up()?;
        self.settle()?;
        Ok(took)
    }

    /// Waits until it takes commands.
    pub(crate) fn wait_up(&mut self) -> Res<Duration> {
        self.machine()?.wait_up()
    }

    /// Waits until systemd has started all that it was to start (or given up on some of it), and the interfaces
    /// have their addresses.
    pub(crate) fn settle(&mut self) -> Res {
        let script = "timeout 110 systemctl is-system-running --wait; \
            /lib/systemd/systemd-networkd-wait-online --timeout=60 \
            -i lan0.20:routable -i lan0.30:routable -i wan0:routable";
        let output = self.machine()?.sh_within(script, Duration::from_secs(180))?;
        match output.code {
            Some(0) => Ok(()),
            _ => Err(format!("the machine does not settle: {}", output.said())),
        }
    }

    /// Runs a script; whatever its exit status.
    pub(crate) fn sh(&mut self, script: &str) -> Res<Output> {
        self.machine()?.sh(script)
    }

    /// The same, with a limit of its own.
    pub(crate) fn sh_within(&mut self, script: &str, limit: Duration) -> Res<Output> {
        self.machine()?.sh_within(script, limit)
    }

    /// Runs a script that must succeed.
    pub(crate) fn ok(&mut self, script: &str) -> Res<String> {
        self.machine()?.ok(script)
    }

    /// Runs a script that must fail with this status; returns what it said on standard error.
    pub(crate) fn fails(&mut self, script: &str, status: i32) -> Res<String> {
        let output = self.sh(script)?;
        match output.code == Some(status) {
            true => Ok(output.stderr),
            false => Err(format!("`{script}` should end with {status}, and {}", output.said())),
        }
    }

    /// Replaces a file in the machine.
    pub(crate) fn write(&mut self, path: &str, text: &str) -> Res {
        self.ok(&format!(
            "cat >{path}.new <<'END OF FILE' && mv {path}.new {path}\n{text}END OF FILE\n"
        ))
        .map(drop)
    }

    /// kordon enforces, freshly started, with the usual configuration.
    pub(crate) fn enforcing(&mut self) -> Res {
        self.write("/etc/kordon/kordon.toml", CONFIG)?;
        self.write("/etc/kordon/lists.d/blocked.txt", BLOCKED)?;
        self.ok("systemctl restart kordon && kordon status >/dev/null").map(drop)
    }

    /// A figure of `kordon status -o json`, by its path.
    pub(crate) fn status(&mut self) -> Res<serde_json::Value> {
        let text = self.ok("kordon status -o json")?;
        serde_json::from_str(&text).context("kordon status -o json")
    }

    /// One of the daemon's metrics: the sum over its series.
    pub(crate) fn metric(&mut self, name: &str) -> Res<u64> {
        let text = self.ok(
            "exec 3<>/dev/tcp/127.0.0.1/19420 && \
             printf 'GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && cat <&3",
        )?;
        let values: Vec<f64> = text
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with([' ', '{']))
            .filter_map(|rest| rest.rsplit(' ').next()?.trim().parse().ok())
            .collect();
        match values.is_empty() {
            true => Err(format!("the metrics have no {name}")),
            false => Ok(values.iter().sum::<f64>() as u64),
        }
    }

    /// How many packets the gate has dropped, in both families; what its like on the input hook has is not among them.
    pub(crate) fn gate_dropped(&mut self) -> Res<u64> {
        self.counted(&["gate_ipv4", "gate_ipv6"])
    }

    /// How many packets hold has handed to the queues, on both hooks.
    pub(crate) fn held(&mut self) -> Res<u64> {
        self.counted(&["held"])
    }

    /// The sum of these counters of kordon's table, all of which must be there.
    fn counted(&mut self, names: &[&str]) -> Res<u64> {
        let text = self.ok("nft list counters table inet kordon")?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let counts: Vec<u64> = words
            .windows(5)
            .filter(|five| names.contains(&five[1]) && five[3] == "packets")
            .filter_map(|five| five[4].parse().ok())
            .collect();
        match counts.len() == names.len() {
            true => Ok(counts.iter().sum()),
            false => Err(format!("{} counters, not {names:?}: {text}", counts.len())),
        }
    }

    /// Sends `count` probes on each way; all must arrive. Returns how many that were.
    pub(crate) fn passes(&mut self, ways: &[Way], count: u32) -> Res<u32> {
        let mut streams = Vec::new();
        for way in ways {
            let mut stream = self.wires.stream(way)?;
            stream.send(count)?;
            streams.push(stream);
        }
        streams.iter().try_for_each(wire::Stream::all_arrived)?;
        Ok(streams.iter().map(wire::Stream::arrived).sum())
    }

    /// Sends `count` probes on each way; none may arrive, although a later one from the office does.
    pub(crate) fn blocked(&mut self, ways: &[Way], count: u32) -> Res<u32> {
        match wire::leaks(self.wires, ways, &office(), count)? {
            0 => Ok(count * ways.len() as u32),
            n => Err(format!("{n} of {} probes arrived, none may", count * ways.len() as u32)),
        }
    }

    /// Cameras that send `rate` probes a second where they may, and a fifth of that where they may not.
    pub(crate) fn traffic(&mut self, rate: u32) -> Res<Traffic> {
        Ok(Traffic {
            allowed: self.wires.stream(&camera("198.51.100.10"))?.run(rate),
            blocked: self.wires.stream(&camera("203.0.113.10"))?.run(rate / 5),
        })
    }

    /// Does something, and says by how much a busy host slowed the machine down meanwhile: 1 where its threads never
    /// waited for a processor of the host's, 2 where they waited as long as they ran. Limits of time are for a
    /// machine that has its processors to itself.
    pub(crate) fn slowed<T>(&mut self, work: impl FnOnce(&mut Self) -> Res<T>) -> Res<(T, f64)> {
        let (run, waited) = self.machine()?.processors()?;
        let result = work(self)?;
        let (run_after, waited_after) = self.machine()?.processors()?;
        let run = run_after.saturating_sub(run).as_secs_f64();
        let waited = waited_after.saturating_sub(waited).as_secs_f64();
        Ok((result, 1.0 + waited / run.max(0.001)))
    }

    /// Keeps the journal of a machine that is up; its console is kept anyway.
    pub(crate) fn keep_logs(&mut self, case: &str) {
        let path = self.logs.join(format!("{}.{case}.journal", self.group));
        let script = "journalctl --no-pager -b -o short-monotonic | tail -n 400; nft list ruleset";
        if let Ok(output) = self.sh(script) {
            let _ = std::fs::write(path, output.stdout);
        }
    }

    fn machine(&mut self) -> Res<&mut Machine> {
        self.machine.as_mut().ok_or_else(|| "the machine has no power".to_owned())
    }

    fn take_machine(&mut self) -> Res<Machine> {
        self.machine.take().ok_or_else(|| "the machine has no power".to_owned())
    }
}

/// Two streams: one that must not be lost, one that must not get through.
pub(crate) struct Traffic {
    pub(crate) allowed: Running,
    pub(crate) blocked: Running,
}

impl Traffic {
    /// Ends both and adds up: what became of those that may pass, and of those that may not.
    pub(crate) fn stop(self) -> Res<(Flow, Flow)> {
        self.allowed.halt();
        self.blocked.halt();
        Ok((self.allowed.stop()?, self.blocked.stop()?))
    }
}
