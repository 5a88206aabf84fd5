//! Making keys, self-signed certificates and requests for certificates, as Odette's certificate policy wants them:
//! RSA, SHA-256, the host name that partners call as common name and as alternative name, and our identification
//! code as `serialNumber` of the subject.
//!
//! | purpose | keyUsage | extKeyUsage |
//! |---|---|---|
//! | everything, TLS | digitalSignature, keyEncipherment | serverAuth, clientAuth |
//! | signing | digitalSignature | – |
//! | authentication, encryption | keyEncipherment | – |
//!
//! Nothing here touches a file; [`super::store`] does. Keys are drawn from the random source of AWS-LC, everything
//! else takes its randomness as an argument.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use der::pem::{LineEnding, PemLabel};
use odile_envelope::{Entropy, PrivateKey, Validity};
use odile_partner::Purpose;
use odile_wire::IdentificationCode;
use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};
use rcgen::string::{Ia5String, PrintableString};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    PKCS_RSA_SHA256, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use zeroize::Zeroizing;

use super::Passphrase;

/// Bits of a new RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyBits {
    /// 2048: the least that policies allow.
    Rsa2048,
    /// 3072: as strong as AES-128.
    #[default]
    Rsa3072,
    /// 4096: signing and opening take twice as long as with 3072.
    Rsa4096,
}

/// The name by which partners call a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostName {
    /// A name of the DNS, in lower case.
    Name(String),
    /// An IP address: a partner that checks host names must allow it.
    Address(IpAddr),
}

/// Who a certificate is for, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSubject {
    /// Our identification code (SSIDCODE).
    pub code: IdentificationCode,
    /// What the key is for; none: everything.
    pub purpose: Option<Purpose>,
    /// The name by which partners call us.
    pub host: Option<HostName>,
    /// Common name; none: the host, or else the code.
    pub common_name: Option<String>,
    /// Organisation.
    pub organisation: Option<String>,
    /// Country: two letters (ISO 3166).
    pub country: Option<String>,
    /// An address for people (SAN rfc822Name).
    pub email: Option<String>,
}

/// A private key in the making: not written yet, or being asked to sign a request.
pub struct NewKey {
    pair: KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

/// A key or certificate cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// What was asked for cannot stand in a certificate.
    #[error("{0}")]
    Subject(String),
    /// The cryptography refused.
    #[error("{0} failed")]
    Crypto(&'static str),
}

impl NewKey {
    /// Draws a key. Takes up to some seconds.
    pub fn generate(bits: KeyBits) -> Result<Self, MakeError> {
        let size = match bits {
            KeyBits::Rsa2048 => KeySize::Rsa2048,
            KeyBits::Rsa3072 => KeySize::Rsa3072,
            KeyBits::Rsa4096 => KeySize::Rsa4096,
        };
        let failed = MakeError::Crypto("making a key");
        let pair = KeyPair::generate(size).map_err(|_| failed.clone())?;
        let pkcs8 = Zeroizing::new(pair.as_der().map_err(|_| failed)?.as_ref().to_vec());
        Ok(Self { pair, pkcs8 })
    }

    /// A key that is there already, for a request.
    pub fn existing(key: &PrivateKey) -> Result<Self, MakeError> {
        let failed = MakeError::Crypto("reading the key");
        let pkcs8 = key.to_pkcs8_der().map_err(|_| failed.clone())?;
        let pair = KeyPair::from_pkcs8(&pkcs8).map_err(|_| failed)?;
        Ok(Self { pair, pkcs8 })
    }

