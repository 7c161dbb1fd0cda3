//! What cameras send to the gateway itself: tunnels dropped there, and the input hook held.

use std::time::Duration;

use crate::lab::daemon::Daemon;
use crate::lab::process::tool;
use crate::lab::topology::*;
use crate::lab::toward::{Echo, LeaseServer, WRAPPINGS, answered, arriving, gateway, leaves};
use crate::lab::{Context, PATIENCE, Res, rules, wait_until};
use crate::{Bench, Site};

const N: u32 = 20;
/// How long to wait for what must not come.
const SILENCE: Duration = Duration::from_millis(300);
/// The port of a resolver, and of a service like any other.
const DNS: u16 = 53;
const SERVICE: u16 = 9001;
const VERIFY: &str = "rules verify -c kordon.toml";

/// All wrappings, in both families, from a place.
fn all_arrive(place: Place, when: &str) -> Res {
    let arrived = arriving(place, PATIENCE)?;
    match arrived.len() {
        n if n == 2 * WRAPPINGS.len() => Ok(()),
        n => Err(format!("{when}: {n} of {} from {place:?}: {arrived:?}", 2 * WRAPPINGS.len())),
    }
}

/// None from the camera, and all from the office.
fn dropped_from_cameras(when: &str) -> Res {
    match arriving(Place::Camera, SILENCE)?.as_slice() {
        [] => all_arrive(Place::Out1, when),
        some => Err(format!("{when}, from the camera: {some:?}")),
    }
}

/// Whether questions to the gateway's own addresses are answered, of each family.
fn answers(place: Place, port: u16, wanted: bool, when: &str) -> Res {
    for to in gateway(place) {
        let limit = if wanted { PATIENCE } else { SILENCE };
        if answered(place, to, port, limit)? != wanted {
            let not = if wanted { "not " } else { "" };
            return Err(format!("{when}: {to} port {port} {not}answered to {place:?}"));
        }
    }
    Ok(())
}

fn counted(daemon: &Daemon, each: u64) -> Res {
    let name = "kordon_gateway_tunnel_packets_dropped_total";
    let count = || -> Res<(u64, u64)> {
        let metrics = daemon.metrics()?;
        let of = |family| metrics.get(name, &[("family", family)]);
        Ok((of("ipv4")?, of("ipv6")?))
    };
    match wait_until(PATIENCE, || count().is_ok_and(|counts| counts == (each, each))) {
        true => Ok(()),
        false => Err(format!("{each} of each family were dropped, {name} is {:?}", count()?)),
    }
}

/// What wraps other packets reaches the gateway from everybody but cameras: with and without a daemon, at boot, and
/// after a flush; not in monitor mode, not where the key says so.
pub(super) fn tunnels(bench: &Bench<'_>) -> Res {
    let each = WRAPPINGS.len() as u64;
    all_arrive(Place::Camera, "without kordon")?;
    let echo = Echo::start(SERVICE)?;
    let site = bench.site()?;
    let daemon = site.start()?;
    dropped_from_cameras("enforcing")?;
    counted(&daemon, each)?;
    answers(Place::Camera, SERVICE, true, "enforcing")?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    let said = site.kordon_ok(VERIFY)?;
    if said.matches(&format!("tunnels dropped {each}")).count() != 2 {
        return Err(format!("`rules verify` says: {said}"));
    }
    // An accept of the admin's own, as early as can be, skips nothing.
    for (program, table) in [("iptables-nft", "filter"), ("ip6tables-nft", "mangle")] {
        tool(program, &["-w", "-t", table, "-I", "INPUT", "-j", "ACCEPT"])?;
    }
    dropped_from_cameras("behind an accept")?;
    counted(&daemon, 2 * each)?;
    rules::flush_everything()?;
    let present = || site.kordon(VERIFY).is_ok_and(|output| output.code == Some(0));
    if !wait_until(PATIENCE, present) {
        return Err("flushed, and not put back".to_owned());
    }
    dropped_from_cameras("put back")?;
    counted(&daemon, 3 * each)?;
    daemon.kill()?;
    dropped_from_cameras("without the daemon")?;
    site.kordon_ok("rules remove -c kordon.toml")?;
    all_arrive(Place::Camera, "removed")?;
    let said = site.kordon_ok("rules apply --gate-only -c kordon.toml")?;
    if !said.contains("installed input gate") {
        return Err(format!("the gates alone: {said}"));
    }
    dropped_from_cameras("at boot")?;
    answers(Place::Camera, SERVICE, true, "at boot")?;
    // The plan that was last in force says the same where the configuration cannot be read.
    rules::flush_everything()?;
    site.write("kordon.toml", "mode = enforce\n[state]\nfolder = \"state\"\n")?;
    let output = site.kordon("rules apply --gate-only -c kordon.toml")?;
    if output.code != Some(78) {
        return Err(format!("with a broken configuration the gates {}", output.said()));
    }
    dropped_from_cameras("at boot, the configuration broken")?;
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6], 5)?;
    bench.lab.clean()?;
    by_nftables(bench)?;
    drop(echo);
    bench.lab.clean()?;
    for (from, to) in [
        ("mode = \"enforce\"", "mode = \"monitor\""),
        ("on_failure = \"closed\"", "on_failure = \"open\""),
        ("\n[rules]", "\n[rules]\ndrop_tunnels_to_gateway = false"),
    ] {
        let site = bench.site()?;
        site.write("kordon.toml", &site.setup().toml().replace(from, to))?;
        let daemon = site.start()?;
        all_arrive(Place::Camera, to)?;
        daemon.kill()?;
        all_arrive(Place::Camera, to)?;
        bench.lab.clean()?;
    }
    Ok(())
}

