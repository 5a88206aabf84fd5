//! `odile tune check`.

use serde_json::Value;

use crate::machine::{Machine, odile};

/// The row of a setting.
#[track_caller]
fn row<'a>(report: &'a Value, setting: &str) -> &'a Value {
    let rows = report["settings"].as_array().unwrap();
    let found = rows.iter().find(|row| row["setting"] == setting);
    found.unwrap_or_else(|| panic!("no {setting} in {report:#}"))
}

#[test]
fn every_setting_of_a_machine_is_compared_with_the_preset() {
    let machine = Machine::new();
    let report = machine.tune(&["check", "--preset", "lan-25g", "--output", "json"]).expect(1).json();
    for (setting, state, found) in [
        ("kernel.release", "good", "6.8.0-45-generic"),
        ("net.core.rmem_max", "differs", "212992"),
        ("net.ipv4.tcp_rmem", "differs", "4096 131072 6291456"),
        ("net.ipv4.tcp_congestion_control", "differs", "reno (offered: reno cubic)"),
        ("net.ipv4.tcp_notsent_lowat", "good", "4294967295"),
        ("vm.dirty_background_bytes", "differs", "0 (vm.dirty_background_ratio = 10 counts instead)"),
        ("interface.eth0.mtu", "differs", "1500"),
        ("interface.eth0.speed", "good", "25000 (Mbit/s)"),
        ("interface.eth0.queues", "differs", "1 (driver virtio_net)"),
        (
            "interface.eth0.ring",
            "unknown",
            "neither /proc nor /sys tells it: ethtool -g eth0 (driver virtio_net)",
        ),
        ("numa.nodes", "good", "1"),
        ("cpu.features", "good", "aes avx2 sha_ni vaes"),
        ("cpu.governor", "differs", "performance, powersave"),
        ("limits.open_files", "differs", "1024 (of this process)"),
        ("limits.locked_memory", "good", "unlimited (of this process)"),
        ("memory.huge_pages", "differs", "never"),
        ("storage.scheduler", "differs", "bfq (of vda)"),
    ] {
        let row = row(&report, setting);
        assert_eq!((row["state"].as_str(), row["found"].as_str()), (Some(state), Some(found)), "{row:#}");
        for told in ["wanted", "why", "measure", "change"] {
            assert_ne!(row[told].as_str().unwrap(), "", "{told} of {row:#}");
        }
    }
    assert_eq!(row(&report, "storage.filesystem")["state"], "good");
    assert!(row(&report, "interface.eth0.mtu")["change"].as_str().unwrap().contains("dev eth0 mtu 9000"));
}

#[test]
fn what_differs_is_told_with_why_how_to_measure_and_how_to_change() {
    let machine = Machine::new();
    let run = machine.tune(&["check", "--preset", "lan-25g"]).expect(1);
    let lines: Vec<&str> = run.stdout.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("differs") && line.contains("somaxconn")).unwrap();
    assert!(lines[at].contains("128; wanted: at least 1024"), "{}", lines[at]);
    for (offset, word) in [(1, "why"), (2, "measure"), (3, "change")] {
        assert!(lines[at + offset].trim_start().starts_with(word), "{}", lines[at + offset]);
    }
    // What is good takes a line, unless everything is asked for.
    let good = |text: &str| text.lines().filter(|line| line.contains("tcp_notsent_lowat")).count();
    assert_eq!(good(&run.stdout), 1);
    let all = machine.tune(&["check", "--preset", "lan-25g", "--verbose"]).expect(1);
    assert!(all.stdout.lines().count() > lines.len());
}

#[test]
fn a_machine_that_is_as_wanted_is_good() {
    let machine = Machine::new();
    machine.write("mine.toml", "about = \"mine\"\n[wants]\n\"net.core.rmem_max\" = { at_least = 212992 }\n");
    let run = machine.tune(&["check", "--preset", "./mine.toml"]).expect(0);
    run.says("good: 1, differs: 0, unknown: 0, cannot be read: 0").says("mine");
    machine.write("proc/sys/net/core/rmem_max", "212991\n");
    machine.tune(&["check", "--preset", "mine.toml"]).expect(1).says("differs: 1");
}

