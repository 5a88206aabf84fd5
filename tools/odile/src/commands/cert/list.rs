//! `cert list` and `cert show`: what is there.

use std::path::PathBuf;

use jiff::Timestamp;
use odile_station::keyring::{CertificateDetails, CertificateFile, Keyring, PartnerCertificates, store};
use odile_station::partner::{KeyName, KeySettings, PartnerName, Purpose};
use odile_station::{Configuration, Home};
use serde::Serialize;
use serde_json::json;

use super::{now_seconds, read_certificates};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table};

/// A certificate, for people and programs.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// Name of our key, or of the partner; empty for a file.
    pub owner: String,
    pub purposes: Vec<String>,
    pub file: PathBuf,
    pub subject: String,
    pub common_name: Option<String>,
    pub names: Vec<String>,
    pub issuer: String,
    pub serial: String,
    pub not_before: String,
    pub not_after: String,
    pub days_left: i64,
    pub state: &'static str,
    pub fingerprint: String,
    pub key: String,
    pub signature: String,
    pub key_usage: Option<Vec<&'static str>>,
    pub extended_key_usage: Option<Vec<String>>,
    pub key_id: Option<String>,
    pub self_issued: bool,
    pub authority: bool,
    #[serde(skip)]
    details: CertificateDetails,
    #[serde(skip)]
    validity: (u64, u64),
}

impl Description {
    pub fn of(owner: &str, purposes: Vec<String>, file: &CertificateFile, now: u64) -> Self {
        let details = CertificateDetails::of(file);
        Self {
            owner: owner.to_owned(),
            purposes,
            file: file.path.clone(),
            subject: file.subject.clone(),
            common_name: details.common_name.clone(),
            names: details.names.clone(),
            issuer: file.issuer.clone(),
            serial: file.serial.clone(),
            not_before: utc_time(file.not_before),
            not_after: utc_time(file.not_after),
            days_left: days_left(file.not_after, now),
            state: match () {
                () if file.not_after < now => "expired",
                () if file.not_before > now => "not yet valid",
                () => "valid",
            },
            fingerprint: file.fingerprint.clone(),
            key: details.key.clone(),
            signature: details.signature.clone(),
            key_usage: details.key_usage.clone(),
            extended_key_usage: details.extended_key_usage.clone(),
            key_id: details.key_id.clone(),
            self_issued: details.is_self_issued,
            authority: details.is_authority,
            details,
            validity: (file.not_before, file.not_after),
        }
    }

    /// Of a key of ours.
    pub fn own(name: &KeyName, settings: &KeySettings, file: &CertificateFile, now: u64) -> Self {
        Self::of(name.as_str(), own_purposes(name, settings), file, now)
    }

    /// The common name, else the whole subject.
    pub fn name(&self) -> &str {
        self.common_name.as_deref().unwrap_or(&self.subject)
    }

    pub fn unfit_for(&self, purpose: Purpose) -> Option<String> {
        self.details.unfit_for(purpose)
    }

    /// Its first day.
    pub fn from(&self) -> String {
        utc_date(self.validity.0)
    }

    /// Its last day.
    pub fn until(&self) -> String {
        utc_date(self.validity.1)
    }

    /// All of it, line by line.
    pub fn print(&self) {
        let usage = |words: Option<String>| words.unwrap_or_else(|| "anything".to_owned());
        let left = match (self.state, self.days_left) {
            ("valid", 1) => "1 day left".to_owned(),
            ("valid", days) => format!("{days} days left"),
            (state, _) => state.to_owned(),
        };
        let issuer = if self.self_issued { "itself" } else { &self.issuer };
        for (key, value) in [
            ("certificate", self.file.display().to_string()),
            ("owner", self.owner.clone()),
            ("purpose", if self.owner.is_empty() { String::new() } else { in_short(&self.purposes) }),
            ("subject", self.subject.clone()),
            ("names", self.names.join(", ")),
            ("issued by", issuer.to_owned()),
            ("serial", self.serial.clone()),
            ("valid", format!("{} to {}, {left}", self.not_before, self.not_after)),
            ("key", self.key.clone()),
            ("key usage", usage(self.key_usage.as_ref().map(|words| words.join(", ")))),
            ("extended", usage(self.extended_key_usage.as_ref().map(|words| words.join(", ")))),
            ("authority", if self.authority { "yes" } else { "no" }.to_owned()),
            ("signed with", self.signature.clone()),
            ("key id", self.key_id.clone().unwrap_or_default()),
            ("SHA-256", self.fingerprint.clone()),
        ] {
            if !value.is_empty() {
                output::line(&format!("{key:<12} {}", output::clean(&value)));
            }
        }
    }

