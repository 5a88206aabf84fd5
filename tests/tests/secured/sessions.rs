//! How files go: many in one session, both ways at once, proved and polled.

use std::net::{SocketAddr, TcpListener};

use odile_station::envelope::{Services, Suite};
use odile_station::{Event, Listen, Options};
use odile_tests::pki::issued;
use odile_tests::station::{TestStation, equipped_pair, options, secure_pair};
use odile_wire::EndSessionReason;

use crate::{assert_proven, content, everything, received, send, wish};

fn opened_sessions(station: &TestStation) -> usize {
    let events = station.events.all();
    events.iter().filter(|event| matches!(event, Event::SessionOpened { .. })).count()
}

#[test]
fn fifty_files_and_their_receipts_go_in_one_session() {
    let (alpha, beta) = secure_pair("", "");
    // Beta cannot call: its files wait until alpha does.
    let contents: Vec<_> = (0..50).map(|seed| content(seed, 3000 + seed)).collect();
    let sent: Vec<_> = contents
        .iter()
        .enumerate()
        .map(|(number, content)| {
            send(&beta, "alpha", &beta.write(&format!("f{number:02}"), content), everything())
        })
        .collect();
    let end = alpha.call("beta");
    assert_eq!(end.reason, EndSessionReason::NORMAL, "{end:?}");
    for transfer in &sent {
        beta.wait_state(transfer, "delivered");
    }
    assert!(received(&alpha, "beta") == contents);
    assert_proven(&beta, sent.len());
    assert_eq!(opened_sessions(&alpha), 1);
}

#[test]
fn one_worker_seals_files_for_several_partners_at_the_same_time() {
    let mut alpha = TestStation::new("O0013ALPHA");
    alpha.give_key(&issued("alpha"));
    let names = ["beta", "gamma", "delta", "epsilon", "zeta"];
    let partners = names.map(|name| {
        let mut partner = TestStation::new(&format!("O0013{}", name.to_uppercase()));
        partner.give_key(&issued(name));
        partner.give_certificate("alpha", "shared", &issued("alpha"));
        partner.add_partner("alpha", "code = \"O0013ALPHA\"\ntransport = \"tls\"\n");
        let address = partner.start_secure(options());
        alpha.give_certificate(name, "shared", &issued(name));
        let code = format!("code = \"O0013{}\"", name.to_uppercase());
        alpha.add_partner(name, &format!("{code}\naddress = \"{address}\"\ntransport = \"tls\"\n"));
        partner
    });
    alpha.start_secure(Options { pool_blocks: 32, checkpoint_bytes: 1 << 20, ..options() });
    let encrypt = Services { encrypt: true, ..Services::NONE };
    let sign = Services { sign: true, ..encrypt };
    let mut sent = Vec::new();
    for (number, services) in [sign, encrypt, Services::ALL, sign].into_iter().enumerate() {
        for (seed, name) in names.into_iter().enumerate() {
            let content = content(number * 10 + seed, 1_500_000 + seed * 700_001);
            let path = alpha.write(&format!("{name}{number}"), &content);
            // Compressed ones go among the others, and are none of them.
            let suite = if number == 1 { Suite::S02 } else { Suite::S04 };
            sent.push((name, send(&alpha, name, &path, wish(services, number == 3, suite)), content));
        }
    }
    for (_, transfer, _) in &sent {
        alpha.wait_state(transfer, "delivered");
    }
    assert_proven(&alpha, names.len());
    for (partner, name) in partners.iter().zip(names) {
        let mut found = received(partner, "alpha");
        let mut expected: Vec<_> =
            sent.iter().filter(|file| file.0 == name).map(|(_, _, content)| content.clone()).collect();
        found.sort();
        expected.sort();
        assert!(found == expected, "{name}");
    }
    assert!(alpha.spool().is_empty());
}

/// An address that nobody listens at.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

#[test]
fn two_stations_send_to_each_other_at_the_same_time() {
    let (mut alpha, mut beta) = equipped_pair();
    let (of_alpha, of_beta) = (free_address(), free_address());
    let partner = |code: &str, address: SocketAddr| {
        format!(
            "code = \"{code}\"\naddress = \"{address}\"\ntransport = \"tls\"\n[session]\nauthentication = true\n"
        )
    };
    alpha.add_partner("beta", &partner("O0013BETA", of_beta));
    beta.add_partner("alpha", &partner("O0013ALPHA", of_alpha));
    alpha.start_at(options(), Listen { plain: None, tls: Some(of_alpha) });
    beta.start_at(options(), Listen { plain: None, tls: Some(of_beta) });
    let contents: Vec<_> = (0..10).map(|seed| content(seed, 200_000 + seed)).collect();
    let (mut from_alpha, mut from_beta) = (Vec::new(), Vec::new());
    for (number, content) in contents.iter().enumerate() {
        let name = format!("f{number:02}");
        from_alpha.push(send(&alpha, "beta", &alpha.write(&name, content), everything()));
        from_beta.push(send(&beta, "alpha", &beta.write(&name, content), everything()));
    }
    for (station, transfers) in [(&alpha, &from_alpha), (&beta, &from_beta)] {
        for transfer in transfers {
            station.wait_state(transfer, "delivered");
        }
        assert_proven(station, contents.len());
    }
    assert!(alpha.spool().is_empty() && beta.spool().is_empty());
    // Two sessions may bring them in another order than they were queued in.
    for mut found in [received(&beta, "alpha"), received(&alpha, "beta")] {
        found.sort();
        let mut expected = contents.clone();
        expected.sort();
        assert!(found == expected);
    }
}

