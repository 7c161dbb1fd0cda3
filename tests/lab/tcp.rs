//! TCP: a server that echoes and counts, and the camera's end of a connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::topology::{self, Place};
use super::{Context, Res};

/// Where the echo servers listen.
pub(crate) const PORT: u16 = 9001;
/// No connection lives longer without a byte.
const IDLE: Duration = Duration::from_secs(20);

/// An echo server, with counts of what reached it.
pub(crate) struct TcpServer {
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    connections: AtomicU64,
    open: AtomicU64,
    bytes: AtomicU64,
}

impl TcpServer {
    pub(crate) fn start(place: Place) -> Res<Self> {
        let listener = topology::at(place, || {
            TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)))
                .context("server: TCP socket")
        })?;
        listener.set_nonblocking(true).context("server: TCP socket")?;
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        std::thread::spawn(move || {
            while !shared.stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((connection, _)) => {
                        shared.connections.fetch_add(1, Ordering::Relaxed);
                        shared.open.fetch_add(1, Ordering::Relaxed);
                        let counts = Arc::clone(&shared);
                        std::thread::spawn(move || {
                            echo(connection, &counts);
                            counts.open.fetch_sub(1, Ordering::Relaxed);
                        });
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Ok(TcpServer { counts })
    }

    /// Connections that reached this server.
    pub(crate) fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Waits until no connection is open any more, for at most `limit`; returns whether it had to.
    pub(crate) fn wait_closed(&self, limit: Duration) -> bool {
        let closed = || self.counts.open.load(Ordering::Relaxed) == 0;
        let waited = !closed();
        super::wait_until(limit, closed);
        waited
    }

    /// Bytes that reached this server.
    pub(crate) fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.counts.stop.store(true, Ordering::Relaxed);
    }
}

/// A connection from the camera, or the reason why there is none after `limit`.
pub(crate) fn connect(to: IpAddr, limit: Duration) -> Res<TcpStream> {
    let stream = topology::at(Place::Camera, || {
        TcpStream::connect_timeout(&SocketAddr::from((to, PORT)), limit)
            .context(format!("camera: connect to {to}"))
    })?;
    stream.set_read_timeout(Some(limit)).context("camera: timeout")?;
    stream.set_write_timeout(Some(limit)).context("camera: timeout")?;
    Ok(stream)
}

/// Sends `length` bytes and reads them back; they must be the same.
pub(crate) fn exchange(stream: &TcpStream, length: usize) -> Res {
    let sent: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
    let mut back = vec![0; length];
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (&mut &*stream).write_all(&sent));
        (&mut &*stream).read_exact(&mut back).context("camera: read the echo")?;
        match writer.join() {
            Ok(written) => written.context("camera: write"),
            Err(_) => Err("the writing thread panicked".to_owned()),
        }
    })?;
    if back == sent { Ok(()) } else { Err("the echo differs from what was sent".to_owned()) }
}

fn echo(mut connection: TcpStream, counts: &Counts) {
    let _ = connection.set_nonblocking(false);
    let _ = connection.set_read_timeout(Some(IDLE));
    let _ = connection.set_write_timeout(Some(IDLE));
    let mut buffer = vec![0; 64 << 10];
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                counts.bytes.fetch_add(length as u64, Ordering::Relaxed);
                if connection.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