    /// The key as PKCS#8 in PEM; with a passphrase as PBES2 (RFC 8018): scrypt and AES-256-CBC.
    pub fn to_pem(
        &self,
        passphrase: Option<&Passphrase>,
        entropy: &mut dyn Entropy,
    ) -> Result<Zeroizing<String>, MakeError> {
        let failed = || MakeError::Crypto("encrypting the key");
        let Some(passphrase) = passphrase else {
            let document = SecretDocument::try_from(self.pkcs8.as_slice()).map_err(|_| failed())?;
            return document.to_pem(PrivateKeyInfoRef::PEM_LABEL, LineEnding::LF).map_err(|_| failed());
        };
        let (mut salt, mut iv) = ([0; SALT_BYTES], [0; IV_BYTES]);
        entropy.fill(&mut salt);
        entropy.fill(&mut iv);
        let cost = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P).map_err(|_| failed())?;
        let parameters =
            pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).map_err(|_| failed())?;
        let key = PrivateKeyInfoRef::try_from(self.pkcs8.as_slice()).map_err(|_| failed())?;
        let document = key.encrypt_with_params(parameters, passphrase.as_str()).map_err(|_| failed())?;
        document.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF).map_err(|_| failed())
    }

    /// A self-signed certificate, DER. `validity` counts in seconds since 1970.
    pub fn self_signed(
        &self,
        subject: &CertificateSubject,
        validity: Validity,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, MakeError> {
        let mut serial = [0; SERIAL_BYTES];
        entropy.fill(&mut serial);
        // Positive, and of this length (RFC 5280 §4.1.2.2).
        serial[0] = serial[0] & 0x7F | 0x40;
        let mut parameters = subject.parameters()?;
        parameters.serial_number = Some(SerialNumber::from_slice(&serial));
        let epoch = date_time_ymd(1970, 1, 1);
        let at = |seconds: u64| {
            let seconds = Duration::from_secs(seconds);
            (seconds <= YEAR_9999).then(|| epoch + seconds).ok_or_else(|| {
                MakeError::Subject(
                    "the certificate would be valid beyond the year 9999: ask for fewer days".into(),
                )
            })
        };
        parameters.not_before = at(validity.not_before)?;
        parameters.not_after = at(validity.not_after)?;
        let made = parameters.self_signed(self).map_err(|_| MakeError::Crypto("signing the certificate"))?;
        Ok(made.der().to_vec())
    }

    /// A request for a certificate (PKCS#10), in PEM.
    pub fn request(&self, subject: &CertificateSubject) -> Result<String, MakeError> {
        let failed = |()| MakeError::Crypto("signing the request");
        let request = subject.parameters()?.serialize_request(self).map_err(|_| failed(()))?;
        der::pem::encode_string("CERTIFICATE REQUEST", LineEnding::LF, request.der()).map_err(|_| failed(()))
    }

    /// Bits of the modulus.
    pub fn modulus_bits(&self) -> usize {
        self.pair.public_modulus_len() * 8
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey(RSA, {} bits)", self.modulus_bits())
    }
}

impl PublicKeyData for NewKey {
    fn der_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for NewKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature)
    }
}

impl CertificateSubject {
    /// For everything, with nothing but the code.
    pub const fn new(code: IdentificationCode) -> Self {
        Self {
            code,
            purpose: None,
            host: None,
            common_name: None,
            organisation: None,
            country: None,
            email: None,
        }
    }

    fn parameters(&self) -> Result<CertificateParams, MakeError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = self.distinguished_name()?;
        parameters.is_ca = IsCa::ExplicitNoCa;
        if let Some(host) = &self.host {
            parameters.subject_alt_names.push(match host {
                HostName::Name(name) => SanType::DnsName(ia5(name)?),
                HostName::Address(address) => SanType::IpAddress(*address),
            });
        }
        if let Some(email) = &self.email {
            parameters.subject_alt_names.push(SanType::Rfc822Name(ia5(checked_email(email)?)?));
        }
        let (signs, unwraps) = match self.purpose {
            None | Some(Purpose::Tls) => (true, true),
            Some(Purpose::Signing) => (true, false),
            Some(Purpose::Authentication | Purpose::Encryption) => (false, true),
        };
        if signs {
            parameters.key_usages.push(KeyUsagePurpose::DigitalSignature);
        }
        if unwraps {
            parameters.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        if matches!(self.purpose, None | Some(Purpose::Tls)) {
            parameters.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        }
        Ok(parameters)
    }

    fn distinguished_name(&self) -> Result<DistinguishedName, MakeError> {
        let mut name = DistinguishedName::new();
        if let Some(country) = &self.country {
            name.push(DnType::CountryName, printable(checked_country(country)?.to_ascii_uppercase()));
        }
        if let Some(organisation) = &self.organisation {
            name.push(
                DnType::OrganizationName,
                DnValue::Utf8String(checked_text("organisation", organisation)?),
            );
        }
        let code = self.code.to_string();
        let common_name = match (&self.common_name, &self.host) {
            (Some(given), _) => given.clone(),
            (None, Some(host)) => host.to_string(),
            (None, None) => code.clone(),
        };
        name.push(DnType::CommonName, DnValue::Utf8String(checked_text("common name", &common_name)?));
        name.push(DnType::CustomDnType(SERIAL_NUMBER_OID.to_vec()), printable(code));
        Ok(name)
    }
}

impl KeyBits {
    /// The number.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }
}

impl FromStr for KeyBits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096]
            .into_iter()
            .find(|size| size.bits().to_string() == text)
            .ok_or_else(|| format!("{text:?} is no size for a key: 2048, 3072 and 4096 bits are allowed"))
    }
}

