//! Packets of unusual shape: options, extension headers, fragments, aggregates, and what nobody can read.

use std::time::Duration;

use crate::Bench;
use crate::daemon::Daemon;
use crate::lab::raw::{self, DESTINATION, Extension, FRAGMENT, HOP_BY_HOP};
use crate::lab::topology::*;
use crate::lab::traffic::Stream;
use crate::lab::{Res, rules, tcp};

const N: u32 = 10;

fn count(daemon: &Daemon, name: &str, labels: &[(&str, &str)]) -> Res<u64> {
    daemon.metrics()?.get(name, labels)
}

/// Sends `N` packets to each address by `send`: to `yes` they arrive, to `no` each is dropped by the list.
fn judged(
    bench: &Bench<'_>,
    daemon: &Daemon,
    yes: std::net::IpAddr,
    no: std::net::IpAddr,
    what: &str,
    send: impl Fn(&mut Stream) -> Res,
) -> Res {
    let mut stream = bench.lab.stream(yes)?;
    (0..N).try_for_each(|_| send(&mut stream))?;
    bench.lab.all_arrived(&stream).map_err(|error| format!("{what}: {error}"))?;
    let dropped = || count(daemon, "kordon_packets_dropped_total", &[("list", "blocked")]);
    let accepted = || count(daemon, "kordon_packets_accepted_total", &[]);
    let before = (dropped()?, accepted()?);
    let mut stream = bench.lab.stream(no)?;
    (0..N).try_for_each(|_| send(&mut stream))?;
    bench.lab.fence(no)?;
    bench.lab.none_arrived(&stream).map_err(|error| format!("{what}: {error}"))?;
    // One fence, and nothing else: no part of a datagram either.
    match (dropped()? - before.0, accepted()? - before.1) {
        (dropped, 1) if dropped >= u64::from(N) => Ok(()),
        (dropped, accepted) => {
            Err(format!("{what}: {N} sent, {dropped} dropped; accepted with the fence {accepted}"))
        }
    }
}

pub(super) fn options(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    // No operation, up to the longest header (RFC 791 section 3.1).
    for length in [4, 40] {
        judged(bench, &daemon, ALLOWED, BLOCKED, "options", |stream| {
            raw::send_v4(stream, &vec![1; length])
        })?;
    }
    Ok(())
}

pub(super) fn extension_headers(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let chains: [&[u8]; 4] =
        [&[], &[DESTINATION], &[FRAGMENT], &[HOP_BY_HOP, DESTINATION, FRAGMENT, DESTINATION]];
    for kinds in chains {
        let chain: Vec<Extension> = kinds.iter().map(|kind| Extension::empty(*kind)).collect();
        judged(bench, &daemon, ALLOWED6, BLOCKED6, &format!("{kinds:?}"), |stream| {
            raw::send_v6(stream, &chain)
        })?;
    }
    Ok(())
}

/// What cannot be read is dropped, wherever it goes, and counted by cause.
pub(super) fn unparsable(bench: &Bench<'_>) -> Res {
    let long = vec![Extension::empty(DESTINATION); 20];
    // Positive control: without kordon the long chain arrives.
    let mut stream = bench.lab.stream(ALLOWED6)?;
    raw::send_v6(&mut stream, &long)?;
    bench.lab.all_arrived(&stream)?;

    let site = bench.site()?;
    let daemon = site.start()?;
    let mut streams = [bench.lab.stream(ALLOWED6)?, bench.lab.stream(ALLOWED6)?];
    for _ in 0..N {
        raw::send_v6(&mut streams[0], &long)?;
    }
    for _ in 0..2 * N {
        raw::send_v6(&mut streams[1], &[Extension::beyond_the_packet()])?;
    }
    bench.lab.fence(ALLOWED6)?;
    streams.iter().try_for_each(|stream| bench.lab.none_arrived(stream))?;
    let unparsable = |cause| count(&daemon, "kordon_packets_unparsable_total", &[("cause", cause)]);
    let found = [
        unparsable("header_chain_too_long")?,
        unparsable("extension_length")?,
        count(&daemon, "kordon_packets_unparsable_total", &[])?,
        count(&daemon, "kordon_packets_dropped_total", &[("list", ""), ("reason", "unparsable")])?,
    ];
    let n = u64::from(N);
    match found == [n, 2 * n, 3 * n, 3 * n] {
        true => Ok(()),
        false => Err(format!("{N} chains, {} too long options: counted {found:?}", 2 * N)),
    }
}

/// 4,000 bytes over links of 1,500: every fragment carries the destination, and every one is judged.
pub(super) fn fragments(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    for (yes, no) in [(ALLOWED, BLOCKED), (ALLOWED6, BLOCKED6)] {
        judged(bench, &daemon, yes, no, "fragments", |stream| stream.send_long(4000))?;
    }
    Ok(())
}

/// TCP aggregates are held whole, and the counters are those of a rule that sees the same packets.
pub(super) fn aggregates(bench: &Bench<'_>) -> Res {
    const LENGTH: usize = 4 << 20;
    let site = bench.site()?;
    let daemon = site.start()?;
    for (to, family) in [(ALLOWED, "ipv4"), (ALLOWED6, "ipv6")] {
        let name = format!("seen-{family}");
        let program = rules::IPTABLES[usize::from(to.is_ipv6())];
        let rule =
            format!("-w -t mangle -A PREROUTING -i cam0 -d {to} -m comment --comment {name}");
        crate::lab::process::tool(program, &rule.split_whitespace().collect::<Vec<_>>())?;
        let connection = tcp::connect(to, Duration::from_secs(5))?;
        tcp::exchange(&connection, LENGTH)?;
        drop(connection);
        // The end of the connection is on its way.
        std::thread::sleep(Duration::from_millis(200));
        let metrics = daemon.metrics()?;
        let labels = [("family", family)];
        let counted = (
            metrics.get("kordon_packets_total", &labels)?,
            metrics.get("kordon_bytes_total", &labels)?,
        );
        let seen = rules::volume(&name)?;
        if counted != seen || seen.1 < LENGTH as u64 {
            return Err(format!("{family}: packets and bytes seen {seen:?}, counted {counted:?}"));
        }
        // Acknowledgements of the echo are among them: half of what segments would be is a wide margin.
        if seen.0 > (LENGTH / 1448 / 2) as u64 {
            return Err(format!("{family}: {} packets for {LENGTH} bytes", seen.0));
        }
    }
    Ok(())
}
