//! Text into values and back: addresses, sizes, times, rates, networks.
//!
//! Parsers answer `None` for what the setting's `allowed` line does not promise; the caller names the setting and
//! where the text came from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderName;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Url;

use super::{LogLevel, SyncMode};
use crate::retention::MAX_DAYS;

/// The most networks `trusted-proxies` takes: they are tried one by one for each request.
const MAX_NETWORKS: usize = 256;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

pub(super) fn address(text: &str) -> Option<SocketAddr> {
    if let Some(port) = text.strip_prefix(':') {
        // One socket for IPv4 and IPv6 alike.
        return Some(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), whole(port)?.try_into().ok()?));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), whole(port)?.try_into().ok()?));
    }
    text.parse().ok()
}

pub(super) fn public_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

/// Where a daemon that listens on `address` is reached from its own machine.
pub(super) fn url_of(address: SocketAddr) -> Url {
    let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { SocketAddr::new(address.ip(), 0).to_string() };
    let host = host.strip_suffix(":0").unwrap_or(&host);
    Url::parse(&format!("http://{host}:{}", address.port())).expect("an address and a port make a URL")
}

pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
}

/// A path; refused when it is a token, put there by mistake.
pub(super) fn token_path(text: &str) -> Option<PathBuf> {
    if looks_like_a_token(text) { None } else { path(text) }
}

/// Whether `text` has the shape of a token: 64 hex digits.
pub(super) fn looks_like_a_token(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn rate(text: &str) -> Option<f64> {
    let rate: f64 = text.parse().ok()?;
    (rate == 0.0 || (0.001..=1_000_000.0).contains(&rate)).then_some(rate.abs())
}

pub(super) fn burst(text: &str) -> Option<u32> {
    let burst = whole(text)?;
    (1..=1_000_000).contains(&burst).then_some(u32::try_from(burst).ok()?)
}

pub(super) fn networks(text: &str) -> Option<Vec<IpNet>> {
    if text.trim() == "*" {
        return Some(vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())]);
    }
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    let networks: Option<Vec<IpNet>> = text.split(',').map(|network| self::network(network.trim())).collect();
    networks.filter(|networks| networks.len() <= MAX_NETWORKS)
}

fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpNet>() {
        Ok(network) => Some(network.trunc()),
        Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
    }
}

pub(super) fn networks_text(networks: &[IpNet]) -> String {
    let mut texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
    if texts == ["0.0.0.0/0", "::/0"] {
        texts = vec!["*".to_owned()];
    }
    texts.join(",")
}

pub(super) fn header(text: &str) -> Option<HeaderName> {
    text.parse().ok()
}

pub(super) fn log_level(text: &str) -> Option<LogLevel> {
    [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error].into_iter().find(|level| level.to_string() == text)
}

pub(super) fn sync(text: &str) -> Option<SyncMode> {
    match text {
        "always" => Some(SyncMode::Always),
        "os" => Some(SyncMode::Os),
        _ => {
            let interval = duration(text.strip_prefix("interval=")?)?;
            (Duration::from_millis(1)..=Duration::from_secs(10)).contains(&interval).then_some(SyncMode::Interval(interval))
        }
    }
}

pub(super) fn segment_bytes(text: &str) -> Option<u64> {
    size(text).filter(|bytes| (64 * KIB..=GIB).contains(bytes))
}

pub(super) fn compaction_rate(text: &str) -> Option<u64> {
    size(text).filter(|bytes| (64 * KIB..=64 * GIB).contains(bytes))
}

pub(super) fn retention_days(text: &str) -> Option<u32> {
    u32::try_from(whole(text)?).ok().filter(|days| *days <= MAX_DAYS)
}

pub(super) fn segment_age(text: &str) -> Option<Duration> {
    duration(text).filter(|age| (Duration::from_secs(1)..=Duration::from_secs(365 * 86_400)).contains(age))
}

/// Bytes: a whole number, alone or with KiB, MiB or GiB in any case.
fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "kib" => KIB,
        "mib" => MIB,
        "gib" => GIB,
        _ => return None,
    };
    whole(number)?.checked_mul(unit)
}

pub(super) fn size_text(bytes: u64) -> String {
    for (unit, name) in [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    bytes.to_string()
}

/// A time: a whole number with ms, s, m, h or d.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    whole(number)?.checked_mul(millis).map(Duration::from_millis)
}

pub(super) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis >= unit && millis.is_multiple_of(unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    format!("{millis}ms")
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits_end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    (number, unit.trim_start())
}

/// Digits only: `u64::from_str` would take a plus sign too.
fn whole(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
