//! Why the kernel refuses a queue: an error number and what can be read around it, to a failure.
//!
//! The judgement is a pure function; only [`Surroundings::look`] reads /proc. `EPERM` has three meanings:
//! the capability is missing, another socket owns the queue (net/netfilter/nfnetlink_queue.c,
//! `nfqnl_recv_config`), or the capability does not count in this network namespace.

use std::fs;

use nix::errno::Errno;

use crate::failure::{ExitStatus, Failure};

/// `CAP_NET_ADMIN` (include/uapi/linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;

/// Asks for a queue, and once more where a permission was missing: the owner may have gone after the kernel
/// refused and before it was looked up, which then reads as a capability that does not count.
pub(super) fn settled<Q>(ask: impl Fn() -> Result<Q, Failure>) -> Result<Q, Failure> {
    ask().or_else(|failure| match failure.status {
        ExitStatus::NoPermission => ask(),
        _ => Err(failure),
    })
}

/// What was asked when the kernel refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Opening the netlink socket.
    Socket,
    /// Setting the socket up: address, options.
    SetUp,
    /// Binding and configuring the queue.
    Configure,
    /// A verdict on a held packet.
    Verdict,
    /// Waiting for held packets.
    Receive,
}

/// What is known of the process and of the queue's owner when a refusal is explained.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// This thread has CAP_NET_ADMIN; `None` if that cannot be read.
    pub(super) net_admin: Option<bool>,
    /// Who owns the queue.
    pub(super) owner: Owner,
}

/// The owner of a queue number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Owner {
    /// The kernel's table cannot be read (root only).
    #[default]
    Unknown,
    /// Nobody.
    Nobody,
    /// The socket with this netlink port id, which is often its process's id; the name of that process,
    /// if there is one.
    Port(u32, Option<String>),
}

impl Surroundings {
    /// Reads /proc for the current thread and its network namespace.
    pub(super) fn look(number: u16) -> Self {
        let net_admin = fs::read_to_string("/proc/thread-self/status")
            .ok()
            .and_then(|status| capability(&status, CAP_NET_ADMIN));
        let owner = match fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_queue") {
            Ok(table) => match owner_port(&table, number) {
                Some(port) => Owner::Port(port, process_name(port)),
                None => Owner::Nobody,
            },
            Err(_) => Owner::Unknown,
        };
        Surroundings { net_admin, owner }
    }
}

/// The netlink port id that owns queue `number`, from the kernel's table
/// (net/netfilter/nfnetlink_queue.c, `seq_show`: queue number, port id, ...).
pub(super) fn owner_port(table: &str, number: u16) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let queue: u16 = fields.next()?.parse().ok()?;
        let port: u32 = fields.next()?.parse().ok()?;
        (queue == number).then_some(port)
    })
}

/// The port id that owns queue `number` in this thread's network namespace, where that can be read.
pub(super) fn current_owner(number: u16) -> Option<u32> {
    let table = fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_queue").ok()?;
    owner_port(&table, number)
}

/// Whether `capability` is in the effective set of a /proc status file.
fn capability(status: &str, capability: u32) -> Option<bool> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let set = u64::from_str_radix(set.trim(), 16).ok()?;
    Some(set.checked_shr(capability)? & 1 == 1)
}

/// The name of the process whose id equals this port id. Port ids that the kernel made up for a second
/// socket of a process are "negative" and name none (net/netlink/af_netlink.c, `netlink_autobind`).
fn process_name(port: u32) -> Option<String> {
    i32::try_from(port).ok().filter(|pid| *pid > 0)?;
    let name = fs::read_to_string(format!("/proc/{port}/comm")).ok()?;
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    (!name.is_empty()).then_some(name)
}

