//! The text of `partners/NAME.toml`: what is set, and all other keys with their defaults as comments.

use std::fmt::Write;

use odile_station::envelope::Suite;
use odile_station::partner::{Transport, Usage};

use super::init::quoted;

/// What a partner file says.
#[derive(Default)]
pub struct PartnerFile {
    pub code: String,
    pub address: Option<String>,
    pub our_code: Option<String>,
    pub stations: Vec<String>,
    pub our_password: Option<String>,
    pub their_password: Option<String>,
    pub may_send: Option<bool>,
    pub may_receive: Option<bool>,
    pub describe: Option<bool>,
    pub transport: Option<Transport>,
    pub authentication: Option<bool>,
    pub client_certificate: Option<Usage>,
    pub host_name_check: Option<bool>,
    pub send: ServiceUsages,
    pub receive: ServiceUsages,
    pub suite: Option<Suite>,
}

/// How much each service is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServiceUsages {
    pub sign: Option<Usage>,
    pub compress: Option<Usage>,
    pub encrypt: Option<Usage>,
    pub signed_receipt: Option<Usage>,
}

impl ServiceUsages {
    /// Signature, encryption and signed receipts, and nothing less.
    pub const SECURE: Self = Self {
        sign: Some(Usage::Required),
        compress: None,
        encrypt: Some(Usage::Required),
        signed_receipt: Some(Usage::Required),
    };

    /// Takes from `other` what is not set here.
    pub fn or(self, other: Self) -> Self {
        Self {
            sign: self.sign.or(other.sign),
            compress: self.compress.or(other.compress),
            encrypt: self.encrypt.or(other.encrypt),
            signed_receipt: self.signed_receipt.or(other.signed_receipt),
        }
    }

    fn write(self, text: &mut String) {
        for (name, usage) in [
            ("sign", self.sign),
            ("compress", self.compress),
            ("encrypt", self.encrypt),
            ("signed_receipt", self.signed_receipt),
        ] {
            key(text, name, usage.map(word), OPTIONAL);
        }
    }
}

/// The text of `partners/NAME.toml`.
pub fn partner_file(file: &PartnerFile) -> String {
    let mut text = String::from(HEAD);
    who(&mut text, file);
    let switch = |value: Option<bool>| value.map(|value| value.to_string());
    text.push_str(SESSION);
    key(&mut text, "authentication", switch(file.authentication), "false");
    text.push_str(RETRY);
    text.push_str(TLS);
    let client_certificate = file.client_certificate.map(word);
    key(&mut text, "inbound_client_certificate", client_certificate.clone(), OPTIONAL);
    key(&mut text, "outbound_client_certificate", client_certificate, OPTIONAL);
    key(&mut text, "host_name_check", switch(file.host_name_check), "true");
    text.push_str(SEND);
    file.send.write(&mut text);
    key(&mut text, "suite", file.suite.map(|suite| suite.code().to_string()), "4");
    text.push_str(SEND_REST);
    text.push_str(RECEIVE);
    file.receive.write(&mut text);
    key(&mut text, "suites", file.suite.and_then(suites_with), "[1, 2, 3, 4, 5, 6, 7]");
    text.push_str(RECEIVE_REST);
    text
}

/// The keys in front of all tables, each with what it means.
fn who(text: &mut String, file: &PartnerFile) {
    let mut explained = |name: &str, value: Option<String>, otherwise: &str, comment: &str| {
        let _ = writeln!(text, "\n# {comment}");
        key(text, name, value, otherwise);
    };
    let string = |value: &Option<String>| value.as_deref().map(quoted);
    let stations = (!file.stations.is_empty()).then(|| {
        let codes: Vec<String> = file.stations.iter().map(|code| quoted(code)).collect();
        format!("[{}]", codes.join(", "))
    });
    let switch = |value: Option<bool>| value.map(|value| value.to_string());
    explained(
        "code",
        Some(quoted(&file.code)),
        "",
        "Its identification code, as it introduces itself (SSIDCODE).",
    );
    explained(
        "address",
        string(&file.address),
        "\"oftp.example.com:3305\"",
        "Where to call it; left out: it calls us. Without a port, the usual one: 3305, with TLS 6619.",
    );
    explained(
        "transport",
        file.transport.map(|transport| quoted(&transport.to_string())),
        "\"plain\"",
        "What carries sessions, whoever calls: plain or tls.",
    );
    explained("our_code", string(&file.our_code), "\"\"", "Our code towards it, if it is not the station's.");
    explained(
        "stations",
        stations,
        "[\"\"]",
        "Stations behind it, by their codes in SFID; left out: its code.",
    );
    explained(
        "our_password",
        string(&file.our_password),
        "\"\"",
        "What we send as password, at most 8 characters.",
    );
    explained(
        "their_password",
        string(&file.their_password),
        "\"\"",
        "What it must send; left out: any will do.",
    );
    explained("may_send", switch(file.may_send), "true", "May it send us files?");
    explained("may_receive", switch(file.may_receive), "true", "May we send it files?");
    explained("describe", switch(file.describe), "true", "May the original names of files go to it?");
}

fn key(text: &mut String, name: &str, value: Option<String>, otherwise: &str) {
    let _ = match value {
        Some(value) => writeln!(text, "{name} = {value}"),
        None => writeln!(text, "#{name} = {otherwise}"),
    };
}

fn word(usage: Usage) -> String {
    quoted(usage.as_str())
}

/// What is sent with a suite of one's own may come back with it; the usual ones are taken anyway.
fn suites_with(suite: Suite) -> Option<String> {
    let usual = 1..=7_u8;
    let code = suite.code();
    if usual.contains(&code) {
        return None;
    }
    let codes: Vec<String> = usual.chain([code]).map(|code| code.to_string()).collect();
    Some(format!("[{}]", codes.join(", ")))
}

