//! Which keys a reload may not change.

use super::Config;

/// The keys that differ between a running configuration and a new one and that only a restart can change;
/// empty when a reload may go on.
///
/// Lists and origin tables are free to change; cameras, queues, rules, mode, addresses and the watch are
/// not, because kernel rules and threads were laid out by them. What only follows from another key (the
/// buffer's size from the number of queues) is not named beside it.
pub fn needs_restart(running: &Config, new: &Config) -> Vec<&'static str> {
    // A machine may get or lose cores while the daemon runs; nobody changed a key then.
    let left_out = running.queue.count_follows_machine && new.queue.count_follows_machine;
    let equal_count = running.queue.count == new.queue.count;
    let same_count = equal_count || left_out;
    let same_length = running.queue.max_length == new.queue.max_length;
    let keys: [(&'static str, bool); 17] = [
        ("mode", running.mode == new.mode),
        ("on_failure", running.on_failure == new.on_failure),
        ("cameras.interfaces", running.cameras.interfaces == new.cameras.interfaces),
        ("cameras.networks", running.cameras.networks == new.cameras.networks),
        (
            "cameras.trusted_interfaces",
            running.cameras.trusted_interfaces == new.cameras.trusted_interfaces,
        ),
        ("camera", running.cameras.named == new.cameras.named),
        ("queue.first", running.queue.first == new.queue.first),
        ("queue.count", same_count),
        ("queue.backend", running.queue.backend == new.queue.backend),
        ("queue.copy_range", running.queue.copy_range == new.queue.copy_range),
        ("queue.max_held_bytes", same_length || !equal_count),
        (
            "queue.buffer_bytes",
            running.queue.buffer_bytes == new.queue.buffer_bytes || !same_length,
        ),
        ("rules", running.rules == new.rules),
        ("metrics.listen", running.metrics_listen == new.metrics_listen),
        ("control.socket", running.control_socket == new.control_socket),
        ("state.folder", running.state_folder == new.state_folder),
        ("reload", running.watch == new.watch && running.watch_debounce == new.watch_debounce),
    ];
    keys.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}
