//! What is sent: formats, sizes, buffers, levels.

use odile_station::envelope::{Services, Suite};
use odile_station::partner::ServiceWish;
use odile_station::{Event, SendRequest};
use odile_tests::envelope::noise;
use odile_tests::openssl::openssl;
use odile_tests::peer::{Peer, ssid};
use odile_tests::pki::{issued, write_private};
use odile_tests::scene::Scene;
use odile_tests::station::{TestStation, secure_pair};
use odile_wire::command::StartSession;
use odile_wire::{EndSessionReason, Mnemonic};

use crate::{assert_proven, content, everything, queue, received, send, wish};

/// Records behind their lengths.
fn variable() -> Vec<u8> {
    let mut file = Vec::new();
    for length in [0_u16, 1, 63, 64, 700, 0, 3000] {
        file.extend(length.to_be_bytes());
        file.extend(content(usize::from(length), usize::from(length)));
    }
    file
}

/// A request for each format.
fn formats(alpha: &TestStation) -> Vec<(SendRequest, Vec<u8>)> {
    let files = [
        ('U', 0, content(1, 5000)),
        ('T', 0, b"line one\r\nline two\r\n".repeat(200)),
        ('F', 80, content(2, 8000)),
        ('V', 3000, variable()),
    ];
    let requests = files.into_iter().map(|(format, record_size, content)| {
        let mut request = SendRequest::new("beta", alpha.write(&format!("{format}.dat"), &content));
        (request.format, request.record_size) = (format, record_size);
        (request, content)
    });
    requests.collect()
}

/// Sends every format with services of all kinds and receipts of both; everything arrives as it was.
fn every_format_arrives(terms: &str) {
    let (alpha, beta) = secure_pair(terms, terms);
    let (mut sent, mut signed) = (Vec::new(), 0);
    for (request, content) in formats(&alpha) {
        for services in [Services::NONE, Services { compress: false, ..Services::ALL }, Services::ALL] {
            for signed_receipt in [false, true] {
                let services = wish(services, signed_receipt, Suite::S06);
                let request = SendRequest { services, ..request.clone() };
                sent.push((queue(&alpha, &request), content.clone()));
                signed += usize::from(signed_receipt);
            }
        }
    }
    for (transfer, _) in &sent {
        alpha.wait_state(transfer, "delivered");
    }
    let expected: Vec<_> = sent.into_iter().map(|(_, content)| content).collect();
    assert!(received(&beta, "alpha") == expected, "{terms}");
    assert_proven(&alpha, signed);
    assert!(beta.spool().is_empty());
}

#[test]
fn every_format_arrives_with_every_kind_of_receipt() {
    every_format_arrives("");
}

#[test]
fn every_format_arrives_with_buffer_compression() {
    every_format_arrives("[session]\nbuffer_compression = true\nbuffer_size = 500\n");
}

#[test]
fn every_format_arrives_in_the_smallest_buffers_with_a_credit_of_one() {
    every_format_arrives("[session]\nbuffer_size = 128\ncredit = 1\n");
}

#[test]
fn an_empty_file_arrives_in_every_envelope() {
    let (alpha, beta) = secure_pair("", "");
    let path = alpha.write("empty", b"");
    let mut sent = Vec::new();
    for services in Services::combinations() {
        sent.push(send(&alpha, "beta", &path, wish(services, true, Suite::S04)));
    }
    for transfer in &sent {
        alpha.wait_state(transfer, "delivered");
    }
    assert_eq!(received(&beta, "alpha"), vec![Vec::<u8>::new(); sent.len()]);
    assert_proven(&alpha, sent.len());
}

#[test]
fn a_file_of_many_blocks_arrives_whether_it_can_be_compressed_or_not() {
    const OCTETS: usize = 20 << 20;
    let (alpha, beta) = secure_pair("", "");
    let contents = [content(7, OCTETS), noise(7, OCTETS), noise(8, OCTETS)];
    let plain = wish(Services::NONE, true, Suite::S04);
    let sent: Vec<_> = contents
        .iter()
        .zip([everything(), everything(), plain])
        .enumerate()
        .map(|(number, (content, services))| {
            let path = alpha.write(&format!("large{number}"), content);
            send(&alpha, "beta", &path, services)
        })
        .collect();
    for transfer in &sent {
        alpha.wait_state(transfer, "delivered");
    }
    assert!(received(&beta, "alpha") == contents);
    assert_proven(&alpha, 3);
}

#[test]
fn files_of_all_sizes_around_the_boundaries_arrive_sealed() {
    let (alpha, beta) = secure_pair("", "");
    let mut sent = Vec::new();
    // Cipher blocks, buffers, chunks and segments, blocks of the station.
    for octets in [1, 15, 16, 17, 98_300, 98_437, 524_287, 524_288, 1_048_575, 1_048_576, 1_048_577] {
        let content = noise(octets as u64, octets);
        let path = alpha.write(&format!("f{octets:07}"), &content);
        let services = [Services::ALL, Services { compress: false, ..Services::ALL }];
        for services in services {
            sent.push((send(&alpha, "beta", &path, wish(services, true, Suite::S04)), content.clone()));
        }
    }
    for (transfer, _) in &sent {
        alpha.wait_state(transfer, "delivered");
    }
    let expected: Vec<_> = sent.into_iter().map(|(_, content)| content).collect();
    assert!(received(&beta, "alpha") == expected);
}

