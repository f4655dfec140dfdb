//! Agents and their phones: they answer late, twice or never, and wish at bad moments.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use hotline_agent::{Command, Display};
use hotline_base::{AgentNo, ConnId, Extension, LegId, Pii, Random, media::Profile};
use hotline_sdp::Fingerprint;
use hotline_sip::{Endpoint, Event as SipEvent, Flow, HangUp, Output as SipOutput, Transport};
use hotline_switchboard::{Config, Input};

use crate::{
    SWITCHBOARD, Shift,
    agenda::{Event, PhoneDeed},
    shift::{account_of, addr, reversed},
    voice::{Voice, leg_of, profile_of},
};

/// How long a registration lasts, and after how long it is renewed.
const EXPIRES: Duration = Duration::from_hours(1);
const RENEWAL: Duration = Duration::from_mins(25);

/// One of an agent's phones.
pub(crate) struct Phone {
    pub(crate) agent: AgentNo,
    pub(crate) extension: Extension,
    pub(crate) transport: Transport,
    pub(crate) profile: Profile,
    pub(crate) address: SocketAddr,
    /// What it is connected by, where its way of signalling wants that.
    pub(crate) conn: Option<ConnId>,
    pub(crate) endpoint: Endpoint,
    /// Parameters of its Contact.
    params: String,
    /// It has no power.
    pub(crate) is_off: bool,
    /// Of its page.
    pub(crate) certificate: Fingerprint,
    /// By its own legs.
    pub(crate) voices: BTreeMap<LegId, Line>,
}

/// What a telephone says of one of its legs.
pub(crate) struct Line {
    pub(crate) own: Voice,
    /// Media's leg at the other end.
    pub(crate) peer: LegId,
    /// It was answered.
    pub(crate) is_up: bool,
}

/// Way of signalling and priority of telephones, for each agent another choice: those of one agent
/// ring together, or stand in for each other.
const KINDS: [&[(Transport, &str)]; 6] = [
    &[(Transport::Udp, ""), (Transport::Udp, "")],
    &[(Transport::Wss, "")],
    &[(Transport::Udp, ""), (Transport::Wss, ";q=0.5")],
    &[(Transport::Tls, "")],
    &[(Transport::Ws, ""), (Transport::Wss, ""), (Transport::Tls, ";q=0.5")],
    &[(Transport::Udp, "")],
];

impl Phone {
    pub(crate) fn all(config: &Config, random: &mut Random) -> Vec<Self> {
        let first = usize::try_from(random.below(KINDS.len() as u64)).unwrap_or(0);
        let kinds = KINDS.iter().cycle().skip(first);
        let numbered = config.agents.iter().zip(1u8..).zip(kinds);
        let each = numbered.flat_map(|(agent, kinds)| {
            kinds.iter().zip(2..).map(move |(kind, net)| (agent, net, kind))
        });
        each.map(|((agent, n), net, (transport, params))| {
            let instance = format!(";+sip.instance=\"<urn:uuid:{n}-{net}>\";reg-id=1");
            let instance = if transport.is_reliable() { instance.as_str() } else { "" };
            Self {
                agent: agent.no.clone(),
                extension: agent.extension.clone(),
                transport: *transport,
                profile: config.srtp.profile(*transport),
                address: SocketAddr::from(([10, 0, net, n], 5060)),
                conn: None,
                endpoint: Endpoint::new(config.sip.clone(), random.next_u64(), 1),
                params: format!("{params}{instance}"),
                is_off: false,
                certificate: certificate(random.next_u64()),
                voices: BTreeMap::new(),
            }
        })
        .collect()
    }

    fn flow(&self) -> Flow {
        Flow {
            transport: self.transport,
            local: self.address,
            remote: addr(SWITCHBOARD),
            conn: self.conn,
        }
    }

    /// Whether what comes by this flow comes to it.
    pub(crate) fn is_at(&self, flow: Flow) -> bool {
        let is_here = if self.transport.is_reliable() {
            self.conn.is_some() && self.conn == flow.conn
        } else {
            self.address == flow.local
        };
        is_here && !self.is_off
    }

    /// To another network.
    pub(crate) fn moves(&mut self) {
        let port = self.address.port();
        self.address.set_port(port + 1);
    }

