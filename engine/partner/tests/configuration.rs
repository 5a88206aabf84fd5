//! Station and partner files: what is taken, and what a mistake is answered with.

use odile_partner::{Partner, SessionSettings, StationConfig};
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
    for (text, shown) in [
        ("host", "host:3305"),
        ("10.0.0.1:99", "10.0.0.1:99"),
        ("[::1]:33", "[::1]:33"),
        ("[::1]", "[::1]:3305"),
    ] {
        assert_eq!(text.parse::<odile_partner::Address>().unwrap().to_string(), shown);
    }
    for text in ["", ":1", "a b", "host:x", "[::1", "::1"] {
        assert!(text.parse::<odile_partner::Address>().is_err(), "{text:?}");
    }
}
