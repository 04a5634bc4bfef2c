//! A segment answers as the plain list of its rows does.

#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::Segment;
use super::model::{Judge, Model, ModelRow, compare};

const MINUTE_US: i64 = 60_000_000;

fn texts(texts: &[&str]) -> impl Strategy<Value = Option<String>> + use<> {
    option::weighted(0.9, select(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>()))
}

fn row() -> impl Strategy<Value = ModelRow> {
    // Times in all units, close together and far apart, so that buckets are shorter and longer than an hour.
    let time = prop_oneof![
        8 => (0i64..600).prop_map(|minutes| minutes * MINUTE_US),
        4 => (0i64..3_600_000).prop_map(|millis| millis * 1000),
        1 => -3i64..3,
        1 => (0i64..400).prop_map(|days| days * 1440 * MINUTE_US + 1),
    ];
    let name = select(vec!["", "a", "ab", "signup"]);
    let head = (0u8..2, 0u8..3, name, time, 0u64..3, option::weighted(0.9, 0u8..12));
    let fields = (
        texts(&["/", "/a", "/a/b", "/a/c", "/b", "/cart"]),
        texts(&["Firefox", "Safari"]),
        texts(&["CH", "DE", ""]),
        texts(&["{}", "{\"a\":\0}"]),
    );
    let properties = vec(texts(&["1", "\"pro\"", "\"free\""]), 0..3);
    (head, fields, properties).prop_map(|((site, kind, name, time, sequence, session), fields, properties)| ModelRow {
        site,
        kind,
        name: name.to_owned(),
        time,
        sequence,
        session,
        fields: fields.into(),
        properties,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_segment_answers_as_the_list_of_its_rows(rows in vec(row(), 0..200), cuts in vec(any::<u32>(), 2..16)) {
        let model = Model::new(rows);
        let fs = model.committed();
        let segment = Segment::open(&fs, &Model::path()).unwrap();
        compare(&segment, &model, &cuts, &mut Judge { is_damaged: false, errors: 0 });
    }

    #[test]
    fn few_names_have_long_runs(mut rows in vec(row(), 600..1500), cuts in vec(any::<u32>(), 2..40), spread in 0i64..3) {
        for (number, row) in rows.iter_mut().enumerate() {
            (row.site, row.kind) = (0, 1);
            row.name.clear();
            row.time += number as i64 / 10 * spread * MINUTE_US;
        }
        let model = Model::new(rows);
        let fs = model.committed();
        let segment = Segment::open(&fs, &Model::path()).unwrap();
        compare(&segment, &model, &cuts, &mut Judge { is_damaged: false, errors: 0 });
    }
}
