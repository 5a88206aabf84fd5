//! Keys made once, and plans.

use std::sync::{Arc, OnceLock};

use odile_envelope::{
    Certificate, Declared, Identity, OpenTerms, PrivateKey, SealOptions, SealPlan, SealRequest, Services,
    Suite,
};

use crate::sample::Noise;

/// Signer and recipient in one.
pub fn station() -> &'static Arc<Identity> {
    static STATION: OnceLock<Arc<Identity>> = OnceLock::new();
    STATION.get_or_init(|| {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let params = rcgen::CertificateParams::new(vec!["station.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let certificate = Certificate::from_bytes(certificate.der()).unwrap();
        let key = PrivateKey::from_bytes(&key.serialize_der(), None).unwrap();
        Arc::new(Identity::new(certificate, key).unwrap())
    })
}

pub fn plan(suite: Suite, services: Services, source_bytes: usize, pieces: (u32, u32)) -> Arc<SealPlan> {
    let certificate = station().certificate();
    let request = SealRequest {
        suite,
        services,
        source_bytes: source_bytes as u64,
        signing_time: 1_795_435_200,
        signer: Some(certificate),
        recipient: Some(certificate),
        options: SealOptions { chunk_bytes: pieces.0, segment_bytes: pieces.1, ..SealOptions::default() },
    };
    let mut noise = Noise::new(source_bytes as u64);
    Arc::new(SealPlan::new(&request, &mut |octets: &mut [u8]| noise.fill(octets)).unwrap())
}

pub fn terms(suite: Suite, services: Services) -> Arc<OpenTerms> {
    Arc::new(OpenTerms {
        declared: Declared::Services(services),
        recipients: vec![Arc::clone(station())],
        signers: vec![Arc::new(station().certificate().clone())],
        now: None,
        output_bytes_max: 1 << 40,
        transmitted_hash: Some(suite.hash()),
    })
}