#[test]
fn a_partner_of_an_older_level_gets_plain_files_and_no_secured_ones() {
    for level in [1, 2, 4] {
        let (alpha, beta) = secure_pair("", &format!("[session]\nlevel_max = {level}\n"));
        let path = alpha.write("file", b"hello");
        let sealed = send(&alpha, "beta", &path, everything());
        let signed_receipt = ServiceWish { signed_receipt: Some(true), ..ServiceWish::default() };
        let proven = send(&alpha, "beta", &path, signed_receipt);
        let plain = send(&alpha, "beta", &path, ServiceWish::default());
        alpha.wait_state(&plain, "delivered");
        for transfer in [&sealed, &proven] {
            alpha.wait_state(transfer, "failed");
            let number = transfer.parse().expect("a number");
            let (_, detail, _) = alpha.handle().state(number).expect("it is known");
            assert!(detail.contains("which needs level 5; the partner speaks level"), "{detail}");
        }
        assert_eq!(received(&beta, "alpha"), [b"hello"]);
        let told = |event: &Event| matches!(event, Event::FileFailed { .. });
        alpha.events.wait_for_many(2, "files that failed", told);
    }
}

#[test]
fn a_broken_file_of_records_is_not_sealed() {
    let (alpha, beta) = secure_pair("", "");
    let mut request = SendRequest::new("beta", alpha.write("broken", b"\0\x05only"));
    (request.format, request.services) = ('V', everything());
    let broken = queue(&alpha, &request);
    alpha.wait_state(&broken, "failed");
    let (_, detail, _) = alpha.handle().state(broken.parse().unwrap()).unwrap();
    assert!(detail.contains("the file ends within a record"), "{detail}");
    // The next session goes on with the others.
    let right = send(&alpha, "beta", &alpha.write("right", b"hello"), everything());
    alpha.wait_state(&right, "delivered");
    assert_eq!(received(&beta, "alpha"), [b"hello"]);
    assert!(beta.spool().is_empty());
}

#[test]
fn a_file_whose_signed_receipt_cannot_be_signed_is_unproven() {
    let (alpha, beta) = secure_pair("", "[receive]\nsigned_receipt = \"forbidden\"\n");
    let transfer = send(&alpha, "beta", &alpha.write("file", b"hello"), everything());
    alpha.wait_state(&transfer, "unproven");
    alpha.events.wait_for("the receipt", |event| matches!(event, Event::ReceiptUnproven { .. }));
    assert_eq!(received(&beta, "alpha"), [b"hello"]);
}

#[test]
fn what_is_announced_is_enough_and_what_ends_a_sealed_file_counts_its_records() {
    let scene = Scene::secured_calling("");
    let files = [
        ('U', 0, Vec::new(), 0),
        ('U', 0, vec![b'z'; 30_000], 0),
        ('U', 0, noise(1, 30_000), 0),
        ('T', 0, b"line\r\n".to_vec(), 0),
        ('F', 10, noise(2, 200), 20),
        ('V', 700, variable()[..2 + 3 + 65].to_vec(), 3),
    ];
    let mut expected = Vec::new();
    for (format, record_size, content, records) in &files {
        for services in Services::combinations().filter(|services| *services != Services::NONE) {
            let path = scene.station.write(&format!("sealed{}", expected.len()), content);
            let mut request = SendRequest::new("peer", path);
            (request.format, request.record_size) = (*format, *record_size);
            request.services = wish(services, false, Suite::S04);
            queue(&scene.station, &request);
            expected.push((content.len(), *records));
        }
    }
    let mut peer = Peer::answer(&scene.port);
    peer.greet_back(&StartSession { buffer_size: 99_999, credit: 999, ..ssid() });
    for (octets, records) in expected {
        let file = peer.expect_offer();
        peer.accept();
        let (envelope, end) = peer.take_to_end();
        assert_eq!(file.original_size_blocks, octets.div_ceil(1024) as u64);
        assert!(file.size_blocks * 1024 >= envelope.len() as u64, "{file:?}: {} octets", envelope.len());
        assert!(file.size_blocks * 1024 <= octets as u64 + 5 * 1024, "an estimate, but no fantasy: {file:?}");
        assert_eq!(end.record_count, records, "{file:?}");
        assert_eq!((file.envelope, file.restart), (1, 0));
        peer.confirm();
    }
    peer.expect(Mnemonic::Cd);
    peer.end(EndSessionReason::NORMAL);
    peer.expect_closed();
}

#[test]
fn what_is_sent_opens_with_openssl() {
    const TEST: &str = "what_is_sent_opens_with_openssl";
    let scene = Scene::secured_calling("");
    let content = content(9, 5000);
    let services = Services { compress: false, ..Services::ALL };
    send(&scene.station, "peer", &scene.station.write("file", &content), wish(services, false, Suite::S04));
    let mut peer = Peer::opened(&scene.port);
    let (_, envelope) = peer.take_file();
    peer.end(EndSessionReason::NORMAL);
    peer.expect_closed();
    let path = |name: &str, text: &str| {
        let path = scene.station.folder().join(name);
        write_private(&path, text);
        path.to_str().expect("a path of ASCII").to_owned()
    };
    let (ours, theirs) = (issued("peer"), issued("station"));
    let (certificate, key) = (path("peer.crt", &ours.certificate), path("peer.key", &ours.key));
    let signer = path("station.crt", &theirs.certificate);
    let decrypt = ["cms", "-decrypt", "-inform", "DER", "-binary", "-recip", &certificate, "-inkey", &key];
    let Some(inner) = openssl(TEST, &decrypt, &envelope) else { return };
    let verify = ["cms", "-verify", "-inform", "DER", "-binary", "-noverify", "-certfile", &signer];
    let Some(opened) = openssl(TEST, &verify, &inner.expect("it is for the peer")) else { return };
    assert!(opened.expect("it is the station's") == content);
}
