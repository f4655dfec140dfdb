//! The machine of one call.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use hotline_base::{
    AgentNo, CallId, ContextId, Due, Extension, FlowId, GroupId, Key, KeyMerger, LegId, MonoTime,
    Now, OfferId, Pii, PromptId, RecordingId, TicketId, TrunkId, WallTime, earliest,
    media::{Event as MediaEvent, Order, Profile},
};
use hotline_cdr::{
    CallFact, CallRecord, EndReason, FlowReturn, Incoming, OfferEnd, Party, QueueExit,
    RecordingNews, RefusedWhy, ShortAfter, Signalled, Stamped, fold, recording_news,
};
use hotline_ivr::{Bundle, EarlyReject, Entry, Environment, Session};

use crate::{LegEvent, LegOrder, OfferUpdate, SavedCall};

mod aside;
mod audio;
mod confirm;
mod ending;
mod events;
mod guests;
mod keys;
mod muting;
mod network;
#[cfg(test)]
mod nobody;
mod outbound;
mod recording;
mod restore;
mod revival;
mod side;
mod steps;
mod suspend;
mod takeover;
mod transfer;

use self::{
    audio::Audio,
    confirm::Question,
    guests::Guest,
    side::AgentSide,
    suspend::Suspension,
    takeover::Takeover,
    transfer::{Served, Transfer},
};
pub use self::{
    guests::{Joining, Who},
    outbound::{Dialling, NetworkSound},
    revival::Alive,
    suspend::NotSuspended,
    takeover::PhoneCall,
};

/// What all calls share.
#[derive(Clone, Debug)]
pub struct Config {
    /// Music for a held caller.
    pub hold_music: PromptId,
    /// 挂起转: what an agent hears while the caller is in a flow; `None` is silence.
    pub park_music: Option<PromptId>,
    /// 回铃音: what an agent hears while the called party's telephone rings.
    pub ringback: PromptId,
    /// 外线坐席: how long who answers at a number outside may take to press 1, before which nobody is
    /// connected to him; `None` asks for no key.
    pub confirm_outside: Option<Duration>,
    /// What he hears meanwhile.
    pub confirm_prompt: PromptId,
    /// A media plane that does not open a leg within this time is not there.
    pub open_limit: Duration,
    /// How long a record waits for its recordings to be sealed.
    pub seal_limit: Duration,
    pub short_after: ShortAfter,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hold_music: PromptId::new("moh.default"),
            park_music: Some(PromptId::new("moh.default")),
            ringback: PromptId::new("tone.ringback"),
            confirm_outside: Some(Duration::from_secs(15)),
            confirm_prompt: PromptId::new("seat.confirm"),
            open_limit: Duration::from_millis(500),
            seal_limit: Duration::from_secs(10),
            short_after: ShortAfter::default(),
        }
    }
}

/// A call that the trunk admitted.
#[derive(Debug)]
pub struct Arrival {
    pub call: CallId,
    pub leg: LegId,
    pub trunk: TrunkId,
    pub caller: Option<Pii<String>>,
    pub caller_raw: Pii<String>,
    pub restricted: bool,
    pub called: String,
    pub called_raw: String,
    pub flow: FlowId,
    pub offer: Option<String>,
    pub signalled: Signalled,
    pub entry: Entry,
    pub bundle: Arc<Bundle>,
}

/// The dispatcher gives this call an agent, for as long as the lease lasts.
#[derive(Clone, Debug)]
pub struct Offering {
    pub offer: OfferId,
    pub ticket: TicketId,
    pub agent: AgentNo,
    pub extension: Extension,
    pub group: GroupId,
    /// A fresh leg for the agent's phone.
    pub leg: LegId,
    /// How audio travels to the phones that are dialled.
    pub profile: Profile,
}

