//! The declared metrics, read from the packet threads' counters at each scrape.
//!
//! Nothing is registered per label: a family holds just what exists now, so that a list that has left the
//! configuration, and never did anything, leaves the metrics too.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prometheus::{Encoder, Registry, TextEncoder};

use super::Observed;
use super::families::{self, Declared, Kind};
use crate::config::ListKind;
use crate::counters::{BUCKETS, FAMILIES, STOPPING, TunnelCounters, Volume};
use crate::ruleset::{Age, ListId};
use crate::verdict::{Family, Tunnel, Unparsable};

/// Writes the metrics in Prometheus' text format.
pub struct Exporter {
    registry: Registry,
}

impl Exporter {
    /// An exporter over a running daemon.
    ///
    /// # Errors
    /// Two metrics were declared alike.
    pub fn new(observed: Arc<Observed>) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(Scrape::new(observed)?))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Exporter { registry })
    }

    /// The metrics as text (exposition format 0.0.4).
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(16 << 10);
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!("metrics cannot be written: {error}");
        }
        text
    }
}

struct Scrape {
    observed: Arc<Observed>,
    descs: Vec<Desc>,
}

impl Scrape {
    fn new(observed: Arc<Observed>) -> Result<Self, prometheus::Error> {
        let desc = |metric: &&Declared| {
            Desc::new(
                metric.name.to_owned(),
                metric.help.to_owned(),
                metric.labels.iter().map(|label| (*label).to_owned()).collect(),
                Default::default(),
            )
        };
        let descs = families::ALL.iter().map(desc).collect::<Result<_, _>>()?;
        Ok(Scrape { observed, descs })
    }
}

impl Collector for Scrape {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut page = Page::default();
        let observed = &self.observed;
        daemon(&mut page, observed);
        traffic(&mut page, observed);
        lists(&mut page, observed);
        queues(&mut page, observed);
        page.0
    }
}

/// Label values, and the sample's value.
type Labelled = (Vec<String>, f64);

/// The families written so far.
#[derive(Default)]
struct Page(Vec<MetricFamily>);

impl Page {
    /// One family, a sample for each set of label values.
    fn put(&mut self, metric: &Declared, samples: impl IntoIterator<Item = Labelled>) {
        let samples = samples.into_iter().map(|(values, value)| {
            let mut sample = Metric::from_label(labels(metric, values));
            match metric.kind {
                Kind::Counter => {
                    let mut counter = Counter::default();
                    counter.set_value(value);
                    sample.set_counter(counter);
                }
                Kind::Gauge | Kind::Histogram => {
                    let mut gauge = Gauge::default();
                    gauge.set_value(value);
                    sample.set_gauge(gauge);
                }
            }
            sample
        });
        self.push(metric, samples.collect());
    }

    fn put_one(&mut self, metric: &Declared, value: f64) {
        self.put(metric, [(Vec::new(), value)]);
    }

    fn push(&mut self, metric: &Declared, samples: Vec<Metric>) {
        if samples.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(metric.name.to_owned());
        family.set_help(metric.help.to_owned());
        family.set_field_type(match metric.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(samples);
        self.0.push(family);
    }
}

fn labels(metric: &Declared, values: Vec<String>) -> Vec<LabelPair> {
    let pair = |(name, value): (&&str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value);
        pair
    };
    metric.labels.iter().zip(values).map(pair).collect()
}

fn daemon(page: &mut Page, observed: &Observed) {
    let rules = observed.rules.current();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    page.put(&families::BUILD_INFO, [(vec![version, crate::REVISION.to_owned()], 1.0)]);
    let standing = observed.standing();
    page.put_one(&families::ENFORCING, flag(standing.enforcing()));
    let paused_until = standing.paused.map_or(0, |pause| pause.until);
    page.put_one(&families::PAUSED_UNTIL, paused_until as f64);
    page.put_one(&families::GENERATION, rules.generation as f64);
    let kernel = observed.kernel_rules();
    if let Some(present) = kernel.present {
        // A rule that never fits is as good as none.
        let fits = observed.surroundings().enslaved.is_empty();
        page.put_one(&families::RULES_PRESENT, flag(present && fits));
        page.put_one(&families::RULES_REARMED, kernel.rearmed as f64);
        page.put_one(&families::HELD, kernel.held as f64);
        for (metric, counts) in [
            (&families::GATE_DROPPED, kernel.gate_dropped),
            (&families::TUNNELS_DROPPED, kernel.tunnels_dropped),
        ] {
            page.put(
                metric,
                Family::ALL.iter().map(|family| {
                    let count = counts.get(family.index()).copied().unwrap_or(0);
                    (vec![family.label().to_owned()], count as f64)
                }),
            );
        }
    }
    let reloads = &observed.reloads;
    let last = reloads.last();
    page.put_one(&families::RELOADS, reloads.done.load(Ordering::Relaxed) as f64);
    page.put_one(&families::RELOADS_REJECTED, reloads.rejected.load(Ordering::Relaxed) as f64);
    page.put_one(&families::RELOAD_SUCCESSFUL, flag(last.refused.is_none()));
    page.put_one(&families::RELOAD_DURATION, last.took.as_secs_f64());
    page.put_one(&families::RELOAD_SUCCESS, last.success as f64);
    page.put_one(&families::SUPPRESSED, observed.suppressed() as f64);
    page.put_one(&families::LOG_LOST, crate::log::lost() as f64);
    let [v4, v6] = rules.prefixes();
    page.put(
        &families::PREFIXES,
        Family::ALL
            .iter()
            .zip([v4, v6])
            .map(|(family, count)| (vec![family.label().to_owned()], count as f64)),
    );
    let (written, limits) = ages(&rules.freshness.origins);
    page.put(&families::ORIGIN_DATE, written);
    page.put(&families::ORIGIN_MAX_AGE, limits);
}

