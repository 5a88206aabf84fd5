//! Handshake messages that are cut, left open or stretched, by a peer that has finished its handshake properly.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use odile_tls::{
    ClientAuthentication, HostNameCheck, Identity, Policy, Received, Tls, Trust, client_config, server_config,
};
use rustls::{ClientConfig, ClientConnection, ConnectionTrafficSecrets};

/// Seals records of a client as it likes, under the keys of a connection.
struct Forger {
    key: LessSafeKey,
    iv: Vec<u8>,
    number: u64,
}

impl Forger {
    fn new(client: ClientConnection) -> Self {
        let (number, secrets) = client.dangerous_extract_secrets().expect("they may be extracted").tx;
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else {
            unreachable!("AES-256-GCM is first")
        };
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a key"));
        Self { key, iv: iv.as_ref().to_vec(), number }
    }

    /// A record of TLS 1.3 whose plaintext ends with its content type, and zeros behind it (RFC 8446 §5.2).
    fn record(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let length = u16::try_from(plaintext.len() + 16).expect("a record").to_be_bytes();
        let header = [23, 3, 3, length[0], length[1]];
        let mut nonce: [u8; 12] = self.iv.clone().try_into().expect("twelve octets");
        for (octet, number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *octet ^= number;
        }
        self.number += 1;
        let mut body = plaintext.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut body).expect("it can be sealed");
        [header.to_vec(), body].concat()
    }
}

fn issued() -> (Identity, Trust) {
    let issued = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).expect("a certificate");
    let certificate = issued.cert.der().clone();
    let identity =
        Identity::new(vec![certificate.clone()], &issued.signing_key.serialize_der()).expect("a key");
    (identity, Trust { pinned: vec![certificate], ..Trust::default() })
}

/// A server of ours, and the configuration of a client of rustls's own.
fn ends() -> (Tls, ClientConfig) {
    let (identity, trust) = issued();
    let server = server_config(&identity, ClientAuthentication::Asked).expect("a server");
    let policy = Policy::new(trust, HostNameCheck::On).expect("something to trust");
    let mut client = ClientConfig::clone(&client_config(policy, None).expect("a client"));
    client.enable_secret_extraction = true;
    (Tls::server(server).expect("a connection"), client)
}

/// Carries the handshake to its end, `step` octets at a time towards the server.
fn shake(server: &mut Tls, client: &mut ClientConnection, step: usize) {
    let mut content = Vec::new();
    loop {
        let (mut out, mut back) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut out).expect("into memory");
        }
        if out.is_empty() {
            break;
        }
        for chunk in out.chunks_mut(step) {
            server.receive(chunk, &mut content, &mut back).expect("a valid handshake");
        }
        let mut rest = back.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("from memory");
            client.process_new_packets().expect("a valid handshake");
        }
    }
}

fn forged() -> (Tls, Forger) {
    let (mut server, config) = ends();
    let mut client =
        ClientConnection::new(Arc::new(config), "a.example".try_into().expect("a name")).expect("it");
    shake(&mut server, &mut client, 10_000);
    assert!(!server.is_handshaking());
    (server, Forger::new(client))
}

#[test]
fn a_handshake_in_records_of_any_size_read_in_any_pieces_comes_to_its_end() {
    for fragment in [64, 128, 1024, 4096] {
        for step in [1, 7, 64, 69, 100, 500, 100_000] {
            let (mut server, mut config) = ends();
            config.max_fragment_size = Some(fragment);
            let name = "a.example".try_into().expect("a name");
            let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
            shake(&mut server, &mut client, step);
            assert!(!server.is_handshaking(), "records of {fragment}, reads of {step} octets");
        }
    }
}

#[test]
fn a_message_that_is_left_open_does_not_disturb_what_we_write() {
    // KeyUpdate without its last octet, then the greeting, the end, and the octet.
    let (mut server, mut forger) = forged();
    let (mut content, mut send) = (Vec::new(), Vec::new());
    let mut open = forger.record(&[24, 0, 0, 1, 22]);
    assert_eq!(server.receive(&mut open, &mut content, &mut send).unwrap(), Received::Open);
    let mut sealed = vec![0; Tls::sealed_bytes(19)];
    assert!(server.seal(b"IODETTE FTP READY \r", &mut sealed).unwrap() > 19);
    let mut rest = forger.record(&[0, 22]);
    server.receive(&mut rest, &mut content, &mut send).expect("the message is whole now");

    let (mut server, mut forger) = forged();
    let mut open = forger.record(&[24, 0, 0, 1, 22]);
    server.receive(&mut open, &mut content, &mut send).unwrap();
    send.clear();
    server.close(&mut send);
    assert!(content.is_empty());
}

#[test]
fn a_message_in_records_of_almost_nothing_is_refused_before_it_costs_much() {
    let (mut server, mut forger) = forged();
    let message = [4_u8, 0, 0xFF, 0xFF];
    let mut sent = 0;
    for number in 0..1000_usize {
        // One octet of the message, and as many zeros behind it as a record holds.
        let mut plaintext = vec![0; 16_000];
        plaintext[..2].copy_from_slice(&[message.get(number).copied().unwrap_or(0), 22]);
        let mut record = forger.record(&plaintext);
        sent += record.len();
        let (mut content, mut send) = (Vec::new(), Vec::new());
        if server.receive(&mut record, &mut content, &mut send).is_err() {
            assert!(sent < 1_000_000, "{sent} octets were taken");
            return;
        }
    }
    unreachable!("{sent} octets were taken");
}

