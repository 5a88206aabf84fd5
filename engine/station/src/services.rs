//! Services of a file, between those who call them differently: terms, catalog, SFID, envelope.

use odile_catalog::Services as Stored;
use odile_envelope::{Services, Suite};
use odile_partner::FileServices;
use odile_wire::command::{Security, StartFile};

use crate::intake::Verdict;
use crate::keyring::hexadecimal;

/// How the catalog keeps what was decided for a file.
pub(crate) fn stored(decided: FileServices) -> Stored {
    if decided.is_plain() {
        return Stored::PLAIN;
    }
    let Services { sign, compress, encrypt } = decided.services;
    // The suite is named even if only the receipt needs it; compression alone needs none (field SFIDCIPH).
    let needs_suite = sign || encrypt || decided.signed_receipt;
    Stored {
        security: security(decided.services).code(),
        compression: u8::from(compress),
        suite: if needs_suite { decided.suite.code() } else { 0 },
        signed_receipt: decided.signed_receipt,
    }
}

/// What SFID announces, as the catalog keeps it.
pub(crate) fn announced(file: &StartFile) -> Stored {
    Stored {
        security: file.security.code(),
        compression: file.compression,
        suite: file.cipher_suite,
        signed_receipt: file.signed_response,
    }
}

/// Which layers an envelope has.
pub(crate) fn layers(stored: Stored) -> Services {
    let security = Security::from_code(stored.security);
    Services {
        sign: matches!(security, Security::Signed | Security::EncryptedAndSigned),
        compress: stored.compression != 0,
        encrypt: matches!(security, Security::Encrypted | Security::EncryptedAndSigned),
    }
}

/// The suite, if one was named that is known.
pub(crate) fn suite(stored: Stored) -> Option<Suite> {
    Suite::from_code(stored.suite)
}

/// SFIDSEC for these layers.
pub(crate) fn security(services: Services) -> Security {
    match (services.encrypt, services.sign) {
        (false, false) => Security::None,
        (true, false) => Security::Encrypted,
        (false, true) => Security::Signed,
        (true, true) => Security::EncryptedAndSigned,
    }
}

/// A stream as the catalog keeps it.
pub(crate) fn stored_stream(stream: &odile_transfer::Transmitted) -> odile_catalog::Transmitted {
    odile_catalog::Transmitted { octets: stream.octets, hash: stream.hash.as_bytes().to_vec() }
}

/// Who signed, in one line.
pub(crate) fn signer(verdict: &Verdict) -> Option<String> {
    let verified = verdict.opened.as_ref()?.verified.as_ref()?;
    let fingerprint = hexadecimal(&verified.signer.fingerprint());
    Some(format!("{}, certificate {fingerprint}", verified.signer.subject()))
}

/// What was found in an envelope; empty if there was none.
pub(crate) fn found(verdict: &Verdict) -> String {
    let Some(opened) = &verdict.opened else { return String::new() };
    let Services { compress, encrypt, .. } = opened.services;
    let mut found = Vec::new();
    if encrypt {
        found.push("decrypted".to_owned());
    }
    if compress {
        found.push("decompressed".to_owned());
    }
    if let Some(verified) = &opened.verified {
        found.push(format!("signed by {}", verified.signer.subject()));
    }
    found.join(", ")
}

/// `sign, compress, encrypt (suite 04)`, or `plain`.
pub fn described(stored: Stored) -> String {
    let Services { sign, compress, encrypt } = layers(stored);
    let named = [(sign, "signed"), (compress, "compressed"), (encrypt, "encrypted")];
    let names: Vec<_> = named.into_iter().filter_map(|(is, name)| is.then_some(name)).collect();
    if names.is_empty() {
        return "plain".to_owned();
    }
    match suite(stored) {
        Some(suite) => format!("{} (suite {suite})", names.join(", ")),
        None => names.join(", "),
    }
}
