//! Randomness: keys, initialisation vectors, challenges.

/// Fills `octets` with octets that nobody can predict.
///
/// # Panics
///
/// If the system has no randomness to give: then nothing secure can be done.
pub(crate) fn fill(octets: &mut [u8]) {
    let filled = aws_lc_rs::rand::fill(octets);
    assert!(filled.is_ok(), "the system has no randomness to give");
}
