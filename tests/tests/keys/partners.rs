//! Certificates of partners, and partners that are added with everything.

use std::fs;

use odile_tests::pki::{Validity, issued, issued_for};
use serde_json::Value;

use super::{Home, text};

#[test]
fn certificates_of_partners_are_imported_listed_and_removed() {
    let home = Home::station("O0013US");
    home.run(&["partner", "add", "them", "--code", "O0013THEM"]).expect(0);
    home.run(&["partner", "add", "others", "--code", "O0013OTHERS"]).expect(0);
    let (one, two) = (issued("one"), issued("two"));
    let both = format!("Bag Attributes\r\n{}\nmore text\n{}", one.certificate, two.certificate);
    let both = home.write("both.pem", both.as_bytes());
    let done = home.json(&["cert", "import", "them", text(&both)]);
    assert_eq!(done["certificates"].as_array().unwrap().len(), 2);
    let shared = home.root().join("certificates/them/shared");
    let mut names: Vec<_> = fs::read_dir(&shared)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names[0].starts_with("one-") && names[1].starts_with("two-"), "{names:?}");
    // Again: said, and no error.
    let again = home.json(&["cert", "import", "them", text(&both)]);
    assert!(again["certificates"].as_array().unwrap().iter().all(|one| one["state"] == "was there"));
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 2);
    // For another purpose, from standard input, in DER.
    let der = one.identity.certificate().der().to_vec();
    home.run_with(&["cert", "import", "them", "-", "--purpose", "signing"], &der).expect(0);
    // At another partner: probably a mistake.
    home.run(&["cert", "import", "others", text(&both)]).refused(0, "certificate of partner them, too");

    for (wrong, code, part) in [
        (issued_for("old", Validity::Expired).certificate.clone(), 1, "expired on 2021-01-01"),
        (format!("{}{}", one.certificate, one.key), 2, "private key"),
        ("hello".to_owned(), 2, "no certificate"),
    ] {
        let path = home.write("wrong", wrong.as_bytes());
        home.run(&["cert", "import", "others", text(&path)]).refused(code, part);
    }
    home.run(&["cert", "import", "nobody", text(&both)]).refused(2, "known: others, them");
    home.run(&["cert", "import", text(&both)]).refused(2, "whose certificate");
    let old = home.write("old", issued_for("old", Validity::Expired).certificate.as_bytes());
    home.run(&["cert", "import", "others", text(&old), "--force"]).expect(0);
    home.run(&["cert", "import", "others", text(&old), "--purpose", "authority", "--force"])
        .refused(0, "is no authority");

    let listed = home.json(&["cert", "list", "others"]);
    let states: Vec<_> =
        listed.as_array().unwrap().iter().map(|one| (&one["common_name"], &one["state"])).collect();
    assert!(states.contains(&(&"old".into(), &"expired".into())), "{listed}");
    assert_eq!(home.json(&["cert", "list"]).as_array().unwrap().len(), 5);
    let one_listed = &home.json(&["cert", "list", "them"])[0];
    assert_eq!(one_listed["purposes"], serde_json::json!(["shared", "signing"]));
    assert_eq!(home.json(&["cert", "show", "them"])[1]["common_name"], "two");
    assert_eq!(home.json(&["cert", "show", "./both.pem"])[1]["common_name"], "two");
    home.run(&["cert", "show", "nowhere"]).refused(2, "no key, no partner and no file");
    let troubles = home.troubles();
    // Beside others that are valid it is only in the way; as the only authority it is missed.
    for (grade, part) in
        [("warning", "(shared): the certificate expired"), ("error", "(authority): the cert")]
    {
        assert!(
            troubles.iter().any(|trouble| trouble.1 == grade && trouble.2.contains(part)),
            "{part}: {troubles:?}"
        );
    }

    // By a prefix as `openssl x509 -fingerprint` prints it.
    let fingerprint = one_listed["fingerprint"].as_str().unwrap();
    let prefix =
        format!("{}:{}:{}", &fingerprint[..2], &fingerprint[2..4], &fingerprint[4..6].to_lowercase());
    for wrong in ["", "12", "xyzw"] {
        home.run(&["cert", "remove", "them", wrong]).expect(2);
    }
    let removed = home.json(&["cert", "remove", "them", &prefix]);
    assert_eq!(removed["removed"].as_array().unwrap().len(), 2, "from both folders");
    home.run(&["cert", "remove", "them", &prefix]).refused(2, "has no certificate");
    assert_eq!(home.json(&["cert", "list", "them"]).as_array().unwrap().len(), 1);
    // A file that somebody put there by hand, with two certificates in it.
    fs::write(shared.join("by-hand.pem"), format!("{}{}", one.certificate, two.certificate)).unwrap();
    home.run(&["cert", "remove", "them", &prefix]).refused(2, "holds other certificates");
}