    fn row(&self) -> [String; COLUMNS] {
        [
            self.owner.clone(),
            in_short(&self.purposes),
            self.name().to_owned(),
            if self.self_issued { "itself".to_owned() } else { common_name(&self.issuer) },
            shortened(&self.serial),
            self.from(),
            self.until(),
            if self.state == "valid" { self.days_left.to_string() } else { self.state.to_owned() },
            self.fingerprint.chars().take(SHORT_DIGITS).collect::<String>().to_ascii_lowercase(),
            self.key.clone(),
        ]
    }
}

pub fn list(context: &Context, only: Option<&PartnerName>) -> Result<Exit, Failure> {
    let configuration = context.home.load()?;
    let now = now_seconds();
    let mut listed = Vec::new();
    let mut requested = Vec::new();
    if let Some(name) = only {
        let partner = &configuration.partner(name.as_str())?.name;
        listed.extend(describe_partner(partner, &configuration.certificates(partner), now));
    } else {
        (listed, requested) = describe_own(&context.home, &configuration.station.keys, now)?;
        for (partner, certificates) in &configuration.certificates {
            listed.extend(describe_partner(partner, certificates, now));
        }
    }
    let settings = &configuration.station.keys;
    if context.is_json() {
        let waiting = requested.iter().map(|name| {
            json!({
                "owner": name.as_str(),
                "purposes": own_purposes(name, settings),
                "file": null,
                "state": "no certificate yet",
            })
        });
        let certificates = listed.iter().map(|one| json!(one));
        output::json(&certificates.chain(waiting).collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    if listed.is_empty() && requested.is_empty() {
        context.note(match only {
            Some(_) => "there are no certificates of this partner; `odile cert import` adds some",
            None => "there are no keys and no certificates; `odile cert new` makes a key of ours",
        });
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("owner", Align::Left),
        ("purpose", Align::Left),
        ("subject", Align::Left),
        ("issued by", Align::Left),
        ("serial", Align::Left),
        ("from", Align::Left),
        ("until", Align::Left),
        ("days left", Align::Right),
        ("SHA-256", Align::Left),
        ("key", Align::Left),
    ]);
    for description in &listed {
        table.row(description.row());
    }
    for name in &requested {
        let mut row: [String; COLUMNS] = std::array::from_fn(|_| "-".to_owned());
        for (cell, text) in row.iter_mut().zip([
            name.to_string(),
            in_short(&own_purposes(name, settings)),
            "no certificate yet".to_owned(),
        ]) {
            *cell = text;
        }
        table.row(row);
    }
    table.print();
    Ok(Exit::Done)
}

pub fn show(context: &Context, what: &str) -> Result<Exit, Failure> {
    let now = now_seconds();
    let found = if let Some(found) = find(context, what, now)? {
        found
    } else {
        let files = read_certificates(what.as_ref())?;
        files.iter().map(|file| Description::of("", Vec::new(), file, now)).collect()
    };
    if context.is_json() {
        output::json(&found);
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        context.note("there is no certificate; `odile cert import` adds one");
    }
    for (index, description) in found.iter().enumerate() {
        if index > 0 {
            output::line("");
        }
        description.print();
    }
    Ok(Exit::Done)
}

/// Certificates of a key or a partner with this name; none if there is no such name.
fn find(context: &Context, what: &str, now: u64) -> Result<Option<Vec<Description>>, Failure> {
    // A path is a path; and a file may be shown without any station.
    if what.contains('/') || !context.home.station_file().exists() {
        return Ok(None);
    }
    let configuration = context.home.load()?;
    if let Some(found) = find_own(&context.home, &configuration, what, now)? {
        return Ok(Some(found));
    }
    if let Ok(partner) = configuration.partner(what) {
        let name = &partner.name;
        return Ok(Some(describe_partner(name, &configuration.certificates(name), now)));
    }
    if !std::path::Path::new(what).exists() && what != "-" {
        return Err(Failure::usage(format!(
            "{what:?} is no key, no partner and no file: `odile cert list` shows what is there"
        )));
    }
    Ok(None)
}

fn find_own(
    home: &Home,
    configuration: &Configuration,
    what: &str,
    now: u64,
) -> Result<Option<Vec<Description>>, Failure> {
    let Ok(name) = what.parse::<KeyName>() else { return Ok(None) };
    if !store::key_path(&home.keys(), &name).exists() {
        return Ok(None);
    }
    let path = store::certificate_path(&home.keys(), &name);
    if !path.exists() {
        return Err(Failure::usage(format!(
            "the key {name} has no certificate yet: `odile cert request {name}` asks for one, `odile cert import --own \
             {name} FILE` takes it"
        )));
    }
    let chain = CertificateFile::read(&path)?;
    let mut found = Vec::new();
    for (index, file) in chain.iter().enumerate() {
        found.push(match index {
            0 => Description::own(&name, &configuration.station.keys, file, now),
            _ => Description::of(&format!("{name} (chain)"), Vec::new(), file, now),
        });
    }
    Ok(Some(found))
}

/// Our certificates, and the names of keys that have none.
fn describe_own(
    home: &Home,
    settings: &KeySettings,
    now: u64,
) -> Result<(Vec<Description>, Vec<KeyName>), Failure> {
    let folder = home.keys();
    let (mut listed, mut requested) = (Vec::new(), Vec::new());
    for name in Keyring::names(&folder)? {
        let path = store::certificate_path(&folder, &name);
        if !path.exists() {
            requested.push(name);
            continue;
        }
        let chain = CertificateFile::read(&path)?;
        listed.extend(chain.first().map(|file| Description::own(&name, settings, file, now)));
    }
    Ok((listed, requested))
}

/// The certificates of a partner, each once, with all that it serves for.
pub fn describe_partner(
    partner: &PartnerName,
    certificates: &PartnerCertificates,
    now: u64,
) -> Vec<Description> {
    let mut listed: Vec<Description> = Vec::new();
    for (folder, file) in certificates.all() {
        match listed.iter_mut().find(|known| known.fingerprint == file.fingerprint) {
            Some(known) => known.purposes.push(folder.to_owned()),
            None => listed.push(Description::of(partner.as_str(), vec![folder.to_owned()], file, now)),
        }
    }
    listed
}

fn own_purposes(name: &KeyName, settings: &KeySettings) -> Vec<String> {
    Purpose::ALL
        .into_iter()
        .filter(|purpose| settings.name(*purpose) == name)
        .map(|purpose| purpose.as_str().to_owned())
        .collect()
}

fn in_short(purposes: &[String]) -> String {
    match purposes.len() {
        0 => "not used".to_owned(),
        all if all == Purpose::ALL.len() => "all".to_owned(),
        _ => purposes.join(", "),
    }
}

/// The common name in a name, else the name.
fn common_name(name: &str) -> String {
    let common = name.split(',').find_map(|part| part.trim().strip_prefix("CN="));
    common.unwrap_or(name).to_owned()
}

fn shortened(serial: &str) -> String {
    match (serial.get(..6), serial.get(serial.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if serial.len() > 16 => format!("{head}..{tail}"),
        _ => serial.to_owned(),
    }
}

pub fn days_left(not_after: u64, now: u64) -> i64 {
    let seconds = i64::try_from(not_after).unwrap_or(i64::MAX) - i64::try_from(now).unwrap_or(0);
    seconds.div_euclid(DAY_SECONDS)
}

fn timestamp(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

/// `2026-11-23T12:00:00Z`.
pub fn utc_time(seconds: u64) -> String {
    timestamp(seconds).map_or_else(|| "beyond all time".to_owned(), |time| time.to_string())
}

/// `2026-11-23`.
pub fn utc_date(seconds: u64) -> String {
    utc_time(seconds).split('T').next().unwrap_or_default().to_owned()
}

const DAY_SECONDS: i64 = 86_400;
const SHORT_DIGITS: usize = 8;
const COLUMNS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_down_to_zero_and_below() {
        let day = 86_400;
        assert_eq!(days_left(10 * day, 0), 10);
        assert_eq!(days_left(10 * day, 9 * day + 1), 0);
        assert_eq!(days_left(10 * day, 10 * day + 1), -1);
        assert_eq!(days_left(u64::MAX, 0), i64::MAX / 86_400);
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(utc_time(1_795_435_200), "2026-11-23T12:00:00Z");
        assert_eq!(utc_date(1_795_435_200), "2026-11-23");
        assert_eq!(utc_time(u64::MAX), "beyond all time");
    }

    #[test]
    fn long_serial_numbers_are_shortened() {
        assert_eq!(shortened("01"), "01");
        assert_eq!(shortened("0123456789ABCDEF"), "0123456789ABCDEF");
        assert_eq!(shortened("0123456789ABCDEF01"), "012345..EF01");
    }
}
