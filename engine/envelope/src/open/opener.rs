//! The chain of layers: each finds its content, the next one looks at it.

use std::ops::Range;
use std::sync::Arc;

use crate::certificate::Certificate;
use crate::digest::{HashAlgorithm, HashValue, Hasher};
use crate::error::{CheckpointError, Limit, OpenError};
use crate::key::Identity;
use crate::open::checkpoint::OpenCheckpoint;
use crate::open::frame::Kind;
use crate::open::layer::Layer;
use crate::open::sniff::{Guess, sniff};
use crate::suite::Services;
use crate::verdict::Opened;
use crate::weave::{self, Owed};

/// Octets between two layers.
const BETWEEN_BYTES: usize = 64 * 1024;

/// Which layers to undo. A file may itself be a CMS file: only the declaration (SFIDSEC, SFIDCOMP) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// Exactly these, in any order; one that is missing is an error.
    Services(Services),
    /// Whatever is found, each service at most once.
    AsFound,
}

/// On what terms to open.
#[derive(Clone, Debug)]
pub struct OpenTerms {
    /// Which layers to undo.
    pub declared: Declared,
    /// Our keys: the present one, and those before it.
    pub recipients: Vec<Arc<Identity>>,
    /// Whose signatures are accepted.
    pub signers: Vec<Arc<Certificate>>,
    /// The time for the certificates' validity, in seconds since 1970; none: it is not looked at.
    pub now: Option<u64>,
    /// Most octets of content: what the target can hold. Stops what inflates without end.
    pub output_bytes_max: u64,
    /// Hash over the stream as transmitted, for the receipt.
    pub transmitted_hash: Option<HashAlgorithm>,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenProgress {
    /// Octets taken from the input.
    pub consumed: usize,
    /// Octets of content written.
    pub written: usize,
    /// The step ended here because a checkpoint can be taken.
    pub is_checkpoint: bool,
}

/// Transmitted stream in, content out.
///
/// [`Opener::push`] the stream until it is used up, then [`Opener::finish`] until it gives the verdict. Content
/// is written before it is verified: it must stay invisible until then.
pub struct Opener {
    terms: Arc<OpenTerms>,
    layers: Vec<Layer>,
    /// `between[i]` waits for layer `i`, the last one for the caller.
    between: Vec<Between>,
    /// Behind the last layer is the file itself.
    is_plain: bool,
    is_input_over: bool,
    /// What went wrong inside an encrypted layer: told at the end, so that nobody learns when.
    failed: Option<OpenError>,
    input_position: u64,
    output_position: u64,
    transmitted: Option<Hasher>,
}

impl Opener {
    /// At the start of the stream.
    pub fn new(terms: Arc<OpenTerms>) -> Self {
        Self {
            is_plain: terms.declared == Declared::Services(Services::NONE),
            transmitted: terms.transmitted_hash.map(Hasher::new),
            terms,
            layers: Vec::new(),
            between: vec![Between::default()],
            is_input_over: false,
            failed: None,
            input_position: 0,
            output_position: 0,
        }
    }

    /// At a checkpoint: what follows is the same as it would have been.
    pub fn resume(terms: Arc<OpenTerms>, checkpoint: &OpenCheckpoint) -> Result<Self, CheckpointError> {
        let mut opener = Self::new(terms);
        let is_same = opener.declared() == checkpoint.declared
            && (opener.transmitted.is_none() || checkpoint.transmitted.is_some())
            && checkpoint.pending.len() == checkpoint.layers.len() + 1;
        if !is_same {
            return Err(CheckpointError::Foreign);
        }
        opener.layers = checkpoint
            .layers
            .iter()
            .map(|state| Layer::resume(state, &opener.terms))
            .collect::<Result<_, _>>()?;
        opener.between =
            checkpoint.pending.iter().map(|octets| Between::from_stored(octets)).collect::<Result<_, _>>()?;
        opener.is_plain = checkpoint.is_plain;
        opener.input_position = checkpoint.input_position;
        opener.output_position = checkpoint.output_position;
        if let (Some(hasher), Some(midstate)) = (&mut opener.transmitted, &checkpoint.transmitted) {
            *hasher = Hasher::resume(midstate)?;
        }
        Ok(opener)
    }

