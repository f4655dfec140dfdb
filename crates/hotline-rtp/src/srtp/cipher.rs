//! Session keys and what they do to bytes.

use aes::{
    Aes128, Block,
    cipher::{BlockEncrypt, KeyInit as _},
};
use aes_gcm::{AeadInPlace, Aes128Gcm};
use hmac::{Hmac, KeyInit as _, Mac};
use sha1::Sha1;

use super::{KEY, MasterKey, SALT, SrtpError, SrtpProfile};

/// Bytes of an AES block.
const BLOCK: usize = 16;

/// Blocks of key stream made at once; the processor works on eight at a time.
const BLOCKS: usize = 8;

/// Bytes of the key of HMAC-SHA1.
const MAC_KEY: usize = 20;

/// Bytes of a GCM tag.
const GCM_TAG: usize = 16;

/// Bytes of a nonce of GCM.
const NONCE: usize = 12;

/// The keys of RTP or of RTCP of one direction.
pub(super) enum Session {
    Cm(Box<Cm>),
    Gcm(Box<Gcm>),
}

/// AES in counter mode with HMAC-SHA1 (RFC 3711 §4.1.1, §4.2.1).
pub(super) struct Cm {
    cipher: Aes128,
    salt: [u8; SALT],
    /// Has taken in its key already.
    mac: Hmac<Sha1>,
    /// Bytes of the tag.
    pub(super) tag: usize,
}

/// AES-GCM (RFC 7714).
pub(super) struct Gcm {
    cipher: Aes128Gcm,
    salt: [u8; NONCE],
}

/// Labels of key, authentication key and salt (RFC 3711 §4.3.1).
const RTP: [u8; 3] = [0, 1, 2];
const RTCP: [u8; 3] = [3, 4, 5];

impl Session {
    pub(super) fn rtp(master: &MasterKey) -> Self {
        let tag = match master.profile {
            SrtpProfile::AesCm128HmacSha1_32 => 4,
            SrtpProfile::AesCm128HmacSha1_80 | SrtpProfile::AeadAes128Gcm => 10,
        };
        Self::derive(master, RTP, tag)
    }

    pub(super) fn rtcp(master: &MasterKey) -> Self {
        Self::derive(master, RTCP, 10)
    }

    fn derive(master: &MasterKey, [key, mac, salt]: [u8; 3], tag: usize) -> Self {
        let (key, salt) = (expand::<KEY>(master, key), expand::<SALT>(master, salt));
        match master.profile {
            SrtpProfile::AesCm128HmacSha1_80 | SrtpProfile::AesCm128HmacSha1_32 => {
                Self::Cm(Box::new(Cm::new(&key, salt, &expand(master, mac), tag)))
            }
            SrtpProfile::AeadAes128Gcm => {
                let [salt @ .., _, _] = salt;
                Self::Gcm(Box::new(Gcm::new(&key, salt)))
            }
        }
    }
}

/// The key derivation function (RFC 3711 §4.3.3), with a rate of zero.
pub(super) fn expand<const N: usize>(master: &MasterKey, label: u8) -> [u8; N] {
    let mut place = master.salt;
    if let Some(it) = place.get_mut(7) {
        *it ^= label;
    }
    let mut derived = [0; N];
    key_stream(&Aes128::new(&master.key.into()), &place, &mut derived);
    derived
}

/// Adds the key stream of AES in counter mode that begins at `place` times 2¹⁶ (RFC 3711 §4.1.1).
fn key_stream(cipher: &Aes128, place: &[u8; SALT], data: &mut [u8]) {
    let mut counter = 0_u16;
    for chunk in data.chunks_mut(BLOCK * BLOCKS) {
        let mut blocks = [Block::default(); BLOCKS];
        let n = chunk.len().div_ceil(BLOCK);
        let blocks = blocks.get_mut(..n).unwrap_or_default();
        for block in &mut *blocks {
            let (front, back) = block.split_at_mut(SALT);
            front.copy_from_slice(place);
            back.copy_from_slice(&counter.to_be_bytes());
            counter = counter.wrapping_add(1);
        }
        cipher.encrypt_blocks(blocks);
        for (byte, key) in chunk.iter_mut().zip(blocks.iter().flatten()) {
            *byte ^= key;
        }
    }
}

impl Cm {
    pub(super) fn new(key: &[u8; KEY], salt: [u8; SALT], mac: &[u8; MAC_KEY], tag: usize) -> Self {
        // HMAC fills a key up with zeros to a block of the hash (RFC 2104 §2).
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(mac) {
            *to = *from;
        }
        Self { cipher: Aes128::new(key.into()), salt, mac: Hmac::new(&block.into()), tag }
    }

    /// Encrypts or decrypts, which is the same.
    pub(super) fn apply(&self, ssrc: u32, index: u64, data: &mut [u8]) {
        let mut place = self.salt;
        let [_, _, index @ ..] = index.to_be_bytes();
        let at = ssrc.to_be_bytes().into_iter().chain(index);
        for (byte, it) in place.iter_mut().skip(4).zip(at) {
            *byte ^= it;
        }
        key_stream(&self.cipher, &place, data);
    }

    /// Writes the tag of `data` and what is not sent with it into `tag`.
    pub(super) fn sign(&self, data: &[u8], unsent: &[u8], tag: &mut [u8]) {
        let sum = self.mac_of(data, unsent).finalize().into_bytes();
        for (to, from) in tag.iter_mut().zip(sum) {
            *to = from;
        }
    }

    /// In the same time wherever the first difference is.
    pub(super) fn verify(&self, data: &[u8], unsent: &[u8], tag: &[u8]) -> Result<(), SrtpError> {
        self.mac_of(data, unsent).verify_truncated_left(tag).map_err(|_| SrtpError::BadTag)
    }

    fn mac_of(&self, data: &[u8], unsent: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.mac.clone();
        mac.update(data);
        mac.update(unsent);
        mac
    }
}

impl Gcm {
    pub(super) const TAG: usize = GCM_TAG;

    pub(super) fn new(key: &[u8; KEY], salt: [u8; NONCE]) -> Self {
        Self { cipher: Aes128Gcm::new(key.into()), salt }
    }

    /// Encrypts `data` and writes the tag of it and of `clear`, which stays as it is.
    pub(super) fn seal(
        &self,
        (ssrc, index): (u32, u64),
        clear: &[u8],
        data: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), SrtpError> {
        let nonce = self.nonce(ssrc, index);
        let sum = self.cipher.encrypt_in_place_detached(&nonce.into(), clear, data);
        tag.copy_from_slice(&sum.map_err(|_| SrtpError::Exhausted)?);
        Ok(())
    }

    pub(super) fn open(
        &self,
        (ssrc, index): (u32, u64),
        clear: &[u8],
        data: &mut [u8],
        tag: &[u8; GCM_TAG],
    ) -> Result<(), SrtpError> {
        let nonce = self.nonce(ssrc, index);
        self.cipher
            .decrypt_in_place_detached(&nonce.into(), clear, data, tag.into())
            .map_err(|_| SrtpError::BadTag)
    }

    /// Two zeros, SSRC, roll-over counter and sequence number (RFC 7714 §8.1); an index of RTCP
    /// fills the last four bytes of the same place (§9.1).
    fn nonce(&self, ssrc: u32, index: u64) -> [u8; NONCE] {
        let mut nonce = self.salt;
        let [_, _, index @ ..] = index.to_be_bytes();
        let at = ssrc.to_be_bytes().into_iter().chain(index);
        for (byte, it) in nonce.iter_mut().skip(2).zip(at) {
            *byte ^= it;
        }
        nonce
    }
}