#[test]
fn what_is_missing_is_unknown_and_nonsense_cannot_be_read_and_neither_differs() {
    let machine = Machine::new();
    machine.write(
        "mine.toml",
        "[wants]\n\"net.core.rmem_max\" = { at_least = 1 }\n\"net.core.wmem_max\" = { at_least = 1 }\n",
    );
    machine.remove("proc/sys/net/core/rmem_max");
    machine.write("proc/sys/net/core/wmem_max", "much\n");
    let report = machine.tune(&["check", "--preset", "./mine.toml", "--output", "json"]).expect(0).json();
    assert_eq!(row(&report, "net.core.rmem_max")["state"], "unknown");
    assert_eq!(row(&report, "net.core.wmem_max")["state"], "cannot be read");
    assert!(row(&report, "net.core.wmem_max")["found"].as_str().unwrap().contains("\"much\""));
}

#[test]
fn where_no_preset_is_named_one_is_chosen_and_told_why() {
    let machine = Machine::new();
    machine
        .tune(&["check"])
        .expect(1)
        .says("preset small-vm")
        .says("chosen because eth0, the fastest card, has 25000");
    machine.write("sys/class/net/eth0/speed", "100000\n");
    let report = machine.tune(&["check", "--output", "json"]).expect(1).json();
    assert_eq!(report["preset"], "lan-100g");
    assert!(report["chosen_because"].as_str().unwrap().contains("eth0 is a card of 100 Gbit/s"));
}

#[test]
fn another_node_is_nothing_that_can_be_judged_from_here() {
    let machine = Machine::new();
    machine.write("sys/devices/system/node/node1/cpulist", "2-3\n");
    let report = machine.tune(&["check", "--preset", "lan-25g", "--output", "json"]).expect(1).json();
    let row = row(&report, "numa.nodes");
    assert_eq!(row["state"], "unknown");
    assert!(row["found"].as_str().unwrap().contains("eth0 is at node 0, with cores 0-1"), "{row:#}");
}

#[test]
fn a_wrong_preset_is_told_with_its_file_line_and_key() {
    let machine = Machine::new();
    machine.write("mine.toml", "about = \"x\"\n[wants]\n\"net.core.rmem_maxx\" = { at_least = 1 }\n");
    let wrong = machine.tune(&["check", "--preset", "./mine.toml"]).expect(2);
    wrong.says("./mine.toml, line 3: net.core.rmem_maxx: there is no such setting");
    machine.write("mine.toml", "[wants]\n\"net.core.rmem_max\" = { at_least = \"much\" }\n");
    let wrong = machine.tune(&["apply", "--preset", "./mine.toml"]).expect(2);
    wrong.says("./mine.toml, line 2: net.core.rmem_max.at_least: it must be a number from 0 up, and is of type string");
    machine
        .tune(&["check", "--preset", "fast"])
        .expect(2)
        .says("known: lan-25g, lan-100g, wan-100ms, small-vm");
    machine.tune(&["check", "--preset", "./none.toml"]).expect(2).says("--preset ./none.toml: No such file");
    assert!(!machine.state().exists());
}

#[test]
fn this_machine_can_be_looked_at_with_every_preset() {
    let home = tempfile::tempdir().unwrap();
    for preset in ["lan-25g", "lan-100g", "wan-100ms", "small-vm"] {
        let run = odile(home.path(), &["--output", "json", "tune", "check", "--preset", preset]);
        let report = run.json();
        let states: Vec<&str> =
            report["settings"].as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap()).collect();
        assert_eq!(run.code, Some(i32::from(states.contains(&"differs"))), "{run:#?}");
        let release = row(&report, "kernel.release");
        let osrelease = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(release["found"].as_str().unwrap(), osrelease.trim());
    }
}
