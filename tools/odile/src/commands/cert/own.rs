//! Our own keys: `cert new`, `cert request`, `cert import --own`, `cert export`.

use std::fs;
use std::io::{IsTerminal, Read, Write, stdin, stdout};
use std::path::Path;

use odile_station::envelope::Validity;
use odile_station::envelope_file::{EnvelopeFileError, Existing, Target};
use odile_station::keyring::make::system_entropy;
use odile_station::keyring::{
    CertificateFile, CertificateSubject, KeyBits, NewKey, OwnKey, Passphrase, store,
};
use odile_station::partner::{KeyName, KeySettings, Purpose, StationConfig};
use serde_json::json;

use super::list::Description;
use super::{
    now_seconds, passphrase, read_certificates, refuse_locked, refuse_shared_input, tell_running_station,
};
use crate::cli::{ExportArgs, ImportArgs, KeyPurpose, NewArgs, RequestArgs, SubjectArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;

/// What a new key and its certificate need.
pub struct Making<'a> {
    pub name: &'a KeyName,
    pub subject: &'a SubjectArgs,
    pub days: u32,
    pub passphrase: Option<&'a Passphrase>,
}

pub fn new(context: &Context, args: &NewArgs) -> Result<Exit, Failure> {
    let station = context.home.load()?.station;
    let passphrase = passphrase(&args.key, &station.keys)?;
    let making =
        Making { name: &args.name, subject: &args.subject, days: args.days, passphrase: passphrase.as_ref() };
    let certificate = make_key_and_certificate(context, &station, &making)?;
    let description = Description::own(&args.name, &station.keys, &certificate, now_seconds());
    let key = store::key_path(&context.home.keys(), &args.name);
    if context.is_json() {
        output::json(&json!({
            "key_file": key,
            "encrypted": passphrase.is_some(),
            "certificate": description,
        }));
    } else {
        output::line(&format!("key          {}{}", key.display(), encrypted(passphrase.as_ref())));
        description.print();
    }
    if args.subject.host.is_none() && serves_tls(args.subject.purpose) {
        context.note(
            "odile: the certificate names no host: partners that check the host name want --host with the name that \
             they call",
        );
    }
    advise(context, &args.name, args.subject.purpose, &station.keys, args.key.passphrase_file.as_deref());
    tell_running_station(context);
    Ok(Exit::Done)
}

/// Writes `NAME.key` and `NAME.crt`: both, or none.
pub fn make_key_and_certificate(
    context: &Context,
    station: &StationConfig,
    making: &Making<'_>,
) -> Result<CertificateFile, Failure> {
    let folder = context.home.keys();
    let (key_path, certificate_path) =
        (store::key_path(&folder, making.name), store::certificate_path(&folder, making.name));
    refuse_existing(&key_path, making.name)?;
    if certificate_path.exists() {
        return Err(Failure::usage(format!(
            "{} is there, but not its key: move it away, or choose another name",
            certificate_path.display()
        )));
    }
    let subject = certificate_subject(station, making.subject);
    let now = now_seconds();
    let validity = Validity {
        not_before: now.saturating_sub(CLOCK_DIFFERENCE_SECONDS),
        not_after: now + u64::from(making.days) * DAY_SECONDS,
    };
    let key = generate(context, making.subject.bits)?;
    let der = key.self_signed(&subject, validity, &mut system_entropy)?;
    let chain = CertificateFile::parse(&certificate_path, &der)?;
    let pem = key.to_pem(making.passphrase, &mut system_entropy)?;
    store::write_key(&key_path, &pem)?;
    if let Err(error) = store::write_own_certificate(&folder, making.name, &chain) {
        // The key was made a moment ago, and nobody has seen its certificate.
        let _ = fs::remove_file(&key_path);
        return Err(error.into());
    }
    chain.into_iter().next().ok_or_else(|| Failure::refused("making the certificate failed"))
}

