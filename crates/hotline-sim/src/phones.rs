//! Agents and their phones: they answer late, twice or never, and wish at bad moments.

use std::{net::SocketAddr, time::Duration};

use hotline_agent::{Command, Display};
use hotline_base::{AgentNo, Extension, LegId, Pii, Random};
use hotline_sip::{Endpoint, Event as SipEvent, HangUp, Output as SipOutput};
use hotline_switchboard::{Config, Input};

use crate::{
    Shift,
    agenda::{Event, PhoneDeed},
    shift::{account_of, reversed, to_switchboard},
};

/// How long a registration lasts, and after how long it is renewed.
const EXPIRES: Duration = Duration::from_hours(1);
const RENEWAL: Duration = Duration::from_mins(25);

/// One of an agent's phones.
pub(crate) struct Phone {
    pub(crate) agent: AgentNo,
    pub(crate) extension: Extension,
    pub(crate) address: SocketAddr,
    pub(crate) endpoint: Endpoint,
    /// Parameters of its Contact.
    params: &'static str,
    /// It has no power.
    pub(crate) is_off: bool,
}

impl Phone {
    /// A desk phone for everybody; every second agent has another one, which rings with it or
    /// stands in for it.
    pub(crate) fn all(config: &Config, random: &mut Random) -> Vec<Self> {
        let numbered = config.agents.iter().zip(1u8..);
        let kinds = |n: u8| match n % 4 {
            1 => vec![(2, ""), (3, "")],
            3 => vec![(2, ""), (3, ";q=0.5;+sip.instance=\"<urn:uuid:soft>\";reg-id=1")],
            _ => vec![(2, "")],
        };
        numbered
            .flat_map(|(agent, n)| kinds(n).into_iter().map(move |kind| (agent, n, kind)))
            .map(|(agent, n, (net, params))| Self {
                agent: agent.no.clone(),
                extension: agent.extension.clone(),
                address: SocketAddr::from(([10, 0, net, n], 5060)),
                endpoint: Endpoint::new(config.sip.clone(), random.next_u64(), 1),
                params,
                is_off: false,
            })
            .collect()
    }
}

impl Shift {
    pub(crate) fn phone_registers(&mut self, phone: usize) {
        let now = self.at();
        let Some(it) = self.phones.get_mut(phone).filter(|it| !it.is_off) else { return };
        if let Some(account) = account_of(&self.config, &it.extension) {
            it.endpoint.set_contact_params(it.params);
            it.endpoint.register(&it.extension, &account, to_switchboard(it.address), EXPIRES, now);
        }
        self.after(RENEWAL, Event::PhoneRegisters { phone });
    }

    /// Everything it knew is gone, and nobody is told.
    pub(crate) fn phone_loses_power(&mut self) {
        let n = u64::try_from(self.phones.len()).unwrap_or(u64::MAX);
        let phone = usize::try_from(self.random.below(n)).unwrap_or(0);
        let (seed, first_leg) = (self.random.next_u64(), self.random.next_u64() >> 8);
        let endpoint = Endpoint::new(self.config.sip.clone(), seed, first_leg);
        let Some(it) = self.phones.get_mut(phone) else { return };
        it.endpoint = endpoint;
        it.is_off = true;
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
                    SipOutput::Transmit { flow, bytes } => self.send(reversed(flow), bytes),
                    SipOutput::Event(event) => self.phone_hears(phone, event),
                }
            }
        }
    }

    fn phone_hears(&mut self, phone: usize, event: SipEvent) {
        let now = self.at();
        match event {
            SipEvent::Invited(it) => self.phone_rings(phone, it.leg),
            SipEvent::Confirmed { leg } => {
                if self.random.chance(15) {
                    let held = format!("{}a=sendonly\r\n", self.sdp);
                    if let Some(it) = self.phones.get_mut(phone) {
                        it.endpoint.reoffer(leg, held, now);
                    }
                }
                if self.random.chance(60) {
                    let wait = self.millis(0, 60_000);
                    self.after(wait, Event::PhoneActs { phone, leg, deed: PhoneDeed::HangsUp });
                }
            }
            SipEvent::Offered { leg, .. } => {
                let sdp = self.sdp.to_owned();
                if let Some(it) = self.phones.get_mut(phone) {
                    it.endpoint.accept_offer(leg, sdp, now);
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
            | SipEvent::Ended { .. }
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

    fn phone_rings(&mut self, phone: usize, leg: LegId) {
        let now = self.at();
        let reliable = self.random.chance(30);
        let sdp = self.sdp.to_owned();
        if let Some(it) = self.phones.get_mut(phone) {
            if reliable {
                it.endpoint.ring_reliably(leg, sdp, now);
            } else {
                it.endpoint.ring(leg, None, now);
            }
        }
        let (wait, deed) = match self.random.below(100) {
            0..70 => (self.millis(200, 6000), PhoneDeed::Answers),
            // Around the end of the lease.
            70..80 => (self.millis(19_900, 20_100), PhoneDeed::Answers),
            80..90 => (self.millis(0, 5000), PhoneDeed::Rejects),
            // Answers and hangs up at once.
            90..94 => {
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

    pub(crate) fn phone_acts(&mut self, phone: usize, leg: LegId, deed: PhoneDeed) {
        let (now, sdp) = (self.at(), self.sdp.to_owned());
        let Some(it) = self.phones.get_mut(phone) else { return };
        match deed {
            PhoneDeed::Answers => it.endpoint.answer(leg, sdp, now),
            PhoneDeed::Rejects => it.endpoint.refuse(leg, 486, now),
            PhoneDeed::HangsUp => {
                it.endpoint.hang_up(leg, HangUp { status: 480, reason: None }, now);
            }
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
            Display::Held => Command::Retrieve,
            Display::Idle
            | Display::Reserved
            | Display::Ringing
            | Display::Connecting
            | Display::Dialing => self.whim(),
            Display::Talking => self.deed_in_talk(agent),
            Display::Suspended => self.deed_in_wait(),
            Display::Consulting => {
                let ways = [
                    Command::CompleteTransfer,
                    Command::Confer,
                    Command::CancelConsult,
                    Command::HangUp,
                ];
                self.pick(&ways).clone()
            }
            Display::Conferring => {
                self.pick(&[Command::HangUp, Command::Hold, Command::SetBusy { reason: 1 }]).clone()
            }
        };
        let id = self.agenda.command();
        self.ledger.commanded(id);
        self.input(Input::Command { id, agent: agent.clone(), command });
        let wait = self.millis(1000, 30_000);
        self.after(wait, Event::AgentActs { agent: agent.clone() });
    }

    /// Some of those who may sit outside do.
    fn sits_outside(&mut self, agent: &AgentNo) -> bool {
        let dialer = self.config.outbound.dialers.get(agent);
        dialer.is_some_and(|it| it.outside_seat) && self.random.chance(60)
    }

    fn dials_now(&mut self) -> bool {
        let percent = if self.plan.faults.gateway_cuts > 0 { 80 } else { 15 };
        self.faulty && self.random.chance(percent)
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
