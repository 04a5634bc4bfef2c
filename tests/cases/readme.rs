//! The README's quick start does what it says when it is pasted into a shell.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use support::{Daemon, secrets};

fn readme() -> String {
    std::fs::read_to_string(support::binary::workspace().join("README.md")).unwrap()
}

/// The shell blocks of the section called `title`.
fn shell_blocks(readme: &str, title: &str) -> String {
    let section = readme.split("\n## ").find(|section| section.starts_with(title)).expect("the section is there");
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty(), "{title} has something to paste");
    blocks.concat()
}

#[test]
fn the_quick_start_works_when_pasted() {
    let blocks = shell_blocks(&readme(), "Quick start");
    let here = "http://127.0.0.1:8080";
    assert!(blocks.contains(here), "the quick start asks the daemon that `make run` started");
    let daemon = Daemon::start();
    // `make run` keeps its data in ./data, and so does the harness beside its scratch directory: only the port differs.
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &blocks.replace(here, &daemon.url())])
        .current_dir(daemon.options().scratch())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    secrets::assert_absent(&format!("{stdout}{stderr}"), &[daemon.token()]);
    let headers = stdout.to_lowercase();
    assert!(headers.contains("hitkeep-sequence: 1\r\n"), "{stdout}");
    assert!(headers.contains("hitkeep-duplicate: true"), "the same event again is a duplicate: {stdout}");
    assert!(stdout.contains(r#""conversions":1,"total":1"#), "the goal counted the event: {stdout}");
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = readme();
    assert!(readme.contains("make run") && readme.contains("make test"));
}
