//! CBC with an explicit chain: the state between two calls is one block of ciphertext, and can be stored.
//!
//! What does not fill a block is the caller's: these types take whole blocks only.

use aes::Aes256Enc;
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use const_oid::ObjectIdentifier;
use subtle::{ConstantTimeEq as _, ConstantTimeGreater as _};
use zeroize::Zeroizing;

use crate::algorithm as oid;
use crate::entropy::Entropy;
use crate::error::Misuse;
use crate::suite::ContentCipher;
use crate::weave;

/// Largest block of a [`ContentCipher`], in octets.
pub(crate) const BLOCK_BYTES_MAX: usize = 16;
/// Keys drawn before we give up: 3DES refuses weak ones, which is less likely than anything else that can happen.
const KEY_DRAWS_MAX: usize = 8;

impl ContentCipher {
    /// Octets of a block, and of the initialisation vector.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::TripleDesCbc => 8,
            Self::Aes128Cbc | Self::Aes192Cbc | Self::Aes256Cbc => 16,
        }
    }

    /// Octets of the key.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::TripleDesCbc | Self::Aes192Cbc => 24,
            Self::Aes128Cbc => 16,
            Self::Aes256Cbc => 32,
        }
    }

    pub(crate) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::TripleDesCbc => oid::DES_EDE3_CBC,
            Self::Aes128Cbc => oid::AES128_CBC,
            Self::Aes192Cbc => oid::AES192_CBC,
            Self::Aes256Cbc => oid::AES256_CBC,
        }
    }

    pub(crate) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        [Self::TripleDesCbc, Self::Aes128Cbc, Self::Aes192Cbc, Self::Aes256Cbc]
            .into_iter()
            .find(|cipher| cipher.oid() == oid)
    }

    /// Draws a key that the cipher accepts.
    pub(crate) fn draw_key(self, entropy: &mut dyn Entropy) -> Result<Zeroizing<Vec<u8>>, Misuse> {
        for _ in 0..KEY_DRAWS_MAX {
            let mut key = Zeroizing::new(vec![0; self.key_bytes()]);
            entropy.fill(&mut key);
            if self.is_usable(&key) {
                return Ok(key);
            }
        }
        Err(Misuse::Crypto("the random source gives only keys that the cipher refuses"))
    }

    /// Whether the cipher accepts the key: right length, and for 3DES no weak part.
    pub(crate) fn is_usable(self, key: &[u8]) -> bool {
        self.bind(key).is_ok_and(|key| EncryptingKey::cbc(key).is_ok())
    }

    fn bind(self, key: &[u8]) -> Result<UnboundCipherKey, Misuse> {
        UnboundCipherKey::new(self.algorithm(), key).map_err(|_| Misuse::Crypto("content key"))
    }

    fn algorithm(self) -> &'static Algorithm {
        #[allow(deprecated, reason = "suites 01, 03 and 05 are 3DES, and 01 is mandatory (RFC 5024 §10.2)")]
        match self {
            Self::TripleDesCbc => &aws_lc_rs::cipher::DES_EDE3_FOR_LEGACY_USE_ONLY,
            Self::Aes128Cbc => &AES_128,
            Self::Aes192Cbc => &AES_192,
            Self::Aes256Cbc => &AES_256,
        }
    }
}

/// The last block of ciphertext, or the initialisation vector before the first.
#[derive(Clone, Copy)]
struct Chain {
    octets: [u8; BLOCK_BYTES_MAX],
    block_bytes: usize,
}

