//! The daemon's own account of itself, for `kordon status`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock;
use crate::config::{Config, TunnelAnswer};
use crate::control::changes::Changes;
use crate::control::message::{
    CameraStatus, ListStatus, ModeSet, ModeUnconfirmed, ModeWentBack, Paused, PolicyStatus,
    QueueStatus, RulesStatus, Status, TrafficStatus,
};
use crate::counters::{ListCounters, STOPPING, Volume};
use crate::netfilter::Tool;
use crate::ruleset::{Policy, Ruleset};
use crate::telemetry::Observed;
use crate::telemetry::standing::{Pause, Set, WentBack};
use crate::verdict::Tunnel;

/// A function that assembles the status when asked.
pub(super) fn reporter(
    config: &Config,
    observed: &Arc<Observed>,
    changes: &Arc<Changes>,
    tool: Option<Tool>,
) -> Box<dyn Fn() -> Status + Send + Sync> {
    let (observed, managed) = (Arc::clone(observed), config.rules.manage);
    let changes = Arc::clone(changes);
    let buffer_asked = config.queue.buffer_bytes as u64;
    let files: Vec<String> = config.files.iter().map(|file| file.display().to_string()).collect();
    let tool = tool.map_or_else(String::new, |tool| tool.to_string());
    Box::new(move || {
        let rules = observed.rules.current();
        let last = observed.reloads.last();
        let (kernel, surroundings) = (observed.kernel_rules(), observed.surroundings());
        let standing = observed.standing();
        Status {
            schema: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            mode: standing.mode.label().to_owned(),
            mode_configured: standing.configured.label().to_owned(),
            mode_set: standing.set.map(|Set { by, at, why }| ModeSet { by, at, why }),
            mode_unconfirmed: standing.unconfirmed.map(|unconfirmed| ModeUnconfirmed {
                until: unconfirmed.until,
                back_to: unconfirmed.back_to.label().to_owned(),
            }),
            mode_went_back: standing
                .went_back
                .map(|WentBack { at, from }| ModeWentBack { at, from: from.label().to_owned() }),
            paused: standing.paused.map(|Pause { until, by, why }| Paused { until, by, why }),
            open: standing.open,
            ready: observed.ready.load(Ordering::Acquire),
            uptime_seconds: observed.began.elapsed().as_secs(),
            now: clock::now(),
            config: files.clone(),
            generation: rules.generation,
            prefixes: rules.prefixes(),
            loaded: last.success,
            last_reload_refused: last.refused,
            last_good: last.last_good,
            undone_by: last.undone_by,
            changes: changes.last(),
            policies: policies(&rules),
            rules: RulesStatus {
                managed,
                tool: tool.clone(),
                present: kernel.present,
                faults: kernel.faults,
                gate_dropped: kernel.gate_dropped.iter().sum(),
                removed: kernel.removed,
                rearmed: kernel.rearmed,
                planned: surroundings.planned,
                enslaved: surroundings.enslaved,
            },
            queues: queues(&observed, buffer_asked),
            traffic: traffic(&observed),
            lists: rules
                .lists
                .iter()
                .map(|list| {
                    let read = |counter: &dyn Fn(&ListCounters) -> u64| {
                        let place = usize::from(list.counter);
                        observed.sum(|shard| shard.lists.get(place).map_or(0, counter))
                    };
                    ListStatus {
                        name: list.name.clone(),
                        action: list.action.label().to_owned(),
                        lines: list.lines,
                        prefixes: list.prefixes,
                        dropped: read(&|list| packets(&list.dropped)),
                        would_drop: read(&|list| packets(&list.would_drop)),
                        exempted: read(&|list| list.exempted.get()),
                        basis: list.basis.line(),
                    }
                })
                .collect(),
            cameras: cameras(&observed),
        }
    })
}

fn policies(rules: &Ruleset) -> Vec<PolicyStatus> {
    let one = |policy: &Policy| PolicyStatus {
        name: policy.name.clone(),
        monitor: policy.monitor,
        default: policy.unlisted.label().to_owned(),
        lists: policy.lists().map(|lists| {
            let named = lists.iter().filter_map(|list| rules.list(*list));
            named.filter(|list| list.is_from_a_file()).map(|list| list.name.clone()).collect()
        }),
        tunnels: Tunnel::ALL
            .iter()
            .map(|tunnel| (tunnel, policy.tunnels.answer(*tunnel)))
            .filter(|(_, answer)| *answer != TunnelAnswer::Drop)
            .map(|(tunnel, answer)| format!("{tunnel}: {}", answer.label()))
            .collect(),
    };
    rules.policies.all().iter().map(one).collect()
}

fn packets(volumes: &[Volume]) -> u64 {
    volumes.iter().map(|volume| volume.packets.get()).sum()
}

fn queues(observed: &Observed, buffer_asked: u64) -> Vec<QueueStatus> {
    let stalled = observed.stalled();
    let one = |queue: &crate::telemetry::QueueView| {
        let (losses, buffer) = queue.read();
        QueueStatus {
            number: queue.number,
            buffer_used: buffer.map(|buffer| buffer.used),
            buffer_size: buffer.map(|buffer| buffer.size),
            buffer_asked,
            lost: [losses.lost_buffer, losses.late_verdict, losses.orphan],
            stalled: stalled.contains(&queue.number),
            last_packet_seconds_ago: queue
                .shard
                .last_held()
                .map(|at| observed.began.elapsed().saturating_sub(at).as_secs()),
        }
    };
    observed.queues.iter().map(one).collect()
}

fn traffic(observed: &Observed) -> TrafficStatus {
    let accepted = observed
        .sum(|shard| shard.families.iter().map(|family| family.accepted.packets.get()).sum());
    let all =
        observed.sum(|shard| shard.families.iter().map(|family| family.judged.packets.get()).sum());
    TrafficStatus {
        packets: all,
        accepted,
        dropped: observed.sum(|shard| shard.lists.iter().map(|list| packets(&list.dropped)).sum()),
        would_drop: observed
            .sum(|shard| shard.lists.iter().map(|list| packets(&list.would_drop)).sum()),
        by_reason: STOPPING
            .iter()
            .enumerate()
            .map(|(place, reason)| {
                let of = |list: &ListCounters| {
                    let one =
                        |volumes: &[Volume]| volumes.get(place).map_or(0, |v| v.packets.get());
                    one(&list.dropped) + one(&list.would_drop)
                };
                let count = observed.sum(|shard| shard.lists.iter().map(of).sum());
                ((*reason).to_owned(), count)
            })
            .filter(|(_, count)| *count > 0)
            .collect(),
        unparsable: observed.sum(|shard| shard.unparsable.iter().map(|cause| cause.get()).sum()),
        events_suppressed: observed.suppressed(),
    }
}

fn cameras(observed: &Observed) -> Vec<CameraStatus> {
    let other = "_other".to_owned();
    let names = observed.cameras.names().iter().chain([&other]).enumerate();
    let mut cameras: Vec<CameraStatus> = names
        .map(|(place, name)| {
            let read = |counter: fn(&crate::counters::CameraCounters) -> u64| {
                observed.sum(|shard| shard.cameras.get(place).map_or(0, counter))
            };
            CameraStatus {
                name: name.clone(),
                packets: read(|camera| camera.packets.get()),
                dropped: read(|camera| camera.dropped.get()),
            }
        })
        .collect();
    cameras.sort_by_key(|camera| std::cmp::Reverse(camera.dropped));
    cameras
}
