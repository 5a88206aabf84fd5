//! `cert check`: whether keys and certificates are there, good, and all that the configuration needs.
//!
//! Works on files alone. `doctor` and `config check` show the same in short.

use std::collections::BTreeMap;
use std::fmt;

use odile_station::keyring::{
    AUTHORITY_FOLDER, CertificateDetails, CertificateFile, Keyring, OwnKey, PartnerCertificates, Passphrase,
    SHARED_FOLDER, store,
};
use odile_station::partner::{KeyName, KeySettings, Partner, PartnerName, Purpose, Transport, Usage};
use odile_station::{Configuration, Home, StationError};
use serde::Serialize;

use super::list::{days_left, utc_date};
use super::{locked, name_of, now_seconds, passphrase};
use crate::cli::KeyArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Ok,
    /// It will not work for ever.
    Warning,
    /// Something that the configuration asks for does not work.
    Error,
    /// The station does not start.
    Fatal,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub subject: String,
    #[serde(rename = "result")]
    pub grade: Grade,
    #[serde(rename = "detail")]
    pub text: String,
    pub remedy: String,
}

pub fn run(context: &Context, args: &KeyArgs) -> Result<Exit, Failure> {
    let configuration = context.home.load()?;
    let passphrase = passphrase(args, &configuration.station.keys);
    let findings = findings(&context.home, &configuration, passphrase);
    if context.is_json() {
        output::json(&findings);
    } else {
        let mut table =
            Table::new(&[("checked", Align::Left), ("result", Align::Left), ("found", Align::Left)]);
        for finding in &findings {
            table.row([finding.subject.clone(), finding.grade.to_string(), finding.text.clone()]);
            if !finding.remedy.is_empty() {
                table.row([String::new(), String::new(), format!("-> {}", finding.remedy)]);
            }
        }
        table.print();
    }
    Ok(if worst(&findings) >= Grade::Error { Exit::Refused } else { Exit::Done })
}

/// The same without a passphrase of the command line.
pub fn configured(home: &Home, configuration: &Configuration) -> Vec<Finding> {
    let passphrase = passphrase(&KeyArgs::default(), &configuration.station.keys);
    findings(home, configuration, passphrase)
}

pub fn worst(findings: &[Finding]) -> Grade {
    findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Ok)
}

/// One line for other commands: how many there are of what.
pub fn in_short(findings: &[Finding]) -> String {
    let count = |grades: &[Grade]| findings.iter().filter(|finding| grades.contains(&finding.grade)).count();
    let (errors, warnings) = (count(&[Grade::Error, Grade::Fatal]), count(&[Grade::Warning]));
    match (errors, warnings) {
        (0, 0) => "all is well".to_owned(),
        _ => format!("errors: {errors}, warnings: {warnings}; `odile cert check` tells more"),
    }
}

/// Everything, in the order in which it is shown.
fn findings(
    home: &Home,
    configuration: &Configuration,
    passphrase: Result<Option<Passphrase>, Failure>,
) -> Vec<Finding> {
    let mut check = Check {
        settings: &configuration.station.keys,
        now: now_seconds(),
        own: BTreeMap::new(),
        findings: Vec::new(),
    };
    check.own_keys(home, passphrase);
    check.purposes(configuration);
    for partner in configuration.partners.values() {
        check.partner(partner, &configuration.certificates(&partner.name));
    }
    if check.findings.is_empty() {
        check.add("keys", Grade::Ok, "there are no keys, and nothing needs one", "");
    }
    check.findings
}

struct Check<'a> {
    settings: &'a KeySettings,
    now: u64,
    /// Our keys that have a certificate, whether they can be read or not.
    own: BTreeMap<KeyName, CertificateFile>,
    findings: Vec<Finding>,
}

/// What a partner's terms need, and why.
struct Need {
    purpose: Purpose,
    grade: Grade,
    why: &'static str,
}

