//! Lists and origin tables in a configuration file: each entry to its checked form.

use std::time::Duration;

use toml::Spanned;

use super::{Draft, LIST_LIMIT};
use crate::config::raw::{RawBasis, RawList, RawOrigin};
use crate::config::source::Source;
use crate::config::values::{age, label, not_empty};
use crate::config::{Basis, ListConfig, OriginConfig};
use crate::failure::Failure;

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
        if self.lists.len() == LIST_LIMIT {
            return Err(source.refuse(list.name.span(), format!("more than {LIST_LIMIT} lists")));
        }
        let path = self.folder.join(source.check(&list.path, |text| not_empty(text))?);
        let basis = match list.basis {
            Some(basis) => checked_basis(source, basis)?,
            None => Basis::default(),
        };
        self.lists.push(ListConfig {
            name,
            path,
            kind: list.kind,
            action: list.action,
            basis,
            allow_wide: list.allow_wide,
            max_age: match &list.max_age {
                Some(text) => source.check(text, |text| age(text))?,
                None => None,
            },
        });
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
        let path = self.folder.join(source.check(&origin.path, |text| not_empty(text))?);
        let max_age = match &origin.max_age {
            Some(text) => source.check(text, |text| age(text))?,
            None => Some(ORIGIN_MAX_AGE),
        };
        self.origins.push(OriginConfig { name, path, format: origin.format, max_age });
        Ok(())
    }
}

fn checked_basis(source: &Source<'_>, basis: RawBasis) -> Result<Basis, Failure> {
    let date = match &basis.date {
        None => None,
        Some(date) => Some(source.check(date, |date| match (date.date, date.time) {
            (Some(day), None) => Ok(day.to_string()),
            (_, _) => Err(format!("`{date}` is not a date: write YYYY-MM-DD without quotes")),
        })?),
    };
    Ok(Basis {
        issuer: source.check(&basis.issuer, |text| not_empty(text))?,
        number: basis.number.unwrap_or_default(),
        date,
        note: basis.note,
    })
}
