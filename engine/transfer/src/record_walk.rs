//! V files as they are stored and sealed: each record behind its length (RFC 5024 §6.5).
//!
//! ```text
//! length (2, big-endian, without itself) │ record │ length │ record │ …
//! ```

use serde::{Deserialize, Serialize};

/// Octets of the length in front of each record.
pub(crate) const PREFIX_BYTES: u64 = 2;

/// Walks over such a file, in slices of any size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordWalk {
    records: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
enum State {
    #[default]
    Between,
    /// The first octet of a length.
    Length(u8),
    /// A record that is open, never one of length zero.
    Record { length: u16, left: u16 },
}

impl RecordWalk {
    /// Behind so many records.
    pub(crate) fn behind(records: u64) -> Self {
        Self { records, state: State::Between }
    }

    /// Takes the next octets, and shows those that belong to records.
    pub fn walk(&mut self, octets: &[u8], data: impl FnMut(&[u8])) {
        self.walk_until(u64::MAX, octets, data);
    }

    /// As [`RecordWalk::walk`], but not beyond the end of the record with this number, counted from 1. Gives how many
    /// octets were taken.
    pub fn walk_until(&mut self, records: u64, octets: &[u8], mut data: impl FnMut(&[u8])) -> usize {
        let mut rest = octets;
        while self.records < records
            && let Some((&first, behind)) = rest.split_first()
        {
            match self.state {
                State::Between => {
                    if let Some((&prefix, behind)) = rest.split_first_chunk() {
                        self.open(u16::from_be_bytes(prefix));
                        rest = behind;
                    } else {
                        self.state = State::Length(first);
                        rest = behind;
                    }
                }
                State::Length(high) => {
                    self.open(u16::from_be_bytes([high, first]));
                    rest = behind;
                }
                State::Record { length, left } => {
                    let (record, behind) = rest.split_at(usize::from(left).min(rest.len()));
                    data(record);
                    let taken = u16::try_from(record.len()).unwrap_or(left);
                    self.state = State::Record { length, left: left - taken };
                    if taken == left {
                        self.close();
                    }
                    rest = behind;
                }
            }
        }
        octets.len() - rest.len()
    }

    fn open(&mut self, length: u16) {
        self.state = State::Record { length, left: length };
        if length == 0 {
            self.close();
        }
    }

    fn close(&mut self) {
        self.state = State::Between;
        self.records += 1;
    }

    /// Records that were complete so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// True if the last record was complete.
    pub fn is_whole(&self) -> bool {
        self.state == State::Between
    }

    /// Octets since the last record was complete, those of a length included.
    pub fn open_octets(&self) -> u64 {
        match self.state {
            State::Between => 0,
            State::Length(_) => 1,
            State::Record { length, left } => PREFIX_BYTES + u64::from(length.saturating_sub(left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"\x00\x03abc\x00\x00\x00\x01x";
    /// Where records end.
    const ENDS: [usize; 4] = [0, 5, 7, 10];

    #[test]
    fn any_slices_give_the_same_records() {
        for step in 1..=FILE.len() {
            let (mut walk, mut found) = (RecordWalk::default(), Vec::new());
            for slice in FILE.chunks(step) {
                walk.walk(slice, |data| found.extend_from_slice(data));
            }
            assert_eq!((found.as_slice(), walk.records(), walk.is_whole()), (&b"abcx"[..], 3, true));
        }
    }

    #[test]
    fn a_file_that_ends_within_a_record_is_not_whole() {
        for (end, records) in [(1, 0), (2, 0), (4, 0), (5, 1), (6, 1), (9, 2)] {
            let mut walk = RecordWalk::default();
            walk.walk(&FILE[..end], |_| {});
            assert_eq!((walk.is_whole(), walk.records()), (end == 5, records), "after {end} octets");
        }
    }

    #[test]
    fn stops_at_the_end_of_a_record_and_knows_where_the_last_one_ended() {
        for (records, end) in ENDS.into_iter().enumerate() {
            for step in 1..=FILE.len() {
                let (mut walk, mut at) = (RecordWalk::default(), 0);
                for slice in FILE.chunks(step) {
                    at += walk.walk_until(records as u64, slice, |_| {});
                }
                assert_eq!((at, walk.records(), walk.open_octets()), (end, records as u64, 0));
            }
        }
        for end in 0..=FILE.len() {
            let mut walk = RecordWalk::default();
            walk.walk(&FILE[..end], |_| {});
            let last = ENDS.into_iter().filter(|&last| last <= end).max().unwrap();
            assert_eq!(walk.open_octets(), (end - last) as u64, "after {end} octets");
        }
    }
}
