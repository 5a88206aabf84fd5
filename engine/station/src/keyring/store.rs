//! Writing keys and certificates, and taking certificates out of the files that people send.
//!
//! Private keys are never overwritten. A certificate that is replaced stays beside as `NAME.crt.` and the first
//! eight digits of its fingerprint. Every file is synced, and so is its folder.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use der::pem::LineEnding;
use odile_envelope::PrivateKey;
use odile_partner::{KeyName, KeySettings};
use zeroize::Zeroizing;

use super::certificate_file::certificate_blocks;
use super::own::{passphrase, read_key};
use super::{CertificateDetails, CertificateFile};
use crate::error::StationError;

/// A passphrase of private keys. Wiped from memory when dropped, and never shown.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The first line of a text; none if that is empty.
    pub fn first_line_of(text: &str) -> Option<Self> {
        let line = text.lines().next().unwrap_or_default();
        (!line.is_empty()).then(|| Self(Zeroizing::new(line.to_owned())))
    }

    /// The first line of what can be read; none if that is empty.
    pub fn read(source: &mut dyn Read) -> io::Result<Option<Self>> {
        let mut text = Zeroizing::new(String::with_capacity(PASSPHRASE_FILE_MAX_BYTES));
        source.take(PASSPHRASE_FILE_MAX_BYTES as u64).read_to_string(&mut text)?;
        Ok(Self::first_line_of(&text))
    }

    /// The one that `station.toml` names; none if it names none.
    pub fn configured(settings: &KeySettings) -> Result<Option<Self>, StationError> {
        match passphrase(settings)? {
            Some(line) if line.is_empty() => {
                let text =
                    "[keys] in station.toml names a passphrase, but its file begins with an empty line";
                Err(StationError::Contradiction(text.to_owned()))
            }
            line => Ok(line.map(Self)),
        }
    }

    /// The passphrase itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// `NAME.key` in a folder of keys.
pub fn key_path(folder: &Path, name: &KeyName) -> PathBuf {
    folder.join(format!("{name}.key"))
}

/// `NAME.crt` in a folder of keys.
pub fn certificate_path(folder: &Path, name: &KeyName) -> PathBuf {
    folder.join(format!("{name}.crt"))
}

/// Reads a private key whether it has a certificate or not; one that others could read too is refused.
pub fn read_private_key(path: &Path, passphrase: Option<&Passphrase>) -> Result<PrivateKey, StationError> {
    read_key(path, passphrase.map(Passphrase::as_str))
}

/// Whether a private key needs a passphrase.
pub fn is_encrypted(path: &Path) -> Result<bool, StationError> {
    let octets = Zeroizing::new(fs::read(path).map_err(StationError::io("read", path))?);
    Ok(contains(&octets, b"-----BEGIN ENCRYPTED PRIVATE KEY-----"))
}

/// Writes a new private key, for its owner only. One that is there is not touched.
pub fn write_key(path: &Path, pem: &str) -> Result<(), StationError> {
    let written = write_new(path, pem.as_bytes(), 0o600);
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => StationError::Key {
            path: path.into(),
            text: "there is a key already, and keys are never overwritten: choose another name".to_owned(),
        },
        _ => StationError::io("write", path)(error),
    })
}

/// Writes `NAME.crt`: the certificate, then its chain. What was there stays beside; gives where, if it was another.
pub fn write_own_certificate(
    folder: &Path,
    name: &KeyName,
    chain: &[CertificateFile],
) -> Result<Option<PathBuf>, StationError> {
    let path = certificate_path(folder, name);
    let mut kept = None;
    match CertificateFile::read(&path) {
        Ok(present) => {
            let (old, new) = (present.first(), chain.first());
            if let Some(old) = old
                && new.is_none_or(|new| new.fingerprint != old.fingerprint)
            {
                kept = Some(keep_beside(&path, &short_fingerprint(old))?);
            }
        }
        Err(StationError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        // Whatever it is, it is not lost.
        Err(_) => kept = Some(keep_beside(&path, "unreadable")?),
    }
    write_replacing(&path, to_pem(chain)?.as_bytes(), 0o644).map_err(StationError::io("write", &path))?;
    Ok(kept)
}

/// Writes a request for a certificate, or anything else that may be written again.
pub fn write_public(path: &Path, octets: &[u8]) -> Result<(), StationError> {
    write_replacing(path, octets, 0o644).map_err(StationError::io("write", path))
}

/// Puts a certificate into a partner's folder for a purpose, which is made if it is missing; gives the file.
pub fn add_certificate(folder: &Path, certificate: &CertificateFile) -> Result<PathBuf, StationError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(StationError::io("make folder", folder))?;
    let path = folder.join(file_name(certificate));
    let pem = to_pem(std::slice::from_ref(certificate))?;
    write_replacing(&path, pem.as_bytes(), 0o644).map_err(StationError::io("write", &path))?;
    Ok(path)
}