pub fn request(context: &Context, args: &RequestArgs) -> Result<Exit, Failure> {
    let station = context.home.load()?.station;
    let folder = context.home.keys();
    let path = store::key_path(&folder, &args.name);
    let passphrase = passphrase(&args.key, &station.keys)?;
    let subject = certificate_subject(&station, &args.subject);
    let is_new = !path.exists();
    let key = if is_new {
        generate(context, args.subject.bits)?
    } else {
        refuse_locked(&path, passphrase.as_ref())?;
        NewKey::existing(&store::read_private_key(&path, passphrase.as_ref())?)?
    };
    // Before anything is written: a wrong country must not leave a key behind.
    let request = key.request(&subject)?;
    if is_new {
        let pem = key.to_pem(passphrase.as_ref(), &mut system_entropy)?;
        store::write_key(&path, &pem)?;
    }
    let made = if is_new { "made" } else { "used again" };
    let file = folder.join(format!("{}.csr", args.name));
    if !args.stdout {
        store::write_public(&file, request.as_bytes())?;
    }
    if context.is_json() {
        output::json(&json!({
            "key_file": path,
            "key_is_new": is_new,
            "request_file": (!args.stdout).then_some(&file),
            "request": request,
        }));
    } else if args.stdout {
        context.note(&format!("odile: {} was {made}", path.display()));
        output::line(request.trim_end());
    } else {
        output::line(&format!("key      {}, RSA {} bits, {made}", path.display(), key.modulus_bits()));
        output::line(&format!("request  {}", file.display()));
    }
    context.note(&format!(
        "next: send the request to the authority, then `odile cert import --own {} FILE` with its answer",
        args.name
    ));
    advise(context, &args.name, args.subject.purpose, &station.keys, args.key.passphrase_file.as_deref());
    Ok(Exit::Done)
}

pub fn import(context: &Context, name: &KeyName, args: &ImportArgs) -> Result<Exit, Failure> {
    refuse_shared_input(&args.key, std::iter::once(&args.first).chain(&args.files))?;
    let station = context.home.load()?.station;
    let folder = context.home.keys();
    let path = store::key_path(&folder, name);
    if !path.exists() {
        return Err(Failure::usage(format!(
            "there is no key {name}: {} is missing; `odile cert request {name}` makes one with a request",
            path.display()
        )));
    }
    let passphrase = passphrase(&args.key, &station.keys)?;
    refuse_locked(&path, passphrase.as_ref())?;
    let key = store::read_private_key(&path, passphrase.as_ref())?;
    let mut certificates = Vec::new();
    for file in std::iter::once(&args.first).chain(&args.files) {
        certificates.extend(read_certificates(file)?);
    }
    let count = certificates.len();
    let chain = store::chain_for(&key, &certificates).ok_or_else(|| {
        Failure::refused(format!(
            "none of the {count} certificates belongs to the key {name}: was it issued for another request?"
        ))
    })?;
    let now = now_seconds();
    let description = Description::own(name, &station.keys, &chain[0], now);
    if chain[0].not_after < now {
        return Err(Failure::refused(format!(
            "the certificate expired on {}: ask the authority for a new one",
            description.until()
        )));
    }
    let kept = store::write_own_certificate(&folder, name, &chain)?;
    let ignored = count - chain.len();
    if context.is_json() {
        output::json(&json!({
            "certificate": description,
            "chain": chain.len() - 1,
            "ignored": ignored,
            "kept": kept,
        }));
    } else {
        description.print();
        output::line(&format!("chain        {}", in_words(chain.len() - 1, "certificate")));
        if let Some(kept) = &kept {
            output::line(&format!("the old one  {}", kept.display()));
        }
    }
    if chain[0].not_before > now {
        context.note(&format!("odile: the certificate is not valid before {}", description.from()));
    }
    if ignored > 0 {
        let what = in_words(ignored, "certificate");
        context
            .note(&format!("odile: {what} of these files does not lead to the authority and was left out"));
    }
    for purpose in Purpose::ALL.into_iter().filter(|purpose| station.keys.name(*purpose) == name) {
        if let Some(why) = description.unfit_for(purpose) {
            context.note(&format!("odile: the certificate does not serve for {purpose}: {why}"));
        }
    }
    tell_running_station(context);
    Ok(Exit::Done)
}

pub fn export(context: &Context, args: &ExportArgs) -> Result<Exit, Failure> {
    let path = store::certificate_path(&context.home.keys(), &args.name);
    if !path.exists() {
        return Err(Failure::usage(format!(
            "there is no certificate {}: `odile cert new {}` makes one, `odile cert list` shows what is there",
            path.display(),
            args.name
        )));
    }
    let chain = CertificateFile::read(&path)?;
    let wanted = if args.chain { &chain[..] } else { &chain[..chain.len().min(1)] };
    let octets = match wanted.first() {
        Some(first) if args.der => first.der.clone(),
        _ => store::to_pem(wanted)?.into_bytes(),
    };
    match &args.to {
        Some(to) if to != Path::new("-") => {
            let existing = if args.force { Existing::Replaced } else { Existing::Stays };
            Target::create(to, existing)
                .and_then(|mut target| {
                    target.write_all(&octets).map_err(EnvelopeFileError::Write)?;
                    target.finish()
                })
                .map_err(cannot_export)?;
            if context.is_json() {
                output::json(
                    &json!({ "file": to, "fingerprint": chain.first().map(|file| &file.fingerprint) }),
                );
            } else if let Some(file) = chain.first() {
                output::line(&format!("{}  SHA-256 {}", to.display(), file.fingerprint));
            }
        }
        _ if args.der && stdout().is_terminal() => {
            return Err(Failure::usage("DER is not for a terminal: say with --to where it goes"));
        }
        _ => {
            // A reader that has gone away is no failure.
            let _ = stdout().lock().write_all(&octets);
        }
    }
    Ok(Exit::Done)
}

