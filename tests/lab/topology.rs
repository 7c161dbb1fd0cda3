//! Who is connected to whom: camera, gateway, two servers, in documentation space.
//!
//! ```text
//!  camera            gateway (own namespace)                 servers
//!  192.0.2.10   ---- cam0   wan1 ---- first   198.51.100.0/24   2001:db8:2::/48
//!  2001:db8:1::10           wan2 ---- second  203.0.113.0/24    2001:db8:3::/48
//! ```
//!
//! Each server answers to every address of its prefixes, so that any of them can be probed.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use nix::sched::{CloneFlags, setns};

use super::process::{self, SHORT};
use super::{Context, Res};

/// The camera's interface on the gateway.
pub(crate) const CAMERA_INTERFACE: &str = "cam0";
/// The camera's addresses; the last of each is free for a second camera.
pub(crate) const CAMERA: IpAddr = v4(192, 0, 2, 10);
pub(crate) const CAMERA6: IpAddr = v6([0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10]);
/// The networks that cameras have addresses in.
pub(crate) const CAMERA_NETWORKS: [&str; 2] = ["192.0.2.0/25", "2001:db8:1::/64"];

/// On the first server: on no list.
pub(crate) const ALLOWED: IpAddr = v4(198, 51, 100, 10);
pub(crate) const ALLOWED6: IpAddr = v6([0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10]);
/// On the second server: in a blocked prefix.
pub(crate) const BLOCKED: IpAddr = v4(203, 0, 113, 10);
pub(crate) const BLOCKED6: IpAddr = v6([0x2001, 0xdb8, 3, 0, 0, 0, 0, 0x10]);
/// On the second server: exempt, inside the blocked prefixes.
pub(crate) const EXEMPT: IpAddr = v4(203, 0, 113, 20);
pub(crate) const EXEMPT6: IpAddr = v6([0x2001, 0xdb8, 3, 0, 0, 0, 0, 0x20]);
/// On the second server: announced by a blocked AS.
pub(crate) const BY_ORIGIN: IpAddr = v4(203, 0, 113, 150);
/// On the second server: on no list, for tests to add.
pub(crate) const UNLISTED: IpAddr = v4(203, 0, 113, 200);
pub(crate) const UNLISTED6: IpAddr = v6([0x2001, 0xdb8, 3, 0x8000, 0, 0, 0, 0x10]);

/// Another namespace than the gateway's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The camera's.
    Camera,
    /// The first server's.
    Out1,
    /// The second server's.
    Out2,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Place::Camera => "cam",
            Place::Out1 => "out1",
            Place::Out2 => "out2",
        }
    }
}

/// An unlisted address of the server that `to` belongs to.
pub(crate) fn fence_for(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(to) if to.octets()[0] == 198 => v4(198, 51, 100, 250),
        IpAddr::V4(_) => v4(203, 0, 113, 250),
        IpAddr::V6(to) => v6([0x2001, 0xdb8, to.segments()[2], 0xffff, 0, 0, 0, 0xfe]),
    }
}

/// Makes the namespaces and wires them up; the current namespace becomes the gateway.
pub(crate) fn build() -> Res {
    for place in [Place::Camera, Place::Out1, Place::Out2] {
        process::tool("ip", &["netns", "add", place.name()])?;
    }
    batch(
        None,
        "link set lo up\n\
         link add cam0 type veth peer name eth0 netns cam\n\
         link add wan1 type veth peer name eth0 netns out1\n\
         link add wan2 type veth peer name eth0 netns out2\n\
         address add 192.0.2.1/25 dev cam0\n\
         address add 2001:db8:1::1/64 dev cam0 nodad\n\
         address add 192.0.2.129/30 dev wan1\n\
         address add 2001:db8:ff:1::1/64 dev wan1 nodad\n\
         address add 192.0.2.133/30 dev wan2\n\
         address add 2001:db8:ff:2::1/64 dev wan2 nodad\n\
         link set cam0 up\n\
         link set wan1 up\n\
         link set wan2 up\n",
    )?;
    batch(
        Some(Place::Camera),
        "link set lo up\n\
         address add 192.0.2.10/25 dev eth0\n\
         address add 192.0.2.11/25 dev eth0\n\
         address add 2001:db8:1::10/64 dev eth0 nodad\n\
         address add 2001:db8:1::11/64 dev eth0 nodad\n\
         link set eth0 up\n\
         route add default via 192.0.2.1\n\
         -6 route add default via 2001:db8:1::1\n",
    )?;
    server(Place::Out1, "192.0.2.130/30", "192.0.2.129", 1, "198.51.100.0/24", "2001:db8:2::/48")?;
    server(Place::Out2, "192.0.2.134/30", "192.0.2.133", 2, "203.0.113.0/24", "2001:db8:3::/48")?;
    batch(
        None,
        "route add 198.51.100.0/24 via 192.0.2.130\n\
         route add 203.0.113.0/24 via 192.0.2.134\n\
         -6 route add 2001:db8:2::/48 via 2001:db8:ff:1::2\n\
         -6 route add 2001:db8:3::/48 via 2001:db8:ff:2::2\n",
    )?;
    // What a case leaves unanswered is not sent again for minutes, into cases that count to the packet.
    for place in [Place::Camera, Place::Out1, Place::Out2] {
        at(place, || sysctl("net/ipv4/tcp_orphan_retries", "1"))?;
    }
    sysctl("net/ipv4/ip_forward", "1")?;
    sysctl("net/ipv6/conf/all/forwarding", "1")
}

/// Runs `work` on a thread of its own inside another namespace. A socket made there stays there.
pub(crate) fn at<T: Send>(place: Place, work: impl FnOnce() -> Res<T> + Send) -> Res<T> {
    let path = format!("/run/netns/{}", place.name());
    let namespace = File::open(&path).context(&path)?;
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                setns(&namespace, CloneFlags::CLONE_NEWNET).context("setns")?;
                work()
            })
            .join()
            .unwrap_or_else(|_| Err("a thread in another namespace panicked".to_owned()))
    })
}

fn server(place: Place, v4: &str, gateway: &str, link: u8, net4: &str, net6: &str) -> Res {
    batch(
        Some(place),
        &format!(
            "link set lo up\n\
             address add {v4} dev eth0\n\
             address add 2001:db8:ff:{link}::2/64 dev eth0 nodad\n\
             link set eth0 up\n\
             route add default via {gateway}\n\
             -6 route add default via 2001:db8:ff:{link}::1\n\
             route add local {net4} dev lo\n\
             -6 route add local {net6} dev lo\n"
        ),
    )
}

fn batch(place: Option<Place>, lines: &str) -> Res {
    // `ip -batch` takes no `-6` inside a line: each line runs as one command of its own.
    for line in lines.lines() {
        let mut command = Command::new("ip");
        if let Some(place) = place {
            command.args(["-n", place.name()]);
        }
        let output = process::run(command.args(line.split_whitespace()), SHORT)?;
        if output.code != Some(0) {
            return Err(format!("`ip {line}` {}", output.said()));
        }
    }
    Ok(())
}

fn sysctl(key: &str, value: &str) -> Res {
    let path = format!("/proc/sys/{key}");
    std::fs::write(&path, value).context(path)
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(s: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]))
}
