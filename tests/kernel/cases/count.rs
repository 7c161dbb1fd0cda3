//! What the daemon counted, against what it should have.

use crate::daemon::Daemon;
use crate::lab::Res;

/// Packets dropped for this reason.
pub(super) fn dropped(daemon: &Daemon, reason: &str) -> Res<u64> {
    daemon.metrics()?.get("kordon_packets_dropped_total", &[("reason", reason)])
}

/// # Errors
/// It is not what it should be.
pub(super) fn expect(what: &str, found: u64, wanted: u64) -> Res {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {found} counted, {wanted} should")),
    }
}