impl Chain {
    fn new(cipher: ContentCipher, chain: &[u8]) -> Result<Self, Misuse> {
        let block_bytes = cipher.block_bytes();
        if chain.len() != block_bytes {
            return Err(Misuse::OutOfRange("the length of an initialisation vector"));
        }
        let mut octets = [0; BLOCK_BYTES_MAX];
        octets[..block_bytes].copy_from_slice(chain);
        Ok(Self { octets, block_bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.block_bytes]
    }

    fn advance(&mut self, ciphertext: &[u8]) {
        self.octets[..self.block_bytes].copy_from_slice(&ciphertext[ciphertext.len() - self.block_bytes..]);
    }

    fn for_encryption(&self) -> EncryptionContext {
        match self.octets.first_chunk::<8>() {
            Some(short) if self.block_bytes == 8 => EncryptionContext::Iv64(FixedLength::from(short)),
            _ => EncryptionContext::Iv128(FixedLength::from(self.octets)),
        }
    }

    fn for_decryption(&self) -> DecryptionContext {
        self.for_encryption().into()
    }
}

/// Encrypts whole blocks in place.
pub(crate) struct Encryptor {
    key: EncryptingKey,
    chain: Chain,
    /// The same key, where it is woven with hashes.
    weaving: Option<Box<Aes256Enc>>,
}

impl Encryptor {
    /// Goes on behind `chain`: the initialisation vector, or the last block of ciphertext.
    pub fn new(cipher: ContentCipher, key: &[u8], chain: &[u8]) -> Result<Self, Misuse> {
        let chain = Chain::new(cipher, chain)?;
        let weaving = match cipher {
            ContentCipher::Aes256Cbc => weave::cipher(key).map(Box::new),
            _ => None,
        };
        let key = EncryptingKey::cbc(cipher.bind(key)?).map_err(|_| Misuse::Crypto("content key"))?;
        Ok(Self { key, chain, weaving })
    }

    /// Cipher and chain, if they can be woven.
    pub fn weaving(&mut self) -> Option<(&Aes256Enc, &mut [u8; BLOCK_BYTES_MAX])> {
        self.weaving.as_deref().map(|cipher| (cipher, &mut self.chain.octets))
    }

    /// Encrypts whole blocks.
    pub fn encrypt(&mut self, blocks: &mut [u8]) -> Result<(), Misuse> {
        if blocks.is_empty() {
            return Ok(());
        }
        self.key
            .less_safe_encrypt(blocks, self.chain.for_encryption())
            .map_err(|_| Misuse::Crypto("encryption"))?;
        self.chain.advance(blocks);
        Ok(())
    }

    /// The last block of ciphertext.
    pub fn chain(&self) -> &[u8] {
        self.chain.as_bytes()
    }
}

/// Decrypts whole blocks in place.
pub(crate) struct Decryptor {
    key: DecryptingKey,
    chain: Chain,
}

impl Decryptor {
    /// Goes on behind `chain`: the initialisation vector, or the last block of ciphertext.
    pub fn new(cipher: ContentCipher, key: &[u8], chain: &[u8]) -> Result<Self, Misuse> {
        let chain = Chain::new(cipher, chain)?;
        let key = DecryptingKey::cbc(cipher.bind(key)?).map_err(|_| Misuse::Crypto("content key"))?;
        Ok(Self { key, chain })
    }

    /// Decrypts whole blocks.
    pub fn decrypt(&mut self, blocks: &mut [u8]) -> Result<(), Misuse> {
        if blocks.is_empty() {
            return Ok(());
        }
        let before = self.chain;
        self.chain.advance(blocks);
        self.key.decrypt(blocks, before.for_decryption()).map_err(|_| Misuse::Crypto("decryption"))?;
        Ok(())
    }

    /// The last block of ciphertext.
    pub fn chain(&self) -> &[u8] {
        self.chain.as_bytes()
    }
}

/// Octets of content in the last block (RFC 5652 §6.3), found without branching on what is in it.
pub(crate) fn unpadded(block: &[u8]) -> Option<usize> {
    let length = u8::try_from(block.len()).ok()?;
    let padding = *block.last()?;
    let mut is_good = !padding.ct_eq(&0) & !padding.ct_gt(&length);
    for (at, octet) in block.iter().rev().enumerate() {
        let is_behind = u8::try_from(at).ok()?;
        let is_padding = padding.ct_gt(&is_behind);
        is_good &= !is_padding | octet.ct_eq(&padding);
    }
    bool::from(is_good).then(|| block.len() - usize::from(padding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_one_to_a_block() {
        assert_eq!(unpadded(&[1, 2, 3, 4, 5, 6, 7, 1]), Some(7));
        assert_eq!(unpadded(&[8; 8]), Some(0));
        assert_eq!(unpadded(&[1, 2, 3, 4, 5, 6, 7, 0]), None);
        assert_eq!(unpadded(&[9; 8]), None);
        assert_eq!(unpadded(&[1, 2, 3, 4, 5, 3, 2, 3]), None);
        assert_eq!(unpadded(&[]), None);
    }
}
