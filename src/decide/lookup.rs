//! Looking a packet up, in parts: each is done for a whole batch before the next one, so that what the look-ups wait
//! for is on its way together.

use super::{Begun, Hit, Policy, PolicyId, Reached, Ruleset};
use crate::packet::{Addresses, Headers};
use crate::verdict::Unparsable;

/// What look-ups found: the source's policy, and the destination's entry.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    pub(super) policy: PolicyId,
    pub(super) hit: Option<Hit>,
}

/// A look-up of which a part is done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Partly<T> {
    policy: PolicyId,
    part: T,
}

/// What a packet's source and destination meet.
#[inline]
pub(super) fn look_up(rules: &Ruleset, parsed: &Result<Headers, Unparsable>) -> Found {
    finish(rules, parsed, reach(rules, parsed, begin(rules, parsed)))
}

/// As [`look_up`], as if the source had this policy.
pub(super) fn look_up_under(
    rules: &Ruleset,
    policy: PolicyId,
    parsed: &Result<Headers, Unparsable>,
) -> Found {
    let begun = parsed.as_ref().map(|headers| begin_under(rules, policy, headers));
    let begun = begun.unwrap_or(Partly { policy, part: Begun::default() });
    finish(rules, parsed, reach(rules, parsed, begun))
}

/// The first part: the source's policy, and the first word of its table.
#[inline]
pub(super) fn begin(rules: &Ruleset, parsed: &Result<Headers, Unparsable>) -> Partly<Begun> {
    let Ok(headers) = parsed else { return Partly::default() };
    begin_under(rules, rules.policies.of(headers.addresses.source()), headers)
}

#[inline]
fn begin_under(rules: &Ruleset, policy: PolicyId, headers: &Headers) -> Partly<Begun> {
    let of = rules.policies.get(policy);
    let part = of.map(|of| of.begin(rules.table(), headers.addresses.destination()));
    Partly { policy, part: part.unwrap_or_default() }
}

/// The second part: the first line.
#[inline]
pub(super) fn reach(
    rules: &Ruleset,
    parsed: &Result<Headers, Unparsable>,
    Partly { policy, part }: Partly<Begun>,
) -> Partly<Reached> {
    let of = rules.policies.get(policy).zip(parsed.as_ref().ok());
    let part =
        of.map(|(of, headers)| of.reach(rules.table(), part, headers.addresses.destination()));
    Partly { policy, part: part.unwrap_or_default() }
}

/// The rest.
#[inline]
pub(super) fn finish(
    rules: &Ruleset,
    parsed: &Result<Headers, Unparsable>,
    Partly { policy, part }: Partly<Reached>,
) -> Found {
    let of = rules.policies.get(policy).zip(parsed.as_ref().ok());
    let hit = of
        .and_then(|(of, headers)| of.finish(rules.table(), part, headers.addresses.destination()));
    Found { policy, hit }
}

/// What the destination of a packet within another one meets.
#[inline]
pub(super) fn destination(rules: &Ruleset, policy: &Policy, addresses: &Addresses) -> Option<Hit> {
    policy.lookup(rules.table(), addresses.destination())
}
