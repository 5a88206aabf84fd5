//! `odile seal` and `odile open`: envelopes around files of this machine, with the keys of the home.
//!
//! No station is needed, and one that runs is not disturbed.

mod outcome;

use std::fs::File;
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write, stderr, stdin, stdout};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use odile_station::envelope::seal::Embed;
use odile_station::envelope::{
    Certificate, Declared, Identity, OpenError, OpenTerms, SealOptions, Services, SignerProblem, Suite,
};
use odile_station::envelope_file::{self, EnvelopeFileError, Existing, SealTerms, Target};
use odile_station::keyring::make::system_entropy;
use odile_station::keyring::{CertificateDetails, CertificateFile, Keyring, store};
use odile_station::partner::{KeyName, KeySettings, Partner, Purpose, ServiceWish, Usage};
use odile_station::{Configuration, StationError, free_space};

use super::cert::{now_seconds, own_keys, passphrase, read_certificates, refuse_shared_input, utc_time};
use crate::access::Standing;
use crate::cli::{KeyArgs, OpenArgs, SealArgs, Service};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::progress::{Meter, Progress};
use crate::signals::Interrupt;

pub fn seal(context: &Context, args: &SealArgs) -> Result<Exit, Failure> {
    if args.to == Path::new("-") && stdout().is_terminal() {
        return Err(Failure::usage("an envelope is not for a terminal: say with --to where it goes"));
    }
    refuse_shared_input(&args.key, [&args.file])?;
    let interrupt = Interrupt::catch()?;
    let terms = seal_terms(context, args)?;
    let (mut source, source_bytes) = sized_source(&args.file)?;
    let shown = args.file.display().to_string();
    let mut meter = progress(context).meter(&shown);
    let mut watch = watch(&interrupt, &mut meter, "sealing", source_bytes);
    let work = |target: &mut dyn Write| {
        envelope_file::seal(&mut source, source_bytes, &terms, target, &mut system_entropy, &mut watch)
    };
    let done = write_to(&args.to, args.force, Before::Verified, work);
    drop(watch);
    meter.finish();
    let sealed = done.map_err(|error| explain(&shown, error))?;
    outcome::report(context, &args.to, &outcome::of_seal(args, &terms, &sealed));
    Ok(Exit::Done)
}

pub fn open(context: &Context, args: &OpenArgs) -> Result<Exit, Failure> {
    refuse_shared_input(&args.key, std::iter::once(&args.file).chain(&args.signer))?;
    let interrupt = Interrupt::catch()?;
    let configuration = configuration(context)?;
    let partner = match (&args.from, &configuration) {
        (Some(name), Some(configuration)) => Some(Arc::clone(configuration.partner(name.as_str())?)),
        (Some(_), None) => return Err(StationError::NoStation { path: context.home.root().into() }.into()),
        (None, _) => None,
    };
    let settings = configuration.as_ref().map_or_else(KeySettings::default, |all| all.station.keys.clone());
    // A file that is only signed can be opened without any key.
    let ours = match &configuration {
        Some(_) => identities(context, &args.key, &settings, Purpose::Encryption),
        None => Ok(Vec::new()),
    };
    let suite = args.suite.or(partner.as_ref().map(|partner| partner.send.suite)).unwrap_or(Suite::S04);
    let terms = OpenTerms {
        declared: declared(&args.expect),
        recipients: ours.as_deref().unwrap_or_default().to_vec(),
        signers: signers(context, args, configuration.as_ref(), partner.as_deref())?,
        now: Some(now_seconds()),
        output_bytes_max: room(&args.to),
        transmitted_hash: Some(suite.hash()),
    };
    let (mut source, source_bytes) = source(&args.file)?;
    let shown = args.file.display().to_string();
    let mut meter = progress(context).meter(&shown);
    let mut watch = watch(&interrupt, &mut meter, "opening", source_bytes.unwrap_or(0));
    let terms = Arc::new(terms);
    let mut refused = None;
    let work = |target: &mut dyn Write| {
        let unsealed = envelope_file::open(&mut source, terms, target, &mut watch)?;
        refused = refuse(args, partner.as_deref(), unsealed.opened.services);
        match refused {
            // Its text is told instead of this.
            Some(_) => Err(EnvelopeFileError::Interrupted),
            None => Ok(unsealed),
        }
    };
    let done = write_to(&args.to, args.force, Before::Unverified, work);
    drop(watch);
    meter.finish();
    let unsealed = match (done, refused, ours) {
        (_, Some(text), _) => return Err(Failure::refused(format!("{shown}: {text}"))),
        // Our own keys would have been needed, and could not be read.
        (Err(EnvelopeFileError::Open(OpenError::NotForUs)), None, Err(failure)) => return Err(failure),
        (Err(error), None, _) => return Err(explain(&shown, error)),
        (Ok(unsealed), None, _) => unsealed,
    };
    let outcome = outcome::of_open(args, configuration.as_ref(), suite, &unsealed);
    outcome::report(context, &args.to, &outcome);
    Ok(Exit::Done)
}

