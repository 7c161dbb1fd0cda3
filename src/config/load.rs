//! Files to a checked [`Config`]: the main file, then `conf.d/*.toml` beside it in lexical order.
//!
//! A later file's key wins; `[[list]]`, `[[origin]]`, `[[group]]`, `[[recorder]]` and `[[camera]]` are added up.
//! Relative paths are relative to the main file's folder, whichever file they stand in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw::Raw;
use super::source::{Source, read};
use super::values::{bytes, duration, interface, listen_address, network, not_empty, within};
use super::*;
use crate::failure::{ExitStatus, Failure};

/// Bytes of a packet that are copied if nothing is said: the headers, and where a payload begins.
const COPIED: u16 = 128;
/// The same where some tunnel is inspected: headers within headers.
pub const COPIED_TO_INSPECT: u16 = 512;
/// The most lists, for their counters are laid out at start.
pub const LIST_LIMIT: usize = 255;
/// The lists that have no file, which no list of a configuration can be named like: what cannot be blocked, what is
/// allowed by command, what is blocked by command.
pub const MADE_LISTS: [&str; 3] = ["protected", "allowed-by-command", "blocked-by-command"];
/// The most origin tables: which of them name a prefix is kept in one byte.
pub const ORIGIN_LIMIT: usize = 8;

impl Config {
    /// Reads the configuration at `path` and its `conf.d`.
    ///
    /// # Errors
    /// 66 where the file is missing, 78 where anything in it is wrong, with `file:line:column`.
    pub fn load(path: &Path) -> Result<Config, Failure> {
        Config::load_text(path, &read(path)?)
    }

    /// The same as if this were the text of the file at `path`, which need not be there.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_text(path: &Path, text: &str) -> Result<Config, Failure> {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut draft = Draft::new(folder.clone());
        draft.add_text(path, text)?;
        for file in drop_ins(&folder.join("conf.d"))? {
            draft.add(&file)?;
        }
        draft.finish(path)
    }
}

/// The files in `conf.d`, in lexical order.
pub(super) fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::reading(folder, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Failure::reading(folder, &error))?.path();
        // Editors leave hidden files (locks, backups) beside those they edit.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What the files read so far say together.
struct Draft {
    folder: PathBuf,
    files: Vec<PathBuf>,
    mode: Mode,
    on_failure: OnFailure,
    cameras: Cameras,
    first: u16,
    count: Option<u16>,
    backend: QueueBackend,
    copy_range: Option<u16>,
    max_held_bytes: u64,
    buffer_bytes: Option<u64>,
    rules_backend: RulesBackend,
    manage: bool,
    mark: u32,
    mask: u32,
    mark_place: String,
    hold_input: bool,
    drop_tunnels_to_gateway: bool,
    listen: Option<SocketAddr>,
    socket: PathBuf,
    state_folder: PathBuf,
    watch: bool,
    debounce: Duration,
    lists: Vec<ListConfig>,
    origins: Vec<OriginConfig>,
    groups: Vec<Group>,
    recorders: Vec<Recorder>,
    local: Vec<IpNet>,
    unlisted: Unlisted,
    tunnels: Tunnels,
    packets: PacketsConfig,
    policies: Vec<DraftPolicy>,
    places: BTreeMap<(&'static str, String), String>,
}

impl Draft {
    fn new(folder: PathBuf) -> Self {
        Draft {
            folder,
            files: Vec::new(),
            mode: Mode::Enforce,
            on_failure: OnFailure::Closed,
            cameras: Cameras::default(),
            first: 40,
            count: None,
            backend: QueueBackend::Native,
            copy_range: None,
            max_held_bytes: 2 << 30,
            buffer_bytes: None,
            rules_backend: RulesBackend::Auto,
            manage: true,
            mark: 0x1000_0000,
            mask: 0x3000_0000,
            mark_place: "rules.mark".into(),
            hold_input: false,
            drop_tunnels_to_gateway: true,
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 19420))),
            socket: PathBuf::from(super::socket::DEFAULT),
            state_folder: PathBuf::from(super::socket::DEFAULT_STATE),
            watch: false,
            debounce: Duration::from_millis(500),
            lists: Vec::new(),
            origins: Vec::new(),
            groups: shipped_groups(),
            recorders: Vec::new(),
            local: Vec::new(),
            unlisted: Unlisted::Accept,
            tunnels: Tunnels::default(),
            packets: PacketsConfig::default(),
            policies: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    fn add(&mut self, path: &Path) -> Result<(), Failure> {
        self.add_text(path, &read(path)?)
    }

