//! Records after the handshake, with rustls's own records at the other end.

use std::io::{Read, Write};
use std::sync::Arc;

use odile_tls::{
    ClientAuthentication, HostNameCheck, Identity, Policy, Received, Tls, Trust, client_config, server_config,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::{
    ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection, SupportedCipherSuite,
};

const SUITES: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// Our end and rustls's, after the handshake.
struct Ends {
    ours: Tls,
    theirs: Connection,
}

impl Ends {
    /// `is_server`: our end.
    fn new(suite: SupportedCipherSuite, is_server: bool, tickets: usize) -> Self {
        let mut ends = Self::begun(suite, is_server, tickets);
        while ends.ours.is_handshaking() || ends.theirs.is_handshaking() {
            assert!(ends.carry_to_us(usize::MAX).is_empty());
        }
        // Tickets come after it.
        assert!(ends.carry_to_us(usize::MAX).is_empty());
        ends
    }

    /// Before the handshake, but for what a client says first.
    fn begun(suite: SupportedCipherSuite, is_server: bool, tickets: usize) -> Self {
        let issued = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).expect("a certificate");
        let (certificate, key) = (issued.cert.der().clone(), issued.signing_key.serialize_der());
        let identity = Identity::new(vec![certificate.clone()], &key).expect("a key");
        let trust = Trust { pinned: vec![certificate.clone()], ..Trust::default() };
        let policy = Policy::new(trust, HostNameCheck::On).expect("something to trust");
        let provider = Arc::new(CryptoProvider { cipher_suites: vec![suite], ..default_provider() });
        let name = "a.example";
        let (ours, theirs) = if is_server {
            let ours =
                Tls::server(server_config(&identity, ClientAuthentication::NotAsked).expect("a server"));
            let mut roots = rustls::RootCertStore::empty();
            roots.add(certificate).expect("a certificate");
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(roots)
                .with_no_client_auth();
            let theirs =
                ClientConnection::new(Arc::new(config), name.try_into().expect("a name")).expect("a client");
            (ours, Connection::from(theirs))
        } else {
            let ours = Tls::client(client_config(policy, None).expect("a client"), name);
            let key = rustls::pki_types::PrivateKeyDer::try_from(key).expect("a key");
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
                .expect("a key");
            config.send_tls13_tickets = tickets;
            (ours, Connection::from(ServerConnection::new(Arc::new(config)).expect("a server")))
        };
        let mut ends = Self { ours: ours.expect("a connection"), theirs };
        let mut send = Vec::new();
        ends.ours.receive(&mut [], &mut Vec::new(), &mut send).expect("it begins");
        ends.carry_to_them(&send);
        ends
    }

    fn carry_to_them(&mut self, mut records: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        while !records.is_empty() {
            self.theirs.read_tls(&mut records).expect("from memory");
            self.theirs.process_new_packets().expect("valid records");
            while let Ok(1..) = self.theirs.reader().by_ref().take(1 << 20).read_to_end(&mut content) {}
        }
        content
    }

    /// What they have to say, `step` octets at a time; and our answers go back.
    fn carry_to_us(&mut self, step: usize) -> Vec<u8> {
        let (mut records, mut content, mut send) = (Vec::new(), Vec::new(), Vec::new());
        while self.theirs.wants_write() {
            self.theirs.write_tls(&mut records).expect("into memory");
        }
        for chunk in records.chunks_mut(step.min(1 << 30)) {
            assert_eq!(self.ours.receive(chunk, &mut content, &mut send).expect("valid"), Received::Open);
        }
        assert!(self.carry_to_them(&send).is_empty());
        content
    }

    fn we_say(&mut self, content: &[u8]) -> usize {
        let mut sealed = vec![0; Tls::sealed_bytes(content.len())];
        let count = self.ours.seal(content, &mut sealed).expect("there is room");
        assert!(self.carry_to_them(&sealed[..count]) == content, "{} octets", content.len());
        count
    }

    fn they_say(&mut self, content: &[u8], step: usize) {
        let mut arrived = Vec::new();
        // rustls holds back what is more than its buffer.
        for chunk in content.chunks(60_000) {
            self.theirs.writer().write_all(chunk).expect("there is room");
            arrived.extend(self.carry_to_us(step));
        }
        assert!(arrived == content, "{} octets in steps of {step}", content.len());
    }
}

fn octets(count: usize) -> Vec<u8> {
    (0..=250).cycle().take(count).collect()
}

