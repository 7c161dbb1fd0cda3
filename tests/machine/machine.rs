//! The gateway as a machine: QEMU with Debian's own kernel and systemd, its power switch, and a wire for commands.
//!
//! Invariants: software emulation only, so that it runs the same everywhere; no card but the two wires, so that
//! nothing of it reaches any other network; every wait is bounded; the process dies with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::lab::process::{self, Output};
use crate::lab::{Context, Res, wait_until};
use crate::wire::Wires;

/// From power-on until commands are taken. About 15 s on two idle cores.
const BOOT: Duration = Duration::from_secs(180);
/// From `systemctl poweroff` on.
const SHUTDOWN: Duration = Duration::from_secs(90);
/// A command, unless its case says otherwise. An upgrade or a reload of ufw took more than a minute on a busy host.
const COMMAND: Duration = Duration::from_secs(180);
/// What the wire for commands may take on top of the command's own limit.
const SLACK: Duration = Duration::from_secs(30);

/// Where the machine's parts lie.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// With vmlinuz, initrd.img and disk.qcow2.
    pub(crate) folder: PathBuf,
}

impl Image {
    /// Builds it if it is not in the cache.
    pub(crate) fn get() -> Res<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machine/build-image");
        let child = Command::new(script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context(script)?;
        let output = child.wait_with_output().context(script)?;
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match output.status.success() {
            true => Ok(Image { folder: PathBuf::from(folder) }),
            false => Err(format!("{script} failed")),
        }
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.folder.join("disk.qcow2")
    }
}

