//! Two stations exchange files over loopback.

use std::fs;

use odile_station::{Event, SendRequest};
use odile_tests::station::{options, pair, pair_with};

fn content(octets: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut content = Vec::with_capacity(octets);
    while content.len() < octets {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let run = if state.is_multiple_of(7) { 40 } else { 1 };
        content.extend(std::iter::repeat_n((state >> 24) as u8, run));
    }
    content.truncate(octets);
    content
}

#[test]
fn a_file_arrives_and_its_receipt_comes_back_in_the_same_session() {
    let (alpha, beta) = pair();
    let content = content(3_000_000);
    let path = alpha.write("crash model.key", &content);
    let transfer = alpha.send("beta", &path);
    alpha.wait_state(&transfer, "delivered");
    let inbox = beta.inbox("alpha");
    assert_eq!(inbox.len(), 1);
    assert_eq!(fs::read(&inbox[0]).unwrap(), content);
    let name = inbox[0].file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.starts_with("CRASH-MODEL.KEY.20"), "{name}");
    let sidecar = fs::read_to_string(inbox[0].with_file_name(format!("{name}.json"))).unwrap();
    for part in
        ["\"dataset_name\":\"CRASH-MODEL.KEY\"", "\"octets\":3000000", "\"description\":\"crash model.key\""]
    {
        assert!(sidecar.contains(part), "{sidecar}");
    }
    let opened =
        alpha.events.all().iter().filter(|event| matches!(event, Event::SessionOpened { .. })).count();
    assert_eq!(opened, 1);
    assert!(beta.spool().is_empty());
}

#[test]
fn files_of_all_sizes_around_the_boundaries_arrive() {
    for (buffer, credit) in [(128, 1), (4096, 2), (99_999, 999)] {
        let terms = format!("[session]\nbuffer_size = {buffer}\ncredit = {credit}\n");
        let (alpha, beta) = pair_with(&terms, options(), options());
        let mut sent = Vec::new();
        for octets in [0, 1, 62, 63, 64, 124, 125, 126, 127, 250, 4030, 98_437, 200_000] {
            let content = content(octets);
            let path = alpha.write(&format!("f{octets:06}"), &content);
            sent.push((alpha.send("beta", &path), content));
        }
        for (transfer, _) in &sent {
            alpha.wait_state(transfer, "delivered");
        }
        for (path, (_, content)) in beta.inbox("alpha").iter().zip(&sent) {
            assert_eq!(&fs::read(path).unwrap(), content, "{}", path.display());
        }
        assert_eq!(beta.inbox("alpha").len(), sent.len());
    }
}

#[test]
fn files_go_both_ways_in_one_session() {
    let (alpha, beta) = pair();
    // Beta cannot call: its file waits for alpha.
    let back = beta.send("alpha", &beta.write("back.txt", b"from beta"));
    let there = alpha.send("beta", &alpha.write("there.txt", b"from alpha"));
    alpha.wait_state(&there, "delivered");
    // The receipt for beta's file goes in alpha's next turn, or in its next call.
    beta.wait_state(&back, "delivered");
    assert_eq!(fs::read(&alpha.inbox("beta")[0]).unwrap(), b"from beta");
    assert_eq!(fs::read(&beta.inbox("alpha")[0]).unwrap(), b"from alpha");
}

#[test]
fn polling_takes_what_waits() {
    let (alpha, beta) = pair();
    let waiting = beta.send("alpha", &beta.write("waiting", b"x"));
    let end = alpha.handle().call("beta").unwrap();
    assert_eq!(end.reason.code(), 0, "{end:?}");
    assert_eq!(alpha.inbox("beta").len(), 1);
    beta.wait_state(&waiting, "delivered");
}

#[test]
fn every_format_arrives_at_every_level() {
    for level in [1, 2, 4, 5] {
        for compression in [false, true] {
            let terms = format!(
                "[session]\nlevel_max = {level}\nbuffer_compression = {compression}\nbuffer_size = 500\n"
            );
            let (alpha, beta) = pair_with(&terms, options(), options());
            let mut variable = Vec::new();
            for length in [0_u16, 1, 63, 64, 700, 0] {
                variable.extend(length.to_be_bytes());
                variable.extend(content(usize::from(length)));
            }
            let files = [
                ('U', 0, content(5000)),
                ('T', 0, b"line one\r\nline two\r\n".repeat(30)),
                ('F', 80, content(800)),
                ('V', 0, variable),
            ];
            for (format, record_size, content) in &files {
                let mut request = SendRequest::new("beta", alpha.write(&format!("{format}.dat"), content));
                request.format = *format;
                request.record_size = *record_size;
                let outbound = alpha.handle().send(&request).unwrap();
                alpha.wait_state(&format!("S{}", outbound.id), "delivered");
            }
            let mut received: Vec<_> =
                beta.inbox("alpha").iter().map(|path| fs::read(path).unwrap()).collect();
            let mut sent: Vec<_> = files.into_iter().map(|(_, _, content)| content).collect();
            received.sort();
            sent.sort();
            assert_eq!(received, sent, "level {level}, compression {compression}");
        }
    }
}

#[test]
fn the_outbox_is_sent_and_emptied_after_the_receipt() {
    let (alpha, beta) = pair();
    let folder = alpha.home().outbox(&"beta".parse().unwrap());
    let path = folder.join("dropped.dat");
    let staged = alpha.write("staged", b"dropped into the outbox");
    fs::rename(staged, &path).unwrap();
    alpha.events.wait_for("the receipt", |event| matches!(event, Event::ReceiptArrived { .. }));
    let deadline = std::time::Instant::now() + odile_tests::station::PATIENCE;
    while path.exists() {
        assert!(std::time::Instant::now() < deadline, "the source is removed after its receipt");
        std::thread::yield_now();
    }
    assert_eq!(fs::read(&beta.inbox("alpha")[0]).unwrap(), b"dropped into the outbox");
}

#[test]
fn what_is_queued_survives_the_station() {
    let (mut alpha, mut beta) = pair();
    beta.stop();
    let transfer = alpha.send("beta", &alpha.write("later", b"later"));
    alpha.events.wait_for("a failed call", |event| matches!(event, Event::CallFailed { .. }));
    alpha.stop();
    let address = beta.start();
    // The partner has moved to another port meanwhile.
    let file = alpha.home().partner_file(&"beta".parse().unwrap());
    fs::write(&file, format!("code = \"O0013BETA\"\naddress = \"{address}\"\n")).unwrap();
    alpha.start();
    alpha.wait_state(&transfer, "delivered");
    assert_eq!(fs::read(&beta.inbox("alpha")[0]).unwrap(), b"later");
}
