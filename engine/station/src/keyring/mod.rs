//! Keys and certificates of a home: ours, and those of our partners.
//!
//! ```text
//! keys/NAME.key                         a private key of ours: PKCS#8, PEM, mode 0600, with or without a passphrase
//! keys/NAME.crt                         its certificate, then the chain up to its authority: PEM
//! certificates/PARTNER/shared/*         certificates of the partner for every purpose
//! certificates/PARTNER/PURPOSE/*        for one purpose: tls, authentication, signing, encryption
//! certificates/PARTNER/authority/*      authorities whose TLS certificates are trusted for this partner
//! ```
//!
//! Every certificate in a folder counts: while a partner changes its certificate, the old and the new one lie side by
//! side. What is encrypted goes to the one that is valid now and began last.

mod certificate_file;
mod details;
pub mod make;
mod own;
mod partner_certificates;
pub mod store;

pub use certificate_file::CertificateFile;
pub(crate) use certificate_file::hexadecimal;
pub use details::CertificateDetails;
pub use make::{CertificateSubject, HostName, KeyBits, MakeError, NewKey};
pub use own::{Keyring, OwnKey};
pub use partner_certificates::{AUTHORITY_FOLDER, PartnerCertificates, SHARED_FOLDER};
pub use store::Passphrase;
