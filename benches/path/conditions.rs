//! The conditions under which requests are timed: what else goes on, and what stands in the way.

use std::time::Duration;

use super::common::Random;

/// How long a thread looks again before it sleeps, where it does.
const SPIN: Duration = Duration::from_micros(50);
/// The same, longer than a request every millisecond is apart.
const ALWAYS: Duration = Duration::from_micros(1_200);

/// What else goes on, and how often a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Nothing else, and requests half a millisecond to two and a half apart: everybody sleeps in between.
    Idle,
    /// The same, but no processor halts.
    Awake,
    /// As [`Load::Idle`], but packets come in on the camera's processor, which does not sleep.
    Unsteered,
    /// One request each millisecond, nothing else.
    Steady,
    /// Packets at half of what one queue drains.
    Half,
}

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Forwarding,
    OneQueue,
    TwoQueues,
    /// One queue, its thread kept on the gateway's processor.
    Pinned,
    /// One queue, its thread looks again for [`SPIN`] before it sleeps.
    Spinning,
    /// One queue, its thread looks again for [`ALWAYS`]: the most that looking again can bring.
    Sleepless,
}

pub(super) const CONDITIONS: [(Load, Way); 15] = [
    (Load::Idle, Way::Forwarding),
    (Load::Idle, Way::OneQueue),
    (Load::Idle, Way::TwoQueues),
    (Load::Idle, Way::Pinned),
    (Load::Unsteered, Way::Forwarding),
    (Load::Unsteered, Way::Pinned),
    (Load::Awake, Way::Forwarding),
    (Load::Awake, Way::OneQueue),
    (Load::Steady, Way::Forwarding),
    (Load::Steady, Way::OneQueue),
    (Load::Steady, Way::Spinning),
    (Load::Steady, Way::Sleepless),
    (Load::Half, Way::Forwarding),
    (Load::Half, Way::OneQueue),
    (Load::Half, Way::TwoQueues),
];

impl Load {
    pub(super) fn label(self) -> &'static str {
        match self {
            Load::Idle => "idle",
            Load::Awake => "idle, not halting",
            Load::Unsteered => "idle, packets come in on the other processor",
            Load::Steady => "a request each ms",
            Load::Half => "half of the drain rate",
        }
    }

    pub(super) fn key(self) -> &'static str {
        match self {
            Load::Idle => "idle",
            Load::Awake => "idle_not_halting",
            Load::Unsteered => "idle_in_on_other",
            Load::Steady => "each_ms",
            Load::Half => "half_of_drain",
        }
    }

    /// How long to wait before the next request.
    pub(super) fn pause(self, random: &mut Random) -> Duration {
        Duration::from_micros(match self {
            Load::Idle | Load::Awake | Load::Unsteered => 500 + random.bits() % 2_000,
            Load::Steady => 1_000,
            Load::Half => 500 + random.bits() % 1_000,
        })
    }
}

impl Way {
    pub(super) fn label(self) -> &'static str {
        match self {
            Way::Forwarding => "forwarding without a queue",
            Way::OneQueue => "1 queue",
            Way::TwoQueues => "2 queues",
            Way::Pinned => "1 queue, thread pinned",
            Way::Spinning => "1 queue, thread looks again for 50 us",
            Way::Sleepless => "1 queue, thread never sleeps",
        }
    }

    pub(super) fn key(self) -> &'static str {
        match self {
            Way::Forwarding => "forwarding",
            Way::OneQueue => "1_queue",
            Way::TwoQueues => "2_queues",
            Way::Pinned => "1_queue_pinned",
            Way::Spinning => "1_queue_spinning",
            Way::Sleepless => "1_queue_sleepless",
        }
    }

    /// How long its packet thread looks again before it sleeps.
    pub(super) fn spin(self) -> Duration {
        match self {
            Way::Forwarding | Way::OneQueue | Way::TwoQueues | Way::Pinned => Duration::ZERO,
            Way::Spinning => SPIN,
            Way::Sleepless => ALWAYS,
        }
    }
}