    /// A checkpoint, if one can be taken here. With compression that is where [`OpenProgress::is_checkpoint`] said
    /// so, without it anywhere. After a failure there is none: what failed fails again from the start.
    pub fn checkpoint(&self) -> Option<OpenCheckpoint> {
        if self.failed.is_some() || self.is_input_over {
            return None;
        }
        Some(OpenCheckpoint {
            declared: self.declared(),
            input_position: self.input_position,
            output_position: self.output_position,
            layers: self.layers.iter().map(Layer::state).collect::<Option<_>>()?,
            pending: self.between.iter().map(|between| between.filled().to_vec()).collect(),
            is_plain: self.is_plain,
            transmitted: self.transmitted.as_ref().map(Hasher::midstate),
        })
    }

    /// Takes from the front of `input`, writes content to the front of `out`.
    ///
    /// After an error all of the input counts as taken. The rest of the stream may be pushed all the same: it is
    /// hashed for a negative receipt, and not looked at.
    pub fn push(&mut self, input: &[u8], out: &mut [u8]) -> Result<OpenProgress, OpenError> {
        let mut progress = OpenProgress { consumed: 0, written: 0, is_checkpoint: false };
        let mut outcome = Ok(());
        let mut owed = 0..0;
        while self.failed.is_none() && !progress.is_checkpoint {
            match self.round(input, out, &mut progress, &mut owed) {
                Ok(true) => {}
                Ok(false) => break,
                Err((layer, error)) => {
                    outcome = self.fail(layer, error);
                }
            }
        }
        if self.failed.is_some() {
            // The rest is not looked at: the verdict stands, but comes at the end.
            progress.consumed = input.len();
        }
        let transmitted = self.transmitted.as_mut();
        let transmitted = transmitted.map(|hasher| Owed { hasher, octets: &input[..progress.consumed] });
        let signed = self.layers.last_mut().and_then(Layer::deferred_hasher);
        let signed = signed.map(|hasher| Owed { hasher, octets: out.get(owed).unwrap_or_default() });
        weave::hash(signed, transmitted);
        self.input_position += progress.consumed as u64;
        if outcome.is_ok() {
            self.output_position += progress.written as u64;
        }
        outcome.map(|()| progress)
    }

    /// Writes what is left of the content; when nothing is, gives the verdict. Call until there is one.
    pub fn finish(&mut self, out: &mut [u8]) -> Result<OpenFinish, OpenError> {
        self.is_input_over = true;
        let progress = self.push(&[], out)?;
        // Without room nothing shows that all was written.
        if progress.written > 0 || progress.is_checkpoint || out.is_empty() {
            return Ok(OpenFinish::More { written: progress.written });
        }
        self.conclude().map(OpenFinish::Opened)
    }

    /// Octets taken so far.
    pub fn input_position(&self) -> u64 {
        self.input_position
    }

    /// Octets of content written so far.
    pub fn output_position(&self) -> u64 {
        self.output_position
    }

    /// The hash over the stream so far, if the terms wanted one: at the end, what the receipt states.
    pub fn transmitted_hash(&self) -> Option<HashValue> {
        self.transmitted.as_ref().map(|hasher| hasher.clone().finish())
    }

    fn declared(&self) -> Option<Services> {
        match self.terms.declared {
            Declared::Services(services) => Some(services),
            Declared::AsFound => None,
        }
    }

    /// One round through the chain, the last layer first. False if nothing moved.
    fn round(
        &mut self,
        input: &[u8],
        out: &mut [u8],
        progress: &mut OpenProgress,
        owed: &mut Range<usize>,
    ) -> Result<bool, (usize, OpenError)> {
        let depth = self.layers.len();
        let mut has_moved = self.deliver(out, progress).map_err(|error| (depth, error))?;
        for index in (0..self.layers.len()).rev() {
            has_moved |= self.step(index, input, out, progress, owed).map_err(|error| (index, error))?;
        }
        if depth == 0 || !self.between[0].is_empty() {
            // Until the first layer is known, and until it has caught up, the input goes through the buffer.
            let moved = self.between[0].fill(&input[progress.consumed..]);
            progress.consumed += moved;
            has_moved |= moved > 0;
        }
        Ok(has_moved | self.look(progress).map_err(|error| (depth, error))?)
    }

