//! `odile partner`.

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::Path;

use odile_station::partner::{Partner, PartnerName};
use serde_json::{Value, json};

use super::init::quoted;
use crate::cli::PartnerAddArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table};

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
}

pub fn add(context: &Context, args: &PartnerAddArgs) -> Result<Exit, Failure> {
    let from_stdin = |path: &Option<_>| path.as_deref() == Some(Path::new("-"));
    if from_stdin(&args.our_password_file) && from_stdin(&args.their_password_file) {
        return Err(Failure::usage(
            "only one password can be read from standard input; put the other into a file",
        ));
    }
    let off = |set: bool| set.then_some(false);
    let file = PartnerFile {
        code: args.code.clone(),
        address: args.address.as_ref().map(ToString::to_string),
        our_code: args.our_code.clone(),
        stations: args.stations.clone(),
        our_password: args.our_password_file.as_deref().map(read_password).transpose()?,
        their_password: args.their_password_file.as_deref().map(read_password).transpose()?,
        may_send: off(args.no_send),
        may_receive: off(args.no_receive),
        describe: off(args.no_describe),
    };
    context.home.add_partner(&args.name, &partner_file(&file))?;
    let path = context.home.partner_file(&args.name);
    if context.is_json() {
        output::json(&json!({ "name": args.name.as_str(), "partner_file": path }));
        return Ok(Exit::Done);
    }
    output::line(&format!("{} was added: {}", args.name, path.display()));
    if crate::access::connect(context)?.is_some() {
        context.note("odile: the running station knows it after a restart");
    }
    Ok(Exit::Done)
}

/// The text of `partners/NAME.toml`.
pub fn partner_file(file: &PartnerFile) -> String {
    let mut text = String::from(HEAD);
    let mut key = |name: &str, value: Option<String>, otherwise: &str, comment: &str| {
        let _ = match value {
            Some(value) => writeln!(text, "\n# {comment}\n{name} = {value}"),
            None => writeln!(text, "\n# {comment}\n#{name} = {otherwise}"),
        };
    };
    let string = |value: &Option<String>| value.as_deref().map(quoted);
    let stations = (!file.stations.is_empty()).then(|| {
        let codes: Vec<String> = file.stations.iter().map(|code| quoted(code)).collect();
        format!("[{}]", codes.join(", "))
    });
    let switch = |value: Option<bool>| value.map(|value| value.to_string());
    key("code", Some(quoted(&file.code)), "", "Its identification code, as it introduces itself (SSIDCODE).");
    key(
        "address",
        string(&file.address),
        "\"oftp.example.com:3305\"",
        "Where to call it; left out: it calls us.",
    );
    key("our_code", string(&file.our_code), "\"\"", "Our code towards it, if it is not the station's.");
    key("stations", stations, "[\"\"]", "Stations behind it, by their codes in SFID; left out: its code.");
    key(
        "our_password",
        string(&file.our_password),
        "\"\"",
        "What we send as password, at most 8 characters.",
    );
    key("their_password", string(&file.their_password), "\"\"", "What it must send; left out: any will do.");
    key("may_send", switch(file.may_send), "true", "May it send us files?");
    key("may_receive", switch(file.may_receive), "true", "May we send it files?");
    key("describe", switch(file.describe), "true", "May the original names of files go to it?");
    text.push_str(TAIL);
    text
}

/// The first line of a file, or of standard input for `-`.
fn read_password(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(PASSWORD_FILE_MAX_BYTES).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(PASSWORD_FILE_MAX_BYTES).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::usage(format!("cannot read a password: {}: {error}", path.display())))?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => {
            Err(Failure::usage(format!("{} begins with an empty line: no password is there", path.display())))
        }
    }
}

pub fn list(context: &Context) -> Result<Exit, Failure> {
    let configuration = context.home.load()?;
    if context.is_json() {
        let partners: Vec<Value> = configuration.partners.values().map(|partner| as_json(partner)).collect();
        output::json(&partners);
        return Ok(Exit::Done);
    }
    if configuration.partners.is_empty() {
        context.note("there are no partners; `odile partner add` makes one");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("partner", Align::Left),
        ("code", Align::Left),
        ("address", Align::Left),
        ("it sends", Align::Left),
        ("we send", Align::Left),
    ]);
    for partner in configuration.partners.values() {
        table.row([
            partner.name.to_string(),
            partner.code.to_string(),
            partner.address.as_ref().map_or_else(|| "it calls us".to_owned(), ToString::to_string),
            yes_no(partner.may_send),
            yes_no(partner.may_receive),
        ]);
    }
    table.print();
    Ok(Exit::Done)
}

