//! What is kept of a file on its way out, so that it can go on octet for octet as it began.
//!
//! ```text
//! spool/S12.plan           the seal plan; the content key in it is encrypted for a key of this station
//! spool/S12.checkpoint-0   places to go on from, and how far it may have been sent
//! spool/S12.checkpoint-1   the same, an interval earlier or later
//! ```
//!
//! All of it is overwritten and removed when the file needs it no more.

use std::path::PathBuf;
use std::sync::Arc;

use odile_catalog::Outbound;
use odile_envelope::deflate::COMPRESSOR;
use odile_envelope::seal::ContentKey;
use odile_envelope::{
    CheckpointError, Declared, Identity, Misuse, OpenFinish, OpenTerms, Opener, SealOptions, SealPlan,
    SealRequest, Sealer, Services, Suite, stored,
};
use odile_partner::Purpose;
use odile_transfer::Departures;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::now_seconds;
use crate::entropy;
use crate::error::StationError;
use crate::home::Home;
use crate::keyring::Keyring;
use crate::slots::{Slots, Subject, read_small};

/// Places to go on from, as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredDepartures {
    pub(crate) departures: Departures,
    /// Not more of the transmitted file was sent than this, in octets (of the source, for plain files).
    pub(crate) reach: u64,
    /// The restart position that the partner answered last.
    pub(crate) answered: u64,
}

/// A plan as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredPlan {
    outbound: i64,
    plan: Vec<u8>,
    /// CMS `EnvelopedData` for a key of this station.
    key: Option<Vec<u8>>,
}

