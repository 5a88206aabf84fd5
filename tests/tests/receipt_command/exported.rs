//! Folders that are handed out, and judged by others with OpenSSL alone.

use std::fs;
use std::path::Path;

use odile_station::catalog::Verdict;
use odile_station::envelope::Suite;
use odile_station::envelope::seal::Embed;
use odile_tests::pki::{Issued, Validity, issued, issued_for};

use crate::evidence::{CONTENT, SENT_MS, Sent, Signed, fields, hash};
use crate::program::{has_openssl, odile, shell};

/// The commands of a README.txt, in its order.
pub fn commands(text: &str) -> Vec<String> {
    let indented = |line: &str| line.strip_prefix("    ").map(str::to_owned);
    text.lines().filter_map(indented).collect()
}

/// Gives the commands of README.txt as they stand there, but for what its words in capitals stand for. All must
/// succeed; gives what each said on standard output. Commands about a file that is not `given` are left out.
pub fn replay(folder: &Path, given: &[(&str, &str)]) -> Vec<String> {
    let text = fs::read_to_string(folder.join("README.txt")).unwrap();
    let mut outputs = Vec::new();
    for mut command in commands(&text) {
        for (word, path) in given {
            command = command.replace(word, path);
        }
        let is_open = command.split(' ').any(|word| ["AUTHORITY.pem", "FILE", "ENVELOPE"].contains(&word));
        if is_open {
            continue;
        }
        let run = shell(folder, &command).expect(0);
        if command.starts_with("openssl cms -verify") {
            assert!(run.stderr.contains("CMS Verification successful"), "{command}: {run:#?}");
        }
        if command.starts_with("cmp ") {
            assert_eq!(run.stdout, "same\n");
        }
        outputs.push(run.stdout);
    }
    assert!(outputs.len() >= 6, "{text}");
    outputs
}

fn export(sent: &Sent) -> std::path::PathBuf {
    let folder = sent.station.folder().join("evidence");
    odile(sent.station.home(), &["receipt", "export", "S1", "--to", folder.to_str().unwrap()]).expect(0);
    folder
}

/// A right EERP that was kept with its signer's certificate.
fn with_receipt(suite: Suite, signer: &Issued, embed: Embed) -> Sent {
    let sent = Sent::new(suite);
    sent.arrives(sent.positive(signer, hash(suite), embed), Verdict::Verified, Some(signer), SENT_MS);
    sent
}

#[test]
fn openssl_agrees_in_every_suite_whether_the_certificate_came_along_or_not() {
    if !has_openssl("openssl_agrees_in_every_suite_whether_the_certificate_came_along_or_not") {
        return;
    }
    let beta = issued("beta");
    for suite in Suite::ALL {
        for embed in [Embed::Nothing, Embed::SignerCertificate] {
            let sent = with_receipt(suite, &beta, embed);
            let folder = export(&sent);
            let file = sent.station.write("crash.key", CONTENT);
            let given = [("AUTHORITY.pem", "signer.pem"), ("FILE", file.to_str().unwrap())];
            let outputs = replay(&folder, &given);
            let digits = fs::read_to_string(folder.join("hash.txt")).unwrap();
            assert_eq!(outputs.last().unwrap().split(' ').next(), Some(digits.trim()), "suite {suite}");
            let signed = fs::read(folder.join("signed-octets.bin")).unwrap();
            assert_eq!(signed, fields(&sent.outbound.file, None, &hash(suite)), "suite {suite}");
        }
    }
}

#[test]
fn openssl_refuses_another_certificate_and_a_changed_signature() {
    let test = "openssl_refuses_another_certificate_and_a_changed_signature";
    if !has_openssl(test) {
        return;
    }
    // What came along must not stand in for signer.pem.
    let sent = with_receipt(Suite::S04, &issued("beta"), Embed::SignerCertificate);
    let folder = export(&sent);
    let text = fs::read_to_string(folder.join("README.txt")).unwrap();
    let verify = &commands(&text)[0];
    assert!(verify.starts_with("openssl cms -verify"), "{text}");
    shell(&folder, verify).expect(0);
    let right = fs::read(folder.join("signer.pem")).unwrap();
    fs::write(folder.join("signer.pem"), &issued("another").certificate).unwrap();
    assert_ne!(shell(&folder, verify).code, Some(0));
    fs::write(folder.join("signer.pem"), right).unwrap();
    let signature = fs::read(folder.join("signature.p7s")).unwrap();
    let content = fs::read(folder.join("signed-octets.bin")).unwrap();
    let inside = signature.windows(content.len()).position(|octets| octets == content).unwrap();
    for at in [inside, inside + content.len() - 1, signature.len() - 1] {
        let mut changed = signature.clone();
        changed[at] ^= 1;
        fs::write(folder.join("signature.p7s"), changed).unwrap();
        assert_ne!(shell(&folder, verify).code, Some(0), "octet {at}");
    }
}

