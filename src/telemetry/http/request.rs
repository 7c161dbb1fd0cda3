//! What a client asks for. Total over any bytes.

/// The most bytes of a request that are read.
pub(super) const REQUEST_LIMIT: usize = 8 << 10;

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

/// Whether the header is there to its end.
pub(super) fn is_complete(request: &[u8]) -> bool {
    request.windows(4).any(|end| end == b"\r\n\r\n") || request.windows(2).any(|end| end == b"\n\n")
}

/// Reads the request line.
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

/// Whether the client may ask again on this connection: HTTP/1.1, it does not want it closed, and nothing but
/// the header belongs to the request.
pub(super) fn may_ask_again(request: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(request) else { return false };
    let mut lines = text.lines();
    let newer = lines.next().is_some_and(|line| line.ends_with(" HTTP/1.1"));
    let ends = text.ends_with("\r\n\r\n") || text.ends_with("\n\n");
    newer
        && ends
        && lines.filter_map(|line| line.split_once(':')).all(|(name, value)| {
            match name.to_ascii_lowercase().as_str() {
                "connection" => !value.to_ascii_lowercase().contains("close"),
                "content-length" | "transfer-encoding" => false,
                _ => true,
            }
        })
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

    #[test]
    fn a_client_may_ask_again_if_it_wants_to_and_sent_no_more_than_a_header() {
        assert!(may_ask_again(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        for request in [
            &b"GET / HTTP/1.0\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n",
            b"GET / HTTP/1.1\r\ncontent-Length: 3\r\n\r\n",
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\nGET /",
            b"\xff HTTP/1.1\r\n\r\n",
            b"",
        ] {
            assert!(!may_ask_again(request), "{:?}", String::from_utf8_lossy(request));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_request_or_not(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = asked(&bytes);
            let _ = is_complete(&bytes);
            let _ = may_ask_again(&bytes);
        }
    }
}
