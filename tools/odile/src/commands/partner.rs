//! `odile partner`.

use std::fs;
use std::io::Read;
use std::path::Path;

use odile_station::keyring::PartnerCertificates;
use odile_station::partner::{Partner, PartnerName, SendTerms, ServiceWish, Transport, Usage};
use serde_json::{Value, json};

use super::cert::check::{self, Finding, Grade};
use super::cert::{self, Description, Incoming, describe_partner, read_certificates};
use super::partner_file::{PartnerFile, ServiceUsages, partner_file};
use crate::cli::{ImportPurpose, PartnerAddArgs, SecurityArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table};

pub fn add(context: &Context, args: &PartnerAddArgs) -> Result<Exit, Failure> {
    let from_stdin = |path: &Option<_>| path.as_deref() == Some(Path::new("-"));
    if from_stdin(&args.our_password_file) && from_stdin(&args.their_password_file) {
        return Err(Failure::usage(
            "only one password can be read from standard input; put the other into a file",
        ));
    }
    let off = |set: bool| set.then_some(false);
    let security = &args.security;
    let secured = |usages: ServiceUsages| if security.secure { usages } else { ServiceUsages::default() };
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
        transport: (security.tls || security.secure).then_some(Transport::Tls),
        authentication: (security.authentication || security.secure).then_some(true),
        client_certificate: security.client_certificate,
        host_name_check: off(security.no_host_name_check),
        send: send_usages(security)
            .or(secured(ServiceUsages { compress: Some(Usage::Preferred), ..ServiceUsages::SECURE })),
        receive: receive_usages(security).or(secured(ServiceUsages::SECURE)),
        suite: security.suite,
    };
    let incoming = look_at_certificates(context, args)?;
    context.home.add_partner(&args.name, &partner_file(&file))?;
    let path = context.home.partner_file(&args.name);
    let written = incoming.write(&context.home, &args.name).inspect_err(|_| {
        // Without its certificates, the partner is not what was asked for.
        let _ = fs::remove_file(&path);
    })?;
    let missing = missing(context, &args.name);
    if context.is_json() {
        output::json(&json!({
            "name": args.name.as_str(),
            "partner_file": path,
            "certificates": written,
            "warnings": incoming.warnings(),
            "missing": missing,
        }));
        return Ok(Exit::Done);
    }
    output::line(&format!("{} was added: {}", args.name, path.display()));
    for path in &written {
        output::line(&format!("certificate: {}", path.display()));
    }
    incoming.tell_warnings(context);
    for finding in missing {
        context.note(&format!("odile: {}; {}", finding.text, finding.remedy));
    }
    cert::tell_running_station(context);
    Ok(Exit::Done)
}

/// All certificates of the command line, before anything is written.
fn look_at_certificates(context: &Context, args: &PartnerAddArgs) -> Result<Incoming, Failure> {
    let mut incoming = Incoming::default();
    let configuration = context.home.load()?;
    // Of somebody who had this name before; what cannot be read there would keep the station from starting.
    let folder = context.home.certificates(&args.name);
    let left_over = PartnerCertificates::read(&folder)?.all().count();
    if left_over > 0 && !configuration.partners.contains_key(&args.name) {
        incoming.warn(format!(
            "{} holds certificates already: {left_over}; they are trusted, too",
            folder.display()
        ));
    }
    let lists = [
        (ImportPurpose::Shared, &args.security.certificates),
        (ImportPurpose::Authority, &args.security.authorities),
    ];
    for (purpose, paths) in lists {
        for path in paths {
            let files = read_certificates(path)?;
            incoming.look(&configuration, &args.name, purpose, files, cert::Expired::Refused)?;
        }
    }
    Ok(incoming)
}

fn send_usages(security: &SecurityArgs) -> ServiceUsages {
    ServiceUsages {
        sign: security.send_sign,
        compress: security.send_compress,
        encrypt: security.send_encrypt,
        signed_receipt: security.send_receipt,
    }
}

fn receive_usages(security: &SecurityArgs) -> ServiceUsages {
    ServiceUsages {
        sign: security.receive_sign,
        compress: security.receive_compress,
        encrypt: security.receive_encrypt,
        signed_receipt: security.receive_receipt,
    }
}

