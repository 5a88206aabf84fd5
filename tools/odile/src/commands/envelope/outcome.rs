//! What `seal` and `open` tell when they have done it.

use std::fmt::Write;
use std::path::Path;

use odile_station::Configuration;
use odile_station::envelope::{
    Certificate, ContentCipher, HashAlgorithm, HashValue, KeyTransport, Services, SignatureScheme, Suite,
};
use odile_station::envelope_file::{SealTerms, Sealed, Unsealed};
use odile_station::keyring::CertificateFile;
use serde_json::{Map, Value, json};

use super::super::cert::utc_time;
use crate::cli::{OpenArgs, SealArgs};
use crate::context::Context;
use crate::output;

/// A result in the order in which people read it.
pub type Outcome = Vec<(&'static str, Value)>;

/// What was sealed, and how.
pub fn of_seal(args: &SealArgs, terms: &SealTerms, sealed: &Sealed) -> Outcome {
    let services = terms.services;
    let recipient = terms.recipient.as_ref().map(|certificate| certificate.subject());
    let signer = terms.signer.as_ref().map(|signer| signer.certificate().subject());
    vec![
        ("file", json!(args.file)),
        ("envelope", json!(args.to)),
        ("services", json!(service_names(services))),
        ("suite", json!(terms.suite.code())),
        ("cipher", json!(services.encrypt.then(|| cipher_name(terms.suite.content_cipher())))),
        ("recipient", json!(recipient)),
        ("signer", json!(signer)),
        ("signing_time", json!(services.sign.then(|| utc_time(terms.signing_time)))),
        ("octets_in", json!(sealed.source_bytes)),
        ("octets_out", json!(sealed.envelope_bytes)),
        ("hash", hash_as_json(&sealed.hash)),
    ]
}

/// What was found in an envelope.
pub fn of_open(
    args: &OpenArgs,
    configuration: Option<&Configuration>,
    suite: Suite,
    unsealed: &Unsealed,
) -> Outcome {
    let opened = &unsealed.opened;
    let verified = opened.verified.as_ref();
    let partner = verified.and_then(|verified| partner_of(configuration?, &verified.signer));
    vec![
        ("envelope", json!(args.file)),
        ("file", json!(args.to)),
        ("services", json!(service_names(opened.services))),
        ("cipher", json!(opened.decrypted.map(|decrypted| cipher_name(decrypted.cipher)))),
        ("key_transport", json!(opened.decrypted.map(|decrypted| transport_name(decrypted.transport)))),
        ("partner", json!(partner)),
        ("signer", json!(verified.map(|verified| verified.signer.subject()))),
        ("signing_time", json!(verified.and_then(|verified| verified.signing_time).map(utc_time))),
        ("signature", json!(verified.map(|one| signature_name(one.scheme, one.hash)))),
        ("octets_in", json!(unsealed.envelope_bytes)),
        ("octets_out", json!(opened.content_bytes)),
        ("hash_suite", json!(suite.code())),
        ("hash", json!(unsealed.hash.as_ref().map(hash_as_json))),
    ]
}

/// The partner who has this certificate.
fn partner_of(configuration: &Configuration, signer: &Certificate) -> Option<String> {
    let has = |(_, file): (&str, &CertificateFile)| file.der == signer.der();
    let found = configuration.certificates.iter().find(|(_, certificates)| certificates.all().any(has));
    found.map(|(name, _)| name.to_string())
}

fn service_names(services: Services) -> Vec<&'static str> {
    let all = [(services.sign, "sign"), (services.compress, "compress"), (services.encrypt, "encrypt")];
    all.into_iter().filter_map(|(is_done, name)| is_done.then_some(name)).collect()
}

fn cipher_name(cipher: ContentCipher) -> String {
    match cipher {
        ContentCipher::TripleDesCbc => "3DES-CBC".to_owned(),
        ContentCipher::Aes128Cbc => "AES-128-CBC".to_owned(),
        ContentCipher::Aes192Cbc => "AES-192-CBC".to_owned(),
        ContentCipher::Aes256Cbc => "AES-256-CBC".to_owned(),
        other => format!("{other:?}"),
    }
}

fn hash_name(hash: HashAlgorithm) -> String {
    match hash {
        HashAlgorithm::Sha1 => "SHA-1".to_owned(),
        HashAlgorithm::Sha256 => "SHA-256".to_owned(),
        HashAlgorithm::Sha384 => "SHA-384".to_owned(),
        HashAlgorithm::Sha512 => "SHA-512".to_owned(),
        HashAlgorithm::Sha3_512 => "SHA3-512".to_owned(),
        other => format!("{other:?}"),
    }
}

fn transport_name(transport: KeyTransport) -> String {
    match transport {
        KeyTransport::Pkcs1 => "RSA PKCS#1 v1.5".to_owned(),
        KeyTransport::Oaep(hash) => format!("RSA-OAEP with {}", hash_name(hash)),
        other => format!("{other:?}"),
    }
}

fn signature_name(scheme: SignatureScheme, hash: HashAlgorithm) -> String {
    match scheme {
        SignatureScheme::Pkcs1 => format!("RSA PKCS#1 v1.5 with {}", hash_name(hash)),
        SignatureScheme::Pss => format!("RSASSA-PSS with {}", hash_name(hash)),
        other => format!("{other:?} with {}", hash_name(hash)),
    }
}

fn hash_as_json(hash: &HashValue) -> Value {
    let octets = hash.as_bytes().iter().fold(String::new(), |mut text, octet| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    });
    json!({ "algorithm": hash_name(hash.algorithm()), "value": octets })
}

/// The result goes where the content does not.
pub fn report(context: &Context, to: &Path, outcome: &[(&'static str, Value)]) {
    let is_content_on_stdout = to == Path::new("-");
    if context.is_json() {
        let object: Map<String, Value> =
            outcome.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        if is_content_on_stdout {
            output::note(&Value::Object(object).to_string());
        } else {
            output::json(&object);
        }
        return;
    }
    for (key, value) in outcome {
        let Some(text) = in_words(value) else { continue };
        let line = format!("{:<14} {}", key.replace('_', " "), output::clean(&text));
        if is_content_on_stdout {
            context.note(&line);
        } else {
            output::line(&line);
        }
    }
}

fn in_words(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(words) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            Some(if words.is_empty() { "none".to_owned() } else { words.join(", ") })
        }
        Value::Object(hash) => {
            Some(format!("{} {}", hash.get("algorithm")?.as_str()?, hash.get("value")?.as_str()?))
        }
        other => Some(other.to_string()),
    }
}
