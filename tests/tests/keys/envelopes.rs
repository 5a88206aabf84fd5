//! `odile seal` and `odile open`, beside `openssl cms`.

use std::fs;

use odile_tests::openssl::openssl;
use odile_tests::pki::issued;

use super::{Home, Pair, drawing, pair, text};

#[test]
fn openssl_opens_what_was_sealed() {
    let test = "openssl_opens_what_was_sealed";
    let Pair { us, them } = pair();
    let content = drawing(60_000);
    let source = us.write("drawing.step", &content);
    let (certificate, key) = (them.root().join("keys/station.crt"), them.root().join("keys/station.key"));
    let ours = us.root().join("keys/station.crt");
    for suite in ["1", "4", "6", "9"] {
        let to = us.path(&format!("sealed.{suite}"));
        let seal = ["seal", text(&source), "--to", text(&to), "--for", "them", "--sign", "--encrypt"];
        let sealed = us.json(&[&seal[..], &["--suite", suite]].concat());
        assert_eq!(sealed["services"], serde_json::json!(["sign", "encrypt"]));
        assert_eq!(sealed["octets_in"], content.len());
        assert_eq!(sealed["octets_out"], fs::metadata(&to).unwrap().len());
        let digest = match suite {
            "1" => "-sha1",
            "4" => "-sha256",
            _ => "-sha512",
        };
        let Some(hash) = openssl(test, &["dgst", digest, "-r", text(&to)], b"") else { return };
        let hash = String::from_utf8(hash.unwrap()).unwrap();
        assert!(hash.starts_with(sealed["hash"]["value"].as_str().unwrap()), "{hash} {sealed}");
        let decrypt = ["cms", "-decrypt", "-binary", "-inform", "DER", "-recip", text(&certificate)];
        let decrypt = [&decrypt[..], &["-inkey", text(&key), "-in", text(&to)]].concat();
        let signed = openssl(test, &decrypt, b"").unwrap().unwrap();
        let verify = ["cms", "-verify", "-binary", "-inform", "DER", "-noverify", "-certfile", text(&ours)];
        let opened = openssl(test, &verify, &signed).unwrap().unwrap();
        assert!(opened == content, "suite {suite}");
    }
}

#[test]
fn what_openssl_sealed_is_opened() {
    let test = "what_openssl_sealed_is_opened";
    let Pair { us, them } = pair();
    let content = drawing(60_000);
    let (certificate, key) = (them.root().join("keys/station.crt"), them.root().join("keys/station.key"));
    let sign = ["cms", "-sign", "-binary", "-nodetach", "-nocerts", "-outform", "DER", "-md", "sha256"];
    let sign = [&sign[..], &["-signer", text(&certificate), "-inkey", text(&key)]].concat();
    let Some(signed) = openssl(test, &sign, &content) else { return };
    let ours = us.root().join("keys/station.crt");
    let encrypt = ["cms", "-encrypt", "-binary", "-outform", "DER", "-aes-256-cbc", text(&ours)];
    let envelope = openssl(test, &encrypt, &signed.unwrap()).unwrap().unwrap();
    let sealed = us.write("from-openssl", &envelope);
    let to = us.path("opened");
    let run = ["open", text(&sealed), "--to", text(&to), "--from", "them", "--expect", "sign,encrypt"];
    let opened = us.json(&run);
    assert!(fs::read(&to).unwrap() == content);
    assert_eq!((&opened["partner"], &opened["cipher"]), (&"them".into(), &"AES-256-CBC".into()));
    assert!(opened["signer"].as_str().unwrap().contains("CN=them.example"), "{opened}");
    assert_eq!(opened["services"], serde_json::json!(["sign", "encrypt"]));
    // It was there already; and a pipe is as good as a file.
    us.run(&run).refused(2, "--force");
    us.run(&[&run[..], &["--force"]].concat()).expect(0);
    let piped = us.run_with(&["open", "-", "--to", "-", "--signer", text(&certificate)], &envelope).expect(0);
    assert!(piped.stdout == content);
    fs::remove_file(to).unwrap();
}

