//! Envelopes around local files: what a transfer does in flight, done from file to file.
//!
//! ```text
//! source ─▶ 1 MiB ─▶ Sealer or Opener ─▶ 1 MiB ─▶ .NAME.xxxxxx in the target's folder ─▶ sync ─▶ rename to NAME
//! ```
//!
//! Memory is constant, whatever the size of the file. A target appears under its name in one step, when it is
//! complete, on disk and, for an opened envelope, verified; before that, and after any failure, there is nothing.
//! No station is needed, and none is disturbed: no lock is taken, no catalog opened.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odile_envelope::{
    Certificate, Entropy, HashValue, Identity, Misuse, OpenError, OpenFinish, OpenTerms, Opened, Opener,
    SealOptions, SealPlan, SealRequest, Sealer, Services, Suite,
};
use tempfile::NamedTempFile;

/// What to do with a file.
#[derive(Debug, Clone)]
pub struct SealTerms {
    /// The cipher suite.
    pub suite: Suite,
    /// Sign, compress, encrypt.
    pub services: Services,
    /// Who signs.
    pub signer: Option<Arc<Identity>>,
    /// For whom to encrypt.
    pub recipient: Option<Arc<Certificate>>,
    /// Level of compression, and whether the signer's certificate travels along.
    pub options: SealOptions,
    /// What the signature states as its time, in seconds since 1970.
    pub signing_time: u64,
}

/// What came out of a seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Octets of the source.
    pub source_bytes: u64,
    /// Octets of the envelope.
    pub envelope_bytes: u64,
    /// The hash of the suite over the envelope: what a signed receipt states.
    pub hash: HashValue,
}

/// What came out of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// Octets of the envelope.
    pub envelope_bytes: u64,
    /// Services, signer, cipher, octets of the content.
    pub opened: Opened,
    /// The hash over the envelope, if the terms ask for one.
    pub hash: Option<HashValue>,
}

/// Told after each step: octets of the source that are done. It may end the work.
pub type Watch<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// A file cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeFileError {
    /// The source cannot be read.
    #[error("cannot read: {0}")]
    Source(io::Error),
    /// The target cannot be written.
    #[error("cannot write: {0}")]
    Write(io::Error),
    /// The target cannot be made, or not be given its name.
    #[error("cannot write {}: {source}", path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The target is there already.
    #[error("{} exists already", .0.display())]
    TargetExists(PathBuf),
    /// The source has become shorter or longer meanwhile.
    #[error(
        "the file does not have the {expected} octets any more that it had at the start: somebody writes to it"
    )]
    SourceChanged {
        /// Octets at the start.
        expected: u64,
    },
    /// Keys, certificates or options do not fit together.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The envelope is no good.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The watch ended the work.
    #[error("interrupted")]
    Interrupted,
}

/// Whether a target that is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and that is an error.
    Stays,
    /// It is replaced in one step.
    Replaced,
}

/// A file that nobody sees under its name yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    existing: Existing,
    file: NamedTempFile,
}

impl Target {
    /// Begins a file in the folder of `path`. Its mode is what the umask leaves.
    pub fn create(path: &Path, existing: Existing) -> Result<Self, EnvelopeFileError> {
        if existing == Existing::Stays && path.symlink_metadata().is_ok() {
            return Err(EnvelopeFileError::TargetExists(path.into()));
        }
        let failed = |source| EnvelopeFileError::Target { path: path.into(), source };
        let Some(name) = path.file_name() else {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a file")));
        };
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder_of(path))
            .map_err(failed)?;
        Ok(Self { path: path.into(), existing, file })
    }

    /// The file is complete: it gets its name, when it is on disk.
    pub fn finish(self) -> Result<(), EnvelopeFileError> {
        let Self { path, existing, file } = self;
        let failed = |source| EnvelopeFileError::Target { path: path.clone(), source };
        file.as_file().sync_all().map_err(failed)?;
        let kept = match existing {
            Existing::Stays => file.persist_noclobber(&path),
            Existing::Replaced => file.persist(&path),
        };
        kept.map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => EnvelopeFileError::TargetExists(path.clone()),
            _ => failed(error.error),
        })?;
        File::open(folder_of(&path)).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

