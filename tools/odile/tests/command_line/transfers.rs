//! `serve`, `send`, `receive`, `queue`, `history`, `show`, `cancel`, `retry`, between two stations.

use std::fs;

use crate::process::{Home, Serve, eventually, nobody, text};

/// A station `O0013US` whose partner `them` runs; they know us as `us`.
fn pair() -> (Home, Home, Serve) {
    let them = Home::station("O0013THEM");
    them.run(&["partner", "add", "us", "--code", "O0013US"]).expect(0);
    let serving = them.serve();
    let us = Home::station("O0013US");
    us.run(&["partner", "add", "them", "--code", "O0013THEM", "--address", &serving.address]).expect(0);
    (us, them, serving)
}

fn content(octets: usize) -> Vec<u8> {
    (0..octets).map(|index| u8::try_from(index * 7 % 251).unwrap()).collect()
}

#[test]
fn a_file_is_delivered_by_the_command_alone() {
    let (us, them, _serving) = pair();
    let file = us.write("crash.key", &content(3_000_000));
    let run = us.run(&["send", "them", text(&file), "--delete"]).expect(0);
    assert!(run.stderr.contains("S1  crash.key  as CRASH.KEY 2"), "{run:#?}");
    assert!(run.stdout.contains("delivered") && run.stdout.contains("3000000"), "{run:#?}");
    let received = them.inbox("us");
    assert_eq!(received.len(), 1);
    assert!(fs::read(&received[0]).unwrap() == content(3_000_000));
    assert!(!file.exists(), "it was to be removed");
    let show = us.json(&["show", "S1"]);
    assert_eq!(show["entry"]["state"], "delivered");
    assert_eq!(show["receipts"][0]["what"], "EERP");
    assert!(us.run(&["show", "S1"]).expect(0).stdout.contains("receipt"));
    assert_eq!(them.json(&["history"])[0]["transfer"], "R1");
    assert_eq!(us.json(&["queue"]), serde_json::json!([]));
    // What is final stays so.
    assert!(us.run(&["cancel", "S1"]).expect(1).stderr.contains("delivered"));
    us.run(&["retry", "S1"]).expect(1);
}