const OPTIONAL: &str = "\"optional\"";

const HEAD: &str = "# A partner. `odile config check` tells whether this file is right.\n";

const SESSION: &str = "
# How sessions with it are set up; what is left out here and below is as station.toml says.
[session]
#buffer_size = 99999
#credit = 999
#level_min = 1
#level_max = 5
#buffer_compression = false
#inactivity_seconds = 180
#connect_seconds = 30
# May files go on where they were cut?
#restart = true
# Must both sides prove that they have their keys?
";

const RETRY: &str = "
# How long to wait before a file that was cut off is tried again.
[retry]
#first_seconds = 5
#longest_seconds = 300
#jitter_percent = 20
#attempts_max = 0
";

const TLS: &str = "
# Who shows a certificate in TLS besides the one that is called: forbidden, optional, preferred or required.
[tls]
";

const SEND: &str = "
# Files that we send it, in the same words.
[send]
";

const SEND_REST: &str = "#compression_level = 1\n#embed_certificate = false\n";

const RECEIVE: &str = "
# Files that it sends us.
[receive]
";

const RECEIVE_REST: &str = "\
# Most octets of a file when it is unpacked; left out: what the disk has room for.
# octets_max = 1000000000000
# A file that came whole but cannot be opened is answered at once (efna), or later with a negative receipt (nerp).
#refuse_with = \"efna\"\n";

#[cfg(test)]
mod tests {
    use odile_station::partner::{Partner, ReceiveSettings, SendSettings, StationConfig, TlsSettings};

    use super::*;

    fn parsed(text: &str) -> Partner {
        let station = StationConfig::parse("station.toml", "code = \"US\"").unwrap();
        Partner::parse("them".parse().unwrap(), "them.toml", text, &station).unwrap()
    }

    #[test]
    fn what_is_written_can_be_read() {
        let least = parsed(&partner_file(&PartnerFile { code: "THEM".into(), ..PartnerFile::default() }));
        assert_eq!(least.code.to_string(), "THEM");
        assert_eq!((least.may_send, least.may_receive, least.describe), (true, true, true));
        assert_eq!(least.transport, Transport::Plain);
        let most = parsed(&partner_file(&PartnerFile {
            code: "THEM".into(),
            address: Some("[::1]".into()),
            our_code: Some("US 2".into()),
            stations: vec!["ONE".into(), "TWO".into()],
            our_password: Some("A\"B\\C".into()),
            their_password: Some("SECRET".into()),
            may_send: Some(false),
            may_receive: Some(false),
            describe: Some(false),
            transport: Some(Transport::Tls),
            authentication: Some(true),
            client_certificate: Some(Usage::Required),
            host_name_check: Some(false),
            send: ServiceUsages { compress: Some(Usage::Preferred), ..ServiceUsages::SECURE },
            receive: ServiceUsages::SECURE,
            suite: Some(Suite::S09),
        }));
        assert_eq!(most.stations.len(), 2);
        assert_eq!(most.address.as_ref().map(ToString::to_string), Some("[::1]:6619".into()));
        assert_eq!(most.our_code.to_string(), "US 2");
        assert!(most.their_password.is_some() && !most.our_password.is_blank());
        assert_eq!((most.may_send, most.may_receive, most.describe), (false, false, false));
        assert!(most.session.terms().unwrap().authentication && !most.tls.host_name_check);
        assert_eq!(most.tls.inbound_client_certificate, Usage::Required);
        assert_eq!(most.tls.outbound_client_certificate, Usage::Required);
        assert_eq!((most.send.sign, most.send.compress), (Usage::Required, Usage::Preferred));
        assert_eq!((most.send.encrypt, most.send.signed_receipt), (Usage::Required, Usage::Required));
        assert_eq!((most.receive.sign, most.receive.compress), (Usage::Required, Usage::Optional));
        assert_eq!(most.send.suite, Suite::S09);
        assert!(most.receive.suites.contains(&Suite::S09) && most.receive.suites.contains(&Suite::S01));
    }

    #[test]
    fn the_commented_keys_are_the_defaults_and_all_that_there_are() {
        let text = partner_file(&PartnerFile { code: "THEM".into(), ..PartnerFile::default() });
        let tables = text.split_once("[session]").unwrap().1;
        let uncommented: String = tables
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(key) if !key.starts_with(' ') => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let text = format!("code = \"THEM\"\n[session]{uncommented}");
        let (with_all, with_none) = (parsed(&text), parsed("code = \"THEM\""));
        assert_eq!(with_all.session.terms(), with_none.session.terms());
        assert_eq!((with_all.tls, with_all.send), (with_none.tls, with_none.send));
        assert_eq!(with_all.receive, with_none.receive);
        // station.toml has the same tables, and shows what was there.
        let all = StationConfig::parse("them.toml", &text).unwrap();
        let SendSettings {
            sign: Some(_),
            compress: Some(_),
            encrypt: Some(_),
            signed_receipt: Some(_),
            suite: Some(_),
            compression_level: Some(_),
            embed_certificate: Some(_),
        } = all.send
        else {
            panic!("a key of [send] is missing: {uncommented}");
        };
        let ReceiveSettings {
            sign: Some(_),
            compress: Some(_),
            encrypt: Some(_),
            signed_receipt: Some(_),
            suites: Some(_),
            octets_max: None,
            refuse_with: Some(_),
        } = all.receive
        else {
            panic!("a key of [receive] is missing: {uncommented}");
        };
        let TlsSettings {
            inbound_client_certificate: Some(_),
            outbound_client_certificate: Some(_),
            host_name_check: Some(_),
        } = all.tls
        else {
            panic!("a key of [tls] is missing: {uncommented}");
        };
    }
}
