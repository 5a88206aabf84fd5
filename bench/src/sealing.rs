//! Envelopes from memory to memory, in blocks as a station moves them.

use std::sync::Arc;

use odile_envelope::seal::{Embed, Push};
use odile_envelope::{
    CHALLENGE_BYTES, Certificate, Declared, HashAlgorithm, Identity, OpenFinish, OpenTerms, Opener,
    PrivateKey, SealOptions, SealPlan, SealRequest, Sealer, Services, Suite, open_challenge, seal_challenge,
    sign_message, verify_message,
};

/// Octets given and taken at a time: the blocks of a station.
pub const BLOCK_BYTES: usize = 512 * 1024;

/// An identity that sends to itself.
pub struct Party {
    identity: Arc<Identity>,
    /// The key in PKCS#8.
    pub pkcs8: Vec<u8>,
    receipt: Vec<u8>,
    challenge: Vec<u8>,
}

impl Party {
    /// With a new key of 2048 bits.
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
        let certificate = Certificate::from_der(certificate.der()).expect("a certificate");
        let pkcs8 = key.serialize_der();
        let key = PrivateKey::from_bytes(&pkcs8, None).expect("a key");
        let identity = Arc::new(Identity::new(certificate, key).expect("they belong together"));
        let mut party = Self { identity, pkcs8, receipt: Vec::new(), challenge: Vec::new() };
        party.receipt = party.sign_receipt();
        party.challenge = party.seal_challenge();
        party
    }

    /// Its key.
    pub fn key(&self) -> &PrivateKey {
        self.identity.key()
    }

    /// A plan to seal a source of so many octets.
    pub fn plan(&self, suite: Suite, services: Services, source_bytes: usize) -> Arc<SealPlan> {
        self.plan_with(suite, services, source_bytes, SealOptions::default())
    }

    /// A plan with other options than usual.
    pub fn plan_with(
        &self,
        suite: Suite,
        services: Services,
        source_bytes: usize,
        options: SealOptions,
    ) -> Arc<SealPlan> {
        let certificate = Some(self.identity.certificate());
        let request = SealRequest {
            suite,
            services,
            source_bytes: source_bytes as u64,
            signing_time: SIGNING_TIME,
            signer: certificate,
            recipient: certificate,
            options,
        };
        Arc::new(SealPlan::new(&request, &mut entropy()).expect("keys for everything"))
    }

    /// Seals the same source several times at once, as files that go to several partners, each into its own room.
    pub fn seal_together(&self, plan: &Arc<SealPlan>, source: &[u8], rooms: &mut [Vec<u8>]) {
        let sealer = || Sealer::new(plan.clone(), Some(self.identity.key())).expect("a plan of ours");
        let mut files: Vec<_> = rooms.iter_mut().map(|room| (sealer(), source, room)).collect();
        while files.iter().any(|(sealer, ..)| !sealer.is_done()) {
            let mut left = files.iter_mut();
            let pushes = std::array::from_fn(|_| {
                let (sealer, source, out) = left.next()?;
                Some(Push { sealer, source: &source[..source.len().min(BLOCK_BYTES)], out })
            });
            let outcomes = Sealer::push_together(pushes);
            for ((_, source, room), outcome) in files.iter_mut().zip(outcomes) {
                let progress = outcome.expect("as the plan says");
                *source = &source[progress.consumed..];
                std::hint::black_box(&room[..progress.written]);
            }
        }
    }

    /// Seals a source block by block into the same room; `take` gets what was written.
    pub fn seal(&self, plan: &Arc<SealPlan>, source: &[u8], room: &mut [u8], mut take: impl FnMut(&[u8])) {
        let mut sealer = Sealer::new(plan.clone(), Some(self.identity.key())).expect("a plan of ours");
        let (mut block, mut blocks) = (&[][..], source.chunks(BLOCK_BYTES));
        while !sealer.is_done() {
            if block.is_empty() {
                block = blocks.next().unwrap_or_default();
            }
            let progress = sealer.push(block, room).expect("as the plan says");
            block = &block[progress.consumed..];
            take(&room[..progress.written]);
        }
    }

    /// The terms on which it opens what it sealed. `receipt`: the hash over the stream that a signed receipt states.
    pub fn terms(&self, declared: Declared, receipt: Option<HashAlgorithm>) -> Arc<OpenTerms> {
        Arc::new(OpenTerms {
            declared,
            recipients: vec![self.identity.clone()],
            signers: vec![Arc::new(self.identity.certificate().clone())],
            now: None,
            output_bytes_max: u64::MAX,
            transmitted_hash: receipt,
        })
    }

    /// Signs a receipt.
    pub fn sign_receipt(&self) -> Vec<u8> {
        sign_message(Suite::S04, &self.identity, RECEIPT, SIGNING_TIME, Embed::Nothing).expect("a key")
    }

    /// Verifies it; gives its octets.
    pub fn verify_receipt(&self) -> usize {
        let signers = [Arc::new(self.identity.certificate().clone())];
        verify_message(&self.receipt, &[RECEIPT], &signers, None).expect("just signed");
        self.receipt.len()
    }

    /// Encrypts a challenge: wraps a key, and encrypts two blocks.
    pub fn seal_challenge(&self) -> Vec<u8> {
        let challenge = [7; CHALLENGE_BYTES];
        seal_challenge(Suite::S04, self.identity.certificate(), &challenge, &mut entropy()).expect("a key")
    }

    /// Decrypts it; gives its octets.
    pub fn open_challenge(&self) -> usize {
        open_challenge(&self.challenge, std::slice::from_ref(&self.identity)).expect("just sealed").0.len()
    }
}

