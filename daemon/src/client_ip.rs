//! Who a request comes from, when proxies stand between.
//!
//! Anybody can write a forwarded header. It is believed from a peer that is a trusted proxy, and then only as far as trusted proxies
//! reach: `X-Forwarded-For` is read from the right, each entry naming the client of the one behind it, up to the first that is no
//! trusted proxy. That one is the client; what it claims about others is its own invention.
//!
//! The address is used for limits and never stored or logged.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use ipnet::IpNet;
use tracing::warn;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Headers by which proxies name a client. Their presence is worth a warning where they are not believed.
static FORWARDED: [HeaderName; 5] = [
    FORWARDED_FOR,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("forwarded"),
];

/// Whom to believe about who a client is.
pub(crate) struct ClientIp {
    trusted: Vec<IpNet>,
    /// A header with one value that a trusted proxy sets; wins over `X-Forwarded-For`.
    header: Option<HeaderName>,
    /// Whether the next request from a peer that is not trusted is searched for headers that are not believed.
    looks: AtomicBool,
    warned: AtomicBool,
}

impl ClientIp {
    /// Believes the peers in `trusted`, and what they say in `header`, if any, before `X-Forwarded-For`.
    pub(crate) fn new(trusted: Vec<IpNet>, header: Option<HeaderName>) -> ClientIp {
        ClientIp { trusted, header, looks: AtomicBool::new(true), warned: AtomicBool::new(false) }
    }

    /// Has one more request searched for headers that are not believed. Called once a second: to search all of them would cost each, and
    /// a proxy that sets such a header sets it always.
    pub(crate) fn look_again(&self) {
        let in_vain = self.warned.load(Ordering::Relaxed);
        self.looks.store(!in_vain, Ordering::Relaxed);
    }

    /// The address of the client behind `peer`, IPv4 unmapped.
    pub(crate) fn of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            self.warn_once(headers);
            return peer;
        }
        self.named(headers).unwrap_or_else(|| self.forwarded(peer, headers))
    }

    /// What the configured header says: the last value, should there be several.
    fn named(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let last = headers.get_all(self.header.as_ref()?).iter().next_back()?;
        entries(last).next().and_then(address)
    }

    /// Walks `X-Forwarded-For` from the right, over all its lines, to the first address that is no trusted proxy.
    ///
    /// An entry that is no address ends the walk at the proxy that wrote it: beyond, nothing is known.
    fn forwarded(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        for entry in headers.get_all(FORWARDED_FOR).iter().rev().flat_map(entries) {
            let Some(address) = address(entry) else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// A proxy that is not trusted makes all its clients one; whoever runs it should hear of that, once and without an address.
    fn warn_once(&self, headers: &HeaderMap) {
        if !self.looks.load(Ordering::Relaxed) {
            return;
        }
        self.looks.store(false, Ordering::Relaxed);
        let forwarded = FORWARDED.iter().chain(&self.header).find(|name| headers.contains_key(*name));
        if let Some(name) = forwarded
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            warn!(header = %name, "ignoring a forwarded header from a peer that is no trusted proxy; see --trusted-proxies");
        }
    }
}

/// The entries of one header line from the right; an empty one for what is no text.
fn entries(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().rsplit(|&b| b == b',').map(<[u8]>::trim_ascii)
}

