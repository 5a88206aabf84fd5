//! `odile link` with the real program at both ends, over lines of which is known what limits them.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use odile_tests::program::odile;
use odile_tests::relay::{Line, Relay};
use serde_json::Value;
use tempfile::TempDir;

/// `odile link serve`, until it is dropped.
struct Far {
    child: Child,
    plain: SocketAddr,
    tls: Option<SocketAddr>,
}

impl Far {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(odile())
            .args(["link", "serve", "--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0"])
            .args(["--until-input-closes", "--no-pin"])
            .args(arguments)
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let mut ready = || {
            let line = lines.next().expect("it says where it listens").expect("text");
            let address = line.split_whitespace().nth(4).and_then(|address| address.parse().ok());
            address.expect("an address")
        };
        let plain = ready();
        let tls = arguments.contains(&"--kit").then(&mut ready);
        // Nobody reads what it says later; it must not wait for that.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, plain, tls }
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn test(folder: &Path, target: SocketAddr, arguments: &[&str]) -> Value {
    let target = target.to_string();
    let output = run(folder, &[&["--output", "json", "link", "test", &target][..], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn run(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(odile());
    command.args(arguments).env("TMPDIR", folder).env("HOME", folder).stdin(Stdio::null());
    command.output().expect("the program runs")
}

fn limiter(result: &Value) -> &str {
    result["runs"][0]["limiter"].as_str().expect("a limiter")
}

/// How far the prediction of the first run is off.
fn error_of(result: &Value) -> f64 {
    let run = &result["runs"][0];
    let (predicted, measured) = (&run["predicted_octets_per_second"], &run["octets_per_second"]);
    let (predicted, measured) = (predicted.as_f64().expect("a rate"), measured.as_f64().expect("a rate"));
    (predicted - measured).abs() / measured
}

#[test]
fn credit_limits_a_long_line_and_what_it_allows_is_predicted() {
    let folder = TempDir::new().unwrap();
    let far = Far::start(folder.path(), &[]);
    let line = Line { delay: Duration::from_millis(20), octets_per_second: None };
    let relay = Relay::start(far.plain, line);
    let arguments = ["--credits", "16", "--buffers", "20000", "--amount", "4MiB", "--no-pin"];
    let mut result = test(folder.path(), relay.address(), &arguments);
    assert_eq!(limiter(&result), "credit", "{result:#}");
    // The round trip is so much longer than anything else that a machine must be very busy to matter; then once more.
    for _ in 0..2 {
        if error_of(&result) >= 0.15 {
            result = test(folder.path(), relay.address(), &arguments);
        }
    }
    let round_trip = result["round_trip_ms"]["median"].as_f64().unwrap();
    assert!(round_trip >= 40.0, "{round_trip}");
    assert!(error_of(&result) < 0.15, "{result:#}");
    let stalls = result["runs"][0]["sender"]["credit_stall"]["count"].as_u64().unwrap();
    assert!(stalls >= 12, "4 MiB are 13 windows: {stalls}");
}

#[test]
fn early_credit_hides_the_round_trip_where_a_window_takes_as_long() {
    let seconds = |both: &[&str]| {
        let folder = TempDir::new().unwrap();
        let far = Far::start(folder.path(), both);
        let line = Line { delay: Duration::from_millis(20), octets_per_second: Some(8e6) };
        let relay = Relay::start(far.plain, line);
        let window = ["--credits", "16", "--buffers", "20000", "--amount", "4MiB", "--no-pin"];
        let result = test(folder.path(), relay.address(), &[&window[..], both].concat());
        result["runs"][0]["seconds"].as_f64().unwrap()
    };
    let (early, late) = (seconds(&["--early-credit", "on"]), seconds(&[]));
    // A window passes in 40 ms, and then 40 ms of round trip are waited for, or not.
    assert!(early < 0.8 * late, "{early} {late}");
}

#[test]
fn a_partner_is_measured_at_its_host_with_its_terms() {
    let folder = TempDir::new().unwrap();
    let far = Far::start(folder.path(), &[]);
    let home = folder.path().join("home");
    let home = home.to_str().unwrap();
    let init = ["--home", home, "init", "--code", "O0013000001ALPHA"];
    assert!(run(folder.path(), &init).status.success());
    let add = |name: &str, lines: &str| {
        let text = format!("code = \"O0013000001{}\"\ntransport = \"plain\"\n{lines}", name.to_uppercase());
        std::fs::write(format!("{home}/partners/{name}.toml"), text).unwrap();
    };
    // The port is that of its station, where nobody listens now.
    add("bravo", "address = \"127.0.0.1:9\"\n[session]\nbuffer_size = 4096\ncredit = 16\n");
    add("lima", "");
    let port = far.plain.port().to_string();
    let measure = |target: &str, more: &[&str]| {
        let arguments = ["--home", home, "--output", "json", "link", "test", target, "--plain-port", &port];
        run(folder.path(), &[&arguments[..], &["--amount", "1MiB", "--no-pin"], more].concat())
    };
    for (more, buffer, credit) in [(&[][..], 4096, 16), (&["--credits", "8"][..], 4096, 8)] {
        let output = measure("bravo", more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let run = &result["runs"][0];
        assert_eq!((&run["buffer_octets"], &run["credit"]), (&buffer.into(), &credit.into()), "{result:#}");
    }
    let output = measure("lima", &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && told.contains("lima has no address here"), "{told}");
}

#[test]
fn a_narrow_line_is_named() {
    let folder = TempDir::new().unwrap();
    let far = Far::start(folder.path(), &[]);
    let line = Line { delay: Duration::from_millis(1), octets_per_second: Some(20e6) };
    let relay = Relay::start(far.plain, line);
    let result = test(folder.path(), relay.address(), &["--amount", "30MiB", "--no-pin"]);
    assert_eq!(limiter(&result), "line", "{result:#}");
}

#[test]
fn the_processor_of_whoever_seals_is_named_on_either_side() {
    let folder = TempDir::new().unwrap();
    let kit = folder.path().join("kit");
    let kit = kit.to_str().unwrap();
    let far = Far::start(folder.path(), &["--kit", kit]);
    let tls_port = far.tls.unwrap().port().to_string();
    // The hardest compression is slower than any line.
    let arguments = [
        "--kit",
        kit,
        "--tls-port",
        &tls_port,
        "--services",
        "sign+compress+encrypt",
        "--direction",
        "send,receive",
        "--amount",
        "48MiB",
        "--no-pin",
        "--compression-level",
        "9",
    ];
    let result = test(folder.path(), far.plain, &arguments);
    let limiters: Vec<_> = result["runs"].as_array().unwrap().iter().map(|run| &run["limiter"]).collect();
    assert_eq!(limiters, ["cpu", "peer"], "{result:#}");
    for run in result["runs"].as_array().unwrap() {
        let sent = run["transmitted_octets"].as_u64().unwrap();
        assert!(sent > 0 && sent < 48 << 20, "it was compressed: {sent}");
        assert_eq!(run["transport"], "tls");
    }
}

#[test]
fn a_disk_that_syncs_all_the_time_is_named() {
    let folder = TempDir::new().unwrap();
    // On a RAM disk syncs cost nothing: this one must be real.
    let disk = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let to_disk = disk.path().to_str().unwrap();
    let far = Far::start(folder.path(), &["--to-disk", to_disk, "--sync-bytes", "64KiB"]);
    let result = test(folder.path(), far.plain, &["--amount", "32MiB", "--no-pin"]);
    drop(far);
    if syncs_cost_something(disk.path()) {
        assert_eq!(limiter(&result), "disk", "{result:#}");
    }
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0, "nothing is left behind");
}

/// Not on RAM disks, and where a cache answers for the disk.
fn syncs_cost_something(folder: &Path) -> bool {
    let path = folder.join("probe");
    let mut file = std::fs::File::create(&path).expect("a file");
    let piece = vec![1; 65_536];
    let began = std::time::Instant::now();
    for _ in 0..32 {
        std::io::Write::write_all(&mut file, &piece).expect("a file");
        file.sync_data().expect("a file");
    }
    let each = began.elapsed() / 32;
    std::fs::remove_file(path).expect("a file");
    each > Duration::from_micros(500)
}

#[test]
fn sessions_at_once_are_counted_together_and_drawn() {
    let folder = TempDir::new().unwrap();
    let chart = folder.path().join("line.svg");
    let arguments = ["--output", "json", "link", "test", "here", "--transport", "plain", "--sessions", "1,3"];
    let chart_arguments = ["--amount", "8MiB", "--no-pin", "--chart", chart.to_str().unwrap()];
    let output = run(folder.path(), &[&arguments[..], &chart_arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["format"], "odile-link-1");
    let octets: Vec<_> =
        result["runs"].as_array().unwrap().iter().map(|run| run["octets"].as_u64()).collect();
    assert_eq!(octets, [Some(8 << 20), Some(24 << 20)]);
    assert!(result["line_octets_per_second"].as_f64().unwrap() > 0.0);
    let chart = std::fs::read_to_string(chart).unwrap();
    assert!(chart.starts_with("<svg ") && chart.matches("<rect x=").count() == 2, "{chart}");
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["line.svg"], "stations of a measurement are not kept");
}

#[test]
fn a_disk_is_measured_with_and_without_checkpoints() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let output =
        run(folder.path(), &["--output", "json", "link", "disk", path, "--amount", "4MiB", "--rounds", "1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["kinds"].as_array().unwrap().len(), 5);
    assert_eq!(result["kinds"][4]["kind"], "written directly, checkpoints");
    assert!(result["kinds"][2]["octets_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_measured_says_why() {
    let folder = TempDir::new().unwrap();
    let says = |arguments: &[&str], exit: i32, text: &str| {
        let output = run(folder.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
        assert!(said.contains(text), "{arguments:?}: {said}");
    };
    says(&["link", "test", "127.0.0.1", "--services", "sign"], 2, "--kit");
    says(&["link", "test", "127.0.0.1", "--services", "shred"], 2, "no service");
    says(&["link", "test", "127.0.0.1", "--sessions", "17"], 2, "17");
    says(&["link", "test", "no-such-host.invalid"], 3, "no-such-host.invalid");
    // Nobody listens there.
    says(&["link", "test", "127.0.0.1:1"], 3, "127.0.0.1:1");
    let kit = folder.path().join("kit");
    std::fs::write(&kit, "a shopping list").unwrap();
    let kit = kit.to_str().unwrap();
    says(&["link", "test", "127.0.0.1", "--kit", kit], 2, "chmod 600");
    Command::new("chmod").args(["600", kit]).status().unwrap();
    says(&["link", "test", "127.0.0.1", "--kit", kit], 2, "none that `odile link serve --kit` has made");
    says(&["link", "disk", "/no/such/folder"], 2, "no folder");
    says(&["link", "test", "127.0.0.1", "--credit", "64"], 2, "--credits");
    says(&["link", "test", "localhost:1"], 3, "127.0.0.1:1");
}
