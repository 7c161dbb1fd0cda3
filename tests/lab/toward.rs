//! Packets for the gateway itself: what wraps others, by IP protocol and by port, and whether they arrive there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvfrom, sendto, socket,
};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, socket_with,
};
use std::os::fd::AsRawFd;

use super::topology::{self, Place};
use super::traffic::{self, LENGTH};
use super::{Context, Res, raw};

/// A way to wrap packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// By an IP protocol.
    Protocol(u8),
    /// To a UDP port.
    Port(u16),
}

/// What kordon drops on its way to the gateway.
pub(crate) const WRAPPINGS: [Wrapping; 18] = [
    Wrapping::Protocol(4),
    Wrapping::Protocol(41),
    Wrapping::Protocol(47),
    Wrapping::Protocol(50),
    Wrapping::Protocol(51),
    Wrapping::Protocol(97),
    Wrapping::Protocol(108),
    Wrapping::Protocol(115),
    Wrapping::Protocol(137),
    Wrapping::Port(500),
    Wrapping::Port(1701),
    Wrapping::Port(2152),
    Wrapping::Port(3544),
    Wrapping::Port(4500),
    Wrapping::Port(4789),
    Wrapping::Port(6081),
    Wrapping::Port(8472),
    Wrapping::Port(51820),
];

/// The gateway's addresses as this place sees them.
pub(crate) fn gateway(place: Place) -> [IpAddr; 2] {
    let (v4, v6): ([u8; 4], [u16; 8]) = match place {
        Place::Camera => ([192, 0, 2, 1], [0x2001, 0xdb8, 1, 0, 0, 0, 0, 1]),
        Place::Out1 => ([192, 0, 2, 129], [0x2001, 0xdb8, 0xff, 1, 0, 0, 0, 1]),
        Place::Out2 => ([192, 0, 2, 133], [0x2001, 0xdb8, 0xff, 2, 0, 0, 0, 1]),
    };
    [Ipv4Addr::from(v4).into(), Ipv6Addr::from(v6).into()]
}

/// Listens on the gateway for one wrapping and family.
struct Ear {
    wrapping: Wrapping,
    v6: bool,
    socket: OwnedFd,
}

impl Ear {
    fn open(wrapping: Wrapping, v6: bool) -> Res<Self> {
        let any: IpAddr =
            if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let socket = match wrapping {
            Wrapping::Port(port) => open_udp(any, port)?,
            Wrapping::Protocol(number) => {
                let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                socket_with(family, SocketType::RAW, flags, protocol(number))
                    .context(format!("a raw socket for protocol {number}"))?
            }
        };
        Ok(Ear { wrapping, v6, socket })
    }

    /// Whether this has come, whatever else came before it.
    fn has_heard(&self, nonce: &[u8]) -> bool {
        let mut room = [0; 256];
        while let Ok((length, _)) = recv(&self.socket, &mut room[..], RecvFlags::empty()) {
            if room[..length].ends_with(nonce) {
                return true;
            }
        }
        false
    }
}

fn open_udp(any: IpAddr, port: u16) -> Res<OwnedFd> {
    let family = if any.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, None).context("a UDP socket")?;
    if any.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true).context("IPV6_V6ONLY")?;
    }
    rustix::net::bind(&socket, &SocketAddr::from((any, port))).context(format!("port {port}"))?;
    Ok(socket)
}

fn protocol(number: u8) -> Option<Protocol> {
    std::num::NonZeroU32::new(u32::from(number)).map(Protocol::from_raw)
}

