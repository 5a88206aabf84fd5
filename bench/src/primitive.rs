//! What envelopes are made of, each alone: the limit of every stage.

use std::hint::black_box;

use aws_lc_rs::cipher::{
    AES_256, Algorithm, DecryptingKey, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{KeyPair, Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::{digest, rand, signature};
use libdeflater::{CompressionLvl, Compressor};
use odile_envelope::HashAlgorithm;
use zlib_rs::{Inflate, InflateFlush, Status};

/// Octets that are compressed as one, as the envelopes do it.
pub const CHUNK_BYTES: usize = 1 << 20;

/// One hash as RustCrypto does it: what the envelopes use, because its midstate can be stored.
pub fn hash(algorithm: HashAlgorithm, octets: &[u8]) {
    use sha2::Digest as _;
    match algorithm {
        HashAlgorithm::Sha1 => drop(black_box(sha1::Sha1::digest(octets))),
        HashAlgorithm::Sha256 => drop(black_box(sha2::Sha256::digest(octets))),
        HashAlgorithm::Sha512 => drop(black_box(sha2::Sha512::digest(octets))),
        HashAlgorithm::Sha3_512 => drop(black_box(sha3::Sha3_512::digest(octets))),
        other => unreachable!("{other:?} is in no suite"),
    }
}

/// The same hash as AWS-LC does it.
pub fn hash_of_aws_lc(algorithm: HashAlgorithm, octets: &[u8]) {
    let algorithm = match algorithm {
        HashAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha512 => &digest::SHA512,
        HashAlgorithm::Sha3_512 => &digest::SHA3_512,
        other => unreachable!("{other:?} is in no suite"),
    };
    black_box(digest::digest(algorithm, octets));
}

/// A cipher in CBC mode, in place.
pub struct Cbc {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
    block_bytes: usize,
}

impl Cbc {
    /// AES-256.
    pub fn aes() -> Self {
        Self::new(&AES_256, b"one key of 256 bits, as they say", 16)
    }

    /// 3DES.
    pub fn triple_des() -> Self {
        #[allow(deprecated, reason = "suite 01 is mandatory (RFC 5024 §10.2)")]
        let cipher = &aws_lc_rs::cipher::DES_EDE3_FOR_LEGACY_USE_ONLY;
        Self::new(cipher, b"three keys of 3DES, odd.", 8)
    }

    fn new(cipher: &'static Algorithm, key: &[u8], block_bytes: usize) -> Self {
        let key = || UnboundCipherKey::new(cipher, key).expect("a key");
        Self {
            encrypting: EncryptingKey::cbc(key()).expect("a key"),
            decrypting: DecryptingKey::cbc(key()).expect("a key"),
            block_bytes,
        }
    }

    /// Encrypts whole blocks.
    pub fn encrypt(&self, blocks: &mut [u8]) {
        self.encrypting.less_safe_encrypt(blocks, self.context()).expect("whole blocks");
    }

    /// Decrypts whole blocks.
    pub fn decrypt(&self, blocks: &mut [u8]) {
        self.decrypting.decrypt(blocks, self.context().into()).expect("whole blocks");
    }

    fn context(&self) -> EncryptionContext {
        if self.block_bytes == 8 {
            EncryptionContext::Iv64(FixedLength::from([1; 8]))
        } else {
            EncryptionContext::Iv128(FixedLength::from([1; 16]))
        }
    }
}

/// Deflate in chunks that know nothing of each other.
pub struct Deflate {
    compressor: Compressor,
    room: Vec<u8>,
}

impl Deflate {
    /// At a level from 1 to 12.
    pub fn new(level: i32) -> Self {
        let mut compressor = Compressor::new(CompressionLvl::new(level).expect("a level"));
        let room = vec![0; compressor.deflate_compress_bound(CHUNK_BYTES)];
        Self { compressor, room }
    }

    /// Compresses a file; gives the octets that it came to.
    pub fn compress(&mut self, source: &[u8]) -> usize {
        let chunks = source.chunks(CHUNK_BYTES);
        chunks.map(|chunk| self.compressor.deflate_compress(chunk, &mut self.room).expect("room")).sum()
    }
}

impl Deflate {
    /// The chunks of a file, each compressed.
    pub fn chunks(&mut self, source: &[u8]) -> Vec<Vec<u8>> {
        let pack = |chunk: &[u8]| {
            let count = self.compressor.deflate_compress(chunk, &mut self.room).expect("room");
            self.room[..count].to_vec()
        };
        source.chunks(CHUNK_BYTES).map(pack).collect()
    }
}

/// Inflates raw deflate into a room that is used again and again; gives the octets that it came to.
pub fn inflate(mut stream: &[u8], room: &mut [u8]) -> u64 {
    let mut inflate = Inflate::new(false, 15);
    loop {
        let before = inflate.total_in();
        let status = inflate.decompress(stream, room, InflateFlush::NoFlush).expect("deflate");
        black_box(&room);
        stream = &stream[usize::try_from(inflate.total_in() - before).expect("a part of it")..];
        if status == Status::StreamEnd {
            return inflate.total_out();
        }
    }
}

/// Adler-32.
pub fn adler(octets: &[u8]) {
    black_box(zlib_rs::adler32::adler32(1, octets));
}

/// An RSA key without anything around it.
pub struct Rsa {
    pair: KeyPair,
    unwrapping: Pkcs1PrivateDecryptingKey,
    wrapping: Pkcs1PublicEncryptingKey,
    signature: Vec<u8>,
    wrapped: Vec<u8>,
}

impl Rsa {
    /// From PKCS#8.
    pub fn new(pkcs8: &[u8]) -> Self {
        let private = PrivateDecryptingKey::from_pkcs8(pkcs8).expect("a key");
        let wrapping = Pkcs1PublicEncryptingKey::new(private.public_key()).expect("a key");
        let mut rsa = Self {
            pair: KeyPair::from_pkcs8(pkcs8).expect("a key"),
            unwrapping: Pkcs1PrivateDecryptingKey::new(private).expect("a key"),
            wrapping,
            signature: Vec::new(),
            wrapped: Vec::new(),
        };
        rsa.signature = rsa.sign();
        rsa.wrapped = rsa.wrap();
        rsa
    }

    /// Signs something small with SHA-256.
    pub fn sign(&self) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = rand::SystemRandom::new();
        self.pair.sign(&signature::RSA_PKCS1_SHA256, &random, SMALL, &mut signature).expect("a key");
        signature
    }

    /// Verifies that; gives its octets.
    pub fn verify(&self) -> usize {
        let public =
            signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, self.pair.public_key());
        public.verify(SMALL, &self.signature).expect("just signed");
        self.signature.len()
    }

    /// Wraps a key of 32 octets.
    pub fn wrap(&self) -> Vec<u8> {
        let mut wrapped = vec![0; self.wrapping.ciphertext_size()];
        self.wrapping.encrypt(&[7; 32], &mut wrapped).expect("room");
        wrapped
    }

    /// Unwraps it; gives the octets of the key.
    pub fn unwrap(&self) -> usize {
        let mut room = vec![0; self.unwrapping.min_output_size()];
        self.unwrapping.decrypt(&self.wrapped, &mut room).expect("just wrapped").len()
    }
}

const SMALL: &[u8] = b"about as long as the attributes that a signature in CMS is computed over, in all";
