//! The traces of the last calls, within bounds.
//!
//! A message belongs to a call by its Call-ID, which [`Ring::join`] binds. The oldest finished call
//! makes room first, then the oldest of all.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use hotline_base::{CallId, HashedMap, MonoTime, Now};
use hotline_sip::{Flow, Message};

use crate::{Party, Role, Trace};

/// The bounds. Of the messages of one call the first half of its bound and the last ones stay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// All traces together, about; 0 keeps nothing.
    pub bytes_max: usize,
    pub calls_max: usize,
    pub call_messages_max: usize,
    pub call_bytes_max: usize,
    /// How many traces of failed calls are given out to be stored each minute.
    pub stored_per_minute_max: u32,
}

impl Default for Config {
    /// 32 MiB, 10,000 calls, 128 messages and 128 KiB a call, 300 stored a minute.
    fn default() -> Self {
        Self {
            bytes_max: 32 << 20,
            calls_max: 10_000,
            call_messages_max: 128,
            call_bytes_max: 128 << 10,
            stored_per_minute_max: 300,
        }
    }
}

/// After a call's end its last answers and acknowledgements come in (T4 of RFC 3261 §17.1.2.2).
const LINGER: Duration = Duration::from_secs(5);

/// Calls that ended within this are looked at together: a timer for each would wake the thread once
/// a call, nearly always for nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A call that rings at more telephones than this keeps the first of them.
const PARTIES_MAX: usize = 64;

#[derive(Debug)]
pub struct Ring {
    config: Config,
    traces: BTreeMap<CallId, Slot>,
    dialogs: HashedMap<Owner>,
    /// An INVITE outside of a dialog and our answers to it, until a call owns them.
    unowned: Vec<(Flow, bool, Arc<[u8]>)>,
    /// Of these messages.
    unowned_call_id: Vec<u8>,
    /// Calls that ended and are looked at once more, by time.
    lingering: VecDeque<(MonoTime, CallId)>,
    /// Finished calls by their end: the order in which they make room.
    finished: VecDeque<CallId>,
    bytes: usize,
    /// Traces given out in the minute that began then.
    minute: (MonoTime, u32),
    n_pushed_out: u64,
    n_not_stored: u64,
}

/// Whose the messages of one Call-ID are; `party` counts [`Trace::parties`].
#[derive(Clone, Copy, Debug)]
struct Owner {
    call: CallId,
    party: u16,
}

#[derive(Debug)]
struct Slot {
    trace: Trace,
    bytes: usize,
    ended: bool,
    /// Somebody asked for it to be stored.
    wanted: bool,
}

impl Ring {
    /// `secret`: of which peers know nothing, see [`HashedMap`].
    pub fn new(config: Config, secret: &[u8; 32]) -> Self {
        Self {
            config,
            traces: BTreeMap::new(),
            dialogs: HashedMap::new(secret),
            unowned: Vec::new(),
            unowned_call_id: Vec::new(),
            lingering: VecDeque::new(),
            finished: VecDeque::new(),
            bytes: 0,
            minute: (MonoTime(0), 0),
            n_pushed_out: 0,
            n_not_stored: 0,
        }
    }

    /// A message that came in. `known`: by a source we serve; what strangers send begins nothing.
    pub fn received(&mut self, flow: Flow, message: &Message, known: bool, now: Now) {
        self.unowned.clear();
        let call_id = message.call_id();
        if let Some(owner) = self.dialogs.get(&[call_id]).copied() {
            self.add(owner, flow, false, message.shared_bytes(), now);
            if message.status().is_some_and(|it| is_failure(it, message.cseq().method)) {
                self.fail(owner.call);
            }
        } else if known
            && self.config.bytes_max > 0
            && message.method() == Some(b"INVITE")
            && message.to_tag().is_empty()
        {
            self.unowned.push((flow, false, message.shared_bytes()));
            call_id.clone_into(&mut self.unowned_call_id);
        }
    }

    /// A message that goes out.
    pub fn sent(&mut self, flow: Flow, bytes: &Arc<[u8]>, now: Now) {
        if self.dialogs.is_empty() && self.unowned.is_empty() {
            return;
        }
        let Some(call_id) = call_id(bytes) else { return };
        if let Some(owner) = self.dialogs.get(&[call_id]).copied() {
            self.add(owner, flow, true, Arc::clone(bytes), now);
            if is_refusal(bytes) {
                self.fail(owner.call);
            }
        } else if !self.unowned.is_empty() && self.unowned_call_id == call_id {
            self.unowned.push((flow, true, Arc::clone(bytes)));
        }
    }

