//! The record: what is kept of one event, and its bytes inside a frame's payload.
//!
//! Complete from the first version, because bincode cannot add fields: a new field is a new frame kind, and old kinds are read for
//! ever. The layout is bincode 2 in its standard configuration, little-endian with variable-length integers, fields in the order of
//! [`Record`]; golden bytes in the tests pin it.
//!
//! The visitor's address is no part of it.

mod quick;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::de::{BorrowDecode, BorrowDecoder, Decode, Decoder};
use bincode::enc::write::Writer;
use bincode::enc::{Encode, Encoder};
use bincode::error::{AllowedEnumVariants, DecodeError, EncodeError};

use crate::units::{PageHash, SessionId, SiteId, TokenId, UnixMicros};

/// The longest record: a body of 64 KiB whose every text is kept, with room for the fields around it.
pub const MAX_RECORD_BYTES: usize = 128 * 1024;

/// The longest event id, in bytes.
pub const MAX_EVENT_ID_BYTES: usize = 128;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_RECORD_BYTES>> = bincode::config::standard().with_limit::<MAX_RECORD_BYTES>();

/// What was reported. Apart from the name: an event that a client calls `pageview` is an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A named event.
    Event = 0,
    /// A page that was looked at.
    Pageview = 1,
    /// A web vital.
    Vital = 2,
}

/// By which way an event came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Source {
    /// A browser endpoint.
    Browser = 0,
    /// A server endpoint, one event.
    Server = 1,
    /// A server endpoint, many events.
    Bulk = 2,
    /// An import.
    Import = 3,
}

/// Why bytes are no record, or a record has no bytes.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The payload verifies and does not decode: written by hand, or by a bug.
    #[error("payload is not a record")]
    Undecodable(#[source] DecodeError),
    /// Bytes are left over after the last field.
    #[error("{0} bytes follow the record")]
    TrailingBytes(usize),
    /// The record is longer than [`MAX_RECORD_BYTES`].
    #[error("record of {0} bytes is longer than {MAX_RECORD_BYTES}")]
    TooLong(usize),
    /// bincode refused to encode; it does so only for types that no record has.
    #[error("record cannot be encoded")]
    Unencodable(#[source] EncodeError),
}

/// The first fields of a record, as in [`Record`]: what an index finds it by. To read them alone costs half of what the record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::BorrowDecode)]
pub struct RecordHead<'a> {
    /// Event, pageview or vital.
    pub kind: Kind,
    /// By which way it came.
    pub source: Source,
    /// The token it was sent with, if any.
    pub token: Option<TokenId>,
    /// The site it belongs to.
    pub site: SiteId,
    /// The event's name.
    pub name: &'a str,
    /// When it happened.
    pub time: UnixMicros,
    /// When the daemon received it.
    pub received: UnixMicros,
    /// The session.
    pub session: Option<SessionId>,
    /// The client's id.
    pub event_id: Option<&'a str>,
    /// The page's id, hashed.
    pub page: Option<PageHash>,
    /// Host of the page.
    pub host: Option<&'a str>,
    /// Path of the page.
    pub path: Option<&'a str>,
}

impl<'a> RecordHead<'a> {
    /// The head of the record that `payload` begins with; what follows is not looked at.
    ///
    /// # Errors
    ///
    /// [`RecordError::Undecodable`].
    pub fn decode(payload: &'a [u8]) -> Result<RecordHead<'a>, RecordError> {
        let decoded = bincode::borrow_decode_from_slice(payload, CONFIG);
        decoded.map(|(head, _)| head).map_err(RecordError::Undecodable)
    }
}

/// One event, borrowed from the bytes it came in or is stored in.
#[derive(Clone, Debug, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub struct Record<'a> {
    /// Event, pageview or vital.
    pub kind: Kind,
    /// By which way it came.
    pub source: Source,
    /// The token it was sent with, if any.
    pub token: Option<TokenId>,
    /// The site it belongs to.
    pub site: SiteId,
    /// The event's name; of a vital its metric; empty for a pageview.
    pub name: &'a str,
    /// When it happened.
    pub time: UnixMicros,
    /// When the daemon received it.
    pub received: UnixMicros,
    /// The session, if the client named one; else the event is a session of its own.
    pub session: Option<SessionId>,
    /// The client's id, 1 to 128 bytes: stored once per site.
    pub event_id: Option<&'a str>,
    /// The page's id, hashed.
    pub page: Option<PageHash>,
    /// Host of the page, lower case, without port.
    pub host: Option<&'a str>,
    /// Path of the page, without query.
    pub path: Option<&'a str>,
    /// Query of the page, without the question mark.
    pub query: Option<&'a str>,
    /// Referrer, in full.
    pub referrer: Option<&'a str>,
    /// User agent.
    pub user_agent: Option<&'a str>,
    /// The browser's language.
    pub language: Option<&'a str>,
    /// Width of the viewport in CSS pixels.
    pub viewport_width: Option<u32>,
    /// Height of the viewport in CSS pixels.
    pub viewport_height: Option<u32>,
    /// Width of the screen in CSS pixels.
    pub screen_width: Option<u32>,
    /// Height of the screen in CSS pixels.
    pub screen_height: Option<u32>,
    /// `utm_source`.
    pub utm_source: Option<&'a str>,
    /// `utm_medium`.
    pub utm_medium: Option<&'a str>,
    /// `utm_campaign`.
    pub utm_campaign: Option<&'a str>,
    /// `utm_term`.
    pub utm_term: Option<&'a str>,
    /// `utm_content`.
    pub utm_content: Option<&'a str>,
    /// The QR campaign's UUID.
    pub qr: Option<[u8; 16]>,
    /// The country, two letters of ISO 3166-1.
    pub country: Option<[u8; 2]>,
    /// What the tracker calls itself.
    pub tracker_source: Option<&'a str>,
    /// The tracker's version.
    pub tracker_version: Option<&'a str>,
    /// The properties: the JSON object's text as received, or empty.
    pub properties: &'a str,
}

