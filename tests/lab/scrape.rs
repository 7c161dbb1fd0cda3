//! HTTP and metrics, as Prometheus would read them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Context, Res};

/// One GET; returns status and body.
pub(crate) fn get(server: SocketAddr, path: &str) -> Res<(u16, String)> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&server, limit).context(server)?;
    stream.set_read_timeout(Some(limit)).context(server)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).context(server)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context(format!("GET {path}"))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("GET {path}: not an HTTP answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("GET {path}: no status in {head:?}"))?;
    Ok((status, body.to_owned()))
}

/// One scrape.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// As it came.
    pub(crate) text: String,
    samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    pub(crate) fn read(server: SocketAddr) -> Res<Self> {
        let (status, text) = get(server, "/metrics")?;
        if status != 200 {
            return Err(format!("GET /metrics: status {status}"));
        }
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines
            .map(|line| sample(line).ok_or_else(|| format!("not a metric: {line:?}")))
            .collect::<Res<_>>()?;
        Ok(Metrics { text, samples })
    }

    /// The sum over all series of this name that carry these labels; an error if there is none.
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Res<u64> {
        let mut found = self.matching(name, labels).peekable();
        if found.peek().is_none() {
            return Err(format!("the metrics have no {name} {labels:?}"));
        }
        Ok(found.map(|sample| sample.value).sum::<f64>() as u64)
    }

    /// [`Metrics::get`], 0 where there is no such series.
    pub(crate) fn or_zero(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.get(name, labels).unwrap_or(0)
    }

    /// The values that a label takes in the series of this name.
    pub(crate) fn label_values(&self, name: &str, label: &str) -> Vec<&str> {
        self.samples
            .iter()
            .filter(|sample| sample.name == name)
            .flat_map(|sample| &sample.labels)
            .filter(|(key, _)| key == label)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|&(key, value)| sample.labels.iter().any(|(k, v)| k == key && v == value))
        })
    }
}

/// `name{key="value",...} 12.5`
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, rest)) = series.split_once('{') else {
        return Some(Sample { name: series.to_owned(), labels: Vec::new(), value });
    };
    let mut labels = Vec::new();
    let mut rest = rest.strip_suffix('}')?;
    while !rest.is_empty() {
        let (key, after) = rest.split_once("=\"")?;
        let mut text = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => text.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (at, '"') => break at,
                (_, other) => text.push(other),
            }
        };
        labels.push((key.to_owned(), text));
        rest = after[end + 1..].trim_start_matches(',');
    }
    Some(Sample { name: name.to_owned(), labels, value })
}