    /// From now on, and with what just came, this dialog is the call's.
    pub fn join(&mut self, call: CallId, role: Role, call_id: &[u8], now: Now) {
        if self.config.bytes_max == 0 {
            return;
        }
        let slot = self.traces.entry(call).or_insert_with(|| Slot {
            trace: Trace::new(call, now),
            bytes: 0,
            ended: false,
            wanted: false,
        });
        if slot.trace.parties.len() >= PARTIES_MAX {
            return;
        }
        let party = u16::try_from(slot.trace.parties.len()).unwrap_or(u16::MAX);
        let owner = Owner { call, party };
        slot.trace.parties.push(Party { role, call_id: call_id.to_vec() });
        self.dialogs.insert(&[call_id], owner);
        let mut came = std::mem::take(&mut self.unowned);
        if self.unowned_call_id == call_id {
            for (flow, sent, bytes) in came.drain(..) {
                self.add(owner, flow, sent, bytes, now);
            }
        }
        came.clear();
        self.unowned = came;
        self.make_room();
    }

    /// Something of this call went wrong: its trace will be stored.
    pub fn fail(&mut self, call: CallId) {
        if let Some(slot) = self.traces.get_mut(&call) {
            slot.trace.failed = true;
        }
    }

    /// Somebody wants this trace stored. `false`: it is not here.
    pub fn want(&mut self, call: CallId, now: Now) -> bool {
        let Some(slot) = self.traces.get_mut(&call) else { return false };
        slot.wanted = true;
        if slot.ended {
            self.lingering.retain(|it| it.1 != call);
            self.lingering.push_front((now.mono, call));
        }
        true
    }

    /// The call is over. What still comes for it within five seconds, or a little longer, belongs
    /// to its trace.
    pub fn end(&mut self, call: CallId, now: Now) {
        let Some(slot) = self.traces.get_mut(&call).filter(|it| !it.ended) else { return };
        slot.ended = true;
        self.finished.push_back(call);
        let at = (now.mono + LINGER).next_multiple_of(LOOK_EVERY);
        self.lingering.push_back((at, call));
    }

    pub fn poll_timeout(&self) -> Option<MonoTime> {
        self.lingering.front().map(|it| it.0)
    }

    /// The next trace that is due to be stored; call it until it says `None`.
    pub fn pop_stored(&mut self, now: MonoTime) -> Option<Trace> {
        while self.lingering.front().is_some_and(|it| it.0 <= now) {
            let (_, call) = self.lingering.pop_front()?;
            let Some(slot) = self.traces.get(&call) else { continue };
            if slot.wanted || (slot.trace.failed && self.may_store(now)) {
                return self.traces.get(&call).map(|it| it.trace.clone());
            }
        }
        None
    }

    /// The engine is about to end: whoever lingers is due now.
    pub fn hurry(&mut self, now: MonoTime) {
        for it in &mut self.lingering {
            it.0 = it.0.min(now);
        }
    }

    pub fn trace(&self, call: CallId) -> Option<&Trace> {
        self.traces.get(&call).map(|it| &it.trace)
    }

    pub fn n_calls(&self) -> usize {
        self.traces.len()
    }

    /// What all traces cost, about.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Traces that made room for others.
    pub const fn n_pushed_out(&self) -> u64 {
        self.n_pushed_out
    }

    /// Failed calls whose traces were not stored because there were too many in one minute.
    pub const fn n_not_stored(&self) -> u64 {
        self.n_not_stored
    }