impl Write for Target {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Seals `source_bytes` octets of a source. What is written is an envelope when this has succeeded, and not before.
pub fn seal(
    source: &mut dyn Read,
    source_bytes: u64,
    terms: &SealTerms,
    target: &mut dyn Write,
    entropy: &mut dyn Entropy,
    watch: Watch<'_>,
) -> Result<Sealed, EnvelopeFileError> {
    let request = SealRequest {
        suite: terms.suite,
        services: terms.services,
        source_bytes,
        signing_time: terms.signing_time,
        signer: terms.signer.as_ref().map(|signer| signer.certificate()),
        recipient: terms.recipient.as_deref(),
        options: terms.options,
    };
    let plan = Arc::new(SealPlan::new(&request, entropy)?);
    let mut sealer = Sealer::new(plan, terms.signer.as_ref().map(|signer| signer.key()))?;
    let mut steps = Steps::new(source, target);
    let mut left = source_bytes;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(STEP_BYTES);
        let count = steps.read(wanted)?;
        if count == 0 {
            return Err(EnvelopeFileError::SourceChanged { expected: source_bytes });
        }
        left -= count as u64;
        let mut taken = 0;
        while taken < count {
            let progress = sealer.push(&steps.input[taken..count], &mut steps.output)?;
            taken += progress.consumed;
            steps.write(progress.written)?;
        }
        tell(watch, source_bytes - left)?;
    }
    if steps.read(1)? > 0 {
        return Err(EnvelopeFileError::SourceChanged { expected: source_bytes });
    }
    while !sealer.is_done() {
        let written = sealer.finish(&mut steps.output)?;
        steps.write(written)?;
    }
    Ok(Sealed {
        source_bytes,
        envelope_bytes: sealer.transmitted_position(),
        hash: sealer.transmitted_hash(),
    })
}

/// Opens an envelope. What is written is **not verified** until this has succeeded: nobody may see it before.
pub fn open(
    source: &mut dyn Read,
    terms: Arc<OpenTerms>,
    target: &mut dyn Write,
    watch: Watch<'_>,
) -> Result<Unsealed, EnvelopeFileError> {
    let mut opener = Opener::new(terms);
    let mut steps = Steps::new(source, target);
    loop {
        let count = steps.read(STEP_BYTES)?;
        if count == 0 {
            break;
        }
        let mut taken = 0;
        while taken < count {
            let progress = opener.push(&steps.input[taken..count], &mut steps.output)?;
            taken += progress.consumed;
            steps.write(progress.written)?;
        }
        tell(watch, opener.input_position())?;
    }
    loop {
        match opener.finish(&mut steps.output)? {
            OpenFinish::More { written } => steps.write(written)?,
            OpenFinish::Opened(opened) => {
                return Ok(Unsealed {
                    envelope_bytes: opener.input_position(),
                    hash: opener.transmitted_hash(),
                    opened,
                });
            }
        }
    }
}

/// Source, target, and a step of each.
struct Steps<'a> {
    source: &'a mut dyn Read,
    target: &'a mut dyn Write,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl<'a> Steps<'a> {
    fn new(source: &'a mut dyn Read, target: &'a mut dyn Write) -> Self {
        Self { source, target, input: vec![0; STEP_BYTES], output: vec![0; STEP_BYTES] }
    }

    /// Reads at most `wanted` octets to the front of the input; none at the end.
    fn read(&mut self, wanted: usize) -> Result<usize, EnvelopeFileError> {
        loop {
            match self.source.read(&mut self.input[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(EnvelopeFileError::Source),
            }
        }
    }

    fn write(&mut self, count: usize) -> Result<(), EnvelopeFileError> {
        self.target.write_all(&self.output[..count]).map_err(EnvelopeFileError::Write)
    }
}

fn tell(watch: Watch<'_>, done: u64) -> Result<(), EnvelopeFileError> {
    match watch(done) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(EnvelopeFileError::Interrupted),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Large enough that system calls do not count, small enough that two of them do not either.
const STEP_BYTES: usize = 1024 * 1024;