/// What to do, from the partner's terms and the flags.
fn seal_terms(context: &Context, args: &SealArgs) -> Result<SealTerms, Failure> {
    let wanted = |flag: bool| flag.then_some(true);
    let encrypt = args.encrypt || args.recipient.is_some();
    let wish = ServiceWish {
        sign: wanted(args.sign),
        compress: wanted(args.compress),
        encrypt: wanted(encrypt),
        signed_receipt: None,
        suite: args.suite,
    };
    let mut options = SealOptions::default();
    let (mut suite, mut services) =
        (args.suite.unwrap_or(Suite::S04), Services { sign: args.sign, compress: args.compress, encrypt });
    let now = now_seconds();
    let mut recipient =
        args.recipient.as_deref().map(|path| rsa_certificate(context, path, now)).transpose()?;
    if let Some(name) = &args.partner {
        let configuration = context.home.load()?;
        let partner = configuration.partner(name.as_str())?;
        let decided = partner.send.decide(&wish).map_err(|text| Failure::usage(format!("{name}: {text}")))?;
        (suite, services) = (decided.suite, decided.services);
        options.level = partner.send.compression_level;
        options.embed = embed(partner.send.embed_certificate);
        if services.encrypt {
            let found = configuration.certificates(name).recipient(Purpose::Encryption, now);
            recipient = Some(found.map_err(|text| Failure::refused(format!("{name}: {text}")))?);
        }
    }
    if services == Services::NONE {
        return Err(Failure::usage(
            "there is nothing to do: say --sign, --compress or --encrypt, or --for a partner whose terms say it",
        ));
    }
    if services.encrypt && recipient.is_none() {
        return Err(Failure::usage("say for whom to encrypt: --for PARTNER or --recipient FILE"));
    }
    if let Some(level) = args.level {
        options.level = level.level();
    }
    if args.embed_certificate {
        options.embed = Embed::SignerCertificate;
    }
    let signer = if services.sign { Some(signer(context, args)?) } else { None };
    Ok(SealTerms { suite, services, signer, recipient, options, signing_time: now })
}

fn signer(context: &Context, args: &SealArgs) -> Result<Arc<Identity>, Failure> {
    let settings = context.home.load()?.station.keys;
    let name = settings.name(Purpose::Signing);
    let path = store::certificate_path(&context.home.keys(), name);
    if !path.exists() {
        return Err(Failure::usage(format!(
            "we have no key {name} with a certificate to sign with: `odile cert new {name}` makes one"
        )));
    }
    let identities = identities(context, &args.key, &settings, Purpose::Signing)?;
    identities.into_iter().next().ok_or_else(|| Failure::refused(format!("the key {name} cannot be used")))
}

/// Our keys, the one for a purpose first.
fn identities(
    context: &Context,
    key: &KeyArgs,
    settings: &KeySettings,
    first: Purpose,
) -> Result<Vec<Arc<Identity>>, Failure> {
    let passphrase = passphrase(key, settings)?;
    let keys = own_keys(&context.home.keys(), settings, passphrase.as_ref(), first)?;
    Ok(keys.into_iter().map(|key| key.identity).collect())
}

/// What the home says; none if there is no station, which opening some files does not need.
fn configuration(context: &Context) -> Result<Option<Configuration>, Failure> {
    if !context.home.station_file().exists() {
        return Ok(None);
    }
    Ok(Some(context.home.load()?))
}

/// Whose signatures are accepted.
fn signers(
    context: &Context,
    args: &OpenArgs,
    configuration: Option<&Configuration>,
    partner: Option<&Partner>,
) -> Result<Vec<Arc<Certificate>>, Failure> {
    if let Some(path) = &args.signer {
        let files = read_certificates(path)?;
        let signers: Vec<_> = files.into_iter().filter_map(|file| file.rsa).collect();
        if signers.is_empty() {
            return Err(Failure::usage(format!("{} has no key that signs: RSA is needed", path.display())));
        }
        return Ok(signers);
    }
    let Some(configuration) = configuration else { return Ok(Vec::new()) };
    if let Some(partner) = partner {
        return Ok(configuration.certificates(&partner.name).signers());
    }
    let mut signers: Vec<_> =
        configuration.certificates.values().flat_map(|certificates| certificates.signers()).collect();
    signers.extend(own_certificates(context).into_iter().map(|(_, certificate)| certificate));
    Ok(signers)
}

