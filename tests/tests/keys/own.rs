//! Our own keys: made, requested, encrypted, refused.

use std::fs;

use odile_tests::openssl::openssl;
use odile_tests::pki::{issued, write_private};
use serde_json::Value;

use super::{Home, Run, mode, set_mode, text};

#[test]
fn a_key_and_its_certificate_are_made_once_and_openssl_reads_both() {
    let home = Home::station("O0013 US-7");
    let made = home.json(&[
        "cert",
        "new",
        "--bits",
        "2048",
        "--host",
        "OFTP.example.com",
        "--organisation",
        "Plant, Ltd. Köln",
        "--country",
        "de",
        "--email",
        "edi@example.com",
        "--days",
        "400",
    ]);
    let key = home.root().join("keys/station.key");
    let certificate = home.root().join("keys/station.crt");
    assert_eq!((made["key_file"].as_str(), made["encrypted"].as_bool()), (key.to_str(), Some(false)));
    // The last one has begun, if a second has passed.
    assert!([399, 400].map(Value::from).contains(&made["certificate"]["days_left"]), "{made}");
    assert_eq!(made["certificate"]["names"], serde_json::json!(["oftp.example.com", "edi@example.com"]));
    assert_eq!(mode(&key), 0o600);
    let before = fs::read(&key).unwrap();
    home.run(&["cert", "new", "--bits", "2048"]).refused(2, "never overwritten");
    assert_eq!(fs::read(&key).unwrap(), before);
    assert_eq!(home.troubles(), []);

    let test = "a_key_and_its_certificate_are_made_once_and_openssl_reads_both";
    let arguments = ["x509", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus_space", "-in"];
    let Some(shown) = openssl(test, &[&arguments[..], &[text(&certificate)]].concat(), b"") else { return };
    let shown = String::from_utf8(shown.unwrap()).unwrap();
    for part in [
        "Version: 3 (0x2)",
        "Signature Algorithm: sha256WithRSAEncryption",
        "CN=oftp.example.com",
        "serialNumber=O0013 US-7",
        "O=Plant, Ltd. Köln",
        "C=DE",
        "DNS:oftp.example.com, email:edi@example.com",
        "Digital Signature, Key Encipherment",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "CA:FALSE",
        "Subject Key Identifier",
        "Public-Key: (2048 bit)",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let own = text(&certificate);
    openssl(test, &["verify", "-partial_chain", "-trusted", own, own], b"").unwrap().unwrap();
    openssl(test, &["pkey", "-check", "-noout", "-in", text(&key)], b"").unwrap().unwrap();
    let public = openssl(test, &["pkey", "-pubout", "-in", text(&key)], b"").unwrap().unwrap();
    let certified = openssl(test, &["x509", "-noout", "-pubkey", "-in", own], b"").unwrap().unwrap();
    assert_eq!(public, certified);
}

#[test]
fn a_key_for_one_purpose_is_for_nothing_else() {
    let home = Home::station("O0013US");
    for (purpose, usage) in [("signing", "digitalSignature"), ("encryption", "keyEncipherment")] {
        home.run(&["cert", "new", purpose, "--purpose", purpose, "--bits", "2048"]).expect(0);
        let shown = home.json(&["cert", "show", purpose]);
        assert_eq!(shown[0]["key_usage"], serde_json::json!([usage]));
        assert_eq!(shown[0]["extended_key_usage"], Value::Null);
        assert_eq!(shown[0]["purposes"], serde_json::json!([]));
    }
    // The wrong way round: told, because nothing would work.
    home.set_keys("signing = \"encryption\"\nencryption = \"signing\"\ntls = \"missing\"");
    let troubles = home.troubles();
    for (subject, part) in [
        ("[keys] signing", "no digitalSignature"),
        ("[keys] encryption", "no keyEncipherment"),
        ("[keys] tls", "no key missing"),
    ] {
        assert!(
            troubles.iter().any(|trouble| trouble.0 == subject && trouble.2.contains(part)),
            "{subject}: {troubles:?}"
        );
    }
    home.run(&["cert", "check"]).expect(1);
    let listed = home.json(&["cert", "list"]);
    assert_eq!(listed[0]["purposes"], serde_json::json!(["signing"]));
}

#[test]
fn refuses_what_cannot_stand_in_a_certificate_and_leaves_nothing() {
    let home = Home::station("O0013US");
    for (wrong, code) in [
        (["--country", "DEU"], 2),
        (["--email", "nobody"], 2),
        (["--host", "host:6619"], 2),
        (["--host", "*.example.com"], 2),
        (["--bits", "1024"], 2),
        (["--days", "0"], 2),
        (["--days", "36501"], 2),
        (["--purpose", "everything"], 2),
    ] {
        home.run(&[&["cert", "new"][..], &wrong].concat()).expect(code);
        if wrong[0] != "--days" {
            home.run(&[&["cert", "request"][..], &wrong].concat()).expect(code);
        }
    }
    assert_eq!(fs::read_dir(home.root().join("keys")).unwrap().count(), 0);
    assert_eq!(home.json(&["cert", "list"]), serde_json::json!([]));
}

#[test]
fn a_passphrase_is_needed_right_and_is_never_shown() {
    let home = Home::station("O0013US");
    let secret = home.path("passphrase");
    write_private(&secret, "correct horse\nsecond line\n");
    home.set_keys(&format!("passphrase_file = \"{}\"", secret.display()));
    home.run(&["cert", "new", "--bits", "2048"]).expect(0);
    let key = home.root().join("keys/station.key");
    let pem = fs::read_to_string(&key).unwrap();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{pem}");
    home.run(&["cert", "check"]).expect(0);

    let test = "a_passphrase_is_needed_right_and_is_never_shown";
    let decrypt = |pass: &str| openssl(test, &["pkcs8", "-in", text(&key), "-passin", pass], b"");
    if let Some(plain) = decrypt("pass:correct horse") {
        assert!(plain.unwrap().starts_with(b"-----BEGIN PRIVATE KEY-----"));
        decrypt("pass:wrong").unwrap().unwrap_err();
        // And the other way round: a key that openssl has encrypted.
        let arguments = ["pkcs8", "-topk8", "-in", text(&key), "-passin", "pass:correct horse"];
        let again = [&arguments[..], &["-v2", "aes-256-cbc", "-passout", "pass:correct horse"]].concat();
        let again = openssl(test, &again, b"").unwrap().unwrap();
        write_private(&home.root().join("keys/second.key"), &String::from_utf8(again).unwrap());
        fs::copy(home.root().join("keys/station.crt"), home.root().join("keys/second.crt")).unwrap();
        home.run(&["cert", "check"]).expect(0);
    }

    let mut told = String::new();
    let mut told_by = |run: Run| {
        told.push_str(&run.text());
        told.push_str(&run.stderr);
        run
    };
    write_private(&secret, "battery staple");
    let wrong = told_by(home.run(&["cert", "check"])).expect(1);
    assert!(wrong.text().contains("passphrase is wrong"), "{}", wrong.text());
    told_by(home.run(&["config", "check"])).expect(2);
    assert!(told_by(home.run(&["doctor"])).expect(1).text().contains("passphrase is wrong"));
    write_private(&secret, "");
    told_by(home.run(&["cert", "check"])).expect(1);
    write_private(&secret, "correct horse");
    set_mode(&secret, 0o640);
    assert!(told_by(home.run(&["cert", "check"])).expect(1).text().contains("chmod 600"));
    told_by(home.run(&["cert", "new", "third", "--passphrase-file", text(&secret)])).refused(2, "chmod 600");

    // Without a word in station.toml, the command line has it.
    let toml = home.root().join("station.toml");
    let without = fs::read_to_string(&toml).unwrap().replace("passphrase_file =", "# passphrase_file =");
    fs::write(&toml, without).unwrap();
    let missing = told_by(home.run(&["cert", "check"])).expect(1);
    assert!(missing.text().contains("--passphrase-file"), "{}", missing.text());
    home.run_with(&["cert", "check", "--passphrase-file", "-"], b"correct horse\n").expect(0);
    told_by(home.run_with(&["cert", "request", "--passphrase-file", "-"], b"")).refused(2, "empty line");
    told_by(home.run(&["cert", "request"])).refused(2, "is encrypted");
    assert!(!told.contains("horse") && !told.contains("staple"), "{told}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let home = Home::with_key("O0013US", "us.example");
    let key = home.root().join("keys/station.key");
    set_mode(&key, 0o644);
    let checked = home.run(&["cert", "check"]).expect(1);
    assert!(checked.text().contains("chmod 600"), "{}", checked.text());
    home.run(&["config", "check"]).refused(2, "can be read by others");
    assert!(home.run(&["doctor"]).expect(1).text().contains("can be read by others"));
    home.run(&["cert", "request"]).refused(2, "chmod 600");
    let file = home.write("plain", b"content");
    home.run(&["seal", text(&file), "--to", "sealed", "--sign"]).refused(2, "chmod 600");
    set_mode(&key, 0o600);
    home.run(&["cert", "check"]).expect(0);
    // A certificate of somebody else beside our key.
    fs::write(home.root().join("keys/station.crt"), &issued("stranger").certificate).unwrap();
    let checked = home.run(&["cert", "check"]).expect(1);
    assert!(checked.text().contains("does not belong"), "{}", checked.text());
}

#[test]
fn a_request_is_answered_by_an_authority_and_the_answer_is_taken() {
    let test = "a_request_is_answered_by_an_authority_and_the_answer_is_taken";
    let home = Home::station("O0013US");
    let request = ["cert", "request", "plant", "--bits", "2048", "--host", "oftp.example.com"];
    let made = home.json(&request);
    let key = fs::read(home.root().join("keys/plant.key")).unwrap();
    let csr = home.root().join("keys/plant.csr");
    assert_eq!((made["key_is_new"].as_bool(), made["request_file"].as_str()), (Some(true), csr.to_str()));
    // No certificate yet: the station starts all the same, and says so.
    assert_eq!(home.json(&["cert", "list"])[0]["state"], "no certificate yet");
    assert!(home.run(&["cert", "list"]).expect(0).text().contains("no certificate yet"));
    assert_eq!(home.troubles()[0].1, "warning");
    home.run(&["cert", "check"]).expect(0);
    // The same key again, and the request where somebody wants to read it.
    let again = home.run(&[&request[..], &["--stdout"]].concat()).expect(0);
    assert!(again.text().starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));
    assert_eq!(fs::read(home.root().join("keys/plant.key")).unwrap(), key);
    home.run(&["cert", "import", "--own", "nobody", text(&csr)]).refused(2, "no key nobody");
    home.run(&["cert", "import", "--own", "plant", text(&csr)]).refused(2, "signed by an authority");

    let arguments = ["req", "-verify", "-noout", "-text", "-in", text(&csr)];
    let Some(shown) = openssl(test, &arguments, b"") else { return };
    let shown = String::from_utf8(shown.unwrap()).unwrap();
    for part in ["DNS:oftp.example.com", "Digital Signature, Key Encipherment", "TLS Web Client", "CA:FALSE"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let (authority, authority_key) = (home.path("ca.crt"), home.path("ca.key"));
    let mut make = vec!["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Authority", "-out"];
    make.extend([text(&authority), "-keyout", text(&authority_key)]);
    openssl(test, &make, b"").unwrap().unwrap();
    let issue = |days: &str, name: &str| {
        let path = home.path(name);
        let mut arguments = vec!["x509", "-req", "-copy_extensions", "copyall", "-days", days, "-in"];
        arguments.extend([text(&csr), "-CA", text(&authority), "-CAkey", text(&authority_key), "-out"]);
        arguments.push(text(&path));
        openssl(test, &arguments, b"").unwrap().unwrap();
        path
    };
    let first = issue("40", "first.crt");
    home.write("stranger.crt", issued("stranger").certificate.as_bytes());
    home.run(&["cert", "import", "--own", "plant", "stranger.crt"]).refused(1, "none of the 1 certificates");
    let taken =
        home.json(&["cert", "import", "--own", "plant", text(&first), text(&authority), "stranger.crt"]);
    assert_eq!((&taken["chain"], &taken["ignored"], &taken["kept"]), (&1.into(), &1.into(), &Value::Null));
    let installed = home.root().join("keys/plant.crt");
    assert_eq!(fs::read_to_string(&installed).unwrap().matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(home.troubles(), []);
    // A newer one, in DER and for a month only: the first one stays beside.
    let second = issue("20", "second.crt");
    openssl(test, &["x509", "-outform", "DER", "-in", text(&second), "-out", text(&second)], b"")
        .unwrap()
        .unwrap();
    let fingerprint =
        home.json(&["cert", "show", "plant"])[0]["fingerprint"].as_str().unwrap()[..8].to_lowercase();
    let taken = home.json(&["cert", "import", "--own", "plant", text(&second)]);
    let kept = home.root().join(format!("keys/plant.crt.{fingerprint}"));
    assert_eq!(taken["kept"].as_str(), kept.to_str());
    assert!(kept.is_file());
    home.set_keys("tls = \"plant\"");
    let troubles = home.troubles();
    assert!(troubles[0].1 == "warning" && troubles[0].2.contains("only, days left: "), "{troubles:?}");
    home.run(&["cert", "check"]).expect(0);
    // What partners get is one certificate, unless they want the chain.
    home.run(&["cert", "import", "--own", "plant", text(&first), text(&authority)]).expect(0);
    let count = |run: Run| run.expect(0).text().matches("BEGIN CERTIFICATE").count();
    assert_eq!(count(home.run(&["cert", "export", "plant"])), 1);
    assert_eq!(count(home.run(&["cert", "export", "plant", "--chain"])), 2);
    home.run(&["cert", "export", "plant", "--der", "--to", "plant.der"]).expect(0);
    home.run(&["cert", "export", "plant", "--to", "plant.der"]).refused(2, "--force");
    openssl(test, &["x509", "-inform", "DER", "-noout", "-in", text(&home.path("plant.der"))], b"")
        .unwrap()
        .unwrap();
}
