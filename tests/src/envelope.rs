//! Envelopes as a partner sends them, right ones and such as nobody should make.

use std::sync::Arc;

use odile_station::envelope::seal::Embed;
use odile_station::envelope::{
    ContentCipher, Declared, OpenFinish, OpenTerms, Opener, SealOptions, SealPlan, SealRequest, Sealer,
    Services, Suite, sign_message,
};
use odile_wire::command::{Security, StartFile};

use crate::asn1::{Node, element};
use crate::peer::sfid;
use crate::pki::Issued;

/// SignedData only.
pub const SIGN: Services = Services { sign: true, ..Services::NONE };
/// CompressedData only.
pub const COMPRESS: Services = Services { compress: true, ..Services::NONE };
/// EnvelopedData only.
pub const ENCRYPT: Services = Services { encrypt: true, ..Services::NONE };
/// All but encrypted.
pub const SIGN_COMPRESS: Services = Services { encrypt: false, ..Services::ALL };
/// All but compressed.
pub const SIGN_ENCRYPT: Services = Services { compress: false, ..Services::ALL };
/// All but signed.
pub const COMPRESS_ENCRYPT: Services = Services { sign: false, ..Services::ALL };

/// From whom and for whom.
#[derive(Clone, Copy)]
pub struct Sealing<'a> {
    /// The suite.
    pub suite: Suite,
    /// Who signs.
    pub signer: &'a Issued,
    /// Who can read it.
    pub recipient: &'a Issued,
    /// The rest.
    pub options: SealOptions,
}

impl<'a> Sealing<'a> {
    /// With suite 04 and small segments.
    pub fn new(signer: &'a Issued, recipient: &'a Issued) -> Self {
        let options = SealOptions { chunk_bytes: 4096, segment_bytes: 1024, ..SealOptions::default() };
        Self { suite: Suite::S04, signer, recipient, options }
    }

    /// The same with another suite.
    pub fn suite(self, suite: Suite) -> Self {
        Self { suite, ..self }
    }

    /// Puts a content into an envelope.
    pub fn seal(&self, services: Services, content: &[u8]) -> Vec<u8> {
        let request = SealRequest {
            suite: self.suite,
            services,
            source_bytes: content.len() as u64,
            signing_time: SIGNING_TIME,
            signer: Some(self.signer.identity.certificate()),
            recipient: Some(self.recipient.identity.certificate()),
            options: self.options,
        };
        let plan = Arc::new(SealPlan::new(&request, &mut entropy()).expect("a plan"));
        let mut sealer = Sealer::new(plan, Some(self.signer.identity.key())).expect("a sealer");
        let (mut stream, mut room, mut rest) = (Vec::new(), vec![0; 1 << 16], content);
        while !rest.is_empty() {
            let progress = sealer.push(rest, &mut room).expect("a source as planned");
            rest = &rest[progress.consumed..];
            stream.extend_from_slice(&room[..progress.written]);
        }
        while !sealer.is_done() {
            let written = sealer.finish(&mut room).expect("a source as planned");
            stream.extend_from_slice(&room[..written]);
        }
        stream
    }
}

/// Opens an envelope with these services, and verifies it; gives the content.
pub fn opened(services: Services, envelope: &[u8], signer: &Issued, recipient: &Issued) -> Vec<u8> {
    let mut opener = Opener::new(Arc::new(OpenTerms {
        declared: Declared::Services(services),
        recipients: vec![Arc::clone(&recipient.identity)],
        signers: vec![Arc::new(signer.identity.certificate().clone())],
        now: None,
        output_bytes_max: u64::MAX,
        transmitted_hash: None,
    }));
    let (mut content, mut room, mut rest) = (Vec::new(), vec![0; 1 << 16], envelope);
    while !rest.is_empty() {
        let progress = opener.push(rest, &mut room).expect("an envelope");
        rest = &rest[progress.consumed..];
        content.extend_from_slice(&room[..progress.written]);
    }
    while let OpenFinish::More { written } = opener.finish(&mut room).expect("the whole envelope") {
        content.extend_from_slice(&room[..written]);
    }
    content
}

/// SFID for an envelope of so many octets, with these services and this suite. The name tells files apart.
pub fn announced(name: &str, services: Services, suite: u8, octets: usize) -> StartFile {
    StartFile {
        security: match (services.encrypt, services.sign) {
            (false, false) => Security::None,
            (true, false) => Security::Encrypted,
            (false, true) => Security::Signed,
            (true, true) => Security::EncryptedAndSigned,
        },
        cipher_suite: suite,
        compression: u8::from(services.compress),
        envelope: 1,
        ..sfid(name, octets)
    }
}

