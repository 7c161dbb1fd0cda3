//! The events that the journal knows by name (`KORDON_EVENT`) and by number (`MESSAGE_ID`).
//!
//! A log line names its event in the field `event`. The catalog `systemd/kordon.catalog` explains each
//! number (`journalctl -x`).

/// Name and message id of every event. An id never changes its meaning.
pub const EVENTS: [(&str, &str); 22] = [
    ("drop", "da9d6e60c32d495098cdd8f9e7b31fd8"),
    ("would-drop", "2afd53a9703b4c73b0b62fbfe3e6db2e"),
    ("monitored", "99044ca997b54d5b9917ab4337e9e09e"),
    ("forged", "3756590e65ac49908dbd9adff7b52958"),
    ("tunnel", "bc4d7915d58f47b7b750d501d128cf00"),
    ("ready", "c7e8b0511a504a6cb8eb7a55d805b786"),
    ("stopped", "c3eefd36e7194572b92f2bdcf936152d"),
    ("failed", "009b105cd73c40d582b4cb425e1dc3e6"),
    ("reload", "a4f0e0172ce94f7282884d0ba2588f83"),
    ("reload-refused", "b0de36b77c974515910c79128ab3c698"),
    ("rules-altered", "5373002f50db4819a939ec185f617541"),
    ("rules-put-back", "7ec3308e1285491ebf433604fedf049b"),
    ("rules-removed", "c6fcbb229d714f5fa819052503214f89"),
    ("log-lines-lost", "8156fdd2cd014ff2991dc40d7559f5e1"),
    ("asked", "a989b21352b74eda9054d7f52455fd41"),
    ("mode", "4dcb38e28cd3430fbe30601af03e7dcd"),
    ("mode-went-back", "3275d88b1b9646d5a53b8be4dd370e24"),
    ("paused", "0c7212f7bfef475b8b9d5f773fda540e"),
    ("pause-over", "36b5d63830db4788bb1d87c41e9dec48"),
    ("last-good", "1bef15d946e54c8dad4d1300b57b7711"),
    ("undone", "959c3bb4d89e4db28bb0cdc37f122933"),
    ("entries", "4bc7735850c94bc8a608a9bc854dee87"),
];

/// The message id of an event.
pub(super) fn message_id(event: &str) -> Option<&'static str> {
    EVENTS.iter().find(|(name, _)| *name == event).map(|(_, id)| *id)
}
