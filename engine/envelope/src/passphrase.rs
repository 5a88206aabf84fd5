//! Private keys that a passphrase protects: EncryptedPrivateKeyInfo with PBES2 (RFC 5958 §3, RFC 8018 §6.2).

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::pbes2::{EncryptionScheme, Parameters, Pbkdf2Prf};
use zeroize::Zeroizing;

use crate::ber;
use crate::cipher::{Decryptor, unpadded};
use crate::error::Misuse;
use crate::suite::ContentCipher;

/// Whether this is an encrypted key: it begins with an algorithm, a plain one with a version.
pub(crate) fn is_encrypted(der: &[u8]) -> bool {
    let outer = ber::take(&mut &*der);
    outer.is_some_and(|outer| outer.content.first() == Some(&ber::SEQUENCE))
}

/// The plain key.
pub(crate) fn decrypt(der: &[u8], passphrase: Option<&str>) -> Result<Zeroizing<Vec<u8>>, Misuse> {
    let problem = |text: &str| Misuse::PrivateKey(text.to_owned());
    let unsupported = || problem("it is encrypted in another way than PBES2");
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| unsupported())?;
    let parameters = encrypted.encryption_algorithm.pbes2().ok_or_else(unsupported)?;
    let passphrase = passphrase.ok_or_else(|| problem("it is encrypted, and no passphrase was given"))?;
    // The default of PBES2, which OpenSSL 1.0 and Java wrote: the crate leaves it out.
    if parameters.kdf.pbkdf2().is_some_and(|kdf| kdf.prf == Pbkdf2Prf::HmacWithSha1) {
        let plain = decrypt_with_sha1(parameters, passphrase, encrypted.encrypted_data.as_bytes());
        return plain.ok_or_else(|| problem("the passphrase is wrong"));
    }
    match encrypted.decrypt(passphrase) {
        Ok(document) => Ok(document.to_bytes()),
        // A wrong passphrase gives bad padding, or by chance good padding around something else.
        Err(
            pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::DecryptFailed) | pkcs8::Error::Asn1(_),
        ) => Err(problem("the passphrase is wrong")),
        Err(other) => Err(Misuse::PrivateKey(other.to_string())),
    }
}

fn decrypt_with_sha1(
    parameters: &Parameters,
    passphrase: &str,
    ciphertext: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (cipher, iv) = match &parameters.encryption {
        EncryptionScheme::Aes128Cbc { iv } => (ContentCipher::Aes128Cbc, &iv[..]),
        EncryptionScheme::Aes192Cbc { iv } => (ContentCipher::Aes192Cbc, &iv[..]),
        EncryptionScheme::Aes256Cbc { iv } => (ContentCipher::Aes256Cbc, &iv[..]),
        EncryptionScheme::DesEde3Cbc { iv } => (ContentCipher::TripleDesCbc, &iv[..]),
        _ => return None,
    };
    let kdf = parameters.kdf.pbkdf2()?;
    let iterations = NonZeroU32::new(kdf.iteration_count)?;
    let mut key = Zeroizing::new(vec![0; cipher.key_bytes()]);
    let salt = kdf.salt.as_ref();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, iterations, salt, passphrase.as_bytes(), &mut key);
    let mut plain = Zeroizing::new(ciphertext.to_vec());
    if !plain.len().is_multiple_of(cipher.block_bytes()) {
        return None;
    }
    Decryptor::new(cipher, &key, iv).ok()?.decrypt(&mut plain).ok()?;
    let last = plain.len().checked_sub(cipher.block_bytes())?;
    let end = last + unpadded(&plain[last..])?;
    plain.truncate(end);
    // Good padding by chance: what is inside is no key.
    (plain.first() == Some(&ber::SEQUENCE)).then_some(plain)
}
