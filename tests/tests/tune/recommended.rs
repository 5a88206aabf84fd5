//! `odile tune recommend`.

use serde_json::{Value, json};

use crate::machine::Machine;

fn measured(limiter: &str, credit: u32, rate: f64) -> Value {
    json!({
        "direction": "send", "transport": "tls", "services": "plain", "buffer_octets": 99999, "credit": credit,
        "sessions": 1, "octets": 1_000_000_000, "seconds": 1e9 / rate, "octets_per_second": rate,
        "predicted_octets_per_second": null, "cpu_seconds": 0.4, "limiter": limiter, "sentence": "x",
    })
}

fn link(runs: Vec<Value>) -> Value {
    json!({
        "format": "odile-link-1", "target": "beta", "of_the_future": true,
        "round_trip_ms": {"median": 100.0, "least": 99.0, "most": 120.0, "samples": 50},
        "runs": runs, "line_octets_per_second": null, "sessions_for_line_rate": null,
    })
}

#[test]
fn recommendations_come_with_reasons_and_lines_for_the_partner_file() {
    let machine = Machine::new();
    machine.write("link.json", &link(vec![measured("credit", 64, 60e6)]).to_string());
    let report = machine.tune(&["recommend", "link.json", "--output", "json"]).expect(0).json();
    let all = report["recommendations"].as_array().unwrap();
    let window = all.iter().find(|one| one["what"] == "window").unwrap();
    assert_eq!(window["how"], "--buffer-size 99999 --credit 999");
    assert_eq!(report["partner_file"], "[session]\nbuffer_size = 99999\ncredit = 999\n");
    // 6 MB are on their way, the kernel counts 12, and this machine allows 4.
    let buffers = all.iter().find(|one| one["what"] == "socket buffers").unwrap();
    assert!(
        buffers["how"].as_str().unwrap().starts_with("net.ipv4.tcp_wmem: third number 16777216"),
        "{buffers:#}"
    );
    for one in all {
        assert_ne!(one["reason"].as_str().unwrap(), "", "{one:#}");
    }
    let text = machine.tune(&["recommend", "link.json"]).expect(0);
    text.says("beta: 1 measurements").says("--buffer-size 99999 --credit 999").says("in the partner's file:");
}

#[test]
fn flags_that_are_recommended_are_flags_that_there_are() {
    let machine = Machine::new();
    machine.write("link.json", &link(vec![measured("credit", 64, 60e6)]).to_string());
    let report = machine.tune(&["recommend", "link.json", "--output", "json"]).expect(0).json();
    for one in report["recommendations"].as_array().unwrap() {
        let how = one["how"].as_str().unwrap();
        if how.starts_with("--") {
            let flags: Vec<&str> = how.split(' ').collect();
            let arguments = [&["receive", "nobody"], flags.as_slice()].concat();
            let run = crate::machine::odile(&machine.root().join("home"), &arguments);
            assert!(run.stderr.contains("is no station"), "{run:#?}");
        }
    }
}

#[test]
fn a_file_of_something_else_is_told_what_to_give_instead() {
    let machine = Machine::new();
    for (text, expected) in [
        ("no json".to_owned(), "it is no JSON"),
        ("[]".to_owned(), "it does not say that its format is \"odile-link-1\""),
        (link(vec![]).to_string(), "it has no runs"),
        (
            link(vec![measured("credit", 1000, 1e6)]).to_string(),
            "run 1: credit is 1000: 1 to 999 are possible",
        ),
        (
            link(vec![measured("line", 999, 1e6)])
                .to_string()
                .replace("\"seconds\":1000.0", "\"seconds\":-1.0"),
            "nothing was measured",
        ),
        (link(vec![]).to_string().replace("odile-link-1", "odile-link-9"), "its format is \"odile-link-9\""),
    ] {
        machine.write("link.json", &text);
        let run = machine.tune(&["recommend", "link.json"]).expect(2).says(expected);
        run.says("link.json: ").says("give what `odile link test HOST --output json` has written");
    }
    machine.tune(&["recommend", "none.json"]).expect(2).says("none.json: No such file");
}
