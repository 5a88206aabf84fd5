//! From a person's wish to send a file to a transfer in the queue.

use std::path::PathBuf;

use jiff::Zoned;
use odile_catalog::{AfterDelivery, NewOutbound, SourceIdentity};
use odile_envelope::Services;
use odile_envelope::deflate::{ChunkCompressor, CompressionLevel};
use odile_partner::{FileServices, Partner, Purpose, ServiceWish, Usage};
use odile_transfer::{blocks_of, checked_dataset_name, dataset_name_from};
use odile_uring::{Source, SyntheticFile};
use odile_wire::command::FileFormat;
use odile_wire::{
    DatasetName, DateStamp, FILE_SIZE_BLOCKS_MAX, FileId, IdentificationCode, TimeStamp, UserData,
    VariableText,
};
use serde::{Deserialize, Serialize};

use crate::clock::now_seconds;
use crate::error::StationError;
use crate::home::Configuration;
use crate::keyring::Keyring;
use crate::services;

/// What a person asks for with `odile send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendRequest {
    /// The partner's name here.
    pub partner: String,
    /// The file, as an absolute path.
    pub path: PathBuf,
    /// Dataset name; derived from the file's name if left out.
    pub dataset_name: Option<String>,
    /// `F`, `V`, `U` or `T`.
    pub format: char,
    /// Octets of a record, for `F`; of the longest one, for `V` (0: not said).
    pub record_size: u32,
    /// The station behind the partner; its first one if left out.
    pub destination: Option<String>,
    /// What to say in SFIDDESC instead of the file's name.
    pub description: Option<String>,
    /// SFIDUSER.
    pub user: Option<String>,
    /// Remove the file once its receipt is there.
    pub delete_after_delivery: bool,
    /// Services that are wanted otherwise than the partner's terms say.
    #[serde(default)]
    pub services: ServiceWish,
}

impl SendRequest {
    /// An unstructured file with everything else derived.
    pub fn new(partner: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            partner: partner.into(),
            path: path.into(),
            dataset_name: None,
            format: 'U',
            record_size: 0,
            destination: None,
            description: None,
            user: None,
            delete_after_delivery: false,
            services: ServiceWish::default(),
        }
    }

    /// Checks the wish against the partner's terms and the file. May wait for the disk.
    pub(crate) fn prepare(
        &self,
        configuration: &Configuration,
        keyring: &Keyring,
    ) -> Result<NewOutbound, StationError> {
        let cannot = |text: String| StationError::CannotSend(text);
        let partner = configuration.partner(&self.partner)?;
        if !partner.may_receive {
            return Err(cannot(format!("{}: may_receive = false forbids sending files", partner.name)));
        }
        if self.delete_after_delivery && SyntheticFile::is_named_by(&self.path) {
            return Err(cannot("a synthetic file cannot be deleted after its delivery".to_owned()));
        }
        let source = Source::open(&self.path, 0).map_err(|error| cannot(error.to_string()))?;
        let identity = source.identity();
        if blocks_of(identity.size) > FILE_SIZE_BLOCKS_MAX {
            return Err(cannot(format!(
                "{} has {} octets, more than the {FILE_SIZE_BLOCKS_MAX} blocks of 1024 octets that OFTP2 can express",
                self.path.display(),
                identity.size
            )));
        }
        let original_name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (format, record_size) = self.records(identity.size).map_err(cannot)?;
        let mut services = partner.send.decide(&self.services).map_err(cannot)?;
        let is_free = self.services.compress.is_none() && partner.send.compress == Usage::Preferred;
        if services.services.compress && is_free && !compression_pays(&source, identity.size) {
            services.services.compress = false;
        }
        let most = FILE_SIZE_BLOCKS_MAX - ENVELOPE_BLOCKS_MAX;
        if services.services != Services::NONE && blocks_of(identity.size) > most {
            return Err(cannot(format!(
                "{} has {} octets: in an envelope, which is longer, no more than {most} blocks of 1024 octets can be sent",
                self.path.display(),
                identity.size
            )));
        }
        has_keys(services, partner, configuration, keyring)
            .map_err(|text| cannot(format!("{}: {text}", partner.name)))?;
        Ok(NewOutbound {
            services: services::stored(services),
            partner: partner.name.to_string(),
            file: self.file_id(partner, &original_name)?,
            user: self.user_data().map_err(cannot)?,
            format,
            record_size,
            source: self.path.clone(),
            source_identity: SourceIdentity {
                size: identity.size,
                mtime_ns: identity.mtime_ns,
                inode: identity.inode,
                device: identity.device,
            },
            after_delivery: if self.delete_after_delivery {
                AfterDelivery::DeleteSource
            } else {
                AfterDelivery::Keep
            },
            description: self.description(partner, &original_name),
            original_name,
        })
    }

    fn records(&self, size: u64) -> Result<(FileFormat, u32), String> {
        match self.format {
            'U' => Ok((FileFormat::Unstructured, 0)),
            'T' => Ok((FileFormat::Text, 0)),
            'V' if self.record_size <= RECORD_SIZE_MAX => Ok((FileFormat::Variable, self.record_size)),
            'F' if (1..=RECORD_SIZE_MAX).contains(&self.record_size) => {
                if size.is_multiple_of(u64::from(self.record_size)) {
                    return Ok((FileFormat::Fixed, self.record_size));
                }
                Err(format!("{size} octets are not a whole number of records of {} octets", self.record_size))
            }
            'F' | 'V' => Err(format!("a record size of 1 to {RECORD_SIZE_MAX} octets is needed")),
            other => Err(format!("{other:?} is no file format: F, V, U and T exist")),
        }
    }

    fn file_id(&self, partner: &Partner, original_name: &str) -> Result<FileId, StationError> {
        let cannot = |text: String| StationError::CannotSend(text);
        let dataset_name: DatasetName = match &self.dataset_name {
            Some(name) => checked_dataset_name(name).map_err(|error| cannot(error.to_string()))?,
            None => dataset_name_from(original_name),
        };
        let destination = match &self.destination {
            Some(code) => {
                let code = IdentificationCode::new(code)
                    .map_err(|error| cannot(format!("destination {code:?}: {error}")))?;
                if !partner.stations.contains(&code) {
                    let text = format!("{code} is not among the stations of {}", partner.name);
                    return Err(cannot(text));
                }
                code
            }
            None => *partner.stations.first().unwrap_or(&partner.code),
        };
        let (date, time) = stamps_now();
        Ok(FileId { dataset_name, date, time, destination, originator: partner.our_code })
    }

    fn user_data(&self) -> Result<UserData, String> {
        let Some(user) = &self.user else { return Ok(UserData::BLANK) };
        UserData::new(user).map_err(|error| format!("user data {user:?}: {error}"))
    }

    fn description(&self, partner: &Partner, original_name: &str) -> VariableText {
        match &self.description {
            Some(description) => VariableText::truncated(description),
            None if partner.describe => VariableText::truncated(original_name),
            None => VariableText::default(),
        }
    }
}

