//! Echo requests from the camera and what else keeps the gateway busy, each on a processor of its own choice.
//!
//! The server's kernel answers an echo at once, so nobody is woken for it but who holds the request.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::gettid;

use super::lab::process::tool;
use super::lab::topology::{self, CAMERA_INTERFACE, Place};
use super::lab::{Context, Res};
use super::processors::{THIS, keep_on};
use super::queues::{DISCARD, camera, destination};

/// A reply that takes longer is lost.
const LIMIT: Duration = Duration::from_secs(1);
/// The most packets of the background that are sent at once, where some are late.
const BURST: u64 = 32;
/// Where the namespace's own sysfs is mounted: the one at /sys shows the machine's devices.
const SYSFS: &str = "/run/sysfs";

/// The camera's socket for echo requests.
pub(super) struct Pinger {
    socket: OwnedFd,
}

impl Pinger {
    pub(super) fn new() -> Res<Self> {
        let socket = topology::at(Place::Camera, || {
            let range = "/proc/sys/net/ipv4/ping_group_range";
            std::fs::write(range, "0 0").context(range)?;
            socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), SockProtocol::Icmp)
                .context("camera: ICMP socket")
        })?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(500))
            .context("camera")?;
        Ok(Pinger { socket })
    }

    /// Sends one request and waits for its reply, asleep or not; `None` if there is none.
    pub(super) fn ask(&self, number: usize, to: SocketAddr, asleep: bool) -> Res<Option<Duration>> {
        let socket = self.socket.as_raw_fd();
        // Type, code, checksum and identifier (both the kernel's), sequence number.
        let mut request = [0; 36];
        request[0] = 8;
        request[6..8].copy_from_slice(&(number as u16).to_be_bytes());
        let flags = if asleep { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
        let to = SockaddrStorage::from(to);
        let began = Instant::now();
        sendto(socket, &request, &to, MsgFlags::empty()).context("camera: send")?;
        while began.elapsed() < LIMIT {
            let mut reply = [0; 64];
            match recv(socket, &mut reply, flags) {
                Ok(_) if reply[0] == 0 && reply[6..8] == request[6..8] => {
                    return Ok(Some(began.elapsed()));
                }
                Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(format!("camera: receive: {errno}")),
            }
        }
        Ok(None)
    }
}

/// Chooses the processor that packets, and replies, come in on. Only root can.
pub(super) struct Entrance;

impl Entrance {
    pub(super) fn new() -> Res<Self> {
        std::fs::create_dir_all(SYSFS).context(SYSFS)?;
        tool("mount", &["-t", "sysfs", "sysfs", SYSFS])?;
        let entrance = Entrance;
        entrance.steer(None).map(|()| entrance)
    }

    /// On this processor, by receive packet steering; without one, on their sender's. The bit mask of `rps_cpus`
    /// is in hexadecimal.
    pub(super) fn steer(&self, processor: Option<usize>) -> Res {
        let mask = processor.map_or(0, |processor| 1_u64 << processor);
        for device in [CAMERA_INTERFACE, "wan1"] {
            let path = format!("{SYSFS}/class/net/{device}/queues/rx-0/rps_cpus");
            std::fs::write(&path, format!("{mask:x}")).context(path)?;
        }
        Ok(())
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        let _ = self.steer(None);
        let _ = tool("umount", &[SYSFS]);
    }
}

/// Keeps a processor from halting, at the lowest priority, until told to stop.
pub(super) fn keep_awake<'s>(scope: &'s Scope<'s, '_>, processor: usize, stop: &'s AtomicBool) {
    scope.spawn(move || -> Res {
        keep_on(THIS, &[processor])?;
        lowest_priority()?;
        while !stop.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        Ok(())
    });
}

/// Packets to many addresses, so many a second, until told to stop; counted in `sent`.
pub(super) fn background<'s>(
    scope: &'s Scope<'s, '_>,
    processor: usize,
    rate: f64,
    sent: &'s AtomicU64,
    stop: &'s AtomicBool,
) -> Res {
    let camera: UdpSocket = camera()?;
    scope.spawn(move || -> Res {
        keep_on(THIS, &[processor])?;
        lowest_priority()?;
        let (began, mut next) = (Instant::now(), 0_u64);
        while !stop.load(Ordering::Relaxed) {
            let due = (began.elapsed().as_secs_f64() * rate) as u64;
            next = next.max(due.saturating_sub(BURST));
            if next < due {
                let to = destination(next as usize, DISCARD);
                camera.send_to(&[0; 36], to).context("camera: send")?;
                next += 1;
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    });
    Ok(())
}

/// The scheduler runs this thread only where no other wants to (SCHED_IDLE).
fn lowest_priority() -> Res {
    tool("chrt", &["--idle", "--pid", "0", &gettid().to_string()]).map(drop)
}
