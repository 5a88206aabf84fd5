//! With which keys: one for each purpose, old and new ones, those behind a passphrase.

use std::fs;

use odile_tests::openssl::openssl;
use odile_tests::pki::{Issued, issued, write_private};
use odile_tests::station::{TestStation, equipped_pair, joined, secure_pair};

use crate::{assert_proven, everything, received, send};

const PURPOSES: [&str; 4] = ["tls", "authentication", "signing", "encryption"];
const AUTHENTICATED: &str = "[session]\nauthentication = true\n";

/// A file with everything goes both ways, and both receipts are proven.
fn assert_served(alpha: &TestStation, beta: &TestStation) {
    let there = send(alpha, "beta", &alpha.write("there", b"from alpha"), everything());
    alpha.wait_state(&there, "delivered");
    let back = send(beta, "alpha", &beta.write("back", b"from beta"), everything());
    alpha.call("beta");
    beta.wait_state(&back, "delivered");
    assert_eq!(received(beta, "alpha").last().expect("it came"), b"from alpha");
    assert_eq!(received(alpha, "beta").last().expect("it came"), b"from beta");
    assert_proven(alpha, 1);
    assert_proven(beta, 1);
}

/// A station with a key for each purpose, each of another name.
fn with_separate_keys(name: &str, code: &str) -> TestStation {
    let keys = "[keys]\ntls = \"of-tls\"\nauthentication = \"of-authentication\"\nsigning = \"of-signing\"\n\
                encryption = \"of-encryption\"\n";
    let station = TestStation::with(code, keys);
    for purpose in PURPOSES {
        station.give_key_named(&format!("of-{purpose}"), &issued(&format!("{name}, {purpose}")));
    }
    station
}

#[test]
fn each_purpose_may_have_a_key_of_its_own() {
    let alpha = with_separate_keys("alpha", "O0013ALPHA");
    let beta = with_separate_keys("beta", "O0013BETA");
    for purpose in PURPOSES {
        alpha.give_certificate("beta", purpose, &issued(&format!("beta, {purpose}")));
        beta.give_certificate("alpha", purpose, &issued(&format!("alpha, {purpose}")));
    }
    let required =
        "[tls]\ninbound_client_certificate = \"required\"\noutbound_client_certificate = \"required\"\n";
    let terms = format!("{AUTHENTICATED}{required}");
    let (alpha, beta) = joined(alpha, beta, &terms, &terms);
    assert_served(&alpha, &beta);
    let signed_by_right_key =
        |event: &odile_station::Event| event.to_string().contains("signed by CN=alpha\\, signing");
    beta.events.wait_for("the signer", signed_by_right_key);
}

#[test]
fn a_new_signing_key_may_lie_beside_the_old_one() {
    let (alpha, beta) = equipped_pair();
    beta.give_certificate("alpha", "signing", &issued("alpha, renewed"));
    let (mut alpha, beta) = joined(alpha, beta, "", "");
    let before = send(&alpha, "beta", &alpha.write("before", b"signed with the old key"), everything());
    alpha.wait_state(&before, "delivered");
    alpha.stop();
    // Alpha changes over: from now on it signs with the new one, and its receipts are signed with it.
    let station = fs::read_to_string(alpha.home().station_file()).unwrap();
    fs::write(alpha.home().station_file(), format!("{station}[keys]\nsigning = \"renewed\"\n")).unwrap();
    alpha.give_key_named("renewed", &issued("alpha, renewed"));
    alpha.start_secure(odile_tests::station::options());
    let after = send(&alpha, "beta", &alpha.write("after", b"signed with the new key"), everything());
    alpha.wait_state(&after, "delivered");
    assert_eq!(received(&beta, "alpha"), [&b"signed with the old key"[..], b"signed with the new key"]);
    let back = send(&beta, "alpha", &beta.write("back", b"from beta"), everything());
    alpha.call("beta");
    beta.wait_state(&back, "delivered");
    assert_proven(&beta, 1);
}

#[test]
fn an_old_key_still_opens_what_a_partner_encrypts_for_it() {
    let (alpha, mut beta) =
        (equipped_pair().0, TestStation::with("O0013BETA", "[keys]\nencryption = \"renewed\"\n"));
    beta.give_key(&issued("beta"));
    beta.give_key_named("renewed", &issued("beta, renewed"));
    beta.give_certificate("alpha", "shared", &issued("alpha"));
    let (mut alpha, started) = joined(alpha, beta, "", "");
    beta = started;
    let old = send(&alpha, "beta", &alpha.write("old", b"for the old key"), everything());
    alpha.wait_state(&old, "delivered");
    // The new certificate arrives at alpha, beside the old one: it began at the same time and serves as well.
    alpha.stop();
    alpha.give_certificate("beta", "encryption", &issued("beta, renewed"));
    alpha.start_secure(odile_tests::station::options());
    let new = send(&alpha, "beta", &alpha.write("new", b"for the new key"), everything());
    alpha.wait_state(&new, "delivered");
    assert_eq!(received(&beta, "alpha"), [&b"for the old key"[..], b"for the new key"]);
}

#[test]
fn our_certificate_in_the_envelope_does_no_harm() {
    let terms = "[send]\nembed_certificate = true\n";
    let (alpha, beta) = secure_pair(terms, terms);
    assert_served(&alpha, &beta);
}

/// Gives the station its key, behind a passphrase; none without `openssl`.
fn give_locked_key(station: &TestStation, issued: &Issued, passphrase: &str) -> Option<()> {
    let test = "keys_behind_a_passphrase_serve_for_everything";
    let password = format!("pass:{passphrase}");
    let arguments = ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", &password];
    let locked = openssl(test, &arguments, issued.key.as_bytes())?.expect("openssl locks it");
    let locked = String::from_utf8(locked).expect("PEM");
    assert!(locked.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    station.give_key(issued);
    write_private(&station.home().keys().join("station.key"), &locked);
    Some(())
}

#[test]
fn keys_behind_a_passphrase_serve_for_everything() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passphrase");
    write_private(&file, "correct horse battery staple\nand another line\n");
    let alpha = TestStation::with("O0013ALPHA", &format!("[keys]\npassphrase_file = {file:?}\n"));
    if give_locked_key(&alpha, &issued("alpha"), "correct horse battery staple").is_none() {
        return;
    }
    alpha.give_certificate("beta", "shared", &issued("beta"));
    let (_, beta) = equipped_pair();
    let (alpha, beta) = joined(alpha, beta, AUTHENTICATED, AUTHENTICATED);
    assert_served(&alpha, &beta);
}
