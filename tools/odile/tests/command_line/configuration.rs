//! `init`, `partner`, `config`, `doctor`, `generate`, and what a wrong command gives.

use std::os::unix::fs::PermissionsExt;

use crate::process::Home;

#[test]
fn a_station_is_made_once() {
    let home = Home::empty();
    let run = home.run(&["init", "--code", "O0013US", "--listen", "127.0.0.1:3305"]).expect(0);
    assert!(run.stdout.contains("O0013US"), "{run:#?}");
    assert!(home.root().join("station.toml").is_file());
    let again = home.run(&["init", "--code", "O0013US"]).expect(2);
    assert!(again.stderr.starts_with("odile: "), "{again:#?}");
    assert_eq!(again.stderr.lines().count(), 1);
    let check = home.json(&["config", "check"]);
    assert_eq!(check["code"], "O0013US");
    assert_eq!(check["listen"], "127.0.0.1:3305");
}

#[test]
fn a_wrong_code_makes_no_station() {
    let home = Home::empty();
    home.run(&["init", "--code", "O0013THISCODEISMUCHTOOLONGFORODETTE"]).expect(2);
    assert!(!home.root().exists());
}

#[test]
fn without_a_station_the_error_says_what_to_do() {
    let home = Home::empty();
    for command in [
        &["queue"][..],
        &["history"],
        &["show", "S1"],
        &["cancel", "S1"],
        &["config", "check"],
        &["partner", "list"],
        &["serve"],
        &["receive", "them"],
    ] {
        let run = home.run(command).expect(2);
        assert!(run.stderr.contains("`odile init` makes one"), "{command:?}: {run:#?}");
        assert_eq!(run.stdout, "");
    }
    let run = home.run(&["--output", "json", "queue"]).expect(2);
    assert_eq!(run.json()["exit"], 2);
    assert!(run.json()["error"].as_str().unwrap().contains("odile init"));
}

#[test]
fn passwords_come_from_files_and_are_never_shown() {
    let home = Home::station("O0013US");
    let file = home.write("password", b"GEHEIM\nsecond line\n");
    let add = ["partner", "add", "them", "--code", "O0013THEM", "--our-password-file"];
    let tail = [file.to_str().unwrap(), "--their-password-file", "-"];
    home.run_with_input(&[&add[..], &tail[..]].concat(), "VERTRAUT\n").expect(0);
    let written = home.root().join("partners/them.toml");
    assert_eq!(std::fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o600);
    let written = std::fs::read_to_string(written).unwrap();
    assert!(
        written.contains("\nour_password = \"GEHEIM\"\n") && written.contains("\"VERTRAUT\""),
        "{written}"
    );
    for arguments in [&["partner", "show", "them"][..], &["--output", "json", "partner", "show", "them"]] {
        let shown = home.run(arguments).expect(0).stdout;
        assert!(!shown.contains("GEHEIM") && !shown.contains("VERTRAUT"), "{shown}");
    }
    let shown = home.json(&["partner", "show", "them"]);
    assert_eq!((&shown["our_password"], &shown["their_password"]), (&"set".into(), &"set".into()));
    assert_eq!(shown["session"]["credit"], 999);
}

#[test]
fn partners_are_listed_and_never_replaced() {
    let home = Home::station("O0013US");
    assert_eq!(home.json(&["partner", "list"]), serde_json::json!([]));
    let add = ["partner", "add", "them", "--code", "O0013THEM", "--address", "[::1]:3305", "--no-send"];
    home.run(&add).expect(0);
    home.run(&add).expect(2);
    // Another name with the same code: a caller could not be told from the other.
    home.run(&["partner", "add", "others", "--code", "O0013THEM"]).expect(2);
    let list = home.json(&["partner", "list"]);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["address"], "[::1]:3305");
    assert_eq!(list[0]["may_send"], false);
    assert!(home.run(&["partner", "list"]).expect(0).stdout.contains("O0013THEM"));
    assert!(home.run(&["partner", "show", "nobody"]).expect(2).stderr.contains("known: them"));
}

#[test]
fn config_check_tells_all_mistakes() {
    let home = Home::station("O0013US");
    let partners = home.root().join("partners");
    std::fs::write(partners.join("one.toml"), "code = \"ONE\"\ncolour = \"red\"\n").unwrap();
    std::fs::write(partners.join("two.toml"), "code = \"TWO\"\n[session]\ncredit = 1000\n").unwrap();
    let run = home.run(&["config", "check"]).expect(2);
    assert!(run.stderr.contains("one.toml, line 2") && run.stderr.contains("colour"), "{run:#?}");
    assert!(run.stderr.contains("two.toml, line 3") && run.stderr.contains("1000"), "{run:#?}");
    let run = home.run(&["--output", "json", "config", "check"]).expect(2);
    assert_eq!(run.json()["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_parsed_ends_with_two() {
    let home = Home::station("O0013US");
    for wrong in [
        &["frobnicate"][..],
        &["send", "them"],
        &["show", "12"],
        &["send", "them", "file", "--buffer-size", "127"],
        &["demo", "--size", "many"],
        &["history", "--limit", "-1"],
    ] {
        home.run(wrong).expect(2);
    }
}

#[test]
fn the_doctor_finds_a_new_station_well() {
    let home = Home::station("O0013US");
    let checks = home.json(&["doctor"]);
    let subjects: Vec<&str> =
        checks.as_array().unwrap().iter().map(|check| check["subject"].as_str().unwrap()).collect();
    for subject in ["io_uring", "configuration", "folders", "filesystem", "disk space", "catalog", "station"]
    {
        assert!(subjects.contains(&subject), "{subject}: {subjects:?}");
    }
    std::fs::write(home.root().join("station.toml"), "code = 1").unwrap();
    let run = home.run(&["doctor"]).expect(1);
    assert!(run.stdout.contains("fatal") && run.stdout.contains("-> "), "{run:#?}");
}

#[test]
fn a_new_station_has_an_empty_queue_and_history() {
    let home = Home::station("O0013US");
    assert_eq!(home.json(&["queue"]), serde_json::json!([]));
    assert_eq!(home.json(&["history", "--partner", "them"]), serde_json::json!([]));
    for command in ["show", "cancel", "retry"] {
        let run = home.run(&[command, "S1"]).expect(1);
        assert!(run.stderr.contains("no transfer S1"), "{run:#?}");
    }
    home.run(&["cancel", "R1"]).expect(2);
}

#[test]
fn man_pages_and_completions_are_generated() {
    let home = Home::empty();
    let folder = home.root().join("man");
    home.run(&["generate", "man", folder.to_str().unwrap()]).expect(0);
    let page = std::fs::read_to_string(folder.join("odile-send.1")).unwrap();
    assert!(page.contains("buffer"), "{page}");
    let script = home.run(&["generate", "completions", "bash"]).expect(0).stdout;
    assert!(script.contains("_odile"), "{script}");
}
