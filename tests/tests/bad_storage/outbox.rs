//! Files in the outbox that are not to be taken, or cannot be removed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use odile_station::{Event, Operation, Options};
use odile_tests::faults::{EIO, FailAlways};
use odile_tests::scene::Scene;
use odile_tests::station::{PATIENCE, TestStation, options, pair_with};

fn outbox(station: &TestStation) -> PathBuf {
    station.home().outbox(&"peer".parse().expect("a name"))
}

fn wait_queued(scene: &Scene, name: &str) {
    let is_it = |event: &Event| matches!(event, Event::FileQueued { path, .. } if path.ends_with(name));
    scene.station.events.wait_for(name, is_it);
}

/// Waits until the whole outbox was looked at, from now on.
fn wait_for_a_look(scene: &Scene, name: &str) {
    for turn in ["1", "2"] {
        // What is queued in one look may come before the file in question; in the next one it comes after.
        let staged = scene.station.write("staged", b"x");
        fs::rename(staged, outbox(&scene.station).join(format!("{name}{turn}"))).expect("on one filesystem");
        wait_queued(scene, &format!("{name}{turn}"));
    }
}

fn queued(scene: &Scene) -> Vec<String> {
    let events = scene.station.events.all();
    let names = events.into_iter().filter_map(|event| match event {
        Event::FileQueued { path, .. } => Some(path.rsplit('/').next().unwrap_or_default().to_owned()),
        _ => None,
    });
    names.collect()
}

#[test]
fn names_that_are_not_meant_for_sending_are_left_alone() {
    let scene = Scene::new("");
    for name in [".hidden", "half.part", "half.tmp"] {
        fs::write(outbox(&scene.station).join(name), b"x").unwrap();
    }
    fs::create_dir(outbox(&scene.station).join("folder")).unwrap();
    wait_for_a_look(&scene, "other");
    assert_eq!(queued(&scene), ["other1", "other2"]);
    scene.assert_unharmed(0);
}

#[test]
fn an_outbox_that_was_removed_is_told_and_does_no_harm() {
    let scene = Scene::new("");
    fs::remove_dir(outbox(&scene.station)).unwrap();
    scene.assert_told("read folder");
    scene.assert_unharmed(0);
}

#[test]
fn a_delivered_file_that_cannot_be_removed_is_told_and_not_sent_again() {
    let disk = Arc::new(FailAlways { operation: Operation::Remove, error: EIO });
    let (mut alpha, beta) = pair_with("", Options { faults: Some(disk), ..options() }, options());
    let staged = alpha.write("staged", b"x");
    let path = alpha.home().outbox(&"beta".parse().unwrap()).join("stuck");
    fs::rename(staged, &path).unwrap();
    alpha.events.wait_for("the trouble", |event| event.to_string().contains("delivered, but"));
    assert!(path.exists());
    // The next start removes it without sending it again.
    alpha.stop();
    alpha.start();
    let deadline = std::time::Instant::now() + PATIENCE;
    while path.exists() {
        assert!(std::time::Instant::now() < deadline, "it stays in the outbox");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let queued = alpha.events.all().iter().filter(|event| matches!(event, Event::FileQueued { .. })).count();
    assert_eq!((queued, beta.inbox("alpha").len()), (1, 1));
}
