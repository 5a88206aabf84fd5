//! Past the page cache, from disk to disk. A program of its own: it starts another one, and between fork and exec that holds
//! the locks of whatever stations run beside.

use std::path::Path;
use std::process::Command;

use odile_station::partner::ServiceWish;
use odile_station::{Direct, Event, Options, SendRequest};
use odile_tests::envelope::noise;
use odile_tests::pki::issued;
use odile_tests::station::{TestStation, options};

#[test]
fn files_of_all_sizes_arrive_directly_and_leave_the_page_cache_as_it_was() {
    let mut alpha = TestStation::on_disk("O0013ALPHA");
    let mut beta = TestStation::on_disk("O0013BETA");
    for (station, own, other) in [(&alpha, "alpha", "beta"), (&beta, "beta", "alpha")] {
        station.give_key(&issued(own));
        station.give_certificate(other, "shared", &issued(other));
    }
    let direct =
        Options { direct: Direct::Both, block_bytes: BLOCK_BYTES, checkpoint_bytes: 4 << 20, ..options() };
    beta.add_partner("alpha", "code = \"O0013ALPHA\"\n");
    let address = beta.start_with(direct.clone());
    alpha.add_partner("beta", &format!("code = \"O0013BETA\"\naddress = \"{address}\"\n"));
    alpha.start_with(direct);
    let sealed = ServiceWish {
        sign: Some(true),
        compress: Some(true),
        encrypt: Some(true),
        signed_receipt: Some(true),
        suite: None,
    };
    for (name, services) in [("plain", ServiceWish::default()), ("sealed", sealed)] {
        for size in SIZES {
            let content = noise(size as u64, size);
            let mut request = SendRequest::new("beta", alpha.write(&format!("{name}-{size}"), &content));
            request.services = services;
            let id = alpha.handle().send(&request).expect("it is queued").id;
            alpha.wait_state(&format!("S{id}"), "delivered");
            let is_it = |event: &Event| matches!(event, Event::Received { transfer, .. } if transfer.to_string() == format!("R{id}"));
            let Event::Received { path, .. } = beta.events.wait_for("the file", is_it) else {
                unreachable!()
            };
            // Before it is read. A block behind each checkpoint goes through the page cache, and the last octets.
            if let Some(cached) = cached_octets(Path::new(&path)) {
                let allowed = (size / (4 << 20) + 1) * BLOCK_BYTES + 4096;
                assert!(cached <= allowed, "{name}: {cached} of {size} octets are cached");
            }
            assert!(std::fs::read(&path).expect("readable") == content, "{name} {size}");
        }
    }
    for told in [alpha.events.all(), beta.events.all()] {
        assert!(!told.iter().any(|event| event.to_string().contains("--direct")), "{told:#?}");
    }
}

/// Octets of a file that are in the page cache; none, with a message, where nobody tells.
fn cached_octets(path: &Path) -> Option<usize> {
    let asked =
        Command::new("fincore").args(["--bytes", "--noheadings", "--output", "RES"]).arg(path).output();
    let said = asked.ok().filter(|said| said.status.success());
    let octets = said.and_then(|said| String::from_utf8(said.stdout).ok()?.trim().parse().ok());
    if octets.is_none() {
        eprintln!("skipped: without fincore nobody tells what is in the page cache");
    }
    octets
}

const BLOCK_BYTES: usize = 256 << 10;
const SIZES: [usize; 11] = [
    0,
    1,
    4095,
    4096,
    4097,
    BLOCK_BYTES - 1,
    BLOCK_BYTES,
    BLOCK_BYTES + 1,
    2 * BLOCK_BYTES,
    9 * BLOCK_BYTES + 1717,
    (16 << 20) + 4095,
];
