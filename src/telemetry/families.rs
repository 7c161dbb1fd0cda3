//! Every metric that kordon exports, declared once: name, kind, labels, help.
//!
//! Names follow Prometheus practice: base units, `_total` for counters, timestamps instead of ages. Label
//! values come from the configuration or from enums, never from packets.

/// A counter or a gauge; the one histogram is declared beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Declared {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! declare {
    ($($ident:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $ident: Declared =
                Declared { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*
        /// All of them, in the order in which they are exported.
        pub static ALL: &[&Declared] = &[$(&$ident),*];
    };
}

declare! {
    BUILD_INFO: Gauge "kordon_build_info" ["version", "revision"]
        "Always 1; the labels say which build runs.";
    ENFORCING: Gauge "kordon_enforcing" []
        "1 if blocked packets are dropped, 0 in monitor mode and during a pause.";
    PAUSED_UNTIL: Gauge "kordon_paused_until_timestamp_seconds" []
        "When the present pause ends and blocked packets are dropped again; 0 if there is none.";
    GENERATION: Gauge "kordon_ruleset_generation" []
        "Number of the rule set in force: 1 at start, one more with each reload, undo, entry by command that comes or ends, and change of the gateway's own addresses.";
    PACKETS: Counter "kordon_packets_total" ["family"]
        "Packets judged, as the kernel held them (an aggregate is one).";
    BYTES: Counter "kordon_bytes_total" ["family"]
        "Bytes of the packets judged, before the copy was cut.";
    ACCEPTED: Counter "kordon_packets_accepted_total" ["family"]
        "Packets answered with accept.";
    BYTES_ACCEPTED: Counter "kordon_bytes_accepted_total" ["family"]
        "Bytes of the packets answered with accept.";
    DROPPED: Counter "kordon_packets_dropped_total" ["list", "reason"]
        "Packets answered with drop; list is empty where none decided.";
    BYTES_DROPPED: Counter "kordon_bytes_dropped_total" ["list", "reason"]
        "Bytes of the packets answered with drop.";
    WOULD_DROP: Counter "kordon_packets_would_drop_total" ["list", "reason"]
        "Packets that passed only because of monitor mode or because their list only monitors.";
    BYTES_WOULD_DROP: Counter "kordon_bytes_would_drop_total" ["list", "reason"]
        "Bytes of the packets that would have been dropped.";
    EXEMPTED: Counter "kordon_packets_exempted_total" ["list"]
        "Packets that passed because an allow list names their destination.";
    TUNNELS: Counter "kordon_tunnel_packets_total" ["tunnel", "answer"]
        "Packets recognised as part of a tunnel; answer is dropped or passed. A tunnel to a blocked destination counts as blocked.";
    UNPARSABLE: Counter "kordon_packets_unparsable_total" ["cause"]
        "Packets whose header could not be judged.";
    LOST: Counter "kordon_queue_lost_packets_total" ["queue", "cause"]
        "Packets the kernel gave up: buffer (no room in the socket; goes on over restarts that keep the socket), late_verdict (gone before the answer came; of packets answered together, only where all of them were), orphan (read by a daemon that was killed before it answered).";
    BUFFER_USED: Gauge "kordon_queue_buffer_used_bytes" ["queue"]
        "Bytes in use in the queue socket's receive buffer, as the kernel charges them. Missing where the nfq backend cannot read it.";
    BUFFER_SIZE: Gauge "kordon_queue_buffer_size_bytes" ["queue"]
        "Size of the queue socket's receive buffer, as the kernel granted it. Missing where the nfq backend cannot read it.";
    MALFORMED: Counter "kordon_queue_malformed_messages_total" ["queue"]
        "Queue messages that could not be read.";
    HELD: Counter "kordon_hold_packets_total" []
        "Packets that hold handed to the queues, of both families and on both hooks, as the kernel counts them, at most 5 s old. The kernel counts from 0 where rules are put back; this goes on. Only where kordon manages the rules.";
    GATE_DROPPED: Counter "kordon_gate_dropped_packets_total" ["family"]
        "Packets that reached the gate without kordon's mark, as the kernel counts them, at most 5 s old. Only where kordon manages the rules.";
    TUNNELS_DROPPED: Counter "kordon_gateway_tunnel_packets_dropped_total" ["family"]
        "Packets of cameras for the gateway itself that wrap others (rules.drop_tunnels_to_gateway), dropped by the rules without a queue, as the kernel counts them, at most 5 s old. Only where kordon manages the rules.";
    RULES_PRESENT: Gauge "kordon_rules_present" []
        "1 if hold and gate stand in the kernel as planned, when last asked (at once after a change, 250 ms later where the kernel does not say that there was one). Only where kordon manages the rules.";
    RULES_REARMED: Counter "kordon_rules_rearmed_total" []
        "How often the rules were not as planned and were put back.";
    DURATION: Histogram "kordon_decision_duration_seconds" []
        "Time of one decision: the mean of a batch, one sample per batch.";
    PREFIXES: Gauge "kordon_prefixes" ["family"]
        "Distinct prefixes that the lists in force name, entries by command among them; what is only protected is left out.";
    LIST_ENTRIES: Gauge "kordon_list_entries" ["list"]
        "Prefixes that a list contributes, after AS numbers were resolved.";
    LIST_KEPT: Gauge "kordon_list_kept_prefixes" ["list"]
        "Of the prefixes of a list of AS numbers or countries those that no origin table gives any more (hold_down).";
    LIST_REJECTED: Gauge "kordon_list_rejected_lines" ["list"]
        "Lines of a list that are wrong and were left out (max_rejected).";
    LIST_REVIEW: Gauge "kordon_list_review_timestamp_seconds" ["list"]
        "The beginning of the day on which somebody shall look at a list again; missing where the configuration sets no review_by.";
    LIST_CHANGED: Gauge "kordon_list_last_change_timestamp_seconds" ["list"]
        "When a list's content last changed, as far as this process and those that it took over from know.";
    LIST_WRITTEN: Gauge "kordon_list_file_timestamp_seconds" ["list"]
        "When a list's file was last written, as far as it has been read in.";
    LIST_MAX_AGE: Gauge "kordon_list_max_age_seconds" ["list"]
        "The age of its file at which a list is stale; missing where the configuration sets no max_age.";
    ORIGIN_DATE: Gauge "kordon_origin_data_timestamp_seconds" ["source"]
        "The date in an origin table's data; where it has none, when its file was last written.";
    ORIGIN_MAX_AGE: Gauge "kordon_origin_max_age_seconds" ["source"]
        "The age of its data at which an origin table is stale; missing where max_age is \"never\".";
    RELOADS: Counter "kordon_reloads_total" []
        "Reloads that were put in force.";
    RELOADS_REJECTED: Counter "kordon_reloads_rejected_total" []
        "Reloads that were refused; the old rule set stayed in force.";
    RELOAD_SUCCESSFUL: Gauge "kordon_reload_last_successful" []
        "0 if the last reload was refused, otherwise 1.";
    RELOAD_DURATION: Gauge "kordon_reload_duration_seconds" []
        "How long the last load, reload or undo took, put in force or refused.";
    RELOAD_SUCCESS: Gauge "kordon_reload_last_success_timestamp_seconds" []
        "When the lists in force were read.";
    SUPPRESSED: Counter "kordon_events_suppressed_total" []
        "Packets to listed destinations that were counted but not logged, for want of room.";
    LOG_LOST: Counter "kordon_log_lines_lost_total" []
        "Log lines that could not be written in time: whoever reads the log is too slow, or its disk is full.";
    CAMERA_PACKETS: Counter "kordon_camera_packets_total" ["camera"]
        "Packets judged, by declared camera; the others are _other.";
    CAMERA_DROPPED: Counter "kordon_camera_packets_dropped_total" ["camera"]
        "Packets dropped, by declared camera; the others are _other.";
    CAMERA_WOULD_DROP: Counter "kordon_camera_packets_would_drop_total" ["camera"]
        "Packets that would have been dropped, by declared camera; the others are _other.";
    CAMERAS_SEEN: Gauge "kordon_cameras_seen" ["declared"]
        "Source addresses that were seen, of declared cameras (yes) and of others (no). Those of which only forged packets came do not count; those that are silent for 90 days are forgotten.";
}
