//! `kordon rules verify`: asks the kernel whether what stands is what is planned.

use std::process::ExitCode;

use serde::Serialize;

use crate::cli::status::last_packet;
use crate::cli::{Format, Place, output};
use crate::config::{Config, RulesBackend};
use crate::control::client;
use crate::control::message::{Answer, QueueStatus, Request};
use crate::failure::{ExitStatus, Failure};
use crate::netfilter::{self, Observed, Plan, Presence, Tool};
use crate::verdict::Family;
use output::{columns, grouped};

/// Seconds within which the last packet must have come to say that packets arrive.
const RECENT: u64 = 300;

/// What was found.
#[derive(Debug, Serialize)]
struct Verified {
    schema: u32,
    /// kordon keeps the rules itself.
    managed: bool,
    tool: String,
    /// The plan is open: no gate is wanted.
    open: bool,
    in_force: bool,
    families: Vec<OfFamily>,
    /// The running daemon's queues; none if no daemon answers.
    queues: Option<Vec<QueueStatus>>,
    /// Why somebody removed the rules through the daemon.
    removed: Option<String>,
    /// Rules of others that let packets past hold, in words.
    past: Vec<String>,
    /// Camera interfaces that belong to another one, in words: their packets are not held, whatever stands.
    enslaved: Vec<String>,
    /// Why a daemon that is there does not answer.
    #[serde(skip)]
    silent: Option<Failure>,
}

#[derive(Debug, Serialize)]
struct OfFamily {
    family: &'static str,
    hold: String,
    gate: String,
    gate_dropped: Option<u64>,
    /// Hold on the input hook, where it is planned or found.
    input_hold: Option<String>,
    /// The gate on the input hook, the same.
    input_gate: Option<String>,
    /// Packets for the gateway itself that were dropped because they wrap others.
    tunnels_dropped: Option<u64>,
}

pub(super) fn run(place: &Place, format: Format) -> Result<ExitCode, Failure> {
    let config = Config::load_in_force(place.config())?;
    let mut plan = Plan::of(&config);
    let (queues, removed, silent) = match client::ask(&place.socket(), &Request::Status {}) {
        Ok(Answer::Status(status)) => {
            // What the daemon was told since it read its files counts.
            (plan.open, plan.gate) = (status.open, !status.open);
            (Some(status.queues), status.rules.removed, None)
        }
        Err(failure) if failure.status != ExitStatus::NotRunning => (None, None, Some(failure)),
        Ok(_) | Err(_) => (None, None, None),
    };
    let (tool, found) = found(&config, &plan)?;
    let verified = Verified {
        schema: 1,
        managed: config.rules.manage,
        tool: tool.to_string(),
        open: plan.open,
        in_force: found.in_force(),
        past: found.past.clone(),
        families: Family::ALL.into_iter().map(|family| of_family(&found, family)).collect(),
        queues,
        removed,
        enslaved: netfilter::enslaved(&config.cameras.interfaces)?
            .iter()
            .map(ToString::to_string)
            .collect(),
        silent,
    };
    match format {
        Format::Json => output::json(&verified)?,
        Format::Table => output::data(&text(&verified))?,
    }
    Ok(ExitCode::from(u8::from(!verified.right())))
}

/// What stands by the configured tool; where the rules are left to others, by whichever tool has them.
fn found(config: &Config, plan: &Plan) -> Result<(Tool, Observed), Failure> {
    if !config.rules.manage && config.rules.backend == RulesBackend::Auto {
        for tool in Tool::ALL {
            if let Ok(found) = netfilter::observe(plan, tool)
                && found.in_force()
            {
                return Ok((tool, found));
            }
        }
    }
    let tool = netfilter::choose(config.rules.backend)?;
    Ok((tool, netfilter::observe(plan, tool)?))
}

fn of_family(found: &Observed, family: Family) -> OfFamily {
    let index = family.index();
    let [hold, gate] = &found.input;
    let input = |found: &Presence, planned: bool| {
        (planned || *found != Presence::Absent).then(|| found.to_string())
    };
    OfFamily {
        family: family.label(),
        hold: found.hold[index].to_string(),
        gate: found.gate[index].to_string(),
        gate_dropped: found.gate_dropped[index],
        input_hold: input(&hold[index], found.hold_input),
        input_gate: input(&gate[index], found.gate_input),
        tunnels_dropped: found.tunnels_dropped[index],
    }
}

impl Verified {
    /// As it should be. Rules that are left to others may look different, if packets arrive.
    fn right(&self) -> bool {
        self.enslaved.is_empty()
            && self.past.is_empty()
            && (self.in_force || !self.managed && self.arrive())
    }

    fn arrive(&self) -> bool {
        let queues = self.queues.as_deref().unwrap_or_default();
        queues.iter().any(|queue| queue.last_packet_seconds_ago.is_some_and(|ago| ago <= RECENT))
    }

    fn summary(&self) -> String {
        let how = if self.open { "open" } else { "closed" };
        let tool = &self.tool;
        match (self.in_force, self.managed, self.arrive()) {
            (true, _, _) => format!("in force: as planned ({how}, {tool})"),
            (false, true, _) => match &self.removed {
                Some(why) => format!(
                    "REMOVED on purpose ({why}): everything passes unjudged, until `kordon rules apply`"
                ),
                None => format!(
                    "NOT IN FORCE as planned ({how}, {tool}): `kordon rules apply` puts that right, or says what is in \
                     its way"
                ),
            },
            (false, false, true) => format!(
                "left to you (rules.manage = false): other rules than the planned ({how}, {tool}), and \
                 packets arrive; whether a gate stands is yours to know"
            ),
            (false, false, false) => format!(
                "left to you (rules.manage = false): NEITHER do the planned rules stand ({how}, {tool}) \
                 NOR have packets arrived of late; `kordon rules show` prints some that lead to the queues"
            ),
        }
    }
}

