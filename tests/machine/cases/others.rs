//! Beside other programs that have rules: what leaks while they take kordon's away, and that nothing does while
//! they only look after their own.

use std::time::Duration;

use crate::gateway::{Gateway, allowed, blocked, office};
use crate::lab::{Context, Res, wait_until};
use crate::wire::Flow;

/// Packets a second that may pass; a fifth of it may not.
const RATE: u32 = 500;
/// From the first leaked packet to the last: what kordon promises after a flush by others.
const REARMED: Duration = Duration::from_secs(1);
/// What may be lost where waiting packets are lost with a base chain: as many as wait at one moment.
const ONE_MOMENT: u32 = RATE / 5;

struct Through {
    allowed: Flow,
    blocked: Flow,
}

/// Traffic that flows, a script by somebody else in the middle of it, traffic that flows again.
fn through(gateway: &mut Gateway<'_>, script: &str) -> Res<Through> {
    let traffic = gateway.traffic(RATE)?;
    traffic.allowed.wait_arrival(Duration::from_secs(30))?;
    traffic.allowed.wait_sent(RATE / 2)?;
    gateway.ok(script)?;
    traffic.allowed.wait_sent(2 * RATE)?;
    traffic.allowed.wait_arrival(Duration::from_secs(60))?;
    let (allowed, blocked) = traffic.stop()?;
    Ok(Through { allowed, blocked })
}

/// The rules stand, and do what they are for.
fn in_force(gateway: &mut Gateway<'_>) -> Res {
    let status = gateway.status()?;
    if status["rules"]["present"] != true {
        return Err(format!("the rules are not as planned: {}", status["rules"]));
    }
    gateway.blocked(&blocked(), 10)?;
    gateway.passes(&allowed(), 10).map(drop)
}

/// What kordon promises after a flush, on this machine: the promise is made where `nft` takes a few milliseconds. Here
/// the processor is emulated, and putting the rules back takes two of its runs, a listing and a transaction.
pub(super) fn promise(gateway: &mut Gateway<'_>) -> Res<Duration> {
    let traffic = gateway.traffic(RATE)?;
    traffic.allowed.wait_arrival(Duration::from_secs(30))?;
    let mut runs = Vec::new();
    for _ in 0..5 {
        let script = "a=$(date +%s%N); nft -j list table inet kordon >/dev/null; echo $((($(date +%s%N) - a) / 1000))";
        let took = gateway.ok(script)?;
        runs.push(took.trim().parse::<u64>().context("how long nft took")?);
    }
    traffic.stop()?;
    runs.sort_unstable();
    let median = runs.get(runs.len() / 2).copied().unwrap_or(0);
    Ok(REARMED + 2 * Duration::from_micros(median))
}

/// Everything goes; the daemon notices and puts it back.
pub(crate) fn flushed(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.enforcing()?;
    let promise = promise(gateway)?;
    let before = gateway.metric("kordon_rules_rearmed_total")?;
    let (through, slow) = gateway.slowed(|gateway| through(gateway, "nft flush ruleset"))?;
    let mut after = before;
    wait_until(Duration::from_secs(20), || {
        after = gateway.metric("kordon_rules_rearmed_total").unwrap_or(before);
        after > before
    });
    if after == before {
        return Err("no re-arming was counted".to_owned());
    }
    in_force(gateway)?;
    let said =
        gateway.ok("journalctl -q -u kordon --no-pager -o cat | grep -i 'rules' | tail -n 2")?;
    let Through { allowed, blocked } = through;
    let counts = format!(
        "{} blocked packets leaked (of {} sent) within {} ms ({} promised), {} of {} allowed ones lost; the host \
         slowed the machine down by {slow:.1}; the journal: {}",
        blocked.arrived,
        blocked.sent,
        blocked.span.as_millis(),
        promise.as_millis(),
        allowed.lost(),
        allowed.sent,
        said.trim().replace('\n', " / ")
    );
    match blocked.span <= promise.mul_f64(slow) {
        true => Ok(counts),
        false => Err(counts),
    }
}

/// The jobs of nftables' own service, and how often each flushes: its file begins with it, and its end is one.
const JOBS: &[(&str, u32)] = &[("restart", 2), ("reload", 1), ("stop", 1), ("start", 1)];