impl Check<'_> {
    fn add(
        &mut self,
        subject: impl Into<String>,
        grade: Grade,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (subject, text, remedy) = (subject.into(), text.into(), remedy.into());
        self.findings.push(Finding { subject, grade, text, remedy });
    }

    fn own_keys(&mut self, home: &Home, passphrase: Result<Option<Passphrase>, Failure>) {
        let folder = home.keys();
        let names = match Keyring::names(&folder) {
            Ok(names) => names,
            Err(error) => return self.add("keys", Grade::Fatal, error.to_string(), "put it right"),
        };
        let passphrase = match passphrase {
            Ok(passphrase) => passphrase,
            Err(_) if names.is_empty() => None,
            Err(failure) => {
                self.add("passphrase", Grade::Fatal, failure.text, "see [keys] in station.toml");
                None
            }
        };
        for name in names {
            let subject = format!("key {name}");
            let path = store::key_path(&folder, &name);
            let certificate = store::certificate_path(&folder, &name);
            let file = CertificateFile::read(&certificate).ok().and_then(|chain| chain.into_iter().next());
            if let Some(file) = &file {
                self.own.insert(name.clone(), file.clone());
            }
            let is_locked = passphrase.is_none() && store::is_encrypted(&path).unwrap_or(false);
            match OwnKey::read(&folder, &name, passphrase.as_ref().map(Passphrase::as_str)) {
                Err(StationError::ExposedKey { path }) => {
                    let text = format!("{} can be read by others", path.display());
                    let remedy =
                        format!("chmod 600 {}; if others may have read it, make another", path.display());
                    self.add(&subject, Grade::Fatal, text, remedy);
                }
                Err(_) if is_locked => {
                    self.add(
                        &subject,
                        Grade::Fatal,
                        "it is encrypted, and there is no passphrase",
                        locked(&path),
                    );
                }
                Err(error) => {
                    let remedy = "take it out of keys/, or put the right file there";
                    self.add(&subject, Grade::Fatal, error.to_string(), remedy);
                }
                Ok(None) => {
                    let remedy =
                        format!("when the authority has answered: odile cert import --own {name} FILE");
                    self.add(&subject, Grade::Warning, "it has no certificate yet", remedy);
                }
                Ok(Some(_)) => {}
            }
            if let Some(file) = file {
                self.own_validity(&subject, &name, &file);
            }
        }
    }

    fn own_validity(&mut self, subject: &str, name: &KeyName, file: &CertificateFile) {
        let is_used = Purpose::ALL.into_iter().any(|purpose| self.settings.name(purpose) == name);
        let renew =
            "odile cert new or odile cert request, under another name; give partners the certificate in time";
        let (grade, text) = self.validity(file);
        match grade {
            Grade::Ok if is_used => self.add(subject, Grade::Ok, text, ""),
            Grade::Ok => self.add(subject, Grade::Ok, format!("{text}; not used for anything new"), ""),
            // What was encrypted for it can still be opened.
            _ if !is_used => self.add(subject, Grade::Ok, format!("{text}; not used for anything new"), ""),
            _ => self.add(subject, grade, text, renew),
        }
    }

    /// How a certificate stands, by the calendar.
    fn validity(&self, file: &CertificateFile) -> (Grade, String) {
        let day = utc_date(file.not_after);
        let left = days_left(file.not_after, self.now);
        if file.not_after < self.now {
            (Grade::Error, format!("the certificate expired on {day}"))
        } else if file.not_before > self.now {
            (Grade::Error, format!("the certificate is not valid before {}", utc_date(file.not_before)))
        } else if left < WARNING_DAYS {
            (Grade::Warning, format!("the certificate is valid until {day} only, days left: {left}"))
        } else {
            (Grade::Ok, format!("valid until {day}, days left: {left}"))
        }
    }

    /// Whether the keys that `station.toml` names are there, and fit.
    fn purposes(&mut self, configuration: &Configuration) {
        let usual = KeySettings::default();
        for purpose in Purpose::ALL {
            let name = self.settings.name(purpose).clone();
            let subject = format!("[keys] {purpose}");
            let is_named = name != *usual.name(purpose);
            match self.own.get(&name) {
                Some(file) => {
                    if let Some(why) = CertificateDetails::of(file).unfit_for(purpose) {
                        let text = format!("the key {name} does not serve: {why}");
                        self.add(subject, Grade::Error, text, "name another key, or make one");
                    }
                }
                None if purpose == Purpose::Tls && configuration.station.listen_tls.is_some() => {
                    let text = format!("listen_tls is set, and there is no key {name} with a certificate");
                    self.add(subject, Grade::Fatal, text, format!("odile cert new {name}"));
                }
                None if is_named => {
                    let text = format!("there is no key {name} with a certificate");
                    self.add(
                        subject,
                        Grade::Error,
                        text,
                        format!("odile cert new {name} --purpose {purpose}"),
                    );
                }
                None => {}
            }
        }
    }

    fn partner(&mut self, partner: &Partner, certificates: &PartnerCertificates) {
        let before = self.findings.len();
        let subject = format!("partner {}", partner.name);
        let (ours, theirs) = needs(partner);
        for need in ours {
            let name = self.settings.name(need.purpose);
            if !self.own.contains_key(name) {
                let text = format!("{}, and we have no key {name} with a certificate", need.why);
                let remedy = format!("odile cert new {name}");
                self.add(&subject, need.grade, text, remedy);
            }
        }
        for need in theirs {
            if let Err(text) = self.serves(certificates, need.purpose) {
                let remedy = format!("odile cert import {} FILE", partner.name);
                self.add(&subject, need.grade, format!("{}, and {text}", need.why), remedy);
            }
        }
        self.trust(&subject, partner, certificates);
        self.partner_validity(&subject, &partner.name, certificates);
        let count = certificates.all().count();
        if self.findings.len() == before && (count > 0 || partner.transport == Transport::Tls) {
            self.add(subject, Grade::Ok, format!("certificates: {count}"), "");
        }
    }

    /// Whether one of the partner's certificates serves for a purpose now.
    fn serves(&self, certificates: &PartnerCertificates, purpose: Purpose) -> Result<(), String> {
        let of_rsa = || certificates.for_purpose(purpose).filter(|file| file.rsa.is_some());
        if of_rsa().next().is_none() {
            return Err(format!("there is no certificate of it for {purpose}"));
        }
        let unfit = |file: &CertificateFile| CertificateDetails::of(file).unfit_for(purpose);
        let mut fit = of_rsa().filter(|file| unfit(file).is_none()).peekable();
        if fit.peek().is_none() {
            let why = of_rsa().find_map(unfit).unwrap_or_default();
            return Err(format!("its certificate does not serve for {purpose}: {why}"));
        }
        if fit.any(|file| file.is_valid_at(self.now)) {
            return Ok(());
        }
        Err(format!("no certificate of it for {purpose} is valid now"))
    }

    /// Whether there is anything to trust in TLS.
    fn trust(&mut self, subject: &str, partner: &Partner, certificates: &PartnerCertificates) {
        if partner.transport != Transport::Tls {
            return;
        }
        let is_trusted = certificates.for_purpose(Purpose::Tls).next().is_some()
            || certificates.authorities().next().is_some();
        let is_shown = partner.tls.inbound_client_certificate == Usage::Required;
        if is_trusted || (partner.address.is_none() && !is_shown) {
            return;
        }
        let text =
            "it is reached over TLS, and neither a certificate nor an authority of it is there to be trusted";
        let remedy = format!("odile cert import {} FILE, or with --purpose authority", partner.name);
        self.add(subject, Grade::Error, text, remedy);
    }

    fn partner_validity(&mut self, subject: &str, partner: &PartnerName, certificates: &PartnerCertificates) {
        for (folder, file) in certificates.all() {
            let (grade, text) = self.validity(file);
            if grade == Grade::Ok {
                continue;
            }
            // While a partner changes its certificate, the old and the new one lie side by side.
            let has_successor =
                certificates.all().any(|(other, next)| self.succeeds(next, other, file, folder));
            let text = format!("{} ({folder}): {text}", name_of(file));
            let short = store::short_fingerprint(file);
            match (has_successor, file.not_after < self.now) {
                (false, _) => self.add(subject, grade, text, "ask the partner for its next certificate"),
                (true, true) => {
                    let remedy = format!("its successor is there: odile cert remove {partner} {short}");
                    self.add(subject, Grade::Warning, text, remedy);
                }
                (true, false) => {}
            }
        }
    }

    /// Whether a certificate does all that another one in `folder` does, and will go on doing it.
    fn succeeds(&self, next: &CertificateFile, other: &str, file: &CertificateFile, folder: &str) -> bool {
        let lies_right = other == folder || (other == SHARED_FOLDER && folder != AUTHORITY_FOLDER);
        let details = CertificateDetails::of(next);
        let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == folder);
        let fits = purpose.is_none_or(|purpose| details.unfit_for(purpose).is_none());
        let is_of_rsa = next.rsa.is_some() || file.rsa.is_none();
        lies_right && fits && is_of_rsa && self.validity(next).0 == Grade::Ok
    }
}

