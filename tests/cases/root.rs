//! Power cuts and a full disk, on file systems of their own. Needs root: `make test-root`.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Book, Event, Options, SITE_DOMAIN, load};

/// Runs a command that must succeed, and gives what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A file system that is unmounted when dropped.
struct Mount {
    point: PathBuf,
    /// The loop device, for a file system in an image.
    device: Option<String>,
}

impl Mount {
    fn image(directory: &Path, file_system: &str) -> Mount {
        let image = directory.join("image");
        std::fs::File::create(&image).unwrap().set_len(512 * 1024 * 1024).unwrap();
        let image = image.to_str().unwrap();
        match file_system {
            "ext4" => run("mkfs.ext4", &["-q", "-F", image]),
            "xfs" => run("mkfs.xfs", &["-q", "-f", image]),
            other => panic!("no image of {other}"),
        };
        let mut mount = Mount { point: directory.join("mount"), device: None };
        std::fs::create_dir(&mount.point).unwrap();
        mount.device = Some(run("losetup", &["-f", "--show", image]));
        mount.mount();
        mount
    }

    fn tmpfs(directory: &Path, megabytes: u32) -> Mount {
        let mount = Mount { point: directory.join("mount"), device: None };
        std::fs::create_dir(&mount.point).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs", mount.point()]);
        mount
    }

    fn point(&self) -> &str {
        self.point.to_str().unwrap()
    }

    fn mount(&self) {
        run("mount", &[self.device.as_deref().expect("an image has a device"), self.point()]);
    }

    /// Takes the file system down at once: what was not synced is gone, as after a power cut.
    fn cut_power(&self) {
        run("xfs_io", &["-x", "-c", "shutdown", self.point()]);
    }

    fn remount(&self) {
        run("umount", &[self.point()]);
        self.mount();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, so that a failed case with a daemon still on it leaves no mount behind.
        let _ = Command::new("umount").args(["-l", self.point()]).status();
        if let Some(device) = &self.device {
            let _ = Command::new("losetup").args(["-d", device]).status();
        }
    }
}

/// 20 power cuts under eight clients; every event that was acknowledged is there after each.
///
/// `HITKEEP_TEST_SYNC=os` takes the syncs out, to see this fail.
fn survives_power_cuts(file_system: &str) {
    let cuts: u64 = std::env::var("HITKEEP_TEST_CUTS").map_or(20, |cuts| cuts.parse().unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let mount = Mount::image(scratch.path(), file_system);
    // Small logs, so that the power is cut during rotation too.
    let mut options = Options::new().data_path(mount.point.join("data")).flag("--segment-bytes", "1048576");
    if let Ok(sync) = std::env::var("HITKEEP_TEST_SYNC") {
        options = options.flag("--sync", &sync);
    }
    let mut daemon = options.start();
    let site = daemon.create_site(SITE_DOMAIN);
    let mut book = Book::new();
    for cut in 1..=cuts {
        let until = 40 + 370 * (cut % 7);
        book.report_during(&daemon, |progress| {
            let begun = Instant::now();
            while progress.acknowledged() < until {
                assert!(begun.elapsed() < Duration::from_secs(30), "the clients got nowhere");
                std::thread::sleep(Duration::from_micros(200));
            }
            mount.cut_power();
        });
        println!("cut {cut} on {file_system}: {} acknowledged", book.acknowledged());
        let options = daemon.kill();
        mount.remount();
        daemon = options.start();
        book.check(&daemon, &site);
    }
    println!("{} events stored over {cuts} cuts on {file_system}", book.stored());
    drop(daemon);
}

#[test]
fn ext4_loses_power_and_nothing_acknowledged_is_missing() {
    survives_power_cuts("ext4");
}

#[test]
fn xfs_loses_power_and_nothing_acknowledged_is_missing() {
    survives_power_cuts("xfs");
}

/// A disk that is really full: refused with 507, questions answered, appends resumed when space is given back.
#[test]
fn a_full_file_system_refuses_events_answers_questions_and_recovers_by_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let mount = Mount::tmpfs(scratch.path(), 24);
    let ballast = mount.point.join("ballast");
    std::fs::write(&ballast, vec![0; 12 * 1024 * 1024]).unwrap();
    let daemon = Options::new().data_path(mount.point.join("data")).start();
    let site = daemon.create_site(SITE_DOMAIN);
    let stored = load::fill_disk(&daemon);
    assert_eq!(daemon.count(&site, load::BIG_EVENT_NAME), stored, "questions are answered on a full disk");

    std::fs::remove_file(&ballast).unwrap();
    load::await_room(&daemon);
    let daemon = daemon.kill().start();
    assert_eq!(daemon.count(&site, load::BIG_EVENT_NAME), stored, "all of it is there after a kill");
    drop(daemon);
}

/// A disk that events have filled gives back what a removed site had, in segments that others share, and then takes events again.
#[test]
fn on_a_full_file_system_a_site_can_be_removed_and_events_are_taken_again() {
    let scratch = tempfile::tempdir().unwrap();
    let mount = Mount::tmpfs(scratch.path(), 48);
    // Small logs, so that there are some segments.
    let daemon = Options::new().data_path(mount.point.join("data")).flag("--segment-bytes", "4194304").start();
    let (gone, stays) = (daemon.create_site("gone.example"), daemon.create_site(SITE_DOMAIN));
    let mut sent = 0;
    let mut fill = || {
        let mut connection = daemon.connect();
        let mut stored = 0;
        loop {
            let domain = if sent % 2 == 0 { "gone.example" } else { SITE_DOMAIN };
            let properties = serde_json::json!({ "padding": load::noise(sent, 30 * 1024) });
            let event = Event::new(load::BIG_EVENT_NAME).with("url", format!("https://{domain}/")).with("properties", properties);
            let answer = event.send(&mut connection, &daemon.token()).unwrap();
            match (answer.status, answer.text()) {
                (202, _) => (sent, stored) = (sent + 1, stored + 1),
                // The sealer works.
                (503, "Service busy\n") => std::thread::sleep(Duration::from_millis(20)),
                (507, _) => return stored,
                other => panic!("{other:?}"),
            }
        }
    };
    while fill() > 0 {
        assert_eq!(daemon.as_owner("POST", "/api/admin/seal", None).status, 200, "there is space to seal\n{}", daemon.output());
    }
    let free = rustix::fs::statvfs(&mount.point).map(|disk| disk.f_bavail * disk.f_frsize).unwrap();
    println!("{sent} events of 30 KiB, {free} bytes are left");
    let half = daemon.count(&stays, load::BIG_EVENT_NAME);
    assert_eq!((daemon.count(&gone, load::BIG_EVENT_NAME) + half, sent / 2), (sent, half));
    let daemon = daemon.kill().start();
    assert_eq!(daemon.report(&Event::new(load::BIG_EVENT_NAME)).status, 507, "after a restart as well");
    assert_eq!(daemon.as_owner("DELETE", &format!("/api/sites/{gone}"), None).status, 200);
    load::await_room(&daemon);
    assert_eq!(daemon.count(&stays, load::BIG_EVENT_NAME), half, "nothing else is gone");
    drop(daemon);
}
