//! Octets that wait for room, and the room that they wait for.

/// Small octets that wait for room: headers, the trailer, a block that did not fit.
#[derive(Default)]
pub(crate) struct Queue {
    octets: Vec<u8>,
    at: usize,
}

impl Queue {
    pub fn from_stored(octets: &[u8]) -> Self {
        Self { octets: octets.to_vec(), at: 0 }
    }

    pub fn waiting(&self) -> &[u8] {
        &self.octets[self.at..]
    }

    pub fn is_empty(&self) -> bool {
        self.at == self.octets.len()
    }

    pub fn push(&mut self, octets: &[u8]) {
        if self.is_empty() {
            self.octets.clear();
            self.at = 0;
        }
        self.octets.extend_from_slice(octets);
    }

    pub fn drain_into(&mut self, out: &mut [u8]) -> usize {
        let mut room = &mut *out;
        self.drain_to(&mut room);
        let left = room.len();
        out.len() - left
    }

    pub fn drain_to(&mut self, room: &mut impl Room) {
        let waiting = &self.octets[self.at..];
        let count = waiting.len().min(room.left());
        room.put(&waiting[..count]);
        self.at += count;
    }
}

/// Where octets go, one behind the other.
pub(crate) trait Room {
    /// Octets that fit.
    fn left(&self) -> usize;

    /// Takes octets that fit.
    fn put(&mut self, octets: &[u8]);
}

/// The rest of a slice.
impl Room for &mut [u8] {
    fn left(&self) -> usize {
        self.len()
    }

    fn put(&mut self, octets: &[u8]) {
        let (place, rest) = std::mem::take(self).split_at_mut(octets.len());
        place.copy_from_slice(octets);
        *self = rest;
    }
}

/// A buffer that grows up to a length, so that nothing need be filled before.
pub(crate) struct UpTo<'a> {
    pub octets: &'a mut Vec<u8>,
    pub bytes_max: usize,
}

impl Room for UpTo<'_> {
    fn left(&self) -> usize {
        self.bytes_max.saturating_sub(self.octets.len())
    }

    fn put(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }
}
