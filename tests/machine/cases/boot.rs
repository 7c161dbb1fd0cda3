//! From power-on, with cameras that have been sending all along.

use std::time::Duration;

use super::others;
use crate::gateway::{Gateway, camera, office};
use crate::lab::{Context, Res, wait_until};
use crate::wire::{Flow, PATIENCE, Running};

/// Probes a second of each stream.
const RATE: u32 = 50;

/// What sends from before power-on until the end.
struct Senders {
    allowed: [Running; 2],
    blocked: [Running; 2],
    office: Running,
}

/// What became of it.
struct Sums {
    allowed: u32,
    blocked: u32,
    office: u32,
    sent: u32,
    /// From the first blocked packet that arrived to the last, of the stream where that took longer.
    leaking: Duration,
}

impl Senders {
    fn start(gateway: &Gateway<'_>) -> Res<Self> {
        let run = |way| Ok::<_, String>(gateway.wires.stream(&way)?.run_regardless(RATE));
        Ok(Senders {
            allowed: [run(camera("198.51.100.10"))?, run(camera("2001:db8:2::10"))?],
            blocked: [run(camera("203.0.113.10"))?, run(camera("2001:db8:3::10"))?],
            office: run(office())?,
        })
    }

    fn stop(self) -> Res<Sums> {
        self.allowed.iter().chain(&self.blocked).chain([&self.office]).for_each(Running::halt);
        let [allowed, allowed6] = self.allowed.map(Running::stop);
        let [blocked, blocked6] = self.blocked.map(Running::stop);
        let (allowed, blocked) = ([allowed?, allowed6?], [blocked?, blocked6?]);
        let arrived = |flows: &[Flow]| flows.iter().map(|flow| flow.arrived).sum();
        Ok(Sums {
            allowed: arrived(&allowed),
            blocked: arrived(&blocked),
            office: self.office.stop()?.arrived,
            sent: allowed.iter().chain(&blocked).map(|flow| flow.sent).sum(),
            leaking: blocked.iter().map(|flow| flow.span).max().unwrap_or_default(),
        })
    }
}

/// The power is cut while all of it runs, and comes back.
fn power_cycle(gateway: &mut Gateway<'_>, units: &str) -> Res<Senders> {
    gateway.ok("systemctl --quiet disable kordon kordon-gate")?;
    if !units.is_empty() {
        gateway.ok(&format!("systemctl --quiet enable {units}"))?;
    }
    gateway.ok("sync")?;
    gateway.end();
    let senders = Senders::start(gateway)?;
    gateway.power_on()?;
    gateway.wait_up()?;
    gateway.settle()?;
    Ok(senders)
}

/// The positive control of this group: with neither unit, the same cameras get out at boot.
pub(crate) fn without_kordon(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.power_on()?;
    gateway.wait_up()?;
    let senders = power_cycle(gateway, "")?;
    senders.blocked[0].wait_arrival(PATIENCE)?;
    senders.blocked[1].wait_arrival(PATIENCE)?;
    let sums = senders.stop()?;
    Ok(format!("{} of {} camera packets got out", sums.allowed + sums.blocked, sums.sent))
}

/// With both units: what arrives has been judged, packet by packet.
pub(crate) fn with_kordon(gateway: &mut Gateway<'_>) -> Res<String> {
    let senders = power_cycle(gateway, "kordon-gate kordon")?;
    senders.allowed[0].wait_arrival(PATIENCE)?;
    senders.allowed[1].wait_arrival(PATIENCE)?;
    senders.office.wait_arrival(PATIENCE)?;
    let sums = senders.stop()?;
    let accepted = gateway.metric("kordon_packets_accepted_total")?;
    let dropped = gateway.metric("kordon_packets_dropped_total")?;
    if sums.blocked != 0 || u64::from(sums.allowed) != accepted {
        return Err(format!(
            "{} blocked packets arrived; {} allowed ones did, and kordon accepted {accepted}",
            sums.blocked, sums.allowed
        ));
    }
    Ok(format!(
        "of {} camera packets {} arrived, all of them judged and accepted; 0 blocked, {dropped} dropped",
        sums.sent, sums.allowed
    ))
}