/// Reads `ip`, `ip:port`, `[ip]` and `[ip]:port`, IPv4 unmapped.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?;
    let bare = || entry.parse::<IpAddr>().ok();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    bare().or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A peer, the header lines of its request, and the client.
    type Row<'a> = (&'a str, &'a [(&'a str, &'a [u8])], &'a str);

    const PROXIES: [&str; 4] = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "2001:db8:1::/48"];

    fn client(header: Option<&str>, peer: &str, lines: &[(&str, &[u8])]) -> IpAddr {
        let rules =
            ClientIp::new(PROXIES.iter().map(|network| network.parse().unwrap()).collect(), header.map(|name| name.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        rules.of(peer.parse().unwrap(), &headers)
    }

    #[test]
    fn an_address_is_believed_as_far_as_trusted_proxies_reach() {
        const XFF: &str = "x-forwarded-for";
        #[rustfmt::skip]
        let table: &[Row] = &[
            // No header: the peer.
            ("127.0.0.1", &[], "127.0.0.1"),
            ("198.51.100.7", &[], "198.51.100.7"),
            ("::ffff:198.51.100.7", &[], "198.51.100.7"),
            // From a peer that is not trusted nothing is believed.
            ("198.51.100.7", &[(XFF, b"203.0.113.9")], "198.51.100.7"),
            ("198.51.100.7", &[(XFF, b"127.0.0.1")], "198.51.100.7"),
            ("198.51.100.7", &[("x-real-ip", b"203.0.113.9")], "198.51.100.7"),
            ("::ffff:198.51.100.7", &[(XFF, b"203.0.113.9")], "198.51.100.7"),
            ("2001:db8:2::1", &[(XFF, b"203.0.113.9")], "2001:db8:2::1"),
            // One trusted hop.
            ("127.0.0.1", &[(XFF, b"203.0.113.9")], "203.0.113.9"),
            ("::1", &[(XFF, b"203.0.113.9")], "203.0.113.9"),
            ("::ffff:127.0.0.1", &[(XFF, b"203.0.113.9")], "203.0.113.9"),
            ("2001:db8:1::5", &[(XFF, b"203.0.113.9")], "203.0.113.9"),
            ("127.0.0.1", &[(XFF, b"  203.0.113.9  ")], "203.0.113.9"),
            ("127.0.0.1", &[(XFF, b"2001:db8:2::9")], "2001:db8:2::9"),
            ("127.0.0.1", &[(XFF, b"::ffff:203.0.113.9")], "203.0.113.9"),
            // What the client wrote itself stands further left.
            ("127.0.0.1", &[(XFF, b"1.1.1.1, 203.0.113.9")], "203.0.113.9"),
            ("127.0.0.1", &[(XFF, b"10.0.0.1, 203.0.113.9")], "203.0.113.9"),
            // Several trusted hops, in one line and over lines.
            ("127.0.0.1", &[(XFF, b"203.0.113.9, 10.0.0.2, 10.0.0.1")], "203.0.113.9"),
            ("127.0.0.1", &[(XFF, b"1.1.1.1, 203.0.113.9,10.0.0.2")], "203.0.113.9"),
            ("127.0.0.1", &[(XFF, b"203.0.113.9"), (XFF, b"10.0.0.2"), (XFF, b"10.0.0.1")], "203.0.113.9"),
            ("127.0.0.1", &[(XFF, b"1.1.1.1"), (XFF, b"203.0.113.9, 10.0.0.2")], "203.0.113.9"),
            // Proxies all the way: the first of them is where it began.
            ("127.0.0.1", &[(XFF, b"10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            // Ports and brackets.
            ("127.0.0.1", &[(XFF, b"203.0.113.9:4711")], "203.0.113.9"),
            ("127.0.0.1", &[(XFF, b"[2001:db8:2::9]:443")], "2001:db8:2::9"),
            ("127.0.0.1", &[(XFF, b"[2001:db8:2::9]")], "2001:db8:2::9"),
            // What is no address ends the walk at whoever wrote it.
            ("127.0.0.1", &[(XFF, b"unknown")], "127.0.0.1"),
            ("127.0.0.1", &[(XFF, b"203.0.113.9, unknown, 10.0.0.2")], "10.0.0.2"),
            ("127.0.0.1", &[(XFF, b"203.0.113.9,")], "127.0.0.1"),
            ("127.0.0.1", &[(XFF, b"")], "127.0.0.1"),
            ("127.0.0.1", &[(XFF, b"203.0.113.9, \xff")], "127.0.0.1"),
            ("127.0.0.1", &[(XFF, b"203.0.113.900")], "127.0.0.1"),
            // Headers that nobody named are not believed even from a proxy.
            ("127.0.0.1", &[("x-real-ip", b"203.0.113.9")], "127.0.0.1"),
            ("127.0.0.1", &[("cf-connecting-ip", b"1.1.1.1"), (XFF, b"203.0.113.9")], "203.0.113.9"),
        ];
        assert!(table.len() >= 30);
        for (peer, lines, expected) in table {
            assert_eq!(client(None, peer, lines), expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_named_header_is_believed_from_a_proxy_and_wins() {
        const NAMED: &str = "x-real-ip";
        #[rustfmt::skip]
        let table: &[Row] = &[
            ("127.0.0.1", &[(NAMED, b"203.0.113.9")], "203.0.113.9"),
            ("127.0.0.1", &[(NAMED, b"203.0.113.9"), ("x-forwarded-for", b"1.1.1.1")], "203.0.113.9"),
            ("127.0.0.1", &[(NAMED, b"1.1.1.1, 203.0.113.9:80")], "203.0.113.9"),
            ("127.0.0.1", &[(NAMED, b"1.1.1.1"), (NAMED, b"203.0.113.9")], "203.0.113.9"),
            ("127.0.0.1", &[(NAMED, b"nonsense"), ("x-forwarded-for", b"203.0.113.9")], "203.0.113.9"),
            ("127.0.0.1", &[("x-forwarded-for", b"203.0.113.9")], "203.0.113.9"),
            ("127.0.0.1", &[(NAMED, b"10.0.0.9")], "10.0.0.9"),
            ("198.51.100.7", &[(NAMED, b"203.0.113.9")], "198.51.100.7"),
        ];
        for (peer, lines, expected) in table {
            assert_eq!(client(Some(NAMED), peer, lines), expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[test]
    fn an_unbelieved_header_is_warned_of_once() {
        let peer = IpAddr::from([198, 51, 100, 7]);
        let names = ["x-forwarded-for", "x-real-ip", "cf-connecting-ip", "true-client-ip", "forwarded", "x-client"];
        for name in names.map(HeaderName::from_static) {
            let proxy = IpAddr::from([127, 0, 0, 1]);
            let rules = ClientIp::new(vec![proxy.into()], Some(HeaderName::from_static("x-client")));
            let forwarded = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("203.0.113.9"))]);
            let none = HeaderMap::new();
            let has_warned_after = |peer, headers: &HeaderMap| {
                rules.of(peer, headers);
                rules.warned.load(Ordering::Relaxed)
            };
            assert!(!has_warned_after(proxy, &forwarded), "{name} is believed, or was not asked for");
            assert!(!has_warned_after(peer, &none));
            assert!(!has_warned_after(peer, &forwarded), "one request was searched");
            rules.look_again();
            assert!(has_warned_after(peer, &forwarded), "{name}");
            rules.look_again();
            assert!(!rules.looks.load(Ordering::Relaxed), "there is nothing more to say");
        }
    }
}
