//! Keys and certificates as an operator deals with them: the real program, real files, and `openssl` as the judge of
//! what is made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use odile_tests::openssl::openssl;
use odile_tests::pki::{Validity, issued, issued_for, write_private};
use serde_json::Value;
use tempfile::TempDir;

/// A station's home, and a folder beside it for files.
struct Home {
    folder: TempDir,
}

/// How the program ended.
#[derive(Debug)]
struct Run {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Home {
    fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A station without a key.
    fn station(code: &str) -> Self {
        let home = Self::empty();
        home.run(&["init", "--code", code]).expect(0);
        home
    }

    /// A station with a key for everything.
    fn with_key(code: &str, host: &str) -> Self {
        let home = Self::station(code);
        home.run(&["cert", "new", "--bits", "2048", "--host", host]).expect(0);
        home
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, octets: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, octets).unwrap();
        path
    }

    /// Files in the folder beside the home, hidden ones as well.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name != "home");
        names.sort();
        names
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // A program that does not read is no failure here.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().unwrap()
        });
        let stderr = String::from_utf8(output.stderr).unwrap();
        Run { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.env_remove("ODILE_HOME").env_remove("CREDENTIALS_DIRECTORY").current_dir(self.folder.path());
        command.arg("--home").arg(self.root()).args(arguments).stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[&["--output", "json"], arguments].concat()).expect(0).json()
    }

    /// Findings of `cert check` that are not `ok`: subject, grade and text.
    fn troubles(&self) -> Vec<(String, String, String)> {
        let found = self.run(&["--output", "json", "cert", "check"]).json();
        let field = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
        let mut troubles = Vec::new();
        for finding in found.as_array().unwrap() {
            assert_eq!(finding["result"] == "ok", finding["remedy"] == "", "{finding}");
            if finding["result"] != "ok" {
                troubles.push((
                    field(finding, "subject"),
                    field(finding, "result"),
                    field(finding, "detail"),
                ));
            }
        }
        troubles
    }

    /// Adds lines behind `[keys]` in station.toml.
    fn set_keys(&self, lines: &str) {
        let path = self.root().join("station.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("[keys]\n", &format!("[keys]\n{lines}\n"), 1)).unwrap();
    }
}

impl Run {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{} {}", self.text(), self.stderr);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// It ended with this code, and said this on stderr.
    #[track_caller]
    fn refused(self, code: i32, part: &str) {
        let run = self.expect(code);
        assert!(run.stderr.contains(part), "{part:?} is not in: {}", run.stderr);
    }
}

/// The program, built as this test was.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // target/PROFILE/deps/THIS-TEST
        let own = std::env::current_exe().unwrap();
        let folder = own.parent().and_then(Path::parent).unwrap();
        let profile = if folder.ends_with("release") { "release" } else { "dev" };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args([
            "build",
            "--quiet",
            "--offline",
            "--workspace",
            "--bin",
            "odile",
            "--profile",
            profile,
            "--target-dir",
        ]);
        let output = build.arg(folder.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder.join("odile")
    })
}

/// Two stations that know each other's certificates; the partner's name is the other's.
struct Pair {
    us: Home,
    them: Home,
}

fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        let us = Home::with_key("O0013US", "us.example");
        let them = Home::with_key("O0013THEM", "them.example");
        for (home, other, name, code) in [(&us, &them, "them", "O0013THEM"), (&them, &us, "us", "O0013US")] {
            let certificate = other.root().join("keys/station.crt");
            home.run(&["partner", "add", name, "--code", code, "--certificate", text(&certificate)])
                .expect(0);
        }
        Pair { us, them }
    })
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Some lines of CAD, which compress, and more than one step of reading.
fn drawing(lines: u32) -> Vec<u8> {
    (0..lines)
        .flat_map(|line| format!("#{line}=CARTESIAN_POINT('',({}.0));\n", line % 977).into_bytes())
        .collect()
}

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
