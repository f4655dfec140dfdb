//! Session keys and what they do to bytes.

use std::hint::black_box;

use aes::{
    Aes128Enc, Block,
    cipher::{BlockEncrypt, KeyInit as _},
};
use aes_gcm::{AeadInPlace, Aes128Gcm};

use super::{
    KEY, MasterKey, SALT, SrtpError, SrtpProfile,
    mac::{MAC_KEY, Mac},
};

/// Bytes of an AES block.
const BLOCK: usize = 16;

/// Blocks of key stream made at once, which is a packet as a rule.
const BLOCKS: usize = 16;

/// Bytes of a GCM tag.
const GCM_TAG: usize = 16;

/// Bytes of a nonce of GCM.
const NONCE: usize = 12;

/// The keys of RTP or of RTCP of one direction, ready for use.
pub(super) enum Session {
    Cm(Cm),
    Gcm(Gcm),
}

/// The same as bytes, for what is seldom used: a report each few seconds.
pub(super) struct Keys {
    profile: SrtpProfile,
    key: [u8; KEY],
    mac: [u8; MAC_KEY],
    salt: [u8; SALT],
    /// Bytes of the tag of counter mode.
    tag: usize,
}

/// AES in counter mode with HMAC-SHA1 (RFC 3711 §4.1.1, §4.2.1).
///
/// What a packet needs lies together, in four cache lines: behind its eleven round keys the cipher
/// has room for another kind of processor.
#[repr(C)]
pub(super) struct Cm {
    mac: Mac,
    salt: [u8; SALT],
    /// Bytes of the tag.
    pub(super) tag: usize,
    cipher: Aes128Enc,
}

/// AES-GCM (RFC 7714).
pub(super) struct Gcm {
    cipher: Aes128Gcm,
    salt: [u8; NONCE],
}

/// Labels of key, authentication key and salt (RFC 3711 §4.3.1).
const RTP: [u8; 3] = [0, 1, 2];
const RTCP: [u8; 3] = [3, 4, 5];

impl Keys {
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
        let profile = master.profile;
        let (key, mac, salt) = (expand(master, key), expand(master, mac), expand(master, salt));
        Self { profile, key, mac, salt, tag }
    }

    pub(super) fn session(&self) -> Session {
        match self.profile {
            SrtpProfile::AesCm128HmacSha1_80 | SrtpProfile::AesCm128HmacSha1_32 => {
                Session::Cm(Cm::new(&self.key, self.salt, &self.mac, self.tag))
            }
            SrtpProfile::AeadAes128Gcm => {
                let [salt @ .., _, _] = self.salt;
                Session::Gcm(Gcm::new(&self.key, salt))
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
    key_stream(&Aes128Enc::new(&master.key.into()), &place, &mut derived);
    derived
}

/// Adds the key stream of AES in counter mode that begins at `place` times 2¹⁶ (RFC 3711 §4.1.1).
fn key_stream(cipher: &Aes128Enc, place: &[u8; SALT], data: &mut [u8]) {
    let mut first = [0; BLOCK];
    if let Some(front) = first.first_chunk_mut() {
        *front = *place;
    }
    let first = u128::from_be_bytes(first);
    let mut counter = 0_u16;
    for chunk in data.chunks_mut(BLOCK * BLOCKS) {
        let mut keys = [Block::default(); BLOCKS];
        let keys = keys.get_mut(..chunk.len().div_ceil(BLOCK)).unwrap_or_default();
        for key in &mut *keys {
            *key = (first | u128::from(counter)).to_be_bytes().into();
            counter = counter.wrapping_add(1);
        }
        cipher.encrypt_blocks(keys);
        // Sixteen bytes at a time, and then what is left.
        let (blocks, rest) = chunk.as_chunks_mut::<BLOCK>();
        for (block, key) in blocks.iter_mut().zip(&*keys) {
            *block =
                (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes((*key).into())).to_ne_bytes();
        }
        let last = keys.get(blocks.len()).copied().unwrap_or_default();
        for (byte, key) in rest.iter_mut().zip(last) {
            *byte ^= key;
        }
    }
}

impl Session {
    /// What is not counter mode is let be: it is seldom agreed on.
    pub(super) fn touch(&self) -> u64 {
        match self {
            Self::Cm(it) => it.touch(),
            Self::Gcm(_) => 0,
        }
    }
}

impl Cm {
    /// The round keys can be reached by the cipher only.
    fn touch(&self) -> u64 {
        let mut block = Block::default();
        self.cipher.encrypt_block(&mut block);
        let [first, ..] = self.salt;
        black_box(block);
        self.tag as u64 ^ u64::from(first)
    }

    pub(super) fn new(key: &[u8; KEY], salt: [u8; SALT], mac: &[u8; MAC_KEY], tag: usize) -> Self {
        Self { mac: Mac::new(mac), salt, tag, cipher: Aes128Enc::new(key.into()) }
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
        for (to, from) in tag.iter_mut().zip(self.mac.sum(data, unsent)) {
            *to = from;
        }
    }

    /// In the same time wherever the first difference is.
    pub(super) fn verify(&self, data: &[u8], unsent: &[u8], tag: &[u8]) -> Result<(), SrtpError> {
        if self.mac.holds(data, unsent, tag) { Ok(()) } else { Err(SrtpError::BadTag) }
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