    fn add_text(&mut self, path: &Path, text: &str) -> Result<(), Failure> {
        let source = Source { path, text };
        let raw = source.raw()?;
        self.mode = raw.mode.unwrap_or(self.mode);
        self.on_failure = raw.on_failure.unwrap_or(self.on_failure);
        self.add_cameras(&source, &raw)?;
        self.add_queue(&source, &raw)?;
        self.add_rules(&source, &raw)?;
        if let Some(listen) = &raw.metrics.listen {
            self.listen = source.check(listen, |text| listen_address(text))?;
        }
        if let Some(socket) = &raw.control.socket {
            self.socket = self.folder.join(source.check(socket, |text| not_empty(text))?);
        }
        if let Some(folder) = &raw.state.folder {
            self.state_folder = self.folder.join(source.check(folder, |text| not_empty(text))?);
        }
        self.watch = raw.reload.watch.unwrap_or(self.watch);
        if let Some(debounce) = &raw.reload.debounce {
            self.debounce = source.check(debounce, |text| duration(text))?;
        }
        for list in raw.list {
            self.add_list(&source, list)?;
        }
        for origin in raw.origin {
            self.add_origin(&source, origin)?;
        }
        for group in raw.group {
            self.add_group(&source, group)?;
        }
        for recorder in &raw.recorder {
            self.add_recorder(&source, recorder)?;
        }
        if let Some(networks) = &raw.local.networks {
            self.local = source.check_all(networks, |text| network(text))?;
        }
        self.unlisted = raw.default.unwrap_or(self.unlisted);
        self.add_tunnels(&source, &raw.tunnels)?;
        self.add_packets(&source, &raw.packets)?;
        for policy in raw.policy {
            self.add_policy(&source, policy)?;
        }
        self.files.push(path.to_path_buf());
        Ok(())
    }

    fn add_cameras(&mut self, source: &Source<'_>, raw: &Raw) -> Result<(), Failure> {
        if let Some(names) = &raw.cameras.interfaces {
            self.cameras.interfaces = source.check_all(names, |name| interface(name))?;
        }
        if let Some(names) = &raw.cameras.trusted_interfaces {
            self.cameras.trusted_interfaces = source.check_all(names, |name| interface(name))?;
        }
        if let Some(networks) = &raw.cameras.networks {
            self.cameras.networks = source.check_all(networks, |text| network(text))?;
        }
        self.add_sources(source, &raw.cameras.sources)?;
        raw.camera.iter().try_for_each(|camera| self.add_camera(source, camera))
    }

    fn add_queue(&mut self, source: &Source<'_>, raw: &Raw) -> Result<(), Failure> {
        let queue = &raw.queue;
        if let Some(first) = &queue.first {
            self.first = source.check(first, |number| within(*number, 0, 65_535))?;
        }
        if let Some(count) = &queue.count {
            self.count = Some(source.check(count, |number| within(*number, 1, 64))?);
        }
        if let Some(range) = &queue.copy_range {
            self.copy_range = Some(source.check(range, |number| within(*number, 64, 1024))?);
        }
        if let Some(size) = &queue.max_held_bytes {
            self.max_held_bytes = source.check(size, |size| bytes(size, LEAST_HELD))?;
        }
        if let Some(size) = &queue.buffer_bytes {
            let size = source.check(size, |size| bytes(size, 65_536))?;
            self.buffer_bytes = Some(size.min(LARGEST_BUFFER));
        }
        self.backend = queue.backend.unwrap_or(self.backend);
        Ok(())
    }