/// Told to boot again while it enforces. On the way down the daemon ends, nftables' service flushes everything, and
/// its drop-in puts the gate back: that moment may leak, and what leaks is counted; the rest of the way may not.
pub(crate) fn through_a_reboot(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.enforcing()?;
    let promise = others::promise(gateway)?;
    let (senders, slow) = gateway.slowed(|gateway| {
        let senders = Senders::start(gateway)?;
        senders.allowed[0].wait_arrival(PATIENCE)?;
        senders.allowed[1].wait_arrival(PATIENCE)?;
        // Not at once: who runs this is stopped as well, and has to answer first.
        gateway.ok(
            "setsid -f sh -c 'sleep 1; systemctl --no-block reboot' </dev/null >/dev/null 2>&1",
        )?;
        gateway.wait_up()?;
        gateway.settle()?;
        Ok(senders)
    })?;
    for stream in senders.allowed.iter().chain([&senders.office]) {
        stream.wait_arrival(PATIENCE)?;
    }
    let sums = senders.stop()?;
    let counts = format!(
        "{} blocked packets leaked within {} ms ({} promised for the flush), {} allowed ones and {} from the office \
         arrived; the host slowed the machine down by {slow:.1}",
        sums.blocked,
        sums.leaking.as_millis(),
        promise.as_millis(),
        sums.allowed,
        sums.office
    );
    match sums.leaking <= promise.mul_f64(slow) {
        true => Ok(counts),
        false => Err(counts),
    }
}

/// With the gate's unit alone: nothing of a camera's arrives, and the office's packets do.
pub(crate) fn with_the_gate_alone(gateway: &mut Gateway<'_>) -> Res<String> {
    let senders = power_cycle(gateway, "kordon-gate")?;
    closed(gateway, senders)
}

/// A configuration that broke since the last start: the gate stands as it was last planned.
pub(crate) fn with_a_broken_configuration(gateway: &mut Gateway<'_>) -> Res<String> {
    // A good start leaves the plan behind.
    gateway.enforcing()?;
    gateway.ok("echo 'mode = \"enforcing\"' >/etc/kordon/kordon.toml")?;
    let senders = power_cycle(gateway, "kordon-gate kordon")?;
    let failed = gateway.ok("systemctl list-units --failed --plain --no-legend")?;
    let counts = closed(gateway, senders)?;
    match failed.contains("kordon-gate.service") {
        true => Ok(format!("{counts}; systemctl --failed names kordon-gate")),
        false => Err(format!("systemctl --failed does not name kordon-gate: {failed}")),
    }
}

/// The machine forwards, and nothing of a camera's comes out; the gate has counted it.
fn closed(gateway: &mut Gateway<'_>, senders: Senders) -> Res<String> {
    senders.office.wait_arrival(PATIENCE)?;
    let dropped = |gateway: &mut Gateway<'_>| gateway.gate_dropped();
    // From here on it forwards: a second more of it.
    let before = dropped(gateway)?;
    let mut after = before;
    wait_until(Duration::from_secs(20), || match dropped(gateway) {
        Ok(count) => {
            after = count;
            after >= before + u64::from(RATE)
        }
        Err(_) => false,
    });
    let sums = senders.stop()?;
    if sums.allowed + sums.blocked != 0 {
        return Err(format!(
            "{} of {} camera packets arrived, none may",
            sums.allowed + sums.blocked,
            sums.sent
        ));
    }
    if after < before + u64::from(RATE) {
        return Err(format!("the gate counted {before} and then {after} packets: did any come?"));
    }
    let total = dropped(gateway).context("the gate's counters")?;
    Ok(format!(
        "0 of {} camera packets arrived, {total} dropped by the gate; {} from the office arrived",
        sums.sent, sums.office
    ))
}
