//! Files that change or vanish while they wait or are sent.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use odile_station::SendRequest;
use odile_station::partner::ServiceWish;
use odile_tests::envelope::noise;
use odile_tests::peer::{Peer, Said};
use odile_tests::scene::Scene;
use odile_wire::command::SetCredit;
use odile_wire::{Command, EndSessionReason as Reason, Mnemonic};

/// The file changes between queue and offer: it fails by name, and the session goes on.
fn changed_in_the_queue(change: impl FnOnce(&PathBuf), told: &str) {
    let scene = Scene::calling("");
    let path = scene.station.write("model", &[1; 5000]);
    let transfer = scene.station.send("peer", &path);
    let mut peer = Peer::answer(&scene.port);
    change(&path);
    peer.greet_back(&odile_tests::peer::ssid());
    peer.expect(Mnemonic::Cd);
    peer.end(Reason::NORMAL);
    peer.expect_closed();
    let (state, detail) = scene.state(&transfer);
    assert!(state == "failed" && detail.contains(told) && detail.contains("model"), "{state}: {detail}");
    scene.assert_told(&detail);
    scene.assert_unharmed(0);
}

#[test]
fn a_source_that_became_a_folder_fails() {
    let become_folder = |path: &PathBuf| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    };
    changed_in_the_queue(become_folder, "is not a regular file");
}

#[test]
fn a_source_that_grew_in_the_queue_fails() {
    let append =
        |path: &PathBuf| File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
    changed_in_the_queue(append, "its size is another");
}

#[test]
fn a_source_that_may_not_be_read_any_more_fails() {
    let probe = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(probe.path(), fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(probe.path()).is_ok() {
        let _ = writeln!(
            std::io::stdout(),
            "skipped: a source that cannot be read: this user may read every file"
        );
        return;
    }
    let forbid = |path: &PathBuf| fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    changed_in_the_queue(forbid, "cannot open");
}

/// The file changes after the first window of credit. The peer goes on reading until the station gives up.
fn changed_on_the_way(change: impl FnOnce(&PathBuf), told: &str) {
    let scene = Scene::calling("");
    let path = scene.station.write("model", &vec![1; 200_000]);
    let transfer = scene.station.send("peer", &path);
    let mut peer = Peer::opened(&scene.port);
    peer.expect_offer();
    peer.accept();
    for _ in 0..3 {
        assert!(matches!(peer.read(), Said::Data(_)));
    }
    change(&path);
    peer.send(Command::SetCredit(SetCredit));
    let mut buffers = 0;
    let reason = loop {
        match peer.read() {
            Said::Data(payload) => {
                let real = payload.chunks(64).all(|piece| piece[1..].iter().all(|&octet| octet == 1));
                assert!(real, "zeros instead of the file");
                buffers += 1;
                if buffers % 3 == 0 {
                    peer.send(Command::SetCredit(SetCredit));
                }
            }
            Said::Command(Command::EndSession(end)) => break end.reason,
            other => unreachable!("DATA or ESID was expected, not {other:?}"),
        }
    };
    assert_eq!(reason, Reason::UNSPECIFIED);
    drop(peer);
    let (state, detail) = scene.state(&transfer);
    assert!(state == "failed" && detail.contains(told) && detail.contains("model"), "{state}: {detail}");
    let end = scene.end();
    assert!(end.by_us && end.reason == Reason::UNSPECIFIED, "{end:?}");
    scene.assert_unharmed(0);
}

#[test]
fn a_source_that_shrinks_while_it_is_sent_fails() {
    let cut = |path: &PathBuf| File::options().write(true).open(path).unwrap().set_len(8192).unwrap();
    changed_on_the_way(cut, "it was truncated");
}

#[test]
fn a_source_that_is_emptied_while_it_is_sent_fails() {
    let cut = |path: &PathBuf| File::options().write(true).open(path).unwrap().set_len(0).unwrap();
    changed_on_the_way(cut, "it was truncated");
}

#[test]
fn a_source_that_grows_while_it_is_sent_fails() {
    let grow = |path: &PathBuf| File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
    changed_on_the_way(grow, "its size is another");
}

#[test]
fn a_source_that_is_written_to_while_it_is_sent_fails() {
    let touch = |path: &PathBuf| {
        let mut file = File::options().write(true).open(path).unwrap();
        file.write_all(&[1]).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    };
    changed_on_the_way(touch, "its time of modification is another");
}

#[test]
fn a_source_that_is_removed_while_it_is_sent_arrives_all_the_same() {
    let scene = Scene::calling("");
    let path = scene.station.write("model", &vec![1; 20_000]);
    let transfer = scene.station.send("peer", &path);
    let mut peer = Peer::opened(&scene.port);
    let file = peer.expect_offer();
    peer.accept();
    fs::remove_file(&path).unwrap();
    assert_eq!(peer.take_data(), vec![1; 20_000]);
    peer.confirm();
    peer.expect(Mnemonic::Cd);
    peer.send_receipt(&file);
    peer.finish();
    scene.station.wait_state(&transfer, "delivered");
    scene.assert_unharmed(0);
}

/// The same of a file that is sealed: whatever was read of it before, it does not come to its end.
fn changed_while_it_is_sealed(change: impl FnOnce(&PathBuf)) {
    let scene = Scene::secured_calling("");
    let path = scene.station.write("model", &noise(1, 200_000));
    let mut request = SendRequest::new("peer", &path);
    request.services =
        ServiceWish { sign: Some(true), compress: Some(true), encrypt: Some(true), ..ServiceWish::default() };
    let transfer = format!("S{}", scene.station.handle().send(&request).expect("it is queued").id);
    let mut peer = Peer::opened(&scene.port);
    peer.expect_offer();
    peer.accept();
    for _ in 0..3 {
        assert!(matches!(peer.read(), Said::Data(_)));
    }
    change(&path);
    peer.send(Command::SetCredit(SetCredit));
    let mut buffers = 0;
    let reason = loop {
        match peer.read() {
            Said::Data(_) => {
                buffers += 1;
                if buffers % 3 == 0 {
                    peer.send(Command::SetCredit(SetCredit));
                }
            }
            Said::Command(Command::EndSession(end)) => break end.reason,
            other => unreachable!("DATA or ESID was expected, not {other:?}"),
        }
    };
    assert_eq!(reason, Reason::UNSPECIFIED);
    drop(peer);
    let (state, detail) = scene.state(&transfer);
    assert!(state == "failed" && detail.contains("model"), "{state}: {detail}");
    scene.assert_unharmed(0);
}

#[test]
fn a_source_that_changes_while_it_is_sealed_fails() {
    let open = |path: &PathBuf| File::options().write(true).open(path).unwrap();
    changed_while_it_is_sealed(|path| open(path).set_len(8192).unwrap());
    changed_while_it_is_sealed(|path| open(path).set_len(0).unwrap());
    changed_while_it_is_sealed(|path| open(path).set_len(300_000).unwrap());
    changed_while_it_is_sealed(|path| open(path).set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap());
}