impl<'a> Record<'a> {
    /// A record with these fields, everything else absent.
    pub fn new(kind: Kind, source: Source, site: SiteId, time: UnixMicros, received: UnixMicros) -> Record<'a> {
        Record {
            kind,
            source,
            token: None,
            site,
            name: "",
            time,
            received,
            session: None,
            event_id: None,
            page: None,
            host: None,
            path: None,
            query: None,
            referrer: None,
            user_agent: None,
            language: None,
            viewport_width: None,
            viewport_height: None,
            screen_width: None,
            screen_height: None,
            utm_source: None,
            utm_medium: None,
            utm_campaign: None,
            utm_term: None,
            utm_content: None,
            qr: None,
            country: None,
            tracker_source: None,
            tracker_version: None,
            properties: "",
        }
    }

    /// The fields that an index finds it by.
    pub fn head(&self) -> RecordHead<'a> {
        let Record { kind, source, token, site, name, time, received, session, event_id, page, host, path, .. } = *self;
        RecordHead { kind, source, token, site, name, time, received, session, event_id, page, host, path }
    }

    /// Appends the record's bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`RecordError::TooLong`] past [`MAX_RECORD_BYTES`]; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let start = out.len();
        let written = bincode::encode_into_writer(self, Appended(out), CONFIG).map_err(RecordError::Unencodable);
        let len = out.len() - start;
        let written = if len > MAX_RECORD_BYTES { Err(RecordError::TooLong(len)) } else { written };
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// The record that `payload` holds.
    ///
    /// # Errors
    ///
    /// [`RecordError::Undecodable`] and [`RecordError::TrailingBytes`]; never a panic, whatever the bytes.
    pub fn decode(payload: &'a [u8]) -> Result<Record<'a>, RecordError> {
        if payload.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong(payload.len()));
        }
        if let Some(record) = quick::decode(payload) {
            return Ok(record);
        }
        let (record, read) = bincode::borrow_decode_from_slice(payload, CONFIG).map_err(RecordError::Undecodable)?;
        if read != payload.len() {
            return Err(RecordError::TrailingBytes(payload.len() - read));
        }
        Ok(record)
    }
}

/// Where encoded bytes go. bincode's own way into a `Vec` goes through `io::Write` and counts along.
struct Appended<'a>(&'a mut Vec<u8>);

impl Writer for Appended<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Gives a one-byte enum its bincode form: the byte itself, anything else refused.
macro_rules! as_byte {
    ($name:ident { $($variant:ident = $byte:literal),+ }) => {
        impl Encode for $name {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                (*self as u8).encode(encoder)
            }
        }
        impl<C> Decode<C> for $name {
            fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
                match u8::decode(decoder)? {
                    $($byte => Ok($name::$variant),)+
                    found => Err(DecodeError::UnexpectedVariant {
                        type_name: stringify!($name),
                        allowed: &AllowedEnumVariants::Allowed(&[$($byte),+]),
                        found: found.into(),
                    }),
                }
            }
        }
        bincode::impl_borrow_decode!($name);
    };
}
as_byte!(Kind { Event = 0, Pageview = 1, Vital = 2 });
as_byte!(Source { Browser = 0, Server = 1, Bulk = 2, Import = 3 });

/// Gives a unit type the bincode form of the number or bytes inside it.
macro_rules! as_inner {
    ($name:ident, $inner:ty, $get:ident) => {
        impl Encode for $name {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                self.$get().encode(encoder)
            }
        }
        impl<C> Decode<C> for $name {
            fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
                Ok($name::new(<$inner>::decode(decoder)?))
            }
        }
        bincode::impl_borrow_decode!($name);
    };
}
as_inner!(SiteId, [u8; 16], bytes);
as_inner!(SessionId, [u8; 16], bytes);
as_inner!(TokenId, [u8; 16], bytes);
as_inner!(PageHash, u64, value);

impl Encode for UnixMicros {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.micros().encode(encoder)
    }
}

impl<C> Decode<C> for UnixMicros {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        UnixMicros::new(i64::decode(decoder)?).ok_or(DecodeError::Other("instant outside the years 0 to 9999"))
    }
}

impl<'de, C> BorrowDecode<'de, C> for UnixMicros {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        UnixMicros::decode(decoder)
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
