//! The binary under test, built once for each test program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// How the binary is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Optimised, with every assertion on: what the cases run.
    Test,
    /// As it is shipped: what the bench measures.
    Release,
}

/// The daemon, built with [`Profile::Test`].
pub fn hitkeepd() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build(Profile::Test, &["--workspace", "--bins"], "hitkeepd"))
}

/// The daemon, built with [`Profile::Release`].
pub fn hitkeepd_released() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build(Profile::Release, &["--package", "hitkeepd"], "hitkeepd"))
}

/// The server that only reads the body and answers 202, built as the daemon is shipped.
pub fn bare_server() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build(Profile::Release, &["--package", "hitkeep-tests", "--example", "bare"], "bare"))
}

/// Builds with the cargo that runs this program and reads the path from what cargo reports, so that no directory
/// layout is assumed.
fn build(profile: Profile, what: &[&str], name: &str) -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace())
        .args(["build", "--locked", "--message-format=json-render-diagnostics"])
        .args(["--profile", if profile == Profile::Test { "test" } else { "release" }])
        .args(what)
        .stderr(Stdio::inherit());
    // Build scripts look at these: what the cargo around this program set for it would build everything anew.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"]
            .iter()
            .any(|set| name.to_string_lossy().starts_with(set))
        {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output().expect("cargo can be run");
    assert!(output.status.success(), "the binary does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the executable it built")
}

/// The top of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace")
}
