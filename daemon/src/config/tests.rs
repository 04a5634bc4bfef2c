#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn flags(values: &[(Key, &str)]) -> Flags {
    Flags { file: None, values: values.iter().map(|(key, value)| (*key, (*value).to_owned())).collect() }
}

fn with_file(text: &str, check: impl FnOnce(Flags)) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hitkeepd.toml");
    fs::write(&path, text).unwrap();
    check(Flags { file: Some(path), ..Flags::default() });
}

fn refusal(flags: &Flags, variables: &[(&str, &str)]) -> String {
    Config::load(flags, &environment(variables)).unwrap_err().to_string()
}

#[test]
fn with_nothing_set_the_daemon_listens_on_loopback_and_trusts_loopback() {
    let config = Config::default();
    assert_eq!(config.http_addr.to_string(), "127.0.0.1:8080");
    assert_eq!(config.public_url.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(config.data_path, PathBuf::from("data"));
    assert_eq!((config.ingest_rate, config.ingest_burst), (20.0, 40));
    assert_eq!((config.api_rate, config.api_burst), (10.0, 20));
    assert_eq!(config.sync, SyncMode::Always);
    assert_eq!(config.segment_bytes, 64 << 20);
    assert_eq!(config.segment_age, Duration::from_secs(3_600));
    assert_eq!((config.compaction_rate, config.data_retention_days), (32 << 20, 0));
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!((config.admin_token_file, config.client_ip_header), (None, None));
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    with_file("data-path = 'file'\nsync = 'os'\nlog-level = 'debug'\n", |file| {
        let mut given = flags(&[(Key::DataPath, "flag")]);
        given.file = file.file.clone();
        let variables = environment(&[("HITKEEP_DATA_PATH", "variable"), ("HITKEEP_SYNC", "interval=50ms"), ("PATH", "/bin")]);
        let (config, settings) = Config::load_with_origins(&given, &variables).unwrap();
        assert_eq!(config.data_path, PathBuf::from("flag"));
        assert_eq!(config.sync, SyncMode::Interval(Duration::from_millis(50)));
        assert_eq!(config.log_level, LogLevel::Debug);
        let origin = |name: &str| settings.iter().find(|setting| setting.name == name).unwrap().origin.to_string();
        assert_eq!(origin("data-path"), "--data-path");
        assert_eq!(origin("sync"), "HITKEEP_SYNC");
        assert_eq!(origin("log-level"), file.file.unwrap().display().to_string());
        assert_eq!(origin("segment-bytes"), "default");
        assert_eq!(settings.len(), SETTINGS.len());
    });
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    with_file(
        "segment-bytes = 65536\ningest-rate-limit = 0\napi-rate-limit = 2.5\ntrusted-proxies = ['10.0.0.0/8', '192.0.2.7']\n",
        |file| {
            let path = file.file.unwrap();
            let config = Config::load(&Flags::default(), &environment(&[("HITKEEP_CONFIG", path.to_str().unwrap())])).unwrap();
            assert_eq!(config.segment_bytes, 65_536);
            assert_eq!((config.ingest_rate, config.api_rate), (0.0, 2.5));
            assert_eq!(value::networks_text(&config.trusted_proxies), "10.0.0.0/8,192.0.2.7/32");
        },
    );
}

#[test]
fn older_names_of_variables_are_accepted_but_not_beside_the_present_ones() {
    let older = environment(&[("HITKEEP_HTTP", ":9000"), ("HITKEEP_INGEST_RATE", "1"), ("HITKEEP_API_RATE", "2")]);
    let config = Config::load(&Flags::default(), &older).unwrap();
    assert_eq!((config.http_addr.port(), config.ingest_rate, config.api_rate), (9000, 1.0, 2.0));
    assert_eq!(config.public_url.as_str(), "http://localhost:9000/");
    let both = refusal(&Flags::default(), &[("HITKEEP_HTTP", ":1"), ("HITKEEP_HTTP_ADDR", ":1")]);
    assert_eq!(both, "HITKEEP_HTTP and HITKEEP_HTTP_ADDR are two names of one setting: keep one of them");
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known_one() {
    let typed = refusal(&Flags::default(), &[("HITKEEP_DATA_PAHT", "x")]);
    assert_eq!(typed, "unknown variable HITKEEP_DATA_PAHT: did you mean HITKEEP_DATA_PATH?");
    let short = refusal(&Flags::default(), &[("HITKEEP_X", "x")]);
    assert_eq!(short, "unknown variable HITKEEP_X: `hitkeepd config --help` lists the settings");
    let foreign = refusal(&Flags::default(), &[("HITKEEP_NSQ_TCP_ADDRESS", "x")]);
    assert_eq!(foreign, "unknown variable HITKEEP_NSQ_TCP_ADDRESS: `hitkeepd config --help` lists the settings");
    for (text, message) in [
        ("http_addr = ':1'", "unknown key `http_addr` in FILE: did you mean http-addr?"),
        ("archive-path = 1", "unknown key `archive-path` in FILE: `hitkeepd config --help` lists the settings"),
        ("[server]\nhttp-addr = ':1'", "unknown key `server` in FILE: `hitkeepd config --help` lists the settings"),
    ] {
        with_file(text, |file| {
            let shown = file.file.as_ref().unwrap().display().to_string();
            assert_eq!(refusal(&file, &[]), message.replace("FILE", &shown));
        });
    }
}

#[test]
fn variables_of_the_command_line_do_not_stop_the_daemon() {
    let client = environment(&[("HITKEEP_TOKEN", "secret"), ("HITKEEP_URL", "x"), ("HITKEEP_TOKEN_FILE", "x"), ("HITKEEP_CONFIG", "")]);
    assert_eq!(Config::load(&Flags::default(), &client).unwrap(), Config::default());
}

#[test]
fn a_bad_value_of_any_setting_is_named_with_its_source_and_what_is_allowed() {
    for (key, bad) in [
        (Key::HttpAddr, "8080"),
        (Key::PublicUrl, "example.com"),
        (Key::DataPath, ""),
        (Key::AdminTokenFile, "\0"),
        (Key::Sync, "sometimes"),
        (Key::SegmentBytes, "1KiB"),
        (Key::SegmentAge, "1 fortnight"),
        (Key::IngestRateLimit, "NaN"),
        (Key::IngestBurst, "0"),
        (Key::ApiRateLimit, "-1"),
        (Key::ApiBurst, "many"),
        (Key::TrustedProxies, "10.0.0.0/99"),
        (Key::ClientIpHeader, "X Real IP"),
        (Key::LogLevel, "loud"),
    ] {
        let Description { name, allowed, .. } = key.description();
        let shown = bad.escape_debug();
        let from_flag = refusal(&flags(&[(key, bad)]), &[]);
        assert_eq!(from_flag, format!("bad value `{shown}` for {name} (from --{name}): it must be {allowed}"));
        let variable = key.description().variable();
        let from_variable = refusal(&Flags::default(), &[(&variable, bad)]);
        assert_eq!(from_variable, format!("bad value `{shown}` for {name} (from {variable}): it must be {allowed}"));
    }
    with_file("sync = true", |file| {
        assert!(refusal(&file, &[]).starts_with("bad value `true` for sync (from /"));
    });
    with_file("http-addr = ['a', 'b']", |file| {
        assert!(refusal(&file, &[]).contains("for http-addr"));
    });
}

#[test]
fn a_token_in_the_place_of_its_path_is_not_repeated() {
    let token = "0123456789abcdef".repeat(4);
    for key in [Key::AdminTokenFile, Key::Sync] {
        let message = refusal(&flags(&[(key, &token)]), &[]);
        assert!(message.contains("(a token)") && !message.contains(&token), "{message}");
    }
}

#[test]
fn a_file_that_cannot_be_read_stops_the_start() {
    let missing = Flags { file: Some(PathBuf::from("/no/such/file.toml")), ..Flags::default() };
    assert_eq!(refusal(&missing, &[]), "cannot read the configuration file /no/such/file.toml");
    with_file("sync = ", |file| {
        assert!(refusal(&file, &[]).contains("is not valid TOML"));
    });
    with_file("sync = 'os'\nsync = 'os'", |file| {
        assert!(refusal(&file, &[]).contains("is not valid TOML"));
    });
    with_file(&"#".repeat((1 << 20) + 1), |file| {
        assert!(refusal(&file, &[]).contains("longer than 1048576 bytes"));
    });
}

#[test]
fn a_value_that_is_not_text_is_named() {
    let variables: Environment = [(OsString::from("HITKEEP_DATA_PATH"), OsString::from_vec(vec![0xff]))].into_iter().collect();
    let message = Config::load(&Flags::default(), &variables).unwrap_err().to_string();
    assert_eq!(message, "the value of HITKEEP_DATA_PATH is not valid UTF-8");
}

#[test]
fn nothing_is_a_value_where_a_setting_may_be_absent() {
    let variables = environment(&[("HITKEEP_CLIENT_IP_HEADER", ""), ("HITKEEP_ADMIN_TOKEN_FILE", ""), ("HITKEEP_TRUSTED_PROXIES", "")]);
    let config = Config::load(&Flags::default(), &variables).unwrap();
    assert_eq!((config.client_ip_header, config.admin_token_file, config.trusted_proxies), (None, None, Vec::new()));
}
