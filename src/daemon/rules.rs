//! The daemon's part in the rules: put in place at start, looked at ever after.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::failure::Failure;
use crate::netfilter::{self, Plan, Tool};
use crate::telemetry::{Observed, RulesState};

/// Time between two looks at the rules in the kernel.
const LOOK: Duration = Duration::from_secs(5);

/// Puts hold and gate in place, if they are ours to manage; the tool that carries them.
pub(super) fn apply(config: &Config, observed: &Observed) -> Result<Option<Tool>, Failure> {
    if !config.rules.manage {
        tracing::info!("rules.manage = false: the rules are left to you (see `kordon rules show`)");
        return Ok(None);
    }
    let plan = Plan::of(config);
    let tool = netfilter::choose(config.rules.backend)?;
    let applied = netfilter::apply(&plan, tool)?;
    for line in applied.to_string().lines() {
        tracing::debug!("rules: {line}");
    }
    look(&plan, tool, observed);
    Ok(Some(tool))
}

/// Asks the kernel how the rules stand and notes it; a change for the worse is logged once.
fn look(plan: &Plan, tool: Tool, observed: &Observed) {
    let before = observed.kernel_rules();
    let state = match netfilter::observe(plan, tool) {
        Ok(found) => {
            let dropped = found.gate_dropped.map(|count| count.unwrap_or(0));
            RulesState {
                present: Some(found.in_force()),
                faults: if found.in_force() {
                    Vec::new()
                } else {
                    found.to_string().lines().map(str::to_owned).collect()
                },
                // Counters of a gate that was put back begin at 0: what it dropped before is kept.
                gate_dropped: [
                    before.gate_dropped[0].max(dropped[0]),
                    before.gate_dropped[1].max(dropped[1]),
                ],
                tool: tool.to_string(),
            }
        }
        Err(failure) => RulesState {
            present: Some(false),
            faults: vec![failure.message],
            gate_dropped: before.gate_dropped,
            tool: tool.to_string(),
        },
    };
    if state.present == Some(false) && before.present != Some(false) {
        tracing::error!("rules are not as planned: {}", state.faults.join("; "));
    } else if state.present == Some(true) && before.present == Some(false) {
        tracing::info!("rules are as planned again");
    }
    observed.set_kernel_rules(state);
}

pub(super) async fn watch(plan: Plan, tool: Tool, observed: Arc<Observed>) {
    let plan = Arc::new(plan);
    loop {
        tokio::time::sleep(LOOK).await;
        let (plan, observed) = (Arc::clone(&plan), Arc::clone(&observed));
        if tokio::task::spawn_blocking(move || look(&plan, tool, &observed)).await.is_err() {
            return;
        }
    }
}
