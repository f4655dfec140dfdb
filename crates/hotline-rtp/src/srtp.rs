//! SRTP and SRTCP (RFC 3711, RFC 7714): packets are encrypted and decrypted where they lie, with
//! key schedules and the pads of the authentication made once, and lying together: with thousands
//! of sessions it is the visit to cold memory that costs. Nothing is allocated for a packet.
//!
//! A context serves one direction of one session. It keeps the roll-over counter and a replay
//! window of [`WINDOW`] packets for each of a few streams (SSRC). The sender has a window as well:
//! an index that is used twice would give away the key stream.

mod cipher;
mod mac;
mod rtcp;
mod rtp;
#[cfg(test)]
mod tests;
mod window;

use std::fmt;

pub use self::window::WINDOW;
use self::{
    cipher::{Keys, Session},
    window::Streams,
};

/// How packets are protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SrtpProfile {
    /// AES in counter mode and 80 bits of HMAC-SHA1 (RFC 3711).
    AesCm128HmacSha1_80,
    /// The same with 32 bits on RTP; RTCP keeps 80 (RFC 4568 §6.2.2).
    AesCm128HmacSha1_32,
    /// AES-GCM with 128 bits of tag (RFC 7714).
    AeadAes128Gcm,
}

/// A master key with its salt, for one direction.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct MasterKey {
    profile: SrtpProfile,
    key: [u8; KEY],
    /// That of GCM is two bytes shorter; zeros stand for them (RFC 7714 §11).
    salt: [u8; SALT],
}

/// How far a peer's packets have come. The next process needs it to take them up: the counter of
/// turns is not sent (RFC 3711 §3.3.1), and what came before must not come again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SrtpProgress {
    /// Stream and highest index of RTP.
    pub rtp: Option<(u32, u64)>,
    /// The same of RTCP.
    pub rtcp: Option<(u32, u64)>,
}

/// Why a packet is not protected or not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SrtpError {
    /// Shorter than its header and its tag say, or no room for the tag.
    TooShort,
    /// Came before, or is older than the window reaches.
    Replayed,
    /// Not of the key's owner, or changed on its way.
    BadTag,
    /// RTCP in the clear, which we never agreed on (RFC 3711 §3.4).
    NotEncrypted,
    /// The key may protect no more packets (RFC 3711 §9.2).
    Exhausted,
}

/// Protects what we send.
pub struct SrtpSender {
    rtp: Session,
    streams: Streams,
    rtcp: Keys,
    /// Of the next report (RFC 3711 §3.4).
    rtcp_index: u32,
}

/// Opens what the peer sends.
pub struct SrtpReceiver {
    rtp: Session,
    streams: Streams,
    rtcp: Keys,
    reports: Streams,
}

/// Bytes of a master key.
const KEY: usize = 16;

/// Bytes of the longest master salt.
const SALT: usize = 14;

/// Bytes that protection adds to a packet at most: a GCM tag, and the index of a report.
pub const SRTP_OVERHEAD: usize = 20;

impl SrtpProfile {
    /// Bytes of master key and salt together, as descriptions and DTLS hand them over.
    pub const fn key_and_salt(self) -> usize {
        KEY + self.salt()
    }

    /// Bytes of a master salt.
    pub const fn salt(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => SALT,
            Self::AeadAes128Gcm => SALT - 2,
        }
    }
}

impl MasterKey {
    /// Of a key and its salt, one behind the other; `None` when the length is not the profile's.
    pub fn new(profile: SrtpProfile, key_and_salt: &[u8]) -> Option<Self> {
        if key_and_salt.len() != profile.key_and_salt() {
            return None;
        }
        let (key, rest) = key_and_salt.split_first_chunk::<KEY>()?;
        let mut salt = [0; SALT];
        salt.get_mut(..rest.len())?.copy_from_slice(rest);
        Some(Self { profile, key: *key, salt })
    }