/// Keys and certificates that the new partner needs and that are not there, or not good.
fn missing(context: &Context, name: &PartnerName) -> Vec<Finding> {
    let Ok(configuration) = context.home.load() else { return Vec::new() };
    let subject = format!("partner {name}");
    let mut findings = check::configured(&context.home, &configuration);
    findings.retain(|finding| finding.subject == subject && finding.grade > Grade::Ok);
    findings
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
        let partners: Vec<Value> = configuration
            .partners
            .values()
            .map(|partner| as_json(partner, &configuration.certificates(&partner.name)))
            .collect();
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
        ("transport", Align::Left),
        ("it sends", Align::Left),
        ("we send", Align::Left),
        ("certificates", Align::Right),
    ]);
    for partner in configuration.partners.values() {
        table.row([
            partner.name.to_string(),
            partner.code.to_string(),
            partner.address.as_ref().map_or_else(|| "it calls us".to_owned(), ToString::to_string),
            partner.transport.to_string(),
            what_it_sends(partner),
            what_we_send(partner),
            configuration.certificates(&partner.name).all().count().to_string(),
        ]);
    }
    table.print();
    Ok(Exit::Done)
}

pub fn show(context: &Context, name: &PartnerName) -> Result<Exit, Failure> {
    let configuration = context.home.load()?;
    let partner = configuration.partner(name.as_str())?;
    let certificates = configuration.certificates(&partner.name);
    if context.is_json() {
        output::json(&as_json(partner, &certificates));
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
        ("transport", partner.transport.to_string()),
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
            ("authentication", yes_no(terms.authentication)),
            ("inactivity", format!("{} s", terms.inactivity.as_secs())),
            ("connect", format!("{} s", terms.connect.as_secs())),
        ]);
    }
    lines.extend(security_lines(partner));
    for (key, value) in lines {
        output::line(&format!("{key:<24} {}", output::clean(&value)));
    }
    for one in describe_partner(&partner.name, &certificates, cert::now_seconds()) {
        let text = format!("{} ({}), {}", one.name(), one.purposes.join(", "), in_words(&one));
        output::line(&format!("{:<24} {}", "certificate", output::clean(&text)));
    }
    Ok(Exit::Done)
}

fn security_lines(partner: &Partner) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if partner.transport == Transport::Tls {
        lines.extend([
            ("it shows a certificate", partner.tls.inbound_client_certificate.to_string()),
            ("we show a certificate", partner.tls.outbound_client_certificate.to_string()),
            ("host name is checked", yes_no(partner.tls.host_name_check)),
        ]);
    }
    let (send, receive) = (&partner.send, &partner.receive);
    let usages = |sign: Usage, compress: Usage, encrypt: Usage, receipt: Usage| {
        format!("signature {sign}, compression {compress}, encryption {encrypt}, signed receipt {receipt}")
    };
    let suites: Vec<String> = receive.suites.iter().map(ToString::to_string).collect();
    lines.extend([
        ("files for it", usages(send.sign, send.compress, send.encrypt, send.signed_receipt)),
        (
            "",
            format!(
                "suite {}, compression level {}{}",
                send.suite,
                send.compression_level.get(),
                if send.embed_certificate { ", our certificate travels with signatures" } else { "" }
            ),
        ),
        ("files from it", usages(receive.sign, receive.compress, receive.encrypt, receive.signed_receipt)),
        ("", format!("suites {}", suites.join(", "))),
    ]);
    lines
}

fn in_words(description: &Description) -> String {
    let short = description.fingerprint.chars().take(8).collect::<String>().to_ascii_lowercase();
    match description.state {
        "valid" => format!("valid until {}, {short}", description.until()),
        state => format!("{state}, {short}"),
    }
}

/// What a file for it gets if nobody asks for anything else.
fn what_we_send(partner: &Partner) -> String {
    if !partner.may_receive {
        return "no".to_owned();
    }
    let Ok(done) = partner.send.decide(&ServiceWish::default()) else { return "?".to_owned() };
    let services = [
        (done.services.sign, "signed"),
        (done.services.compress, "compressed"),
        (done.services.encrypt, "encrypted"),
        (done.signed_receipt, "signed receipt"),
    ];
    match words(services) {
        text if text.is_empty() => "yes".to_owned(),
        text => format!("{text} ({})", done.suite),
    }
}