fn traffic(page: &mut Page, observed: &Observed) {
    // Accepted is read before the total, so that a scrape in the middle of a batch never shows more
    // accepted than there were.
    let by_family = |read: fn(&crate::counters::FamilyCounters) -> u64| {
        FAMILIES.iter().enumerate().map(move |(place, label)| {
            let value = observed.sum(|shard| shard.families.get(place).map_or(0, read));
            (vec![(*label).to_owned()], value as f64)
        })
    };
    let accepted: Vec<_> = by_family(|family| family.accepted.packets.get()).collect();
    let bytes_accepted: Vec<_> = by_family(|family| family.accepted.bytes.get()).collect();
    page.put(&families::PACKETS, by_family(|family| family.judged.packets.get()));
    page.put(&families::BYTES, by_family(|family| family.judged.bytes.get()));
    page.put(&families::ACCEPTED, accepted);
    page.put(&families::BYTES_ACCEPTED, bytes_accepted);
    page.put(
        &families::UNPARSABLE,
        Unparsable::ALL.iter().map(|cause| {
            let value =
                observed.sum(|shard| shard.unparsable.get(cause.index()).map_or(0, |c| c.get()));
            (vec![cause.label().to_owned()], value as f64)
        }),
    );
    let mut tunnels = Vec::new();
    for tunnel in Tunnel::ALL {
        let read = |of: fn(&TunnelCounters) -> u64| {
            observed.sum(|shard| shard.tunnels.get(tunnel.index()).map_or(0, of)) as f64
        };
        let labels = |answer: &str| vec![tunnel.label().to_owned(), answer.to_owned()];
        tunnels.push((labels("dropped"), read(|counters| counters.dropped.get())));
        tunnels.push((labels("passed"), read(|counters| counters.passed.get())));
    }
    page.put(&families::TUNNELS, tunnels);
    let other = "_other".to_owned();
    let names = || observed.cameras.names().iter().chain([&other]).enumerate();
    let by_camera = |read: fn(&crate::counters::CameraCounters) -> u64| {
        names().map(move |(place, name)| {
            let value = observed.sum(|shard| shard.cameras.get(place).map_or(0, read));
            (vec![name.clone()], value as f64)
        })
    };
    page.put(&families::CAMERA_PACKETS, by_camera(|camera| camera.packets.get()));
    page.put(&families::CAMERA_DROPPED, by_camera(|camera| camera.dropped.get()));
    page.put(&families::CAMERA_WOULD_DROP, by_camera(|camera| camera.would_drop.get()));
    let record = observed.evidence.cameras();
    // Not yet read: nobody was forgotten.
    if record.since > 0 {
        let [declared, others] = record.seen(|address| observed.cameras.name(address).is_some());
        let seen = [("yes", declared), ("no", others)];
        page.put(
            &families::CAMERAS_SEEN,
            seen.map(|(label, n)| (vec![label.to_owned()], n as f64)),
        );
    }
    drop(record);
    page.push(&families::DURATION, vec![durations(observed)]);
}

fn durations(observed: &Observed) -> Metric {
    let mut below = 0;
    let mut buckets = Vec::with_capacity(BUCKETS.len());
    for (place, bound) in BUCKETS.iter().enumerate() {
        below += observed.sum(|shard| shard.times.buckets.get(place).map_or(0, |c| c.get()));
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / 1e9);
        bucket.set_cumulative_count(below);
        buckets.push(bucket);
    }
    let beyond =
        observed.sum(|shard| shard.times.buckets.get(BUCKETS.len()).map_or(0, |c| c.get()));
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(below + beyond);
    histogram.set_sample_sum(observed.sum(|shard| shard.times.sum.get()) as f64 / 1e9);
    let mut metric = Metric::from_label(Vec::new());
    metric.set_histogram(histogram);
    metric
}

