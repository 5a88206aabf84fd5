//! Octets that wait for room.

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
        let waiting = &self.octets[self.at..];
        let count = waiting.len().min(out.len());
        out[..count].copy_from_slice(&waiting[..count]);
        self.at += count;
        count
    }
}