/// What its files must be.
fn what_it_sends(partner: &Partner) -> String {
    if !partner.may_send {
        return "no".to_owned();
    }
    let must = |usage: Usage| usage == Usage::Required;
    let receive = &partner.receive;
    match words([(must(receive.sign), "signed"), (must(receive.encrypt), "encrypted")]) {
        text if text.is_empty() => "yes".to_owned(),
        text => text,
    }
}

fn words<const N: usize>(services: [(bool, &str); N]) -> String {
    let set: Vec<&str> = services.into_iter().filter_map(|(is_set, word)| is_set.then_some(word)).collect();
    set.join(", ")
}

fn as_json(partner: &Partner, certificates: &PartnerCertificates) -> Value {
    let stations: Vec<String> = partner.stations.iter().map(ToString::to_string).collect();
    let session = partner.session.terms().ok().map(|terms| {
        json!({
            "buffer_size": terms.buffer_size.octets(),
            "credit": terms.credit.buffers(),
            "level_min": terms.level_min.digit(),
            "level_max": terms.level_max.digit(),
            "buffer_compression": terms.buffer_compression,
            "authentication": terms.authentication,
            "restart": terms.restart,
            "inactivity_seconds": terms.inactivity.as_secs(),
            "connect_seconds": terms.connect.as_secs(),
        })
    });
    let suites: Vec<u8> = partner.receive.suites.iter().map(|suite| suite.code()).collect();
    json!({
        "name": partner.name.as_str(),
        "code": partner.code.to_string(),
        "stations": stations,
        "our_code": partner.our_code.to_string(),
        "address": partner.address.as_ref().map(ToString::to_string),
        "transport": partner.transport.to_string(),
        "our_password": set(!partner.our_password.is_blank()),
        "their_password": set(partner.their_password.is_some()),
        "may_send": partner.may_send,
        "may_receive": partner.may_receive,
        "describe": partner.describe,
        "session": session,
        "retry": {
            "first_seconds": partner.retry.first.as_secs(),
            "longest_seconds": partner.retry.longest.as_secs(),
            "jitter_percent": partner.retry.jitter,
            "attempts_max": partner.retry.attempts_max,
        },
        "tls": {
            "inbound_client_certificate": partner.tls.inbound_client_certificate.as_str(),
            "outbound_client_certificate": partner.tls.outbound_client_certificate.as_str(),
            "host_name_check": partner.tls.host_name_check,
        },
        "send": send_as_json(&partner.send),
        "receive": {
            "sign": partner.receive.sign.as_str(),
            "compress": partner.receive.compress.as_str(),
            "encrypt": partner.receive.encrypt.as_str(),
            "signed_receipt": partner.receive.signed_receipt.as_str(),
            "suites": suites,
            "octets_max": partner.receive.octets_max,
        },
        "certificates": describe_partner(&partner.name, certificates, cert::now_seconds()),
    })
}

fn send_as_json(send: &SendTerms) -> Value {
    json!({
        "sign": send.sign.as_str(),
        "compress": send.compress.as_str(),
        "encrypt": send.encrypt.as_str(),
        "signed_receipt": send.signed_receipt.as_str(),
        "suite": send.suite.code(),
        "compression_level": send.compression_level.get(),
        "embed_certificate": send.embed_certificate,
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

#[cfg(test)]
mod tests {
    use odile_station::partner::StationConfig;

    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let station = StationConfig::parse("station.toml", "code = \"US\"").unwrap();
        let file = PartnerFile {
            code: "THEM".into(),
            our_password: Some("SECRET1".into()),
            their_password: Some("SECRET2".into()),
            ..PartnerFile::default()
        };
        let text = partner_file(&file);
        assert!(text.contains("SECRET1") && text.contains("SECRET2"));
        let partner = Partner::parse("them".parse().unwrap(), "them.toml", &text, &station).unwrap();
        let shown = as_json(&partner, &PartnerCertificates::default()).to_string();
        assert!(!shown.contains("SECRET"), "{shown}");
    }
}
