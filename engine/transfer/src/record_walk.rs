//! V files as they are stored and sealed: each record behind its length (RFC 5024 §6.5).
//!
//! ```text
//! length (2, big-endian, without itself) │ record │ length │ record │ …
//! ```

/// Walks over such a file, in slices of any size.
#[derive(Debug, Clone, Default)]
pub struct RecordWalk {
    records: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Between,
    /// The first octet of a length.
    Length(u8),
    /// Octets that the open record still has.
    Record(u16),
}

impl RecordWalk {
    /// Takes the next octets, and shows those that belong to records.
    pub fn walk(&mut self, mut octets: &[u8], mut data: impl FnMut(&[u8])) {
        while let Some((&first, rest)) = octets.split_first() {
            match self.state {
                State::Between => {
                    self.state = State::Length(first);
                    octets = rest;
                }
                State::Length(high) => {
                    self.open(u16::from_be_bytes([high, first]));
                    octets = rest;
                }
                State::Record(left) => {
                    let (record, rest) = octets.split_at(usize::from(left).min(octets.len()));
                    data(record);
                    let taken = u16::try_from(record.len()).unwrap_or(left);
                    self.state = State::Record(left - taken);
                    octets = rest;
                }
            }
            if self.state == State::Record(0) {
                self.state = State::Between;
                self.records += 1;
            }
        }
    }

    fn open(&mut self, octets: u16) {
        self.state = State::Record(octets);
    }

    /// Records that were complete so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// True if the last record was complete.
    pub fn is_whole(&self) -> bool {
        self.state == State::Between
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"\x00\x03abc\x00\x00\x00\x01x";

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
}
