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
        let failed = |source| EnvelopeFileError::Target { path: path.into(), source };
        match path.symlink_metadata() {
            Ok(_) if existing == Existing::Stays => {
                return Err(EnvelopeFileError::TargetExists(path.into()));
            }
            // A link or a device would be gone, and a file in its place.
            Ok(metadata) if !metadata.is_file() => {
                return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
            }
            _ => {}
        }
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
            steps.assert_moving(progress.consumed + progress.written);
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
        hash: sealer.transmitted_hash().ok_or(Misuse::OutOfTurn("the plan omits the hash"))?,
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
            steps.assert_moving(progress.consumed + progress.written + usize::from(progress.is_checkpoint));
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
    /// Steps in a row in which nothing moved.
    idle: u32,
}

impl<'a> Steps<'a> {
    fn new(source: &'a mut dyn Read, target: &'a mut dyn Write) -> Self {
        Self { source, target, input: vec![0; STEP_BYTES], output: vec![0; STEP_BYTES], idle: 0 }
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

    fn assert_moving(&mut self, moved: usize) {
        self.idle = if moved == 0 { self.idle + 1 } else { 0 };
        assert!(self.idle <= IDLE_STEPS_MAX, "an envelope takes nothing and gives nothing");
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
/// A layer may need one step to see that it is over.
const IDLE_STEPS_MAX: u32 = 2;

#[cfg(test)]
mod tests {
    use std::fs;

    use odile_envelope::Declared;

    use super::*;

    /// Compressed only: needs no key.
    fn packed() -> SealTerms {
        SealTerms {
            suite: Suite::S04,
            services: Services { compress: true, ..Services::NONE },
            signer: None,
            recipient: None,
            options: SealOptions::default(),
            signing_time: 0,
        }
    }

    fn seal_packed(source: &[u8], bytes: u64, target: &mut dyn Write) -> Result<Sealed, EnvelopeFileError> {
        let mut source = source;
        let mut go_on = |_| ControlFlow::Continue(());
        seal(&mut source, bytes, &packed(), target, &mut |_: &mut [u8]| {}, &mut go_on)
    }

    fn open_any(envelope: &[u8], target: &mut dyn Write) -> Result<Unsealed, EnvelopeFileError> {
        let terms = OpenTerms {
            declared: Declared::AsFound,
            recipients: Vec::new(),
            signers: Vec::new(),
            now: None,
            output_bytes_max: u64::MAX,
            transmitted_hash: Some(Suite::S04.hash()),
        };
        let mut envelope = envelope;
        open(&mut envelope, Arc::new(terms), target, &mut |_| ControlFlow::Continue(()))
    }

    #[test]
    fn what_is_sealed_comes_back_around_the_size_of_a_step() {
        for bytes in [0, 1, STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 3 * STEP_BYTES + 7] {
            let source: Vec<u8> = (0..bytes).map(|at| u8::try_from(at / 3 % 251).unwrap()).collect();
            let (mut envelope, mut content) = (Vec::new(), Vec::new());
            let sealed = seal_packed(&source, bytes as u64, &mut envelope).unwrap();
            assert_eq!((sealed.source_bytes, sealed.envelope_bytes), (bytes as u64, envelope.len() as u64));
            let unsealed = open_any(&envelope, &mut content).unwrap();
            assert!(content == source, "{bytes} octets");
            assert_eq!(unsealed.envelope_bytes, sealed.envelope_bytes);
            assert_eq!(unsealed.hash, Some(sealed.hash));
        }
    }

    #[test]
    fn a_source_that_changes_its_length_is_refused() {
        for announced in [9, 11] {
            let error = seal_packed(b"0123456789", announced, &mut Vec::new()).unwrap_err();
            assert!(matches!(error, EnvelopeFileError::SourceChanged { expected } if expected == announced));
        }
    }

    #[test]
    fn a_target_appears_when_it_is_complete_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("target");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let mut target = Target::create(&path, Existing::Stays).unwrap();
        target.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(target);
        assert_eq!(names(), 0);

        let mut first = Target::create(&path, Existing::Stays).unwrap();
        let mut second = Target::create(&path, Existing::Stays).unwrap();
        first.write_all(b"first").unwrap();
        second.write_all(b"second").unwrap();
        first.finish().unwrap();
        assert!(matches!(second.finish(), Err(EnvelopeFileError::TargetExists(_))));
        assert!(matches!(Target::create(&path, Existing::Stays), Err(EnvelopeFileError::TargetExists(_))));
        let mut third = Target::create(&path, Existing::Replaced).unwrap();
        third.write_all(b"third").unwrap();
        third.finish().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"third".to_vec(), 1));

        for wrong in [folder.path().to_path_buf(), folder.path().join("no/folder"), PathBuf::from("/")] {
            assert!(Target::create(&wrong, Existing::Replaced).is_err(), "{}", wrong.display());
        }
    }

    #[test]
    fn the_watch_ends_the_work() {
        let source = vec![7; 4 * STEP_BYTES];
        let mut seen = Vec::new();
        let mut watch = |done: u64| {
            seen.push(done);
            if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let bytes = source.len() as u64;
        let ended = seal(
            &mut source.as_slice(),
            bytes,
            &packed(),
            &mut Vec::new(),
            &mut |_: &mut [u8]| {},
            &mut watch,
        );
        assert!(matches!(ended, Err(EnvelopeFileError::Interrupted)));
        let step = STEP_BYTES as u64;
        assert_eq!(seen, [step, 2 * step]);
    }

    #[test]
    fn what_inflates_beyond_the_room_is_stopped() {
        let mut envelope = Vec::new();
        let source = vec![0; 8 * STEP_BYTES];
        seal_packed(&source, source.len() as u64, &mut envelope).unwrap();
        let terms = OpenTerms {
            declared: Declared::AsFound,
            recipients: Vec::new(),
            signers: Vec::new(),
            now: None,
            output_bytes_max: STEP_BYTES as u64,
            transmitted_hash: None,
        };
        let mut written = Vec::new();
        let mut go_on = |_| ControlFlow::Continue(());
        let ended = open(&mut envelope.as_slice(), Arc::new(terms), &mut written, &mut go_on);
        assert!(matches!(ended, Err(EnvelopeFileError::Open(OpenError::Limit(_)))), "{ended:?}");
        assert!(written.len() <= 2 * STEP_BYTES);
    }
}
