//! The fields of a record as entries of a segment's dictionaries, and back.
//!
//! What stands in columns of its own is not here: site, kind and name (a row's run), time, session, event id, and the properties,
//! which `shape` splits. A field that is added to the record has to be added in both directions: [`for_each`] names them all, so that
//! the compiler finds one that is forgotten, and a test finds one that does not come back.

use format::sealed::Field;
use format::{PageHash, Record, Source, TokenId};

/// The fields that [`for_each`] visits: all but the shape.
pub(crate) const OF_RECORDS: [Field; Field::ALL.len() - 1] = {
    let mut fields = [Field::Source; Field::ALL.len() - 1];
    let mut at = 0;
    while at < fields.len() {
        fields[at] = Field::ALL[at];
        at += 1;
    }
    fields
};
const _: () = assert!(matches!(Field::ALL[Field::ALL.len() - 1], Field::Shape));

/// Calls `visit` with each field that the record has, and its entry.
pub(crate) fn for_each(record: &Record<'_>, mut visit: impl FnMut(Field, &[u8])) {
    let &Record {
        kind: _,
        source,
        token,
        site: _,
        name: _,
        time: _,
        received: _,
        session: _,
        event_id: _,
        page,
        host,
        path,
        query,
        referrer,
        user_agent,
        language,
        viewport_width,
        viewport_height,
        screen_width,
        screen_height,
        utm_source,
        utm_medium,
        utm_campaign,
        utm_term,
        utm_content,
        qr,
        country,
        tracker_source,
        tracker_version,
        properties: _,
    } = record;
    visit(Field::Source, &[source as u8]);
    if let Some(token) = token {
        visit(Field::Token, &token.bytes());
    }
    if let Some(page) = page {
        visit(Field::Page, &page.value().to_be_bytes());
    }
    if let Some(qr) = qr {
        visit(Field::Qr, &qr);
    }
    if let Some(country) = country {
        visit(Field::Country, &country);
    }
    for (field, size) in [
        (Field::ViewportWidth, viewport_width),
        (Field::ViewportHeight, viewport_height),
        (Field::ScreenWidth, screen_width),
        (Field::ScreenHeight, screen_height),
    ] {
        if let Some(size) = size {
            visit(field, &size.to_be_bytes());
        }
    }
    for (field, text) in [
        (Field::Host, host),
        (Field::Path, path),
        (Field::Query, query),
        (Field::Referrer, referrer),
        (Field::UserAgent, user_agent),
        (Field::Language, language),
        (Field::UtmSource, utm_source),
        (Field::UtmMedium, utm_medium),
        (Field::UtmCampaign, utm_campaign),
        (Field::UtmTerm, utm_term),
        (Field::UtmContent, utm_content),
        (Field::TrackerSource, tracker_source),
        (Field::TrackerVersion, tracker_version),
    ] {
        if let Some(text) = text {
            visit(field, text.as_bytes());
        }
    }
}

/// Puts `entry` into its field of the record. `None` if it is no entry of this field.
pub(crate) fn set<'e>(record: &mut Record<'e>, field: Field, entry: &'e [u8]) -> Option<()> {
    let text = |place: &mut Option<&'e str>| std::str::from_utf8(entry).ok().map(|text| *place = Some(text));
    match field {
        Field::Source => record.source = source(entry)?,
        Field::Token => record.token = Some(TokenId::new(entry.try_into().ok()?)),
        Field::Page => record.page = Some(PageHash::new(u64::from_be_bytes(entry.try_into().ok()?))),
        Field::Qr => record.qr = Some(entry.try_into().ok()?),
        Field::Country => record.country = Some(entry.try_into().ok()?),
        Field::ViewportWidth => record.viewport_width = Some(size(entry)?),
        Field::ViewportHeight => record.viewport_height = Some(size(entry)?),
        Field::ScreenWidth => record.screen_width = Some(size(entry)?),
        Field::ScreenHeight => record.screen_height = Some(size(entry)?),
        Field::Host => text(&mut record.host)?,
        Field::Path => text(&mut record.path)?,
        Field::Query => text(&mut record.query)?,
        Field::Referrer => text(&mut record.referrer)?,
        Field::UserAgent => text(&mut record.user_agent)?,
        Field::Language => text(&mut record.language)?,
        Field::UtmSource => text(&mut record.utm_source)?,
        Field::UtmMedium => text(&mut record.utm_medium)?,
        Field::UtmCampaign => text(&mut record.utm_campaign)?,
        Field::UtmTerm => text(&mut record.utm_term)?,
        Field::UtmContent => text(&mut record.utm_content)?,
        Field::TrackerSource => text(&mut record.tracker_source)?,
        Field::TrackerVersion => text(&mut record.tracker_version)?,
        Field::Shape => return None,
    }
    Some(())
}

fn size(entry: &[u8]) -> Option<u32> {
    entry.try_into().ok().map(u32::from_be_bytes)
}

fn source(entry: &[u8]) -> Option<Source> {
    [Source::Browser, Source::Server, Source::Bulk, Source::Import].into_iter().find(|source| entry == [*source as u8])
}

#[cfg(test)]
mod tests {
    use format::{Kind, SiteId, UnixMicros};

    use super::*;

    #[test]
    fn every_field_comes_back_from_its_entry() {
        let given = Record {
            token: Some(TokenId::new([1; 16])),
            page: Some(PageHash::new(2)),
            host: Some("host"),
            path: Some(""),
            query: Some("query"),
            referrer: Some("referrer"),
            user_agent: Some("agent"),
            language: Some("de"),
            viewport_width: Some(3),
            viewport_height: Some(4),
            screen_width: Some(5),
            screen_height: Some(u32::MAX),
            utm_source: Some("source"),
            utm_medium: Some("medium"),
            utm_campaign: Some("campaign"),
            utm_term: Some("term"),
            utm_content: Some("content"),
            qr: Some([6; 16]),
            country: Some(*b"DE"),
            tracker_source: Some("tracker"),
            tracker_version: Some("version"),
            ..Record::new(Kind::Vital, Source::Import, SiteId::new([7; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH)
        };
        let mut entries = Vec::new();
        for_each(&given, |field, entry| entries.push((field, entry.to_vec())));
        entries.sort();
        assert!(entries.iter().map(|(field, _)| *field).eq(OF_RECORDS));
        let mut read = Record::new(given.kind, Source::Browser, given.site, given.time, given.received);
        for (field, entry) in &entries {
            assert_eq!(set(&mut read, *field, entry), Some(()), "{field:?}");
        }
        assert_eq!(read, given);
    }

    #[test]
    fn an_entry_of_another_field_is_refused() {
        let mut record = Record::new(Kind::Event, Source::Server, SiteId::new([7; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH);
        for field in Field::ALL {
            assert_eq!(set(&mut record, field, b"\xff\xfe\xfd"), None, "{field:?}");
        }
        assert_eq!(set(&mut record, Field::Source, &[4]), None);
    }
}
