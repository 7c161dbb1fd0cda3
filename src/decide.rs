//! The decision: (rule set, memory of flows, held bytes) to a reason; total, and the same whenever these are the same.
//!
//! No lock, no allocation, no clock, no I/O, no log. The verdict follows from the reason
//! ([`Reason::verdict`](crate::verdict::Reason::verdict)).
//!
//! The first of these that is so is the reason: the header cannot be judged; the sender is forged; a header sends
//! the packet elsewhere; the destination is for no wire; a list blocks it; a list blocks an address that it embeds;
//! its tunnel may not pass, or what it carries may not; then what the lists, or the camera's policy, say of the
//! destination.

mod interfaces;
mod lookup;
mod memory;

pub use interfaces::Interfaces;
pub use memory::FlowMemory;

use std::net::IpAddr;

use crate::config::{Action, TunnelAnswer, Unlisted};
use crate::packet::{self, Addresses, Headers, Held, Inner};
use crate::ruleset::{Begun, Hit, Policy, PolicyId, Reached, Ruleset};
use crate::verdict::{Reason, Tunnel, Unparsable, Verdict};
use lookup::{Found, Partly, begin, destination, finish, look_up, look_up_under, reach};

/// How many tunnels within one another are read.
const MOST_NESTED: usize = 4;

/// What was decided about one held packet, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Why.
    pub reason: Reason,
    /// What the headers say, unless they are unparsable.
    pub headers: Option<Headers>,
    /// The entry that decided, if one did.
    pub hit: Option<Hit>,
    /// The tunnel that it belongs to, as far as that was asked.
    pub tunnel: Option<Tunnel>,
    /// The policy of the packet's source.
    pub policy: PolicyId,
    /// The address that the packet hides and that decided: an embedded one, or a destination within a tunnel.
    pub hidden: Option<IpAddr>,
}

impl Decision {
    /// The answer that follows from the reason.
    #[inline]
    pub fn verdict(&self) -> Verdict {
        self.reason.verdict()
    }
}

/// What one packet thread remembers. The default one is for tests: everybody knows its seed.
#[derive(Debug, Default)]
pub struct Memory {
    /// Of flows.
    pub flows: FlowMemory,
    /// Of interfaces.
    pub interfaces: Interfaces,
}

impl Memory {
    /// An empty memory with a seed that no camera knows.
    pub fn new(seed: u64) -> Self {
        Memory { flows: FlowMemory::new(seed), interfaces: Interfaces::default() }
    }

    /// A memory that keeps nothing and takes no room.
    fn without_room() -> Self {
        Memory { flows: FlowMemory::without_room(), interfaces: Interfaces::default() }
    }

    /// Takes note of the time, in whole seconds since any moment that stays the same; once per batch.
    #[inline]
    pub fn tick(&mut self, now: u32) {
        self.flows.tick(now);
        self.interfaces.tick(now);
    }
}

/// Decides about one held packet.
#[inline]
pub fn decide<'a>(rules: &Ruleset, memory: &mut Memory, held: impl Into<Held<'a>>) -> Decision {
    let held = held.into();
    let parsed = packet::parse(held);
    let found = look_up(rules, &parsed);
    conclude(rules, memory, held, parsed, found)
}

/// Decides about a made-up packet as if its source had this policy, without the memory that a tunnel would need.
pub fn decide_under<'a>(rules: &Ruleset, policy: PolicyId, held: impl Into<Held<'a>>) -> Decision {
    let held = held.into();
    let parsed = packet::parse(held);
    let found = look_up_under(rules, policy, &parsed);
    conclude(rules, &mut Memory::without_room(), held, parsed, found)
}

/// Decides about each packet of a batch, as [`decide`] does, and leaves the outcome in `decisions`.
///
/// All packets are parsed before the first destination is looked up, and each part of the look-ups is done for all of them
/// before the next one for any. A look-up in a big table waits for memory; with nothing between them, the processor begins the next
/// look-ups meanwhile.
#[inline]
pub fn decide_all<'a>(
    rules: &Ruleset,
    memory: &mut Memory,
    batch: impl Iterator<Item = Held<'a>> + Clone,
    decisions: &mut Decisions,
) {
    let Decisions { parsed, begun, reached, found, made } = decisions;
    parsed.clear();
    parsed.extend(batch.clone().map(packet::parse));
    begun.clear();
    begun.extend(parsed.iter().map(|parsed| begin(rules, parsed)));
    reached.clear();
    let each = parsed.iter().zip(begun.iter());
    reached.extend(each.map(|(parsed, begun)| reach(rules, parsed, *begun)));
    found.clear();
    let each = parsed.iter().zip(reached.iter());
    found.extend(each.map(|(parsed, reached)| finish(rules, parsed, *reached)));
    made.clear();
    let each = batch.zip(parsed.iter().zip(found.iter()));
    made.extend(each.map(|(held, (parsed, found))| conclude(rules, memory, held, *parsed, *found)));
}