    fn add(&mut self, owner: Owner, flow: Flow, sent: bool, bytes: Arc<[u8]>, now: Now) {
        let Some(slot) = self.traces.get_mut(&owner.call) else { return };
        let before = slot.bytes;
        slot.bytes += slot.trace.add(owner.party, flow, sent, bytes, now.mono);
        let n_head = self.config.call_messages_max / 2;
        while slot.trace.n_messages() > self.config.call_messages_max
            || (slot.bytes > self.config.call_bytes_max && slot.trace.n_messages() > 2)
        {
            let middle = n_head.min(slot.trace.n_messages() / 2);
            slot.bytes = slot.bytes.saturating_sub(slot.trace.leave_out(middle));
        }
        self.bytes = (self.bytes + slot.bytes).saturating_sub(before);
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.bytes > self.config.bytes_max || self.traces.len() > self.config.calls_max {
            let next = self.finished.pop_front();
            let oldest = next.or_else(|| self.traces.first_key_value().map(|it| *it.0));
            let Some(slot) = oldest.and_then(|it| self.traces.remove(&it)) else { return };
            self.n_pushed_out += 1;
            self.bytes = self.bytes.saturating_sub(slot.bytes);
            for party in &slot.trace.parties {
                let key = self.dialogs.key(&[party.call_id.as_slice()]);
                // A later call may have come with the same one.
                if self.dialogs.get(&key).is_some_and(|it| it.call == slot.trace.call) {
                    self.dialogs.remove(&key);
                }
            }
        }
    }

    /// One of this minute's share.
    fn may_store(&mut self, now: MonoTime) -> bool {
        if now.since(self.minute.0) >= Duration::from_mins(1) {
            self.minute = (now, 0);
        }
        self.minute.1 = self.minute.1.saturating_add(1);
        let may = self.minute.1 <= self.config.stored_per_minute_max;
        self.n_not_stored += u64::from(!may);
        may
    }

    /// What must always be true; the simulator asks.
    pub fn check(&self) -> Result<(), String> {
        let bytes: usize = self.traces.values().map(|it| it.trace.cost()).sum();
        if bytes != self.bytes {
            return Err(format!("ladders cost {bytes} bytes and {} are noted", self.bytes));
        }
        if bytes > self.config.bytes_max || self.traces.len() > self.config.calls_max {
            return Err(format!("{} ladders with {bytes} bytes", self.traces.len()));
        }
        let lost = self.dialogs.values().find(|it| !self.traces.contains_key(&it.call));
        lost.map_or(Ok(()), |it| Err(format!("a dialog belongs to the ladder of {}", it.call)))
    }
}

/// Responses to an INVITE that are no everyday course: all above 399 but demands for a password,
/// the end of a cancelled INVITE and a glare.
fn is_failure(status: u16, method: &[u8]) -> bool {
    method == b"INVITE" && status >= 400 && !matches!(status, 401 | 407 | 487 | 491)
}

/// [`is_failure`] of a response of ours.
fn is_refusal(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"SIP/2.0 ") else { return false };
    if !rest.first().is_some_and(|it| matches!(it, b'4'..=b'6')) {
        return false;
    }
    let digits = rest.get(..3).and_then(|it| std::str::from_utf8(it).ok());
    let status = digits.and_then(|it| it.parse().ok()).unwrap_or(0);
    let method = header(bytes, b"CSeq", 0).and_then(|it| it.rsplit(|it| *it == b' ').next());
    is_failure(status, method.unwrap_or_default())
}

/// The Call-ID of a message of ours, which nearly always is as we write it: only rules of carriers
/// write otherwise.
fn call_id(bytes: &[u8]) -> Option<&[u8]> {
    let lines =
        memchr::memchr_iter(b'\n', bytes).filter_map(|it| bytes.get(it.saturating_add(1)..));
    let mut head = lines.take_while(|it| !it.starts_with(b"\r\n"));
    match head.find_map(|it| it.strip_prefix(b"Call-ID: ")) {
        Some(it) => it.get(..memchr::memchr(b'\r', it)?),
        None => header(bytes, b"Call-ID", b'i'),
    }
}

/// The first header of that name; `compact` is its short form, or 0.
pub(crate) fn header<'a>(bytes: &'a [u8], name: &[u8], compact: u8) -> Option<&'a [u8]> {
    let mut rest = bytes;
    loop {
        let end = memchr::memchr(b'\n', rest)?;
        let line = rest.get(..end)?;
        rest = rest.get(end.saturating_add(1)..)?;
        let first = line.first()?.to_ascii_lowercase();
        if first == b'\r' {
            return None;
        }
        if name.first().is_some_and(|it| it.to_ascii_lowercase() == first) || first == compact {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let wire = line.get(..colon).unwrap_or_default().trim_ascii();
            let is_short = matches!(wire, [one] if one.to_ascii_lowercase() == compact);
            if is_short || wire.eq_ignore_ascii_case(name) {
                return line.get(colon.saturating_add(1)..).map(<[u8]>::trim_ascii);
            }
        }
    }
}