/// All that a call says.
#[derive(Debug)]
pub enum Output {
    Leg {
        leg: LegId,
        order: LegOrder,
    },
    Media(Order),
    Queue(QueueOrder),
    Offer {
        offer: OfferId,
        update: OfferUpdate,
    },
    Fact(Arc<Stamped>),
    /// What a transfer came to, as the status of a call: 200 when somebody has the caller.
    Transferred {
        status: u16,
    },
    /// Others are told of a recording at once.
    Recording(Box<RecordingNews>),
    /// The record, at the end and again when nothing is open any more.
    Record(Box<CallRecord>),
    /// What must survive a restart of control has changed.
    Keep,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum QueueOrder {
    /// Answered by [`Call::enqueued`] or [`Call::enqueue_refused`].
    Enqueue {
        groups: Vec<GroupId>,
        priority: u8,
        ring_limit: Option<Duration>,
        early_reject: EarlyReject,
    },
    Leave {
        ticket: TicketId,
    },
}

/// One caller's call. See the crate.
#[derive(Debug)]
pub struct Call {
    id: CallId,
    config: Arc<Config>,
    phase: Phase,
    /// The party outside: who called, or whom the agent calls.
    caller: Caller,
    /// Whom the agent calls, in a call that goes out.
    dialled: Option<outbound::Dialled>,
    agent: Option<AgentSide>,
    /// Who was called in besides: consulted, in a conference, or supervising.
    guests: Vec<Guest>,
    /// No agent has the caller: he is on his way to somebody.
    transfer: Option<Transfer>,
    /// The caller is in a flow that an agent sent him to.
    suspended: Option<Suspension>,
    /// Who is rung outside and has not pressed the key, by leg.
    questions: BTreeMap<LegId, Question>,
    /// Legs whose network's tones are listened for: there the busy tone is a hanging up.
    heeds_tones: BTreeSet<LegId>,
    /// An agent changes telephones.
    takeover: Option<Takeover>,
    /// Who had him last.
    served: Option<Served>,
    ticket: Option<TicketId>,
    /// In a call that an agent made, or an earlier control process began, there is one only while
    /// the caller is in a flow that an agent sent him to.
    session: Option<Session>,
    to_session: VecDeque<hotline_ivr::Event>,
    audio: Audio,
    recordings: BTreeSet<RecordingId>,
    n_recordings: u32,
    /// Legs that media has not reported closed.
    open_legs: BTreeSet<LegId>,
    /// The media process died, and the next one has not said yet what it has brought back.
    media_died: bool,
    /// Recordings that broke off with a media process, and when; the next one seals them.
    broken_off: BTreeMap<RecordingId, MonoTime>,
    keys: KeyMerger,
    /// Keys of everybody else's telephones, by leg.
    keys_inside: BTreeMap<LegId, KeyMerger>,
    facts: Vec<Arc<Stamped>>,
    outputs: VecDeque<Output>,
}

/// As many facts as most calls come to, so that their list does not grow.
const N_FACTS: usize = 24;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Live,
    /// Both parties are gone; the recorder seals.
    Closing {
        until: MonoTime,
    },
    Done,
}

#[derive(Debug)]
struct Caller {
    leg: LegId,
    state: CallerState,
    /// The INVITE had no offer, and the answer to ours has not come (RFC 3261 §13.2.1).
    owes_answer: bool,
    /// The carrier put us on hold.
    held: bool,
}

#[derive(Debug)]
enum CallerState {
    Opening {
        until: MonoTime,
    },
    /// Media is ready; this is what a 200 will say.
    Ready {
        sdp: String,
    },
    Up,
    /// The flow hung up; the leg's end is on its way.
    Left,
    Gone,
    /// Of an outbound call, in this order until `Up`: the agent's telephone rings first.
    Waits,
    /// Our INVITE is out. Media may have an early description.
    Invited {
        early: bool,
    },
    /// Answered; media reads the description.
    Settling,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AgentState {
    Opening {
        until: MonoTime,
    },
    Dialing,
    /// Answered; media reads the description.
    Settling,
    Announcing,
    Talking,
}

impl Call {
    /// Takes an admitted call and asks media for its leg.
    pub fn new(arrival: Arrival, config: Arc<Config>, now: Now) -> Self {
        let Arrival { call, leg, offer, entry, bundle, .. } = arrival;
        let state = CallerState::Opening { until: now.mono + config.open_limit };
        let owes_answer = offer.is_none();
        let mut it = Self::blank(call, config, Caller { leg, state, owes_answer, held: false });
        it.fact(
            CallFact::Arrived(Arc::new(Incoming {
                leg,
                trunk: arrival.trunk,
                caller: arrival.caller,
                caller_raw: arrival.caller_raw,
                restricted: arrival.restricted,
                called: arrival.called,
                called_raw: arrival.called_raw,
                flow: Some(arrival.flow),
                bundle: bundle.hash.clone(),
            })),
            now,
        );
        if arrival.signalled != Signalled::default() {
            it.fact(CallFact::Signalled(Box::new(arrival.signalled)), now);
        }
        it.session = Some(Session::new(bundle, entry));
        it.open_leg(leg, offer, Profile::Plain);
        it
    }

