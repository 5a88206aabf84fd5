//! Whether a file is taken: the terms with its sender, against what SFID says.

use odile_catalog::{Inbound, InboundState};
use odile_envelope::{Limit, OpenError, RefusalReason, Services};
use odile_partner::{Partner, Purpose, Usage};
use odile_transfer::octets_of_blocks;
use odile_wire::command::{FileFormat, Security, StartFile};
use odile_wire::data::Records;
use odile_wire::{AnswerReason, NegativeEndReason};

use super::Link;
use crate::event::Event;
use crate::intake::{Problem, Unusable};
use crate::options::Target;
use crate::services;

/// Why a file is not taken, for SFNA.
pub(super) struct Refusal {
    pub(super) reason: AnswerReason,
    pub(super) retry: bool,
    pub(super) text: String,
}

/// Why a file that came is of no use, for EFNA or NERP.
pub(super) struct ContentRefusal {
    pub(super) answer: AnswerReason,
    pub(super) response: NegativeEndReason,
    /// What the peer reads.
    pub(super) public: &'static str,
    /// What our operator reads.
    pub(super) detail: String,
}

impl Link {
    /// The records that the file has on the line, if it is taken.
    pub(super) fn check_terms(&self, file: &StartFile) -> Result<Records, Refusal> {
        let Some(partner) = &self.partner else {
            return no(AnswerReason::UNSPECIFIED, "no partner");
        };
        if !partner.may_send {
            return no(AnswerReason::FILE_DIRECTION_REFUSED, "no files are taken from this partner");
        }
        if file.id.dataset_name.is_blank() || !file.id.dataset_name.is_printable() {
            let text = "the dataset name is empty or holds other characters than printable ASCII";
            return no(AnswerReason::INVALID_FILENAME, text);
        }
        let ours = [partner.our_code, self.shared.configuration.station.code];
        if !ours.contains(&file.id.destination) {
            return no(AnswerReason::INVALID_DESTINATION, "no such station here");
        }
        if !partner.stations.contains(&file.id.originator) {
            return no(AnswerReason::INVALID_ORIGIN, "this originator is not known to belong to you");
        }
        self.check_services(partner, file)?;
        match file.format {
            FileFormat::Unknown(_) => {
                no(AnswerReason::RECORD_FORMAT_NOT_SUPPORTED, "F, V, U and T are known")
            }
            // A sealed file is a file without records, whatever it was before (RFC 5024 §6.5); a bare CMS file too.
            _ if !file.is_plain() => Ok(Records::None),
            FileFormat::Unstructured | FileFormat::Text => Ok(Records::None),
            FileFormat::Variable => Ok(Records::Variable),
            FileFormat::Fixed if file.record_size > 0 => Ok(Records::Fixed { size: file.record_size }),
            FileFormat::Fixed => no(AnswerReason::RECORD_LENGTH_NOT_SUPPORTED, "records of no length"),
        }
    }

    fn check_services(&self, partner: &Partner, file: &StartFile) -> Result<(), Refusal> {
        if let Security::Unknown(_) = file.security {
            return no(AnswerReason::UNSPECIFIED, "unknown security level");
        }
        if file.compression > 1 {
            return no(AnswerReason::COMPRESSION_NOT_ALLOWED, "unknown compression: 1 (zlib) is known");
        }
        let stored = services::announced(file);
        let Services { sign, compress, encrypt } = services::layers(stored);
        let receive = &partner.receive;
        match (receive.encrypt, encrypt) {
            (Usage::Forbidden, true) => {
                return no(AnswerReason::ENCRYPTED_NOT_ALLOWED, "encrypted files are not taken");
            }
            (Usage::Required, false) => {
                return no(AnswerReason::UNENCRYPTED_NOT_ALLOWED, "only encrypted files are taken");
            }
            _ => {}
        }
        match (receive.sign, sign) {
            (Usage::Forbidden, true) => {
                return no(AnswerReason::SIGNED_NOT_ALLOWED, "signed files are not taken");
            }
            (Usage::Required, false) => {
                return no(AnswerReason::UNSIGNED_NOT_ALLOWED, "only signed files are taken");
            }
            _ => {}
        }
        if compress && receive.compress == Usage::Forbidden {
            return no(AnswerReason::COMPRESSION_NOT_ALLOWED, "compressed files are not taken");
        }
        let suite = services::suite(stored);
        let is_taken = suite.is_some_and(|suite| receive.suites.contains(&suite));
        if (sign || encrypt) && !is_taken {
            let text = "this cipher suite is not among those agreed";
            return no(AnswerReason::CIPHER_SUITE_NOT_SUPPORTED, text);
        }
        // A receipt can go unsigned; without its suite, or with one that is not agreed, it will.
        if file.signed_response && receive.signed_receipt == Usage::Required && !is_taken {
            let text = "a signed receipt needs one of the cipher suites agreed";
            return no(AnswerReason::CIPHER_SUITE_NOT_SUPPORTED, text);
        }
        self.check_keys(partner, sign, encrypt, file)
    }

    /// What cannot be opened or verified later is better refused now, before the line is busy with it for hours.
    fn check_keys(
        &self,
        partner: &Partner,
        sign: bool,
        encrypt: bool,
        file: &StartFile,
    ) -> Result<(), Refusal> {
        let shared = &self.shared;
        if encrypt && shared.keyring.recipients(Purpose::Encryption).is_empty() {
            self.tell_refused("it is encrypted, and this station has no key: `odile cert new` makes one");
            return no(AnswerReason::ENCRYPTED_NOT_ALLOWED, "this station has no key to decrypt with");
        }
        if sign && shared.configuration.certificates(&partner.name).signers().is_empty() {
            self.tell_refused(
                "it is signed, and there is no certificate of this partner: `odile cert import` adds one",
            );
            return no(
                AnswerReason::SIGNED_NOT_ALLOWED,
                "no certificate of yours is known here to verify with",
            );
        }
        let signs = partner.receive.signed_receipt == Usage::Required && file.signed_response;
        if let Err(why) = shared.keyring.identity(Purpose::Signing)
            && signs
        {
            self.tell_refused(&why);
            return no(AnswerReason::UNSPECIFIED, "this station cannot sign receipts now");
        }
        Ok(())
    }

