//! Socket options that the `nix` crate has no name for.

use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// `NETLINK_NO_ENOBUFS`: a full buffer sets no error on the socket; gaps in packet ids tell instead.
    NoEnobufs,
    SetOnly,
    libc::SOL_NETLINK,
    libc::NETLINK_NO_ENOBUFS,
    bool
);
sockopt_impl!(
    /// `SO_MEMINFO`: the socket's memory counters (include/uapi/linux/sock_diag.h): in use 0, size 1, drops 8.
    MemInfo,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    [u32; 9]
);
sockopt_impl!(
    /// `SO_DOMAIN`: the socket's address family.
    Domain,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_DOMAIN,
    libc::c_int
);
sockopt_impl!(
    /// `SO_PROTOCOL`: the socket's protocol number.
    Protocol,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_PROTOCOL,
    libc::c_int
);
