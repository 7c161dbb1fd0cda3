//! The cases: each a promise, and the function that tries to break it.

mod audit;
mod boot;
mod cameras;
mod commands;
mod count;
mod documents;
mod failures;
mod guards;
mod hidden;
mod http;
mod lists;
mod log;
mod marks;
mod mode;
mod observe;
mod others;
mod overload;
mod policy;
mod pressure;
mod prometheus;
mod refusals;
mod reload;
mod restart;
mod shapes;
mod storm;
mod strangers;
mod tampered;
mod toward;
mod verdicts;
mod verify;

use crate::Bench;
use crate::lab::Res;

/// One promise.
pub(crate) struct Case {
    /// The promise.
    pub(crate) name: &'static str,
    /// Runs in a user namespace, too, when the caller is root.
    pub(crate) verdict: bool,
    /// Has nothing to do with the backend, or is about both: runs once.
    pub(crate) once: bool,
    pub(crate) run: fn(&Bench<'_>) -> Res,
}

const fn verdict(name: &'static str, run: fn(&Bench<'_>) -> Res) -> Case {
    Case { name, verdict: true, once: false, run }
}

const fn case(name: &'static str, run: fn(&Bench<'_>) -> Res) -> Case {
    Case { name, verdict: false, once: false, run }
}

/// About the stored sockets of the native backend.
const fn native(name: &'static str, run: fn(&Bench<'_>) -> Res) -> Case {
    once(name, run)
}

const fn once(name: &'static str, run: fn(&Bench<'_>) -> Res) -> Case {
    Case { name, verdict: false, once: true, run }
}