/// The gates alone, carried by nft: also where the kernel lacks its queue.
fn by_nftables(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.tool = Some("nftables");
    let site = Site::new(setup)?;
    site.kordon_ok("rules apply --gate-only -c kordon.toml")?;
    dropped_from_cameras("by nft")?;
    answers(Place::Camera, SERVICE, true, "by nft")?;
    let said = site.kordon(VERIFY)?.stdout;
    let each = WRAPPINGS.len();
    if said.matches(&format!("tunnels dropped {each}")).count() != 2 {
        return Err(format!("by nft, `rules verify` says: {said}"));
    }
    let said = site.kordon_ok("rules apply --gate-only -c kordon.toml")?;
    if !said.contains("nothing changed") {
        return Err(format!("by nft, asked twice for the gates: {said}"));
    }
    let text = site.setup().toml().replace("\n[rules]", "\n[rules]\nhold_input = true");
    site.write("kordon.toml", &text)?;
    let server = LeaseServer::start()?;
    site.kordon_ok("rules apply --gate-only -c kordon.toml")?;
    answers(Place::Camera, SERVICE, false, "by nft, held")?;
    answers(Place::Out1, SERVICE, true, "by nft, held")?;
    leases(&server, (true, true), "by nft, held")?;
    neighbours(true, "by nft, held")?;
    site.kordon_ok("rules remove -c kordon.toml")?;
    answers(Place::Camera, SERVICE, true, "by nft, removed")
}

/// A command changes the mode, and with it whether tunnels are dropped.
pub(super) fn tunnels_and_the_mode(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    dropped_from_cameras("enforcing")?;
    site.kordon_ok("mode monitor -c kordon.toml")?;
    all_arrive(Place::Camera, "monitoring")?;
    site.kordon_ok("mode enforce -c kordon.toml")?;
    dropped_from_cameras("enforcing again")
}

/// The gateway and a camera find each other's hardware addresses anew.
fn neighbours(wanted: bool, when: &str) -> Res {
    let flush = |place: &[&str]| {
        for family in ["-4", "-6"] {
            let arguments = [place, &[family, "neighbour", "flush", "all"]].concat();
            tool("ip", &arguments)?;
        }
        Ok::<(), String>(())
    };
    // The camera asks first: whom the gateway asks learns of it by the question.
    for (from, to) in [(Some(Place::Camera), gateway(Place::Camera)[1]), (None, CAMERA6)] {
        flush(&[])?;
        flush(&["-n", "cam"])?;
        let send = || {
            let socket = std::net::UdpSocket::bind("[::]:0").context("a UDP socket")?;
            socket.send_to(b"anybody there", (to, 9)).context("a question").map(drop)
        };
        match from {
            None => send()?,
            Some(place) => at(place, send)?,
        }
        let known = || {
            let place: &[&str] = if from.is_some() { &["-n", "cam"] } else { &[] };
            let to = to.to_string();
            let listed = tool("ip", &[place, &["-6", "neighbour", "show", to.as_str()]].concat());
            listed.is_ok_and(|text| text.contains("lladdr"))
        };
        let limit = if wanted { PATIENCE } else { SILENCE };
        if wait_until(limit, known) != wanted {
            let listed = tool("ip", &["-6", "neighbour"])?;
            return Err(format!("{when}: {to} is known: {}\n{listed}", !wanted));
        }
    }
    Ok(())
}