    /// A call of which nothing is known but the party outside.
    fn blank(id: CallId, config: Arc<Config>, caller: Caller) -> Self {
        Self {
            id,
            config,
            phase: Phase::Live,
            caller,
            dialled: None,
            agent: None,
            guests: Vec::new(),
            transfer: None,
            suspended: None,
            questions: BTreeMap::new(),
            heeds_tones: BTreeSet::new(),
            takeover: None,
            served: None,
            ticket: None,
            session: None,
            to_session: VecDeque::new(),
            audio: Audio::default(),
            recordings: BTreeSet::new(),
            n_recordings: 0,
            open_legs: BTreeSet::new(),
            media_died: false,
            broken_off: BTreeMap::new(),
            keys: KeyMerger::default(),
            keys_inside: BTreeMap::new(),
            facts: Vec::with_capacity(N_FACTS),
            outputs: VecDeque::new(),
        }
    }

    pub const fn id(&self) -> CallId {
        self.id
    }

    pub const fn caller_leg(&self) -> LegId {
        self.caller.leg
    }

    /// The place in a queue, while waiting.
    pub const fn ticket(&self) -> Option<TicketId> {
        self.ticket
    }

    /// The offer in progress or the talk: offer, agent and leg.
    pub fn agent(&self) -> Option<(OfferId, &AgentNo, LegId)> {
        let it = &self.agent.as_ref()?.offering;
        Some((it.offer, &it.agent, it.leg))
    }

    /// The group that found the agent.
    pub fn group(&self) -> Option<&GroupId> {
        self.agent.as_ref().map(|it| &it.offering.group)
    }

    /// The facts so far and the place in the queue, of a call that cannot go on.
    pub fn abandon(self) -> (Vec<Arc<Stamped>>, Option<TicketId>) {
        (self.facts, self.ticket)
    }

    /// The call goes out: an agent made it.
    pub const fn is_outbound(&self) -> bool {
        self.dialled.is_some()
    }

    pub fn is_talking(&self) -> bool {
        self.agent.as_ref().is_some_and(|it| it.state == AgentState::Talking)
    }

    /// Both parties are gone; only the record may still be open.
    pub fn is_over(&self) -> bool {
        self.phase != Phase::Live
    }

    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done && self.outputs.is_empty()
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// From now on the call says everything into this queue, behind what is in it, until
    /// [`take_outputs`](Self::take_outputs): a call that has nothing to say keeps none.
    pub fn say_into(&mut self, mut queue: VecDeque<Output>) {
        queue.append(&mut self.outputs);
        self.outputs = queue;
    }

    /// All that is to be said.
    pub fn take_outputs(&mut self) -> VecDeque<Output> {
        std::mem::take(&mut self.outputs)
    }

    pub fn poll_timeout(&self) -> Option<Due> {
        let caller = match (self.phase, &self.caller.state) {
            (Phase::Closing { until }, _) => Some((until, "seal limit")),
            (Phase::Live, CallerState::Opening { until }) => Some((*until, "caller leg open")),
            (
                Phase::Live,
                CallerState::Ready { .. }
                | CallerState::Up
                | CallerState::Left
                | CallerState::Gone
                | CallerState::Waits
                | CallerState::Invited { .. }
                | CallerState::Settling,
            )
            | (Phase::Done, _) => None,
        };
        let agent = match self.agent.as_ref().map(|it| it.state) {
            Some(AgentState::Opening { until }) => Some((until, "agent leg open")),
            Some(
                AgentState::Dialing
                | AgentState::Settling
                | AgentState::Announcing
                | AgentState::Talking,
            )
            | None => None,
        };
        let session = match self.phase {
            Phase::Live => self.session.as_ref().and_then(Session::poll_timeout),
            Phase::Closing { .. } | Phase::Done => None,
        };
        let opening = self.guests.iter().filter_map(Guest::opening_until);
        let opening = opening.chain(self.aside_opening_until());
        let guests = opening.chain(self.takeover.as_ref().map(|it| it.until)).min();
        let transfer = self.transfer.as_ref().map(|it| (it.until, "transfer"));
        let guests = guests.map(|it| (it, "leg open"));
        let guests = earliest(guests, self.question_until().map(|it| (it, "key outside")));
        earliest(earliest(earliest(caller, agent), session), earliest(guests, transfer))
    }

    pub fn handle_timeout(&mut self, env: &dyn Environment, now: Now) {
        match (self.phase, &self.caller.state) {
            (Phase::Closing { until }, _) if until <= now.mono => return self.complete(now),
            (Phase::Live, CallerState::Opening { until }) if *until <= now.mono => {
                return self.not_opened(RefusedWhy::MediaSlow, env, now);
            }
            (Phase::Live | Phase::Closing { .. } | Phase::Done, _) => (),
        }
        if let Some(AgentState::Opening { until }) = self.agent.as_ref().map(|it| it.state)
            && until <= now.mono
        {
            self.end_offer(OfferEnd::System, env, now);
        }
        self.guests_timeout(env, now);
        self.questions_timeout(env, now);
        if self.phase == Phase::Live
            && let Some(session) = &mut self.session
        {
            session.handle_timeout(env, now);
            self.drive(env, now);
        }
    }