#[test]
fn content_passes_with_each_suite_in_both_directions_however_it_is_cut() {
    for suite in SUITES {
        for is_server in [true, false] {
            let mut ends = Ends::new(suite, is_server, 2);
            let shown = ends.ours.description().expect("agreed");
            assert_eq!(shown, format!("TLSv1_3 {:?}", suite.suite()));
            for count in [0, 1, 16_383, 16_384, 16_385, 200_000] {
                ends.we_say(&octets(count));
                for step in [1, 5, 6, 1000, 16_406, 16_407, 50_000, usize::MAX] {
                    ends.they_say(&octets(count), step);
                }
            }
        }
    }
}

#[test]
fn keys_are_changed_when_they_ask_and_when_they_only_tell() {
    for suite in SUITES {
        for is_server in [true, false] {
            let mut ends = Ends::new(suite, is_server, 1);
            for _ in 0..5 {
                // Asks us to change ours, too: that goes out in front of the next content.
                ends.theirs.refresh_traffic_keys().expect("TLS 1.3");
                ends.they_say(&octets(100_000), 777);
                let update_bytes = 5 + 5 + 17;
                let plain = 100 + 5 + 17;
                assert_eq!(ends.we_say(&octets(100)), update_bytes + plain);
                assert_eq!(ends.we_say(&octets(100)), plain);
                ends.they_say(&octets(100), 1);
            }
        }
    }
}

#[test]
fn the_end_is_told_and_understood() {
    let mut ends = Ends::new(SUITES[0], true, 0);
    let mut send = Vec::new();
    ends.ours.close(&mut send);
    ends.ours.close(&mut send);
    let mut rest = send.as_slice();
    ends.theirs.read_tls(&mut rest).expect("from memory");
    let state = ends.theirs.process_new_packets().expect("a valid alert");
    assert!(state.peer_has_closed() && rest.is_empty());
    assert!(ends.ours.seal(b"more", &mut [0; 100]).is_err(), "nothing is said after it");
    ends.theirs.writer().write_all(b"last words").expect("room");
    ends.theirs.send_close_notify();
    let (mut records, mut content) = (Vec::new(), Vec::new());
    while ends.theirs.wants_write() {
        ends.theirs.write_tls(&mut records).expect("into memory");
    }
    let closed = ends.ours.receive(&mut records, &mut content, &mut send).expect("a valid alert");
    assert_eq!((closed, content.as_slice()), (Received::Closed, &b"last words"[..]));
}

#[test]
fn content_stays_where_it_was_read() {
    let mut ends = Ends::new(SUITES[0], true, 0);
    let sent = octets(100_000);
    let mut records = Vec::new();
    for chunk in sent.chunks(50_000) {
        ends.theirs.writer().write_all(chunk).expect("room");
        while ends.theirs.wants_write() {
            ends.theirs.write_tls(&mut records).expect("into memory");
        }
    }
    // The first read ends in the middle of a record: only that one is collected.
    let (first, second) = records.split_at_mut(40_000);
    let (mut content, mut send, mut arrived) = (Vec::new(), Vec::new(), Vec::new());
    for part in [first, second] {
        content.clear();
        let found = ends.ours.receive_in_place(part, &mut content, &mut send);
        assert_eq!(found.end.expect("valid records"), Received::Open);
        assert!(content.len() <= 16_384 && found.front > 30_000, "{} {}", content.len(), found.front);
        arrived.extend_from_slice(&content);
        arrived.extend_from_slice(&part[..found.front]);
    }
    assert!(arrived == sent);
}

#[test]
fn keys_that_are_changed_in_the_same_breath_as_the_handshake_ends_are_changed_here_too() {
    for step in [usize::MAX, 1, 40] {
        let mut ends = Ends::begun(SUITES[0], true, 0);
        // Their last word of the handshake stays behind, until more is said.
        let mut flight = Vec::new();
        while ends.theirs.is_handshaking() {
            let mut records = Vec::new();
            while ends.theirs.wants_write() {
                ends.theirs.write_tls(&mut records).expect("into memory");
            }
            flight.clear();
            for chunk in records.chunks_mut(1000) {
                ends.ours.receive(chunk, &mut Vec::new(), &mut flight).expect("valid");
            }
            ends.carry_to_them(&flight);
        }
        assert!(ends.ours.is_handshaking());
        ends.theirs.refresh_traffic_keys().expect("TLS 1.3");
        ends.they_say(&octets(1000), step);
        let update_bytes = 5 + 5 + 17;
        assert_eq!(ends.we_say(&octets(100)), update_bytes + 100 + 5 + 17);
        ends.they_say(&octets(100_000), step);
    }
}