    /// A loaded page, or a telephone that was switched on, knows nothing. Gives the connection and
    /// the legs that it had.
    pub(crate) fn begin_anew(
        &mut self,
        config: &hotline_sip::Config,
        seed: u64,
        first_leg: u64,
    ) -> (Option<ConnId>, Vec<Line>) {
        self.endpoint = Endpoint::new(config.clone(), seed, first_leg);
        self.certificate = certificate(seed);
        (self.conn.take(), std::mem::take(&mut self.voices).into_values().collect())
    }
}

fn certificate(seed: u64) -> Fingerprint {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(seed.to_le_bytes()).for_each(|(it, byte)| *it = byte);
    Fingerprint(bytes)
}

impl Shift {
    pub(crate) fn phone_registers(&mut self, phone: usize) {
        let (now, fresh, is_cut) = (self.at(), self.new_connection(), self.office_is_cut());
        let Some(it) = self.phones.get_mut(phone).filter(|it| !it.is_off) else { return };
        if is_cut && it.transport.is_reliable() && it.conn.is_none() {
            return self.after(Duration::from_millis(500), Event::PhoneRegisters { phone });
        }
        if it.transport.is_reliable() {
            it.conn.get_or_insert(fresh);
        }
        if let Some(account) = account_of(&self.config, &it.extension) {
            it.endpoint.set_contact_params(&it.params);
            it.endpoint.register(&it.extension, &account, it.flow(), EXPIRES, now);
        }
        self.after(RENEWAL, Event::PhoneRegisters { phone });
    }

    /// Every connection ends, with the switchboard's process or with a line that is cut for so long.
    pub(crate) fn connections_end(&mut self, length: Duration) {
        let now = self.at();
        for phone in 0..self.phones.len() {
            let Some(it) = self.phones.get_mut(phone) else { continue };
            if let Some(conn) = it.conn.take() {
                it.endpoint.handle_connection_gone(conn, now);
                if !length.is_zero() {
                    let noticed = self.part_of(length);
                    self.connection_ends(conn, noticed);
                }
                let wait = self.millis(500, 5_000);
                self.after(length + wait, Event::PhoneConnects { phone });
            }
        }
    }

    /// Everything it knew is gone, and nobody is told.
    pub(crate) fn phone_loses_power(&mut self) {
        let n = u64::try_from(self.phones.len()).unwrap_or(u64::MAX);
        let phone = usize::try_from(self.random.below(n)).unwrap_or(0);
        let Some(it) = self.phones.get_mut(phone) else { return };
        it.is_off = true;
        // What it was connected by hangs until nothing answers.
        let wait = self.millis(500, 90_000);
        self.phone_forgets(phone, wait);
        let wait = self.millis(1_000, 120_000);
        self.after(wait, Event::PhoneReturns { phone });
    }

    pub(crate) fn phone_returns(&mut self, phone: usize) {
        if let Some(it) = self.phones.get_mut(phone) {
            it.is_off = false;
        }
        self.phone_registers(phone);
    }

    pub(crate) fn drain_phones(&mut self) {
        for phone in 0..self.phones.len() {
            while let Some(output) =
                self.phones.get_mut(phone).and_then(|it| it.endpoint.poll_output())
            {
                match output {
                    SipOutput::Transmit { flow, bytes } => self.phone_sends(phone, flow, bytes),
                    SipOutput::Event(event) => self.phone_hears(phone, event),
                }
            }
        }
    }

    /// By the connection it has now, if it needs one.
    fn phone_sends(&mut self, phone: usize, flow: Flow, bytes: Arc<[u8]>) {
        let now = self.at();
        let Some(it) = self.phones.get_mut(phone) else { return };
        if !it.transport.is_reliable() {
            self.send(reversed(flow), bytes);
        } else if it.conn.is_some() {
            let flow = it.flow();
            self.send(reversed(flow), bytes);
        } else {
            it.endpoint.handle_unreachable(flow, now);
        }
    }

