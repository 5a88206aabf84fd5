//! `odile cert`: keys and certificates, ours and those of partners.

pub mod check;
mod list;
mod own;
mod partner;

use std::fs;
use std::io::stdin;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use odile_station::StationError;
use odile_station::keyring::{CertificateDetails, CertificateFile, MakeError, Passphrase, store};
use odile_station::partner::KeySettings;

pub use self::list::{Description, describe_partner, utc_time};
pub use self::own::{Making, make_key_and_certificate, own_keys};
pub use self::partner::{Expired, Incoming, read_certificates};
use crate::cli::{CertCommand, KeyArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};

pub fn run(context: &Context, command: CertCommand) -> Result<Exit, Failure> {
    match command {
        CertCommand::New(args) => own::new(context, &args),
        CertCommand::Request(args) => own::request(context, &args),
        CertCommand::Import(args) => match &args.own {
            Some(name) => own::import(context, name, &args),
            None => partner::import(context, &args),
        },
        CertCommand::List { partner } => list::list(context, partner.as_ref()),
        CertCommand::Show { what } => list::show(context, &what),
        CertCommand::Export(args) => own::export(context, &args),
        CertCommand::Remove(args) => partner::remove(context, &args),
        CertCommand::Check { key } => check::run(context, &key),
    }
}

impl From<MakeError> for Failure {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Subject(text) => Self::usage(text),
            MakeError::Crypto(_) => Self::refused(error.to_string()),
        }
    }
}

/// The passphrase of our keys: the one of the command line goes before the one that `station.toml` names.
pub fn passphrase(args: &KeyArgs, settings: &KeySettings) -> Result<Option<Passphrase>, Failure> {
    match &args.passphrase_file {
        Some(path) => read_passphrase(path).map(Some),
        None => Ok(Passphrase::configured(settings)?),
    }
}

/// Standard input is there once.
pub fn refuse_shared_input<'a>(
    args: &KeyArgs,
    files: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<(), Failure> {
    let of_files = files.into_iter().filter(|path| path.as_path() == Path::new("-")).count();
    let of_passphrase = usize::from(args.passphrase_file.as_deref() == Some(Path::new("-")));
    if of_files + of_passphrase > 1 {
        return Err(Failure::usage(
            "only one thing can be read from standard input; put the others into files",
        ));
    }
    Ok(())
}

fn read_passphrase(path: &Path) -> Result<Passphrase, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::usage(format!("cannot read a passphrase: {}: {error}", path.display()))
    };
    let found = if path == Path::new("-") {
        Passphrase::read(&mut stdin()).map_err(cannot)?
    } else {
        let mut file = fs::File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
            return Err(StationError::ExposedKey { path: path.into() }.into());
        }
        Passphrase::read(&mut file).map_err(cannot)?
    };
    found.ok_or_else(|| {
        Failure::usage(format!("{} begins with an empty line: no passphrase is there", path.display()))
    })
}

/// A key that cannot be read for want of a passphrase gets another text than one that is broken.
pub fn refuse_locked(path: &Path, passphrase: Option<&Passphrase>) -> Result<(), Failure> {
    if passphrase.is_none() && store::is_encrypted(path).unwrap_or(false) {
        return Err(Failure::usage(locked(path)));
    }
    Ok(())
}

/// What to do about a key without its passphrase.
pub fn locked(path: &Path) -> String {
    format!(
        "{} is encrypted: name the file with its passphrase as passphrase_file under [keys] in station.toml, or give \
         --passphrase-file",
        path.display()
    )
}

/// What people call a certificate: the common name, else the whole subject.
pub fn name_of(file: &CertificateFile) -> String {
    CertificateDetails::of(file).common_name.unwrap_or_else(|| file.subject.clone())
}

/// Now, as certificates count: seconds since 1970.
pub fn now_seconds() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}

/// Says that a running station works with what it has read when it started.
pub fn tell_running_station(context: &Context) {
    if let Ok(Some(_)) = crate::access::connect(context) {
        context.note("odile: the running station knows it after a restart");
    }
}
