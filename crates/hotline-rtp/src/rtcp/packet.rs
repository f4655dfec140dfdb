//! Reading compound packets (RFC 3550 §6.1). Hostile ones are refused, never a panic.

use std::fmt;

use crate::rtcp::ReportBlock;

pub(super) const SENDER_REPORT: u8 = 200;
pub(super) const RECEIVER_REPORT: u8 = 201;
pub(super) const DESCRIPTION: u8 = 202;
pub(super) const BYE: u8 = 203;

/// Why a datagram is no RTCP. Dropped and counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RtcpError {
    TooShort,
    NotRtcp,
    /// A packet's length reaches beyond the datagram.
    BadLength,
    /// A compound packet begins with a report (RFC 3550 §6.1, appendix A.2).
    NoReportFirst,
}

impl fmt::Display for RtcpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the datagram is shorter than an RTCP header",
            Self::NotRtcp => "the datagram is not RTCP version 2",
            Self::BadLength => "an RTCP packet reaches beyond its datagram",
            Self::NoReportFirst => "a compound RTCP packet begins with no report",
        })
    }
}

impl std::error::Error for RtcpError {}

/// The sender's part of a sender report (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SenderInfo {
    /// Seconds since 1900 in the upper half, 1/2^32 s in the lower.
    pub ntp: u64,
    /// The RTP timestamp of the same moment.
    pub timestamp: u32,
    pub n_packets: u32,
    pub n_octets: u32,
}

/// One thing that a compound packet says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RtcpItem<'a> {
    Sender {
        ssrc: u32,
        info: SenderInfo,
    },
    /// Who reports, also when there is nothing to report.
    Receiver {
        ssrc: u32,
    },
    Block {
        reporter: u32,
        block: ReportBlock,
    },
    /// The canonical name; other items of a description are skipped.
    Name {
        ssrc: u32,
        name: &'a [u8],
    },
    Bye {
        ssrc: u32,
    },
}

/// Reads a datagram, item by item, without copying.
#[derive(Clone, Debug)]
pub struct RtcpItems<'a> {
    /// What follows the packet that is being read.
    rest: &'a [u8],
    /// What is left of it.
    body: &'a [u8],
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between two packets.
    Between,
    Blocks {
        reporter: u32,
        left: u8,
    },
    Chunks {
        left: u8,
    },
    Sources {
        left: u8,
    },
}

impl<'a> RtcpItems<'a> {
    /// # Errors
    /// When the datagram fails the checks of RFC 3550 appendix A.2; padding is allowed in the last
    /// packet only.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtcpError> {
        let mut rest = datagram;
        let mut first = true;
        while !rest.is_empty() || first {
            let &[flags, kind, l0, l1] = rest.first_chunk().ok_or(RtcpError::TooShort)?;
            if flags >> 6 != 2 {
                return Err(RtcpError::NotRtcp);
            }
            if first && kind != SENDER_REPORT && kind != RECEIVER_REPORT {
                return Err(RtcpError::NoReportFirst);
            }
            let len = (usize::from(u16::from_be_bytes([l0, l1])) + 1) * 4;
            let (_, behind) = rest.split_at_checked(len).ok_or(RtcpError::BadLength)?;
            if flags & 0x20 != 0 && !behind.is_empty() {
                return Err(RtcpError::BadLength);
            }
            rest = behind;
            first = false;
        }
        Ok(Self { rest: datagram, body: &[], state: State::Between })
    }

    /// Begins the next packet.
    fn begin(&mut self) -> Option<RtcpItem<'a>> {
        let (&[flags, kind, l0, l1], _) = self.rest.split_first_chunk()?;
        let len = (usize::from(u16::from_be_bytes([l0, l1])) + 1) * 4;
        let (packet, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        self.body = packet.get(4..).unwrap_or_default();
        let left = flags & 0x1F;
        match kind {
            SENDER_REPORT => {
                let ssrc = self.word()?;
                let ntp = u64::from(self.word()?) << 32 | u64::from(self.word()?);
                let info = SenderInfo {
                    ntp,
                    timestamp: self.word()?,
                    n_packets: self.word()?,
                    n_octets: self.word()?,
                };
                self.state = State::Blocks { reporter: ssrc, left };
                Some(RtcpItem::Sender { ssrc, info })
            }
            RECEIVER_REPORT => {
                let ssrc = self.word()?;
                self.state = State::Blocks { reporter: ssrc, left };
                Some(RtcpItem::Receiver { ssrc })
            }
            DESCRIPTION => {
                self.state = State::Chunks { left };
                None
            }
            BYE => {
                self.state = State::Sources { left };
                None
            }
            // Extensions, application packets, feedback: nothing for us.
            _ => None,
        }
    }

    fn block(&mut self) -> Option<ReportBlock> {
        let ssrc = self.word()?;
        let lost = self.word()?;
        let [fraction_lost, ..] = lost.to_be_bytes();
        Some(ReportBlock {
            ssrc,
            fraction_lost,
            // 24 bits with a sign.
            lost: (lost << 8).cast_signed() >> 8,
            highest_sequence: self.word()?,
            jitter: self.word()?,
            last_report: self.word()?,
            delay: self.word()?,
        })
    }

    /// A chunk's name; the chunk ends at a null item and is padded to words (§6.5).
    fn chunk(&mut self) -> Option<RtcpItem<'a>> {
        const CNAME: u8 = 1;
        let before = self.body.len();
        let ssrc = self.word()?;
        let mut found: &[u8] = &[];
        while let Some((&kind, rest)) = self.body.split_first() {
            self.body = rest;
            if kind == 0 {
                let read = before - self.body.len();
                self.body = self.body.get(read.next_multiple_of(4) - read..).unwrap_or_default();
                break;
            }
            let (&len, rest) = self.body.split_first()?;
            let (value, rest) = rest.split_at_checked(usize::from(len))?;
            self.body = rest;
            if kind == CNAME {
                found = value;
            }
        }
        Some(RtcpItem::Name { ssrc, name: found })
    }

    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.body.split_first_chunk()?;
        self.body = rest;
        Some(u32::from_be_bytes(*word))
    }
}

impl<'a> Iterator for RtcpItems<'a> {
    type Item = RtcpItem<'a>;

    fn next(&mut self) -> Option<RtcpItem<'a>> {
        loop {
            let found = match self.state {
                State::Blocks { reporter, left } if left > 0 => {
                    self.state = State::Blocks { reporter, left: left - 1 };
                    self.block().map(|block| RtcpItem::Block { reporter, block })
                }
                State::Chunks { left } if left > 0 => {
                    self.state = State::Chunks { left: left - 1 };
                    self.chunk()
                }
                State::Sources { left } if left > 0 => {
                    self.state = State::Sources { left: left - 1 };
                    self.word().map(|ssrc| RtcpItem::Bye { ssrc })
                }
                State::Between
                | State::Blocks { .. }
                | State::Chunks { .. }
                | State::Sources { .. } => {
                    self.state = State::Between;
                    if self.rest.is_empty() {
                        return None;
                    }
                    self.begin()
                }
            };
            if found.is_some() {
                return found;
            }
        }
    }
}