#[test]
fn a_certificate_that_has_expired_since_is_no_obstacle() {
    let test = "a_certificate_that_has_expired_since_is_no_obstacle";
    let beta = issued_for("beta", Validity::Expired);
    let sent = with_receipt(Suite::S04, &beta, Embed::Nothing);
    let run = odile(sent.station.home(), &["receipt", "verify", "S1"]).expect(0);
    assert!(run.stdout.contains("it has expired since"), "{run:#?}");
    let folder = export(&sent);
    if has_openssl(test) {
        replay(&folder, &[("AUTHORITY.pem", "signer.pem")]);
    }
}

#[test]
fn a_negative_receipt_says_what_of_it_is_not_signed() {
    let beta = issued("beta");
    for (creator, octets, says) in [
        (Signed::Too, 94 + 25 + 32, "RFC 5024 does not sign them"),
        (Signed::Not, 94 + 32, "its creator was not signed"),
    ] {
        let sent = Sent::new(Suite::S04);
        sent.arrives(sent.negative(&beta, creator), Verdict::Verified, Some(&beta), SENT_MS);
        let folder = export(&sent);
        assert_eq!(fs::read(folder.join("signed-octets.bin")).unwrap().len(), octets);
        let text = fs::read_to_string(folder.join("README.txt")).unwrap();
        let filled = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(filled.contains(says) && filled.contains("NERP"), "{text}");
        let json = fs::read_to_string(folder.join("receipt.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["receipt"]["fields"]["NERPREAS"], "3232");
        assert_eq!(json["receipt"]["signed_octets"].as_str().unwrap().len(), 2 * octets);
        if has_openssl("a_negative_receipt_says_what_of_it_is_not_signed") {
            replay(&folder, &[]);
        }
    }
}

#[test]
fn a_receipt_that_does_not_hold_is_handed_out_with_a_warning() {
    let sent = Sent::new(Suite::S04);
    let receipt = sent.positive(&issued("stranger"), hash(Suite::S04), Embed::SignerCertificate);
    sent.arrives(receipt, Verdict::Wrong("unknown".to_owned()), None, SENT_MS);
    let folder = sent.station.folder().join("evidence");
    let run = odile(sent.station.home(), &["receipt", "export", "S1", "--to", folder.to_str().unwrap()]);
    let run = run.expect(0);
    assert!(run.stderr.contains("not everything holds"), "{run:#?}");
    let text = fs::read_to_string(folder.join("README.txt")).unwrap();
    assert!(text.contains("NOT EVERYTHING HOLDS") && text.contains("signer.pem is missing"), "{text}");
    assert!(!folder.join("signer.pem").exists());
    // What came along is looked at, and once the certificate is there, the rest goes as ever.
    if !has_openssl("a_receipt_that_does_not_hold_is_handed_out_with_a_warning") {
        return;
    }
    assert!(shell(&folder, &commands(&text)[0]).expect(0).stdout.contains("stranger"), "{text}");
    fs::write(folder.join("signer.pem"), &issued("stranger").certificate).unwrap();
    replay(&folder, &[("AUTHORITY.pem", "signer.pem")]);
}

#[test]
fn nothing_is_overwritten() {
    let sent = with_receipt(Suite::S04, &issued("beta"), Embed::Nothing);
    let folder = sent.station.folder().join("evidence");
    fs::create_dir(&folder).unwrap();
    let to = folder.to_str().unwrap();
    odile(sent.station.home(), &["receipt", "export", "S1", "--to", to]).expect(0);
    let before = fs::metadata(folder.join("README.txt")).unwrap().modified().unwrap();
    let run = odile(sent.station.home(), &["receipt", "export", "S1", "--to", to]).expect(2);
    assert!(run.stderr.contains("is not empty") && run.stdout.is_empty(), "{run:#?}");
    assert_eq!(fs::metadata(folder.join("README.txt")).unwrap().modified().unwrap(), before);
    // A single file that is somebody else's is enough.
    let other = sent.station.folder().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join(".notes"), "mine").unwrap();
    odile(sent.station.home(), &["receipt", "export", "S1", "--to", other.to_str().unwrap()]).expect(2);
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    let file = sent.station.write("file", b"");
    odile(sent.station.home(), &["receipt", "export", "S1", "--to", file.to_str().unwrap()]).expect(2);
}
