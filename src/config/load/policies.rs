//! Tunnels, policies, senders and packets in a configuration file: each entry to its checked form.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use ipnet::{IpNet, Ipv6Net};
use toml::Spanned;

use super::Draft;
use crate::config::raw::{Addresses, RawCamera, RawPackets, RawPolicy, RawTunnels};
use crate::config::source::Source;
use crate::config::values::{interface, label, network, not_empty};
use crate::config::{Mac, NamedCamera, PacketsConfig, PolicyConfig, TunnelAnswer, Unlisted};
use crate::failure::{ExitStatus, Failure};
use crate::verdict::Tunnel;

/// The most cameras with a name (each is a label value of metrics).
pub const CAMERA_LIMIT: usize = 256;
/// The most policies: each that has lists of its own has a table of its own.
const POLICY_LIMIT: usize = 32;

/// A policy that may still refer to what a later file declares.
pub(super) struct DraftPolicy {
    place: String,
    name: String,
    cameras: Vec<(String, String)>,
    lists: Option<Vec<(String, String)>>,
    mode: Option<crate::config::Mode>,
    unlisted: Option<Unlisted>,
    tunnels: Vec<(Tunnel, TunnelAnswer)>,
}

impl Draft {
    pub(super) fn add_camera(
        &mut self,
        source: &Source<'_>,
        camera: &RawCamera,
    ) -> Result<(), Failure> {
        let name = source.check(&camera.name, |text| label(text))?;
        self.unique(source, "camera", &name, camera.name.span())?;
        let (span, texts) = match camera.address.get_ref() {
            Addresses::One(text) => (camera.address.span(), std::slice::from_ref(text)),
            Addresses::Several(texts) => (camera.address.span(), texts.as_slice()),
        };
        let mut addresses = Vec::new();
        for text in texts {
            let address: IpAddr = text.parse().map_err(|_| {
                source.refuse(span.clone(), format!("`{text}` is not an IP address"))
            })?;
            self.unique(source, "camera address", &address.to_string(), span.clone())?;
            addresses.push(address);
        }
        if addresses.is_empty() {
            return Err(source.refuse(span, "a camera needs at least one address"));
        }
        let mac = match &camera.mac {
            Some(text) => {
                let not_one = |text: &str| {
                    format!("`{text}` is not a MAC address, such as 02:00:5e:10:00:01")
                };
                let mac =
                    source.check(text, |text| Mac::parse(text).ok_or_else(|| not_one(text)))?;
                self.unique(source, "camera mac", &mac.to_string(), text.span())?;
                Some(mac)
            }
            None => None,
        };
        let site = match &camera.site {
            Some(text) => Some(source.check(text, |text| not_empty(text))?),
            None => None,
        };
        if self.cameras.named.len() == CAMERA_LIMIT {
            return Err(source.refuse(
                camera.name.span(),
                format!("more than {CAMERA_LIMIT} cameras have a name; leave the others out (they count as `_other`)"),
            ));
        }
        self.cameras.named.push(NamedCamera { name, addresses, mac, site });
        Ok(())
    }

    pub(super) fn add_sources(
        &mut self,
        source: &Source<'_>,
        sources: &BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    ) -> Result<(), Failure> {
        for (name, networks) in sources {
            let name = source.check(name, |name| interface(name))?;
            let networks = source.check_all(networks, |text| network(text))?;
            self.cameras.sources.retain(|(known, _)| *known != name);
            self.cameras.sources.push((name, networks));
        }
        Ok(())
    }

    pub(super) fn add_tunnels(
        &mut self,
        source: &Source<'_>,
        tunnels: &RawTunnels,
    ) -> Result<(), Failure> {
        for (tunnel, answer) in answers(source, tunnels)? {
            self.tunnels.set(tunnel, answer);
        }
        Ok(())
    }

    pub(super) fn add_packets(
        &mut self,
        source: &Source<'_>,
        packets: &RawPackets,
    ) -> Result<(), Failure> {
        let PacketsConfig { accept_mobile_ipv6, nat64 } = &mut self.packets;
        if let Some(answer) = packets.mobile_ipv6 {
            *accept_mobile_ipv6 = answer == Unlisted::Accept;
        }
        if let Some(prefixes) = &packets.nat64_prefixes {
            *nat64 = source.check_all(prefixes, |text| nat64_prefix(text))?;
        }
        Ok(())
    }

    pub(super) fn add_policy(
        &mut self,
        source: &Source<'_>,
        policy: RawPolicy,
    ) -> Result<(), Failure> {
        let name = source.check(&policy.name, |text| label(text))?;
        self.unique(source, "policy", &name, policy.name.span())?;
        if self.policies.len() == POLICY_LIMIT {
            let message = format!("more than {POLICY_LIMIT} policies");
            return Err(source.refuse(policy.name.span(), message));
        }
        let placed = |values: &[Spanned<String>]| {
            let one = |value: &Spanned<String>| {
                (source.place(value.span().start), value.get_ref().clone())
            };
            values.iter().map(one).collect::<Vec<_>>()
        };
        if policy.cameras.get_ref().is_empty() {
            let message = "a policy without cameras is for nobody; for everybody write [\"0.0.0.0/0\", \"::/0\"]";
            return Err(source.refuse(policy.cameras.span(), message));
        }
        self.policies.push(DraftPolicy {
            place: source.place(policy.name.span().start),
            name,
            cameras: placed(policy.cameras.get_ref()),
            lists: policy.lists.as_deref().map(placed),
            mode: policy.mode,
            unlisted: policy.default,
            tunnels: answers(source, &policy.tunnels)?,
        });
        Ok(())
    }