    fn add_rules(&mut self, source: &Source<'_>, raw: &Raw) -> Result<(), Failure> {
        let rules = &raw.rules;
        self.rules_backend = rules.backend.unwrap_or(self.rules_backend);
        self.manage = rules.manage.unwrap_or(self.manage);
        self.hold_input = rules.hold_input.unwrap_or(self.hold_input);
        self.drop_tunnels_to_gateway =
            rules.drop_tunnels_to_gateway.unwrap_or(self.drop_tunnels_to_gateway);
        for (value, into) in [(&rules.mask, &mut self.mask), (&rules.mark, &mut self.mark)] {
            if let Some(value) = value {
                *into = source.check(value, |number| {
                    u32::try_from(*number)
                        .ok()
                        .filter(|bits| *bits != 0)
                        .ok_or(format!("{number} is not a mark: expected 0x1 to 0xffffffff"))
                })?;
                self.mark_place = source.place(value.span().start);
            }
        }
        Ok(())
    }

    fn unique(
        &mut self,
        source: &Source<'_>,
        kind: &'static str,
        name: &str,
        span: std::ops::Range<usize>,
    ) -> Result<(), Failure> {
        let place = source.place(span.start);
        match self.places.insert((kind, name.to_owned()), place) {
            None => Ok(()),
            Some(first) => {
                Err(source
                    .refuse(span, format!("{kind} `{name}` is declared twice, first at {first}")))
            }
        }
    }

    fn finish(self, path: &Path) -> Result<Config, Failure> {
        let refuse = |message: String| {
            Failure::new(ExitStatus::BadConfig, format!("{}: {message}", path.display()))
        };
        let cameras = &self.cameras;
        if cameras.interfaces.is_empty()
            && cameras.networks.is_empty()
            && cameras.trusted_interfaces.is_empty()
        {
            return Err(refuse(
                "cameras: name at least one of `interfaces`, `networks`, `trusted_interfaces`, \
                 or no packet is judged"
                    .into(),
            ));
        }
        if let Some(both) =
            cameras.interfaces.iter().find(|name| cameras.trusted_interfaces.contains(name))
        {
            return Err(refuse(format!(
                "cameras: interface `{both}` is in `interfaces` and in `trusted_interfaces`"
            )));
        }
        if self.mark & !self.mask != 0 {
            return Err(Failure::new(
                ExitStatus::BadConfig,
                format!(
                    "{}: rules.mark {:#x} has bits outside rules.mask {:#x}",
                    self.mark_place, self.mark, self.mask
                ),
            ));
        }
        let count = self.count.unwrap_or_else(default_queue_count);
        if u32::from(self.first) + u32::from(count) > 65_536 {
            return Err(refuse(format!(
                "queue: first = {} with count = {count} runs beyond queue number 65535",
                self.first
            )));
        }
        if self.lists.is_empty() {
            return Err(refuse("no [[list]]: an empty rule set is refused".into()));
        }
        let (max_length, buffer_bytes) =
            sizes(self.max_held_bytes, count, self.buffer_bytes).map_err(refuse)?;
        let policies = self.finished_policies()?;
        let inspect = self.tunnels.inspect_any()
            || policies.iter().any(|policy| policy.tunnels.inspect_any());
        let copy_range = if inspect { COPIED_TO_INSPECT } else { COPIED };
        Ok(Config {
            mode: self.mode,
            on_failure: self.on_failure,
            cameras: self.cameras,
            queue: QueueConfig {
                first: self.first,
                count,
                count_follows_machine: self.count.is_none(),
                backend: self.backend,
                copy_range: self.copy_range.unwrap_or(copy_range),
                max_length,
                buffer_bytes,
            },
            rules: RulesConfig {
                backend: self.rules_backend,
                manage: self.manage,
                mark: Mark { value: self.mark, mask: self.mask },
                hold_input: self.hold_input,
                drop_tunnels_to_gateway: self.drop_tunnels_to_gateway,
            },
            metrics_listen: self.listen,
            control_socket: self.socket,
            state_folder: self.state_folder,
            watch: self.watch,
            watch_debounce: self.debounce,
            lists: self.lists,
            origins: self.origins,
            groups: self.groups,
            recorders: self.recorders,
            unlisted: self.unlisted,
            tunnels: self.tunnels,
            policies,
            packets: self.packets,
            local: self.local,
            files: self.files,
        })
    }
}

fn default_queue_count() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.min(4) as u16
}

mod lists;
mod policies;
mod sizes;

pub use policies::CAMERA_LIMIT;

use lists::shipped_groups;
use policies::DraftPolicy;
use sizes::{LARGEST_BUFFER, LEAST_HELD, sizes};

#[cfg(test)]
mod tests;
