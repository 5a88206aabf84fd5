//! Two ends of TLS in memory: handshake, trust, content, refusals.

use odile_tls::CallerCertificate::{Forbidden, Optional, Required};
use odile_tls::{
    CertificateDer, ClientAuthentication, ClientIdentity, HostNameCheck, Identity, Policy, Received, Tls,
    TlsError, Trust, client_config, server_config,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::UnixTime;

/// An authority, and what it issues.
struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Issued {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Test authority");
        Self(
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"),
        )
    }

    fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a valid name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate").der().clone();
        Issued { certificate, key: key.serialize_der() }
    }
}

impl Issued {
    fn identity(&self) -> Identity {
        Identity::new(vec![self.certificate.clone()], &self.key).expect("a PKCS#8 key")
    }
}

fn pinned(issued: &Issued) -> Trust {
    Trust { pinned: vec![issued.certificate.clone()], ..Trust::default() }
}

fn issued_by(authority: &Authority) -> Trust {
    Trust { authorities: vec![authority.certificate()], ..Trust::default() }
}

/// Two ends, and what each has to say to the other.
struct Ends {
    client: Tls,
    server: Tls,
}

impl Ends {
    fn new(server: &Issued, trust: Trust, check: HostNameCheck, host: &str, client: Option<&Issued>) -> Self {
        let policy = Policy::new(trust, check).expect("something to trust");
        let config =
            client_config(policy, client.map(Issued::identity).map(ClientIdentity::new)).expect("a client");
        let served = server_config(&server.identity(), ClientAuthentication::Asked).expect("a server");
        Self {
            client: Tls::client(config, host).expect("a host name"),
            server: Tls::server(served).expect("a connection"),
        }
    }

    /// Carries octets to and fro, `step` at a time, until nobody has more to say.
    fn shake(&mut self, step: usize) -> Result<(), TlsError> {
        let (mut to_server, mut to_client, mut content) = (Vec::new(), Vec::new(), Vec::new());
        self.client.receive(&mut [], &mut content, &mut to_server)?;
        while !(to_server.is_empty() && to_client.is_empty()) {
            for chunk in std::mem::take(&mut to_server).chunks_mut(step) {
                self.server.receive(chunk, &mut content, &mut to_client)?;
            }
            for chunk in std::mem::take(&mut to_client).chunks_mut(step) {
                self.client.receive(chunk, &mut content, &mut to_server)?;
            }
        }
        assert!(content.is_empty());
        Ok(())
    }
}

#[test]
fn content_arrives_however_it_is_split() {
    let authority = Authority::new();
    let server = authority.issue("oftp.example.com");
    for step in [1, 7, 1000, 100_000] {
        let mut ends = Ends::new(&server, issued_by(&authority), HostNameCheck::On, "oftp.example.com", None);
        ends.shake(step).expect("they agree");
        assert!(!ends.client.is_handshaking() && !ends.server.is_handshaking());
        assert!(ends.client.description().expect("agreed").starts_with("TLSv1_3"));
        for octets in [0, 1, 16_384, 16_385, 300_000] {
            let sent: Vec<u8> = (0..octets).map(|n: u32| (n % 251) as u8).collect();
            let mut sealed = vec![0; Tls::sealed_bytes(sent.len())];
            let count = ends.client.seal(&sent, &mut sealed).expect("there is room");
            sealed.truncate(count);
            let (mut content, mut back) = (Vec::new(), Vec::new());
            for chunk in sealed.chunks_mut(step) {
                ends.server.receive(chunk, &mut content, &mut back).expect("valid records");
            }
            assert_eq!(content, sent);
        }
        let (mut content, mut back, mut alert) = (Vec::new(), Vec::new(), Vec::new());
        ends.client.close(&mut alert);
        let closed = ends.server.receive(&mut alert, &mut content, &mut back).expect("a valid alert");
        assert_eq!(closed, Received::Closed);
    }
}

#[test]
fn a_pinned_certificate_is_trusted_under_any_name_and_no_other_is() {
    let authority = Authority::new();
    let (server, other) = (authority.issue("a.example.com"), authority.issue("a.example.com"));
    let mut ends = Ends::new(&server, pinned(&server), HostNameCheck::On, "10.1.2.3", None);
    ends.shake(9999).expect("it is pinned");
    let mut ends = Ends::new(&server, pinned(&other), HostNameCheck::On, "a.example.com", None);
    let error = ends.shake(9999).expect_err("another one is pinned").to_string();
    assert!(error.contains("not trusted"), "{error}");
}