fn text(verified: &Verified) -> String {
    let mut rows = Vec::new();
    for family in &verified.families {
        let dropped = match family.gate_dropped {
            Some(count) => format!("gate dropped {}", grouped(count)),
            None => "no counter".to_owned(),
        };
        let (hold, gate) = (format!("hold {}", family.hold), format!("gate {}", family.gate));
        rows.push(vec![family.family.to_owned(), hold, gate, dropped]);
        if family.input_hold.is_some() || family.input_gate.is_some() {
            let said = |half: &str, found: &Option<String>| {
                found.as_ref().map_or(String::new(), |found| format!("{half} {found}"))
            };
            let tunnels = family.tunnels_dropped.map_or("no counter".to_owned(), |count| {
                format!("tunnels dropped {}", grouped(count))
            });
            rows.push(vec![
                "  to the gateway".to_owned(),
                said("hold", &family.input_hold),
                said("gate", &family.input_gate),
                tunnels,
            ]);
        }
    }
    let mut text = columns(&rows);
    match &verified.queues {
        None => {
            text.push_str("no daemon answers");
            if let Some(why) = &verified.silent {
                text.push_str(&format!(" ({why})"));
            }
            text.push_str(match (verified.in_force, verified.open) {
                (true, false) => ": nothing of the cameras' passes until one runs\n",
                (true, true) => ": everything passes unjudged until one runs\n",
                (false, _) => "\n",
            });
        }
        Some(queues) => {
            for queue in queues {
                text.push_str(&format!("queue {}: {}\n", queue.number, last_packet(queue)));
            }
        }
    }
    text.push_str(&verified.summary());
    text.push('\n');
    for one in &verified.past {
        text.push_str(&format!("BUT NOT ALL IS HELD: {one}\n"));
    }
    for one in &verified.enslaved {
        text.push_str(&format!("BUT ITS PACKETS ARE NOT HELD: {one}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(in_force: bool, managed: bool, last: Option<u64>) -> Verified {
        let family = |family: Family| OfFamily {
            family: family.label(),
            hold: "present".to_owned(),
            gate: if in_force { "present" } else { "absent" }.to_owned(),
            gate_dropped: in_force.then_some(1_234),
            input_hold: None,
            input_gate: in_force.then(|| "present".to_owned()),
            tunnels_dropped: in_force.then_some(5),
        };
        Verified {
            schema: 1,
            managed,
            tool: "nftables".to_owned(),
            open: false,
            in_force,
            families: Family::ALL.into_iter().map(family).collect(),
            queues: Some(vec![QueueStatus {
                number: 40,
                buffer_used: None,
                buffer_size: None,
                buffer_asked: 0,
                lost: [0; 3],
                stalled: false,
                last_packet_seconds_ago: last,
            }]),
            removed: None,
            enslaved: Vec::new(),
            past: Vec::new(),
            silent: None,
        }
    }

    #[test]
    fn it_reads_like_this() {
        assert_eq!(
            text(&verified(true, true, Some(3))),
            "ipv4              hold present  gate present  gate dropped 1 234\n  \
               to the gateway                gate present  tunnels dropped 5\n\
             ipv6              hold present  gate present  gate dropped 1 234\n  \
               to the gateway                gate present  tunnels dropped 5\n\
             queue 40: last packet 3 s ago\n\
             in force: as planned (closed, nftables)\n"
        );
        assert_eq!(
            text(&Verified { queues: None, ..verified(false, true, None) }),
            "ipv4  hold present  gate absent  no counter\n\
             ipv6  hold present  gate absent  no counter\n\
             no daemon answers\n\
             NOT IN FORCE as planned (closed, nftables): `kordon rules apply` puts that right, or says what is in its way\n"
        );
        let unjudged = text(&Verified { queues: None, ..verified(true, true, None) });
        assert!(
            unjudged.contains("no daemon answers: nothing of the cameras' passes until one runs\n")
        );
        let removed = Some("a fire drill".to_owned());
        let removed = text(&Verified { removed, ..verified(false, true, None) });
        assert!(
            removed.ends_with(
                "REMOVED on purpose (a fire drill): everything passes unjudged, until `kordon rules apply`\n"
            ),
            "{removed}"
        );
    }

    #[test]
    fn rules_of_others_are_right_if_packets_arrive_and_ours_only_if_they_stand() {
        assert!(verified(true, true, None).right());
        let enslaved = vec!["cam0 is a port of bridge br0".to_owned()];
        let unheld = Verified { enslaved, ..verified(true, true, None) };
        assert!(
            !unheld.right() && text(&unheld).ends_with("NOT HELD: cam0 is a port of bridge br0\n")
        );
        assert!(!verified(false, true, Some(1)).right());
        assert!(verified(false, false, Some(1)).right());
        assert!(!verified(false, false, None).right());
        assert!(!verified(false, false, Some(301)).right(), "long ago is not now");
        assert!(!Verified { queues: None, ..verified(false, false, None) }.right());
    }
}
