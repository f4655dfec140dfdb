//! Too many calls: refused without leaving a trace, and peers told how many to keep back.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use hotline_base::{MonoTime, Now};

use super::{Endpoint, names::tag_of};
use crate::{Feedback, Flow, Message, Method, message::Reply, transaction::transmit};

/// How long a refused INVITE that comes once more is refused once more: repetitions that crossed
/// our answer have come by then.
const REMEMBERED: Duration = Duration::from_secs(2);

/// How many are remembered at most, of 10,000 that are refused a second and more; the oldest are
/// forgotten first.
const REMEMBERED_MAX: usize = 32_768;

/// INVITEs that were turned away lately, by what names them in our answers.
#[derive(Debug, Default)]
pub(super) struct TurnedAway {
    order: VecDeque<(MonoTime, u32)>,
    tags: BTreeSet<u32>,
}

impl TurnedAway {
    fn note(&mut self, tag: u32, now: MonoTime) {
        while self.order.len() >= REMEMBERED_MAX
            || self.order.front().is_some_and(|it| now.since(it.0) > REMEMBERED)
        {
            let Some((_, oldest)) = self.order.pop_front() else { break };
            self.tags.remove(&oldest);
        }
        if self.tags.insert(tag) {
            self.order.push_back((now, tag));
        }
    }

    fn holds(&self, tag: u32) -> bool {
        self.tags.contains(&tag)
    }
}

impl Endpoint {
    /// What peers that take part in overload control (RFC 7339) are told from now on.
    pub const fn set_feedback(&mut self, feedback: Feedback) {
        self.feedback = Some(feedback);
    }

    /// Whether the message would begin a call: an INVITE outside of a dialog that repeats none
    /// whose transaction runs.
    pub fn is_new_call(&self, message: &Message) -> bool {
        message.known_method() == Method::Invite
            && message.to_tag().is_empty()
            && self.transactions.find_server(message).is_none()
    }

    /// Whether this INVITE was turned away a moment ago and comes once more.
    pub fn was_turned_away(&self, message: &Message) -> bool {
        !self.turned_away.order.is_empty() && self.turned_away.holds(self.stateless_number(message))
    }

    /// 503 to a new call of a peer that is known, without Retry-After (which would stop the peer,
    /// RFC 3261 §21.5.4, RFC 7339 §5.10.2) and without a transaction: nothing is sent again, and
    /// the ACK is for nobody.
    pub fn turn_away(&mut self, flow: Flow, message: &Message, now: Now) {
        let number = self.stateless_number(message);
        self.turned_away.note(number, now.mono);
        let tag = tag_of(number);
        let reply = Reply::new(message, 503).from(flow).tag(&tag).feedback(self.feedback);
        transmit(&mut self.out, flow, reply.build());
    }
}