/// Why a plan is not stored, or is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("this station has no key of its own to keep the content key with: `odile cert new` makes one")]
    NoKey,
    #[error("the key that its content key was kept with is not among the keys of this station any more")]
    KeyGone,
    #[error("it belongs to another transfer")]
    Foreign,
    #[error(transparent)]
    Damaged(#[from] CheckpointError),
    #[error("the content key cannot be kept: {0}")]
    Misuse(#[from] Misuse),
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
}

/// What the names of all files of a transfer begin with.
pub(crate) fn stem(outbound: i64) -> String {
    format!("S{outbound}")
}

/// The transfer that a file in the spool belongs to, if it is one of these.
pub(crate) fn outbound_of(name: &str) -> Option<i64> {
    let stem = name.strip_suffix(PLAN_ENDING).or_else(|| crate::slots::stem_of(name))?;
    stem.strip_prefix('S')?.parse().ok()
}

/// The checkpoints of a file on its way out. Those of another plan, or of a source that was another, are another's.
/// `plan`: as it is stored, without its key.
pub(crate) fn slots(home: &Home, outbound: &Outbound, plan: Option<&[u8]>) -> Slots {
    let identity = outbound.source_identity;
    let services = outbound.services;
    let subject = Subject::of(&[
        b"departure",
        // Another compressor packs the same content otherwise.
        COMPRESSOR.as_bytes(),
        &outbound.id.to_be_bytes(),
        outbound.partner.as_bytes(),
        outbound.file.to_string().as_bytes(),
        &[outbound.format.letter(), services.security, services.suite, services.compression],
        &[u8::from(services.signed_receipt)],
        &outbound.record_size.to_be_bytes(),
        &identity.size.to_be_bytes(),
        &identity.mtime_ns.to_be_bytes(),
        &identity.inode.to_be_bytes(),
        &identity.device.to_be_bytes(),
        plan.unwrap_or_default(),
    ]);
    Slots::new(&home.spool(), &stem(outbound.id), subject)
}

/// The plan that a file was begun with; none if there is none. May wait for the disk.
pub(crate) fn read_plan(
    home: &Home,
    keyring: &Keyring,
    outbound: i64,
) -> Result<Option<SealPlan>, PlanError> {
    let Some(found) = read_stored(home, outbound)? else { return Ok(None) };
    let key = found.key.as_deref().map(|sealed| open_key(sealed, keyring)).transpose()?;
    Ok(Some(SealPlan::from_bytes(&found.plan, key)?))
}

/// The same, without its key.
pub(crate) fn raw_plan(home: &Home, outbound: i64) -> Result<Option<Vec<u8>>, PlanError> {
    Ok(read_stored(home, outbound)?.map(|found| found.plan))
}

fn read_stored(home: &Home, outbound: i64) -> Result<Option<StoredPlan>, PlanError> {
    let Some(octets) = read_small(&plan_path(home, outbound))? else { return Ok(None) };
    let found: StoredPlan = stored::read(&octets, VERSION)?;
    if found.outbound == outbound { Ok(Some(found)) } else { Err(PlanError::Foreign) }
}

/// A plan in the form in which it is written; its key readable for this station only.
pub(crate) fn plan_to_store(keyring: &Keyring, outbound: i64, plan: &SealPlan) -> Result<Vec<u8>, PlanError> {
    let key = plan.content_key().map(|key| seal_key(key, keyring)).transpose()?;
    Ok(stored::write(&StoredPlan { outbound, plan: plan.to_bytes()?, key }, VERSION)?)
}

/// Writes it. It is durable when this returns.
pub(crate) async fn write_plan(home: &Home, outbound: i64, octets: Vec<u8>) -> Result<(), StationError> {
    let plan = plan_path(home, outbound);
    crate::slots::remove_foreign(&plan).await?;
    let file = odile_uring::File::create(&plan).await?;
    file.write_small(octets).await?;
    file.sync_data().await?;
    Ok(odile_uring::sync_directory(&home.spool()).await?)
}

/// Destroys everything that was kept of a file.
pub(crate) async fn destroy(home: &Home, outbound: i64) -> Result<(), StationError> {
    let plan = plan_path(home, outbound);
    crate::slots::remove_foreign(&plan).await?;
    // What can go, goes: an error is told behind.
    let destroyed = odile_uring::destroy(&plan).await;
    let removed = crate::slots::remove(&home.spool(), &stem(outbound)).await;
    Ok(destroyed.and(removed)?)
}

fn plan_path(home: &Home, outbound: i64) -> PathBuf {
    home.spool().join(format!("{}{PLAN_ENDING}", stem(outbound)))
}

/// Encrypts a content key for a key of this station, whichever there is.
fn seal_key(key: &ContentKey, keyring: &Keyring) -> Result<Vec<u8>, PlanError> {
    let own = own_keys(keyring).into_iter().next().ok_or(PlanError::NoKey)?;
    // The check at its end tells a wrong key from a right one.
    let content = Zeroizing::new(stored::write(&key.as_bytes(), VERSION)?);
    let request = SealRequest {
        suite: Suite::S04,
        services: Services { encrypt: true, ..Services::NONE },
        source_bytes: content.len() as u64,
        signing_time: now_seconds(),
        signer: None,
        recipient: Some(own.certificate()),
        options: SealOptions::default(),
    };
    let plan = Arc::new(SealPlan::new(&request, &mut entropy::fill)?);
    let room = usize::try_from(plan.transmitted_bytes_max()?).unwrap_or(usize::MAX);
    let mut sealer = Sealer::new(plan, None)?;
    let mut sealed = vec![0; room];
    let mut written = sealer.push(&content, &mut sealed)?.written;
    while !sealer.is_done() {
        written += sealer.finish(sealed.get_mut(written..).unwrap_or_default())?;
    }
    sealed.truncate(written);
    Ok(sealed)
}

fn open_key(sealed: &[u8], keyring: &Keyring) -> Result<ContentKey, PlanError> {
    let mut opener = Opener::new(Arc::new(OpenTerms {
        declared: Declared::Services(Services { encrypt: true, ..Services::NONE }),
        recipients: own_keys(keyring),
        signers: Vec::new(),
        now: None,
        output_bytes_max: KEY_BYTES_MAX as u64,
        transmitted_hash: None,
    }));
    let mut content = Zeroizing::new(vec![0; KEY_BYTES_MAX]);
    let mut written = 0;
    let mut rest = sealed;
    let gone = |_| PlanError::KeyGone;
    while !rest.is_empty() {
        let progress = opener.push(rest, content.get_mut(written..).unwrap_or_default()).map_err(gone)?;
        rest = rest.get(progress.consumed..).unwrap_or_default();
        written += progress.written;
        if progress.consumed + progress.written == 0 {
            return Err(PlanError::Foreign);
        }
    }
    loop {
        match opener.finish(content.get_mut(written..).unwrap_or_default()).map_err(gone)? {
            OpenFinish::More { written: 0 } => return Err(PlanError::Foreign),
            OpenFinish::More { written: more } => written += more,
            OpenFinish::Opened(_) => break,
        }
    }
    let key: Zeroizing<Vec<u8>> =
        Zeroizing::new(stored::read(content.get(..written).unwrap_or_default(), VERSION)?);
    Ok(ContentKey::from_bytes(&key))
}

/// Our keys, the one for encryption first.
fn own_keys(keyring: &Keyring) -> Vec<Arc<Identity>> {
    keyring.recipients(Purpose::Encryption)
}

const PLAN_ENDING: &str = ".plan";
/// First octet of what is stored here.
const VERSION: u8 = 1;
/// More than any content key and what is around it.
const KEY_BYTES_MAX: usize = 256;
