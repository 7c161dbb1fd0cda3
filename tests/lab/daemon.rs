//! The gateway's kordon: a folder with its configuration and lists, its commands, and the daemon as a
//! child process.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use super::process::{self, Output};
use super::scrape::{self, Metrics};
use super::{Context, PATIENCE, Res, topology, wait_until};

/// The configuration file's name inside its folder.
pub(crate) const CONFIG: &str = "kordon.toml";
/// The limit of a kordon command.
const COMMAND: Duration = Duration::from_secs(30);

static BINARY: OnceLock<PathBuf> = OnceLock::new();
static NEXT_SITE: AtomicU32 = AtomicU32::new(0);

/// Says which binary is kordon; once, before anything else.
pub(crate) fn set_binary(path: impl Into<PathBuf>) {
    let _ = BINARY.set(path.into());
}

/// Which code talks to the kernel's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Native,
    Nfq,
}

impl Backend {
    pub(crate) const ALL: [Backend; 2] = [Backend::Native, Backend::Nfq];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Backend::Native => "native",
            Backend::Nfq => "nfq",
        }
    }
}

/// A list of the configuration, with its file's text.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) action: &'static str,
    pub(crate) text: String,
}

impl List {
    pub(crate) fn file(&self) -> String {
        format!("{}.txt", self.name)
    }
}

/// What the configuration says.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) mode: &'static str,
    pub(crate) on_failure: &'static str,
    pub(crate) interfaces: Vec<&'static str>,
    pub(crate) networks: Vec<&'static str>,
    pub(crate) trusted: Vec<&'static str>,
    pub(crate) backend: Backend,
    pub(crate) queues: u16,
    /// Bytes of each queue's socket buffer, where not the default.
    pub(crate) buffer: Option<u32>,
    /// The most that the queues may hold, where not the default.
    pub(crate) held: Option<&'static str>,
    /// The tool for the rules, where not left to kordon.
    pub(crate) tool: Option<&'static str>,
    /// Mark and mask, where not the default.
    pub(crate) mark: Option<(u32, u32)>,
    pub(crate) port: u16,
    pub(crate) watch: bool,
    /// Where its log goes, if not into the site's folder.
    pub(crate) log: Option<&'static str>,
    /// Variables in the daemon's environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) lists: Vec<List>,
    /// `start,end,asn,org` lines.
    pub(crate) origin: String,
    /// What stands at the end of the configuration.
    pub(crate) more: String,
}

impl Setup {
    /// What most cases want: two blocked prefixes with an exempt address in each, one blocked AS.
    pub(crate) fn new(backend: Backend) -> Self {
        Setup {
            mode: "enforce",
            on_failure: "closed",
            interfaces: vec![topology::CAMERA_INTERFACE],
            networks: topology::CAMERA_NETWORKS.to_vec(),
            trusted: Vec::new(),
            backend,
            queues: 1,
            buffer: None,
            held: None,
            tool: None,
            mark: None,
            port: 19420,
            watch: false,
            log: None,
            environment: Vec::new(),
            lists: vec![
                List {
                    name: "blocked",
                    kind: "prefix",
                    action: "block",
                    text: "# blocked for the test\n203.0.113.0/25\n2001:db8:3::/64\n".to_owned(),
                },
                List {
                    name: "relays",
                    kind: "asn",
                    action: "block",
                    text: "AS64500 # Example Relay\n".to_owned(),
                },
                List {
                    name: "exempt",
                    kind: "prefix",
                    action: "allow",
                    text: format!("{}\n{}\n", topology::EXEMPT, topology::EXEMPT6),
                },
            ],
            more: String::new(),
            origin: "203.0.113.144,203.0.113.159,64500,Example Relay\n".to_owned(),
        }
    }

