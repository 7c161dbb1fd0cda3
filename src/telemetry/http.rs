//! The HTTP endpoint: `/metrics`, `/healthz`, `/readyz`; GET and HEAD only.
//!
//! Invariants: at most [`CONNECTIONS`] connections, [`REQUEST_LIMIT`] bytes of request and [`DEADLINE`] for
//! the whole exchange; a client beyond that is let go. One request per connection. Packet threads are not
//! touched: counters are only read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Exporter, Observed};
use crate::failure::{ExitStatus, Failure};

/// The most connections served at a time.
const CONNECTIONS: usize = 16;
/// The most bytes of a request that are read.
const REQUEST_LIMIT: usize = 8 << 10;
/// The whole exchange, from accept to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);

/// Opens the endpoint.
///
/// # Errors
/// 75 where the address is in use, or is not ours (yet: an interface may come up later); 77 where it may not
/// be used.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let status = match error.kind() {
            std::io::ErrorKind::AddrInUse | std::io::ErrorKind::AddrNotAvailable => {
                ExitStatus::TryAgain
            }
            std::io::ErrorKind::PermissionDenied => ExitStatus::NoPermission,
            _ => ExitStatus::Failed,
        };
        Failure::new(status, format!("metrics.listen {address}: {error}"))
    })
}

/// Serves until the runtime ends.
pub async fn serve(listener: TcpListener, exporter: Arc<Exporter>, observed: Arc<Observed>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (exporter, observed) = (Arc::clone(&exporter), Arc::clone(&observed));
                tokio::spawn(async move {
                    // A client that is too slow or goes away is its own loss.
                    let exchange = exchange(stream, &exporter, &observed);
                    let _finished = tokio::time::timeout(DEADLINE, exchange).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("metrics: accept failed: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn exchange(
    mut stream: TcpStream,
    exporter: &Exporter,
    observed: &Observed,
) -> std::io::Result<()> {
    let mut request = Vec::with_capacity(1024);
    let mut chunk = [0_u8; 1024];
    while !is_complete(&request) {
        if request.len() > REQUEST_LIMIT {
            let answer = Answer::text(431, "request header too large\n");
            return write(&mut stream, &answer, false).await;
        }
        match stream.read(&mut chunk).await? {
            0 => return Ok(()),
            count => request.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
    let (answer, head) = answer(&request, exporter, observed);
    write(&mut stream, &answer, head).await
}

fn is_complete(request: &[u8]) -> bool {
    request.windows(4).any(|end| end == b"\r\n\r\n") || request.windows(2).any(|end| end == b"\n\n")
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// `GET` or `HEAD` (true) of a path.
    Path(&'a str, bool),
    /// Another method.
    Method,
    /// Not HTTP.
    Nonsense,
}

/// Reads the request line; total over any bytes.
pub(super) fn asked(request: &[u8]) -> Asked<'_> {
    let line = request.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return Asked::Nonsense };
    let mut words = line.trim_end_matches('\r').split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(target), Some("HTTP/1.0" | "HTTP/1.1"), None) => {
            let path = target.split(['?', '#']).next().unwrap_or_default();
            match method {
                "GET" => Asked::Path(path, false),
                "HEAD" => Asked::Path(path, true),
                _ => Asked::Method,
            }
        }
        (_, _, _, _) => Asked::Nonsense,
    }
}

struct Answer {
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
}

impl Answer {
    fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Answer { status, kind: "text/plain; charset=utf-8", body: body.into() }
    }
}

fn answer(request: &[u8], exporter: &Exporter, observed: &Observed) -> (Answer, bool) {
    match asked(request) {
        Asked::Path("/metrics", head) => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            (Answer { status: 200, kind, body: exporter.text() }, head)
        }
        Asked::Path("/healthz", head) => (health(observed), head),
        Asked::Path("/readyz", head) => (readiness(observed), head),
        Asked::Path("/", head) => (Answer::text(200, "kordon: /metrics /healthz /readyz\n"), head),
        Asked::Path(_, head) => (Answer::text(404, "not found: /metrics /healthz /readyz\n"), head),
        Asked::Method => (Answer::text(405, "GET and HEAD only\n"), false),
        Asked::Nonsense => (Answer::text(400, "not an HTTP/1 request\n"), false),
    }
}

/// 200 while every packet thread makes progress.
fn health(observed: &Observed) -> Answer {
    match observed.stalled().as_slice() {
        [] => Answer::text(200, "ok\n"),
        queues => {
            let names: Vec<String> = queues.iter().map(u16::to_string).collect();
            Answer::text(503, format!("packet thread stalled: queue {}\n", names.join(", ")))
        }
    }
}

/// 200 while packets are judged: rule set loaded, queues bound, rules in place.
fn readiness(observed: &Observed) -> Answer {
    if !observed.ready.load(Ordering::Acquire) {
        return Answer::text(503, "starting\n");
    }
    let kernel = observed.kernel_rules();
    if kernel.present == Some(false) {
        return Answer::text(503, format!("rules: {}\n", kernel.faults.join("; ")));
    }
    let enslaved = observed.surroundings().enslaved;
    if !enslaved.is_empty() {
        return Answer::text(503, format!("{}\n", enslaved.join("; ")));
    }
    health(observed)
}

async fn write(stream: &mut TcpStream, answer: &Answer, head: bool) -> std::io::Result<()> {
    let phrase = match answer.status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let header = format!(
        "HTTP/1.1 {} {phrase}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.kind,
        answer.body.len()
    );
    stream.write_all(header.as_bytes()).await?;
    if !head {
        stream.write_all(&answer.body).await?;
    }
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        assert_eq!(asked(b"GET /metrics HTTP/1.1\r\n\r\n"), Asked::Path("/metrics", false));
        assert_eq!(asked(b"HEAD /healthz?x=1 HTTP/1.0\n\n"), Asked::Path("/healthz", true));
        assert_eq!(asked(b"POST /metrics HTTP/1.1\r\n\r\n"), Asked::Method);
        assert_eq!(asked(b"GET /metrics HTTP/2\r\n\r\n"), Asked::Nonsense);
        assert_eq!(asked(b"GET  /metrics HTTP/1.1\r\n\r\n"), Asked::Nonsense);
        assert_eq!(asked(b"\xff\xfe\r\n\r\n"), Asked::Nonsense);
        assert_eq!(asked(b""), Asked::Nonsense);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_request_or_not(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = asked(&bytes);
            let _ = is_complete(&bytes);
        }
    }
}
