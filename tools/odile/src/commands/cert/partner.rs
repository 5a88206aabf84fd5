//! Certificates of partners: `cert import`, `cert remove`, and what `partner add` takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use odile_station::keyring::{CertificateDetails, CertificateFile, store};
use odile_station::partner::{PartnerName, Purpose};
use odile_station::{Configuration, Home};
use serde_json::json;

use super::list::{Description, utc_date};
use super::own::read_file;
use super::{name_of, now_seconds, refuse_shared_input, tell_running_station};
use crate::cli::{ImportArgs, ImportPurpose, KeyArgs, RemoveArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table};

/// Certificates that were looked at and may be written.
#[derive(Default)]
pub struct Incoming {
    new: Vec<(ImportPurpose, CertificateFile)>,
    present: Vec<(ImportPurpose, CertificateFile)>,
    warnings: Vec<String>,
}

/// Whether certificates are taken that are not valid any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    Refused,
    Taken,
}

pub fn import(context: &Context, args: &ImportArgs) -> Result<Exit, Failure> {
    let name = args.first.to_string_lossy();
    if args.files.is_empty() {
        return Err(Failure::usage(format!(
            "say whose certificate it is: odile cert import PARTNER {name}, or --own NAME if it is ours"
        )));
    }
    refuse_shared_input(&KeyArgs::default(), &args.files)?;
    let configuration = context.home.load()?;
    let partner = configuration.partner(&name)?.name.clone();
    let expired = if args.force { Expired::Taken } else { Expired::Refused };
    let mut incoming = Incoming::default();
    for file in &args.files {
        incoming.look(&configuration, &partner, args.purpose, read_certificates(file)?, expired)?;
    }
    let written = incoming.write(&context.home, &partner)?;
    let now = now_seconds();
    let mut rows = Vec::new();
    for (state, list) in [("imported", &incoming.new), ("was there", &incoming.present)] {
        for (purpose, file) in list {
            let description = Description::of(partner.as_str(), vec![purpose.folder().into()], file, now);
            rows.push((state, description));
        }
    }
    if context.is_json() {
        let certificates: Vec<_> = rows
            .iter()
            .map(|(state, description)| json!({ "state": state, "certificate": description }))
            .collect();
        output::json(&json!({
            "partner": partner.as_str(),
            "certificates": certificates,
            "files": written,
            "warnings": incoming.warnings,
        }));
    } else {
        let mut table = Table::new(&[
            ("certificate", Align::Left),
            ("purpose", Align::Left),
            ("until", Align::Left),
            ("SHA-256 fingerprint", Align::Left),
            ("", Align::Left),
        ]);
        for (state, row) in &rows {
            table.row([
                row.name().to_owned(),
                row.purposes.join(", "),
                row.until(),
                row.fingerprint.clone(),
                (*state).to_owned(),
            ]);
        }
        table.print();
    }
    incoming.tell_warnings(context);
    if !written.is_empty() {
        tell_running_station(context);
    }
    Ok(Exit::Done)
}

pub fn remove(context: &Context, args: &RemoveArgs) -> Result<Exit, Failure> {
    let configuration = context.home.load()?;
    let partner = &configuration.partner(args.partner.as_str())?.name;
    let prefix: String = args.fingerprint.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    let prefix = prefix.to_ascii_uppercase();
    if prefix.len() < PREFIX_DIGITS_MIN || !prefix.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "{:?} is no beginning of a fingerprint: give at least {PREFIX_DIGITS_MIN} hexadecimal digits, as `odile cert \
             list {partner}` shows them",
            args.fingerprint
        )));
    }
    let certificates = configuration.certificates(partner);
    let all: Vec<&CertificateFile> = certificates.all().map(|(_, file)| file).collect();
    let found: Vec<&CertificateFile> =
        all.iter().copied().filter(|file| file.fingerprint.starts_with(&prefix)).collect();
    let different: BTreeSet<&str> = found.iter().map(|file| file.fingerprint.as_str()).collect();
    match different.len() {
        0 => {
            return Err(Failure::usage(format!(
                "{partner} has no certificate whose fingerprint begins with {}: see `odile cert list {partner}`",
                args.fingerprint
            )));
        }
        1 => {}
        _ => {
            let list: Vec<&str> = different.into_iter().collect();
            return Err(Failure::usage(format!("give more digits: it may be {}", list.join(" or "))));
        }
    }
    let paths: BTreeSet<&PathBuf> = found.iter().map(|file| &file.path).collect();
    for path in &paths {
        if all.iter().any(|file| file.path == **path && !file.fingerprint.starts_with(&prefix)) {
            return Err(Failure::usage(format!(
                "{} holds other certificates, too: take this one out of it with an editor",
                path.display()
            )));
        }
    }
    for path in &paths {
        let removed = fs::remove_file(path);
        removed.map_err(|error| Failure::refused(format!("cannot remove {}: {error}", path.display())))?;
    }
    if context.is_json() {
        output::json(&json!({
            "partner": partner.as_str(),
            "fingerprint": found.first().map(|file| &file.fingerprint),
            "removed": paths,
        }));
    } else {
        for path in &paths {
            output::line(&format!("{} was removed", path.display()));
        }
    }
    tell_running_station(context);
    Ok(Exit::Done)
}

