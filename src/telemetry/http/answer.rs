//! What a client gets: the metrics, health, readiness, or why not.

use std::sync::atomic::Ordering;

use super::super::{Exporter, Observed};
use super::request::{Asked, asked};

/// An answer, its header not yet written.
struct Answer<'a> {
    status: u16,
    kind: &'static str,
    body: std::borrow::Cow<'a, [u8]>,
}

impl Answer<'_> {
    fn text(status: u16, body: impl Into<String>) -> Self {
        let body = body.into().into_bytes().into();
        Answer { status, kind: "text/plain; charset=utf-8", body }
    }

    fn bytes(&self, head: bool, connection: &str) -> Vec<u8> {
        let phrase = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        let header = format!(
            "HTTP/1.1 {} {phrase}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            self.status,
            self.kind,
            self.body.len()
        );
        let mut bytes = header.into_bytes();
        if !head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// Where answers come from.
pub(super) struct Answers<'a> {
    pub(super) exporter: &'a Exporter,
    pub(super) observed: &'a Observed,
    /// The metrics, once written: all who asked before they were written may have them.
    pub(super) metrics: Option<Vec<u8>>,
}

impl Answers<'_> {
    /// The whole answer to a request; it says whether the connection stays open.
    pub(super) fn to(&mut self, request: &[u8], keep: bool) -> Vec<u8> {
        let connection = if keep { "keep-alive" } else { "close" };
        match asked(request) {
            Asked::Path("/metrics", head) => {
                let body = self.metrics.get_or_insert_with(|| self.exporter.text());
                let kind = "text/plain; version=0.0.4; charset=utf-8";
                Answer { status: 200, kind, body: body.as_slice().into() }.bytes(head, connection)
            }
            Asked::Path("/healthz", head) => health(self.observed).bytes(head, connection),
            Asked::Path("/readyz", head) => readiness(self.observed).bytes(head, connection),
            Asked::Path("/", head) => {
                Answer::text(200, "kordon: /metrics /healthz /readyz\n").bytes(head, connection)
            }
            Asked::Path(_, head) => {
                Answer::text(404, "not found: /metrics /healthz /readyz\n").bytes(head, connection)
            }
            Asked::Method => Answer::text(405, "GET and HEAD only\n").bytes(false, connection),
            Asked::Nonsense => {
                Answer::text(400, "not an HTTP/1 request\n").bytes(false, connection)
            }
        }
    }
}

/// The answer to a request that is longer than is read.
pub(super) fn too_large() -> Vec<u8> {
    Answer::text(431, "request header too large\n").bytes(false, "close")
}

/// 200 while every packet thread makes progress, and the thread that watches over them.
fn health(observed: &Observed) -> Answer<'static> {
    let queues = observed.stalled();
    if !queues.is_empty() {
        let names: Vec<String> = queues.iter().map(u16::to_string).collect();
        return Answer::text(503, format!("packet thread stalled: queue {}\n", names.join(", ")));
    }
    match observed.control_stalled() {
        true => Answer::text(503, "control thread stalled\n"),
        false => Answer::text(200, "ok\n"),
    }
}

/// 200 while packets are judged: rule set loaded, queues bound, rules in place.
fn readiness(observed: &Observed) -> Answer<'static> {
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
