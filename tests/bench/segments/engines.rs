//! ClickHouse and DuckDB, in a Python environment of the bench's own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::shop::{Shop, YEAR_END, YEAR_FROM};

/// What one engine says to one question.
pub(crate) struct Said {
    pub(crate) ms: f64,
    /// Bucket or name, and count, in the engine's order.
    pub(crate) rows: Vec<(String, u64)>,
}

/// One engine, loaded and asked.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) load_seconds: f64,
    pub(crate) bytes: u64,
    pub(crate) said: BTreeMap<String, Said>,
}

/// Loads the events of `shop` into both engines and asks them the questions of `engines.py`.
pub(crate) fn ask(shop: Shop, folder: &Path) -> Vec<Engine> {
    let source = folder.join("shop.ndjson");
    write(shop, &source);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/segments/engines.py");
    let output = Command::new(python())
        .arg(script)
        .arg(&source)
        .arg(folder)
        .args([YEAR_FROM.to_string(), YEAR_END.to_string()])
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_file(&source).expect("the file is ours");
    let said: Value = serde_json::from_slice(&output.stdout).expect("one object");
    [("ClickHouse", "clickhouse"), ("DuckDB", "duckdb")].map(|(name, key)| engine(name, &said[key])).into()
}

fn engine(name: &'static str, value: &Value) -> Engine {
    let row = |row: &Value| (row[0].as_str().expect("a text").to_owned(), row[1].as_u64().expect("a count"));
    let said = |answer: &Value| Said {
        ms: answer["ms"].as_f64().expect("a time"),
        rows: answer["rows"].as_array().expect("rows").iter().map(row).collect(),
    };
    let answers = value["answers"].as_object().expect("an object");
    Engine {
        name,
        load_seconds: value["load_seconds"].as_f64().expect("a time"),
        bytes: value["bytes"].as_u64().expect("a size"),
        said: answers.iter().map(|(question, answer)| (question.clone(), said(answer))).collect(),
    }
}

/// The environment's Python; made at the first run, in the folder of what is built.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engines");
    let python = folder.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "chdb==4.4.0", "duckdb==2.0.0"]));
    }
    python
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} ended with {status}");
}

fn write(mut shop: Shop, path: &Path) {
    let mut out = BufWriter::new(fs::File::create(path).expect("there is space"));
    while let Some(event) = shop.next() {
        let name = if event.name.is_empty() { "pageview" } else { event.name };
        let line = serde_json::json!({
            "name": name,
            "time": event.time,
            "session": format!("{:032x}", u128::from_be_bytes(event.session)),
            "path": event.path,
            "user_agent": event.user_agent,
            "referrer": event.referrer.unwrap_or_default(),
            "utm_source": event.utm_source.unwrap_or_default(),
            "properties": event.properties,
        });
        writeln!(out, "{line}").expect("there is space");
    }
    out.flush().expect("there is space");
}