    /// The policies, once everything that they refer to is known.
    pub(super) fn finished_policies(&self) -> Result<Vec<PolicyConfig>, Failure> {
        let mut taken: BTreeMap<IpNet, &str> = BTreeMap::new();
        let mut finished = Vec::new();
        for draft in &self.policies {
            let mut cameras = Vec::new();
            for (place, text) in &draft.cameras {
                for network in self.senders(place, text)? {
                    if let Some(other) = taken.insert(network, &draft.name) {
                        let message = format!("{network} is in policy `{other}` already");
                        return Err(refuse(place, message));
                    }
                    cameras.push(network);
                }
            }
            let lists = match &draft.lists {
                None => None,
                Some(names) => Some(self.lists_of(names)?),
            };
            let unlisted = draft.unlisted.unwrap_or(self.unlisted);
            if unlisted == Unlisted::Accept && lists.as_ref().is_some_and(Vec::is_empty) {
                let message = format!(
                    "policy `{}` has no lists and lets unlisted destinations pass: it would judge nothing",
                    draft.name
                );
                return Err(refuse(&draft.place, message));
            }
            let mut tunnels = self.tunnels;
            draft.tunnels.iter().for_each(|(tunnel, answer)| tunnels.set(*tunnel, *answer));
            let (name, mode) = (draft.name.clone(), draft.mode);
            finished.push(PolicyConfig { name, cameras, lists, mode, unlisted, tunnels });
        }
        Ok(finished)
    }

    /// The networks that a camera's name, an address or a network stands for.
    fn senders(&self, place: &str, text: &str) -> Result<Vec<IpNet>, Failure> {
        if let Some(camera) = self.cameras.named.iter().find(|camera| camera.name == text) {
            return Ok(camera.addresses.iter().copied().map(IpNet::from).collect());
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(vec![IpNet::from(address)]);
        }
        match text {
            "0.0.0.0/0" | "::/0" => Ok(text.parse().into_iter().collect()),
            _ if text.contains('/') => {
                network(text).map(|net| vec![net]).map_err(|why| refuse(place, why))
            }
            _ => Err(refuse(
                place,
                format!("`{text}` is neither the name of a [[camera]] nor a network"),
            )),
        }
    }

    fn lists_of(&self, names: &[(String, String)]) -> Result<Vec<String>, Failure> {
        for (place, name) in names {
            if !self.lists.iter().any(|list| list.name == *name) {
                return Err(refuse(place, format!("there is no [[list]] `{name}`")));
            }
        }
        Ok(names.iter().map(|(_, name)| name.clone()).collect())
    }
}

fn refuse(place: &str, message: impl std::fmt::Display) -> Failure {
    Failure::new(ExitStatus::BadConfig, format!("{place}: {message}"))
}

/// What a table of tunnels says.
fn answers(
    source: &Source<'_>,
    tunnels: &RawTunnels,
) -> Result<Vec<(Tunnel, TunnelAnswer)>, Failure> {
    let mut found = Vec::new();
    for (name, answer) in tunnels {
        let tunnel = Tunnel::ALL.iter().find(|tunnel| tunnel.label() == name.get_ref());
        let Some(&tunnel) = tunnel else {
            let known: Vec<&str> = Tunnel::ALL.iter().map(|tunnel| tunnel.label()).collect();
            let message =
                format!("`{}` is not a tunnel: one of {}", name.get_ref(), known.join(", "));
            return Err(source.refuse(name.span(), message));
        };
        check_answer(source, tunnel, answer.span(), *answer.get_ref())?;
        found.push((tunnel, *answer.get_ref()));
    }
    Ok(found)
}

fn check_answer(
    source: &Source<'_>,
    tunnel: Tunnel,
    span: Range<usize>,
    answer: TunnelAnswer,
) -> Result<(), Failure> {
    if answer == TunnelAnswer::Inspect && !tunnel.can_be_inspected() {
        let message = format!(
            "{tunnel} cannot be inspected, what it carries is encrypted or compressed: drop or accept"
        );
        return Err(source.refuse(span, message));
    }
    Ok(())
}

/// A prefix of RFC 6052 section 2.2.
fn nat64_prefix(text: &str) -> Result<Ipv6Net, String> {
    match network(text)? {
        IpNet::V6(net) if matches!(net.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96) => Ok(net),
        IpNet::V6(_) | IpNet::V4(_) => {
            Err(format!("`{text}` is not a NAT64 prefix: IPv6, of length 32, 40, 48, 56, 64 or 96"))
        }
    }
}
