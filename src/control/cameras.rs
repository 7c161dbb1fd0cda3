//! What the daemon is asked about cameras, and what it answers; without a daemon the same from its file.

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::counters::CameraCounters;
use crate::evidence::cameras::{Cameras, CamerasReport, Proposal, propose};
use crate::explain;
use crate::failure::Failure;
use crate::ruleset::Ruleset;
use crate::telemetry::Observed;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum CamerasOrder {
    /// Who there is.
    All,
    /// What one of them sends to.
    Show {
        /// Its name or address.
        name: String,
    },
    /// Who tried to reach what and was not to, and which list says so.
    Stopped,
    /// What a policy that drops by default has to let through.
    Learn {
        /// Names or addresses; without any, all that were seen.
        cameras: Vec<String>,
        /// How far back what passed counts, in seconds; none: as far as the record goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
    },
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CamerasAnswer {
    /// To [`CamerasOrder::All`], [`CamerasOrder::Show`] and [`CamerasOrder::Stopped`].
    Report(CamerasReport),
    /// To [`CamerasOrder::Learn`].
    Proposal(Proposal),
}

/// The answer of a running daemon.
///
/// # Errors
/// As [`answer`].
pub(super) fn by_daemon(
    observed: &Observed,
    order: &CamerasOrder,
) -> Result<CamerasAnswer, Failure> {
    let rules = observed.rules.current();
    let cameras = observed.evidence.cameras();
    let packets = |place: usize| {
        let read = |of: fn(&CameraCounters) -> u64| {
            observed.sum(|shard| shard.cameras.get(place).map_or(0, of))
        };
        Some([read(|camera| camera.packets.get()), read(|camera| camera.dropped.get())])
    };
    let mut answer = answer(&cameras, &rules, order, explain::RUNNING, packets)?;
    if let CamerasAnswer::Report(report) = &mut answer {
        report.lost = observed.sum(|shard| shard.unsighted.get());
    }
    Ok(answer)
}

/// What this record says under these rules; `packets` tells what a declared camera sent, by its place.
///
/// # Errors
/// 2 where a camera is asked for that there is not, 1 where nothing can be proposed.
pub fn answer(
    cameras: &Cameras,
    rules: &Ruleset,
    order: &CamerasOrder,
    source: &str,
    packets: impl Fn(usize) -> Option<[u64; 2]>,
) -> Result<CamerasAnswer, Failure> {
    let now = clock::now();
    let all = || CamerasReport::all(cameras, rules, source, now, packets);
    Ok(match order {
        CamerasOrder::All => CamerasAnswer::Report(all()),
        CamerasOrder::Show { name } => CamerasAnswer::Report(all().only(cameras, rules, name)?),
        CamerasOrder::Stopped => CamerasAnswer::Report(all().stopped(cameras, rules)),
        CamerasOrder::Learn { cameras: asked, since } => {
            let since = since.map_or(0, |seconds| now.saturating_sub(seconds));
            CamerasAnswer::Proposal(propose(cameras, rules, asked, (since, now), source)?)
        }
    })
}