fn lists(page: &mut Page, observed: &Observed) {
    let rules = observed.rules.current();
    let names = observed.lists.names();
    let in_force = |place: usize| {
        place == 0 || rules.lists.iter().any(|list| usize::from(list.counter) == place)
    };
    let read = |place: usize, read: &dyn Fn(&crate::counters::ListCounters) -> u64| {
        observed.sum(|shard| shard.lists.get(place).map_or(0, read))
    };
    let by_reason = |volumes: fn(&crate::counters::ListCounters) -> &[Volume; STOPPING.len()],
                     of: fn(&Volume) -> u64| {
        let mut samples = Vec::new();
        for (place, name) in names.iter().enumerate() {
            for (index, reason) in STOPPING.iter().enumerate() {
                let value = read(place, &|list| volumes(list).get(index).map_or(0, of));
                // Known series start at 0: for a list what only a list can decide, without one the others.
                let by_a_list = matches!(*reason, "blocked" | "embedded" | "tunnel_inside");
                let known = in_force(place) && (place > 0) == by_a_list;
                if value > 0 || (known && *reason != "monitored") {
                    samples.push((vec![name.clone(), (*reason).to_owned()], value as f64));
                }
            }
        }
        samples
    };
    page.put(&families::DROPPED, by_reason(|list| &list.dropped, |v| v.packets.get()));
    page.put(&families::BYTES_DROPPED, by_reason(|list| &list.dropped, |v| v.bytes.get()));
    page.put(&families::WOULD_DROP, by_reason(|list| &list.would_drop, |v| v.packets.get()));
    page.put(&families::BYTES_WOULD_DROP, by_reason(|list| &list.would_drop, |v| v.bytes.get()));
    let exempted = names.iter().enumerate().skip(1).filter_map(|(place, name)| {
        let value = read(place, &|list| list.exempted.get());
        (value > 0 || in_force(place)).then(|| (vec![name.clone()], value as f64))
    });
    page.put(&families::EXEMPTED, exempted);
    let entries = rules.lists.iter().map(|list| (vec![list.name.clone()], list.prefixes as f64));
    page.put(&families::LIST_ENTRIES, entries);
    // Lists of prefixes have none to keep.
    let kept = (0u16..)
        .zip(&rules.lists)
        .filter(|(_, list)| list.kind != ListKind::Prefix)
        .map(|(id, list)| (vec![list.name.clone()], rules.resolution.kept(ListId(id)) as f64));
    page.put(&families::LIST_KEPT, kept);
    let rejected =
        rules.lists.iter().map(|list| (vec![list.name.clone()], list.rejected.total as f64));
    page.put(&families::LIST_REJECTED, rejected);
    let review = rules
        .lists
        .iter()
        .filter_map(|list| Some((vec![list.name.clone()], list.review_by?.unix() as f64)));
    page.put(&families::LIST_REVIEW, review);
    let changed = rules.lists.iter().map(|list| (vec![list.name.clone()], list.changed as f64));
    page.put(&families::LIST_CHANGED, changed);
    let (written, limits) = ages(&rules.freshness.lists);
    page.put(&families::LIST_WRITTEN, written);
    page.put(&families::LIST_MAX_AGE, limits);
}

/// Times and limits of these lists or origin tables, where they have them.
fn ages(ages: &[Age]) -> (Vec<Labelled>, Vec<Labelled>) {
    let read = |of: fn(&Age) -> Option<u64>| {
        let one = |age: &Age| Some((vec![age.name.clone()], of(age)? as f64));
        ages.iter().filter_map(one).collect()
    };
    (read(|age| age.written), read(|age| age.limit))
}

fn queues(page: &mut Page, observed: &Observed) {
    let mut lost = Vec::new();
    let mut malformed = Vec::new();
    let mut used = Vec::new();
    let mut size = Vec::new();
    for queue in &observed.queues {
        let number = queue.number.to_string();
        let (losses, buffer) = queue.read();
        for (cause, value) in [
            // Goes on over restarts, so that none falls between the last scrape and the first.
            ("buffer", losses.lost_buffer_before + losses.lost_buffer),
            ("late_verdict", losses.late_verdict),
            ("orphan", losses.orphan),
        ] {
            lost.push((vec![number.clone(), cause.to_owned()], value as f64));
        }
        malformed.push((vec![number.clone()], losses.malformed as f64));
        if let Some(buffer) = buffer {
            used.push((vec![number.clone()], buffer.used as f64));
            size.push((vec![number], buffer.size as f64));
        }
    }
    page.put(&families::LOST, lost);
    page.put(&families::MALFORMED, malformed);
    page.put(&families::BUFFER_USED, used);
    page.put(&families::BUFFER_SIZE, size);
}

fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}