    /// The dispatcher took the caller in; `position` counts from 1.
    pub fn enqueued(
        &mut self,
        (ticket, group, priority): (TicketId, &GroupId, u8),
        position: usize,
        env: &dyn Environment,
        now: Now,
    ) {
        self.ticket = Some(ticket);
        if !self.is_outbound() {
            self.left_flow(now);
        }
        let n = u32::try_from(position).unwrap_or(u32::MAX);
        self.fact(CallFact::Enqueued { ticket, group: group.clone(), priority, position: n }, now);
        if self.transfer.is_none() {
            self.tell(hotline_ivr::Event::Enqueued { position }, env, now);
        }
    }

    /// The dispatcher did not take the caller in.
    pub fn enqueue_refused(
        &mut self,
        group: &GroupId,
        why: hotline_ivr::QueueRefusal,
        env: &dyn Environment,
        now: Now,
    ) {
        let exit = steps::refused_exit(why);
        self.fact(CallFact::EnqueueRefused { group: group.clone(), why: exit }, now);
        if self.transfer.is_some() {
            return self.give_transfer_up(env, now);
        }
        self.tell(hotline_ivr::Event::EnqueueRefused(why), env, now);
    }

    /// An agent is reserved for this caller: open a leg and ring it.
    pub fn offered(&mut self, offering: Offering, now: Now) {
        let (leg, profile) = (offering.leg, offering.profile);
        self.fact(
            CallFact::Offered {
                offer: offering.offer,
                ticket: offering.ticket,
                agent: offering.agent.clone(),
                extension: offering.extension.clone(),
                group: offering.group.clone(),
                leg,
            },
            now,
        );
        self.open_leg(leg, None, profile);
        let until = now.mono + self.config.open_limit;
        self.agent = Some(AgentSide::new(offering, AgentState::Opening { until }));
    }

    /// The dispatcher's lease ran out: 久不应答.
    pub fn offer_expired(&mut self, offer: OfferId, env: &dyn Environment, now: Now) {
        if self.agent.as_ref().is_some_and(|it| it.offering.offer == offer) {
            self.end_offer(OfferEnd::NoAnswer, env, now);
        }
    }

    /// Media takes no orders: what the parties would hear is not what was decided.
    pub fn order_lost(&mut self, env: &dyn Environment, now: Now) {
        self.fail_for_media(RefusedWhy::MediaSlow, env, now);
    }

    /// Refuses a call that is not answered yet, and ends another one.
    fn fail_for_media(&mut self, why: RefusedWhy, env: &dyn Environment, now: Now) {
        match self.caller.state {
            CallerState::Opening { .. } | CallerState::Ready { .. } => {
                self.not_opened(why, env, now);
            }
            CallerState::Up
            | CallerState::Left
            | CallerState::Gone
            | CallerState::Waits
            | CallerState::Invited { .. }
            | CallerState::Settling => {
                self.end(Party::Platform, EndReason::MediaFailed, None, env, now);
            }
        }
    }

    fn fact(&mut self, fact: CallFact, now: Now) {
        let stamped = Arc::new(Stamped { at: now, fact });
        self.facts.push(Arc::clone(&stamped));
        self.outputs.push_back(Output::Fact(stamped));
        if let Some(news) = recording_news(self.id, &self.facts) {
            self.outputs.push_back(Output::Recording(Box::new(news)));
        }
    }

    fn leg(&mut self, leg: LegId, order: LegOrder) {
        self.outputs.push_back(Output::Leg { leg, order });
    }

    /// Asks media for one more leg of this call.
    fn open_leg(&mut self, leg: LegId, offer: Option<String>, profile: Profile) {
        self.open_legs.insert(leg);
        self.media(Order::Open { leg, offer, profile, context: ContextId(self.id.0) });
    }

    fn media(&mut self, order: Order) {
        self.outputs.push_back(Output::Media(order));
    }

    fn close_leg(&mut self, leg: LegId) {
        if self.open_legs.contains(&leg) {
            self.media(Order::Close { leg });
        }
    }

    fn left_flow(&mut self, now: Now) {
        let left = |it: &Arc<Stamped>| matches!(it.fact, CallFact::FlowLeft);
        if !self.facts.iter().any(left) {
            self.fact(CallFact::FlowLeft, now);
        }
    }
}