impl Default for Party {
    fn default() -> Self {
        Self::new()
    }
}

/// Opens a stream block by block into the same room; gives the octets of the content, and whether the verdict is good.
pub fn open(terms: &Arc<OpenTerms>, stream: &[u8], room: &mut [u8]) -> (u64, bool) {
    let mut opener = Opener::new(terms.clone());
    for mut block in stream.chunks(BLOCK_BYTES) {
        while !block.is_empty() {
            match opener.push(block, room) {
                Ok(progress) => block = &block[progress.consumed..],
                Err(error) => unreachable!("{error}"),
            }
        }
    }
    loop {
        match opener.finish(room) {
            Ok(OpenFinish::More { .. }) => {}
            verdict => return (opener.output_position(), verdict.is_ok()),
        }
    }
}

/// SignedData whose announced hash is one that nobody computes: what is left of opening is the frame and one copy.
/// The content travels in segments of so many octets.
pub fn frame_alone(content: &[u8], segment_bytes: usize) -> Vec<u8> {
    // ContentInfo, SignedData, version 1, SHA-224, id-data, all of indefinite length.
    const HEAD: &[u8] = b"\x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x02\xA0\x80\x30\x80\x02\x01\x01\
        \x31\x0D\x30\x0B\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04\
        \x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x01\xA0\x80\x24\x80";
    // The content ends, no signers, all ends.
    const TAIL: &[u8] = b"\0\0\0\0\0\0\x31\0\0\0\0\0\0\0";
    let mut stream = Vec::with_capacity(content.len() + content.len() / segment_bytes * 6 + 128);
    stream.extend_from_slice(HEAD);
    for segment in content.chunks(segment_bytes) {
        stream.extend_from_slice(b"\x04\x84");
        stream.extend_from_slice(&u32::try_from(segment.len()).expect("a short segment").to_be_bytes());
        stream.extend_from_slice(segment);
    }
    stream.extend_from_slice(TAIL);
    stream
}

/// Repeatable; good enough to be timed.
fn entropy() -> impl FnMut(&mut [u8]) {
    let mut last = 0_u8;
    move |octets: &mut [u8]| {
        octets.fill_with(|| {
            last = last.wrapping_mul(141).wrapping_add(91);
            last
        });
    }
}

const SIGNING_TIME: u64 = 1_795_435_200;
const RECEIPT: &[u8] = b"PARTS FOR ASSEMBLY        20261123120000.0001 and the other fields, hash included";