/// Our keys with their certificates, the one for `first` in front; those without a certificate are left out.
pub fn own_keys(
    folder: &Path,
    settings: &KeySettings,
    passphrase: Option<&Passphrase>,
    first: Purpose,
) -> Result<Vec<OwnKey>, Failure> {
    let mut names = odile_station::keyring::Keyring::names(folder)?;
    names.sort_by_key(|name| name != settings.name(first));
    let mut keys = Vec::new();
    for name in names {
        refuse_locked(&store::key_path(folder, &name), passphrase)?;
        keys.extend(OwnKey::read(folder, &name, passphrase.map(Passphrase::as_str))?);
    }
    Ok(keys)
}

/// The octets of a file, or of standard input for `-`.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let read = if path == Path::new("-") {
        stdin().take(CERTIFICATE_FILE_MAX_BYTES).read_to_end(&mut octets)
    } else {
        fs::File::open(path).and_then(|file| file.take(CERTIFICATE_FILE_MAX_BYTES).read_to_end(&mut octets))
    };
    read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    Ok(octets)
}

fn cannot_export(error: EnvelopeFileError) -> Failure {
    match error {
        EnvelopeFileError::TargetExists(_) => {
            Failure::usage(format!("{error}: choose another name, or replace it with --force"))
        }
        other => Failure::refused(other.to_string()),
    }
}

fn generate(context: &Context, bits: KeyBits) -> Result<NewKey, Failure> {
    if bits == KeyBits::Rsa4096 {
        context.note("odile: making a key of 4096 bits may take some seconds");
    }
    Ok(NewKey::generate(bits)?)
}

fn refuse_existing(path: &Path, name: &KeyName) -> Result<(), Failure> {
    if !path.exists() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} exists, and keys are never overwritten: choose another name, or use it again with `odile cert request {name}`",
        path.display()
    )))
}

fn certificate_subject(station: &StationConfig, args: &SubjectArgs) -> CertificateSubject {
    CertificateSubject {
        purpose: args.purpose.purpose(),
        host: args.host.clone(),
        common_name: args.common_name.clone(),
        organisation: args.organisation.clone(),
        country: args.country.clone(),
        email: args.email.clone(),
        ..CertificateSubject::new(station.code)
    }
}

/// What must be said in `station.toml` for the key to be of use.
fn advise(
    context: &Context,
    name: &KeyName,
    purpose: KeyPurpose,
    settings: &KeySettings,
    passphrase_file: Option<&Path>,
) {
    let one = purpose.purpose();
    let wanted = one.as_ref().map_or(&Purpose::ALL[..], std::slice::from_ref);
    let missing: Vec<String> = wanted
        .iter()
        .filter(|purpose| settings.name(**purpose) != name)
        .map(|purpose| format!("{purpose} = \"{name}\""))
        .collect();
    if !missing.is_empty() {
        context.note(&format!(
            "odile: the station uses this key when [keys] in station.toml says {}",
            missing.join(", ")
        ));
    }
    let is_configured = settings.passphrase_file.is_some() || settings.passphrase_credential.is_some();
    if passphrase_file.is_some() && !is_configured {
        context.note(
            "odile: the station can read this key when [keys] in station.toml names its passphrase (passphrase_file or \
             passphrase_credential)",
        );
    }
}

fn serves_tls(purpose: KeyPurpose) -> bool {
    matches!(purpose, KeyPurpose::All | KeyPurpose::Tls)
}

fn encrypted(passphrase: Option<&Passphrase>) -> &'static str {
    if passphrase.is_some() { ", encrypted" } else { ", not encrypted" }
}

fn in_words(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

const DAY_SECONDS: u64 = 86_400;
/// A partner's clock may be behind ours.
const CLOCK_DIFFERENCE_SECONDS: u64 = 3600;
/// All authorities of the web together are 200 KiB.
const CERTIFICATE_FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;
