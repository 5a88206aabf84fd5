#![no_main]

// By path, not through the crate: it depends on the whole station, which would be built with libFuzzer's flags.
#[path = "../../src/fuzz_envelope.rs"]
#[allow(dead_code, reason = "the other targets' bodies")]
mod fuzz_envelope;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_envelope::checkpoint(data));
