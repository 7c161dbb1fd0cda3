//! What no list can block: the gateway's own addresses and the declared recorders.
//!
//! They are the entries of an allow list that has no file, so that precedence does the rest and `why` names them.
//! The kernel is asked when a rule set is made.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::Config;
use crate::failure::{ExitStatus, Failure};

/// An address, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Protected {
    pub(super) prefix: IpNet,
    pub(super) what: String,
}

/// The recorders of this configuration, then the gateway's own addresses.
///
/// # Errors
/// 69 where the kernel does not say.
pub(super) fn protected(config: &Config) -> Result<Vec<Protected>, Failure> {
    let recorders = config.recorders.iter().map(|recorder| Protected {
        prefix: recorder.address.into(),
        what: format!("recorder {}", recorder.name),
    });
    Ok(recorders.chain(own_addresses()?).collect())
}

/// Those that others can reach: not loopback, and not link-local, which no router forwards to.
fn own_addresses() -> Result<Vec<Protected>, Failure> {
    let interfaces = nix::ifaddrs::getifaddrs().map_err(|error| {
        let message = format!("the gateway's own addresses are not known: {}", error.desc());
        Failure::new(ExitStatus::Unavailable, message)
    })?;
    let address = |one: &nix::ifaddrs::InterfaceAddress| {
        let address = one.address.as_ref()?;
        let v4 = address.as_sockaddr_in().map(|found| IpAddr::V4(found.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|found| IpAddr::V6(found.ip())))
    };
    let mut found: Vec<Protected> = interfaces
        .filter_map(|one| Some((address(&one)?, one.interface_name)))
        .filter(|(address, _)| !is_of_the_link(address))
        .map(|(address, name)| Protected {
            prefix: address.into(),
            what: format!("address of {name}"),
        })
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

fn is_of_the_link(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_stay_on_the_link_are_left_out() {
        for (address, left_out) in [
            ("127.0.0.1", true),
            ("169.254.1.1", true),
            ("::1", true),
            ("fe80::1", true),
            ("192.168.1.1", false),
            ("203.0.113.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_of_the_link(&address.parse().unwrap()), left_out, "{address}");
        }
    }

    #[test]
    fn every_own_address_is_a_whole_one_and_has_a_name() {
        for own in own_addresses().unwrap() {
            assert_eq!(own.prefix.prefix_len(), own.prefix.max_prefix_len());
            assert!(own.what.len() > "address of ".len(), "{}", own.what);
        }
    }
}
