//! Receipts that two stations have exchanged.

use std::fs;
use std::path::PathBuf;

use odile_station::SendRequest;
use odile_station::envelope::{Services, Suite};
use odile_station::partner::ServiceWish;
use odile_tests::openssl::openssl;
use odile_tests::pki::issued;
use odile_tests::station::{TestStation, options, secure_pair};

use crate::evidence::digits;
use crate::exported::{commands, replay};
use crate::program::{has_openssl, odile};

/// A file has gone from the first to the second, with a signed receipt; both have stopped.
fn exchanged(services: Services) -> (TestStation, TestStation, PathBuf) {
    let (mut alpha, mut beta) = secure_pair("", "[receive]\nsuites = [2, 4, 10]\n");
    let path = alpha.write("crash.key", "#1=CARTESIAN_POINT('',(1.5,0.,0.));\n".repeat(2000).as_bytes());
    let mut request = SendRequest::new("beta", &path);
    request.services = ServiceWish {
        sign: Some(services.sign),
        compress: Some(services.compress),
        encrypt: Some(services.encrypt),
        signed_receipt: Some(true),
        suite: Some(Suite::S04),
    };
    let outbound = alpha.handle().send(&request).expect("it is queued");
    assert_eq!(outbound.id, 1);
    alpha.wait_state("S1", "delivered");
    alpha.stop();
    beta.stop();
    (alpha, beta, path)
}

