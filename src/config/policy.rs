//! What cameras may do besides reaching addresses that no list blocks: tunnels, unlisted destinations, and the
//! policies of some cameras.

use std::fmt;

use ipnet::{IpNet, Ipv6Net};

use super::Mode;
use crate::verdict::Tunnel;

/// What a packet of a tunnel meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelAnswer {
    /// It is dropped.
    Drop,
    /// What it carries is judged.
    Inspect,
    /// It passes, and is counted.
    Accept,
}

impl TunnelAnswer {
    /// The word in the configuration: `drop`, `inspect`, `accept`.
    pub const fn label(self) -> &'static str {
        match self {
            TunnelAnswer::Drop => "drop",
            TunnelAnswer::Inspect => "inspect",
            TunnelAnswer::Accept => "accept",
        }
    }
}

/// The answer to each tunnel; without configuration all are dropped, because a camera has no business in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunnels([TunnelAnswer; Tunnel::ALL.len()]);

impl Default for Tunnels {
    fn default() -> Self {
        Tunnels([TunnelAnswer::Drop; Tunnel::ALL.len()])
    }
}

impl Tunnels {
    /// The answer to this one.
    #[inline]
    pub fn answer(&self, tunnel: Tunnel) -> TunnelAnswer {
        self.0.get(tunnel.index()).copied().unwrap_or(TunnelAnswer::Drop)
    }

    /// Gives this one another answer.
    pub fn set(&mut self, tunnel: Tunnel, answer: TunnelAnswer) {
        if let Some(place) = self.0.get_mut(tunnel.index()) {
            *place = answer;
        }
    }

    /// Every tunnel passes: none needs to be recognised.
    pub fn accept_all(&self) -> bool {
        self.0.iter().all(|answer| *answer == TunnelAnswer::Accept)
    }

    /// Some tunnel is inspected: more of a packet has to be copied.
    pub fn inspect_any(&self) -> bool {
        self.0.contains(&TunnelAnswer::Inspect)
    }
}

/// What a destination meets that no list names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unlisted {
    /// It can be reached.
    #[default]
    Accept,
    /// It cannot: only allow lists open anything.
    Drop,
}

impl Unlisted {
    /// The word in the configuration: `accept`, `drop`.
    pub const fn label(self) -> &'static str {
        match self {
            Unlisted::Accept => "accept",
            Unlisted::Drop => "drop",
        }
    }
}

/// One `[[policy]]`: what is different for some cameras.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// The name, unique.
    pub name: String,
    /// For whom: a packet's source decides, the longest network wins.
    pub cameras: Vec<IpNet>,
    /// The lists that count for them; `None`: all.
    pub lists: Option<Vec<String>>,
    /// Monitor, or as everybody.
    pub mode: Option<Mode>,
    /// What an unlisted destination meets.
    pub unlisted: Unlisted,
    /// What tunnels meet.
    pub tunnels: Tunnels,
}

/// The `[packets]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PacketsConfig {
    /// Packets with the routing header of Mobile IPv6 (type 2) are judged as any other; all other routing headers are
    /// dropped anyway.
    pub accept_mobile_ipv6: bool,
    /// Prefixes behind which a NAT64 of the network's own translates (RFC 6052), besides the well-known one.
    pub nat64: Vec<Ipv6Net>,
}

/// A MAC address.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Mac::parse(&text).ok_or_else(|| format!("`{text}` is not a MAC address"))
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl Mac {
    /// Six bytes in hexadecimal, with colons or hyphens between them.
    pub fn parse(text: &str) -> Option<Mac> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2)?;
            let digits = part.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(part, 16).ok().filter(|_| digits)?;
        }
        parts.next().is_none().then_some(Mac(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_six_bytes_and_nothing_else() {
        let mac = Mac::parse("02:00:5E:10-00-ff").unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:00:ff");
        for wrong in
            ["", "02:00:5e:10:00", "02:00:5e:10:00:ff:01", "2:0:5e:10:0:ff", "02:00:5e:10:00:+f"]
        {
            assert_eq!(Mac::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_tunnel_is_dropped_unless_said_otherwise() {
        let mut tunnels = Tunnels::default();
        assert!(Tunnel::ALL.iter().all(|tunnel| tunnels.answer(*tunnel) == TunnelAnswer::Drop));
        tunnels.set(Tunnel::Gre, TunnelAnswer::Inspect);
        assert_eq!(tunnels.answer(Tunnel::Gre), TunnelAnswer::Inspect);
        assert!(tunnels.inspect_any() && !tunnels.accept_all());
    }
}