/// The decisions about one batch; its room is used again for the next.
#[derive(Default)]
pub struct Decisions {
    parsed: Vec<Result<Headers, Unparsable>>,
    begun: Vec<Partly<Begun>>,
    reached: Vec<Partly<Reached>>,
    found: Vec<Found>,
    made: Vec<Decision>,
}

impl Decisions {
    /// Room for batches of up to `packets`.
    pub fn for_batches_of(packets: usize) -> Self {
        Decisions {
            parsed: Vec::with_capacity(packets),
            begun: Vec::with_capacity(packets),
            reached: Vec::with_capacity(packets),
            found: Vec::with_capacity(packets),
            made: Vec::with_capacity(packets),
        }
    }

    /// The decision about the packet at this place of the batch.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&Decision> {
        self.made.get(index)
    }

    /// The decisions, in the order of the batch.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.made.iter()
    }
}

#[inline]
fn conclude(
    rules: &Ruleset,
    memory: &mut Memory,
    held: Held<'_>,
    parsed: Result<Headers, Unparsable>,
    found: Found,
) -> Decision {
    let headers = match parsed {
        Ok(headers) => headers,
        Err(cause) => return undecided(Reason::Unparsable(cause), found.policy),
    };
    let Some(policy) = rules.policies.get(found.policy) else {
        // There is no rule set without a policy.
        return undecided(Reason::NotAllowed, found.policy);
    };
    let made = |outcome: Outcome| Decision {
        reason: outcome.reason,
        tunnel: outcome.reason.tunnel(),
        headers: Some(headers),
        hit: outcome.hit,
        policy: found.policy,
        hidden: outcome.hidden,
    };
    let zone = memory.interfaces.zone(rules, held.interface);
    if let Some(forgery) = rules.senders.forged(headers.addresses.source(), zone, held.mac) {
        return made(Outcome::of(Reason::Forged(forgery)));
    }
    if let Some(outcome) = elsewhere(rules, policy, &headers, found.hit) {
        return made(outcome);
    }
    match tunnelled(rules, memory, policy, &headers, held) {
        Some(Passage::Refused(outcome)) => made(outcome),
        Some(Passage::Accepted(tunnel)) => {
            let outcome = listed(policy, found.hit, Reason::TunnelAccepted(tunnel));
            Decision { tunnel: Some(tunnel), ..made(outcome) }
        }
        None => made(listed(policy, found.hit, Reason::NoMatch)),
    }
}

fn undecided(reason: Reason, policy: PolicyId) -> Decision {
    Decision { reason, headers: None, hit: None, tunnel: None, policy, hidden: None }
}

/// A reason with what it refers to.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    reason: Reason,
    hit: Option<Hit>,
    hidden: Option<IpAddr>,
}

impl Outcome {
    fn of(reason: Reason) -> Outcome {
        Outcome { reason, hit: None, hidden: None }
    }
}

/// What stops a packet whatever it carries: where its header, its destination or an address in that leads.
#[inline]
fn elsewhere(
    rules: &Ruleset,
    policy: &Policy,
    headers: &Headers,
    hit: Option<Hit>,
) -> Option<Outcome> {
    if let Some(redirect) = headers.redirect
        && !(rules.policies.accept_mobile_ipv6 && redirect.is_mobile_ipv6())
    {
        return Some(Outcome::of(Reason::Redirected(redirect)));
    }
    let blocked = |hit: Option<Hit>| hit.filter(|hit| hit.action == Action::Block);
    let Addresses::V6 { destination, .. } = headers.addresses else {
        return blocked(hit).map(|hit| Outcome { hit: Some(hit), ..Outcome::of(Reason::Blocked) });
    };
    let embedded = packet::embedded(destination, &rules.policies.nat64);
    let mut hidden = embedded.iter();
    if let Some((how, address)) = hidden.clone().find(|(how, _)| how.is_martian()) {
        let hidden = Some(IpAddr::V4(address));
        return Some(Outcome { hidden, ..Outcome::of(Reason::Martian(how)) });
    }
    if let Some(hit) = blocked(hit) {
        return Some(Outcome { hit: Some(hit), ..Outcome::of(Reason::Blocked) });
    }
    hidden.find_map(|(how, address)| {
        let hit = blocked(policy.lookup(rules.table(), IpAddr::V4(address)))?;
        let hidden = Some(IpAddr::V4(address));
        Some(Outcome { reason: Reason::Embedded(how), hit: Some(hit), hidden })
    })
}

