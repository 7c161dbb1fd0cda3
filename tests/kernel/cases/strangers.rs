//! Others that write to the daemon's queue socket.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname,
    sendto, socket,
};

use crate::Bench;
use crate::lab::topology::*;
use crate::lab::{Context, Res};

const N: u32 = 10;

/// Sockets of the family of queues, by port id (/proc/net/netlink: address, family, port id).
fn ports() -> Res<Vec<u32>> {
    const NETFILTER: &str = "12";
    let table = std::fs::read_to_string("/proc/thread-self/net/netlink").context("netlink")?;
    let port = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        (words.next()? == NETFILTER).then(|| words.next()?.parse().ok())?
    };
    Ok(table.lines().filter_map(port).filter(|port| *port != 0).collect())
}

fn stranger() -> Res<(OwnedFd, u32)> {
    let own = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )
    .context("socket")?;
    bind(own.as_raw_fd(), &NetlinkAddr::new(0, 0)).context("bind")?;
    let name: NetlinkAddr = getsockname(own.as_raw_fd()).context("getsockname")?;
    Ok((own, name.pid()))
}

pub(super) fn refused(bench: &Bench<'_>) -> Res {
    let before = ports()?;
    let site = bench.site()?;
    let daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    let queues: Vec<u32> = ports()?.into_iter().filter(|port| !before.contains(port)).collect();
    let (own, _) = stranger()?;
    let (_open, port) = stranger()?;
    // Rubbish, and the beginning of a packet message.
    let send = |to: u32| {
        let message = [40, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 7];
        sendto(own.as_raw_fd(), &message, &NetlinkAddr::new(to, 0), MsgFlags::MSG_DONTWAIT)
    };
    // The control: a socket that is not connected gets it.
    send(port).context("to a socket that hears everybody")?;
    let answers: Vec<_> = queues.iter().map(|queue| send(*queue)).collect();
    // Others of the daemon's hear of the rules, and everybody may write to them.
    if !answers.contains(&Err(Errno::ECONNREFUSED)) {
        return Err(format!("sockets {queues:?}: {answers:?}, none refuses"));
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    match daemon.metrics()?.get("kordon_queue_malformed_messages_total", &[])? {
        0 => Ok(()),
        malformed => Err(format!("{malformed} messages of a stranger were read")),
    }
}