#[test]
fn a_signed_receipt_is_shown_and_verified_without_key_and_without_the_partners_certificate() {
    let (alpha, _beta, _) = exchanged(Services::ALL);
    fs::remove_dir_all(alpha.home().keys()).unwrap();
    fs::remove_dir_all(alpha.home().certificates(&"beta".parse().unwrap())).unwrap();
    let shown = odile(alpha.home(), &["--output", "json", "receipt", "show", "S1"]).expect(0).json();
    assert_eq!(shown["services"], "signed, compressed, encrypted (suite 04)");
    let receipt = &shown["receipts"][0];
    assert_eq!((&receipt["kind"], &receipt["state"]), (&"EERP".into(), &"arrived".into()));
    assert_eq!((&receipt["proof"], &receipt["originator"]), (&"verified".into(), &"O0013ALPHA".into()));
    assert_eq!(receipt["hash"], shown["transmitted"]["hash"]);
    assert_eq!(shown["transmitted"]["hash_algorithm"], "SHA-256");
    assert_eq!(receipt["hash"].as_str().unwrap().len(), 64);
    assert_eq!(receipt["signer"]["subject"], "CN=beta");
    assert_eq!(receipt["signer"]["found"], "kept with the receipt");
    let fingerprint = issued("beta").identity.certificate().fingerprint();
    let digits = digits(&fingerprint).to_ascii_uppercase();
    assert_eq!(receipt["signer"]["fingerprint"], digits.as_str());
    assert!(receipt["signing_time"].as_str().unwrap().ends_with('Z'), "{receipt}");
    assert!(receipt["signature_octets"].as_u64().unwrap() > 400, "{receipt}");
    let text = odile(alpha.home(), &["receipt", "show", "S1"]).expect(0).stdout;
    for part in ["S1 to beta, delivered", "EERP", "SHA-256 ", &digits, "from 2020-01-01T00:00:00Z until 2099"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let run = odile(alpha.home(), &["receipt", "verify", "S1"]).expect(0);
    assert_eq!(run.stdout.matches("\n  ok ").count(), 5, "{run:#?}");
    assert!(run.stdout.contains("beta has signed that it has what was transmitted"), "{run:#?}");
    assert_eq!(run.stderr, "");
    let verified = odile(alpha.home(), &["--output", "json", "receipt", "verify", "S1"]).expect(0).json();
    assert_eq!(verified["proven"], true);
    let checks = verified["receipts"][0]["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(names, ["file", "hash", "signature", "content", "certificate"]);
}

#[test]
fn the_listings_tell_services_signer_and_proof() {
    let (alpha, beta, _) = exchanged(Services::ALL);
    let services = "signed, compressed, encrypted (suite 04), signed receipt";
    let history = odile(alpha.home(), &["history"]).expect(0).stdout;
    assert!(history.contains(services) && history.contains("EERP, verified"), "{history}");
    let rows = odile(alpha.home(), &["--output", "json", "history"]).expect(0).json();
    assert_eq!((&rows[0]["receipt"], &rows[0]["state"]), (&"EERP, verified".into(), &"delivered".into()));
    let shown = odile(alpha.home(), &["show", "S1"]).expect(0).stdout;
    assert!(shown.contains(services) && shown.contains("EERP arrived, verified, "), "{shown}");
    let shown = odile(beta.home(), &["show", "R1"]).expect(0).stdout;
    assert!(shown.contains("signed by      CN=alpha, certificate "), "{shown}");
    assert!(shown.contains(", signed, ") && shown.contains(" octets, SHA-256 "), "{shown}");
    assert!(odile(beta.home(), &["history"]).expect(0).stdout.contains("EERP, signed"));
}

#[test]
fn a_receipt_of_ours_is_verified_with_our_certificate() {
    let (_alpha, beta, _) = exchanged(Services::ALL);
    let run = odile(beta.home(), &["receipt", "verify", "R1"]).expect(0);
    assert!(
        run.stdout.contains("in keys/station.crt") && run.stdout.contains("the receipt is ours"),
        "{run:#?}"
    );
    let shown = odile(beta.home(), &["--output", "json", "receipt", "show", "R1"]).expect(0).json();
    assert_eq!(shown["receipts"][0]["signer"]["subject"], "CN=beta");
    // One that was replaced lies beside the new one.
    let ours = beta.home().keys().join("station.crt");
    let old = beta.home().keys().join("station.crt.01234567");
    fs::rename(&ours, &old).unwrap();
    beta.give_key(&issued("another"));
    let run = odile(beta.home(), &["receipt", "verify", "R1"]).expect(0);
    assert!(run.stdout.contains("in keys/station.crt.01234567"), "{run:#?}");
    // And one that is gone must be named.
    let elsewhere = beta.folder().join("old.crt");
    fs::rename(&old, &elsewhere).unwrap();
    let run = odile(beta.home(), &["receipt", "verify", "R1"]).expect(1);
    assert!(run.stdout.contains("not ok  signature") && run.stderr.contains("--signer FILE"), "{run:#?}");
    let run =
        odile(beta.home(), &["receipt", "verify", "R1", "--signer", elsewhere.to_str().unwrap()]).expect(0);
    assert!(run.stdout.contains("old.crt"), "{run:#?}");
    if !has_openssl("a_receipt_of_ours_is_verified_with_our_certificate") {
        return;
    }
    fs::rename(&elsewhere, &ours).unwrap();
    let folder = beta.folder().join("evidence");
    odile(beta.home(), &["receipt", "export", "R1", "--to", folder.to_str().unwrap()]).expect(0);
    replay(&folder, &[("AUTHORITY.pem", "signer.pem")]);
}

#[test]
fn openssl_agrees_with_an_exported_receipt_and_so_does_whoever_has_the_file() {
    let (alpha, beta, path) = exchanged(Services::NONE);
    if !has_openssl("openssl_agrees_with_an_exported_receipt_and_so_does_whoever_has_the_file") {
        return;
    }
    let folder = alpha.folder().join("evidence");
    let run = odile(alpha.home(), &["receipt", "export", "S1", "--to", folder.to_str().unwrap()]).expect(0);
    assert!(run.stdout.contains("README.txt") && run.stderr.is_empty(), "{run:#?}");
    let received = beta.inbox("alpha").remove(0);
    for file in [&path, &received] {
        let given = [("AUTHORITY.pem", "signer.pem"), ("FILE", file.to_str().unwrap())];
        let outputs = replay(&folder, &given);
        let hash = fs::read_to_string(folder.join("hash.txt")).unwrap();
        assert_eq!(outputs.last().unwrap().split(' ').next().unwrap(), hash.trim());
        assert_eq!(outputs.iter().filter(|output| **output == hash).count(), 2, "{outputs:#?}");
    }
    // The hash is the one that openssl finds at the end of the signature's content.
    let octets = fs::read(folder.join("signed-octets.bin")).unwrap();
    assert_eq!(octets.len(), 94 + 32);
    let digest = openssl("", &["dgst", "-sha256", "-binary"], &fs::read(&path).unwrap()).unwrap().unwrap();
    assert_eq!(octets[94..], digest);
}

#[test]
fn a_sealed_file_is_told_of_as_an_envelope() {
    let (alpha, _beta, _) = exchanged(Services::ALL);
    let folder = alpha.folder().join("evidence");
    odile(alpha.home(), &["receipt", "export", "S1", "--to", folder.to_str().unwrap()]).expect(0);
    let text = fs::read_to_string(folder.join("README.txt")).unwrap();
    assert!(text.contains("travelled in an envelope (signed, compressed, encrypted (suite 04))"), "{text}");
    assert!(commands(&text).contains(&"openssl dgst -sha256 -r ENVELOPE".to_owned()), "{text}");
    assert!(text.contains("What was in the envelope."), "{text}");
    let names: Vec<_> = fs::read_dir(folder.join("partner-certificates")).unwrap().collect();
    assert_eq!(names.len(), 1);
    let exported = fs::read_to_string(folder.join("signer.pem")).unwrap();
    assert_eq!(exported.trim(), issued("beta").certificate.replace("\r\n", "\n").trim());
}

#[test]
fn a_file_whose_receipt_proves_nothing_is_settled_with_one() {
    // Its terms promise signed receipts, but it has no key to sign them with.
    let mut beta = TestStation::with("O0013BETA", "[keys]\nsigning = \"absent\"\n");
    beta.give_key(&issued("beta"));
    beta.add_partner("alpha", "code = \"O0013ALPHA\"\n");
    let address = beta.start_with(options());
    let alpha = TestStation::new("O0013ALPHA");
    alpha.give_key(&issued("alpha"));
    alpha.add_partner("beta", &format!("code = \"O0013BETA\"\naddress = \"{address}\"\n"));
    alpha.give_certificate("beta", "shared", &issued("beta"));
    let path = alpha.write("crash.key", b"content");
    let file = path.to_str().unwrap();
    let run = odile(alpha.home(), &["send", "beta", file, "--signed-receipt"]).expect(1);
    assert!(run.stdout.contains("unproven"), "{run:#?}");
    let hint = "`odile receipt verify S1` says what is missing";
    assert!(run.stderr.contains(hint) && run.stderr.contains("the partner has the file"), "{run:#?}");
    for listing in [&["queue"][..], &["history"], &["show", "S1"]] {
        let listed = odile(alpha.home(), listing).expect(0).stdout;
        assert!(listed.contains("unproven") && listed.contains(hint), "{listed}");
        assert!(listed.contains("plain, signed receipt"), "{listed}");
    }
    let run = odile(alpha.home(), &["receipt", "verify", "S1"]).expect(1);
    assert!(run.stdout.contains("not ok  signature    it is not signed"), "{run:#?}");
    assert!(run.stderr.contains("signed_receipt = \"required\""), "{run:#?}");
    // To have the file sent was all that was wanted here.
    odile(alpha.home(), &["send", "beta", file, "--signed-receipt", "--wait", "sent"]).expect(0);
}