/// Our certificates by the names of their keys; what cannot be read is not ours to verify with.
fn own_certificates(context: &Context) -> Vec<(String, Arc<Certificate>)> {
    let folder = context.home.keys();
    let names = Keyring::names(&folder).unwrap_or_default();
    let read = |name: &KeyName| {
        let chain = CertificateFile::read(&store::certificate_path(&folder, name)).ok()?;
        chain.into_iter().next()?.rsa
    };
    names.iter().filter_map(|name| Some((name.to_string(), read(name)?))).collect()
}

/// Why an envelope that is good is not accepted; none if it is.
fn refuse(args: &OpenArgs, partner: Option<&Partner>, found: Services) -> Option<String> {
    if found == Services::NONE && args.expect.is_empty() {
        return Some("it is no envelope: it is neither signed nor compressed nor encrypted".to_owned());
    }
    if args.signer.is_some() && !found.sign {
        return Some(
            "it is not signed, so nothing says that it comes from the holder of --signer".to_owned(),
        );
    }
    let partner = partner?;
    let terms = &partner.receive;
    for (usage, is_found, key, word) in [
        (terms.sign, found.sign, "sign", "signed"),
        (terms.compress, found.compress, "compress", "compressed"),
        (terms.encrypt, found.encrypt, "encrypt", "encrypted"),
    ] {
        let wrong = match (usage, is_found) {
            (Usage::Required, false) => format!("it is not {word}"),
            (Usage::Forbidden, true) => format!("it is {word}"),
            _ => continue,
        };
        return Some(format!(
            "{wrong}, but [receive] {key} = \"{usage}\" holds for {}: without --from it is opened as it is",
            partner.name
        ));
    }
    None
}

fn declared(expected: &[Service]) -> Declared {
    if expected.is_empty() {
        return Declared::AsFound;
    }
    Declared::Services(Services {
        sign: expected.contains(&Service::Sign),
        compress: expected.contains(&Service::Compress),
        encrypt: expected.contains(&Service::Encrypt),
    })
}

/// Somebody to encrypt for, who was named on the command line: what looks odd is told, not refused.
fn rsa_certificate(context: &Context, path: &Path, now: u64) -> Result<Arc<Certificate>, Failure> {
    let file = read_certificates(path)?.into_iter().next();
    let found = file.and_then(|file| Some((file.rsa.clone()?, file)));
    let (certificate, file) = found.ok_or_else(|| {
        Failure::usage(format!(
            "{}: its key is no RSA key of 2048 to 4096 bits: nothing can be encrypted for it",
            path.display()
        ))
    })?;
    if !file.is_valid_at(now) {
        context.note(&format!(
            "odile: {} is valid from {} to {} only",
            path.display(),
            utc_time(file.not_before),
            utc_time(file.not_after)
        ));
    }
    if let Some(why) = CertificateDetails::of(&file).unfit_for(Purpose::Encryption) {
        context.note(&format!("odile: {}: {why}", path.display()));
    }
    Ok(certificate)
}

const fn embed(is_wanted: bool) -> Embed {
    if is_wanted { Embed::SignerCertificate } else { Embed::Nothing }
}

/// A file, or standard input for `-`, and its length.
fn sized_source(path: &Path) -> Result<(Box<dyn Read>, u64), Failure> {
    match source(path)? {
        (source, Some(bytes)) => Ok((source, bytes)),
        (_, None) => Err(Failure::usage(format!(
            "{} has no length that is known from the start, and an envelope begins with lengths: put it into a file first",
            if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
        ))),
    }
}

/// A file, or standard input for `-`, and its length if it has one.
fn source(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let mut file = if path == Path::new("-") {
        // Not through the buffer of the library: the file may have been read in part.
        File::from(std::os::fd::AsFd::as_fd(&stdin()).try_clone_to_owned().map_err(cannot)?)
    } else {
        File::open(path).map_err(cannot)?
    };
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a folder: give a file", path.display())));
    }
    if !metadata.is_file() {
        return Ok((Box::new(file), None));
    }
    let position = file.stream_position().map_err(cannot)?;
    Ok((Box::new(file), Some(metadata.len().saturating_sub(position))))
}