/// A lease is asked for by a camera without an address.
fn leases(server: &LeaseServer, wanted: (bool, bool), when: &str) -> Res {
    let limit = if wanted == (true, true) { PATIENCE } else { SILENCE };
    match server.hears(limit)? {
        heard if heard == wanted => Ok(()),
        (udp, packets) => Err(format!(
            "{when}: the question for a lease is heard by a UDP socket: {udp}, a packet socket: {packets}"
        )),
    }
}

/// `hold_input`: a camera's question to the gateway is judged, and dropped without the daemon; the office's is
/// neither. Neighbours and leases are found whatever the daemon does.
pub(super) fn held(bench: &Bench<'_>) -> Res {
    let echo = Echo::start(DNS)?;
    let server = LeaseServer::start()?;
    for with in [None, Some("iptables")] {
        let mut setup = bench.setup();
        setup.tool = with;
        let site = Site::new(setup)?;
        let text = site.setup().toml().replace("\n[rules]", "\n[rules]\nhold_input = true");
        site.write("kordon.toml", &text)?;
        answers(Place::Camera, DNS, true, "without kordon")?;
        let shown = site.kordon_ok("rules show -c kordon.toml")?;
        if !shown.contains("51820") || !shown.contains("mark") {
            return Err(format!("`rules show`: {shown}"));
        }
        let daemon = site.start()?;
        let judged = || -> Res<u64> {
            let metrics = daemon.metrics()?;
            let of = |family| metrics.get("kordon_packets_total", &[("family", family)]);
            Ok(of("ipv4")? + of("ipv6")?)
        };
        let before = judged()?;
        answers(Place::Camera, DNS, true, "held")?;
        answers(Place::Out1, DNS, true, "held")?;
        match judged()? - before {
            // One question of each family; what the camera sends by itself besides is discovery, which is not held.
            2 => {}
            n => return Err(format!("{n} packets were judged, not 2")),
        }
        bench.lab.passes(ALLOWED, N)?;
        bench.lab.blocked(BLOCKED6, N)?;
        dropped_from_cameras("held")?;
        leases(&server, (true, true), "held")?;
        neighbours(true, "held")?;
        // Hold counts on both hooks what is judged, and nothing else.
        let held = || daemon.metrics()?.get("kordon_hold_packets_total", &[]);
        let now = judged()?;
        if !wait_until(PATIENCE, || held() == Ok(now)) {
            return Err(format!("{now} packets were judged, {} held", held()?));
        }
        let said = site.kordon_ok(VERIFY)?;
        if said.matches("to the gateway").count() != 2 || !said.contains("in force: as planned") {
            return Err(format!("`rules verify` says: {said}"));
        }
        let said = site.kordon_ok("rules check -c kordon.toml")?;
        if !said.contains("nothing to change") {
            return Err(format!("`rules check` says: {said}"));
        }
        daemon.kill()?;
        answers(Place::Camera, DNS, false, "closed")?;
        answers(Place::Out1, DNS, true, "closed")?;
        bench.lab.nothing_passes(&[ALLOWED], 5)?;
        leases(&server, (true, true), "closed")?;
        neighbours(true, "closed")?;
        // Hold bypassed: the gate on the input hook still closes.
        flush_input_hold()?;
        answers(Place::Camera, DNS, false, "without hold")?;
        // The controls: it was the gate, and the looks at leases and neighbours can fail.
        rules::both("-w -t filter -I INPUT -i cam0 -j DROP")?;
        leases(&server, (false, true), "with everything dropped")?;
        neighbours(false, "with everything dropped")?;
        rules::both("-w -t filter -D INPUT -i cam0 -j DROP")?;
        site.kordon_ok("rules remove -c kordon.toml")?;
        answers(Place::Camera, DNS, true, "removed")?;
        site.kordon_ok("rules apply --gate-only -c kordon.toml")?;
        answers(Place::Camera, DNS, false, "at boot")?;
        answers(Place::Out1, DNS, true, "at boot")?;
        bench.lab.clean()?;
    }
    drop(echo);
    Ok(())
}

