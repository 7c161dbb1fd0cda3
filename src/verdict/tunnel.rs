//! The tunnels that kordon knows by name.

use std::fmt;

/// A way to carry packets within packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tunnel {
    /// IPv4 in IP, protocol 4 (RFC 2003, RFC 2473).
    Ipip,
    /// IPv6 in IP, protocol 41: 6in4, 6to4, ISATAP (RFC 4213, RFC 2473).
    SixInFour,
    /// GRE, protocol 47, with PPTP's version 1 (RFC 2784, RFC 2890, RFC 2637).
    Gre,
    /// ESP, protocol 50 or in UDP (RFC 4303, RFC 3948).
    Esp,
    /// AH, protocol 51 or an IPv6 extension header (RFC 4302).
    Ah,
    /// L2TP, protocol 115 or UDP (RFC 2661, RFC 3931).
    L2tp,
    /// EtherIP, protocol 97 (RFC 3378).
    EtherIp,
    /// IPComp, protocol 108 (RFC 3173).
    IpComp,
    /// MPLS in IP, protocol 137, or in UDP (RFC 4023, RFC 7510).
    Mpls,
    /// VXLAN, UDP (RFC 7348).
    Vxlan,
    /// Geneve, UDP (RFC 8926).
    Geneve,
    /// GTP-U, UDP (3GPP TS 29.281).
    GtpU,
    /// Teredo: IPv6 in UDP (RFC 4380).
    Teredo,
    /// WireGuard, UDP.
    WireGuard,
    /// OpenVPN, UDP or TCP.
    OpenVpn,
    /// IKE, UDP (RFC 7296, RFC 2409).
    Ike,
}

impl Tunnel {
    /// All of them, in the order of [`Tunnel::index`].
    pub const ALL: [Tunnel; 16] = [
        Tunnel::Ipip,
        Tunnel::SixInFour,
        Tunnel::Gre,
        Tunnel::Esp,
        Tunnel::Ah,
        Tunnel::L2tp,
        Tunnel::EtherIp,
        Tunnel::IpComp,
        Tunnel::Mpls,
        Tunnel::Vxlan,
        Tunnel::Geneve,
        Tunnel::GtpU,
        Tunnel::Teredo,
        Tunnel::WireGuard,
        Tunnel::OpenVpn,
        Tunnel::Ike,
    ];

    /// A place in an array of [`Tunnel::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word in the configuration, in metrics and messages.
    pub const fn label(self) -> &'static str {
        match self {
            Tunnel::Ipip => "ipip",
            Tunnel::SixInFour => "6in4",
            Tunnel::Gre => "gre",
            Tunnel::Esp => "esp",
            Tunnel::Ah => "ah",
            Tunnel::L2tp => "l2tp",
            Tunnel::EtherIp => "etherip",
            Tunnel::IpComp => "ipcomp",
            Tunnel::Mpls => "mpls",
            Tunnel::Vxlan => "vxlan",
            Tunnel::Geneve => "geneve",
            Tunnel::GtpU => "gtp_u",
            Tunnel::Teredo => "teredo",
            Tunnel::WireGuard => "wireguard",
            Tunnel::OpenVpn => "openvpn",
            Tunnel::Ike => "ike",
        }
    }

    /// What it carries can be read, so that `inspect` can judge it; the others encrypt or compress.
    pub const fn can_be_inspected(self) -> bool {
        match self {
            Tunnel::Ipip
            | Tunnel::SixInFour
            | Tunnel::Gre
            | Tunnel::Ah
            | Tunnel::L2tp
            | Tunnel::EtherIp
            | Tunnel::Mpls
            | Tunnel::Vxlan
            | Tunnel::Geneve
            | Tunnel::GtpU
            | Tunnel::Teredo => true,
            Tunnel::Esp | Tunnel::IpComp | Tunnel::WireGuard | Tunnel::OpenVpn | Tunnel::Ike => {
                false
            }
        }
    }
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