pub fn show(context: &Context, name: &PartnerName) -> Result<Exit, Failure> {
    let configuration = context.home.load()?;
    let partner = configuration.partner(name.as_str())?;
    if context.is_json() {
        output::json(&as_json(partner));
        return Ok(Exit::Done);
    }
    let stations: Vec<String> = partner.stations.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        ("partner", partner.name.to_string()),
        ("file", context.home.partner_file(name).display().to_string()),
        ("code", partner.code.to_string()),
        ("stations", stations.join(", ")),
        ("our code", partner.our_code.to_string()),
        ("address", partner.address.as_ref().map_or_else(|| "it calls us".to_owned(), ToString::to_string)),
        ("our password", set(!partner.our_password.is_blank())),
        ("their password", set(partner.their_password.is_some())),
        ("it may send us files", yes_no(partner.may_send)),
        ("we may send it files", yes_no(partner.may_receive)),
        ("original names go to it", yes_no(partner.describe)),
    ];
    if let Ok(terms) = partner.session.terms() {
        lines.extend([
            ("buffer size", format!("{} octets", terms.buffer_size.octets())),
            ("credit", format!("{} buffers", terms.credit.buffers())),
            ("levels", format!("{} to {}", terms.level_min.digit(), terms.level_max.digit())),
            ("buffer compression", yes_no(terms.buffer_compression)),
            ("inactivity", format!("{} s", terms.inactivity.as_secs())),
            ("connect", format!("{} s", terms.connect.as_secs())),
        ]);
    }
    for (key, value) in lines {
        output::line(&format!("{key:<24} {}", output::clean(&value)));
    }
    Ok(Exit::Done)
}

fn as_json(partner: &Partner) -> Value {
    let stations: Vec<String> = partner.stations.iter().map(ToString::to_string).collect();
    let session = partner.session.terms().ok().map(|terms| {
        json!({
            "buffer_size": terms.buffer_size.octets(),
            "credit": terms.credit.buffers(),
            "level_min": terms.level_min.digit(),
            "level_max": terms.level_max.digit(),
            "buffer_compression": terms.buffer_compression,
            "inactivity_seconds": terms.inactivity.as_secs(),
            "connect_seconds": terms.connect.as_secs(),
        })
    });
    json!({
        "name": partner.name.as_str(),
        "code": partner.code.to_string(),
        "stations": stations,
        "our_code": partner.our_code.to_string(),
        "address": partner.address.as_ref().map(ToString::to_string),
        "our_password": set(!partner.our_password.is_blank()),
        "their_password": set(partner.their_password.is_some()),
        "may_send": partner.may_send,
        "may_receive": partner.may_receive,
        "describe": partner.describe,
        "session": session,
    })
}

fn set(is_set: bool) -> String {
    if is_set { "set" } else { "not set" }.to_owned()
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// A password has 8 characters; whoever gives a film gets an error, not its content.
const PASSWORD_FILE_MAX_BYTES: u64 = 4096;

const HEAD: &str = "# A partner. `odile config check` tells whether this file is right.\n";

const TAIL: &str = "
# How sessions with it are set up; what is left out is as station.toml says.
#[session]
#buffer_size = 99999
#credit = 999
#level_min = 1
#level_max = 5
#buffer_compression = false
#inactivity_seconds = 180
#connect_seconds = 30
";

#[cfg(test)]
mod tests {
    use odile_station::partner::StationConfig;

    use super::*;

    fn parsed(file: &PartnerFile) -> Partner {
        let station = StationConfig::parse("station.toml", "code = \"US\"").unwrap();
        Partner::parse("them".parse().unwrap(), "them.toml", &partner_file(file), &station).unwrap()
    }

    #[test]
    fn what_is_written_can_be_read() {
        let least = parsed(&PartnerFile { code: "THEM".into(), ..PartnerFile::default() });
        assert_eq!(least.code.to_string(), "THEM");
        assert_eq!((least.may_send, least.may_receive, least.describe), (true, true, true));
        let most = parsed(&PartnerFile {
            code: "THEM".into(),
            address: Some("[::1]:3305".into()),
            our_code: Some("US 2".into()),
            stations: vec!["ONE".into(), "TWO".into()],
            our_password: Some("A\"B\\C".into()),
            their_password: Some("SECRET".into()),
            may_send: Some(false),
            may_receive: Some(false),
            describe: Some(false),
        });
        assert_eq!(most.stations.len(), 2);
        assert_eq!(most.address.as_ref().map(ToString::to_string), Some("[::1]:3305".into()));
        assert_eq!(most.our_code.to_string(), "US 2");
        assert!(most.their_password.is_some() && !most.our_password.is_blank());
        assert_eq!((most.may_send, most.may_receive, most.describe), (false, false, false));
        assert!(!as_json(&most).to_string().contains("SECRET"));
    }
}
