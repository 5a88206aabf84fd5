//! Who gets in over TLS and whom we call over it: versions, cipher suites, certificates, and lines that break.

mod called;
mod callers;
mod handshakes;
mod lines;

use odile_tests::peer::{Peer, STATION, sfid, ssid};
use odile_tests::pki::{Authority, Issued, issued};
use odile_tests::scene::Scene;
use odile_tests::secure_line::TlsManners;
use odile_tests::station::TestStation;
use odile_wire::Mnemonic;

const TLS: &str = "transport = \"tls\"\n";
const REQUIRED: &str = "transport = \"tls\"\n[tls]\ninbound_client_certificate = \"required\"\n";
/// What a caller reads that did not come as agreed.
const UNWELCOME: &str = "this station is called over TLS, with the certificate agreed, or not at all";

fn calling(scene: &Scene, manners: TlsManners<'_>) -> Peer {
    Peer::connect_secure(scene.secure_address(), manners).expect("a handshake")
}

/// The peer, calling in this manner, is served.
fn served(scene: &Scene, manners: TlsManners<'_>) {
    let mut peer = calling(scene, manners);
    peer.greet(&ssid());
    peer.send_file(&sfid("SERVED", 5), b"hello");
    assert_eq!(peer.finish().len(), 1);
}

/// A station that trusts the peer for what is pinned, for what these authorities issued, or for both.
fn trusting(pinned: &[&Issued], authorities: &[&Authority]) -> TestStation {
    let station = TestStation::new(STATION);
    station.give_key(&issued("station"));
    for certificate in pinned {
        station.give_certificate("peer", "tls", certificate);
    }
    for authority in authorities {
        station.give_authority("peer", authority);
    }
    station
}

const ONLY_1_2: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
const ONLY_1_3: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The station, having called, delivers its file.
fn delivered(scene: &Scene, peer: &mut Peer, transfer: &str) {
    peer.greet_back(&ssid());
    let (file, _) = peer.take_file();
    peer.confirm();
    peer.expect(Mnemonic::Cd);
    peer.send_receipt(&file);
    scene.station.wait_state(transfer, "delivered");
}

fn finished(scene: &Scene, peer: Peer) {
    peer.finish();
    scene.assert_unharmed(0);
}
