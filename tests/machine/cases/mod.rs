//! The promises that only a whole machine can show, in groups; each group has a machine of its own.

mod boot;
mod enforce;
mod kernel;
mod others;
mod package;
mod restart;

use crate::gateway::Gateway;
use crate::lab::Res;

/// A promise; what it returns is counts for whoever reads the report.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Gateway<'_>) -> Res<String>,
}

pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// Whether its machine is up when the first case begins.
    pub(crate) powered: bool,
    pub(crate) cases: &'static [Case],
}

pub(crate) const GROUPS: &[Group] = &[
    Group {
        name: "enforce",
        powered: true,
        cases: &[
            Case {
                name: "everything_passes_before_kordon_is_started",
                run: enforce::everything_passes,
            },
            Case { name: "nftables_own_queue_carries_the_verdicts", run: enforce::native_queue },
            Case {
                name: "every_kind_of_frame_from_a_camera_is_judged_or_dropped",
                run: enforce::tags,
            },
            Case {
                name: "strangers_are_judged_where_only_trusted_interfaces_are_not",
                run: enforce::strangers,
            },
            Case { name: "reload_is_put_in_force_or_refused", run: enforce::reload },
            Case {
                name: "flowtable_on_a_camera_interface_is_found_by_doctor",
                run: enforce::flowtable,
            },
            Case { name: "altered_rules_of_nftables_are_named_by_doctor", run: enforce::altered },
            Case {
                name: "interface_of_a_bridge_or_vrf_is_refused_at_start",
                run: enforce::belongs_to_another,
            },
        ],
    },
    Group {
        name: "boot",
        powered: false,
        cases: &[
            Case { name: "cameras_get_out_at_boot_without_kordon", run: boot::without_kordon },
            Case { name: "from_power_on_nothing_passes_unjudged", run: boot::with_kordon },
            Case { name: "reboot_in_order_costs_a_moment", run: boot::through_a_reboot },
            Case { name: "gate_alone_is_closed_from_power_on", run: boot::with_the_gate_alone },
            Case {
                name: "broken_configuration_at_boot_leaves_the_gate_closed",
                run: boot::with_a_broken_configuration,
            },
        ],
    },
    Group {
        name: "restart",
        powered: true,
        cases: &[
            Case { name: "planned_restart_loses_and_leaks_nothing", run: restart::planned },
            Case { name: "kill_loses_a_batch_at_most_and_leaks_nothing", run: restart::killed },
            Case { name: "hung_daemon_is_replaced_and_leaks_nothing", run: restart::hung },
            Case { name: "stopped_service_passes_nothing", run: restart::stopped },
            Case { name: "package_upgrade_loses_and_leaks_nothing", run: restart::upgraded },
        ],
    },
    Group {
        name: "others",
        powered: true,
        cases: &[
            Case { name: "flushed_ruleset_is_put_back_within_a_second", run: others::flushed },
            Case { name: "nftables_service_costs_a_moment", run: others::nftables_service },
            Case {
                name: "nftables_service_and_the_gate_alone",
                run: others::nftables_service_and_the_gate,
            },
            Case { name: "ufw_comes_and_goes_beside_kordon", run: others::ufw },
            Case { name: "firewalld_comes_and_goes_beside_kordon", run: others::firewalld },
        ],
    },
    Group {
        name: "kernel",
        powered: true,
        cases: &[Case { name: "kernel_cases_pass_with_nftables_own_queue", run: kernel::subset }],
    },
    Group {
        name: "package",
        powered: true,
        cases: &[
            Case {
                name: "refused_upgrade_leaves_the_old_daemon_running",
                run: package::refused_upgrade,
            },
            Case { name: "removed_package_leaves_the_gateway_closed", run: package::removed },
            Case { name: "purge_leaves_the_lists_of_the_admin", run: package::purged },
        ],
    },
];
