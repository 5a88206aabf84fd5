//! Several sealers side by side: each goes as far as the next stretch that is to be encrypted, then all of these are
//! done in one loop, and again.

use crate::error::Misuse;
use crate::seal::encrypt::{Middle, Prepared, Unit};
use crate::seal::front::{SignLayer, Source};
use crate::seal::sealer::{Direct, Push, SealProgress, Way};
use crate::weave::{self, LANES_MAX, Lane, Owed};

/// Each takes from the front of its source and writes to the front of its room, until one of them is used up.
pub(super) fn push(pushes: [Option<Push<'_>>; LANES_MAX]) -> [Result<SealProgress, Misuse>; LANES_MAX] {
    let mut outcomes = [const { Ok(SealProgress { consumed: 0, written: 0 }) }; LANES_MAX];
    let mut pushing = [const { None }; LANES_MAX];
    for (at, push) in pushes.into_iter().enumerate() {
        let Some(Push { sealer, source, out }) = push else { continue };
        match &mut sealer.way {
            Way::Direct(direct) => pushing[at] = Some(Pushing::new(direct, source, out)),
            Way::Packed(packed) => outcomes[at] = packed.push(source, out),
        }
    }
    loop {
        let lanes = pushing.each_mut().map(|one| one.as_mut().and_then(Pushing::lane));
        if lanes.iter().all(Option::is_none) {
            break;
        }
        let encrypted = weave::encrypt(lanes);
        for (one, encrypted) in pushing.iter_mut().zip(encrypted) {
            if let (Some(one), Err(misuse)) = (one, encrypted) {
                one.stop(misuse);
            }
        }
    }
    for (outcome, one) in outcomes.iter_mut().zip(pushing) {
        if let Some(one) = one {
            *outcome = one.finish();
        }
    }
    outcomes
}

/// One of them.
struct Pushing<'a> {
    direct: &'a mut Direct,
    source: Source<'a>,
    out: &'a mut [u8],
    written: usize,
    outcome: Result<(), Misuse>,
    is_over: bool,
}

impl<'a> Pushing<'a> {
    fn new(direct: &'a mut Direct, source: &'a [u8], out: &'a mut [u8]) -> Self {
        let outcome = if direct.sign.source_left() < source.len() as u64 {
            Err(Misuse::SourceLength { expected: direct.source_bytes })
        } else {
            Ok(())
        };
        let is_over = outcome.is_err();
        Self { direct, source: Source::new(source), out, written: 0, outcome, is_over }
    }

    /// Goes to the next stretch. None: there is nothing more to be done.
    fn lane(&mut self) -> Option<Lane<'_>> {
        if self.is_over {
            return None;
        }
        let Prepared { framing, content } = match self.prepare() {
            Ok(prepared) => prepared,
            Err(misuse) => {
                self.stop(misuse);
                return None;
            }
        };
        let Direct { sign, outlet, .. } = &mut *self.direct;
        let blocks = &mut self.out[self.written + framing..][..content];
        self.written += framing + content;
        self.is_over = content == 0;
        let owed = sign.owed(&mut self.source);
        if self.is_over {
            owed.into_iter().for_each(Owed::settle);
            return None;
        }
        outlet.lane(blocks, owed)
    }

    fn prepare(&mut self) -> Result<Prepared, Misuse> {
        let Direct { sign, outlet, is_announced, .. } = &mut *self.direct;
        let mut middle = Signed { sign, source: &mut self.source, is_announced };
        outlet.prepare(&mut middle, &mut self.out[self.written..])
    }

    fn stop(&mut self, misuse: Misuse) {
        (self.outcome, self.is_over) = (Err(misuse), true);
    }

    fn finish(self) -> Result<SealProgress, Misuse> {
        self.outcome?;
        Ok(SealProgress { consumed: self.source.taken(), written: self.written })
    }
}

/// The signed source, whose length is known from the start: one unit.
pub(super) struct Signed<'a, 'b> {
    pub sign: &'a mut SignLayer,
    pub source: &'a mut Source<'b>,
    pub is_announced: &'a mut bool,
}

impl Middle for Signed<'_, '_> {
    fn next_unit(&mut self) -> Option<Unit> {
        let is_first = !std::mem::replace(self.is_announced, true);
        is_first.then(|| Unit { bytes: self.sign.total_bytes(), is_last: true })
    }

    fn read(&mut self, out: &mut [u8]) -> Result<usize, Misuse> {
        let mut room = &mut *out;
        self.sign.pull(self.source, &mut room)?;
        let left = room.len();
        Ok(out.len() - left)
    }

    fn owed(&mut self) -> Option<Owed<'_>> {
        self.sign.owed(self.source)
    }
}