/// The certificates in a file that somebody sent; `-` is standard input.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateFile>, Failure> {
    Ok(store::certificates_in(path, &read_file(path)?)?)
}

impl Incoming {
    /// Looks at certificates of a partner, who need not be there yet. Nothing is written.
    pub fn look(
        &mut self,
        configuration: &Configuration,
        partner: &PartnerName,
        purpose: ImportPurpose,
        files: Vec<CertificateFile>,
        expired: Expired,
    ) -> Result<(), Failure> {
        let now = now_seconds();
        let present = configuration.certificates(partner);
        for file in files {
            let fingerprint = file.fingerprint.as_str();
            let is_same = |folder: &str, other: &CertificateFile| {
                folder == purpose.folder() && other.fingerprint == fingerprint
            };
            let is_twice = self.new.iter().any(|(purpose, other)| is_same(purpose.folder(), other));
            if present.all().any(|(folder, other)| is_same(folder, other)) || is_twice {
                self.present.push((purpose, file));
                continue;
            }
            self.judge(purpose, &file, expired, now)?;
            for (other, certificates) in &configuration.certificates {
                if other != partner && certificates.all().any(|(_, known)| known.fingerprint == fingerprint) {
                    self.warnings.push(format!(
                        "{} is a certificate of partner {other}, too: is it the right one?",
                        name_of(&file)
                    ));
                }
            }
            self.new.push((purpose, file));
        }
        Ok(())
    }

    /// Refuses what is of no use; warns of what may be.
    fn judge(
        &mut self,
        purpose: ImportPurpose,
        file: &CertificateFile,
        expired: Expired,
        now: u64,
    ) -> Result<(), Failure> {
        let shown = format!("{}: {}", file.path.display(), name_of(file));
        if file.not_after < now && expired == Expired::Refused {
            return Err(Failure::refused(format!(
                "{shown} expired on {}: ask the partner for a new one (--force with `cert import` takes it nevertheless)",
                utc_date(file.not_after)
            )));
        }
        if file.not_before > now {
            self.warnings.push(format!("{shown} is not valid before {}", utc_date(file.not_before)));
        }
        let details = CertificateDetails::of(file);
        match purpose {
            ImportPurpose::Authority if !details.is_authority => {
                self.warnings.push(format!(
                    "{shown} is no authority: it says so itself; a partner's own certificate belongs to another purpose"
                ));
            }
            ImportPurpose::Shared if file.rsa.is_none() => {
                let key = &details.key;
                self.warnings.push(format!("{shown} has a key of kind {key}: it serves for TLS only"));
            }
            // Many a certificate that signs itself calls itself an authority; this one is nothing else.
            ImportPurpose::Shared
                if details.is_authority && details.unfit_for(Purpose::Encryption).is_some() =>
            {
                self.warnings.push(format!(
                    "{shown} is an authority, and now trusted as if it were the partner itself: --purpose authority trusts \
                     what it issues, in TLS"
                ));
            }
            _ => {}
        }
        if let Some(wanted) = purpose.purpose() {
            if file.rsa.is_none() && wanted != Purpose::Tls {
                return Err(Failure::refused(format!(
                    "{shown} has a key of kind {}: {wanted} needs RSA of 2048 to 4096 bits",
                    details.key
                )));
            }
            if let Some(why) = details.unfit_for(wanted) {
                self.warnings.push(format!("{shown}: {why}"));
            }
        }
        Ok(())
    }

    /// Writes what is new; gives the files. After a failure there is nothing new.
    pub fn write(&self, home: &Home, partner: &PartnerName) -> Result<Vec<PathBuf>, Failure> {
        let folder = home.certificates(partner);
        let mut written = Vec::new();
        for (purpose, file) in &self.new {
            match store::add_certificate(&folder.join(purpose.folder()), file) {
                Ok(path) => written.push(path),
                Err(error) => {
                    take_back(&written);
                    return Err(error.into());
                }
            }
        }
        Ok(written)
    }

    /// One more thing to tell.
    pub fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub fn tell_warnings(&self, context: &Context) {
        for warning in &self.warnings {
            context.note(&format!("odile: {warning}"));
        }
    }
}

/// Removes files that were written a moment ago.
fn take_back(written: &[PathBuf]) {
    for path in written {
        // What went wrong before is what must be told.
        let _ = fs::remove_file(path);
    }
}

/// Fewer would be a guess.
const PREFIX_DIGITS_MIN: usize = 4;
