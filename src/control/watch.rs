//! The opt-in file watch: folders of the lists and the configuration, debounced, by content.
//!
//! Folders are watched, not files: editors and atomic deploys replace the file, and with it the watch.
//! Invariant: a reload is asked for only when the content differs from what was last asked for, and only
//! after the folders have been still for the debounce time.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::reload::Reloader;
use crate::config::Config;
use crate::failure::{ExitStatus, Failure};

/// How often the thread looks whether it shall end.
const TURN: Duration = Duration::from_millis(100);

/// A watch over the files of a configuration.
pub struct Watch {
    inotify: Inotify,
    files: BTreeSet<PathBuf>,
    main_file: PathBuf,
    debounce: Duration,
    seen: u64,
}

impl Watch {
    /// Watches the folders of these files.
    ///
    /// # Errors
    /// 69 where the kernel gives no watch, naming the folder.
    pub fn new(main_file: &Path, config: &Config) -> Result<Watch, Failure> {
        let refuse = |what: &Path, error: nix::Error| {
            Failure::new(
                ExitStatus::Unavailable,
                format!("reload.watch: {}: {}", what.display(), error.desc()),
            )
        };
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)
            .map_err(|error| refuse(main_file, error))?;
        let files = watched(config);
        let folders: BTreeSet<PathBuf> = files.iter().map(|file| folder(file)).collect();
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CREATE;
        for folder in &folders {
            inotify.add_watch(folder, flags).map_err(|error| refuse(folder, error))?;
        }
        let drop_ins = folder(main_file).join("conf.d");
        if drop_ins.is_dir() {
            inotify.add_watch(&drop_ins, flags).map_err(|error| refuse(&drop_ins, error))?;
        }
        let mut watch = Watch {
            inotify,
            files,
            main_file: main_file.to_path_buf(),
            debounce: config.watch_debounce,
            seen: 0,
        };
        watch.seen = watch.content();
        Ok(watch)
    }

    /// Watches until told to stop.
    pub fn run(mut self, reloader: &Reloader, stop: &AtomicBool) {
        let mut touched: Option<Instant> = None;
        while !stop.load(Ordering::Relaxed) {
            if self.wait() {
                touched = Some(Instant::now());
            }
            if touched.is_some_and(|at| at.elapsed() >= self.debounce) {
                touched = None;
                self.refresh_files();
                let content = self.content();
                if content != self.seen {
                    self.seen = content;
                    reloader.request("file watch");
                }
            }
        }
    }

    /// Waits one turn; whether anything moved in the folders.
    fn wait(&self) -> bool {
        let mut fds = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        let turn = PollTimeout::try_from(TURN).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, turn) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(_) => {
                std::thread::sleep(TURN);
                return false;
            }
        }
        self.inotify.read_events().is_ok_and(|events| !events.is_empty())
    }

    /// A changed configuration may name other lists in the same folders.
    fn refresh_files(&mut self) {
        if let Ok(config) = Config::load(&self.main_file) {
            self.files = watched(&config);
        }
    }

    /// A digest of all watched files; a file that cannot be read counts as such.
    fn content(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in &self.files {
            hasher.write(file.as_os_str().as_encoded_bytes());
            hash_file(file, &mut hasher);
        }
        hasher.finish()
    }
}

fn hash_file(path: &Path, hasher: &mut DefaultHasher) {
    // A FIFO or device would block; the loader refuses it with a message.
    let regular = std::fs::metadata(path).is_ok_and(|meta| meta.is_file());
    let Ok(mut file) = std::fs::File::open(path)
        .map_err(|_| ())
        .and_then(|file| if regular { Ok(file) } else { Err(()) })
    else {
        hasher.write_u8(0);
        return;
    };
    let mut chunk = vec![0_u8; 64 << 10];
    while let Ok(count @ 1..) = file.read(&mut chunk) {
        hasher.write(chunk.get(..count).unwrap_or_default());
    }
}

fn watched(config: &Config) -> BTreeSet<PathBuf> {
    let lists = config.lists.iter().map(|list| list.path.clone());
    let origins = config.origins.iter().map(|origin| origin.path.clone());
    lists.chain(origins).chain(config.files.iter().cloned()).collect()
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        Some(_) | None => PathBuf::from("."),
    }
}