/// What a partner's terms need of us, and of it.
fn needs(partner: &Partner) -> (Vec<Need>, Vec<Need>) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let need = |purpose, grade, why| Need { purpose, grade, why };
    if partner.transport == Transport::Tls
        && partner.address.is_some()
        && let Some(grade) = when_received(partner.tls.outbound_client_certificate)
    {
        ours.push(need(Purpose::Tls, grade, "we show a certificate when we call it"));
    }
    if partner.session.terms().is_ok_and(|terms| terms.authentication) {
        let why = "sessions are authenticated";
        ours.push(need(Purpose::Authentication, Grade::Error, why));
        theirs.push(need(Purpose::Authentication, Grade::Error, why));
    }
    if partner.may_receive {
        let send = &partner.send;
        let is_done = |usage: Usage| matches!(usage, Usage::Preferred | Usage::Required);
        if is_done(send.sign) {
            ours.push(need(Purpose::Signing, Grade::Error, "files for it are signed"));
        }
        if is_done(send.encrypt) {
            theirs.push(need(Purpose::Encryption, Grade::Error, "files for it are encrypted"));
        }
        if is_done(send.signed_receipt) {
            theirs.push(need(Purpose::Signing, Grade::Error, "its receipts are signed"));
        }
    }
    if partner.may_send {
        let receive = &partner.receive;
        if let Some(grade) = when_received(receive.sign) {
            theirs.push(need(Purpose::Signing, grade, "its files are signed"));
        }
        if let Some(grade) = when_received(receive.encrypt) {
            ours.push(need(Purpose::Encryption, grade, "its files are encrypted"));
        }
        if let Some(grade) = when_received(receive.signed_receipt) {
            ours.push(need(Purpose::Signing, grade, "our receipts for it are signed"));
        }
    }
    // One reason is enough for each.
    for needs in [&mut ours, &mut theirs] {
        needs.sort_by_key(|need| (need.purpose, std::cmp::Reverse(need.grade)));
        needs.dedup_by_key(|need| need.purpose);
    }
    (ours, theirs)
}

/// What somebody else may decide is needed when he does.
const fn when_received(usage: Usage) -> Option<Grade> {
    match usage {
        Usage::Required => Some(Grade::Error),
        Usage::Preferred => Some(Grade::Warning),
        Usage::Forbidden | Usage::Optional => None,
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        })
    }
}

/// Time enough to agree on another one.
const WARNING_DAYS: i64 = 30;