/// The failure that follows from `errno` at `step`.
pub(super) fn refused(number: u16, step: Step, errno: Errno, around: &Surroundings) -> Failure {
    match step {
        Step::Socket => match errno {
            Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT => Failure::new(
                ExitStatus::Unavailable,
                format!(
                    "queue {number}: no netfilter netlink socket: the kernel lacks nfnetlink (modules \
                     nfnetlink and nfnetlink_queue), or a sandbox forbids AF_NETLINK"
                ),
            ),
            Errno::EPERM | Errno::EACCES => Failure::new(
                ExitStatus::NoPermission,
                format!("queue {number}: not allowed to open a netfilter netlink socket"),
            ),
            other => failed(number, "cannot open a netfilter netlink socket", other),
        },
        Step::SetUp => failed(number, "cannot set up the netlink socket", errno),
        Step::Configure => match errno {
            Errno::EPERM => owned_or_forbidden(number, around),
            // Lost a race for the number, or the kernel is about to unload the module.
            Errno::EBUSY | Errno::EAGAIN => in_use(number, &around.owner),
            // net/netfilter/nfnetlink.c, `nfnetlink_rcv_msg`: EINVAL when no subsystem answers for
            // queues, also after it tried to load the module. ECONNREFUSED: nobody listens at all.
            Errno::EINVAL
            | Errno::EOPNOTSUPP
            | Errno::ENOENT
            | Errno::ENODEV
            | Errno::EPROTONOSUPPORT
            | Errno::ECONNREFUSED => Failure::new(
                ExitStatus::Unavailable,
                format!(
                    "queue {number}: the kernel has no NFQUEUE (module nfnetlink_queue): {}",
                    errno.desc().to_lowercase()
                ),
            ),
            other => failed(number, "cannot bind the queue", other),
        },
        Step::Verdict => match errno {
            Errno::EPERM => Failure::new(
                ExitStatus::NoPermission,
                format!(
                    "queue {number}: the kernel refuses verdicts: missing capability CAP_NET_ADMIN"
                ),
            ),
            Errno::ENODEV => Failure::new(
                ExitStatus::Failed,
                format!("queue {number}: the kernel no longer knows this queue"),
            ),
            other => failed(number, "cannot send verdicts", other),
        },
        Step::Receive => failed(number, "cannot receive held packets", errno),
    }
}

/// `EPERM` while binding.
fn owned_or_forbidden(number: u16, around: &Surroundings) -> Failure {
    match (around.net_admin, &around.owner) {
        (Some(false), _) => Failure::new(
            ExitStatus::NoPermission,
            format!("queue {number}: missing capability CAP_NET_ADMIN"),
        ),
        (_, Owner::Nobody) => Failure::new(
            ExitStatus::NoPermission,
            format!(
                "queue {number}: CAP_NET_ADMIN does not count in this network namespace (it belongs to \
                 another user namespace)"
            ),
        ),
        (Some(true) | None, owner @ (Owner::Unknown | Owner::Port(_, _))) => in_use(number, owner),
    }
}

/// The queue belongs to another socket.
fn in_use(number: u16, owner: &Owner) -> Failure {
    let who = match owner {
        Owner::Unknown | Owner::Nobody => String::new(),
        Owner::Port(port, None) => format!(" (netlink port id {port})"),
        Owner::Port(port, Some(name)) => {
            format!(" (netlink port id {port}; process {port} is {name})")
        }
    };
    Failure::new(ExitStatus::TryAgain, format!("queue {number} is in use by another process{who}"))
}

