#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn addresses_name_an_interface_or_all_of_them() {
    assert_eq!(address("127.0.0.1:8080").unwrap().to_string(), "127.0.0.1:8080");
    assert_eq!(address(":8080").unwrap().to_string(), "[::]:8080");
    assert_eq!(address("localhost:0").unwrap().to_string(), "127.0.0.1:0");
    assert_eq!(address("[::1]:9").unwrap().to_string(), "[::1]:9");
    for bad in ["", "8080", ":", ":x", ":65536", ":+80", "127.0.0.1", "example.com:80", "::1:8080:"] {
        assert_eq!(address(bad), None, "{bad}");
    }
}

#[test]
fn the_url_of_an_address_can_be_opened() {
    assert_eq!(url_of("127.0.0.1:8080".parse().unwrap()).as_str(), "http://127.0.0.1:8080/");
    assert_eq!(url_of("[::1]:81".parse().unwrap()).as_str(), "http://[::1]:81/");
    assert_eq!(url_of("[::]:8080".parse().unwrap()).as_str(), "http://localhost:8080/");
    assert_eq!(url_of("0.0.0.0:80".parse().unwrap()).as_str(), "http://localhost/");
}

#[test]
fn sizes_and_times_have_units_and_bounds() {
    assert_eq!(segment_bytes("65536"), Some(65_536));
    assert_eq!(segment_bytes("64KiB"), Some(65_536));
    assert_eq!(segment_bytes("64 mib"), Some(64 * MIB));
    assert_eq!(segment_bytes("1GiB"), Some(GIB));
    for bad in ["", "65535", "63KiB", "1025MiB", "2GiB", "64MB", "64M", "KiB", "-1", "1.5MiB", "0x10000", "99999999999999999999GiB"] {
        assert_eq!(segment_bytes(bad), None, "{bad}");
    }
    assert_eq!(segment_age("90s"), Some(Duration::from_secs(90)));
    assert_eq!(segment_age("15m"), Some(Duration::from_secs(900)));
    assert_eq!(segment_age("365d"), Some(Duration::from_secs(365 * 86_400)));
    for bad in ["", "1", "0s", "999ms", "366d", "1w", "h", "1.5h", "-1h", "18446744073709551615d"] {
        assert_eq!(segment_age(bad), None, "{bad}");
    }
}

#[test]
fn sync_modes_are_three() {
    assert_eq!(sync("always"), Some(SyncMode::Always));
    assert_eq!(sync("os"), Some(SyncMode::Os));
    assert_eq!(sync("interval=50ms"), Some(SyncMode::Interval(Duration::from_millis(50))));
    for bad in ["", "Always", "never", "interval", "interval=", "interval=0ms", "interval=50", "interval=11s", "50ms"] {
        assert_eq!(sync(bad), None, "{bad}");
    }
}

#[test]
fn rates_are_finite_and_bursts_positive() {
    assert_eq!(rate("20.0"), Some(20.0));
    assert_eq!(rate("0"), Some(0.0));
    assert_eq!(rate("-0").map(f64::is_sign_negative), Some(false));
    for bad in ["", "NaN", "inf", "-1", "1e-9", "1000001", "20/s"] {
        assert_eq!(rate(bad), None, "{bad}");
    }
    assert_eq!(burst("1"), Some(1));
    for bad in ["", "0", "-1", "1.5", "1000001", "4294967297"] {
        assert_eq!(burst(bad), None, "{bad}");
    }
}

#[test]
fn networks_are_a_list_a_star_or_nothing() {
    assert_eq!(networks_text(&networks("10.1.2.3/8, ::1").unwrap()), "10.0.0.0/8,::1/128");
    assert_eq!(networks_text(&networks("*").unwrap()), "*");
    assert_eq!(networks(""), Some(Vec::new()));
    for bad in ["10.0.0.0/33", "example.com", "10.0.0.1,,10.0.0.2", "10.0.0.1 10.0.0.2", "*,10.0.0.1"] {
        assert_eq!(networks(bad), None, "{bad}");
    }
    assert_eq!(networks(&vec!["10.0.0.1"; 257].join(",")), None);
}

#[test]
fn a_public_url_carries_no_secret_and_no_query() {
    assert_eq!(public_url("https://stats.example/hk/").unwrap().path(), "/hk/");
    for bad in [
        "",
        "stats.example",
        "ftp://stats.example",
        "http://",
        "http://u:p@stats.example",
        "http://stats.example/?a=1",
        "http://stats.example/#a",
    ] {
        assert_eq!(public_url(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn sizes_and_times_read_back_as_they_are_printed(bytes in 0..=GIB, millis in 0u64..=86_400_000) {
        prop_assert_eq!(size(&size_text(bytes)), Some(bytes));
        prop_assert_eq!(duration(&duration_text(Duration::from_millis(millis))), Some(Duration::from_millis(millis)));
    }
}
