//! Station and partner files: what is taken, and what a mistake is answered with.

use std::time::Duration;

use odile_envelope::Suite;
use odile_partner::{Partner, RetryTerms, ServiceWish, SessionSettings, StationConfig, Transport, Usage};
use odile_wire::{Level, Password};

const STATION: &str = "code = \"O0013000001ODILE\"\nlisten = \"127.0.0.1:3305\"\n[session]\ncredit = 64\n";

fn station() -> StationConfig {
    StationConfig::parse("station.toml", STATION).expect("a valid file")
}

fn partner(text: &str) -> Result<Partner, String> {
    Partner::parse("ACME".parse().expect("a valid name"), "partners/ACME.toml", text, &station())
        .map_err(|error| error.to_string())
}

#[test]
fn a_partner_needs_nothing_but_its_code() {
    let partner = partner("code = \"o0013000001vw      koi\"").unwrap();
    assert_eq!(partner.code.to_string(), "O0013000001VW      KOI");
    assert_eq!(partner.stations, vec![partner.code]);
    assert_eq!(partner.our_code.to_string(), "O0013000001ODILE");
    let terms = partner.terms(&SessionSettings::default()).unwrap();
    assert_eq!(terms.buffer_size.octets(), 99_999);
    assert_eq!(terms.credit.buffers(), 64, "from the station's defaults");
    assert_eq!((terms.level_min, terms.level_max), (Level::V1_2, Level::V2_0));
}

#[test]
fn flags_win_over_the_partner_and_the_partner_over_the_station() {
    let partner = partner("code = \"X\"\n[session]\ncredit = 7\nbuffer_size = 128\n").unwrap();
    assert_eq!(partner.terms(&SessionSettings::default()).unwrap().credit.buffers(), 7);
    let flags = SessionSettings { credit: Some(1.try_into().unwrap()), ..SessionSettings::default() };
    let terms = partner.terms(&flags).unwrap();
    assert_eq!((terms.credit.buffers(), terms.buffer_size.octets()), (1, 128));
}

#[test]
fn a_mistake_is_named_with_line_column_and_key() {
    let error = partner("code = \"X\"\n[session]\nbuffer_size = 127\n").unwrap_err();
    assert!(error.starts_with("partners/ACME.toml, line 3, column 15: buffer_size:"), "{error}");
    assert!(error.contains("128 to 99999"), "{error}");
    for (text, part) in [
        ("code = \"X\"\n[session]\ncredit = 1000\n", "1 to 999"),
        ("code = \"X\"\n[session]\nlevel_max = 3\n", "is no level"),
        ("code = \"X\"\n[session]\nlevel_max = 1\nlevel_min = 5\n", "above level_max"),
        ("code = \"X\"\naddress = \"host:0\"\n", "is no address"),
        ("code = \"X\"\ncolour = 1\n", "colour"),
        ("code = \"\"\n", "empty"),
        ("code = \"ABCDEFGHIJKLMNOPQRSTUVWXYZ\"\n", "at most 25"),
        ("code = \"X\"\nstations = []\n", "at least one"),
        ("code = ", "line 1"),
    ] {
        let error = partner(text).unwrap_err();
        assert!(error.contains(part), "{text:?} gave {error}");
    }
}

#[test]
fn a_password_is_never_shown() {
    let error = partner("code = \"X\"\ntheir_password = \"much too long\"\n").unwrap_err();
    assert!(!error.contains("much"), "{error}");
    let partner = partner("code = \"X\"\ntheir_password = \"SECRET\"\n").unwrap();
    assert!(!format!("{partner:?}").contains("SECRET"));
    assert!(partner.accepts(&Password::new("SECRET").unwrap()));
    assert!(!partner.accepts(&Password::new("secret").unwrap()));
    assert!(!partner.accepts(&Password::blank()));
}

#[test]
fn partner_names_are_safe_as_file_names() {
    for name in ["", ".", "..", ".x", "a/b", "a b", "ä", &"x".repeat(65)] {
        assert!(name.parse::<odile_partner::PartnerName>().is_err(), "{name:?}");
    }
    assert!("ACME_Cars-2.test".parse::<odile_partner::PartnerName>().is_ok());
}

