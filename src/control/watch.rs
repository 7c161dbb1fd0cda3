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

use super::aside::step_back;
use super::requests::Reloader;
use crate::config::Config;
use crate::failure::{ExitStatus, Failure};
use crate::regular;

/// How often the thread looks whether it shall end.
const TURN: Duration = Duration::from_millis(100);
/// Debounce times after which a reload is due even though the folders are never still.
const PATIENCE: u32 = 10;

/// A watch over the files of a configuration.
pub struct Watch {
    inotify: Inotify,
    files: BTreeSet<PathBuf>,
    main_file: PathBuf,
    debounce: Duration,
    /// What is wrong with the configuration, if anything: part of the content, so that it is told.
    refused: Option<String>,
    seen: u64,
}

impl Watch {
    /// Watches the folders of these files. What they hold now counts as known, so the watch is to be made
    /// before they are read.
    ///
    /// # Errors
    /// 69 where the kernel gives no watch, naming the folder.
    pub fn new(main_file: &Path, config: &Config) -> Result<Watch, Failure> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)
            .map_err(|error| refuse(main_file, error))?;
        let mut watch = Watch {
            inotify,
            files: watched(config),
            main_file: main_file.to_path_buf(),
            debounce: config.watch_debounce,
            refused: None,
            seen: 0,
        };
        watch.watch_folders()?;
        watch.seen = watch.content();
        Ok(watch)
    }

    /// Watches until told to stop.
    pub fn run(mut self, reloader: &Reloader, stop: &AtomicBool) {
        // It reads every file whole.
        step_back();
        // When something first moved, and when last.
        let mut touched: Option<(Instant, Instant)> = None;
        while !stop.load(Ordering::Relaxed) {
            if self.wait() {
                let now = Instant::now();
                touched = Some((touched.map_or(now, |(first, _)| first), now));
            }
            // Somebody who never stops writing in the folder must not keep a list out for ever.
            let due = touched.is_some_and(|(first, last)| {
                last.elapsed() >= self.debounce || first.elapsed() >= self.debounce * PATIENCE
            });
            if due {
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

    /// Watches every folder of the files, and `conf.d`; again, because a folder may have been replaced.
    fn watch_folders(&self) -> Result<(), Failure> {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CREATE;
        let mut folders: BTreeSet<PathBuf> = self.files.iter().map(|file| folder(file)).collect();
        folders.insert(folder(&self.main_file));
        let drop_ins = folder(&self.main_file).join("conf.d");
        if drop_ins.is_dir() {
            folders.insert(drop_ins);
        }
        for folder in &folders {
            self.inotify.add_watch(folder, flags).map_err(|error| refuse(folder, error))?;
        }
        Ok(())
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

    /// A changed configuration may name other lists, in other folders.
    fn refresh_files(&mut self) {
        match Config::load(&self.main_file) {
            Ok(config) => {
                self.files = watched(&config);
                self.refused = None;
            }
            Err(failure) => self.refused = Some(failure.message),
        }
        if let Err(failure) = self.watch_folders() {
            tracing::warn!("{failure}");
        }
    }

    /// A digest of all watched files; a file that cannot be read counts as such.
    fn content(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in &self.files {
            hasher.write(file.as_os_str().as_encoded_bytes());
            hash_file(file, &mut hasher);
        }
        hasher.write(self.refused.as_deref().unwrap_or_default().as_bytes());
        hasher.finish()
    }
}

fn hash_file(path: &Path, hasher: &mut DefaultHasher) {
    // What is no regular file the loader refuses with a message.
    let Ok(mut file) = regular::open(path) else {
        hasher.write_u8(0);
        return;
    };
    let mut chunk = vec![0_u8; 64 << 10];
    while let Ok(count @ 1..) = file.read(&mut chunk) {
        hasher.write(chunk.get(..count).unwrap_or_default());
    }
}

fn refuse(what: &Path, error: nix::Error) -> Failure {
    Failure::new(
        ExitStatus::Unavailable,
        format!("reload.watch: {}: {}", what.display(), error.desc()),
    )
}

fn watched(config: &Config) -> BTreeSet<PathBuf> {
    config.inputs().cloned().collect()
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        Some(_) | None => PathBuf::from("."),
    }
}