pub(crate) fn nftables_service(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.ok("grep -q '^flush ruleset' /etc/nftables.conf")?;
    gateway.enforcing()?;
    let promise = promise(gateway)?;
    let mut counts = vec![format!("{} ms promised for a flush", promise.as_millis())];
    for (job, flushes) in JOBS {
        let script = format!("systemctl {job} nftables");
        let (through, slow) = gateway.slowed(|gateway| through(gateway, &script))?;
        let Through { allowed, blocked } = through;
        in_force(gateway)?;
        counts.push(format!(
            "{job}: {} of {} leaked within {} ms, {} of {} lost (slowed down by {slow:.1})",
            blocked.arrived,
            blocked.sent,
            blocked.span.as_millis(),
            allowed.lost(),
            allowed.sent
        ));
        let most = f64::from(*flushes * RATE / 5) * promise.as_secs_f64() * slow;
        if f64::from(blocked.arrived) > most {
            return Err(counts.join("; "));
        }
    }
    Ok(counts.join("; "))
}

/// The same without a daemon: when the job has ended, the gate is back.
pub(crate) fn nftables_service_and_the_gate(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.enforcing()?;
    gateway.ok("systemctl start kordon-gate && systemctl stop kordon")?;
    let mut counts = Vec::new();
    for (job, _) in JOBS {
        let traffic = gateway.traffic(RATE)?;
        traffic.blocked.wait_sent(RATE / 5)?;
        gateway.ok(&format!("systemctl {job} nftables"))?;
        let (allowed, stopped) = traffic.stop()?;
        let none = gateway.blocked(&[crate::gateway::allowed(), blocked()].concat(), 10)?;
        counts.push(format!(
            "{job}: {} of {} leaked within {} ms, then 0 of {none}",
            allowed.arrived + stopped.arrived,
            allowed.sent + stopped.sent,
            allowed.span.max(stopped.span).as_millis()
        ));
    }
    gateway.ok("systemctl start nftables kordon")?;
    in_force(gateway)?;
    Ok(counts.join("; "))
}

/// ufw, told to route, comes and goes.
pub(crate) fn ufw(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.ok(
        "sed -i 's/^DEFAULT_FORWARD_POLICY=.*/DEFAULT_FORWARD_POLICY=\"ACCEPT\"/' /etc/default/ufw",
    )?;
    beside(
        gateway,
        &[("start", "ufw --force enable"), ("reload", "ufw reload"), ("stop", "ufw disable")],
    )
}

/// systemd counts firewalld as started once it has its name on the bus, and as reloaded once the signal is sent. Its
/// rules come afterwards; before them it drops what they will let through. It answers when they stand.
const ITS_RULES_STAND: &str =
    "for i in $(seq 60); do firewall-cmd -q --state && exit; sleep 1; done; exit 1";

/// firewalld, told to trust the interfaces, comes and goes. Its unit conflicts with nftables', whose end flushes: who
/// uses firewalld has stopped the other before.
pub(crate) fn firewalld(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.ok("systemctl --quiet disable --now nftables")?;
    gateway.ok("for i in lan0 lan0.20 lan0.30 wan0; do \
         firewall-offline-cmd -q --zone=trusted --add-interface=$i; done")?;
    beside(
        gateway,
        &[
            ("start", &format!("systemctl start firewalld; {ITS_RULES_STAND}")),
            ("reload", &format!("systemctl reload firewalld; {ITS_RULES_STAND}")),
            ("stop", "systemctl stop firewalld"),
        ],
    )
}

/// Each job amid traffic. What the job itself stops, it stops for the office too, whose packets kordon never sees: that
/// is the control for what cameras lose.
fn beside(gateway: &mut Gateway<'_>, jobs: &[(&str, &str)]) -> Res<String> {
    let mut counts = Vec::new();
    for (name, script) in jobs {
        gateway.enforcing()?;
        let office = gateway.wires.stream(&office())?.run(RATE);
        let Through { allowed, blocked } = through(gateway, script)?;
        let office = office.stop()?;
        in_force(gateway)?;
        counts.push(format!(
            "{name}: {} of {} leaked, {} of {} lost, past kordon {} of {}",
            blocked.arrived,
            blocked.sent,
            allowed.lost(),
            allowed.sent,
            office.lost(),
            office.sent
        ));
        if blocked.arrived > 0 || allowed.lost() > office.lost() + ONE_MOMENT {
            return Err(counts.join("; "));
        }
    }
    Ok(counts.join("; "))
}