    /// Hands content to the caller.
    fn deliver(&mut self, out: &mut [u8], progress: &mut OpenProgress) -> Result<bool, OpenError> {
        if !self.is_plain {
            return Ok(false);
        }
        let Some(last) = self.between.last_mut() else { return Ok(false) };
        let count = last.drain_into(&mut out[progress.written..]);
        progress.written += count;
        self.check_output(progress)?;
        Ok(count > 0)
    }

    /// One step of one layer. `owed`: what was written to `out`, and is hashed when the call ends, together with the
    /// stream.
    fn step(
        &mut self,
        index: usize,
        input: &[u8],
        out: &mut [u8],
        progress: &mut OpenProgress,
        owed: &mut Range<usize>,
    ) -> Result<bool, OpenError> {
        let (before, behind) = self.between.split_at_mut(index + 1);
        let (Some(source), Some(target)) = (before.last_mut(), behind.first_mut()) else { return Ok(false) };
        // The first layer reads the caller's input, and the last one writes to the caller's room, if nothing waits.
        let is_first = index == 0 && source.is_empty();
        let is_last = index + 1 == self.layers.len() && self.is_plain && target.is_empty();
        let from = if is_first { &input[progress.consumed..] } else { source.filled() };
        let to = if is_last { &mut out[progress.written..] } else { target.room() };
        let layer = &mut self.layers[index];
        layer.defer_hash(is_last && self.transmitted.is_some());
        let (consumed, written) = layer.step(from, to, &self.terms)?;
        if is_first {
            progress.consumed += consumed;
        } else {
            source.drop_front(consumed);
        }
        if is_last {
            if owed.start == owed.end {
                owed.start = progress.written;
            }
            progress.written += written;
            owed.end = progress.written;
        } else {
            target.grow(written);
        }
        progress.is_checkpoint |= layer.take_pause();
        if is_last {
            self.check_output(progress)?;
        }
        Ok(consumed + written > 0)
    }

    fn check_output(&self, progress: &mut OpenProgress) -> Result<(), OpenError> {
        let room = self.terms.output_bytes_max.saturating_sub(self.output_position);
        if progress.written as u64 <= room {
            return Ok(());
        }
        // Inside an encrypted layer the step goes on: it must not hand out more than fits.
        progress.written = usize::try_from(room).unwrap_or(progress.written);
        Err(OpenError::Limit(Limit::OutputBytes))
    }

    /// Decides whether what waits for the caller is another layer.
    fn look(&mut self, progress: &OpenProgress) -> Result<bool, OpenError> {
        if self.is_plain || progress.is_checkpoint {
            return Ok(false);
        }
        let Some(last) = self.between.last() else { return Ok(false) };
        let found = self.found();
        let is_wanted = |kind: Kind| match self.terms.declared {
            Declared::Services(services) => has(services, kind) && !has(found, kind),
            Declared::AsFound => !has(found, kind),
        };
        let is_over = match self.layers.last() {
            Some(layer) => layer.is_content_over(),
            None => self.is_input_over,
        };
        let guess = sniff(last.filled());
        match guess {
            _ if self.terms.declared == Declared::Services(found) => self.is_plain = true,
            Guess::NeedMore if !is_over => return Ok(false),
            Guess::Layer(kind) if is_wanted(kind) => {
                self.layers.push(Layer::new(kind)?);
                self.between.push(Between::default());
            }
            _ => {
                let is_cut_off = guess == Guess::NeedMore && !last.is_empty();
                let missing = |missing| if is_cut_off { OpenError::Truncated } else { missing };
                self.check_services(found).map_err(missing)?;
                self.is_plain = true;
            }
        }
        Ok(true)
    }

    fn found(&self) -> Services {
        let has = |kind| self.layers.iter().any(|layer| layer.kind() == kind);
        Services { sign: has(Kind::Signed), compress: has(Kind::Compressed), encrypt: has(Kind::Enveloped) }
    }

    fn check_services(&self, found: Services) -> Result<(), OpenError> {
        let Declared::Services(declared) = self.terms.declared else { return Ok(()) };
        // Outermost first: what is missing there hides the others.
        if declared.encrypt && !found.encrypt {
            return Err(OpenError::ServiceMissing("encrypted"));
        }
        if declared.compress && !found.compress {
            return Err(OpenError::ServiceMissing("compressed"));
        }
        if declared.sign && !found.sign {
            return Err(OpenError::ServiceMissing("signed"));
        }
        Ok(())
    }