#[test]
fn the_host_name_counts_unless_it_is_switched_off() {
    let authority = Authority::new();
    let server = authority.issue("a.example.com");
    let mut ends = Ends::new(&server, issued_by(&authority), HostNameCheck::On, "b.example.com", None);
    let error = ends.shake(9999).expect_err("another name").to_string();
    assert!(error.contains("host name"), "{error}");
    let mut ends = Ends::new(&server, issued_by(&authority), HostNameCheck::Off, "b.example.com", None);
    ends.shake(9999).expect("the name does not count");
    // But the authority still does.
    let mut ends =
        Ends::new(&server, issued_by(&Authority::new()), HostNameCheck::Off, "a.example.com", None);
    assert!(ends.shake(9999).is_err());
}

#[test]
fn a_caller_is_judged_when_it_is_known() {
    let authority = Authority::new();
    let (server, client) = (authority.issue("s.example.com"), authority.issue("c.example.com"));
    let stranger = Authority::new().issue("c.example.com");
    let check = |shown: Option<&Issued>, trust: Trust, wanted| {
        let mut ends = Ends::new(&server, pinned(&server), HostNameCheck::Off, "x", shown);
        ends.shake(9999).expect("the handshake itself is fine");
        let policy = Policy::new(trust, HostNameCheck::Off).expect("something to trust");
        policy.check_caller(ends.server.peer_certificates(), wanted, UnixTime::now())
    };
    assert_eq!(check(None, pinned(&client), Required), Err(TlsError::NoCertificate));
    assert_eq!(check(None, pinned(&client), Optional), Ok(()));
    assert_eq!(check(None, pinned(&client), Forbidden), Ok(()));
    assert_eq!(check(Some(&client), pinned(&client), Forbidden), Err(TlsError::UnwantedCertificate));
    for trust in [pinned(&client), issued_by(&authority)] {
        assert_eq!(check(Some(&client), trust, Required), Ok(()));
    }
    for trust in [pinned(&client), issued_by(&authority)] {
        assert!(matches!(check(Some(&stranger), trust, Optional), Err(TlsError::Untrusted(_))));
    }
}

#[test]
fn what_is_no_tls_is_refused_with_an_alert_and_a_sentence() {
    let authority = Authority::new();
    let server = authority.issue("s.example.com");
    for input in [
        &b"ODETTE FTP READY \r and more of it"[..],
        b"\x10\0\0\x17IODETTE FTP READY \r",
        b"\x16\x03\x01\xff\xff",
    ] {
        let mut ends = Ends::new(&server, pinned(&server), HostNameCheck::Off, "x", None);
        let (mut content, mut send) = (Vec::new(), Vec::new());
        let error = ends.server.receive(&mut input.to_vec(), &mut content, &mut send);
        let error = error.expect_err("no TLS").to_string();
        assert!(error.contains("does not speak TLS"), "{error}");
        assert_eq!(send.first(), Some(&21), "an alert");
    }
}

#[test]
fn a_flipped_bit_is_noticed() {
    let authority = Authority::new();
    let server = authority.issue("s.example.com");
    let mut ends = Ends::new(&server, pinned(&server), HostNameCheck::Off, "x", None);
    ends.shake(9999).expect("they agree");
    let mut sealed = vec![0; Tls::sealed_bytes(5)];
    let count = ends.client.seal(b"hello", &mut sealed).expect("there is room");
    sealed[count - 1] ^= 1;
    let (mut content, mut send) = (Vec::new(), Vec::new());
    assert!(ends.server.receive(&mut sealed[..count], &mut content, &mut send).is_err());
    assert!(content.is_empty());
}

#[test]
fn nothing_can_be_sealed_before_the_handshake_or_without_room() {
    let authority = Authority::new();
    let server = authority.issue("s.example.com");
    let mut ends = Ends::new(&server, pinned(&server), HostNameCheck::Off, "x", None);
    assert!(ends.client.seal(b"x", &mut [0; 100]).is_err());
    ends.shake(9999).expect("they agree");
    assert!(ends.client.seal(b"hello", &mut [0; 10]).is_err());
}

#[test]
fn a_policy_without_anything_to_trust_is_refused() {
    assert!(matches!(Policy::new(Trust::default(), HostNameCheck::On), Err(TlsError::Trust(_))));
    let nonsense = Trust { authorities: vec![CertificateDer::from(vec![1, 2, 3])], ..Trust::default() };
    assert!(matches!(Policy::new(nonsense, HostNameCheck::On), Err(TlsError::Trust(_))));
}