#[test]
fn what_may_not_come_after_the_handshake_ends_the_connection_with_an_alert() {
    let with_type = |content: &[u8], kind: u8| [content, &[kind]].concat();
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("nothing but padding", vec![vec![0; 100]]),
        ("no plaintext at all", vec![vec![]]),
        ("change cipher spec", vec![with_type(&[1], 20)]),
        ("an unknown type", vec![with_type(&[1], 99)]),
        ("too much content", vec![with_type(&[7; 16_385], 23)]),
        ("an alert of one octet", vec![with_type(&[1], 21)]),
        ("an empty handshake record", vec![with_type(&[], 22)]),
        ("a ticket from a client", vec![with_type(&[4, 0, 0, 1, 7], 22)]),
        ("a second hello", vec![with_type(&[1, 0, 0, 1, 7], 22)]),
        ("a request for a certificate", vec![with_type(&[13, 0, 0, 3, 0, 0, 0], 22)]),
        ("a key update of two octets", vec![with_type(&[24, 0, 0, 2, 0, 0], 22)]),
        ("a key update that wants something else", vec![with_type(&[24, 0, 0, 1, 2], 22)]),
        ("something behind a key update", vec![with_type(&[24, 0, 0, 1, 0, 24], 22)]),
        ("content within a message", vec![with_type(&[24, 0, 0], 22), with_type(b"content", 23)]),
        ("a message without end", vec![with_type(&[24, 255, 255, 255], 22)]),
        ("old keys behind a key update", vec![with_type(&[24, 0, 0, 1, 0], 22)]),
    ];
    for (what, plaintexts) in cases {
        for step in [1, usize::MAX] {
            let (mut server, mut forger) = forged();
            let (mut content, mut send) = (Vec::new(), Vec::new());
            let mut failed = None;
            let mut records: Vec<u8> = plaintexts.iter().flat_map(|plain| forger.record(plain)).collect();
            if what.starts_with("old keys") {
                // The first is fine; what follows is sealed with the old keys.
                records.extend(forger.record(&with_type(b"content", 23)));
            }
            let length = records.len();
            for chunk in records.chunks_mut(step.min(length)) {
                if let Err(error) = server.receive(chunk, &mut content, &mut send) {
                    failed = Some(error.to_string());
                    break;
                }
            }
            assert!(failed.is_some(), "{what} was taken");
            assert!(content.is_empty(), "{what}: {content:?}");
            assert_eq!(send.len(), 5 + 2 + 17, "{what}: an alert, {failed:?}");
            // Nothing goes on.
            assert!(server.seal(b"more", &mut [0; 100]).is_err(), "{what}");
            let mut more = forger.record(&with_type(b"content", 23));
            assert!(
                server.receive(&mut more, &mut content, &mut send).is_err() && content.is_empty(),
                "{what}"
            );
        }
    }
}

#[test]
fn headers_that_are_wrong_and_records_out_of_their_order_are_refused() {
    type Spoil = fn(&mut Vec<u8>);
    let cases: [(&str, Spoil); 6] = [
        ("another type outside", |record| record[0] = 22),
        ("an alert in the clear", |record| *record = vec![21, 3, 3, 0, 2, 2, 40]),
        ("too long", |record| record[3..5].copy_from_slice(&16_641_u16.to_be_bytes())),
        ("shorter than its tag", |record| *record = [&[23, 3, 3, 0, 15][..], &[0; 15]].concat()),
        ("a flipped bit", |record| *record.last_mut().expect("it has octets") ^= 1),
        ("one octet less", |record| {
            record.pop();
            record[4] -= 1;
        }),
    ];
    for (what, spoil) in cases {
        let (mut server, mut forger) = forged();
        let mut record = forger.record(b"content\x17");
        spoil(&mut record);
        let (mut content, mut send) = (Vec::new(), Vec::new());
        assert!(server.receive(&mut record, &mut content, &mut send).is_err(), "{what}");
        assert!(content.is_empty() && !send.is_empty(), "{what}");
    }
    // Again, and out of order.
    for order in [[0, 0], [1, 0]] {
        let (mut server, mut forger) = forged();
        let records = [forger.record(b"first\x17"), forger.record(b"second\x17")];
        let (mut content, mut send) = (Vec::new(), Vec::new());
        let outcome: Vec<bool> = order
            .iter()
            .map(|at| server.receive(&mut records[*at].clone(), &mut content, &mut send).is_ok())
            .collect();
        assert!(outcome.contains(&false), "{order:?}");
    }
}

#[test]
fn a_flood_of_messages_without_content_is_refused() {
    let (mut server, mut forger) = forged();
    // Each is a message's first octet in a record of its own: 32 of them are more than any honest peer sends.
    let mut taken = 0;
    for _ in 0..1000 {
        let mut record = forger.record(&[24, 22]);
        if server.receive(&mut record, &mut Vec::new(), &mut Vec::new()).is_err() {
            break;
        }
        taken += 1;
    }
    assert!(taken <= 32, "{taken}");
}

#[test]
fn a_flood_of_records_without_content_is_refused() {
    // Nothing at all, and "the user has cancelled".
    for plaintext in [&[23_u8][..], &[1, 90, 21]] {
        let (mut server, mut forger) = forged();
        let refused = (0..1000).position(|_| {
            let mut record = forger.record(plaintext);
            server.receive(&mut record, &mut Vec::new(), &mut Vec::new()).is_err()
        });
        assert!(refused.is_some_and(|number| number <= 32), "{plaintext:?}: {refused:?}");
    }
}
