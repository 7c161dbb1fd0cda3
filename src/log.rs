//! The log: lines on stderr, or entries with fields in the journal where stderr leads there.
//!
//! Invariant: whoever logs never waits for whoever reads. A line goes into a queue of at most
//! [`QUEUED`](queue::QUEUED) lines, and a thread of its own writes it; what finds no room, or cannot be
//! written, is counted ([`lost`]) and said as soon as something can be written again.

mod entry;
pub mod events;
mod journal;
mod queue;
mod sink;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::contain;
use entry::Entry;
use queue::Queue;
use sink::Sink;
pub use sink::{date, moment};

/// How long the end of the process waits for the last lines to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Starts the log: everything that is said with `tracing` from now on, up to this level, and so is what a
/// panic says that ends the process.
pub fn start(level: LevelFilter) {
    let colour = std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal();
    let queue = QUEUE.get_or_init(|| Queue::start(Sink::choose(colour)));
    // A second subscriber exists only in tests; the first one stays.
    if tracing::subscriber::set_global_default(Log { level, queue }).is_ok() {
        // The hook of the standard library writes to stderr itself, and would wait there for ever.
        contain::end_the_process(last_words);
    }
}

/// Lines that were not written.
pub fn lost() -> u64 {
    QUEUE.get().map_or(0, Queue::lost)
}

/// Waits until everything said so far is written, but no longer than a second.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(LAST_WORDS);
    }
}

/// Says what ends the process, as it stands, and waits as [`flush`] does.
pub fn last_words(text: &str) {
    if let Some(queue) = QUEUE.get() {
        queue.push(Entry::last_words(text));
        queue.flush(LAST_WORDS);
    }
}

/// What `tracing` hands events to. There are no spans in kordon.
struct Log {
    level: LevelFilter,
    queue: &'static Queue,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        self.queue.push(Entry::of(event));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