#[test]
fn an_envelope_that_is_not_good_leaves_no_file() {
    let Pair { us, them } = pair();
    let folder = Home::empty();
    let content = drawing(30_000);
    let source = folder.write("drawing.step", &content);
    let sealed = folder.path("sealed");
    let all = ["--sign", "--compress", "--encrypt"];
    us.run(&[&["seal", text(&source), "--to", text(&sealed), "--for", "them"][..], &all].concat()).expect(0);
    let envelope = fs::read(&sealed).unwrap();
    assert!(envelope.len() < content.len());
    let to = folder.path("opened");
    let open = ["open", text(&sealed), "--to", text(&to)];
    let before = folder.files();

    for at in [envelope.len() / 3, envelope.len() / 2, envelope.len() - 30] {
        let mut flipped = envelope.clone();
        flipped[at] ^= 0x10;
        fs::write(&sealed, flipped).unwrap();
        them.run(&[&open[..], &["--from", "us"]].concat()).expect(1);
        // On standard output, too, nothing appears that is not verified.
        let shown = them.run(&["open", text(&sealed), "--to", "-", "--from", "us"]).expect(1);
        assert!(shown.stdout.is_empty());
        assert_eq!(folder.files(), before, "octet {at}");
    }
    fs::write(&sealed, &envelope[..envelope.len() - 1]).unwrap();
    them.run(&open).expect(1);
    fs::write(&sealed, &envelope).unwrap();
    // Whoever made it cannot open it: it is for them.
    us.run(&open).refused(1, "another key");
    them.run(&[&open[..], &["--expect", "sign,encrypt"]].concat()).expect(1);
    let stranger = folder.write("stranger.crt", issued("stranger").certificate.as_bytes());
    them.run(&[&open[..], &["--signer", text(&stranger)]].concat()).refused(1, "cert import");
    fs::remove_file(stranger).unwrap();
    // Encrypted, but by nobody knows whom.
    us.run(&["seal", text(&source), "--to", text(&sealed), "--for", "them", "--encrypt", "--force"])
        .expect(0);
    let ours = us.root().join("keys/station.crt");
    them.run(&[&open[..], &["--signer", text(&ours)]].concat()).refused(1, "not signed");
    them.run(&["open", text(&source), "--to", text(&to)]).refused(1, "no envelope");
    them.run(&["open", text(&sealed), "--to", text(&folder.path("no/such/folder/file"))]).expect(1);
    assert_eq!(folder.files(), before);
    // After all that, it is opened.
    them.run(&open).expect(0);
    assert!(fs::read(&to).unwrap() == content);
}

#[test]
fn seal_says_what_it_needs() {
    let Pair { us, .. } = pair();
    let folder = Home::empty();
    let source = folder.write("file", b"content");
    let to = folder.path("sealed");
    let seal = ["seal", text(&source), "--to", text(&to)];
    us.run(&seal).refused(2, "nothing to do");
    us.run(&[&seal[..], &["--for", "them"]].concat()).refused(2, "nothing to do");
    us.run(&[&seal[..], &["--encrypt"]].concat()).refused(2, "for whom");
    us.run(&[&seal[..], &["--for", "nobody", "--encrypt"]].concat()).refused(2, "known: them");
    us.run(&[&seal[..], &["--sign", "--level", "13"]].concat()).expect(2);
    us.run_with(&["seal", "-", "--to", text(&to), "--sign"], b"content").refused(2, "length");
    us.run(&["seal", "missing", "--to", text(&to), "--sign"]).refused(2, "missing");
    // A certificate alone is enough to encrypt for its holder, without any station.
    let nobody = Home::empty();
    nobody.run(&[&seal[..], &["--sign"]].concat()).refused(2, "odile init");
    assert_eq!(folder.files(), ["file"]);
    let recipient = us.root().join("keys/station.crt");
    let sealed =
        nobody.json(&[&seal[..], &["--recipient", text(&recipient), "--compress", "--level", "12"]].concat());
    assert_eq!(sealed["services"], serde_json::json!(["compress", "encrypt"]));
    let opened = us.run(&["open", text(&to), "--to", "-"]).expect(0);
    assert_eq!(opened.stdout, b"content");
    // An empty file has an envelope, too; and our own certificate may travel along.
    let empty = folder.write("empty", b"");
    let own = ["seal", text(&empty), "--to", text(&to), "--force", "--sign", "--embed-certificate"];
    us.run(&own).expect(0);
    assert!(fs::metadata(&to).unwrap().len() > 1000);
    assert_eq!(us.run(&["open", text(&to), "--to", "-"]).expect(0).stdout, b"");
}
