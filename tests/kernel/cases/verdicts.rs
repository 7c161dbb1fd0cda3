//! Which packets arrive while the daemon judges.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use crate::Bench;
use crate::lab::daemon::List;
use crate::lab::topology::*;
use crate::lab::traffic::Stream;
use crate::lab::{Context, Res, tcp, wait_until};

const N: u32 = 50;

/// The lab itself: UDP and TCP reach both servers in both families while nothing blocks.
pub(super) fn open_gateway(bench: &Bench<'_>) -> Res {
    for to in [ALLOWED, ALLOWED6, BLOCKED, BLOCKED6] {
        bench.lab.passes(to, N)?;
        tcp::exchange(&tcp::connect(to, Duration::from_secs(5))?, 1 << 20)?;
    }
    Ok(())
}

pub(super) fn blocked(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(UNLISTED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    // The ends of the prefix, and the first address behind it.
    bench.lab.blocked(address("203.0.113.0")?, N)?;
    bench.lab.blocked(address("203.0.113.127")?, N)?;
    bench.lab.passes(address("203.0.113.128")?, N)
}

pub(super) fn by_origin(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    bench.lab.blocked(BY_ORIGIN, N)?;
    bench.lab.blocked(address("203.0.113.144")?, N)?;
    bench.lab.blocked(address("203.0.113.159")?, N)?;
    bench.lab.passes(address("203.0.113.143")?, N)?;
    bench.lab.passes(address("203.0.113.160")?, N)
}

pub(super) fn exempt(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    bench.lab.passes(EXEMPT, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    bench.lab.blocked(address("203.0.113.19")?, N)?;
    bench.lab.blocked(address("203.0.113.21")?, N)
}

pub(super) fn ipv6(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    bench.lab.passes(ALLOWED6, N)?;
    bench.lab.passes(UNLISTED6, N)?;
    bench.lab.passes(EXEMPT6, N)?;
    bench.lab.blocked(BLOCKED6, N)?;
    bench.lab.blocked(address("2001:db8:3::ffff:ffff:ffff:ffff")?, N)?;
    bench.lab.passes(address("2001:db8:3:1::")?, N)
}

pub(super) fn tcp(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    for to in [ALLOWED, ALLOWED6, EXEMPT, EXEMPT6] {
        tcp::exchange(&tcp::connect(to, Duration::from_secs(5))?, 1 << 20)?;
    }
    let connections = bench.lab.tcp[1].connections();
    for to in [BLOCKED, BLOCKED6] {
        if tcp::connect(to, Duration::from_millis(1500)).is_ok() {
            return Err(format!("a TCP connection to {to} was made"));
        }
    }
    match bench.lab.tcp[1].connections() - connections {
        0 => Ok(()),
        n => Err(format!("{n} blocked connections reached the server")),
    }
}

/// Two queues: flows of many address pairs spread over both, and each is judged.
pub(super) fn several_queues(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.queues = 2;
    let site = crate::Site::new(setup)?;
    let daemon = site.start()?;
    let (mut allowed, mut blocked) = (Vec::new(), Vec::new());
    for source in [CAMERA, address("192.0.2.11")?] {
        let mut one = Stream::from(source, ALLOWED)?;
        let mut other = Stream::from(source, BLOCKED)?;
        for host in 30..100 {
            one.send_paced(IpAddr::V4(Ipv4Addr::new(198, 51, 100, host)))?;
            other.send_paced(IpAddr::V4(Ipv4Addr::new(203, 0, 113, host)))?;
        }
        allowed.push(one);
        blocked.push(other);
    }
    allowed.iter().try_for_each(|stream| bench.lab.all_arrived(stream))?;
    let judged = |daemon: &crate::daemon::Daemon| -> Res<u64> {
        daemon.metrics()?.get("kordon_packets_total", &[("family", "ipv4")])
    };
    if !wait_until(crate::lab::PATIENCE, || judged(&daemon).is_ok_and(|n| n >= 280)) {
        return Err(format!("280 packets sent, {} judged", judged(&daemon)?));
    }
    blocked.iter().try_for_each(|stream| bench.lab.none_arrived(stream))?;
    // The kernel says how many packets each queue had, to the real root only.
    if let Ok(text) = std::fs::read_to_string("/proc/net/netfilter/nfnetlink_queue") {
        for queue in ["40", "41"] {
            let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let mut line = words.filter(|words| words.first() == Some(&queue));
            // queue, port id, held, copy mode, copy range, dropped, user dropped, last packet id
            match line.next().and_then(|words| words.get(7).copied()) {
                None | Some("0") => return Err(format!("queue {queue} had no packet:\n{text}")),
                Some(_) => {}
            }
        }
    }
    let metrics = daemon.metrics()?;
    let mut queues = metrics.label_values("kordon_queue_buffer_size_bytes", "queue");
    queues.sort_unstable();
    queues.dedup();
    if queues != ["40", "41"] {
        return Err(format!("queues in the metrics: {queues:?}"));
    }
    Ok(())
}

pub(super) fn trusted_interfaces(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.interfaces.clear();
    setup.networks.clear();
    setup.trusted = vec!["wan1", "wan2"];
    both_ways(bench, setup)
}

pub(super) fn networks_only(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.interfaces.clear();
    both_ways(bench, setup)
}

/// An interface that is not there, misspelt or renamed, is nobody's: what enters by another one is judged where a
/// camera network names its source, and passes where none does. Both are said.
pub(super) fn interface_that_is_not_there(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    (setup.interfaces, setup.networks) = (vec!["cam7"], Vec::new());
    let site = crate::Site::new(setup)?;
    let daemon = site.start()?;
    bench.lab.passes(BLOCKED, N)?;
    let checked = site.kordon_ok("check --config kordon.toml")?;
    let examined = site.kordon("doctor --config kordon.toml")?;
    for said in [&checked, &examined.stdout] {
        if !said.contains("cam7: no such interface now") {
            return Err(format!("nobody says that cam7 is not there:\n{said}"));
        }
    }
    drop(daemon);
    bench.lab.clean()?;
    let mut setup = bench.setup();
    setup.interfaces = vec!["cam7"];
    both_ways(bench, setup)
}

fn both_ways(bench: &Bench<'_>, setup: crate::Setup) -> Res {
    let site = crate::Site::new(setup)?;
    let daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(ALLOWED6, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    bench.lab.blocked(BLOCKED6, N)?;
    // TCP's way back comes in by a server's interface.
    tcp::exchange(&tcp::connect(ALLOWED, Duration::from_secs(5))?, 1 << 16)?;
    daemon.kill()?;
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6], N)
}

pub(super) fn monitor(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.mode = "monitor";
    let site = crate::Site::new(setup)?;
    let daemon = site.start()?;
    for to in [ALLOWED, ALLOWED6, BLOCKED, BLOCKED6, EXEMPT, BY_ORIGIN] {
        bench.lab.passes(to, N)?;
    }
    let metrics = daemon.metrics()?;
    let would =
        |list: &str| metrics.get("kordon_packets_would_drop_total", &[("list", list)]).unwrap_or(0);
    let dropped = metrics.or_zero("kordon_packets_dropped_total", &[]);
    if (would("blocked"), would("relays"), dropped) != (2 * u64::from(N), u64::from(N), 0) {
        return Err(format!(
            "would drop by blocked: {}, by relays: {}; dropped: {dropped}",
            would("blocked"),
            would("relays")
        ));
    }
    if metrics.get("kordon_enforcing", &[])? != 0 {
        return Err("kordon_enforcing is not 0".to_owned());
    }
    // Monitor mode is open: without the daemon everything passes as well.
    daemon.kill()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(BLOCKED6, N)
}

/// 1,000 addresses: what `why` says (asked of the daemon and of the files), what a plain scan of the
/// lists says, and what the receiver saw are one and the same.
pub(super) fn why(bench: &Bench<'_>) -> Res {
    const SEED: u64 = 0x6b6f_7264_6f6e;
    let block = [
        "198.51.100.64/27",
        "198.51.100.200/32",
        "203.0.113.0/26",
        "203.0.113.20/30",
        "203.0.113.96/28",
        "2001:db8:2:4000::/50",
        "2001:db8:2:5:1::/80",
        "2001:db8:3::/52",
        "2001:db8:3:8:1:2:3:0/112",
    ];
    let allow = [
        "198.51.100.72/29",
        "203.0.113.16/28",
        "203.0.113.100/32",
        "2001:db8:2:4100::/56",
        "2001:db8:3:4::/64",
        "2001:db8:3:8::/61",
    ];
    // Whole servers, so that unlisted addresses come too.
    let rest = ["198.51.100.0/24", "203.0.113.0/24", "2001:db8:2::/48", "2001:db8:3::/48"];
    let (block, allow, rest) = (nets(&block)?, nets(&allow)?, nets(&rest)?);
    let mut setup = bench.setup();
    setup.origin.clear();
    setup.lists = vec![list("blocked", "block", &block), list("exempt", "allow", &allow)];

    let mut random = Random(SEED);
    let all: Vec<IpNet> = block.iter().chain(&allow).chain(&rest).copied().collect();
    let mut probed = BTreeMap::new();
    while probed.len() < 1000 {
        let net = all[random.next() as usize % all.len()];
        let address = random.address_in(net);
        let listed = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        probed.insert(address, listed(&allow) || !listed(&block));
    }

    let site = crate::Site::new(setup)?;
    let daemon = site.start()?;
    let mut streams = [bench.lab.stream(ALLOWED)?, bench.lab.stream(ALLOWED6)?];
    let mut numbers = Vec::new();
    for &address in probed.keys() {
        let stream = &mut streams[usize::from(address.is_ipv6())];
        numbers.push((stream.id(), stream.send_paced(address)?));
    }
    let judged = || daemon.metrics().and_then(|m| m.get("kordon_packets_total", &[]));
    if !wait_until(crate::lab::PATIENCE, || judged().is_ok_and(|n| n >= 1000)) {
        return Err(format!("1000 packets sent, {:?} judged", judged()));
    }
    for to in [ALLOWED, BLOCKED, ALLOWED6, BLOCKED6] {
        bench.lab.fence(to)?;
    }

    let running = ask(&site, &probed, &["--running"]).context("why --running")?;
    let files = ask(&site, &probed, &[]).context("why from files")?;
    let mut wrong = Vec::new();
    for ((address, &expected), &(stream, number)) in probed.iter().zip(&numbers) {
        let seen = bench.lab.ledger().has(stream, number);
        let said = (running.get(address), files.get(address));
        if seen != expected || said != (Some(&expected), Some(&expected)) {
            wrong.push(format!(
                "{address}: passes by the lists {expected}, at the receiver {seen}, why says {said:?}"
            ));
        }
    }
    if !wrong.is_empty() {
        return Err(format!("seed {SEED:#x}: {} of 1000 differ, first: {}", wrong.len(), wrong[0]));
    }
    let dropped = probed.values().filter(|&&passes| !passes).count();
    if !(200..=800).contains(&dropped) {
        return Err(format!("a lopsided sample: {dropped} of 1000 dropped"));
    }
    Ok(())
}

/// `kordon why` about all addresses at once: address to "it passes".
fn ask(
    site: &crate::Site,
    addresses: &BTreeMap<IpAddr, bool>,
    options: &[&str],
) -> Res<BTreeMap<IpAddr, bool>> {
    let words: Vec<String> = addresses.keys().map(IpAddr::to_string).collect();
    let mut arguments = vec!["why", "--config", "kordon.toml", "-o", "json"];
    arguments.extend(options);
    arguments.extend(words.iter().map(String::as_str));
    let output = site.kordon_words(&arguments)?;
    if output.code != Some(0) {
        return Err(output.said());
    }
    let mut answers = BTreeMap::new();
    for line in output.stdout.lines() {
        let answer: serde_json::Value = serde_json::from_str(line).context(line)?;
        let (Some(of), Some(verdict)) = (answer["address"].as_str(), answer["verdict"].as_str())
        else {
            return Err(format!("no address and verdict in {line}"));
        };
        let passes = match verdict {
            "accept" => true,
            "drop" => false,
            other => return Err(format!("a verdict {other:?}")),
        };
        answers.insert(address(of)?, passes);
    }
    Ok(answers)
}

fn list(name: &'static str, action: &'static str, nets: &[IpNet]) -> List {
    let text = nets.iter().map(|net| format!("{net}\n")).collect();
    List { name, kind: "prefix", action, text }
}

fn nets(texts: &[&str]) -> Res<Vec<IpNet>> {
    texts.iter().map(|text| text.parse().context(text)).collect()
}

fn address(text: &str) -> Res<IpAddr> {
    text.parse().context(text)
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn address_in(&mut self, net: IpNet) -> IpAddr {
        match net {
            IpNet::V4(net) => {
                let random = self.next() as u32 & net.hostmask().to_bits();
                IpAddr::V4(Ipv4Addr::from_bits(net.network().to_bits() | random))
            }
            IpNet::V6(net) => {
                let random = u128::from(self.next()) << 64 | u128::from(self.next());
                let random = random & net.hostmask().to_bits();
                IpAddr::V6(Ipv6Addr::from_bits(net.network().to_bits() | random))
            }
        }
    }
}