/// How a tunnel's packet fares.
enum Passage {
    Refused(Outcome),
    Accepted(Tunnel),
}

/// Whether the packet belongs to a tunnel, and what its policy says of that.
#[inline]
fn tunnelled(
    rules: &Ruleset,
    memory: &mut Memory,
    policy: &Policy,
    headers: &Headers,
    held: Held<'_>,
) -> Option<Passage> {
    let tunnel = memory.flows.tunnel(headers, held);
    let Some(tunnel) = tunnel else {
        let hidden = hides(headers, held) && !policy.tunnels.accept_all();
        return hidden.then(|| Passage::Refused(Outcome::of(Reason::PayloadHidden)));
    };
    Some(match policy.tunnels.answer(tunnel) {
        TunnelAnswer::Drop => Passage::Refused(Outcome::of(Reason::Tunnel(tunnel))),
        TunnelAnswer::Accept => Passage::Accepted(tunnel),
        TunnelAnswer::Inspect => {
            inspect(rules, memory, policy, tunnel, packet::inner(tunnel, headers, held))
        }
    })
}

/// A tunnel could not be recognised in it.
#[inline]
fn hides(headers: &Headers, held: Held<'_>) -> bool {
    headers.lacks_transport(held) || headers.hides_payload(held)
}

/// Judges what a tunnel carries, and what that carries.
fn inspect(
    rules: &Ruleset,
    memory: &mut Memory,
    policy: &Policy,
    outermost: Tunnel,
    mut carried: Inner<'_>,
) -> Passage {
    let refused = |reason| Passage::Refused(Outcome::of(reason));
    for _ in 0..MOST_NESTED {
        let held = match carried {
            Inner::Nothing => return Passage::Accepted(outermost),
            Inner::Unreadable => return refused(Reason::Unreadable(outermost)),
            Inner::Packet(held) => held,
        };
        let Ok(headers) = packet::parse(held) else {
            return refused(Reason::Unreadable(outermost));
        };
        let hit = destination(rules, policy, &headers.addresses);
        let hidden = Some(headers.addresses.destination());
        if let Some(Outcome { hit, .. }) = elsewhere(rules, policy, &headers, hit) {
            return Passage::Refused(Outcome { reason: Reason::Inside(outermost), hit, hidden });
        }
        if !listed(policy, hit, Reason::NoMatch).reason.passes() {
            return Passage::Refused(Outcome { reason: Reason::Inside(outermost), hit, hidden });
        }
        let Some(tunnel) = memory.flows.tunnel(&headers, held) else {
            return match hides(&headers, held) {
                true => refused(Reason::PayloadHidden),
                false => Passage::Accepted(outermost),
            };
        };
        match policy.tunnels.answer(tunnel) {
            TunnelAnswer::Drop => {
                return Passage::Refused(Outcome {
                    reason: Reason::Inside(outermost),
                    hit: None,
                    hidden,
                });
            }
            TunnelAnswer::Accept => return Passage::Accepted(outermost),
            TunnelAnswer::Inspect => carried = packet::inner(tunnel, &headers, held),
        }
    }
    refused(Reason::Unreadable(outermost))
}

/// What the lists, and where they say nothing the policy, say of a destination that no list blocks.
#[inline]
fn listed(policy: &Policy, hit: Option<Hit>, unlisted: Reason) -> Outcome {
    let reason = match (hit.map(|hit| hit.action), policy.unlisted) {
        (Some(Action::Allow), _) => Reason::Exempt,
        (Some(Action::Block), _) => Reason::Blocked,
        // To be watched is not to be allowed.
        (Some(Action::Monitor) | None, Unlisted::Drop) => Reason::NotAllowed,
        (Some(Action::Monitor), Unlisted::Accept) => Reason::Monitored,
        (None, Unlisted::Accept) => unlisted,
    };
    Outcome { reason, hit, hidden: None }
}

#[cfg(test)]
mod tests;