    fn phone_hears(&mut self, phone: usize, event: SipEvent) {
        match event {
            SipEvent::Invited(it) => self.phone_rings(phone, it.leg, it.sdp.as_deref()),
            SipEvent::Confirmed { leg } => {
                if let Some(it) = self.phones.get_mut(phone).and_then(|it| it.voices.get_mut(&leg))
                {
                    it.is_up = true;
                }
                if self.random.chance(15) {
                    self.phone_acts(phone, leg, PhoneDeed::Holds);
                }
                if self.plan.faults.storm.is_none() && self.random.chance(60) {
                    let wait = self.millis(0, 60_000);
                    self.after(wait, Event::PhoneActs { phone, leg, deed: PhoneDeed::HangsUp });
                }
            }
            SipEvent::Offered { leg, sdp } => self.phone_is_offered(phone, leg, sdp.as_deref()),
            SipEvent::Reanswered { leg, sdp: Some(sdp) } => {
                self.phone_is_answered(phone, leg, &sdp);
            }
            SipEvent::Ended { leg, why } => {
                let line = self.phones.get_mut(phone).and_then(|it| it.voices.remove(&leg));
                if let Some(it) = line {
                    self.peer_lost(it.peer, why);
                }
            }
            SipEvent::RegisterDone { ok: false, .. } => {
                self.after(Duration::from_secs(5), Event::PhoneRegisters { phone });
            }
            SipEvent::Ringing { .. }
            | SipEvent::Changed { .. }
            | SipEvent::Answered { .. }
            | SipEvent::Reanswered { .. }
            | SipEvent::ReofferRefused { .. }
            | SipEvent::ReferProgress { .. }
            | SipEvent::Referred { .. }
            | SipEvent::Key { .. }
            | SipEvent::Bound { .. }
            | SipEvent::Unbound { .. }
            | SipEvent::Unreachable { .. }
            | SipEvent::Reachable { .. }
            | SipEvent::RegisterDone { .. }
            | SipEvent::Enrolled(_)
            | SipEvent::Stranger { .. }
            | SipEvent::Misbehaved { .. }
            | SipEvent::AuthFailed { .. }
            | SipEvent::Probed { .. } => (),
        }
    }

    fn phone_rings(&mut self, phone: usize, leg: LegId, offer: Option<&str>) {
        let now = self.at();
        let session = self.random.next_u64() >> 1;
        // Somebody on the way who describes himself instead.
        let is_calm = self.plan.faults.storm.is_none();
        let false_certificate = is_calm && self.random.chance(2);
        let Some(it) = self.phones.get_mut(phone) else { return };
        let certificate = if false_certificate { certificate(session) } else { it.certificate };
        let mut own = Voice::new(it.profile, session, certificate);
        let (Some(peer), Some(offer)) = (offer.and_then(leg_of), offer) else {
            return self.ledger.fail("a telephone is called without an offer".to_owned());
        };
        let security = match own.answer(offer) {
            Ok((_, security)) => security,
            Err(why) => return self.ledger.fail(format!("a telephone cannot answer: {why}")),
        };
        // Browsers do not know of reliable responses.
        let reliable = it.profile != Profile::WebRtc && self.random.chance(30);
        if reliable {
            it.endpoint.ring_reliably(leg, own.said.clone(), now);
        } else {
            it.endpoint.ring(leg, None, now);
        }
        it.voices.insert(leg, Line { own, peer, is_up: false });
        self.check_profile(profile_of(&security), phone);
        let (wait, deed) = match self.random.below(100) {
            0..70 => (self.millis(200, 6000), PhoneDeed::Answers),
            // Around the end of the lease.
            70..80 => (self.millis(19_900, 20_100), PhoneDeed::Answers),
            80..90 => (self.millis(0, 5000), PhoneDeed::Rejects),
            // Answers and hangs up at once.
            90..94 if self.plan.faults.storm.is_none() => {
                let wait = self.millis(500, 2000);
                self.after(
                    wait + Duration::from_millis(40),
                    Event::PhoneActs { phone, leg, deed: PhoneDeed::HangsUp },
                );
                (wait, PhoneDeed::Answers)
            }
            _ => return,
        };
        self.after(wait, Event::PhoneActs { phone, leg, deed });
    }

    /// The other side offers anew, or wants an offer.
    fn phone_is_offered(&mut self, phone: usize, leg: LegId, offer: Option<&str>) {
        let now = self.at();
        let Some(it) = self.phones.get_mut(phone) else { return };
        let Some(line) = it.voices.get_mut(&leg) else { return };
        let agreed = offer.map(|offer| line.own.answer(offer));
        if offer.is_none() {
            line.own.offer();
        }
        it.endpoint.accept_offer(leg, line.own.said.clone(), now);
        match agreed {
            Some(Ok((_, security))) => self.check_profile(profile_of(&security), phone),
            Some(Err(why)) => self.ledger.fail(format!("a telephone cannot answer: {why}")),
            None => (),
        }
    }

