//! Keeps the record of who sends what: takes what the packet threads report, and writes the record down every few
//! minutes and at the end.
//!
//! Invariant: a disk that hangs holds up no event; while one write is not done, the next is not begun.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Evidence;
use super::cameras::{self, Cameras};
use crate::clock::now;
use crate::counters::{CameraPlaces, Reported, Sighting};
use crate::failure::Failure;
use crate::worker::interface_name;

/// Time between two writes: what a killed daemon forgets.
const SAVE: Duration = Duration::from_secs(300);
/// How long an interface's number is taken for the same name: names can move.
const FRESH: Duration = Duration::from_secs(60);

pub(super) struct Keeper {
    evidence: Arc<Evidence>,
    sightings: Reported<Sighting>,
    declared: Arc<CameraPlaces>,
    folder: PathBuf,
    /// Interfaces by number, as learned at the time beside them.
    interfaces: (Instant, Vec<(u32, Option<String>)>),
    /// Something was seen since the last write.
    changed: bool,
    save_due: Instant,
    writing: Option<JoinHandle<Result<(), Failure>>>,
    /// The last write failed, which was said.
    failing: bool,
}

impl Keeper {
    pub(super) fn new(
        evidence: Arc<Evidence>,
        sightings: Reported<Sighting>,
        declared: Arc<CameraPlaces>,
        folder: PathBuf,
    ) -> Self {
        let now = Instant::now();
        Keeper {
            evidence,
            sightings,
            declared,
            folder,
            interfaces: (now, Vec::new()),
            changed: false,
            save_due: now + SAVE,
            writing: None,
            failing: false,
        }
    }

    /// Goes on with the record that the folder keeps.
    pub(super) fn begin(&mut self) {
        let kept = cameras::read(&self.folder).unwrap_or_else(|failure| {
            tracing::warn!("{failure}; the record of who sends what begins anew");
            None
        });
        *self.evidence.cameras() = kept.unwrap_or_else(|| Cameras::new(now()));
    }

    /// Takes what waits; returns whether nothing did.
    pub(super) fn drain(&mut self) -> bool {
        // No more than waits now: what else is due comes after it.
        let waiting = self.sightings.waiting();
        if waiting == 0 {
            return true;
        }
        let evidence = Arc::clone(&self.evidence);
        let mut cameras = evidence.cameras();
        let at = now();
        for _ in 0..waiting {
            let Some(sighting) = self.sightings.next() else { break };
            let declared = self.declared.name(&sighting.addresses.source()).is_some();
            let interface = self.interface(sighting.interface);
            cameras.note(&sighting, declared, interface, at);
        }
        self.changed = true;
        false
    }

    fn interface(&mut self, number: u32) -> Option<&str> {
        if number == 0 {
            return None;
        }
        let (learned, known) = &mut self.interfaces;
        if learned.elapsed() >= FRESH {
            known.clear();
            *learned = Instant::now();
        }
        let place = known.iter().position(|(known, _)| *known == number);
        let place = place.unwrap_or_else(|| {
            known.push((number, interface_name(number)));
            known.len() - 1
        });
        known.get(place).and_then(|(_, name)| name.as_deref())
    }

    /// Writes the record down on a thread of its own, every few minutes.
    pub(super) fn save_if_due(&mut self) {
        if Instant::now() < self.save_due || !self.written() {
            return;
        }
        self.save_due = Instant::now() + SAVE;
        let Some(text) = self.text() else { return };
        let folder = self.folder.clone();
        let job = move || cameras::write(&folder, &text);
        let thread = std::thread::Builder::new().name("kordon-cameras".to_owned()).spawn(job);
        match thread {
            Ok(thread) => self.writing = Some(thread),
            Err(error) => tracing::warn!("thread kordon-cameras: {error}"),
        }
    }

    /// Writes the record down for the last time.
    pub(super) fn end(mut self) {
        if let Some(thread) = self.writing.take() {
            let _joined = thread.join();
        }
        if let Some(text) = self.text()
            && let Err(failure) = cameras::write(&self.folder, &text)
        {
            tracing::warn!("{failure}; who sends what is not kept");
        }
    }

    /// Whether the last write is done; says how it went.
    fn written(&mut self) -> bool {
        let Some(thread) = self.writing.take_if(|thread| thread.is_finished()) else {
            return self.writing.is_none();
        };
        match thread.join() {
            Ok(Err(failure)) if !self.failing => {
                tracing::warn!("{failure}; who sends what is not kept, tried again in silence");
                self.failing = true;
            }
            Ok(Err(_)) | Err(_) => {}
            Ok(Ok(())) => self.failing = false,
        }
        true
    }

    /// The file's content, where something has changed.
    fn text(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut cameras = self.evidence.cameras();
        cameras.forget(now());
        let text = cameras::text(&cameras);
        drop(cameras);
        text.map_err(|failure| tracing::warn!("{failure}")).ok()
    }
}
