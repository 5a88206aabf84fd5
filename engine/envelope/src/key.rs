//! Private keys, and what is done with RSA keys: sign, verify, wrap and unwrap.
//!
//! AWS-LC does what its Rust interface offers. The `rsa` crate does the rest: SHA-1 and SHA3-512, PSS (whose salt
//! must be the same when a signature is made again after a restart), and wrapping, because AWS-LC would draw the
//! padding from a random source of its own.

use std::sync::Arc;

use aws_lc_rs::rsa::{
    KeyPair, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::{rand, signature};
use pkcs8::{EncodePrivateKey as _, PrivateKeyInfoRef};
use rsa::traits::{PublicKeyParts, SignatureScheme as _};
use rsa::{Oaep, Pkcs1v15Encrypt, Pkcs1v15Sign, Pss, RsaPrivateKey};
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::digest::{HashAlgorithm, HashValue};
use crate::entropy::{Derived, Entropy, Given};
use crate::error::{Misuse, RSA_BITS_MAX, RSA_BITS_MIN};
use crate::passphrase;
use crate::suite::{KeyTransport, SignatureScheme};

/// An RSA private key.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    key: RsaPrivateKey,
    signing: KeyPair,
    pkcs1: Pkcs1PrivateDecryptingKey,
    oaep: OaepPrivateDecryptingKey,
    /// Hash of the key: where randomness that must be repeatable comes from.
    secret: Zeroizing<Vec<u8>>,
}

impl PrivateKey {
    /// Reads PKCS#8, DER or PEM. An encrypted key needs its passphrase.
    pub fn from_bytes(octets: &[u8], passphrase: Option<&str>) -> Result<Self, Misuse> {
        let is_pem = octets.trim_ascii_start().starts_with(b"-----BEGIN");
        if !is_pem {
            return Self::from_der(octets, passphrase);
        }
        let text = std::str::from_utf8(octets).map_err(|_| unreadable("the file is not text"))?;
        let (_, document) = pkcs8::SecretDocument::from_pem(text).map_err(unreadable)?;
        Self::from_der(document.as_bytes(), passphrase)
    }

    fn from_der(der: &[u8], passphrase: Option<&str>) -> Result<Self, Misuse> {
        if passphrase::is_encrypted(der) {
            return Self::from_plain_der(&passphrase::decrypt(der, passphrase)?);
        }
        Self::from_plain_der(der)
    }