    /// A failure of a layer (or, one behind the last, of what it contains). Inside an encrypted layer it is kept.
    fn fail(&mut self, layer: usize, error: OpenError) -> Result<(), OpenError> {
        let enveloped = self.layers.iter().position(|layer| layer.kind() == Kind::Enveloped);
        let is_inside = enveloped.is_some_and(|enveloped| match error {
            OpenError::Decrypt => enveloped == layer,
            _ => enveloped < layer,
        });
        if is_inside {
            self.failed = Some(inside_encryption(error));
            return Ok(());
        }
        self.failed = Some(error.clone());
        Err(error)
    }

    fn conclude(&self) -> Result<Opened, OpenError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut is_encrypted = false;
        for layer in &self.layers {
            if !layer.is_done() {
                return Err(if is_encrypted { OpenError::Decrypt } else { OpenError::Truncated });
            }
            is_encrypted |= layer.kind() == Kind::Enveloped;
        }
        let found = self.found();
        self.check_services(found)
            .map_err(|error| if is_encrypted { inside_encryption(error) } else { error })?;
        let verified = self.layers.iter().find_map(|layer| layer.verify(&self.terms)).transpose();
        let verified =
            verified.map_err(|error| if is_encrypted { inside_encryption(error) } else { error })?;
        Ok(Opened {
            services: found,
            content_bytes: self.output_position,
            verified,
            decrypted: self.layers.iter().find_map(Layer::decrypted),
        })
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener")
            .field("input_position", &self.input_position)
            .field("output_position", &self.output_position)
            .field("found", &self.found())
            .finish_non_exhaustive()
    }
}

/// What [`Opener::finish`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenFinish {
    /// More content; call again.
    More {
        /// Octets written.
        written: usize,
    },
    /// All is good.
    Opened(Opened),
}

/// Behind decryption, what does not parse was not decrypted rightly: one kind for all of it, so that the sender of
/// altered ciphertext cannot tell bad padding from bad content.
fn inside_encryption(error: OpenError) -> OpenError {
    match error {
        OpenError::Malformed(_)
        | OpenError::Truncated
        | OpenError::TrailingData
        | OpenError::ServiceMissing(_)
        | OpenError::Limit(
            Limit::Nesting
            | Limit::ElementBytes
            | Limit::SkippedBytes
            | Limit::Recipients
            | Limit::Signers
            | Limit::Digests,
        ) => OpenError::Decrypt,
        other => other,
    }
}

fn has(services: Services, kind: Kind) -> bool {
    match kind {
        Kind::Signed => services.sign,
        Kind::Compressed => services.compress,
        Kind::Enveloped => services.encrypt,
    }
}

/// A buffer between two layers.
#[derive(Default)]
struct Between {
    octets: Vec<u8>,
    start: usize,
    end: usize,
}

impl Between {
    fn from_stored(octets: &[u8]) -> Result<Self, CheckpointError> {
        if octets.len() > BETWEEN_BYTES {
            return Err(CheckpointError::Damaged);
        }
        let mut between = Self::default();
        between.fill(octets);
        Ok(between)
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn filled(&self) -> &[u8] {
        &self.octets[self.start..self.end]
    }

    /// Where more can be put; moves what is there to the front if that makes more room.
    fn room(&mut self) -> &mut [u8] {
        if self.octets.is_empty() {
            self.octets.resize(BETWEEN_BYTES, 0);
        }
        if self.start > 0 && (self.is_empty() || self.end > BETWEEN_BYTES / 2) {
            self.octets.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.octets[self.end..]
    }

    fn grow(&mut self, count: usize) {
        self.end += count;
    }

    fn drop_front(&mut self, count: usize) {
        self.start += count;
    }

    fn fill(&mut self, input: &[u8]) -> usize {
        let room = self.room();
        let count = input.len().min(room.len());
        room[..count].copy_from_slice(&input[..count]);
        self.grow(count);
        count
    }

    fn drain_into(&mut self, out: &mut [u8]) -> usize {
        let count = self.filled().len().min(out.len());
        out[..count].copy_from_slice(&self.filled()[..count]);
        self.drop_front(count);
        count
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.octets);
    }
}