#[test]
fn each_direction_has_terms_of_its_own() {
    let ours = "[send]\nsign = \"required\"\nsuite = 2\n[receive]\nsuites = [7]\nsign = \"forbidden\"\n";
    let theirs =
        "[send]\nencrypt = \"required\"\nsuite = 7\n[receive]\nsuites = [2]\nencrypt = \"forbidden\"\n";
    let (alpha, beta) = secure_pair(ours, theirs);
    let back = beta.send("alpha", &beta.write("back", b"from beta"));
    let there = alpha.send("beta", &alpha.write("there", b"from alpha"));
    alpha.wait_state(&there, "delivered");
    beta.wait_state(&back, "delivered");
    assert_eq!(received(&alpha, "beta"), [b"from beta"]);
    assert_eq!(received(&beta, "alpha"), [b"from alpha"]);
    let offered = |station: &TestStation, what: &str| {
        let told = |event: &Event| matches!(event, Event::FileOffered { services, .. } if services == what);
        assert!(station.events.all().iter().any(told), "{:#?}", station.events.all());
    };
    offered(&alpha, "signed (suite 02)");
    offered(&beta, "encrypted (suite 07)");
}

#[test]
fn a_refusal_of_the_other_station_is_told_in_its_words() {
    let (alpha, beta) = secure_pair("", "[receive]\nsign = \"required\"\n");
    let transfer = alpha.send("beta", &alpha.write("file", b"hello"));
    alpha.wait_state(&transfer, "refused");
    let (_, detail, _) = alpha.handle().state(transfer.parse().unwrap()).unwrap();
    assert_eq!(detail, "SFNA 20, unsigned file not allowed: only signed files are taken");
    assert!(beta.inbox("alpha").is_empty() && beta.spool().is_empty());
}

#[test]
fn an_unusable_file_is_rejected_with_a_signed_receipt() {
    // Beta encrypts for a certificate whose key alpha has lost, and alpha answers later.
    let (alpha, beta) = {
        let (alpha, beta) = equipped_pair();
        let folder = beta.home().certificates(&"alpha".parse().unwrap());
        beta.give_certificate("alpha", "encryption", &issued("alpha, lost"));
        std::fs::create_dir_all(folder.join("tls")).unwrap();
        // For everything else it is the one that alpha has.
        for purpose in ["tls", "signing", "authentication"] {
            beta.give_certificate("alpha", purpose, &issued("alpha"));
        }
        std::fs::remove_dir_all(folder.join("shared")).unwrap();
        odile_tests::station::joined(alpha, beta, "[receive]\nrefuse_with = \"nerp\"\n", "")
    };
    let transfer = send(&beta, "alpha", &beta.write("file", b"hello"), everything());
    alpha.call("beta");
    beta.wait_state(&transfer, "rejected");
    let (_, detail, _) = beta.handle().state(transfer.parse().unwrap()).unwrap();
    assert!(detail.contains("NERP 33"), "{detail}");
    beta.events.wait_for(
        "the proof",
        |event| matches!(event, Event::ReceiptArrived { text, .. } if text.ends_with("signature verified")),
    );
    assert!(alpha.inbox("beta").is_empty() && alpha.spool().is_empty());
}

#[test]
fn a_sealed_file_whose_receiver_is_stopped_in_the_middle_comes_again() {
    let (mut alpha, mut beta) = secure_pair("", "");
    let content = odile_tests::envelope::noise(3, 8 << 20);
    let transfer = send(&alpha, "beta", &alpha.write("large", &content), everything());
    beta.events.wait_for("the file", |event| matches!(event, Event::Receiving { .. }));
    beta.stop();
    alpha.stop();
    assert!(beta.inbox("alpha").len() <= 1);
    let address = beta.start_secure(options());
    let file = alpha.home().partner_file(&"beta".parse().unwrap());
    let partner = format!("code = \"O0013BETA\"\naddress = \"{address}\"\ntransport = \"tls\"\n");
    std::fs::write(file, partner).unwrap();
    alpha.start_secure(options());
    alpha.handle().retry(transfer.parse().unwrap()).ok();
    alpha.wait_state(&transfer, "delivered");
    let inbox = beta.inbox("alpha");
    assert_eq!(inbox.len(), 1, "{inbox:?}");
    assert!(std::fs::read(&inbox[0]).unwrap() == content);
    assert_proven(&alpha, 1);
    assert!(beta.spool().is_empty());
}