/// A disk that begins as another one and keeps what is written to it to itself.
pub(crate) fn overlay(base: &Path, new: &Path) -> Res<PathBuf> {
    let _ = std::fs::remove_file(new);
    let (base, path) = (base.display().to_string(), new.display().to_string());
    process::tool("qemu-img", &["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &base, &path])?;
    Ok(new.to_owned())
}

/// A machine that has power.
pub(crate) struct Machine {
    child: Child,
    port: BufReader<UnixStream>,
    console: PathBuf,
    /// The kernel's name for this boot; empty until it is up.
    boot: String,
    asked: u32,
}

impl Machine {
    /// Gives it power, and does not wait. `folder` takes what is needed while it runs; `payload` is a tar that
    /// it finds on its second disk.
    pub(crate) fn power_on(
        image: &Image,
        disk: &Path,
        payload: &Path,
        wires: &Wires,
        folder: &Path,
        console: &Path,
    ) -> Res<Self> {
        wires.unplug();
        let socket = folder.join("agent");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).context(socket.display())?;
        listener.set_nonblocking(true).context(socket.display())?;
        let drive = |path: &Path, format, more| {
            format!("file={},if=virtio,format={format}{more}", path.display())
        };
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
            .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "768"])
            .args(["-nodefaults", "-display", "none", "-no-user-config"])
            .arg("-kernel")
            .arg(image.folder.join("vmlinuz"))
            .arg("-initrd")
            .arg(image.folder.join("initrd.img"))
            .args(["-append", "root=/dev/vda rw console=ttyS0 panic=-1 systemd.show_status=1"])
            .args(["-drive", &drive(disk, "qcow2", ",cache=unsafe")])
            .args(["-drive", &drive(payload, "raw", ",readonly=on")])
            .args(["-chardev", &format!("file,id=console,path={},append=on", console.display())])
            .args(["-serial", "chardev:console"])
            .args(["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"])
            .args(["-chardev", &format!("socket,id=agent,path={}", socket.display())])
            .args(["-device", "virtserialport,chardev=agent,name=machine"])
            .args(wires.qemu_options())
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start qemu-system-x86_64 through setpriv")?;
        let mut stream = None;
        let mut ended = None;
        wait_until(SLACK, || {
            stream = listener.accept().ok().map(|(stream, _)| stream);
            ended = child.try_wait().ok().flatten();
            stream.is_some() || ended.is_some()
        });
        let Some(stream) = stream else {
            let _ = child.kill();
            let _ = child.wait();
            return Err("qemu-system-x86_64 did not start".to_owned());
        };
        stream.set_nonblocking(false).context("the agent's wire")?;
        Ok(Machine {
            child,
            port: BufReader::new(stream),
            console: console.to_owned(),
            boot: String::new(),
            asked: 0,
        })
    }

    /// Waits until it takes commands: after power-on, or after it was told to boot again. Returns how long.
    pub(crate) fn wait_up(&mut self) -> Res<Duration> {
        let start = Instant::now();
        self.limit(BOOT)?;
        loop {
            let mut line = String::new();
            let read = self.port.read_line(&mut line);
            let left = BOOT.checked_sub(start.elapsed());
            match read {
                Ok(0) => return Err(self.died("the machine's power is off")),
                Ok(_) => {}
                Err(error) => return Err(self.died(&format!("it does not come up: {error}"))),
            }
            if let Some(boot) = line.trim().strip_prefix("hello ")
                && boot != self.boot
            {
                boot.clone_into(&mut self.boot);
                return Ok(start.elapsed());
            }
            match left {
                Some(left) => self.limit(left)?,
                None => return Err(self.died("it does not come up")),
            }
        }
    }

    /// Runs a bash script as root.
    pub(crate) fn sh(&mut self, script: &str) -> Res<Output> {
        self.sh_within(script, COMMAND)
    }

    /// The same with a limit of its own.
    pub(crate) fn sh_within(&mut self, script: &str, limit: Duration) -> Res<Output> {
        self.asked += 1;
        let head = format!("{} {} {}\n", self.asked, limit.as_secs(), script.len());
        let mut asked = head.into_bytes();
        asked.extend(script.bytes());
        self.limit(limit + SLACK)?;
        self.port.get_mut().write_all(&asked).context("the agent's wire")?;
        let mut line = String::new();
        if let Err(error) = self.port.read_line(&mut line) {
            return Err(self.died(&format!("no answer to `{script}`: {error}")));
        }
        let words: Vec<i64> =
            line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [number, status, out, err] = words[..] else {
            return Err(self.died(&format!("`{script}` was answered by {line:?}")));
        };
        if number != i64::from(self.asked) {
            return Err(self.died(&format!("`{script}` was answered by {line:?}")));
        }
        let mut read = |bytes: i64| -> Res<String> {
            let mut buffer = vec![0; usize::try_from(bytes).context("an answer's length")?];
            self.port.read_exact(&mut buffer).context("the agent's wire")?;
            Ok(String::from_utf8_lossy(&buffer).into_owned())
        };
        let (stdout, stderr) = (read(out)?, read(err)?);
        Ok(Output { code: i32::try_from(status).ok(), stdout, stderr })
    }

    /// [`Machine::sh`] that must succeed; returns its standard output.
    pub(crate) fn ok(&mut self, script: &str) -> Res<String> {
        let output = self.sh(script)?;
        match output.code {
            Some(0) => Ok(output.stdout),
            _ => Err(format!("`{script}` {}", output.said())),
        }
    }

    /// Shuts it down in order, so that its disk holds all that was written.
    pub(crate) fn power_off(mut self) -> Res {
        // The answer may be lost: who answers is stopped as well.
        let _ = self.sh("systemctl --no-block poweroff");
        let ended = process::wait(&mut self.child, SHUTDOWN);
        ended.map(drop).context(format!("power-off, see {}", self.console.display()))
    }

    /// For how long its threads have run on the host's processors, and for how long they have waited for one
    /// (Documentation/scheduler/sched-stats.rst).
    pub(crate) fn processors(&self) -> Res<(Duration, Duration)> {
        let folder = format!("/proc/{}/task", self.child.id());
        let (mut run, mut waited) = (0, 0);
        for task in std::fs::read_dir(&folder).context(&folder)?.flatten() {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
            run += numbers.next().unwrap_or(0);
            waited += numbers.next().unwrap_or(0);
        }
        Ok((Duration::from_nanos(run), Duration::from_nanos(waited)))
    }

    fn limit(&self, limit: Duration) -> Res {
        self.port.get_ref().set_read_timeout(Some(limit)).context("the agent's wire")
    }

    fn died(&self, what: &str) -> String {
        format!("{what}; its console is in {}", self.console.display())
    }
}

/// As if somebody pulled the plug.
impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
