#![allow(clippy::unwrap_used)]

use super::*;

/// Every field set, each to something else.
fn full() -> Record<'static> {
    Record {
        kind: Kind::Pageview,
        source: Source::Import,
        token: Some(TokenId::new([1; 16])),
        site: SiteId::new([2; 16]),
        name: "signup",
        time: UnixMicros::new(1_772_325_000_123_456).unwrap(),
        received: UnixMicros::new(-1).unwrap(),
        session: Some(SessionId::new([3; 16])),
        event_id: Some("id-1"),
        page: Some(PageHash::new(0x0102_0304_0506_0708)),
        host: Some("h"),
        path: Some("/p"),
        query: Some("q=1"),
        referrer: Some("r"),
        user_agent: Some("u"),
        language: Some("de"),
        viewport_width: Some(1),
        viewport_height: Some(300),
        screen_width: Some(70_000),
        screen_height: Some(4),
        utm_source: Some("a"),
        utm_medium: Some("b"),
        utm_campaign: Some("c"),
        utm_term: Some("d"),
        utm_content: Some("e"),
        qr: Some([4; 16]),
        country: Some(*b"NP"),
        tracker_source: Some("hk.js"),
        tracker_version: Some(""),
        properties: "{\"plan\":\"pro\"}",
    }
}

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    record.encode(&mut out).unwrap();
    out
}

#[test]
fn golden_bytes_of_a_record_with_every_field() {
    let golden = concat!(
        "0103",
        "0101010101010101010101010101010101",
        "02020202020202020202020202020202",
        "067369676e7570",
        "fd80281e24d7970c00",
        "01",
        "0103030303030303030303030303030303",
        "010469642d31",
        "01fd0807060504030201",
        "010168",
        "01022f70",
        "0103713d31",
        "010172",
        "010175",
        "01026465",
        "0101",
        "01fb2c01",
        "01fc70110100",
        "0104",
        "010161",
        "010162",
        "010163",
        "010164",
        "010165",
        "0104040404040404040404040404040404",
        "014e50",
        "0105686b2e6a73",
        "0100",
        "0e7b22706c616e223a2270726f227d",
    );
    let bytes = encoded(&full());
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, golden);
    assert_eq!(Record::decode(&bytes).unwrap(), full());
}

#[test]
fn golden_bytes_of_a_record_with_few_fields() {
    let record =
        Record { name: "x", ..Record::new(Kind::Event, Source::Browser, SiteId::new([2; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH) };
    let golden = ["0000", "00", "02020202020202020202020202020202", "0178", "00", "00", &"00".repeat(22), "00"].concat();
    let bytes = encoded(&record);
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, golden);
    assert_eq!(Record::decode(&bytes).unwrap(), record);
}

fn derived(payload: &[u8]) -> Option<Record<'_>> {
    let (record, read) = bincode::borrow_decode_from_slice(payload, CONFIG).ok()?;
    (read == payload.len()).then_some(record)
}

#[test]
fn the_quick_decoder_reads_what_the_derived_one_reads() {
    let few = Record::new(Kind::Event, Source::Browser, SiteId::new([2; 16]), UnixMicros::EPOCH, UnixMicros::MAX);
    for record in [full(), few, Record { kind: Kind::Vital, source: Source::Server, viewport_width: Some(u32::MAX), ..full() }] {
        assert_eq!(quick::decode(&encoded(&record)), Some(record));
    }
    // Whatever stands in each byte: nothing, or the same.
    let bytes = encoded(&full());
    for at in 0..bytes.len() {
        for byte in 0..=u8::MAX {
            let mut other = bytes.clone();
            other[at] = byte;
            let quick = quick::decode(&other);
            assert!(quick.is_none() || quick == derived(&other), "{byte} at {at}");
        }
    }
}

#[test]
fn a_head_is_what_its_record_begins_with() {
    let few = Record::new(Kind::Event, Source::Browser, SiteId::new([2; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH);
    for record in [full(), few] {
        assert_eq!(RecordHead::decode(&encoded(&record)).unwrap(), record.head());
    }
}

#[test]
fn a_record_cut_short_or_with_bytes_behind_it_is_refused() {
    let mut bytes = encoded(&full());
    for len in 0..bytes.len() {
        assert!(Record::decode(&bytes[..len]).is_err(), "{len} bytes");
    }
    bytes.push(0);
    assert!(matches!(Record::decode(&bytes), Err(RecordError::TrailingBytes(1))));
}

#[test]
fn an_instant_outside_its_range_is_refused() {
    let mut bytes = encoded(&Record {
        name: "x",
        ..Record::new(Kind::Event, Source::Browser, SiteId::new([2; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH)
    });
    let time_at = 2 + 1 + 16 + 2;
    bytes.splice(time_at..=time_at, [0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert!(matches!(Record::decode(&bytes), Err(RecordError::Undecodable(_))));
}

#[test]
fn a_record_past_the_limit_leaves_the_buffer_as_it_was() {
    let properties = "x".repeat(MAX_RECORD_BYTES);
    let record = Record { properties: &properties, ..full() };
    let mut out = b"before".to_vec();
    assert!(matches!(record.encode(&mut out), Err(RecordError::TooLong(_))));
    assert_eq!(out, b"before");
}
