//! The kept messages of one call.

use std::{fmt, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{CallId, Extension, MonoTime, Now, TrunkId};
use hotline_sip::Flow;

/// Who is at the other end of a dialog.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// A carrier, by its trunk.
    Carrier(TrunkId),
    /// An agent's telephone.
    Phone(Extension),
}

/// One dialog of the call.
#[derive(BorshDeserialize, BorshSerialize, Clone, Eq, PartialEq)]
pub struct Party {
    pub role: Role,
    /// Of SIP.
    pub call_id: Vec<u8>,
}

/// Gateways write numbers into a Call-ID.
impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Party({:?})", self.role)
    }
}

/// Everything kept of one call. A value: it is stored as borsh.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct Trace {
    pub call: CallId,
    /// When the first kept message passed.
    pub begun: Now,
    pub parties: Vec<Party>,
    pub(crate) flows: Vec<Flow>,
    pub(crate) kept: Vec<Kept>,
    /// Messages in the middle that the bound of one call has cost.
    pub n_left_out: u32,
    /// A leg failed or was refused.
    pub failed: bool,
}

/// One message.
#[derive(BorshDeserialize, BorshSerialize, Clone, Eq, PartialEq)]
pub(crate) struct Kept {
    pub(crate) at: MonoTime,
    /// Counts the call's messages, also those left out.
    pub(crate) seq: u32,
    pub(crate) party: u16,
    pub(crate) flow: u16,
    /// By us.
    pub(crate) sent: bool,
    pub(crate) bytes: Bytes,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Eq, PartialEq)]
pub(crate) enum Bytes {
    New(Arc<[u8]>),
    /// Byte for byte the message with this [`Kept::seq`].
    Again(u32),
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({}, {:?})", self.seq, self.at)
    }
}

/// What a kept message costs beside its bytes.
pub(crate) const OVERHEAD: usize = 64;

/// A call with more paths shows the last of them for all others.
const FLOWS_MAX: usize = 64;

impl Trace {
    pub(crate) fn new(call: CallId, begun: Now) -> Self {
        Self {
            call,
            begun,
            parties: Vec::new(),
            flows: Vec::new(),
            // As many as nearly every call has.
            kept: Vec::with_capacity(16),
            n_left_out: 0,
            failed: false,
        }
    }

    /// Keeps a message, as a copy if it holds a secret; returns what it costs in bytes, shared ones
    /// as well.
    pub(crate) fn add(
        &mut self,
        party: u16,
        flow: Flow,
        sent: bool,
        bytes: Arc<[u8]>,
        at: MonoTime,
    ) -> usize {
        let bytes = crate::conceal(&bytes).map_or(bytes, Arc::from);
        let same = |it: &&Kept| {
            it.party == party
                && it.sent == sent
                && matches!(&it.bytes, Bytes::New(old) if *old == bytes)
        };
        let bytes = match self.kept.iter().rev().find(same) {
            Some(first) => Bytes::Again(first.seq),
            None => Bytes::New(bytes),
        };
        let flow = self.flow(flow);
        let seq = self.kept.last().map_or(0, |it| it.seq.saturating_add(1));
        let kept = Kept { at, seq, party, flow, sent, bytes };
        let cost = kept.cost();
        self.kept.push(kept);
        cost
    }

    fn flow(&mut self, flow: Flow) -> u16 {
        let at = self.flows.iter().position(|it| *it == flow).unwrap_or_else(|| {
            if self.flows.len() < FLOWS_MAX {
                self.flows.push(flow);
            }
            self.flows.len().saturating_sub(1)
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    /// Leaves out the message after the first `n_head`, for the beginning and the end of a call say
    /// most. Returns what it had cost.
    pub(crate) fn leave_out(&mut self, n_head: usize) -> usize {
        if n_head >= self.kept.len() {
            return 0;
        }
        let gone = self.kept.remove(n_head);
        self.n_left_out = self.n_left_out.saturating_add(1);
        let cost = gone.cost();
        if let Bytes::New(bytes) = gone.bytes {
            // The first of its repetitions takes the bytes over.
            let heir = self.kept.iter_mut().find(|it| it.bytes == Bytes::Again(gone.seq));
            if let Some(heir) = heir {
                let (seq, len) = (heir.seq, bytes.len());
                heir.bytes = Bytes::New(bytes);
                for it in &mut self.kept {
                    if it.bytes == Bytes::Again(gone.seq) {
                        it.bytes = Bytes::Again(seq);
                    }
                }
                return cost.saturating_sub(len);
            }
        }
        cost
    }

    pub fn n_messages(&self) -> usize {
        self.kept.len()
    }

    /// Bytes it takes, about.
    pub fn cost(&self) -> usize {
        self.kept.iter().map(Kept::cost).sum()
    }

    /// The bytes of a kept message. Empty for a repetition whose first is not there, which a
    /// damaged store can hold.
    pub(crate) fn bytes<'a>(&'a self, it: &'a Kept) -> &'a [u8] {
        let of = |it: &'a Kept| match &it.bytes {
            Bytes::New(bytes) => Some(&**bytes),
            Bytes::Again(_) => None,
        };
        let first = |seq: u32| self.kept.iter().find(|it| it.seq == seq).and_then(of);
        match &it.bytes {
            Bytes::New(bytes) => bytes,
            Bytes::Again(seq) => first(*seq).unwrap_or_default(),
        }
    }
}

impl Kept {
    pub(crate) fn cost(&self) -> usize {
        match &self.bytes {
            Bytes::New(bytes) => bytes.len().saturating_add(OVERHEAD),
            Bytes::Again(_) => OVERHEAD,
        }
    }
}