    fn tell_refused(&self, why: &str) {
        self.shared
            .tell(Event::Trouble { text: format!("session {}: a file was refused: {why}", self.number) });
    }

    /// Octets in the `.part` of a file that was cut off.
    async fn stored_of(&self, file: &StartFile) -> u64 {
        let (partner, id) = (self.partner_name(), file.id);
        let known = self.shared.ledger.run(move |catalog| catalog.known_inbound(&partner, &id)).await;
        let Ok(Some(known)) = known else { return 0 };
        if known.state != InboundState::Receiving {
            return 0;
        }
        let part = self.shared.home.spool().join(&known.part_name);
        std::fs::metadata(part).map_or(0, |metadata| metadata.len())
    }

    /// The octets that the file may have when everything is unpacked, if there is room for it now.
    pub(super) async fn check_room(&self, file: &StartFile) -> Result<u64, Refusal> {
        let octets_max =
            self.partner.as_ref().and_then(|partner| partner.receive.octets_max).unwrap_or(u64::MAX);
        // Of a sealed file, only the original is stored.
        let blocks = if file.is_plain() || file.original_size_blocks == 0 {
            file.size_blocks
        } else {
            file.original_size_blocks
        };
        let announced = octets_of_blocks(blocks).unwrap_or(u64::MAX);
        // Blocks are counted up.
        if announced.saturating_sub(1024) > octets_max {
            return no(AnswerReason::FILE_TOO_BIG, "the file is larger than agreed");
        }
        if self.shared.options.target != Target::Inbox {
            return Ok(octets_max);
        }
        // If it cannot be looked up, the write will tell.
        let Ok(space) = odile_uring::free_space(&self.shared.home.spool()) else { return Ok(octets_max) };
        if announced <= space.available {
            return Ok(octets_max.min(space.available));
        }
        // What is here of it needs no more room.
        let stored = self.stored_of(file).await;
        if announced.saturating_sub(stored) <= space.available {
            return Ok(octets_max.min(space.available));
        }
        self.shared.tell(Event::Trouble {
            text: format!(
                "{announced} octets were announced, {} are free in {}: make room",
                space.available,
                self.shared.home.spool().display()
            ),
        });
        let text = "there is not enough room at the receiving station now".to_owned();
        // Levels below 5 have no text: the reason must say it.
        Err(Refusal { reason: AnswerReason::FILE_TOO_BIG, retry: true, text })
    }
}

impl ContentRefusal {
    /// What is wrong is told to our operator in full, to the peer by its reason only.
    pub(super) fn new(found: &Unusable, inbound: &Inbound) -> Self {
        let (answer, response, public) = match reason(found, services::layers(inbound.services)) {
            Reason::Signature => (
                AnswerReason::INVALID_SIGNATURE,
                NegativeEndReason::INVALID_SIGNATURE,
                "the file signature is not valid",
            ),
            Reason::Decryption => (
                AnswerReason::DECRYPTION_FAILURE,
                NegativeEndReason::DECRYPTION_FAILED,
                "the file cannot be decrypted, or what is in it is not valid",
            ),
            Reason::Decompression => (
                AnswerReason::DECOMPRESSION_FAILURE,
                NegativeEndReason::DECOMPRESSION_FAILED,
                "the file cannot be decompressed",
            ),
            Reason::Size => (
                AnswerReason::FILE_TOO_BIG,
                NegativeEndReason::FILE_TOO_BIG,
                "the file is larger than agreed",
            ),
            Reason::Unknown => {
                (AnswerReason::UNSPECIFIED, NegativeEndReason::UNSPECIFIED, "the file cannot be used")
            }
        };
        Self { answer, response, public, detail: found.problem.to_string() }
    }
}

/// What the peer is told.
enum Reason {
    Signature,
    Decryption,
    Decompression,
    Size,
    Unknown,
}

fn reason(found: &Unusable, layers: Services) -> Reason {
    let error = match &found.problem {
        // Everything in the envelope is right, so that nobody has altered it.
        Problem::OtherCipher(_) => return Reason::Decryption,
        Problem::OtherSignature(_) => return Reason::Signature,
        Problem::Envelope(error) => error,
    };
    // Behind decryption all failures are one. Whoever alters the ciphertext of somebody else and offers it as a file
    // of his own would learn from the difference between a wrong padding and a wrong signature, octet by octet, what
    // is in it.
    if layers.encrypt {
        return Reason::Decryption;
    }
    match error.reason() {
        _ if matches!(error, OpenError::Limit(Limit::OutputBytes)) => Reason::Size,
        RefusalReason::InvalidSignature => Reason::Signature,
        RefusalReason::DecryptFailure => Reason::Decryption,
        RefusalReason::DecompressFailure => Reason::Decompression,
        // It does not parse: told by the outermost layer that was announced.
        RefusalReason::Malformed if layers.compress => Reason::Decompression,
        RefusalReason::Malformed if layers.sign => Reason::Signature,
        RefusalReason::Malformed => Reason::Unknown,
    }
}

fn no<T>(reason: AnswerReason, text: &str) -> Result<T, Refusal> {
    Err(Refusal { reason, retry: false, text: text.to_owned() })
}
