//! Cases of the kernel test on this kernel, where nftables' own queue statement carries the packets.

use std::time::Duration;

use crate::gateway::Gateway;
use crate::lab::Res;
use crate::payload::{BUILT_KORDON, FOLDER};

/// Of each kind one: as many as emulation has time for. They are run with the package's kordon, which is quicker than
/// the tests' own.
const CASES: &[&str] = &[
    "open_gateway_passes_everything",
    "ipv6_is_judged_like_ipv4",
    "tcp_passes_or_never_connects",
    "gate_closes_a_bypassed_queue",
    "connection_mark_does_not_carry_the_pass",
    "refused_reload_keeps_the_old_rule_set",
    "every_fragment_is_judged",
    "packets_lost_to_a_removed_base_chain_are_counted",
    "tunnels_from_cameras_to_the_gateway_are_dropped_and_the_offices_are_not",
    "what_cameras_send_to_the_gateway_is_held_if_configured",
];
/// All of them, both backends.
const LIMIT: Duration = Duration::from_secs(700);

pub(crate) fn subset(gateway: &mut Gateway<'_>) -> Res<String> {
    // Once, as root: no user namespaces. And Prometheus' programs are not needed by these, but asked for.
    let script = format!(
        "modprobe nfnetlink_queue && \
         mkdir -p $(dirname {BUILT_KORDON}) && ln -sf /usr/bin/kordon {BUILT_KORDON} && \
         echo 0 >/proc/sys/user/max_user_namespaces && \
         for name in promtool prometheus; do \
         ln -sf /bin/false /usr/local/bin/$name; done && \
         cd {FOLDER} && ./kernel-test {}",
        CASES.join(" ")
    );
    let output = gateway.sh_within(&script, LIMIT)?;
    let lines = |word: &str| output.stdout.lines().filter(|line| line.starts_with(word)).count();
    let (passed, failed) = (lines("ok "), lines("FAILED "));
    if output.code != Some(0) || passed < CASES.len() {
        return Err(format!("{passed} passed, {failed} failed: {}", output.said()));
    }
    Ok(format!("{passed} runs of {} cases passed, with both queue backends", CASES.len()))
}
