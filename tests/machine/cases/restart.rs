//! Ends and beginnings of the daemon, with 500 packets a second that may pass and 100 that may not.

use std::time::{Duration, Instant};

use crate::gateway::{Gateway, Traffic, blocked};
use crate::lab::{Res, wait_until};
use crate::payload;

/// Packets a second that must not be lost.
const RATE: u32 = 500;
/// The most that a packet thread reads before it answers (`BATCH` in src/queue), for two queues.
const TWO_BATCHES: u32 = 2 * 64;

/// Traffic that flows, a change in the middle of it, traffic that flows again.
fn through(
    gateway: &mut Gateway<'_>,
    change: impl FnOnce(&mut Gateway<'_>, &Traffic) -> Res<String>,
) -> Res<(crate::wire::Flow, u32, u32, String)> {
    gateway.enforcing()?;
    let traffic = gateway.traffic(RATE)?;
    traffic.allowed.wait_arrival(Duration::from_secs(30))?;
    traffic.allowed.wait_sent(RATE / 2)?;
    let said = change(gateway, &traffic)?;
    traffic.allowed.wait_arrival(Duration::from_secs(60))?;
    traffic.allowed.wait_sent(RATE / 2)?;
    let (allowed, blocked) = traffic.stop()?;
    if blocked.arrived != 0 {
        return Err(format!("{} of {} blocked packets arrived", blocked.arrived, blocked.sent));
    }
    if allowed.twice != 0 {
        return Err(format!("{} packets arrived twice", allowed.twice));
    }
    Ok((allowed, allowed.lost(), blocked.sent, said))
}

fn report(
    gateway: &mut Gateway<'_>,
    most: u32,
    result: (crate::wire::Flow, u32, u32, String),
) -> Res<String> {
    let (allowed, lost, blocked, said) = result;
    if lost > most {
        let cause = gateway.ok("kordon status")?;
        return Err(format!(
            "{lost} of {} packets lost, at most {most} may be; {said}\n{cause}",
            allowed.sent
        ));
    }
    Ok(format!(
        "{lost} of {} lost, 0 of {blocked} leaked, longest pause {} ms; {said}",
        allowed.sent,
        allowed.longest_gap.as_millis()
    ))
}

pub(crate) fn planned(gateway: &mut Gateway<'_>) -> Res<String> {
    let result = through(gateway, |gateway, _| {
        let process = "systemctl show -p MainPID --value kordon";
        for restart in ["systemctl restart kordon", "kordon restart", "systemctl restart kordon"] {
            let before = gateway.ok(process)?;
            gateway.ok(restart)?;
            if gateway.ok(process)? == before {
                return Err(format!("`{restart}` replaces no process"));
            }
        }
        Ok("3 restarts, one of them by `kordon restart`".to_owned())
    })?;
    report(gateway, 0, result)
}

pub(crate) fn killed(gateway: &mut Gateway<'_>) -> Res<String> {
    let mut counted = 0;
    let result = through(gateway, |gateway, traffic| {
        let before = gateway.ok("systemctl show -p MainPID --value kordon")?;
        gateway.ok(&format!("kill -KILL {before}"))?;
        traffic.allowed.wait_arrival(Duration::from_secs(60))?;
        gateway.ok("until systemctl is-active -q kordon; do sleep 0.1; done")?;
        counted = gateway.metric("kordon_queue_lost_packets_total")?;
        Ok(format!("{counted} counted as lost by its successor, blocked ones among them"))
    })?;
    let (lost, said) = (result.1, &result.3);
    if u64::from(lost) > counted {
        return Err(format!("{lost} packets lost, and {said}"));
    }
    report(gateway, TWO_BATCHES, result)
}

/// WatchdogSec=10 in the unit, and then a new process has to start.
const REPLACED: Duration = Duration::from_secs(15);

pub(crate) fn hung(gateway: &mut Gateway<'_>) -> Res<String> {
    let mut after = Duration::ZERO;
    let (result, slow) = gateway.slowed(|gateway| {
        through(gateway, |gateway, _| {
            let before = gateway.ok("systemctl show -p MainPID --value kordon")?.trim().to_owned();
            gateway.ok(&format!("kill -STOP {before}"))?;
            let stopped = Instant::now();
            let changed = wait_until(Duration::from_secs(90), || {
                gateway.ok("systemctl show -p MainPID --value kordon").is_ok_and(|pid| {
                    let pid = pid.trim();
                    pid != before && pid != "0"
                })
            });
            after = stopped.elapsed();
            gateway.ok("until systemctl is-active -q kordon; do sleep 0.1; done")?;
            match changed {
                true => Ok(format!("a new process {} s after the hang", after.as_secs())),
                false => Err("no new process within 90 s".to_owned()),
            }
        })
    })?;
    let (allowed, lost, blocked, said) = result;
    let counts = format!(
        "{lost} of {} lost (what the queue could not hold), 0 of {blocked} leaked; {said}, the machine slowed \
         down by {slow:.1}",
        allowed.sent
    );
    match after <= REPLACED.mul_f64(slow) {
        true => Ok(counts),
        false => Err(counts),
    }
}

/// Stopped on purpose: closed until it is started again.
pub(crate) fn stopped(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.enforcing()?;
    gateway.ok("systemctl stop kordon")?;
    let ways = [crate::gateway::allowed(), blocked()].concat();
    let none = gateway.blocked(&ways, 20)?;
    gateway.ok("systemctl start kordon")?;
    let passed = gateway.passes(&crate::gateway::allowed(), 20)?;
    Ok(format!("0 of {none} while stopped, {passed} of {passed} allowed after the start"))
}

pub(crate) fn upgraded(gateway: &mut Gateway<'_>) -> Res<String> {
    let result = through(gateway, |gateway, _| {
        let before = gateway.ok("dpkg-query -W -f '${Version}' kordon")?;
        gateway
            .ok(&format!("DEBIAN_FRONTEND=noninteractive dpkg -i {}/newer.deb", payload::FOLDER))?;
        let after = gateway.ok("dpkg-query -W -f '${Version}' kordon")?;
        Ok(format!("{before} to {after}"))
    })?;
    report(gateway, 0, result)
}