/// What goes to a link, a group or everybody stays on its side of the gateway, with and without kordon; what is for
/// everybody, or for all routers or hosts, is judged where the input hook is held.
pub(super) fn local_stays_local(bench: &Bench<'_>) -> Res {
    let read = |text: &str| text.parse::<std::net::IpAddr>().context(text);
    let to_us =
        ["255.255.255.255", "192.0.2.127", "192.0.2.131", "224.0.0.1", "ff02::1", "ff02::2"];
    let to_nobody = ["224.0.0.251", "239.255.255.250", "fe80::7", "ff02::fb", "ff05::7"];
    let site = bench.site()?;
    let text = site.setup().toml().replace("\n[rules]", "\n[rules]\nhold_input = true");
    site.write("kordon.toml", &text)?;
    let mut daemon: Option<Daemon> = None;
    for when in ["without kordon", "held"] {
        // The control: what is meant for others does leave, and is seen to.
        for to in [ALLOWED, ALLOWED6] {
            if !leaves(to, PATIENCE)? {
                return Err(format!("{when}: a packet to {to} does not leave"));
            }
        }
        let judged = || match &daemon {
            None => Ok::<u64, String>(0),
            Some(daemon) => {
                let metrics = daemon.metrics()?;
                let of = |family| metrics.get("kordon_packets_total", &[("family", family)]);
                Ok(of("ipv4")? + of("ipv6")?)
            }
        };
        for (to, held) in to_us.iter().map(|to| (to, 1)).chain(to_nobody.iter().map(|to| (to, 0))) {
            let before = judged()?;
            if leaves(read(to)?, SILENCE / 2)? {
                return Err(format!("{when}: a packet to {to} is forwarded"));
            }
            let seen = judged()? - before;
            // What is for a link is looked up on it, and may meet hold on its way back there.
            if daemon.is_some() && seen != held && !to.starts_with("fe80") {
                return Err(format!("{when}: {seen} packets to {to} were judged, not {held}"));
            }
        }
        daemon = Some(site.start()?);
    }
    Ok(())
}

/// Empties hold on the input hook; its gate stays.
fn flush_input_hold() -> Res {
    if tool("nft", &["flush", "chain", "inet", "kordon", "hold_input"]).is_ok() {
        return Ok(());
    }
    rules::both("-w -t mangle -F INPUT")
}

/// Open, a held question passes without the daemon, too. Where all but trusted interfaces are cameras', the gateway
/// still speaks to itself.
pub(super) fn held_open_and_trusting(bench: &Bench<'_>) -> Res {
    let _echo = Echo::start(DNS)?;
    for mode in ["monitor", "enforce"] {
        let mut setup = bench.setup();
        setup.mode = mode;
        (setup.interfaces, setup.networks) = (Vec::new(), Vec::new());
        setup.trusted = vec!["wan1", "wan2"];
        let site = Site::new(setup)?;
        let text = site.setup().toml().replace("\n[rules]", "\n[rules]\nhold_input = true");
        site.write("kordon.toml", &text)?;
        let daemon = site.start()?;
        answers(Place::Camera, DNS, true, mode)?;
        daemon.kill()?;
        answers(Place::Camera, DNS, mode == "monitor", mode)?;
        answers(Place::Out1, DNS, true, mode)?;
        for to in gateway(Place::Camera) {
            let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
            let socket = std::net::UdpSocket::bind(any).context("a UDP socket")?;
            socket.set_read_timeout(Some(PATIENCE)).context("a timeout")?;
            socket.send_to(b"myself", (to, DNS)).context("a question to myself")?;
            socket.recv_from(&mut [0; 16]).context(format!("{mode}: the gateway to itself"))?;
        }
        bench.lab.clean()?;
    }
    Ok(())
}