/// SignedData in DER, as other products write it.
///
/// ```text
/// ContentInfo ─ 1 ─ 0 ─┬─ 0 version
///                      ├─ 1 digest algorithms
///                      ├─ 2 ─ 1 ─ 0 content
///                      └─ 3 ─ 0 signer
/// ```
pub fn signed(suite: Suite, signer: &Issued, content: &[u8], embed: Embed) -> Node {
    let envelope = sign_message(suite, &signer.identity, content, SIGNING_TIME, embed);
    Node::parse(&envelope.expect("it can be signed"))
}

/// CompressedData around a zlib stream, in DER.
pub fn compressed(zlib: &[u8]) -> Vec<u8> {
    let content = element(0xA0, &element(0x04, zlib));
    let inner = element(0x30, &[&DATA[..], &content].concat());
    let algorithm = element(0x30, &ZLIB);
    let body = element(0x30, &[&[0x02, 1, 0][..], &algorithm, &inner].concat());
    element(0x30, &[&COMPRESSED_DATA[..], &element(0xA0, &body)].concat())
}

/// A zlib stream (RFC 1950) of stored blocks.
pub fn zlib(content: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut chunks = content.chunks(0xFFFF).peekable();
    if chunks.peek().is_none() {
        stream.extend([1, 0, 0, 0xFF, 0xFF]);
    }
    while let Some(chunk) = chunks.next() {
        let length = u16::try_from(chunk.len()).expect("a chunk");
        stream.push(u8::from(chunks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend_from_slice(chunk);
    }
    stream.extend(adler32(content).to_be_bytes());
    stream
}

fn adler32(content: &[u8]) -> u32 {
    let (a, b) = content.iter().fold((1_u32, 0_u32), |(a, b), octet| {
        let a = (a + u32::from(*octet)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

/// EnvelopedData with definite lengths and its ciphertext in one piece, from one in segments.
pub fn in_one_piece(enveloped: &[u8]) -> Vec<u8> {
    let mut tree = Node::parse(enveloped);
    let ciphertext = tree.at(&[1, 0, 2, 2]);
    *ciphertext = Node::Leaf(0x80, ciphertext.string());
    tree.definite()
}

/// Where the octets of the wrapped key are in an envelope.
pub fn wrapped_key_at(envelope: &[u8]) -> usize {
    let front = [&RSA_ENCRYPTION[..], &[0x05, 0, 0x04, 0x82, 1, 0]].concat();
    position(envelope, &front) + front.len()
}

/// Where the initialisation vector is in an envelope.
pub fn vector_at(envelope: &[u8], cipher: ContentCipher) -> usize {
    let oid = match cipher {
        ContentCipher::Aes256Cbc => &AES_256_CBC[..],
        other => unreachable!("no test needs {other:?}"),
    };
    position(envelope, oid) + oid.len() + 2
}

/// Where these octets are.
pub fn position(octets: &[u8], wanted: &[u8]) -> usize {
    octets.windows(wanted.len()).position(|window| window == wanted).expect("it is there")
}

/// The same with one bit flipped.
pub fn flipped(octets: &[u8], at: usize) -> Vec<u8> {
    let mut flipped = octets.to_vec();
    flipped[at] ^= 0x10;
    flipped
}

/// Octets that look random (SplitMix64), always the same.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let mut octets = Vec::with_capacity(count + 8);
    while octets.len() < count {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        octets.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    octets.truncate(count);
    octets
}

/// A source of octets for keys that protect nothing.
pub fn entropy() -> impl FnMut(&mut [u8]) {
    let mut calls = 0;
    move |octets: &mut [u8]| {
        calls += 1;
        octets.copy_from_slice(&noise(calls, octets.len()));
    }
}

/// 2026-11-23 12:00:00 UTC.
pub const SIGNING_TIME: u64 = 1_795_435_200;

/// id-data, as an element (RFC 5652 §4).
const DATA: [u8; 11] = [0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 1];
/// id-ct-compressedData (RFC 3274 §1.1).
const COMPRESSED_DATA: [u8; 13] = [0x06, 11, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 16, 1, 9];
/// id-alg-zlibCompress (RFC 3274 §2).
const ZLIB: [u8; 13] = [0x06, 11, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 16, 3, 8];
/// rsaEncryption (RFC 8017).
const RSA_ENCRYPTION: [u8; 11] = [0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1];
/// aes256-CBC (RFC 3565).
const AES_256_CBC: [u8; 11] = [0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2A];