/// Certificates as text: PEM, one behind the other.
pub fn to_pem(certificates: &[CertificateFile]) -> Result<String, StationError> {
    let mut text = String::new();
    for certificate in certificates {
        let block =
            der::pem::encode_string("CERTIFICATE", LineEnding::LF, &certificate.der).map_err(|error| {
                StationError::Certificate { path: certificate.path.clone(), text: error.to_string() }
            })?;
        text.push_str(&block);
    }
    Ok(text)
}

/// All certificates in what somebody sent: DER, or PEM with anything between the blocks. `path` is for messages.
///
/// # Errors
///
/// If there is none, or if there is a private key: that is not for sending around.
pub fn certificates_in(path: &Path, octets: &[u8]) -> Result<Vec<CertificateFile>, StationError> {
    let refused = |text: &str| StationError::Certificate { path: path.into(), text: text.to_owned() };
    if contains(octets, b"PRIVATE KEY-----") {
        return Err(refused(
            "it holds a private key, which nobody but its owner may have: take the certificate alone (if the key \
             came from somebody else, it is worth nothing any more: tell him)",
        ));
    }
    if !contains(octets, b"-----BEGIN ") {
        return CertificateFile::parse(path, octets).map_err(|_| {
            refused(
                "it is no certificate: PEM and DER are read; PKCS#7 (.p7b) and PKCS#12 (.p12, .pfx) must be \
                 unpacked before, with `openssl pkcs7 -print_certs` or `openssl pkcs12 -nokeys`",
            )
        });
    }
    let blocks = certificate_blocks(octets);
    if blocks.is_empty() {
        return Err(refused(
            "it holds no certificate: a request (.csr) must be signed by an authority first, and PKCS#7 (.p7b) be \
             unpacked with `openssl pkcs7 -print_certs`",
        ));
    }
    CertificateFile::parse(path, &blocks)
}

/// The certificate that belongs to a key, then those that lead from it to its authority, as far as they are there.
pub fn chain_for(key: &PrivateKey, certificates: &[CertificateFile]) -> Option<Vec<CertificateFile>> {
    let is_ours = |file: &&CertificateFile| file.rsa.as_ref().is_some_and(|rsa| key.belongs_to(rsa));
    // Of several for the same key, the latest.
    let leaf = certificates.iter().filter(is_ours).max_by_key(|file| (file.not_before, file.not_after))?;
    let by_subject: BTreeMap<&str, &CertificateFile> =
        certificates.iter().map(|file| (file.subject.as_str(), file)).collect();
    let mut chain = vec![leaf.clone()];
    while let Some(last) = chain.last()
        && let Some(issuer) = by_subject.get(last.issuer.as_str())
        && chain.iter().all(|file| file.fingerprint != issuer.fingerprint)
    {
        chain.push((*issuer).clone());
    }
    Some(chain)
}

/// The first eight digits of a fingerprint, by which people tell certificates apart.
pub fn short_fingerprint(certificate: &CertificateFile) -> String {
    certificate.fingerprint.chars().take(SHORT_DIGITS).collect::<String>().to_ascii_lowercase()
}

/// `COMMON-NAME-fingerprint.crt`, with nothing in it that a file's name cannot have.
fn file_name(certificate: &CertificateFile) -> String {
    let details = CertificateDetails::of(certificate);
    let name = details.common_name.unwrap_or_else(|| certificate.subject.clone());
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let clean: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).take(NAME_CHARS).collect();
    let clean = clean.trim_matches(['-', '.']);
    let clean = if clean.is_empty() { "certificate" } else { clean };
    format!("{clean}-{}.crt", short_fingerprint(certificate))
}

fn keep_beside(path: &Path, ending: &str) -> Result<PathBuf, StationError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    let beside = PathBuf::from(name);
    // A copy: until the new one is in its place, the old one must be, too.
    fs::copy(path, &beside).map_err(StationError::io("write", &beside))?;
    Ok(beside)
}

fn write_new(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(octets).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path));
    if written.is_err() {
        // Half a file is worse than none; the first error is the one to tell.
        let _ = fs::remove_file(path);
    }
    written
}

/// Writes beside, then takes the place in one step: a file is the old one or the new one, never a part.
fn write_replacing(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder_of(path))?;
    file.write_all(octets)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn contains(octets: &[u8], wanted: &[u8]) -> bool {
    octets.windows(wanted.len()).any(|window| window == wanted)
}

