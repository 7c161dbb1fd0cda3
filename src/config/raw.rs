//! The shape of the TOML files, before anything is checked beyond types and key names.
//!
//! Every table denies unknown keys. A value whose meaning is checked later keeps its span, so that the
//! refusal can name file, line and column.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{
    Action, ListFormat, ListKind, Mode, OnFailure, OriginFormat, QueueBackend, RulesBackend,
    TunnelAnswer, Unlisted,
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) mode: Option<Mode>,
    pub(super) on_failure: Option<OnFailure>,
    #[serde(default)]
    pub(super) cameras: RawCameras,
    #[serde(default)]
    pub(super) camera: Vec<RawCamera>,
    #[serde(default)]
    pub(super) queue: RawQueue,
    #[serde(default)]
    pub(super) rules: RawRules,
    #[serde(default)]
    pub(super) metrics: RawMetrics,
    #[serde(default)]
    pub(super) control: RawControl,
    #[serde(default)]
    pub(super) state: RawState,
    #[serde(default)]
    pub(super) reload: RawReload,
    #[serde(default)]
    pub(super) list: Vec<Spanned<RawList>>,
    #[serde(default)]
    pub(super) origin: Vec<Spanned<RawOrigin>>,
    #[serde(default)]
    pub(super) group: Vec<RawGroup>,
    #[serde(default)]
    pub(super) recorder: Vec<RawRecorder>,
    #[serde(default)]
    pub(super) local: RawLocal,
    pub(super) default: Option<Unlisted>,
    #[serde(default)]
    pub(super) tunnels: RawTunnels,
    #[serde(default)]
    pub(super) packets: RawPackets,
    #[serde(default)]
    pub(super) policy: Vec<RawPolicy>,
}

/// Tunnels and their answers.
pub(super) type RawTunnels = BTreeMap<Spanned<String>, Spanned<TunnelAnswer>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPackets {
    pub(super) mobile_ipv6: Option<Unlisted>,
    pub(super) nat64_prefixes: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicy {
    pub(super) name: Spanned<String>,
    pub(super) cameras: Spanned<Vec<Spanned<String>>>,
    pub(super) lists: Option<Vec<Spanned<String>>>,
    pub(super) mode: Option<Mode>,
    pub(super) default: Option<Unlisted>,
    #[serde(default)]
    pub(super) tunnels: RawTunnels,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCameras {
    pub(super) interfaces: Option<Vec<Spanned<String>>>,
    pub(super) networks: Option<Vec<Spanned<String>>>,
    pub(super) trusted_interfaces: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) sources: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCamera {
    pub(super) name: Spanned<String>,
    pub(super) address: Spanned<Addresses>,
    pub(super) mac: Option<Spanned<String>>,
    pub(super) site: Option<Spanned<String>>,
}

/// One address, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected an address in quotes, or several in brackets")]
pub(super) enum Addresses {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQueue {
    pub(super) first: Option<Spanned<i64>>,
    pub(super) count: Option<Spanned<i64>>,
    pub(super) backend: Option<QueueBackend>,
    pub(super) copy_range: Option<Spanned<i64>>,
    pub(super) max_held_bytes: Option<Spanned<Size>>,
    pub(super) buffer_bytes: Option<Spanned<Size>>,
}

/// A number of bytes: an integer, or text with a unit (`"16MiB"`).
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of bytes such as 16777216 or \"16MiB\"")]
pub(super) enum Size {
    Bytes(i64),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRules {
    pub(super) backend: Option<RulesBackend>,
    pub(super) manage: Option<bool>,
    pub(super) mark: Option<Spanned<i64>>,
    pub(super) mask: Option<Spanned<i64>>,
    pub(super) hold_input: Option<bool>,
    pub(super) drop_tunnels_to_gateway: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetrics {
    pub(super) listen: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawControl {
    pub(super) socket: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawState {
    pub(super) folder: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReload {
    pub(super) watch: Option<bool>,
    pub(super) debounce: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawList {
    pub(super) name: Spanned<String>,
    pub(super) path: Spanned<String>,
    pub(super) kind: ListKind,
    pub(super) format: Option<ListFormat>,
    pub(super) action: Action,
    pub(super) basis: Option<RawBasis>,
    pub(super) review_by: Option<Spanned<toml::value::Datetime>>,
    #[serde(default)]
    pub(super) allow_wide: bool,
    #[serde(default)]
    pub(super) keep_local: bool,
    pub(super) at_least: Option<Spanned<i64>>,
    pub(super) hold_down: Option<Spanned<String>>,
    pub(super) max_shrink: Option<Spanned<i64>>,
    pub(super) max_growth: Option<Spanned<i64>>,
    pub(super) max_rejected: Option<Spanned<i64>>,
    pub(super) max_age: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBasis {
    pub(super) issuer: Spanned<String>,
    pub(super) number: Option<String>,
    pub(super) date: Option<Spanned<toml::value::Datetime>>,
    pub(super) note: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOrigin {
    pub(super) name: Spanned<String>,
    pub(super) path: Spanned<String>,
    #[serde(default = "auto")]
    pub(super) format: OriginFormat,
    pub(super) max_age: Option<Spanned<String>>,
}

fn auto() -> OriginFormat {
    OriginFormat::Auto
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGroup {
    pub(super) name: Spanned<String>,
    pub(super) title: Option<Spanned<String>>,
    pub(super) asns: Spanned<Vec<Spanned<i64>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRecorder {
    pub(super) name: Spanned<String>,
    pub(super) address: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLocal {
    pub(super) networks: Option<Vec<Spanned<String>>>,
}
