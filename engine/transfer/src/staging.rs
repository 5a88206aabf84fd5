//! A sealed file on its way out: the source becomes the transmitted stream, staged until it is framed.

use odile_envelope::{Misuse, Sealer};
use odile_wire::data::{End, Records, SOURCE_WINDOW_BYTES};

use crate::record_walk::RecordWalk;
use crate::witness::Transmitted;

/// Source in, transmitted stream out, a little at a time.
///
/// [`Staging::fill`] with the source from [`Staging::source_position`] on while [`Staging::wants_source`]; frame what
/// [`Staging::staged`] shows, and say how much of it with [`Staging::used`].
pub struct Staging {
    sealer: Sealer,
    walk: Option<RecordWalk>,
    octets: Vec<u8>,
    start: usize,
    end: usize,
}

/// Why a source cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StagingError {
    /// The source is no sequence of records behind their lengths.
    #[error("the file ends within a record: each must stand behind its length in two octets")]
    OpenRecord,
    /// The envelope cannot be made.
    #[error(transparent)]
    Seal(#[from] Misuse),
}

impl Staging {
    /// With a sealer at the start of a source with such records.
    pub fn new(sealer: Sealer, records: Records) -> Self {
        let walk = matches!(records, Records::Variable).then(RecordWalk::default);
        Self { sealer, walk, octets: vec![0; STAGED_BYTES], start: 0, end: 0 }
    }

    /// Where in the source the next [`Staging::fill`] begins.
    pub fn source_position(&self) -> u64 {
        self.sealer.source_position()
    }

    /// True if there is too little to frame a Data Exchange Buffer, and more to come.
    pub fn wants_source(&self) -> bool {
        self.end - self.start < SOURCE_WINDOW_BYTES && !self.sealer.is_done()
    }

    /// Seals from the front of `source` until the stage is full. `end`: whether it reaches to the end of the file.
    pub fn fill(&mut self, source: &[u8], end: End) -> Result<(), StagingError> {
        self.octets.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let mut rest = source;
        while self.end < self.octets.len() && !self.sealer.is_done() {
            let room = self.octets.get_mut(self.end..).unwrap_or_default();
            let written = if rest.is_empty() {
                if !matches!(end, End::Reached) {
                    break;
                }
                if self.walk.as_ref().is_some_and(|walk| !walk.is_whole()) {
                    return Err(StagingError::OpenRecord);
                }
                let written = self.sealer.finish(room)?;
                if written == 0 {
                    break;
                }
                written
            } else {
                let progress = self.sealer.push(rest, room)?;
                let (taken, left) = rest.split_at(progress.consumed);
                if let Some(walk) = &mut self.walk {
                    walk.walk(taken, |_| {});
                }
                rest = left;
                if progress.consumed + progress.written == 0 {
                    break;
                }
                progress.written
            };
            self.end += written;
        }
        Ok(())
    }

    /// What is to be framed next, and whether that is all.
    pub fn staged(&self) -> (&[u8], End) {
        let end = if self.sealer.is_done() { End::Reached } else { End::More };
        (self.octets.get(self.start..self.end).unwrap_or_default(), end)
    }

    /// So many of the staged octets were framed.
    ///
    /// # Panics
    ///
    /// If there were fewer.
    pub fn used(&mut self, octets: usize) {
        assert!(octets <= self.end - self.start, "no more can be used than was staged");
        self.start += octets;
    }

    /// Records of the source so far; 0 if it has none, or they have one length.
    pub fn records(&self) -> u64 {
        self.walk.as_ref().map_or(0, RecordWalk::records)
    }

    /// Octets and hash of the stream so far: at the end, what the receipt must state.
    pub fn transmitted(&self) -> Transmitted {
        Transmitted { octets: self.sealer.transmitted_position(), hash: self.sealer.transmitted_hash() }
    }
}

/// What is left when more is wanted moves to the front: a stage of several windows makes that rare.
const STAGED_BYTES: usize = 1024 * 1024;
const _: () = assert!(STAGED_BYTES >= 2 * SOURCE_WINDOW_BYTES);
