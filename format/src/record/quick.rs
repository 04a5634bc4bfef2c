//! Decodes what [`Record::encode`] wrote, in two thirds of the instructions of the derived decoder: sealing decodes every record.
//!
//! It says nothing of what is wrong. Whoever gets nothing asks the derived decoder, which accepts more: numbers in longer forms than they
//! need, for one.

use crate::units::{PageHash, SessionId, SiteId, TokenId, UnixMicros};

use super::{Kind, Record, Source};

/// What is left of the payload.
struct Rest<'a>(&'a [u8]);

/// The record that `payload` is, if it is in the form that is written.
pub(super) fn decode(payload: &[u8]) -> Option<Record<'_>> {
    let mut rest = Rest(payload);
    let record = Record {
        kind: match rest.byte()? {
            0 => Kind::Event,
            1 => Kind::Pageview,
            2 => Kind::Vital,
            _ => return None,
        },
        source: match rest.byte()? {
            0 => Source::Browser,
            1 => Source::Server,
            2 => Source::Bulk,
            3 => Source::Import,
            _ => return None,
        },
        token: rest.optional(|rest| rest.bytes().map(TokenId::new))?,
        site: SiteId::new(rest.bytes()?),
        name: rest.text()?,
        time: rest.time()?,
        received: rest.time()?,
        session: rest.optional(|rest| rest.bytes().map(SessionId::new))?,
        event_id: rest.optional(Rest::text)?,
        page: rest.optional(|rest| rest.number().map(PageHash::new))?,
        host: rest.optional(Rest::text)?,
        path: rest.optional(Rest::text)?,
        query: rest.optional(Rest::text)?,
        referrer: rest.optional(Rest::text)?,
        user_agent: rest.optional(Rest::text)?,
        language: rest.optional(Rest::text)?,
        viewport_width: rest.optional(Rest::size)?,
        viewport_height: rest.optional(Rest::size)?,
        screen_width: rest.optional(Rest::size)?,
        screen_height: rest.optional(Rest::size)?,
        utm_source: rest.optional(Rest::text)?,
        utm_medium: rest.optional(Rest::text)?,
        utm_campaign: rest.optional(Rest::text)?,
        utm_term: rest.optional(Rest::text)?,
        utm_content: rest.optional(Rest::text)?,
        qr: rest.optional(Rest::bytes)?,
        country: rest.optional(Rest::bytes)?,
        tracker_source: rest.optional(Rest::text)?,
        tracker_version: rest.optional(Rest::text)?,
        properties: rest.text()?,
    };
    rest.0.is_empty().then_some(record)
}

impl<'a> Rest<'a> {
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    #[inline]
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// A number: one byte below 251; 251, 252 or 253, and two, four or eight bytes. Only the shortest form is one here.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        let (number, above) = match self.byte()? {
            byte @ ..251 => return Some(byte.into()),
            251 => (u64::from(u16::from_le_bytes(self.bytes()?)), 250),
            252 => (u64::from(u32::from_le_bytes(self.bytes()?)), u64::from(u16::MAX)),
            253 => (u64::from_le_bytes(self.bytes()?), u64::from(u32::MAX)),
            _ => return None,
        };
        (number > above).then_some(number)
    }

    #[inline]
    fn size(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    #[inline]
    fn time(&mut self) -> Option<UnixMicros> {
        let zigzag = self.number()?;
        UnixMicros::new((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    #[inline]
    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }
}
