//! The bytes of a small segment, as they stand in `docs/format.md`.

#![allow(clippy::unwrap_used)]

use super::Segment;
use super::model::{Judge, Model, ModelRow, compare};
use crate::fs::double::MemFs;

/// A segment that was written when the format was made; it has to be read for ever.
const GOLDEN: &[u8] = include_bytes!("../../testdata/tiny.seg");

/// Two pageviews of one session, two hours apart, and an event with a property.
fn model() -> Model {
    let text = |text: &str| Some(text.to_owned());
    let row = |kind, name: &str, hour: i64| ModelRow {
        site: 1,
        kind,
        name: name.to_owned(),
        time: 1_700_000_000_000_000 + hour * 3_600_000_000,
        sequence: 0,
        session: Some(3),
        fields: [text("/"), text("Firefox"), None, None],
        properties: if kind == 0 { vec![text("\"pro\"")] } else { Vec::new() },
    };
    Model::new(vec![row(1, "", 0), row(0, "signup", 1), row(1, "", 2)])
}

#[test]
fn golden_bytes_of_a_segment() {
    let model = model();
    let written = model.committed().live(&Model::path()).unwrap();
    assert!(written == GOLDEN, "the bytes of a segment are not those of docs/format.md any more");
}

#[test]
fn a_segment_of_the_first_version_is_read() {
    let fs = MemFs::new(1);
    fs.install(&Model::path(), GOLDEN);
    let segment = Segment::open(&fs, &Model::path()).unwrap();
    compare(&segment, &model(), &[0, 3, 1, 2], &mut Judge { is_damaged: false, errors: 0 });
}