/// Whoever gives a film instead of a passphrase gets an error, not its content.
const PASSPHRASE_FILE_MAX_BYTES: usize = 4096;
const SHORT_DIGITS: usize = 8;
/// Of a common name in the name of a file.
const NAME_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use odile_envelope::Validity;
    use odile_wire::IdentificationCode;

    use super::*;
    use crate::keyring::{CertificateSubject, KeyBits, NewKey};

    fn certificate(key: &NewKey, common_name: &str, not_before: u64) -> CertificateFile {
        let mut subject = CertificateSubject::new(IdentificationCode::new("O0013US").unwrap());
        subject.common_name = Some(common_name.to_owned());
        let validity = Validity { not_before, not_after: not_before + 86_400 };
        let mut serial = u8::try_from(not_before % 200).unwrap();
        let der = key.self_signed(&subject, validity, &mut |octets: &mut [u8]| {
            serial += 1;
            octets.fill(serial);
        });
        CertificateFile::parse(Path::new("made.crt"), &der.unwrap()).unwrap().remove(0)
    }

    #[test]
    fn keys_and_certificates_are_kept_when_others_come() {
        let folder = tempfile::tempdir().unwrap();
        let key = NewKey::generate(KeyBits::Rsa2048).unwrap();
        let name: KeyName = "station".parse().unwrap();
        let path = key_path(folder.path(), &name);
        let pem = key.to_pem(None, &mut |_: &mut [u8]| {}).unwrap();
        write_key(&path, &pem).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(write_key(&path, "another"), Err(StationError::Key { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), *pem);
        assert!(!is_encrypted(&path).unwrap());

        let (old, new) = (certificate(&key, "old", 1000), certificate(&key, "new", 2000));
        let write = |file: &CertificateFile| {
            write_own_certificate(folder.path(), &name, std::slice::from_ref(file)).unwrap()
        };
        assert_eq!(write(&old), None);
        assert_eq!(write(&old), None);
        let kept = write(&new).unwrap();
        assert_eq!(kept, folder.path().join(format!("station.crt.{}", short_fingerprint(&old))));
        assert_eq!(CertificateFile::read(&kept).unwrap()[0].der, old.der);
        let present = CertificateFile::read(&certificate_path(folder.path(), &name)).unwrap();
        assert_eq!(present[0].der, new.der);
        fs::write(certificate_path(folder.path(), &name), "not one").unwrap();
        assert_eq!(write(&new), Some(folder.path().join("station.crt.unreadable")));
        let hidden = fs::read_dir(folder.path()).unwrap();
        assert!(
            !hidden
                .map(|entry| entry.unwrap().file_name())
                .any(|name| name.to_string_lossy().starts_with('.'))
        );

        let private = read_private_key(&path, None).unwrap();
        let other = NewKey::generate(KeyBits::Rsa2048).unwrap();
        let stranger = certificate(&other, "stranger", 3000);
        assert!(chain_for(&private, std::slice::from_ref(&stranger)).is_none());
        let chain = chain_for(&private, &[stranger, old, new.clone()]).unwrap();
        assert_eq!((chain.len(), &chain[0].der), (1, &new.der));
    }

    #[test]
    fn certificates_are_found_between_other_text_and_private_keys_are_refused() {
        let key = NewKey::generate(KeyBits::Rsa2048).unwrap();
        let (one, two) = (certificate(&key, "one", 1000), certificate(&key, "../two words", 2000));
        let path = Path::new("sent.pem");
        let text = format!(
            "Bag Attributes\r\n{}subject=CN = two\n{}\n",
            to_pem(std::slice::from_ref(&one)).unwrap().replace('\n', "\r\n"),
            to_pem(std::slice::from_ref(&two)).unwrap()
        );
        let found = certificates_in(path, text.as_bytes()).unwrap();
        assert_eq!(found.iter().map(|file| &file.der).collect::<Vec<_>>(), [&one.der, &two.der]);
        assert_eq!(certificates_in(path, &one.der).unwrap()[0].der, one.der);
        let secret = key.to_pem(None, &mut |_: &mut [u8]| {}).unwrap();
        let error = certificates_in(path, format!("{text}{}", *secret).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("private key") && !error.contains("BEGIN"), "{error}");
        for wrong in [&b"hello"[..], b"", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"] {
            assert!(matches!(certificates_in(path, wrong), Err(StationError::Certificate { .. })));
        }

        let folder = tempfile::tempdir().unwrap();
        let added = add_certificate(&folder.path().join("shared"), &two).unwrap();
        let name = added.file_name().unwrap().to_str().unwrap();
        assert_eq!(name, format!("two-words-{}.crt", short_fingerprint(&two)));
        assert_eq!(CertificateFile::read(&added).unwrap()[0].der, two.der);
    }
}
