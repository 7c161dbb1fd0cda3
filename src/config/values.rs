//! One value of the configuration each: text or number to what it means, or why not. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::raw::Size;

pub(super) fn not_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("must not be empty".into()) } else { Ok(text.to_owned()) }
}

/// A name that is a metric label, a word in messages and maybe a file name.
///
/// # Errors
/// Why it is none.
pub fn label(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty()
        || text.chars().count() > 64
        || text.starts_with('_')
        || !text.chars().all(fits)
    {
        return Err(format!(
            "`{text}` is not a name: 1 to 64 letters, digits, `-`, `_`, `.`, not beginning with `_`"
        ));
    }
    Ok(text.to_owned())
}

/// An interface name as the kernel takes it (`dev_valid_name`, net/core/dev.c), one trailing `+` allowed as
/// a wildcard.
///
/// # Errors
/// Why it is none.
pub fn interface(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '"' | '\\' | '*' | '!');
    let stem = text.strip_suffix('+').unwrap_or(text);
    if stem.is_empty()
        || text.len() > 15
        || matches!(text, "." | "..")
        || !stem.chars().all(fits)
        || stem.contains('+')
    {
        return Err(format!("`{text}` is not an interface name (1 to 15 characters, no blanks)"));
    }
    Ok(text.to_owned())
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text.parse().map_err(|_| {
        format!("`{text}` is not a network: write ADDRESS/LENGTH, as in 192.0.2.0/24")
    })?;
    if net != net.trunc() {
        return Err(format!("`{text}` has host bits set: write {}", net.trunc()));
    }
    if net.prefix_len() == 0 {
        return Err(format!("`{text}` is every address; use `trusted_interfaces` for that"));
    }
    Ok(net)
}

pub(super) fn within(number: i64, low: i64, high: i64) -> Result<u16, String> {
    if (low..=high).contains(&number) {
        return Ok(number as u16);
    }
    Err(format!("{number} is out of range: expected {low} to {high}"))
}

pub(super) fn bytes(size: &Size, least: u64) -> Result<u64, String> {
    let value = match size {
        Size::Bytes(number) => u64::try_from(*number).ok(),
        Size::Text(text) => size_text(text),
    };
    match value {
        None => Err("not a size: write a number of bytes, or text such as \"16MiB\"".into()),
        Some(value) if value < least => {
            Err(format!("{value} bytes is too small: at least {least}"))
        }
        Some(value) => Ok(value),
    }
}

fn size_text(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text.get(digits.len()..)? {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("ms") => 1,
        Some("s") => 1_000,
        Some("m") => 60_000,
        _ => 0,
    };
    match digits.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(unit)) {
        Some(millis) if unit > 0 && (10..=3_600_000).contains(&millis) => {
            Ok(Duration::from_millis(millis))
        }
        _ => {
            Err(format!("`{text}` is not a duration from 10ms to 60m, such as \"500ms\" or \"2s\""))
        }
    }
}

/// An age in hours or days; `None` for `never`.
pub(super) fn age(text: &str) -> Result<Option<Duration>, String> {
    if text == "never" {
        return Ok(None);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let hours = match text.get(digits.len()..) {
        Some("h") => 1,
        Some("d") => 24,
        _ => 0,
    };
    match digits.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(hours)) {
        Some(hours @ 1..=87_600) => Ok(Some(Duration::from_secs(hours * 3_600))),
        _ => Err(format!(
            "`{text}` is not an age from 1h to 3650d, such as \"36h\" or \"30d\" (or \"never\")"
        )),
    }
}

/// The same, and `0s` for none.
pub(super) fn age_or_none(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "0s" => Ok(None),
        "never" => Err("`never` is no time to hold: write \"0s\" for none".to_owned()),
        text => age(text),
    }
}

/// A number within these bounds.
pub(super) fn number(value: i64, least: i64, most: i64) -> Result<u32, String> {
    match u32::try_from(value) {
        Ok(number) if (least..=most).contains(&value) => Ok(number),
        Ok(_) | Err(_) => Err(format!("{value} is out of range: expected {least} to {most}")),
    }
}

pub(super) fn listen_address(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| format!("`{text}` is not ADDRESS:PORT (or \"off\")"))
}
