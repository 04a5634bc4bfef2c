//! How identities, instants and hashes stand in the catalog's JSON; for `#[serde(with = …)]`.

use format::{SiteId, UnixMicros};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serializer};
use std::borrow::Cow;
use uuid::Uuid;

use crate::instant;
use crate::secret::TokenHash;

macro_rules! as_text {
    ($(#[$doc:meta])* $name:ident, $type:ty, $expected:literal, $write:expr, $read:expr) => {
        $(#[$doc])*
        pub(super) mod $name {
            use super::*;

            pub(in crate::catalog) fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                let write: fn($type) -> String = $write;
                serializer.serialize_str(&write(*value))
            }

            pub(in crate::catalog) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                let read: fn(&str) -> Option<$type> = $read;
                read(&text).ok_or_else(|| D::Error::custom(concat!("not ", $expected)))
            }
        }
    };
}

as_text!(
    /// A UUID, 36 characters.
    uuid_text,
    Uuid,
    "a UUID",
    |id| id.to_string(),
    |text| Uuid::try_parse(text).ok()
);

as_text!(
    /// A site's UUID, 36 characters.
    site_text,
    SiteId,
    "a UUID",
    |id| Uuid::from_bytes(id.bytes()).to_string(),
    |text| Uuid::try_parse(text).ok().map(|id| SiteId::new(id.into_bytes()))
);

as_text!(
    /// An instant in RFC 3339.
    instant_text,
    UnixMicros,
    "an RFC 3339 instant",
    instant::text,
    |text| instant::parse(text).map(instant::Written::floor)
);

as_text!(
    /// The hash of a token, 64 hexadecimal digits.
    hash_text,
    TokenHash,
    "64 hexadecimal digits",
    TokenHash::to_hex,
    TokenHash::from_hex
);

/// An optional UUID, as [`uuid_text`] or null.
pub(super) mod optional_uuid_text {
    use super::*;

    pub(in crate::catalog) fn serialize<S: Serializer>(value: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(id) => serializer.serialize_some(&id.to_string()),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::catalog) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
        text.map(|text| Uuid::try_parse(&text).map_err(|_| D::Error::custom("not a UUID"))).transpose()
    }
}

/// An optional instant, as [`instant_text`] or null.
pub(super) mod optional_instant_text {
    use super::*;

    pub(in crate::catalog) fn serialize<S: Serializer>(value: &Option<UnixMicros>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(at) => serializer.serialize_some(&instant::text(*at)),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::catalog) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixMicros>, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
        text.map(|text| instant::parse(&text).map(instant::Written::floor).ok_or_else(|| D::Error::custom("not an RFC 3339 instant")))
            .transpose()
    }
}