    fn from_plain_der(der: &[u8]) -> Result<Self, Misuse> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(unreadable)?;
        let key = RsaPrivateKey::try_from(info).map_err(|_| Misuse::KeyKind)?;
        let bits = usize::try_from(key.n().bits()).unwrap_or(usize::MAX);
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(Misuse::KeyKind);
        }
        let decrypting = || PrivateDecryptingKey::from_pkcs8(der).map_err(|_| Misuse::KeyKind);
        Ok(Self(Arc::new(Inner {
            key,
            signing: KeyPair::from_pkcs8(der).map_err(|_| Misuse::KeyKind)?,
            pkcs1: Pkcs1PrivateDecryptingKey::new(decrypting()?).map_err(|_| Misuse::KeyKind)?,
            oaep: OaepPrivateDecryptingKey::new(decrypting()?).map_err(|_| Misuse::KeyKind)?,
            secret: Zeroizing::new(HashAlgorithm::Sha512.hash(der).as_bytes().to_vec()),
        })))
    }

    /// The key as PKCS#8 in DER, not encrypted: for TLS, which wants it whole.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, Misuse> {
        let document = self.0.key.to_pkcs8_der().map_err(|error| Misuse::Encoding(error.to_string()))?;
        Ok(document.to_bytes())
    }

    /// Bits of the modulus.
    pub fn modulus_bits(&self) -> usize {
        usize::try_from(self.0.key.n().bits()).unwrap_or(usize::MAX)
    }

    /// Whether the certificate has the public half of this key.
    pub fn belongs_to(&self, certificate: &Certificate) -> bool {
        self.0.key.n() == certificate.public().n() && self.0.key.e() == certificate.public().e()
    }

    /// Signs a message. The same message gives the same signature, also with PSS.
    pub(crate) fn sign(
        &self,
        scheme: SignatureScheme,
        hash: HashAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, Misuse> {
        let encoding = match (scheme, hash) {
            (SignatureScheme::Pkcs1, HashAlgorithm::Sha256) => &signature::RSA_PKCS1_SHA256,
            (SignatureScheme::Pkcs1, HashAlgorithm::Sha384) => &signature::RSA_PKCS1_SHA384,
            (SignatureScheme::Pkcs1, HashAlgorithm::Sha512) => &signature::RSA_PKCS1_SHA512,
            _ => return self.sign_with_rsa(scheme, &hash.hash(message)),
        };
        let mut signature = vec![0; self.0.signing.public_modulus_len()];
        self.0
            .signing
            .sign(encoding, &rand::SystemRandom::new(), message, &mut signature)
            .map_err(|_| Misuse::Crypto("signing"))?;
        Ok(signature)
    }

    fn sign_with_rsa(&self, scheme: SignatureScheme, hashed: &HashValue) -> Result<Vec<u8>, Misuse> {
        let mut derived = Derived::new(&self.0.secret, "signature", hashed.as_bytes());
        let rng = Some(&mut Given(&mut derived));
        let (key, octets) = (&self.0.key, hashed.as_bytes());
        match scheme {
            SignatureScheme::Pkcs1 => pkcs1_padding(hashed.algorithm()).sign(rng, key, octets),
            SignatureScheme::Pss => match hashed.algorithm() {
                HashAlgorithm::Sha1 => Pss::<sha1::Sha1>::new().sign(rng, key, octets),
                HashAlgorithm::Sha256 => Pss::<sha2::Sha256>::new().sign(rng, key, octets),
                HashAlgorithm::Sha384 => Pss::<sha2::Sha384>::new().sign(rng, key, octets),
                HashAlgorithm::Sha512 => Pss::<sha2::Sha512>::new().sign(rng, key, octets),
                HashAlgorithm::Sha3_512 => Pss::<sha3::Sha3_512>::new().sign(rng, key, octets),
            },
        }
        .map_err(|_| Misuse::Crypto("signing"))
    }

    /// Unwraps a content key of `key_bytes` octets.
    ///
    /// A wrapped key that does not unwrap gives another key, always the same for the same octets: who sends
    /// rubbish sees the same failure, at the same time, as who sends rubbish under a good key (RFC 3218 §2.3.2).
    pub(crate) fn unwrap(
        &self,
        transport: KeyTransport,
        wrapped: &[u8],
        key_bytes: usize,
    ) -> Zeroizing<Vec<u8>> {
        let mut fallback = Zeroizing::new(vec![0; key_bytes]);
        Derived::new(&self.0.secret, "rejected", wrapped).fill(&mut fallback);
        let mut room = Zeroizing::new(vec![0; self.0.oaep.min_output_size().max(wrapped.len())]);
        let found = match transport {
            KeyTransport::Pkcs1 => self.0.pkcs1.decrypt(wrapped, &mut room).ok().map(|key| &*key),
            KeyTransport::Oaep(hash) => {
                let algorithm = match hash {
                    HashAlgorithm::Sha1 => &OAEP_SHA1_MGF1SHA1,
                    HashAlgorithm::Sha256 => &OAEP_SHA256_MGF1SHA256,
                    HashAlgorithm::Sha384 => &OAEP_SHA384_MGF1SHA384,
                    HashAlgorithm::Sha512 => &OAEP_SHA512_MGF1SHA512,
                    HashAlgorithm::Sha3_512 => return self.unwrap_sha3(wrapped, fallback),
                };
                self.0.oaep.decrypt(algorithm, wrapped, &mut room, None).ok().map(|key| &*key)
            }
        };
        match found {
            Some(key) if key.len() == key_bytes => Zeroizing::new(key.to_vec()),
            _ => fallback,
        }
    }

    fn unwrap_sha3(&self, wrapped: &[u8], fallback: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        let mut derived = Derived::new(&self.0.secret, "blinding", wrapped);
        let padding = Oaep::<sha3::Sha3_512>::new();
        match self.0.key.decrypt_blinded(&mut Given(&mut derived), padding, wrapped).map(Zeroizing::new) {
            Ok(key) if key.len() == fallback.len() => key,
            _ => fallback,
        }
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey(RSA, {} bits)", self.0.key.n().bits())
    }
}

/// A certificate and its private key: who we are.
#[derive(Clone, Debug)]
pub struct Identity {
    certificate: Certificate,
    key: PrivateKey,
}

impl Identity {
    /// Pairs the two, if they belong together.
    pub fn new(certificate: Certificate, key: PrivateKey) -> Result<Self, Misuse> {
        if key.belongs_to(&certificate) { Ok(Self { certificate, key }) } else { Err(Misuse::KeyMismatch) }
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The private key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }
}

