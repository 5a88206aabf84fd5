//! `odile tune apply` and `odile tune undo`.

use std::fs;

use serde_json::Value;

use crate::machine::Machine;

const RMEM: &str = "proc/sys/net/core/rmem_max";
const SOMAXCONN: &str = "proc/sys/net/core/somaxconn";
const LAN: &[&str] = &["--preset", "lan-25g"];

fn with(command: &str, more: &[&str]) -> Vec<String> {
    [&[command], LAN, more].concat().into_iter().map(str::to_owned).collect()
}

fn apply(machine: &Machine, more: &[&str]) -> crate::machine::Run {
    let arguments = with("apply", more);
    machine.tune(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn state(machine: &Machine) -> Value {
    serde_json::from_str(&fs::read_to_string(machine.state()).unwrap()).unwrap()
}

#[test]
fn a_dry_run_shows_what_would_be_written_where_and_writes_nothing() {
    let machine = Machine::new();
    let before = machine.files();
    let run = apply(&machine, &["--dry-run"]).expect(0);
    let run = run
        .says("would write /proc/sys/net/core/rmem_max: 16777216 (was: 212992)")
        .says("would write /proc/sys/net/ipv4/tcp_rmem: 4096 131072 16777216 (was: 4096 131072 6291456)")
        .says("would write /sys/block/vda/queue/scheduler: none (was: bfq)")
        .says("the kernel sets /proc/sys/vm/dirty_background_ratio to 0 with it (was: 10)")
        .says("left to you: interface.eth0.mtu is 1500, wanted: at least 9000");
    assert!(!run.stdout.contains("cpu1"), "it is fast already: {}", run.stdout);
    assert_eq!(machine.files(), before);
    assert!(!machine.state().exists());
}

#[test]
fn what_was_applied_is_good_and_what_is_undone_is_as_before_to_the_octet() {
    let machine = Machine::new();
    let before = machine.files();
    let report = apply(&machine, &["--output", "json"]).expect(0).json();
    assert!(report["changes"].as_array().unwrap().len() > 10, "{report:#}");
    assert_eq!(machine.read(RMEM), "16777216\n");
    assert_eq!(machine.read("proc/sys/net/ipv4/tcp_rmem"), "4096\t131072\t16777216\n");
    assert_eq!(machine.read("sys/kernel/mm/transparent_hugepage/enabled"), "always [madvise] never\n");
    assert_eq!(machine.read("sys/block/vda/queue/scheduler"), "bfq mq-deadline [none]\n");
    assert_eq!(machine.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), "performance\n");
    let checked = machine.tune(&["check", "--preset", "lan-25g", "--output", "json"]).json();
    for change in report["changes"].as_array().unwrap() {
        let rows = checked["settings"].as_array().unwrap();
        let row = rows.iter().find(|row| row["setting"] == change["setting"]).unwrap();
        assert_eq!(row["state"], "good", "{row:#}");
    }
    machine.tune(&["undo", "--dry-run"]).expect(0).says("would put back /proc/sys/net/core/rmem_max: 212992");
    assert_eq!(machine.read(RMEM), "16777216\n");
    let undone = machine.tune(&["undo"]).expect(0);
    // The last change first.
    let lines: Vec<&str> = undone.stdout.lines().filter(|line| line.starts_with("put back")).collect();
    let paths: Vec<&str> =
        report["changes"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(lines.len(), paths.len());
    for (line, path) in lines.iter().zip(paths.iter().rev()) {
        assert!(line.contains(path), "{line} for {path}");
    }
    assert_eq!(machine.files(), before);
    assert!(!machine.state().exists());
}

#[test]
fn applying_twice_keeps_what_was_there_first() {
    let machine = Machine::new();
    let before = machine.files();
    apply(&machine, &[]).expect(0);
    apply(&machine, &[]).expect(0).says("nothing differs that can be changed here");
    machine.tune(&["apply", "--preset", "wan-100ms"]).expect(0);
    assert_eq!(machine.read(RMEM), "268435456\n");
    machine.tune(&["undo"]).expect(0).says("put back /proc/sys/net/core/rmem_max: 212992 (was: 268435456)");
    assert_eq!(machine.files(), before);
}

#[test]
fn what_somebody_else_has_changed_is_left_unless_forced() {
    let machine = Machine::new();
    let before = machine.files();
    apply(&machine, &[]).expect(0);
    machine.write(RMEM, "5000000\n");
    let undone = machine.tune(&["undo"]).expect(1);
    undone.says("left /proc/sys/net/core/rmem_max: somebody else has changed it to 5000000");
    assert_eq!(machine.read(RMEM), "5000000\n");
    assert_eq!(machine.read(SOMAXCONN), "128\n");
    // What is left is still known, and nothing else.
    assert_eq!(state(&machine)["entries"].as_array().unwrap().len(), 1);
    machine.tune(&["undo", "--force"]).expect(0);
    assert_eq!(machine.files(), before);
    assert!(!machine.state().exists());
}

#[test]
fn what_was_there_is_saved_before_anything_is_written() {
    let machine = Machine::new();
    let before = machine.files();
    // A folder cannot be made where a file is.
    machine.write("occupied", "");
    let run = apply(&machine, &["--state", "occupied/tune.json"]).expect(1);
    run.says("nothing was changed");
    assert_eq!(machine.files(), before);
}

/// As it is after a crash: everything is saved, and only a part was written.
#[test]
fn an_interrupted_apply_is_undone() {
    let machine = Machine::new();
    let before = machine.files();
    apply(&machine, &[]).expect(0);
    let entries = state(&machine)["entries"].as_array().unwrap().clone();
    for entry in &entries[entries.len() / 2..] {
        let path = entry["path"].as_str().unwrap().trim_start_matches('/');
        machine.write(path, entry["before"].as_str().unwrap());
    }
    assert_ne!(machine.files(), before);
    machine.tune(&["undo"]).expect(0).says("nothing to do for").says("put back /proc/sys/net/core/rmem_max");
    assert_eq!(machine.files(), before);
    // And it can be taken up again instead.
    apply(&machine, &[]).expect(0);
    machine.write(SOMAXCONN, "128\n");
    apply(&machine, &[]).expect(0);
    assert_eq!(machine.read(SOMAXCONN), "1024\n");
    machine.tune(&["undo"]).expect(0);
    assert_eq!(machine.files(), before);
}

/// The kernel takes no such value here: -1000 to 1000 are its limits, for every user.
#[test]
fn a_value_that_the_kernel_does_not_take_ends_it_and_what_was_changed_is_told() {
    let machine = Machine::new();
    machine.replace(SOMAXCONN, "/proc/self/oom_score_adj");
    let before = machine.files();
    let run = apply(&machine, &["--state", "s/tune.json"]).expect(1);
    let run = run.says("net.core.somaxconn: /proc/sys/net/core/somaxconn does not take \"1024\"");
    let run = run.says("changed before that: net.core.rmem_max, net.core.wmem_max");
    run.says("`odile tune undo --state s/tune.json` puts it back");
    assert_eq!(machine.read(RMEM), "16777216\n");
    // What comes after it was left alone.
    assert_eq!(machine.read("sys/block/vda/queue/scheduler"), "[bfq] mq-deadline none\n");
    machine.tune(&["undo", "--state", "s/tune.json"]).expect(0);
    assert_eq!(machine.files(), before);
}

/// Nobody may write to this one, not even root: the same as everything is for other users.
#[test]
fn without_the_right_to_write_nothing_is_half_done() {
    let machine = Machine::new();
    machine.replace("proc/sys/vm/dirty_background_bytes", "/proc/sys/kernel/random/entropy_avail");
    machine.write("mine.toml", "[wants]\n\"net.core.rmem_max\" = { at_least = 9999999 }\n\"vm.dirty_background_bytes\" = { at_least = 9999999 }\n");
    let before = machine.files();
    let run = machine.tune(&["apply", "--preset", "./mine.toml"]).expect(1);
    run.says("/proc/sys/vm/dirty_background_bytes may not be written to: Permission denied")
        .says("`odile tune apply` must be run as root; nothing was changed");
    assert_eq!(machine.files(), before);
    assert!(!machine.state().exists());
    let run = machine.tune(&["apply", "--preset", "./mine.toml", "--output", "json"]).expect(1);
    assert_eq!(run.json()["exit"], 1);
}

#[test]
fn a_word_that_the_kernel_does_not_offer_is_left_to_the_person() {
    let machine = Machine::new();
    machine.write("mine.toml", "[wants]\n\"net.ipv4.tcp_congestion_control\" = { equals = \"bbr\" }\n");
    let run = machine.tune(&["apply", "--preset", "./mine.toml"]).expect(0);
    run.says("this kernel offers only reno, cubic").says("modprobe tcp_bbr");
    assert_eq!(machine.read("proc/sys/net/ipv4/tcp_congestion_control"), "reno\n");
}

#[test]
fn without_a_state_there_is_nothing_to_undo() {
    let machine = Machine::new();
    let run = machine.tune(&["undo"]).expect(1);
    run.says("there is nothing to undo").says("var/lib/odile/tune.json is not there");
    machine.write("other.json", "{\"format\":\"odile-tune-1\",\"entries\":[{\"setting\":\"x\",\"path\":\"/etc/passwd\",\"before\":\"a\",\"after\":\"b\"}]}");
    machine
        .tune(&["undo", "--state", "other.json"])
        .expect(2)
        .says("\"/etc/passwd\" is no file that it writes");
    machine.write("other.json", "no json");
    machine
        .tune(&["undo", "--state", "other.json"])
        .expect(2)
        .says("is not what `odile tune apply` has saved");
}

#[test]
fn what_makes_it_last_is_printed_before_and_after_it_was_applied() {
    let machine = Machine::new();
    let before = machine.files();
    let first = apply(&machine, &["--print-sysctl"]).expect(0);
    assert_eq!(machine.files(), before);
    apply(&machine, &[]).expect(0);
    let second = apply(&machine, &["--print-sysctl"]).expect(0);
    assert_eq!(first.stdout, second.stdout);
    let lines: Vec<&str> = first.stdout.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.contains(&"net.ipv4.tcp_rmem = 4096 131072 16777216"), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains(" = ")), "{lines:?}");
    let scheduler = "# for a file in /etc/tmpfiles.d: w /sys/block/vda/queue/scheduler - - - - none";
    assert!(first.stdout.lines().any(|line| line == scheduler), "{}", first.stdout);
}