impl fmt::Display for KeyBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bits().fmt(f)
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            let allowed = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
            (1..=LABEL_MAX).contains(&label.len())
                && label.bytes().all(allowed)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label of digits only is an address gone wrong.
        let is_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|c| c.is_ascii_digit()));
        if name.len() > HOST_MAX || is_number || !name.split('.').all(is_label) {
            return Err(format!(
                "{text:?} is no host name: give the name that partners call, such as oftp.example.com, without a port"
            ));
        }
        Ok(Self::Name(name))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.pad(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// The random source of this machine, to be given where an [`Entropy`] is wanted.
pub fn system_entropy(octets: &mut [u8]) {
    crate::entropy::fill(octets);
}

fn ia5(text: &str) -> Result<Ia5String, MakeError> {
    Ia5String::try_from(text).map_err(|_| MakeError::Subject(format!("{text:?} is not ASCII")))
}

/// A PrintableString, as X.520 wants it here; codes may have characters that it lacks.
fn printable(text: String) -> DnValue {
    match PrintableString::try_from(text.as_str()) {
        Ok(printable) => DnValue::PrintableString(printable),
        Err(_) => DnValue::Utf8String(text),
    }
}

fn checked_text(what: &str, text: &str) -> Result<String, MakeError> {
    let length = text.chars().count();
    if text.trim() != text || !(1..=NAME_MAX).contains(&length) || text.chars().any(char::is_control) {
        return Err(MakeError::Subject(format!(
            "{text:?} cannot stand as {what} in a certificate: 1 to {NAME_MAX} characters are allowed"
        )));
    }
    Ok(text.to_owned())
}

fn checked_country(country: &str) -> Result<&str, MakeError> {
    if country.len() == 2 && country.bytes().all(|octet| octet.is_ascii_alphabetic()) {
        return Ok(country);
    }
    Err(MakeError::Subject(format!("{country:?} is no country: give its two letters, such as DE")))
}

fn checked_email(email: &str) -> Result<&str, MakeError> {
    let is_plain = email.bytes().all(|octet| octet.is_ascii_graphic());
    match email.split_once('@') {
        Some((user, host)) if is_plain && !user.is_empty() && !host.is_empty() && !host.contains('@') => {
            Ok(email)
        }
        _ => Err(MakeError::Subject(format!("{email:?} is no e-mail address"))),
    }
}

/// 16 octets: nobody guesses the next one, and CMS tells certificates apart by it.
const SERIAL_BYTES: usize = 16;
/// id-at-serialNumber: where the policy puts the identification code.
const SERIAL_NUMBER_OID: [u64; 4] = [2, 5, 4, 5];
/// Longest common name and organisation (RFC 5280, appendix A.1).
const NAME_MAX: usize = 64;
/// Longest name and label of the DNS (RFC 1035 §2.3.4).
const HOST_MAX: usize = 253;
const LABEL_MAX: usize = 63;
/// 9999-12-31 23:59:59: later than that, a certificate cannot say.
const YEAR_9999: Duration = Duration::from_secs(253_402_300_799);
const SALT_BYTES: usize = 16;
const IV_BYTES: usize = 16;
// 16 MiB: OpenSSL opens no key that needs more than 32 MiB.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 1;

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use odile_envelope::Certificate;

    use super::*;
    use crate::keyring::CertificateDetails;

    fn key() -> &'static NewKey {
        static KEY: OnceLock<NewKey> = OnceLock::new();
        KEY.get_or_init(|| NewKey::generate(KeyBits::Rsa2048).unwrap())
    }

    fn subject() -> CertificateSubject {
        CertificateSubject::new(IdentificationCode::new("O0013 US-7").unwrap())
    }

    fn counting() -> impl FnMut(&mut [u8]) {
        let mut next = 0;
        move |octets: &mut [u8]| {
            octets.fill_with(|| {
                next += 1;
                next
            });
        }
    }

    fn made(subject: &CertificateSubject) -> (Certificate, CertificateDetails) {
        let validity = Validity { not_before: 1_795_435_200, not_after: 1_795_435_200 + 86_400 };
        let der = key().self_signed(subject, validity, &mut counting()).unwrap();
        let certificate = Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.validity(), validity);
        (certificate, CertificateDetails::from_der(&der).unwrap())
    }

    #[test]
    fn a_certificate_says_what_it_is_for() {
        let signs = "digitalSignature";
        let unwraps = "keyEncipherment";
        let tls = Some(vec!["serverAuth", "clientAuth"]);
        // What it serves for, in the order of `Purpose::ALL`: TLS, authentication, signing, encryption.
        for (purpose, usages, extended, serves) in [
            (None, vec![signs, unwraps], tls.clone(), [true; 4]),
            (Some(Purpose::Tls), vec![signs, unwraps], tls, [true; 4]),
            (Some(Purpose::Authentication), vec![unwraps], None, [false, true, false, true]),
            (Some(Purpose::Signing), vec![signs], None, [true, false, true, false]),
            (Some(Purpose::Encryption), vec![unwraps], None, [false, true, false, true]),
        ] {
            let (_, details) = made(&CertificateSubject { purpose, ..subject() });
            assert_eq!(details.key_usage.as_deref(), Some(&usages[..]), "{purpose:?}");
            let found = details.extended_key_usage.as_ref().map(|usages| usages.join(" "));
            assert_eq!(found, extended.map(|usages| usages.join(" ")), "{purpose:?}");
            assert!(!details.is_authority && details.key_id.is_some() && details.is_self_issued);
            assert_eq!(details.key, "RSA 2048");
            assert_eq!(details.signature, "sha256WithRSAEncryption");
            assert_eq!(Purpose::ALL.map(|wanted| details.unfit_for(wanted).is_none()), serves, "{purpose:?}");
        }
    }

    #[test]
    fn a_certificate_names_the_host_and_the_code() {
        let full = CertificateSubject {
            host: Some("OFTP.Example.com.".parse().unwrap()),
            organisation: Some("Plant, Ltd. Köln".to_owned()),
            country: Some("de".to_owned()),
            email: Some("edi@example.com".to_owned()),
            ..subject()
        };
        let (certificate, details) = made(&full);
        assert_eq!(details.common_name.as_deref(), Some("oftp.example.com"));
        assert_eq!(details.names, ["oftp.example.com", "edi@example.com"]);
        let text = certificate.subject();
        for part in ["SERIALNUMBER=O0013 US-7", "C=DE", "O=Plant\\, Ltd. Köln"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(certificate.serial().len(), SERIAL_BYTES);
        assert!((0x40..0x80).contains(&certificate.serial()[0]));

        let (_, details) = made(&CertificateSubject { host: Some("[::1]".parse().unwrap()), ..subject() });
        assert_eq!((details.common_name.as_deref(), details.names), (Some("::1"), vec!["::1".to_owned()]));
        let (_, details) = made(&subject());
        assert_eq!((details.common_name.as_deref(), details.names.len()), (Some("O0013 US-7"), 0));
    }

    #[test]
    fn refuses_what_cannot_stand_in_a_certificate() {
        for wrong in [
            CertificateSubject { country: Some("DEU".into()), ..subject() },
            CertificateSubject { email: Some("nobody".into()), ..subject() },
            CertificateSubject { email: Some("a@b@c".into()), ..subject() },
            CertificateSubject { organisation: Some(String::new()), ..subject() },
            CertificateSubject { common_name: Some("x".repeat(65)), ..subject() },
        ] {
            assert!(matches!(key().request(&wrong), Err(MakeError::Subject(_))), "{wrong:?}");
        }
        assert!(
            key().request(&CertificateSubject { common_name: Some("x".repeat(64)), ..subject() }).is_ok()
        );
        for wrong in
            ["", "a b", "host:6619", "-a.example", "a-.example", "a..b", "*.example.com", "1.2.3.256"]
        {
            assert!(wrong.parse::<HostName>().is_err(), "{wrong}");
        }
        for bits in ["1024", "2047", "8192", "many"] {
            assert!(bits.parse::<KeyBits>().is_err(), "{bits}");
        }
        let far = Validity { not_before: 0, not_after: YEAR_9999.as_secs() };
        key().self_signed(&subject(), far, &mut counting()).unwrap();
        let beyond = Validity { not_after: far.not_after + 1, ..far };
        assert!(matches!(key().self_signed(&subject(), beyond, &mut counting()), Err(MakeError::Subject(_))));
    }

    #[test]
    fn a_key_comes_back_with_its_passphrase_only() {
        let passphrase = Passphrase::first_line_of("correct horse\nsecond").unwrap();
        let plain = key().to_pem(None, &mut counting()).unwrap();
        assert!(plain.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        let secret = key().to_pem(Some(&passphrase), &mut counting()).unwrap();
        assert!(secret.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let read = |given: Option<&str>| PrivateKey::from_bytes(secret.as_bytes(), given);
        let (certificate, _) = made(&subject());
        assert!(read(Some("correct horse")).unwrap().belongs_to(&certificate));
        assert!(PrivateKey::from_bytes(plain.as_bytes(), None).unwrap().belongs_to(&certificate));
        assert!(read(Some("wrong")).is_err() && read(None).is_err());
        assert!(!format!("{:?} {passphrase:?}", key()).contains("horse"));
    }
}
