//! What a port is usually for, where a camera may have business there.

use crate::counters::Service;

/// Ports by name; `tcp` and `udp` alike.
const NAMES: [(u16, &str); 24] = [
    (21, "FTP"),
    (22, "SSH"),
    (25, "mail"),
    (53, "DNS"),
    (80, "HTTP"),
    (123, "NTP"),
    (161, "SNMP"),
    (162, "SNMP traps"),
    (322, "RTSP over TLS"),
    (389, "LDAP"),
    (443, "HTTPS or QUIC"),
    (445, "SMB"),
    (465, "mail"),
    (514, "syslog"),
    (554, "RTSP"),
    (587, "mail"),
    (636, "LDAP over TLS"),
    (853, "DNS over TLS"),
    (1935, "RTMP"),
    (2049, "NFS"),
    (3702, "WS-Discovery"),
    (5060, "SIP"),
    (6514, "syslog over TLS"),
    (8554, "RTSP"),
];

/// Protocol, port and what that usually is: `udp 123 (NTP)`, `answers from tcp 554 (RTSP)`.
pub fn service(protocol: u8, service: Service) -> String {
    let name = |port: u16| {
        let found = NAMES.binary_search_by_key(&port, |(port, _)| *port);
        let name = found.ok().and_then(|place| NAMES.get(place));
        name.map_or(String::new(), |(_, name)| format!(" ({name})"))
    };
    let (protocol, has_ports) = match protocol {
        1 => ("icmp".to_owned(), false),
        6 => ("tcp".to_owned(), true),
        17 => ("udp".to_owned(), true),
        58 => ("icmpv6".to_owned(), false),
        132 => ("sctp".to_owned(), true),
        other => (format!("protocol {other}"), false),
    };
    match service {
        Service::None if has_ports => format!("{protocol}, further ports"),
        Service::None => protocol,
        Service::At(port) => format!("{protocol} {port}{}", name(port)),
        Service::Own(port) => format!("answers from {protocol} {port}{}", name(port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_by_their_usual_ports() {
        assert!(NAMES.is_sorted(), "looked up by halves");
        for (protocol, ports, text) in [
            (17, Service::At(123), "udp 123 (NTP)"),
            (6, Service::Own(554), "answers from tcp 554 (RTSP)"),
            (6, Service::At(9000), "tcp 9000"),
            (17, Service::None, "udp, further ports"),
            (1, Service::None, "icmp"),
            (47, Service::None, "protocol 47"),
        ] {
            assert_eq!(service(protocol, ports), text);
        }
    }
}