/// When what is written may be seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It is ours.
    Verified,
    /// It is somebody else's until the end.
    Unverified,
}

/// Writes to a file that appears when all is done, or to standard output for `-`.
fn write_to<T>(
    path: &Path,
    force: bool,
    before: Before,
    work: impl FnOnce(&mut dyn Write) -> Result<T, EnvelopeFileError>,
) -> Result<T, EnvelopeFileError> {
    if path != Path::new("-") {
        let existing = if force { Existing::Replaced } else { Existing::Stays };
        let mut target = Target::create(path, existing)?;
        let done = work(&mut target)?;
        target.finish()?;
        return Ok(done);
    }
    let mut stdout = stdout().lock();
    if before == Before::Verified {
        let done = work(&mut stdout)?;
        stdout.flush().map_err(EnvelopeFileError::Write)?;
        return Ok(done);
    }
    // Without a name, in the folder for temporary files: it goes with this process.
    let mut hidden = tempfile::tempfile().map_err(EnvelopeFileError::Write)?;
    let done = work(&mut hidden)?;
    hidden.seek(SeekFrom::Start(0)).map_err(EnvelopeFileError::Write)?;
    std::io::copy(&mut hidden, &mut stdout).map_err(EnvelopeFileError::Write)?;
    stdout.flush().map_err(EnvelopeFileError::Write)?;
    Ok(done)
}

/// Octets that there is room for: what inflates without end stops there.
fn room(target: &Path) -> u64 {
    let temporary = std::env::temp_dir();
    let folder = match target.parent() {
        _ if target == Path::new("-") => temporary.as_path(),
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    free_space(folder).map_or(u64::MAX, |space| space.available)
}

/// Bars for people; a log gets the result only.
fn progress(context: &Context) -> Progress {
    if stderr().is_terminal() { Progress::new(context) } else { Progress::Silent }
}

fn watch<'a>(
    interrupt: &'a Interrupt,
    meter: &'a mut Meter,
    state: &'static str,
    total: u64,
) -> impl FnMut(u64) -> ControlFlow<()> + 'a {
    move |octets| {
        meter.show(&Standing { state: state.to_owned(), detail: String::new(), octets, total });
        if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What went wrong, and what to do next.
fn explain(file: &str, error: EnvelopeFileError) -> Failure {
    let next = match &error {
        EnvelopeFileError::TargetExists(_) => {
            return Failure::usage(format!("{error}: choose another name, or replace it with --force"));
        }
        EnvelopeFileError::Target { .. } | EnvelopeFileError::Write(_) => {
            return Failure::refused(format!("{error}; nothing is left behind"));
        }
        EnvelopeFileError::Open(error) => what_next(error),
        EnvelopeFileError::Source(_)
        | EnvelopeFileError::SourceChanged { .. }
        | EnvelopeFileError::Misuse(_)
        | EnvelopeFileError::Interrupted => "",
    };
    let separator = if next.is_empty() { "" } else { "; " };
    Failure::refused(format!("{file}: {error}{separator}{next}"))
}

fn what_next(error: &OpenError) -> &'static str {
    match error {
        OpenError::NotForUs => {
            "give the sender our certificate (`odile cert export`), or put the key that it was encrypted for into keys/"
        }
        OpenError::Signature(problems) => {
            let is = |wanted: fn(&SignerProblem) -> bool| problems.iter().any(wanted);
            if is(|problem| matches!(problem, SignerProblem::Unknown { .. })) {
                "say whose it is with --signer FILE, or import the certificate: `odile cert import PARTNER FILE`"
            } else if is(|problem| matches!(problem, SignerProblem::Expired { .. })) {
                "ask the signer for its new certificate, and to sign again"
            } else {
                "it was altered after it was signed: ask the sender to send it again"
            }
        }
        OpenError::ServiceMissing(_) => "leave --expect out to open it as it is",
        OpenError::Limit(_) => "make room where it is to go",
        OpenError::Decrypt => {
            "see whether it arrived whole and was encrypted for our certificate (`odile cert list`), and ask the sender to \
             send it again"
        }
        OpenError::Malformed(_) | OpenError::Truncated | OpenError::Decompress(_) => {
            "see whether it arrived whole, and ask the sender to send it again"
        }
        _ => "ask the sender how it was made",
    }
}
