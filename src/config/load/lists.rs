//! Lists and origin tables in a configuration file: each entry to its checked form.

use std::time::Duration;

use toml::Spanned;

use super::{Draft, LIST_LIMIT, MADE_LISTS, ORIGIN_LIMIT};
use crate::config::raw::{RawBasis, RawGroup, RawList, RawOrigin, RawRecorder};
use crate::config::source::Source;
use crate::config::values::{age, age_or_none, label, not_empty, number};
use crate::config::{Basis, Day, Group, ListConfig, ListKind, OriginConfig, Recorder};
use crate::failure::Failure;

/// The most lines that may be wrong.
const REJECTED_LIMIT: i64 = 1_000_000;
/// The most AS numbers in a group.
const GROUP_LIMIT: usize = 4096;

/// The owners of the relays through which TRASSIR video reaches its viewers: names as in a table derived from
/// RouteViews and the registries' files of 2026-06-17.
const SHIPPED_GROUPS: [(&str, &str, &[u32]); 2] = [
    (
        "vk",
        "VK",
        &[28709, 47541, 47542, 47764, 49797, 49988, 57973, 60863, 62243, 207581, 207970, 213235],
    ),
    ("digital-network", "LLC Digital Network", &[12695, 201186]),
];

/// The groups that are there without configuration.
pub(super) fn shipped_groups() -> Vec<Group> {
    let group = |(name, title, asns): &(&str, &str, &[u32])| Group {
        name: (*name).to_owned(),
        title: (*title).to_owned(),
        asns: asns.to_vec(),
    };
    SHIPPED_GROUPS.iter().map(group).collect()
}

/// The age at which an origin table is stale if its entry says nothing: prefixes change hands every day, and
/// after half a year some of those that a list means are missing.
const ORIGIN_MAX_AGE: Duration = Duration::from_secs(180 * 86_400);

impl Draft {
    pub(super) fn add_list(
        &mut self,
        source: &Source<'_>,
        list: Spanned<RawList>,
    ) -> Result<(), Failure> {
        let list = list.into_inner();
        let name = source.check(&list.name, |text| label(text))?;
        self.unique(source, "list", &name, list.name.span())?;
        if MADE_LISTS.contains(&name.as_str()) {
            let message =
                format!("list `{name}` is one that kordon makes itself: name yours otherwise");
            return Err(source.refuse(list.name.span(), message));
        }
        if self.lists.len() == LIST_LIMIT {
            return Err(source.refuse(list.name.span(), format!("more than {LIST_LIMIT} lists")));
        }
        let path = self.folder.join(source.check(&list.path, |text| not_empty(text))?);
        let basis = match list.basis {
            Some(basis) => checked_basis(source, basis)?,
            None => Basis::default(),
        };
        let limit = |value: &Option<Spanned<i64>>, most: i64| match value {
            Some(value) => source.check(value, |n| number(*n, 0, most)).map(Some),
            None => Ok(None),
        };
        let at_least = match &list.at_least {
            Some(value) if list.kind == ListKind::Prefix => {
                let message =
                    "at_least counts origin tables, which a list of prefixes does not use";
                return Err(source.refuse(value.span(), message.to_owned()));
            }
            Some(value) => source.check(value, |n| number(*n, 1, ORIGIN_LIMIT as i64))? as u8,
            None => 1,
        };
        let mut checked = ListConfig::new(name, path, list.kind, list.action);
        checked.format = list.format.unwrap_or(checked.format);
        checked.basis = basis;
        checked.allow_wide = list.allow_wide;
        checked.keep_local = list.keep_local;
        checked.at_least = at_least;
        if let Some(date) = &list.review_by {
            checked.review_by = Some(source.check(date, day)?);
        }
        if let Some(text) = &list.hold_down {
            checked.hold_down =
                source.check(text, |text| age_or_none(text))?.unwrap_or(Duration::ZERO);
        }
        checked.max_shrink = limit(&list.max_shrink, 100)?.unwrap_or(checked.max_shrink);
        checked.max_growth = limit(&list.max_growth, 1_000_000)?.unwrap_or(checked.max_growth);
        checked.max_rejected = limit(&list.max_rejected, REJECTED_LIMIT)?.unwrap_or(0);
        if let Some(text) = &list.max_age {
            checked.max_age = source.check(text, |text| age(text))?;
        }
        self.lists.push(checked);
        Ok(())
    }

    pub(super) fn add_origin(
        &mut self,
        source: &Source<'_>,
        origin: Spanned<RawOrigin>,
    ) -> Result<(), Failure> {
        let origin = origin.into_inner();
        let name = source.check(&origin.name, |text| label(text))?;
        self.unique(source, "origin", &name, origin.name.span())?;
        if self.origins.len() == ORIGIN_LIMIT {
            let message = format!("more than {ORIGIN_LIMIT} origin tables");
            return Err(source.refuse(origin.name.span(), message));
        }
        let path = self.folder.join(source.check(&origin.path, |text| not_empty(text))?);
        let max_age = match &origin.max_age {
            Some(text) => source.check(text, |text| age(text))?,
            None => Some(ORIGIN_MAX_AGE),
        };
        self.origins.push(OriginConfig { name, path, format: origin.format, max_age });
        Ok(())
    }

    pub(super) fn add_group(
        &mut self,
        source: &Source<'_>,
        group: RawGroup,
    ) -> Result<(), Failure> {
        let name = source.check(&group.name, |text| label(text))?;
        self.unique(source, "group", &name, group.name.span())?;
        let title = match &group.title {
            Some(title) => source.check(title, |text| not_empty(text))?,
            None => name.clone(),
        };
        let asns = group.asns.get_ref();
        if asns.is_empty() || asns.len() > GROUP_LIMIT {
            let message = format!("a group has 1 to {GROUP_LIMIT} AS numbers, not {}", asns.len());
            return Err(source.refuse(group.asns.span(), message));
        }
        let asns = source.check_all(asns, |n| number(*n, 1, i64::from(u32::MAX) - 1))?;
        // A shipped one of the same name is replaced, not added to.
        self.groups.retain(|known| known.name != name);
        self.groups.push(Group { name, title, asns });
        Ok(())
    }

    pub(super) fn add_recorder(
        &mut self,
        source: &Source<'_>,
        recorder: &RawRecorder,
    ) -> Result<(), Failure> {
        let name = source.check(&recorder.name, |text| label(text))?;
        self.unique(source, "recorder", &name, recorder.name.span())?;
        let address = source.check(&recorder.address, |text| {
            text.parse().map_err(|_| format!("`{text}` is not an IP address"))
        })?;
        self.recorders.push(Recorder { name, address });
        Ok(())
    }
}

fn checked_basis(source: &Source<'_>, basis: RawBasis) -> Result<Basis, Failure> {
    let date = match &basis.date {
        None => None,
        Some(date) => Some(source.check(date, day)?.to_string()),
    };
    Ok(Basis {
        issuer: source.check(&basis.issuer, |text| not_empty(text))?,
        number: basis.number.unwrap_or_default(),
        date,
        note: basis.note,
    })
}

fn day(date: &toml::value::Datetime) -> Result<Day, String> {
    let found = match (date.date, date.time) {
        (Some(day), None) => Day::new(day.year, day.month, day.day),
        (_, _) => None,
    };
    found.ok_or_else(|| format!("`{date}` is not a date: write YYYY-MM-DD without quotes"))
}