/// Whether there is what the services need. Looked at again when the file is sent.
fn has_keys(
    services: FileServices,
    partner: &Partner,
    configuration: &Configuration,
    keyring: &Keyring,
) -> Result<(), String> {
    let certificates = configuration.certificates(&partner.name);
    if services.services.sign {
        keyring.identity(Purpose::Signing)?;
    }
    if services.services.encrypt {
        certificates.recipient(Purpose::Encryption, now_seconds())?;
    }
    if services.signed_receipt && certificates.signers().is_empty() {
        return Err(
            "a signed receipt could not be verified: there is no certificate of this partner for signing; \
                    `odile cert import` adds one"
                .to_owned(),
        );
    }
    Ok(())
}

/// Now, in local time, with the counter at 0001; the catalog raises it if the name is taken in this second.
fn stamps_now() -> (DateStamp, TimeStamp) {
    let now = Zoned::now();
    let mut date = [b'0'; 8];
    date.copy_from_slice(&now.strftime("%Y%m%d").to_string().into_bytes()[..8]);
    let mut time = *b"0000000001";
    time[..6].copy_from_slice(&now.strftime("%H%M%S").to_string().into_bytes()[..6]);
    // Both are digits by construction; the fallback is a valid stamp all the same.
    let date = DateStamp::new(date).or_else(|| DateStamp::new(*b"19700101"));
    let time = TimeStamp::new(time).or_else(|| TimeStamp::new(*b"0000000001"));
    match (date, time) {
        (Some(date), Some(time)) => (date, time),
        _ => unreachable!("the fallbacks are digits"),
    }
}

/// Whether places all over a file become a tenth shorter, and therefore it as well. Compressing what does not takes several
/// times as long as sending it. A file that cannot be read is found out later.
fn compression_pays(source: &Source, size: u64) -> bool {
    let Ok(mut compressor) = ChunkCompressor::new(CompressionLevel::FASTEST) else { return true };
    let (mut plain, mut packed) = (vec![0; SAMPLE_BYTES], Vec::new());
    let Some(last) = size.checked_sub(SAMPLE_BYTES as u64) else { return true };
    let samples = SAMPLES_MAX.min(size / SAMPLE_BYTES as u64);
    let mut packed_bytes = 0;
    for sample in 0..samples {
        let position = u128::from(last) * u128::from(sample) / u128::from(samples - 1).max(1);
        let position = u64::try_from(position).unwrap_or(last);
        if source.read_at(position, &mut plain).is_err() {
            return true;
        }
        match compressor.compress(&plain, &mut packed) {
            Ok(chunk) => packed_bytes += chunk.packed_bytes as u64,
            Err(_) => return true,
        }
    }
    packed_bytes * 10 <= samples * SAMPLE_BYTES as u64 * 9
}

/// Together at most 1 MiB, which takes some milliseconds.
const SAMPLES_MAX: u64 = 16;
const SAMPLE_BYTES: usize = 64 << 10;

/// More than an envelope can add to the largest file: headers of segments and chunks, 5 octets for each 64 KiB of what
/// does not compress.
const ENVELOPE_BLOCKS_MAX: u64 = FILE_SIZE_BLOCKS_MAX / 1000;

/// SFIDLRECL has five digits.
const RECORD_SIZE_MAX: u32 = 99_999;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn compression_pays_where_most_of_a_file_becomes_shorter() {
        let mut noise = vec![0; 2 << 20];
        crate::entropy::fill(&mut noise);
        let text = b"#42=CARTESIAN_POINT('',(1.5,2.5,3.5));\n".repeat(50_000);
        let pays = |parts: &[&[u8]]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&parts.concat()).unwrap();
            let source = Source::open(file.path(), 0).unwrap();
            compression_pays(&source, source.identity().size)
        };
        assert!(pays(&[&text]));
        assert!(!pays(&[&noise]));
        // A header does not change it, half of the file does.
        assert!(!pays(&[&text[..10_000], &noise]));
        assert!(pays(&[&text, &noise]));
        // What is short is not worth a look.
        assert!(pays(&[&noise[..1000]]) && pays(&[]));
    }
}