/// All cases, in the order in which they run.
pub(crate) const CASES: &[Case] = &[
    verdict("open_gateway_passes_everything", verdicts::open_gateway),
    verdict("blocked_prefix_is_dropped", verdicts::blocked),
    verdict("blocked_origin_as_is_dropped", verdicts::by_origin),
    verdict("exempt_address_inside_a_blocked_prefix_passes", verdicts::exempt),
    verdict("ipv6_is_judged_like_ipv4", verdicts::ipv6),
    verdict("tcp_passes_or_never_connects", verdicts::tcp),
    verdict("several_queues_judge_alike", verdicts::several_queues),
    verdict("all_but_trusted_interfaces_are_cameras", verdicts::trusted_interfaces),
    verdict("camera_networks_alone_are_enough", verdicts::networks_only),
    once(
        "interface_that_is_not_there_is_named_and_networks_are_judged_all_the_same",
        verdicts::interface_that_is_not_there,
    ),
    verdict("monitor_mode_passes_everything_and_counts", verdicts::monitor),
    verdict("why_agrees_with_the_receiver_1000_times", verdicts::why),
    verdict("embedded_addresses_are_looked_up", hidden::embedded_addresses),
    verdict("packets_sent_elsewhere_by_a_header_are_dropped", hidden::redirecting_headers),
    verdict("tunnels_are_dropped_and_what_looks_like_one_passes", hidden::tunnels_are_dropped),
    verdict("inspected_tunnels_are_judged_by_what_they_carry", hidden::tunnels_are_inspected),
    verdict("first_fragment_without_its_ports_is_dropped", hidden::cut_headers),
    verdict("source_of_no_camera_network_is_forged", policy::forged_source),
    verdict("mac_and_address_of_a_camera_go_together", policy::forged_mac),
    verdict("cameras_are_judged_by_their_policies", policy::policies),
    verdict("lists_of_a_policy_are_all_that_counts_for_it", policy::own_lists),
    verdict("rules_without_a_daemon_pass_nothing", failures::no_daemon),
    verdict("stopped_daemon_leaves_the_gateway_closed", failures::stopped),
    verdict("killed_daemon_passes_nothing_until_restarted", failures::killed),
    verdict("packets_waiting_at_a_kill_do_not_pass", failures::killed_with_packets_waiting),
    verdict("packets_waiting_at_a_kill_do_not_pass_an_open_gateway", failures::killed_open),
    verdict("gate_closes_a_bypassed_queue", failures::bypassed_queue),
    verdict("open_by_configuration_passes_without_a_daemon", failures::open),
    verdict("connection_mark_does_not_carry_the_pass", marks::connmark),
    verdict("foreign_exact_mark_rule_still_matches", marks::exact_match),
    verdict("open_leaves_no_mark_behind", marks::no_mark_without_a_gate),
    verdict("foreign_mark_bits_survive", marks::foreign_bits),
    verdict("another_mark_can_be_configured", marks::another_mark),
    case("reload_ends_a_running_stream_and_no_other", reload::running_stream),
    case("reload_ends_a_running_tcp_connection", reload::running_tcp),
    case("refused_reload_keeps_the_old_rule_set", reload::refused),
    case("sighup_reloads", reload::sighup),
    case("watched_folder_reloads_by_itself", reload::watch),
    case("list_that_shrinks_is_refused_until_it_is_accepted", guards::refused),
    once("start_with_bad_lists_goes_on_by_the_last_good_rule_set", guards::last_good),
    once("undo_goes_back_once_and_the_files_come_back_with_a_reload", guards::undo),
    once("entries_that_come_while_reloads_run_are_not_lost", guards::beside_reloads),
    once("own_addresses_are_protected_as_they_come_and_go", guards::own_addresses),
    case("entries_by_command_are_in_force_at_once_and_end_by_themselves", guards::entries),
    case("thousand_reloads_under_traffic_are_all_exact", reload::thousand),
    once("reloads_have_a_low_priority_and_nothing_else_has", storm::low_priority),
    once("thousand_reload_requests_at_once_make_a_few_reloads", storm::thousand_requests),
    once("reload_ends_while_every_processor_is_busy", storm::busy_processors),
    case("second_daemon_is_refused_with_the_reason", refusals::second_daemon),
    case("missing_capability_is_refused_by_name", refusals::missing_capability),
    case("bad_input_is_refused_and_touches_nothing", refusals::bad_input),
    once("reload_that_changes_fixed_keys_is_refused", refusals::fixed_keys),
    case("commands_say_when_no_daemon_runs", refusals::not_running),
    once("state_folder_that_cannot_be_written_stops_nothing", failures::state_not_written),
    once("stalled_packet_thread_ends_the_daemon", failures::stalled),
    once("packet_thread_that_hears_nothing_ends_the_daemon", failures::deaf),
    once("packet_thread_that_ends_takes_the_daemon_along", failures::ended),
    once("service_manager_hears_of_start_life_and_stop", failures::service_manager),
    native("planned_restarts_lose_and_leak_nothing", restart::planned),
    native("killed_daemon_loses_a_batch_at_most_and_counts_it", restart::killed),
    native("queue_socket_hears_only_the_kernel", strangers::refused),
    native("stopped_for_good_nothing_passes", restart::stopped_for_good),
    native("successor_beside_a_living_reader_is_refused", restart::living_reader),
    native("broken_stored_socket_is_replaced", restart::broken),
    native("restart_command_checks_before_it_restarts", restart::command),
    native("snapshot_stays_in_force_while_lists_are_bad", restart::bad_lists),
    native("damaged_snapshot_is_named_and_ignored", restart::damaged),
    native("restart_changes_queues_without_losing_what_waits", restart::changed_queues),
    case("packets_that_find_no_room_are_counted_and_none_passes", pressure::overflow),
    case("overload_is_counted_to_the_packet_and_over_in_a_second", overload::exact),
    native("overload_over_restarts_and_a_kill_is_counted_to_the_packet", overload::restarted),
    case("default_buffer_overflows_before_the_queue", pressure::overflow_by_default),
    case("open_passes_what_finds_no_room_and_counts_it", pressure::overflow_open),
    case("overflow_follows_a_change_of_the_mode", pressure::overflow_after_a_change),
    case("packets_lost_to_a_removed_base_chain_are_counted", pressure::base_chain_removed),
    case("ipv4_options_do_not_hide_a_destination", shapes::options),
    case("ipv6_extension_headers_do_not_hide_a_destination", shapes::extension_headers),
    case("what_cannot_be_read_is_dropped_and_counted_by_cause", shapes::unparsable),
    case("every_fragment_is_judged", shapes::fragments),
    case("aggregates_are_held_whole_and_counted_by_their_bytes", shapes::aggregates),
    once("mark_forged_ahead_of_hold_does_not_pass", marks::forged_before_hold),
    once("hold_is_last_and_gate_first_among_the_rules_of_others", others::places),
    once("gate_counts_what_it_drops", others::gate_counts),
    once("rules_that_others_touch_are_put_back", others::put_back),
    once("rules_flushed_twice_in_a_row_are_put_back_twice", others::put_back_twice),
    once("log_that_cannot_be_written_stops_nothing", log::full),
    once("log_that_nobody_reads_stops_nothing", log::unread),
    once("journal_gets_entries_with_fields", log::journal),
    once("rules_are_put_back_amid_flushes_of_others", others::put_back_amid_flushes),
    once("rules_that_are_switched_off_are_noticed_and_put_back", tampered::switched_off),
    once("rules_that_nothing_enters_are_not_called_present", tampered::unhooked),
    once("rules_that_cannot_be_read_are_an_alarm_that_says_what_helps", tampered::unreadable),
    once("rule_that_lets_cameras_past_hold_is_an_alarm", tampered::passed_by),
    once("gate_that_somebody_rebuilt_is_made_anew", tampered::rebuilt),
    once("rules_removed_on_purpose_stay_removed", others::removed_on_purpose),
    once("gate_stands_before_the_daemon_runs", boot::gate_first),
    once("gate_stands_when_the_configuration_is_broken", boot::broken_configuration),
    once("open_configuration_gets_no_gate", boot::open),
    once("gate_is_put_back_through_the_daemon", boot::through_the_daemon),
    once("rules_check_changes_nothing_and_verify_tells_what_stands", verify::check_and_verify),
    once("rules_left_to_the_admin_are_looked_at_only", verify::left_to_the_admin),
    once("port_of_a_bridge_is_refused_as_a_camera_interface", verify::bridge_port),
    once("camera_interface_that_gets_another_name_is_told", verify::renamed),
    once("tool_that_hangs_is_killed_and_holds_up_nothing", verify::hung_tool),
    once(
        "tunnels_from_cameras_to_the_gateway_are_dropped_and_the_offices_are_not",
        toward::tunnels,
    ),
    once("tunnels_to_the_gateway_pass_while_the_mode_is_monitor", toward::tunnels_and_the_mode),
    once("what_cameras_send_to_the_gateway_is_held_if_configured", toward::held),
    once(
        "held_input_is_open_with_the_rest_and_spares_the_gateway_itself",
        toward::held_open_and_trusting,
    ),
    once("link_local_multicast_and_broadcast_are_not_forwarded", toward::local_stays_local),
    once("backend_is_switched_by_a_restart_only", others::backend_switched),
    once("order_that_was_broken_off_is_not_carried_out", others::abandoned_order),
    once("nonsense_on_the_control_socket_changes_nothing", others::control_nonsense),
    once("slow_http_clients_hold_up_nobody", http::slow_clients),
    once("http_flood_costs_little_and_loses_nothing", http::flood),
    once("commands_in_the_documents_run", documents::commands),
    once("native_commands_open_the_gate", documents::open_the_gate),
    once("change_commands_are_recorded_with_who_asked", commands::who_asked),
    once("setup_writes_what_it_shows_and_keeps_what_was_there", commands::setup_writes),
    once("doctor_finds_nothing_on_a_good_gateway_and_names_what_is_wrong", commands::doctor_finds),
    once(
        "doctor_names_each_way_around_the_queue_and_a_right_gateway_passes",
        audit::each_way_is_named,
    ),
    once("doctor_names_hold_and_gate_that_somebody_altered", audit::altered_rules_are_named),
    once("doctor_names_a_bridge_that_forwards_past_hold", audit::bridges_are_named),
    once("comparison_says_what_the_reload_then_does", lists::comparison),
    once("lists_tell_the_hits_of_each_list", lists::hits),
    once("list_in_force_without_a_line_says_so_everywhere", lists::rejected),
    once("list_that_breaks_its_reader_is_refused_and_the_daemon_lives", lists::broken_reader),
    once("withdrawn_prefix_stays_blocked_over_a_restart", lists::withdrawn),
    once("why_splits_a_prefix_as_its_packets_are_judged", lists::stretches),
    once("what_was_learned_passes_under_the_policy_and_nothing_else_does", cameras::learn),
    once("forged_senders_are_marked_and_never_learned", cameras::forged),
    once("record_of_cameras_outlives_the_daemon_and_begins_anew_when_damaged", cameras::kept),
    case("mode_is_changed_while_packets_flow", mode::switch),
    once("mode_that_nobody_confirms_goes_back", mode::unconfirmed),
    once("commanded_mode_outlives_the_daemon_and_yields_to_the_configuration", mode::kept),
    case("pause_ends_by_itself_and_changes_verdicts_only", mode::pause),
    once("order_that_nobody_waits_for_any_more_is_not_carried_out", mode::late_order),
    once("mode_change_that_fails_half_way_is_taken_back", mode::failing_step),
    once("mode_of_an_open_gateway_changes_verdicts_only", mode::open),
    case("monitor_mode_accounts_for_every_packet", observe::monitor_accounting),
    case("monitor_list_never_weakens_a_block", observe::monitor_list),
    case("counters_equal_what_the_receivers_saw", observe::accounting),
    once("prometheus_fires_each_alert_when_its_cause_is_made", prometheus::alerts),
    case("promtool_accepts_a_live_scrape", observe::promtool),
    case("status_and_health_answer", observe::status),
];