    /// The text of the configuration file.
    pub(crate) fn toml(&self) -> String {
        let mut text = format!(
            "mode = \"{}\"\non_failure = \"{}\"\n\n[cameras]\ninterfaces = {:?}\n",
            self.mode, self.on_failure, self.interfaces
        );
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{arguments}");
        };
        if !self.networks.is_empty() {
            line(format_args!("networks = {:?}", self.networks));
        }
        if !self.trusted.is_empty() {
            line(format_args!("trusted_interfaces = {:?}", self.trusted));
        }
        line(format_args!("\n[[camera]]\nname = \"gate-3\"\naddress = \"{}\"", topology::CAMERA));
        line(format_args!("\n[queue]\nfirst = 40\ncount = {}", self.queues));
        line(format_args!("backend = \"{}\"", self.backend.label()));
        if let Some(bytes) = self.buffer {
            line(format_args!("buffer_bytes = {bytes}"));
        }
        if let Some(size) = self.held {
            line(format_args!("max_held_bytes = \"{size}\""));
        }
        line(format_args!("\n[rules]"));
        if let Some((mark, mask)) = self.mark {
            line(format_args!("mark = {mark:#x}\nmask = {mask:#x}"));
        }
        if let Some(tool) = self.tool {
            line(format_args!("backend = \"{tool}\""));
        }
        line(format_args!("\n[metrics]\nlisten = \"127.0.0.1:{}\"", self.port));
        line(format_args!("\n[control]\nsocket = \"control.sock\""));
        line(format_args!("\n[state]\nfolder = \"state\""));
        if self.watch {
            line(format_args!("\n[reload]\nwatch = true\ndebounce = \"100ms\""));
        }
        for list in &self.lists {
            line(format_args!("\n[[list]]\nname = \"{}\"\npath = \"{}\"", list.name, list.file()));
            line(format_args!("kind = \"{}\"\naction = \"{}\"", list.kind, list.action));
            if list.action == "block" {
                line(format_args!(
                    "basis = {{ issuer = \"Test Office\", number = \"1\", date = 2026-01-01 }}"
                ));
            }
        }
        if !self.origin.is_empty() {
            line(format_args!("\n[[origin]]\nname = \"extract\"\npath = \"origin.csv\""));
            line(format_args!("format = \"csv\""));
        }
        text.push_str(&self.more);
        text
    }
}

/// A folder with a configuration and its lists; removed at the end.
pub(crate) struct Site {
    folder: PathBuf,
    setup: Setup,
}