    pub const fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Key and salt, one behind the other, as [`new`](Self::new) takes them.
    pub fn key_and_salt(&self) -> Vec<u8> {
        let salt = self.salt.iter().take(self.profile.salt());
        self.key.iter().chain(salt).copied().collect()
    }
}

impl SrtpSender {
    pub fn new(master: &MasterKey) -> Self {
        Self {
            rtp: Keys::rtp(master).session(),
            streams: Streams::default(),
            rtcp: Keys::rtcp(master),
            rtcp_index: 0,
        }
    }

    /// Protects the RTP packet in the first `len` bytes of `buffer`; the tag goes behind it.
    /// Returns the bytes in all.
    ///
    /// # Errors
    /// When it is no packet, the buffer has no room, or its sequence number was used before.
    pub fn protect(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        rtp::protect(&self.rtp, &mut self.streams, buffer, len)
    }

    /// Reads from each cache line that a packet needs, so that those of many sessions are fetched
    /// side by side. What it returns means nothing.
    pub fn touch(&self) -> u64 {
        self.rtp.touch() ^ self.streams.touch()
    }

    /// Protects the RTCP packet in the first `len` bytes of `buffer`; index and tag go behind it.
    ///
    /// # Errors
    /// When it is no packet, the buffer has no room, or 2³¹ reports were sent.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let index = self.rtcp_index;
        if index > rtcp::INDEX_MAX {
            return Err(SrtpError::Exhausted);
        }
        self.rtcp_index += 1;
        rtcp::protect(&self.rtcp.session(), index, buffer, len)
    }
}

impl SrtpReceiver {
    pub fn new(master: &MasterKey) -> Self {
        Self {
            rtp: Keys::rtp(master).session(),
            streams: Streams::default(),
            rtcp: Keys::rtcp(master),
            reports: Streams::default(),
        }
    }

    /// In the place of one that is gone, and had come so far. What the peer sent since then opens;
    /// nothing does that came before.
    pub fn resumed(master: &MasterKey, progress: &SrtpProgress) -> Self {
        let mut it = Self::new(master);
        if let Some((ssrc, highest)) = progress.rtp {
            it.streams.resume(ssrc, highest);
        }
        if let Some((ssrc, highest)) = progress.rtcp {
            it.reports.resume(ssrc, highest);
        }
        it
    }

    /// The key before is replaced by this one in the middle of a stream. Its owner may go on
    /// counting turns, as RFC 3711 §3.3.1 has it, or begin anew, as many do: both open.
    pub fn follow(&mut self, before: &Self) {
        self.streams.follow(&before.streams);
    }

    pub fn progress(&self) -> SrtpProgress {
        SrtpProgress { rtp: self.streams.latest(), rtcp: self.reports.latest() }
    }

    /// As [`SrtpSender::touch`].
    pub fn touch(&self) -> u64 {
        self.rtp.touch() ^ self.streams.touch()
    }

    /// Opens an RTP packet in place; the plain packet is its first so many bytes. A packet that is
    /// not accepted is left as it came and changes nothing.
    ///
    /// # Errors
    /// When it is not the peer's, or came before.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        rtp::open(&self.rtp, &mut self.streams, packet)
    }

    /// Opens an RTCP packet in place.
    ///
    /// # Errors
    /// When it is not the peer's, came before, or is not encrypted.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        rtcp::open(&self.rtcp.session(), &mut self.reports, packet)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys never reach a log.
        f.debug_struct("MasterKey").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl fmt::Debug for SrtpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpSender").finish_non_exhaustive()
    }
}

impl fmt::Debug for SrtpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpReceiver").finish_non_exhaustive()
    }
}

impl fmt::Display for SrtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the packet is shorter than it says, or has no room for its tag",
            Self::Replayed => "the packet came before or is too old",
            Self::BadTag => "the packet is not the key's owner's",
            Self::NotEncrypted => "the report is not encrypted",
            Self::Exhausted => "the key may protect no more packets",
        })
    }
}

impl std::error::Error for SrtpError {}