    pub(crate) fn phone_acts(&mut self, phone: usize, leg: LegId, deed: PhoneDeed) {
        let now = self.at();
        let Some(it) = self.phones.get_mut(phone) else { return };
        let Some(line) = it.voices.get_mut(&leg) else { return };
        let is_with = line.is_up && self.media.is_with(line.peer, line.own.session());
        let gone = Some(line.peer).filter(|_| is_with && deed == PhoneDeed::HangsUp);
        match deed {
            PhoneDeed::Answers => it.endpoint.answer(leg, line.own.said.clone(), now),
            PhoneDeed::Rejects => it.endpoint.refuse(leg, 486, now),
            PhoneDeed::Holds => it.endpoint.reoffer(leg, line.own.hold(), now),
            PhoneDeed::HangsUp => {
                it.endpoint.hang_up(leg, HangUp { status: 480, reason: None }, now);
            }
        }
        if let Some(peer) = gone {
            self.phone_hung_up(phone, peer);
        }
    }

    /// The agent presses a button of the bar, sometimes one that makes no sense.
    pub(crate) fn agent_acts(&mut self, agent: &AgentNo) {
        let Some(view) = self.switchboard.agents().find(|it| it.no == *agent) else { return };
        let command = match view.display {
            Display::SignedOut if self.sits_outside(agent) => {
                // His mobile telephone; the carrier's callees answer there.
                let number = Pii::new(format!("139{:0>8}", agent.as_str()));
                Command::SignInOutside { number }
            }
            Display::SignedOut => Command::SignIn { extension: None },
            Display::Idle | Display::Busy | Display::Acw if self.dials_now() => {
                let dials = self.plan.faults.gateway_cuts > 0 || self.random.chance(50);
                if dials { self.dials() } else { self.supervises(agent) }
            }
            Display::Busy | Display::Rest => Command::SetReady,
            Display::Acw => Command::FinishAcw,
            Display::Held if self.plan.faults.storm.is_none() && self.random.chance(20) => {
                Command::Transfer { to: self.target() }
            }
            Display::Held => Command::Retrieve,
            Display::Idle
            | Display::Reserved
            | Display::Ringing
            | Display::Connecting
            | Display::Dialing => self.whim(),
            Display::Talking if self.plan.faults.storm.is_some() => Command::Unmute,
            Display::Talking => self.deed_in_talk(agent),
            Display::Suspended => self.deed_in_wait(),
            Display::Consulting => self.deed_in_consultation(),
            Display::Conferring if self.plan.company || self.random.chance(30) => {
                self.deed_in_talk(agent)
            }
            Display::Conferring => {
                self.pick(&[Command::HangUp, Command::Hold, Command::SetBusy { reason: 1 }]).clone()
            }
        };
        let id = self.agenda.command();
        self.ledger.commanded(id);
        self.input(Input::Command { id, agent: agent.clone(), command });
        let wait = self.millis(1000, if self.plan.company { 10_000 } else { 30_000 });
        self.after(wait, Event::AgentActs { agent: agent.clone() });
    }

    /// Some of those who may sit outside do.
    fn sits_outside(&mut self, agent: &AgentNo) -> bool {
        let dialer = self.config.outbound.dialers.get(agent);
        dialer.is_some_and(|it| it.outside_seat) && self.random.chance(60)
    }

    fn dials_now(&mut self) -> bool {
        let percent = if self.plan.faults.gateway_cuts > 0 { 80 } else { 15 };
        self.plan.faults.storm.is_none() && self.faulty && self.random.chance(percent)
    }

    fn whim(&mut self) -> Command {
        if self.faulty && self.random.chance(15) {
            let rest = Command::SetRest { planned: Duration::from_mins(5) };
            let wishes = [
                Command::SetBusy { reason: 1 },
                rest,
                Command::SignOut,
                Command::HangUp,
                Command::EnterAcw,
                Command::SetBusy { reason: 99 },
            ];
            self.pick(&wishes).clone()
        } else {
            Command::SetReady
        }
    }
}