/// A refusal without a status of its own.
fn failed(number: u16, what: &str, errno: Errno) -> Failure {
    let cause = errno.desc().to_lowercase();
    Failure::new(ExitStatus::Failed, format!("queue {number}: {what}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configure(errno: Errno, net_admin: Option<bool>, owner: Owner) -> (ExitStatus, String) {
        let failure = refused(40, Step::Configure, errno, &Surroundings { net_admin, owner });
        (failure.status, failure.message)
    }

    #[test]
    fn eperm_without_the_capability_is_a_missing_permission() {
        for owner in [Owner::Unknown, Owner::Nobody, Owner::Port(7, None)] {
            let (status, message) = configure(Errno::EPERM, Some(false), owner);
            assert_eq!(status, ExitStatus::NoPermission);
            assert_eq!(message, "queue 40: missing capability CAP_NET_ADMIN");
        }
    }

    #[test]
    fn eperm_with_the_capability_names_the_owner() {
        let (status, message) =
            configure(Errno::EPERM, Some(true), Owner::Port(4_294_963_200, None));
        assert_eq!(status, ExitStatus::TryAgain);
        assert_eq!(message, "queue 40 is in use by another process (netlink port id 4294963200)");
        let owner = Owner::Port(812, Some("suricata".to_owned()));
        let (status, message) = configure(Errno::EPERM, Some(true), owner);
        assert_eq!(status, ExitStatus::TryAgain);
        assert!(message.ends_with("(netlink port id 812; process 812 is suricata)"), "{message}");
        let (status, message) = configure(Errno::EPERM, None, Owner::Unknown);
        assert_eq!(status, ExitStatus::TryAgain);
        assert_eq!(message, "queue 40 is in use by another process");
    }

    #[test]
    fn eperm_with_the_capability_and_no_owner_is_the_wrong_namespace() {
        let (status, message) = configure(Errno::EPERM, Some(true), Owner::Nobody);
        assert_eq!(status, ExitStatus::NoPermission);
        assert!(message.contains("network namespace"), "{message}");
    }

    #[test]
    fn missing_permission_is_asked_about_twice_and_nothing_else_is() {
        let failed = |status| Failure::new(status, "queue 40".to_owned());
        for (status, asked) in [(ExitStatus::NoPermission, 2), (ExitStatus::TryAgain, 1)] {
            let count = std::cell::Cell::new(0);
            let refused = settled(|| -> Result<(), Failure> {
                count.set(count.get() + 1);
                Err(failed(status))
            });
            assert_eq!((refused.unwrap_err().status, count.get()), (status, asked));
        }
        let count = std::cell::Cell::new(0);
        let gone_by_then = settled(|| match count.replace(count.get() + 1) {
            0 => Err(failed(ExitStatus::NoPermission)),
            _ => Ok(()),
        });
        assert!(gone_by_then.is_ok());
    }

    #[test]
    fn kernel_without_nfqueue_is_unavailable_and_names_the_module() {
        let nothing = Surroundings::default();
        for (step, errno) in [
            (Step::Socket, Errno::EPROTONOSUPPORT),
            (Step::Configure, Errno::EINVAL),
            (Step::Configure, Errno::EOPNOTSUPP),
            (Step::Configure, Errno::ENOENT),
            (Step::Configure, Errno::ECONNREFUSED),
        ] {
            let failure = refused(40, step, errno, &nothing);
            assert_eq!(failure.status, ExitStatus::Unavailable);
            assert!(failure.message.contains("nfnetlink_queue"), "{failure}");
        }
    }

    #[test]
    fn eperm_on_a_verdict_names_the_capability() {
        let failure = refused(40, Step::Verdict, Errno::EPERM, &Surroundings::default());
        assert_eq!(failure.status, ExitStatus::NoPermission);
        assert!(failure.message.contains("CAP_NET_ADMIN"), "{failure}");
    }

    #[test]
    fn other_errors_keep_their_text() {
        let (status, message) = configure(Errno::ENOMEM, Some(true), Owner::Unknown);
        assert_eq!(status, ExitStatus::Failed);
        assert_eq!(message, "queue 40: cannot bind the queue: out of memory");
    }

    #[test]
    fn owner_is_read_from_the_kernels_table() {
        let table = "    7   1200     0 2   128     0     0        0  1\n   \
                     40 4294963200   12 2 65531     0     0    99012  1\nnonsense\n";
        assert_eq!(owner_port(table, 40), Some(4_294_963_200));
        assert_eq!(owner_port(table, 7), Some(1200));
        assert_eq!(owner_port(table, 4), None);
        assert_eq!(owner_port("", 40), None);
    }

    #[test]
    fn capability_is_read_from_the_effective_set() {
        let status = |set: &str| format!("Name:\tkordon\nCapPrm:\tff\nCapEff:\t{set}\n");
        assert_eq!(capability(&status("000001ffffffffff"), CAP_NET_ADMIN), Some(true));
        assert_eq!(capability(&status("0000000000001000"), CAP_NET_ADMIN), Some(true));
        assert_eq!(capability(&status("000001ffffffefff"), CAP_NET_ADMIN), Some(false));
        assert_eq!(capability(&status("0"), CAP_NET_ADMIN), Some(false));
        assert_eq!(capability(&status("junk"), CAP_NET_ADMIN), None);
        assert_eq!(capability("", CAP_NET_ADMIN), None);
    }
}
