//! The settings: their names, defaults and limits, in one table.
//!
//! The flags of `--help`, the variables, the keys of the file and `docs/configuration.md` all follow it.

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    HttpAddr,
    PublicUrl,
    DataPath,
    AdminTokenFile,
    Sync,
    SegmentBytes,
    SegmentAge,
    CompactionRate,
    DataRetentionDays,
    IngestRateLimit,
    IngestBurst,
    ApiRateLimit,
    ApiBurst,
    TrustedProxies,
    ClientIpHeader,
    LogLevel,
}

/// What there is to know about a setting without reading its value.
pub(crate) struct Description {
    pub(crate) key: Key,
    /// Name of the flag and of the key in the file; the variable follows from it.
    pub(crate) name: &'static str,
    /// The name the reference used before; accepted as a flag and as a variable.
    pub(crate) older: Option<&'static str>,
    /// Placeholder of the value in `--help`.
    pub(crate) placeholder: &'static str,
    /// Text of the default; `None` where there is no value, or it follows from another setting.
    pub(crate) default: Option<&'static str>,
    /// Which values are accepted, as an error says it.
    pub(crate) allowed: &'static str,
    /// What the setting does: one sentence without a full stop.
    pub(crate) meaning: &'static str,
}

/// Every setting, in the order `--help` and `hitkeepd config` list them.
pub(crate) const SETTINGS: [Description; 16] = [
    Description {
        key: Key::HttpAddr,
        name: "http-addr",
        older: Some("http"),
        placeholder: "ADDR:PORT",
        default: Some("127.0.0.1:8080"),
        allowed: "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080; :8080 for all interfaces; port 0 for any free port",
        meaning: "Address to listen on",
    },
    Description {
        key: Key::PublicUrl,
        name: "public-url",
        older: None,
        placeholder: "URL",
        default: None,
        allowed: "an http or https URL with a host, without user, query or fragment",
        meaning: "URL under which clients reach the daemon; http:// and the listen address when not set",
    },
    Description {
        key: Key::DataPath,
        name: "data-path",
        older: None,
        placeholder: "DIRECTORY",
        default: Some("data"),
        allowed: "the path of a directory",
        meaning: "Directory that holds all data; created at the first start",
    },
    Description {
        key: Key::AdminTokenFile,
        name: "admin-token-file",
        older: None,
        placeholder: "FILE",
        default: None,
        allowed: "the path of a file that holds the token",
        meaning: "File whose content is the owner token at each start, instead of <data-path>/admin.token",
    },
    Description {
        key: Key::Sync,
        name: "sync",
        older: None,
        placeholder: "MODE",
        default: Some("always"),
        allowed: "always, os, or interval=TIME with a time from 1ms to 10s, such as interval=50ms",
        meaning: "When events are synced to the disk: before each answer, at an interval that answers wait for, or when the system likes",
    },
    Description {
        key: Key::SegmentBytes,
        name: "segment-bytes",
        older: None,
        placeholder: "SIZE",
        default: Some("64MiB"),
        allowed: "a size from 64KiB to 1GiB: bytes, or a whole number with KiB, MiB or GiB",
        meaning: "Size at which a log is closed and the next one begun",
    },
    Description {
        key: Key::SegmentAge,
        name: "segment-age",
        older: None,
        placeholder: "TIME",
        default: Some("1h"),
        allowed: "a time from 1s to 365d: a whole number with s, m, h or d",
        meaning: "Age at which a log that holds events is closed and the next one begun",
    },
    Description {
        key: Key::CompactionRate,
        name: "compaction-rate",
        older: None,
        placeholder: "SIZE",
        default: Some("32MiB"),
        allowed: "a size from 64KiB to 64GiB: bytes, or a whole number with KiB, MiB or GiB",
        meaning: "Bytes a second that merging segments may write",
    },
    Description {
        key: Key::DataRetentionDays,
        name: "data-retention-days",
        older: Some("retention-days"),
        placeholder: "DAYS",
        default: Some("0"),
        allowed: "0 (for ever), or a whole number up to 36500",
        meaning: "For how many days a site keeps its events if it is created without saying so; 0 is for ever",
    },
    Description {
        key: Key::IngestRateLimit,
        name: "ingest-rate-limit",
        older: Some("ingest-rate"),
        placeholder: "PER-SECOND",
        default: Some("20"),
        allowed: "0 (off), or a number from 0.001 to 1000000",
        meaning: "Requests a second one address may send to the ingest endpoints; 0 switches the limit off",
    },
    Description {
        key: Key::IngestBurst,
        name: "ingest-burst",
        older: None,
        placeholder: "REQUESTS",
        default: Some("40"),
        allowed: "a whole number from 1 to 1000000 (the limit is switched off by ingest-rate-limit 0)",
        meaning: "Ingest requests one address may send at once before the rate applies",
    },
    Description {
        key: Key::ApiRateLimit,
        name: "api-rate-limit",
        older: Some("api-rate"),
        placeholder: "PER-SECOND",
        default: Some("10"),
        allowed: "0 (off), or a number from 0.001 to 1000000",
        meaning: "Requests a second one address may send to the rest of the API without a valid token; 0 switches the limit off",
    },
    Description {
        key: Key::ApiBurst,
        name: "api-burst",
        older: None,
        placeholder: "REQUESTS",
        default: Some("20"),
        allowed: "a whole number from 1 to 1000000 (the limit is switched off by api-rate-limit 0)",
        meaning: "API requests one address may send at once before the rate applies",
    },
    Description {
        key: Key::TrustedProxies,
        name: "trusted-proxies",
        older: None,
        placeholder: "NETWORKS",
        default: Some("127.0.0.0/8,::1/128"),
        allowed: "at most 256 networks or addresses such as 10.0.0.0/8,192.0.2.7, * for every peer, or nothing for none",
        meaning: "Peers whose X-Forwarded-For is believed",
    },
    Description {
        key: Key::ClientIpHeader,
        name: "client-ip-header",
        older: None,
        placeholder: "HEADER",
        default: None,
        allowed: "the name of a header, such as CF-Connecting-IP",
        meaning: "Header in which a trusted proxy names the client's address, before X-Forwarded-For",
    },
    Description {
        key: Key::LogLevel,
        name: "log-level",
        older: None,
        placeholder: "LEVEL",
        default: Some("info"),
        allowed: "debug, info, warn or error",
        meaning: "Least important messages that are logged",
    },
];

impl Key {
    /// The table's row for this setting.
    pub(crate) fn description(self) -> &'static Description {
        SETTINGS.iter().find(|setting| setting.key == self).expect("every key has a row in the table")
    }
}

impl Description {
    /// The variable of this setting: `HITKEEP_`, then the name in capitals with underscores.
    pub(crate) fn variable(&self) -> String {
        variable(self.name)
    }

    /// The variable of its older name.
    pub(crate) fn older_variable(&self) -> Option<String> {
        self.older.map(variable)
    }
}

fn variable(name: &str) -> String {
    format!("HITKEEP_{}", name.to_ascii_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_row_and_a_variable() {
        assert_eq!(Key::HttpAddr.description().variable(), "HITKEEP_HTTP_ADDR");
        assert_eq!(Key::HttpAddr.description().older_variable().as_deref(), Some("HITKEEP_HTTP"));
        for (row, setting) in SETTINGS.iter().enumerate() {
            assert_eq!(setting.key as usize, row, "{} stands in the order of the keys", setting.name);
            assert!(!setting.meaning.ends_with('.'), "{}", setting.name);
        }
    }
}