#[test]
fn addresses_may_be_names_and_numbers() {
    for (text, plain, tls) in [
        ("host", "host:3305", "host:6619"),
        ("10.0.0.1:99", "10.0.0.1:99", "10.0.0.1:99"),
        ("[::1]:33", "[::1]:33", "[::1]:33"),
        ("[::1]", "[::1]:3305", "[::1]:6619"),
    ] {
        let host = text.parse::<odile_partner::Host>().unwrap();
        assert_eq!(host.to_string(), text);
        assert_eq!(host.clone().address(Transport::Plain.port()).to_string(), plain);
        assert_eq!(host.address(Transport::Tls.port()).to_string(), tls);
    }
    for text in ["", ":1", "a b", "host:x", "[::1", "::1"] {
        assert!(text.parse::<odile_partner::Host>().is_err(), "{text:?}");
    }
}

#[test]
fn services_come_from_the_partner_first_and_then_from_the_station() {
    let station = "code = \"X\"\n[send]\nsuite = 6\nsign = \"required\"\n[receive]\nencrypt = \"required\"\n";
    let station = StationConfig::parse("station.toml", station).unwrap();
    let text = "code = \"Y\"\ntransport = \"tls\"\naddress = \"y.example\"\n[send]\nsign = \"forbidden\"\n\
                compress = \"preferred\"\n[receive]\nsuites = [2, 4]\n[tls]\nhost_name_check = false\n";
    let partner = Partner::parse("Y".parse().unwrap(), "Y.toml", text, &station).unwrap();
    assert_eq!(partner.address.as_ref().unwrap().port, 6619);
    assert_eq!(partner.send.suite, Suite::S06);
    assert_eq!((partner.send.sign, partner.send.compress), (Usage::Forbidden, Usage::Preferred));
    assert_eq!(partner.receive.encrypt, Usage::Required);
    assert_eq!(partner.receive.suites, [Suite::S02, Suite::S04]);
    assert!(!partner.tls.host_name_check);
}

#[test]
fn a_wish_is_granted_within_the_terms() {
    let partner = partner(
        "code = \"X\"\n[send]\nsign = \"required\"\ncompress = \"preferred\"\nencrypt = \"forbidden\"\n",
    )
    .unwrap();
    let granted = partner.send.decide(&ServiceWish::default()).unwrap();
    let services = granted.services;
    assert_eq!((services.sign, services.compress, services.encrypt), (true, true, false));
    assert!(!granted.signed_receipt && !granted.is_plain());
    let no = |sign, encrypt| {
        let wish = ServiceWish { sign, encrypt, ..ServiceWish::default() };
        partner.send.decide(&wish).unwrap_err()
    };
    assert_eq!(no(Some(false), None), "[send] sign = \"required\" for this partner");
    assert_eq!(no(None, Some(true)), "[send] encrypt = \"forbidden\" for this partner");
    let uncompressed = ServiceWish { compress: Some(false), ..ServiceWish::default() };
    assert!(!partner.send.decide(&uncompressed).unwrap().services.compress);
}

#[test]
fn authentication_leaves_no_way_around_it() {
    let secure = partner("code = \"X\"\n[session]\nauthentication = true\n").unwrap();
    let terms = secure.terms(&SessionSettings::default()).unwrap();
    assert!(terms.authentication);
    assert_eq!(terms.level_min, Level::V2_0, "older levels know no authentication");
    let error = partner("code = \"X\"\n[session]\nauthentication = true\nlevel_max = 4\n").unwrap_err();
    assert!(error.contains("needs level_max = 5"), "{error}");
}

#[test]
fn mistakes_in_the_terms_are_named() {
    for (text, part) in [
        ("[send]\nsuite = 11\n", "1 to 10"),
        ("[send]\ncompression_level = 0\n", "1 (fast) to 12"),
        ("[send]\nsign = \"maybe\"\n", "maybe"),
        ("[receive]\ncompress = \"required\"\n", "cannot be told"),
        ("[receive]\nsuites = []\nsign = \"required\"\n", "at least one"),
        ("transport = \"ssl\"\n", "ssl"),
        ("[tls]\nhostname_check = true\n", "hostname_check"),
    ] {
        let error = partner(&format!("code = \"X\"\n{text}")).unwrap_err();
        assert!(error.contains(part), "{text:?} gave {error}");
    }
    for text in [
        "code = \"X\"\n[keys]\ntls = \"../x\"\n",
        "code = \"X\"\n[keys]\npassphrase_file = \"/a\"\npassphrase_credential = \"b\"\n",
        "code = \"X\"\n[keys]\npassphrase_credential = \"../b\"\n",
    ] {
        assert!(StationConfig::parse("station.toml", text).is_err(), "{text:?}");
    }
}