#[test]
fn what_ends_soon_is_told_in_time() {
    let home = Home::station("O0013US");
    home.run(&["partner", "add", "them", "--code", "O0013THEM"]).expect(0);
    home.run(&["cert", "new", "--bits", "2048", "--days", "29"]).expect(0);
    let own = home.root().join("keys/station.crt");
    home.run(&["cert", "import", "them", text(&own)]).expect(0);
    let ends = |home: &Home| {
        home.troubles()
            .into_iter()
            .map(|(subject, grade, text)| {
                assert!(text.contains("only, days left: 2"), "{text}");
                format!("{subject}: {grade}")
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(ends(&home), ["key station: warning", "partner them: warning"]);
    home.run(&["cert", "check"]).expect(0);
    // A successor for one purpose takes nobody's place, one for all does.
    let next = home.write("next", issued("next").certificate.as_bytes());
    home.run(&["cert", "import", "them", text(&next), "--purpose", "signing"]).expect(0);
    assert_eq!(ends(&home).len(), 2);
    home.run(&["cert", "import", "them", text(&next)]).expect(0);
    assert_eq!(ends(&home), ["key station: warning"]);
    // Another key of ours is in use: what was encrypted for the old one can still be opened.
    home.run(&["cert", "new", "second", "--bits", "2048", "--days", "31"]).expect(0);
    home.set_keys(
        "tls = \"second\"\nauthentication = \"second\"\nsigning = \"second\"\nencryption = \"second\"",
    );
    assert_eq!(home.troubles(), []);
}

#[test]
fn a_secure_partner_is_added_whole_or_not_at_all() {
    let home = Home::with_key("O0013US", "us.example");
    let good = home.write("good.crt", issued("them").certificate.as_bytes());
    let old = home.write("old.crt", issued_for("them", Validity::Expired).certificate.as_bytes());
    let add = ["partner", "add", "them", "--code", "O0013THEM", "--address", "oftp.them.example", "--secure"];
    let nothing = |home: &Home| {
        assert!(!home.root().join("partners/them.toml").exists());
        assert!(!home.root().join("certificates/them").exists());
    };
    home.run(&[&add[..], &["--certificate", text(&good), "--certificate", text(&old)]].concat())
        .refused(1, "expired");
    nothing(&home);
    home.run(&[&add[..], &["--certificate", "missing.crt"]].concat()).refused(2, "missing.crt");
    nothing(&home);
    home.run(&[&add[..], &["--certificate", text(&good), "--receive-compress", "required"]].concat())
        .refused(2, "preferred");
    nothing(&home);
    home.run(&[&add[..], &["--suite", "11"]].concat()).expect(2);
    home.run(&[&add[..], &["--send-sign", "always"]].concat()).expect(2);

    let more =
        ["--certificate", text(&good), "--client-certificate", "required", "--send-compress", "optional"];
    home.run(&[&add[..], &more[..], &["--suite", "9"]].concat()).expect(0);
    home.run(&["config", "check"]).expect(0);
    assert_eq!(home.troubles(), []);
    let shown = home.json(&["partner", "show", "them"]);
    assert_eq!(shown["address"], "oftp.them.example:6619");
    assert_eq!((&shown["transport"], &shown["session"]["authentication"]), (&"tls".into(), &true.into()));
    assert_eq!(shown["tls"]["inbound_client_certificate"], "required");
    let usages = |table: &Value| {
        ["sign", "compress", "encrypt", "signed_receipt"].map(|name| table[name].as_str().unwrap().to_owned())
    };
    assert_eq!(usages(&shown["send"]), ["required", "optional", "required", "required"]);
    assert_eq!(usages(&shown["receive"]), ["required", "optional", "required", "required"]);
    assert_eq!((&shown["send"]["suite"], &shown["receive"]["suites"][7]), (&9.into(), &9.into()));
    assert_eq!(shown["certificates"][0]["common_name"], "them");
    let listed = home.run(&["partner", "list"]).expect(0).text();
    assert!(listed.contains("signed, encrypted, signed receipt (09)") && listed.contains("tls"), "{listed}");

    // Without a certificate nothing works with it, and that is said; the configuration is right none the less.
    let bare = ["partner", "add", "bare", "--code", "O0013BARE", "--address", "bare.example", "--secure"];
    home.run(&bare).refused(0, "odile cert import bare FILE");
    home.run(&["config", "check"]).expect(0);
    let troubles = home.troubles();
    assert!(
        troubles.iter().all(|trouble| trouble.0 == "partner bare" && trouble.1 == "error"),
        "{troubles:?}"
    );
    for part in ["authenticated", "encrypted", "signed", "TLS"] {
        assert!(troubles.iter().any(|trouble| trouble.2.contains(part)), "{part}: {troubles:?}");
    }
    home.run(&["cert", "check"]).expect(1);
    // An authority is enough for TLS, not for the rest.
    home.run(&["cert", "import", "bare", text(&good), "--purpose", "authority"]).expect(0);
    assert!(!home.troubles().iter().any(|trouble| trouble.2.contains("TLS")));
    // What a person asks for must be allowed by the terms.
    let file = home.write("file", b"content");
    let run = home.run(&["send", "them", text(&file), "--wait", "none", "--no-sign"]);
    assert!(run.code != 0 && run.stderr.contains("sign = \"required\""), "{run:?}");
    home.run(&["send", "them", text(&file), "--sign", "--no-sign"]).expect(2);
}

#[test]
fn a_station_is_made_with_its_key_in_one_step() {
    let home = Home::empty();
    let init = ["init", "--code", "O0013US", "--listen-tls", "127.0.0.1:6619"];
    home.run(&[&init[..], &["--host", "us.example"]].concat()).expect(2);
    let made = home.json(&[&init[..], &["--keys", "--host", "us.example"]].concat());
    assert_eq!(made["certificate"]["common_name"], "us.example");
    assert_eq!(home.json(&["config", "check"])["listen_tls"], "127.0.0.1:6619");
    // Without the key it could not listen.
    fs::remove_file(home.root().join("keys/station.key")).unwrap();
    home.run(&["config", "check"]).refused(2, "odile cert new station");
    home.run(&["cert", "new"]).refused(2, "but not its key");
    let without = Home::empty();
    let run = without.run(&["init", "--code", "O0013US"]).expect(0);
    assert!(run.stderr.contains("odile cert new"), "{}", run.stderr);
}