#[test]
fn several_files_and_formats_in_json() {
    let (us, them, _serving) = pair();
    let one = us.write("one.dat", &content(80 * 100));
    let two = us.write("two.dat", b"");
    let arguments = ["send", "them", text(&one), text(&two), "--format", "f", "--record-size", "80"];
    let rows = us.json(&arguments);
    for (row, octets) in rows.as_array().unwrap().iter().zip([8000, 0]) {
        assert_eq!(row["state"], "delivered", "{rows}");
        assert_eq!(row["octets"], octets);
        assert!(row["seconds"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(rows[0]["dataset_name"].as_str().unwrap().split(' ').next(), Some("ONE.DAT"));
    assert_eq!(them.inbox("us").len(), 2);
}

#[test]
fn a_running_station_sends_for_the_command_and_tells_the_doctor() {
    let (us, them, serving) = pair();
    let ours = us.serve();
    let file = us.write("part.stp", &content(100_000));
    let rows = us.json(&["send", "them", text(&file), "--name", "PART 7", "--user", "ABC"]);
    assert_eq!(rows[0]["state"], "delivered", "{rows}");
    ours.wait_for("receipt_arrived");
    serving.wait_for("received");
    assert_eq!(them.json(&["show", "R1"])["file"]["user"], "ABC");
    let checks = us.json(&["doctor"]);
    assert!(checks.to_string().contains(&format!("running, listening at {}", ours.address)), "{checks}");
    // A second station in the same home is refused.
    us.run(&["serve"]).expect(3);
    assert_eq!(ours.terminate(), 0);
    assert_eq!(serving.terminate(), 0);
}

#[test]
fn receive_takes_what_waits_at_the_partner() {
    let (us, them, _serving) = pair();
    let nothing = us.run(&["receive", "them"]).expect(0);
    assert_eq!(nothing.stdout, "");
    let file = them.write("result.dat", &content(50_000));
    // They have no address of us: they wait for our call.
    let queued = them.json(&["send", "us", text(&file), "--wait", "none"]);
    assert_eq!(queued[0]["state"], "queued", "{queued}");
    let taken = us.json(&["receive", "them"]);
    assert_eq!(taken["normal"], true, "{taken}");
    assert_eq!(taken["received"][0]["octets"], 50_000);
    let path = taken["received"][0]["path"].as_str().unwrap();
    assert!(fs::read(path).unwrap() == content(50_000));
    eventually("their file has its receipt", || them.json(&["show", "S1"])["entry"]["state"] == "delivered");
    // Through a station that runs, and in words.
    let _ours = us.serve();
    them.json(&["send", "us", text(&file), "--wait", "none"]);
    let words = us.run(&["receive", "them"]).expect(0);
    assert!(words.stdout.contains("R2") && words.stdout.contains("50000"), "{words:#?}");
}

#[test]
fn a_partner_that_cannot_be_reached_leaves_the_file_queued() {
    let us = Home::station("O0013US");
    us.run(&["partner", "add", "them", "--code", "O0013THEM", "--address", &nobody()]).expect(0);
    let file = us.write("crash.key", b"content");
    let run = us.run(&["send", "them", text(&file)]).expect(3);
    assert!(run.stderr.contains("it stays queued"), "{run:#?}");
    assert_eq!(us.json(&["queue"])[0]["state"], "queued");
    assert!(us.run(&["queue"]).expect(0).stdout.contains("CRASH.KEY"));
    us.run(&["receive", "them"]).expect(3);
    us.run(&["retry", "S1"]).expect(0);
    us.run(&["cancel", "S1"]).expect(0);
    assert_eq!(us.json(&["history"])[0]["state"], "cancelled");
    assert_eq!(us.json(&["queue"]), serde_json::json!([]));
    us.run(&["retry", "S1"]).expect(1);
    // A running station goes on trying; the command does not wait for ever.
    let _ours = us.serve();
    us.run(&["send", "them", text(&file), "--wait-seconds", "1"]).expect(3);
    assert_eq!(us.json(&["cancel", "S2"])["state"], "cancelled");
    us.run(&["receive", "them"]).expect(3);
    us.run(&["cancel", "S9"]).expect(1);
}

#[test]
fn what_is_queued_is_sent_by_the_next_command() {
    let (us, them, _serving) = pair();
    let file = us.write("later.dat", b"later");
    us.run(&["send", "them", text(&file), "--wait", "none"]).expect(0);
    assert_eq!(us.json(&["queue"])[0]["attempts"], 0);
    us.run(&["receive", "them"]).expect(0);
    eventually("it is delivered", || us.json(&["queue"]) == serde_json::json!([]));
    assert_eq!(them.inbox("us").len(), 1);
}

#[test]
fn a_partner_that_never_calls_and_has_no_address_is_named() {
    let us = Home::station("O0013US");
    us.run(&["partner", "add", "caller", "--code", "O0013CALLER"]).expect(0);
    let file = us.write("a.dat", b"a");
    let run = us.run(&["send", "caller", text(&file)]).expect(3);
    assert!(run.stderr.contains("it calls us"), "{run:#?}");
    us.run(&["receive", "caller"]).expect(3);
}

#[test]
fn a_partner_that_takes_no_files_is_told_from_one_that_is_away() {
    let them = Home::station("O0013THEM");
    them.run(&["partner", "add", "us", "--code", "O0013US", "--no-send"]).expect(0);
    let serving = them.serve();
    let us = Home::station("O0013US");
    us.run(&["partner", "add", "them", "--code", "O0013THEM", "--address", &serving.address]).expect(0);
    let file = us.write("a.dat", b"a");
    let run = us.run(&["--output", "json", "send", "them", text(&file)]).expect(1);
    assert_eq!(run.json()[0]["state"], "queued");
    assert!(run.json()[0]["detail"].as_str().unwrap().contains("takes no files"), "{run:#?}");
    assert!(them.inbox("us").is_empty());
}

#[test]
fn a_refusal_ends_with_one() {
    let (us, them, serving) = pair();
    let add = ["partner", "add", "works2", "--code", "O0013OTHER", "--address", &serving.address];
    us.run(&add).expect(0);
    let config = us.root().join("partners/them.toml");
    let mut changed = fs::read_to_string(&config).unwrap();
    // A station behind them that they do not know.
    changed = changed.replace("#stations = [\"\"]", "stations = [\"O0013WORKS2\"]");
    fs::write(&config, changed).unwrap();
    let file = us.write("a.dat", b"a");
    let run = us.run(&["send", "them", text(&file)]).expect(1);
    assert!(run.stdout.contains("refused") && run.stderr.contains("SFNA"), "{run:#?}");
    assert_eq!(us.json(&["show", "S1"])["entry"]["state"], "refused");
    us.run(&["retry", "S1"]).expect(0);
    assert_eq!(us.json(&["queue"])[0]["state"], "queued");
    // Somebody else answers at that address.
    us.run(&["receive", "works2"]).expect(1);
    assert!(them.inbox("us").is_empty());
}

#[test]
fn a_wrong_password_ends_with_one_and_says_so() {
    let them = Home::station("O0013THEM");
    let add = ["partner", "add", "us", "--code", "O0013US", "--their-password-file", "-"];
    them.run_with_input(&add, "RIGHT").expect(0);
    let serving = them.serve();
    let us = Home::station("O0013US");
    let add = ["partner", "add", "them", "--code", "O0013THEM", "--our-password-file", "-", "--address"];
    us.run_with_input(&[&add[..], &[&serving.address]].concat(), "WRONG").expect(0);
    let file = us.write("a.dat", b"a");
    let run = us.run(&["send", "them", text(&file)]).expect(1);
    assert!(run.stderr.contains("ESID") && run.stderr.contains("stays queued"), "{run:#?}");
    us.run(&["receive", "them"]).expect(1);
    assert_eq!(serving.wait_for("session_refused")["code"], "O0013US");
}

#[test]
fn mistakes_of_the_command_are_found_before_anything_is_queued() {
    let us = Home::station("O0013US");
    us.run(&["partner", "add", "them", "--code", "O0013THEM", "--address", &nobody()]).expect(0);
    let file = us.write("a.dat", b"abc");
    let file = text(&file);
    us.run(&["send", "them", "missing.dat"]).expect(2);
    us.run(&["send", "them", text(&us.root())]).expect(2);
    us.run(&["send", "nobody", file]).expect(2);
    us.run(&["send", "them", file, file, "--name", "X"]).expect(2);
    us.run(&["send", "them", file, "--name", "lower case"]).expect(1);
    us.run(&["send", "them", file, "--format", "F", "--record-size", "2"]).expect(1);
    us.run(&["send", "them", file, "--destination", "ELSEWHERE"]).expect(1);
    assert_eq!(us.json(&["queue"]), serde_json::json!([]));
}