impl Certificate {
    /// Wraps a content key for the holder of this certificate.
    pub(crate) fn wrap(
        &self,
        transport: KeyTransport,
        key: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, Misuse> {
        let (public, rng) = (self.public(), &mut Given(entropy));
        match transport {
            KeyTransport::Pkcs1 => public.encrypt(rng, Pkcs1v15Encrypt, key),
            KeyTransport::Oaep(hash) => match hash {
                HashAlgorithm::Sha1 => public.encrypt(rng, Oaep::<sha1::Sha1>::new(), key),
                HashAlgorithm::Sha256 => public.encrypt(rng, Oaep::<sha2::Sha256>::new(), key),
                HashAlgorithm::Sha384 => public.encrypt(rng, Oaep::<sha2::Sha384>::new(), key),
                HashAlgorithm::Sha512 => public.encrypt(rng, Oaep::<sha2::Sha512>::new(), key),
                HashAlgorithm::Sha3_512 => public.encrypt(rng, Oaep::<sha3::Sha3_512>::new(), key),
            },
        }
        .map_err(|_| Misuse::Crypto("wrapping a key"))
    }

    /// Whether `octets` is a signature of the holder of this certificate over something with this hash.
    /// The salt of PSS may have any length.
    pub(crate) fn verifies(&self, scheme: SignatureScheme, hashed: &HashValue, octets: &[u8]) -> bool {
        let (public, hash) = (self.public(), hashed.as_bytes());
        match (scheme, hashed.algorithm()) {
            (SignatureScheme::Pkcs1, algorithm) => match aws_pkcs1(algorithm) {
                Some((verification, digest)) => {
                    let Ok(digest) = aws_lc_rs::digest::Digest::import_less_safe(hash, digest) else {
                        return false;
                    };
                    let key = signature::UnparsedPublicKey::new(verification, self.public_der());
                    key.verify_digest(&digest, octets).is_ok()
                }
                None => pkcs1_padding(algorithm).verify(public, hash, octets).is_ok(),
            },
            (SignatureScheme::Pss, HashAlgorithm::Sha1) => {
                pss::<sha1::Sha1>().verify(public, hash, octets).is_ok()
            }
            (SignatureScheme::Pss, HashAlgorithm::Sha256) => {
                pss::<sha2::Sha256>().verify(public, hash, octets).is_ok()
            }
            (SignatureScheme::Pss, HashAlgorithm::Sha384) => {
                pss::<sha2::Sha384>().verify(public, hash, octets).is_ok()
            }
            (SignatureScheme::Pss, HashAlgorithm::Sha512) => {
                pss::<sha2::Sha512>().verify(public, hash, octets).is_ok()
            }
            (SignatureScheme::Pss, HashAlgorithm::Sha3_512) => {
                pss::<sha3::Sha3_512>().verify(public, hash, octets).is_ok()
            }
        }
    }
}

type Verification = (&'static signature::RsaParameters, &'static aws_lc_rs::digest::Algorithm);

fn aws_pkcs1(hash: HashAlgorithm) -> Option<Verification> {
    use aws_lc_rs::digest;
    match hash {
        HashAlgorithm::Sha1 => Some((
            &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            &digest::SHA1_FOR_LEGACY_USE_ONLY,
        )),
        HashAlgorithm::Sha256 => Some((&signature::RSA_PKCS1_2048_8192_SHA256, &digest::SHA256)),
        HashAlgorithm::Sha384 => Some((&signature::RSA_PKCS1_2048_8192_SHA384, &digest::SHA384)),
        HashAlgorithm::Sha512 => Some((&signature::RSA_PKCS1_2048_8192_SHA512, &digest::SHA512)),
        HashAlgorithm::Sha3_512 => None,
    }
}

fn pkcs1_padding(hash: HashAlgorithm) -> Pkcs1v15Sign {
    match hash {
        HashAlgorithm::Sha1 => Pkcs1v15Sign::new::<sha1::Sha1>(),
        HashAlgorithm::Sha256 => Pkcs1v15Sign::new::<sha2::Sha256>(),
        HashAlgorithm::Sha384 => Pkcs1v15Sign::new::<sha2::Sha384>(),
        HashAlgorithm::Sha512 => Pkcs1v15Sign::new::<sha2::Sha512>(),
        HashAlgorithm::Sha3_512 => Pkcs1v15Sign::new::<sha3::Sha3_512>(),
    }
}

/// PSS that finds out the length of the salt by itself.
fn pss<D: digest::Digest>() -> Pss<D> {
    Pss { blinded: false, digest: D::new(), salt_len: None }
}

fn unreadable(error: impl ToString) -> Misuse {
    Misuse::PrivateKey(error.to_string())
}