#[test]
fn interrupted_files_go_on_unless_somebody_says_otherwise() {
    let station = |restart| {
        let text = format!("code = \"X\"\n[session]\nrestart = {restart}\n");
        StationConfig::parse("station.toml", &text).unwrap()
    };
    let restarts = |text: &str, station: &StationConfig, flag| {
        let partner = Partner::parse("Y".parse().unwrap(), "Y.toml", text, station).unwrap();
        let flags = SessionSettings { restart: flag, ..SessionSettings::default() };
        partner.terms(&flags).unwrap().restart
    };
    let (silent, refusing) = ("code = \"Y\"\n", "code = \"Y\"\n[session]\nrestart = false\n");
    assert!(partner(silent).unwrap().terms(&SessionSettings::default()).unwrap().restart);
    assert!(!restarts(silent, &station(false), None));
    assert!(restarts(silent, &station(false), Some(true)));
    assert!(!restarts(refusing, &station(true), None));
    assert!(!restarts(silent, &station(true), Some(false)));
}

#[test]
fn attempts_again_need_no_table() {
    let retry = partner("code = \"X\"\n").unwrap().retry;
    assert_eq!((retry.first, retry.longest), (Duration::from_secs(5), Duration::from_secs(300)));
    assert_eq!((retry.attempts_max, retry.jitter), (None, 20));
    assert_eq!(retry, RetryTerms::default());
    assert_eq!(partner("code = \"X\"\n[retry]\n").unwrap().retry, retry);
}

#[test]
fn retry_keys_come_from_the_partner_first_and_then_from_the_station() {
    let station = "code = \"X\"\n[retry]\nfirst_seconds = 2\nlongest_seconds = 86400\nattempts_max = 9\n\
                   jitter_percent = 100\n";
    let station = StationConfig::parse("station.toml", station).unwrap();
    let retry = |table: &str| {
        let text = format!("code = \"Y\"\n[retry]\n{table}");
        Partner::parse("Y".parse().unwrap(), "Y.toml", &text, &station).unwrap().retry
    };
    let of_station = RetryTerms {
        first: Duration::from_secs(2),
        longest: Duration::from_secs(86_400),
        attempts_max: Some(9),
        jitter: 100,
    };
    assert_eq!(retry(""), of_station);
    let own = retry("first_seconds = 1\nlongest_seconds = 1\nattempts_max = 0\njitter_percent = 0\n");
    let second = Duration::from_secs(1);
    assert_eq!(own, RetryTerms { first: second, longest: second, attempts_max: None, jitter: 0 });
    assert_eq!(retry("attempts_max = 1\n"), RetryTerms { attempts_max: Some(1), ..of_station });
}

#[test]
fn mistakes_in_the_retry_table_are_named() {
    let contradiction = "[retry] first_seconds = 301 is above longest_seconds = 300";
    for (table, part) in [
        ("first_seconds = 0\n", "first_seconds: 0 is no time between attempts: 1 to 86400 seconds"),
        ("first_seconds = -5\n", "1 to 86400 seconds"),
        ("longest_seconds = 86401\n", "longest_seconds: 86401 is no time between attempts"),
        ("longest_seconds = \"5m\"\n", "longest_seconds"),
        ("jitter_percent = 101\n", "jitter_percent: 101 is no jitter: 0 to 100 percent"),
        ("jitter_percent = -1\n", "0 to 100 percent"),
        ("attempts_max = -1\n", "attempts_max"),
        ("first = 5\n", "first"),
        ("first_seconds = 301\n", contradiction),
        ("longest_seconds = 4\n", "first_seconds = 5 is above longest_seconds = 4"),
    ] {
        let text = format!("code = \"X\"\n[retry]\n{table}");
        let error = partner(&text).unwrap_err();
        assert!(error.starts_with("partners/ACME.toml"), "{error}");
        assert!(error.contains(part), "{table:?} gave {error}");
        let error = StationConfig::parse("station.toml", &text).unwrap_err().to_string();
        assert!(error.starts_with("station.toml"), "{error}");
        assert!(error.contains(part), "{table:?} gave {error}");
    }
    // Each may be right by itself.
    let station =
        StationConfig::parse("station.toml", "code = \"X\"\n[retry]\nfirst_seconds = 60\n").unwrap();
    let text = "code = \"Y\"\n[retry]\nlongest_seconds = 59\n";
    let error = Partner::parse("Y".parse().unwrap(), "Y.toml", text, &station).unwrap_err();
    assert!(error.to_string().contains("first_seconds = 60 is above longest_seconds = 59"), "{error}");
}