impl Site {
    pub(crate) fn new(setup: Setup) -> Res<Self> {
        let number = NEXT_SITE.fetch_add(1, Ordering::Relaxed);
        let name = format!("kordon-lab-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).context(folder.display())?;
        std::fs::create_dir(folder.join("state")).context(folder.display())?;
        let site = Site { folder, setup };
        site.write(CONFIG, &site.setup.toml())?;
        for list in &site.setup.lists {
            site.write(&list.file(), &list.text)?;
        }
        if !site.setup.origin.is_empty() {
            site.write("origin.csv", &site.setup.origin)?;
        }
        Ok(site)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Replaces a file as a careful editor does: whole, by renaming.
    pub(crate) fn write(&self, file: &str, text: &str) -> Res {
        let (path, aside) = (self.folder.join(file), self.folder.join(format!(".{file}.new")));
        std::fs::write(&aside, text).context(aside.display())?;
        std::fs::rename(&aside, &path).context(path.display())
    }

    /// Puts text at the end of a list's file as it was at the start.
    pub(crate) fn add_to_list(&self, name: &str, lines: &str) -> Res {
        let list = self.setup.lists.iter().find(|list| list.name == name);
        let list = list.ok_or_else(|| format!("no list {name}"))?;
        self.write(&list.file(), &format!("{}{lines}", list.text))
    }

    /// `kordon COMMAND ...` in this folder; `arguments` are separated by spaces.
    pub(crate) fn kordon(&self, arguments: &str) -> Res<Output> {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        self.kordon_words(&words)
    }

    /// [`Site::kordon`], argument by argument.
    pub(crate) fn kordon_words(&self, arguments: &[&str]) -> Res<Output> {
        process::run(&mut self.command(arguments)?, COMMAND)
    }

    /// [`Site::kordon`] with these variables in its environment.
    pub(crate) fn kordon_with(&self, arguments: &str, environment: &[(&str, &str)]) -> Res<Output> {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let mut command = self.command(&words)?;
        process::run(command.envs(environment.iter().copied()), COMMAND)
    }

    fn command(&self, arguments: &[&str]) -> Res<Command> {
        let mut command = Command::new(binary()?);
        command.args(arguments).current_dir(&self.folder).env("NO_COLOR", "1");
        Ok(command)
    }

    /// [`Site::kordon`] that must succeed; returns its standard output.
    pub(crate) fn kordon_ok(&self, arguments: &str) -> Res<String> {
        let output = self.kordon(arguments)?;
        match output.code {
            Some(0) => Ok(output.stdout),
            _ => Err(format!("`kordon {arguments}` {}", output.said())),
        }
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn start(&self) -> Res<Daemon> {
        let mut daemon = self.spawn()?;
        daemon.wait_ready()?;
        Ok(daemon)
    }

    /// Starts the daemon.
    pub(crate) fn spawn(&self) -> Res<Daemon> {
        self.spawn_through(&[])
    }

    /// Starts the daemon through `setpriv` with these further options.
    pub(crate) fn spawn_through(&self, setpriv: &[&str]) -> Res<Daemon> {
        // It dies with us, even if we are killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(setpriv).arg("--").arg(binary()?);
        self.spawn_by(command)
    }

    /// Where a service manager of this site listens.
    pub(crate) fn notify_socket(&self) -> PathBuf {
        self.folder.join("notify")
    }

    /// Starts the daemon as a service manager does that keeps these descriptors: passed as 3 and following.
    pub(crate) fn spawn_supervised(
        &self,
        stored: &[(String, OwnedFd)],
        environment: &[(&str, &str)],
    ) -> Res<Daemon> {
        // Out of the way of the numbers where they shall be; a shell moves them there and knows its own id.
        let mut passed = Vec::new();
        let mut redirections = String::new();
        for (place, (_, descriptor)) in stored.iter().enumerate() {
            let copy = fcntl_dupfd_cloexec(descriptor, 100).context("a copy of a descriptor")?;
            fcntl_setfd(&copy, FdFlags::empty()).context("a copy of a descriptor")?;
            let number = copy.as_raw_fd();
            let _ = write!(redirections, " {}<&{number} {number}<&-", 3 + place);
            passed.push(copy);
        }
        let names: Vec<&str> = stored.iter().map(|(name, _)| name.as_str()).collect();
        let script = format!("exec {redirections}; export LISTEN_PID=$$; exec \"$0\" \"$@\"");
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "bash", "-c", &script])
            .arg(binary()?)
            .envs(environment.iter().copied())
            .env("NOTIFY_SOCKET", self.notify_socket())
            .env("LISTEN_FDS", stored.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"));
        self.spawn_by(command)
    }

    fn spawn_by(&self, mut command: Command) -> Res<Daemon> {
        let log = self.setup.log.map_or_else(|| self.folder.join("log"), PathBuf::from);
        let open = || std::fs::File::options().create(true).append(true).open(&log);
        let (out, err) = (open().context(log.display())?, open().context(log.display())?);
        let child = command
            .args(["run", "--config", CONFIG])
            .current_dir(&self.folder)
            .env("NO_COLOR", "1")
            .envs(self.setup.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .context("cannot start setpriv")?;
        let address = SocketAddr::from(([127, 0, 0, 1], self.setup.port));
        Ok(Daemon { child, log, address })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::env::var_os("KORDON_LAB_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// A running daemon; killed, by its pid, at the end.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    address: SocketAddr,
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has logged, those before it in the same folder included.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `/readyz` says yes.
    pub(crate) fn wait_ready(&mut self) -> Res {
        let ready = |address| matches!(scrape::get(address, "/readyz"), Ok((200, _)));
        let address = self.address;
        let mut ended = None;
        let up = wait_until(PATIENCE, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || ready(address)
        });
        match (ended, up) {
            (Some(status), _) => {
                Err(format!("the daemon ended with {status} instead of starting:\n{}", self.log()))
            }
            (None, true) => Ok(()),
            (None, false) => Err(format!(
                "the daemon was not ready after {} s:\n{}",
                PATIENCE.as_secs(),
                self.log()
            )),
        }
    }

    pub(crate) fn metrics(&self) -> Res<Metrics> {
        Metrics::read(self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Res<(u16, String)> {
        scrape::get(self.address, path)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Res {
        let pid = i32::try_from(self.child.id()).context("pid")?;
        kill(Pid::from_raw(pid), signal).context(format!("{signal} to the daemon"))
    }

    /// Stops it in the middle of whatever it does (SIGSTOP), and waits until every thread stands still: a
    /// thread may finish one more packet after the signal was sent.
    pub(crate) fn freeze(&self) -> Res {
        self.signal(Signal::SIGSTOP)?;
        match wait_until(PATIENCE, || self.stands_still().unwrap_or(false)) {
            true => Ok(()),
            false => Err("the daemon does not stop at SIGSTOP".to_owned()),
        }
    }

    /// Lets it go on after [`Daemon::freeze`].
    pub(crate) fn thaw(&self) -> Res {
        self.signal(Signal::SIGCONT)
    }

    fn stands_still(&self) -> std::io::Result<bool> {
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // `PID (NAME) STATE ...`, and the name may hold anything.
            let text = std::fs::read_to_string(task?.path().join("stat"))?;
            if !text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where its metrics are.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for its end; returns its exit status, `None` if a signal ended it.
    pub(crate) fn wait_end(&mut self) -> Res<Option<i32>> {
        process::wait(&mut self.child, PATIENCE).context("the daemon")
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(mut self) -> Res {
        self.signal(Signal::SIGKILL)?;
        self.wait_end().map(drop)
    }

    /// Whether it is still running.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> Res<&'static Path> {
    BINARY.get().map(PathBuf::as_path).ok_or_else(|| "which kordon? set_binary first".to_owned())
}