/// What a protocol carries here: a probe behind what looks like the header of AH (RFC 4302: next header none, length
/// 16 bytes), which an extension header of IPv6 must.
fn wrapped(nonce: &[u8]) -> Vec<u8> {
    let mut bytes = vec![59, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
    bytes.extend(nonce);
    bytes
}

/// Sends one packet of each wrapping in each family from a place to the gateway; returns those that arrive there.
/// Where all shall, it returns as soon as they have; otherwise after `limit`.
pub(crate) fn arriving(place: Place, limit: Duration) -> Res<Vec<(Wrapping, bool)>> {
    let mut ears = Vec::new();
    for wrapping in WRAPPINGS {
        for v6 in [false, true] {
            ears.push(Ear::open(wrapping, v6)?);
        }
    }
    let nonces: Vec<[u8; LENGTH]> = ears.iter().map(|_| traffic::nonce()).collect();
    topology::at(place, || {
        for (ear, nonce) in ears.iter().zip(&nonces) {
            let to = gateway(place)[usize::from(ear.v6)];
            match ear.wrapping {
                Wrapping::Port(port) => {
                    let any = if ear.v6 { "[::]:0" } else { "0.0.0.0:0" };
                    let socket = UdpSocket::bind(any).context("a UDP socket")?;
                    socket.send_to(nonce, (to, port)).context(format!("to port {port}"))?;
                }
                Wrapping::Protocol(number) => {
                    let family = if ear.v6 { AddressFamily::INET6 } else { AddressFamily::INET };
                    let socket = socket_with(
                        family,
                        SocketType::RAW,
                        SocketFlags::CLOEXEC,
                        protocol(number),
                    )
                    .context(format!("a raw socket for protocol {number}"))?;
                    let to = SocketAddr::from((to, 0));
                    rustix::net::sendto(&socket, &wrapped(nonce), SendFlags::empty(), &to)
                        .context(format!("protocol {number}"))?;
                }
            }
        }
        Ok(())
    })?;
    let end = Instant::now() + limit;
    let mut heard = vec![false; ears.len()];
    loop {
        for ((ear, nonce), heard) in ears.iter().zip(&nonces).zip(&mut heard) {
            *heard = *heard || ear.has_heard(nonce);
        }
        if Instant::now() >= end || heard.iter().all(|heard| *heard) {
            let ears = ears.iter().zip(heard).filter(|(_, heard)| *heard);
            return Ok(ears.map(|(ear, _)| (ear.wrapping, ear.v6)).collect());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A server on the gateway that answers each datagram with itself, until it is dropped.
pub(crate) struct Echo {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start(port: u16) -> Res<Self> {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut threads = Vec::new();
        // The gateway's own addresses, or an answer would carry another one than was asked.
        for to in [gateway(Place::Camera), gateway(Place::Out1)].concat() {
            let socket = UdpSocket::bind((to, port)).context(format!("port {port} of {to}"))?;
            socket.set_read_timeout(Some(Duration::from_millis(20))).context("a timeout")?;
            let stop = std::sync::Arc::clone(&stop);
            threads.push(std::thread::spawn(move || {
                let mut room = [0; 512];
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    if let Ok((length, from)) = socket.recv_from(&mut room) {
                        let _ = socket.send_to(&room[..length], from);
                    }
                }
            }));
        }
        Ok(Echo { stop, threads })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Whether a question from a place to this address is answered within the limit.
pub(crate) fn answered(place: Place, to: IpAddr, port: u16, limit: Duration) -> Res<bool> {
    topology::at(place, || {
        let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any).context("a UDP socket")?;
        socket.set_read_timeout(Some(limit)).context("a timeout")?;
        let nonce = traffic::nonce();
        socket.send_to(&nonce, (to, port)).context(format!("to {to}"))?;
        let mut room = [0; 64];
        Ok(socket.recv_from(&mut room).is_ok_and(|(length, _)| room[..length] == nonce))
    })
}

/// Sends a frame of its own making from the camera's interface, by a packet socket.
fn send_frame(to: [u8; 6], kind: u16, packet: &[u8]) -> Res {
    topology::at(Place::Camera, || {
        let device = link("eth0")?;
        let mut frame = to.to_vec();
        frame.extend(device.addr().ok_or("eth0 has no MAC address")?);
        frame.extend(kind.to_be_bytes());
        frame.extend(packet);
        sendto(packet_socket()?.as_raw_fd(), &frame, &device, MsgFlags::empty())
            .context("a frame")
            .map(drop)
    })
}

fn packet_socket() -> Res<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(nix::sys::socket::AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
        .context("a packet socket")
}

/// A UDP packet from one address to another that carries a probe.
fn datagram(from: IpAddr, to: IpAddr, ports: [u16; 2], nonce: &[u8]) -> Vec<u8> {
    let length = (8 + nonce.len()) as u16;
    let mut udp = Vec::new();
    [ports[0], ports[1], length, 0].iter().for_each(|field| udp.extend(field.to_be_bytes()));
    udp.extend(nonce);
    let mut packet = Vec::new();
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let pseudo = [0, length as u8, 0, 17];
            let sum = raw::checksum(&[&from.octets(), &to.octets(), &pseudo, &udp]);
            udp[6..8].copy_from_slice(&sum.to_be_bytes());
            packet.extend([0x60, 0, 0, 0, 0, length as u8, 17, 64]);
            packet.extend([from.octets(), to.octets()].concat());
        }
        (from, to) => {
            packet.extend([0x45, 0, 0, 20 + length as u8, 0, 0, 0, 0, 64, 17, 0, 0]);
            for address in [from, to] {
                if let IpAddr::V4(address) = address {
                    packet.extend(address.octets());
                }
            }
            let sum = raw::checksum(&[&packet]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }
    packet.extend(udp);
    packet
}

/// Asks for a lease as a camera without an address does: from 0.0.0.0 to everybody. Returns what a server on the gateway
/// must read.
fn discover() -> Res<[u8; LENGTH]> {
    let nonce = traffic::nonce();
    let (from, to) = (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into());
    send_frame([0xff; 6], 0x0800, &datagram(from, to, [68, 67], &nonce))?;
    Ok(nonce)
}

/// Whether a packet from the camera to this address, in a frame to the gateway, leaves by another interface within the
/// limit.
pub(crate) fn leaves(to: IpAddr, limit: Duration) -> Res<bool> {
    let ears = packet_socket()?;
    let (nonce, camera) = (traffic::nonce(), link(topology::CAMERA_INTERFACE)?);
    let mac = camera.addr().ok_or("cam0 has no MAC address")?;
    let (from, kind) = match to {
        IpAddr::V4(_) => (topology::CAMERA, 0x0800),
        IpAddr::V6(_) => (topology::CAMERA6, 0x86dd),
    };
    send_frame(mac, kind, &datagram(from, to, [40_000, traffic::PORT], &nonce))?;
    let (end, mut room) = (Instant::now() + limit, [0; 512]);
    while Instant::now() < end {
        while let Ok((length, Some(by))) = recvfrom::<LinkAddr>(ears.as_raw_fd(), &mut room) {
            if room[..length].ends_with(&nonce) && by.ifindex() != camera.ifindex() {
                return Ok(true);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(false)
}

fn link(name: &str) -> Res<LinkAddr> {
    let all = nix::ifaddrs::getifaddrs().context("the interfaces")?;
    let mut of_name = all.filter(|one| one.interface_name == name);
    let found = of_name.find_map(|one| one.address?.as_link_addr().copied());
    found.ok_or_else(|| format!("no interface {name}"))
}

/// A DHCP server's ears on the gateway: an ordinary socket, and a packet socket as dhcpd has it.
pub(crate) struct LeaseServer {
    udp: OwnedFd,
    packets: OwnedFd,
}

impl LeaseServer {
    pub(crate) fn start() -> Res<Self> {
        let udp = open_udp(Ipv4Addr::UNSPECIFIED.into(), 67)?;
        Ok(LeaseServer { udp, packets: packet_socket()? })
    }

    /// Whether each of the two hears a camera ask for a lease, within the limit.
    pub(crate) fn hears(&self, limit: Duration) -> Res<(bool, bool)> {
        let mut room = [0; 16];
        // What came before may have filled the buffers.
        for socket in [&self.udp, &self.packets] {
            while recv(socket, &mut room[..], RecvFlags::empty()).is_ok() {}
        }
        let nonce = discover()?;
        let heard = |socket: &OwnedFd| {
            let mut room = [0; 512];
            while let Ok((length, _)) = recv(socket, &mut room[..], RecvFlags::empty()) {
                if room[..length].ends_with(&nonce) {
                    return true;
                }
            }
            false
        };
        let (end, mut both) = (Instant::now() + limit, (false, false));
        while both != (true, true) && Instant::now() < end {
            both = (both.0 || heard(&self.udp), both.1 || heard(&self.packets));
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(both)
    }
}
