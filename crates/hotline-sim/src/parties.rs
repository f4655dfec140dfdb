//! Agents who ask others, give callers away, and watch each other.

use hotline_agent::{Command, Forced, RecordingWish, Target};
use hotline_base::{AgentNo, CallId, FlowId, GroupId, Key, Oversight, Pii};
use hotline_ivr::FlowKind;

use crate::Shift;

const NUMBERS: &[&str] = &["13800138000", "07715551234", "110", "99"];

impl Shift {
    /// What an agent does who talks: often with somebody else's help.
    pub(crate) fn deed_in_talk(&mut self, agent: &AgentNo) -> Command {
        if self.plan.company && self.random.chance(70) {
            return Command::Consult { to: self.target() };
        }
        match self.random.below(19) {
            0..3 => Command::Consult { to: self.target() },
            3 if self.random.chance(50) => Command::TransferOnAnswer { to: self.target() },
            3..5 => Command::Transfer { to: self.target() },
            // Of those who supervise, who else is refused.
            5 => self.supervises(agent),
            6 => Command::Intercept,
            7 => Command::Hold,
            8 => Command::MaskRecording,
            9 => Command::ResumeRecording,
            10 => Command::SetBusy { reason: 1 },
            13 => Command::SendKeys {
                keys: "12#".chars().filter_map(|it| Key::try_from(it).ok()).collect(),
            },
            11..13 => Command::Suspend { flow: self.flow() },
            14 => Command::Mute,
            15 => Command::Unmute,
            16 => Command::StopRecording,
            17 => Command::StartRecording,
            _ => Command::HangUp,
        }
    }

    /// What an agent does who asks somebody.
    pub(crate) fn deed_in_consultation(&mut self) -> Command {
        if self.plan.company && self.random.chance(70) {
            return Command::Confer;
        }
        let ways =
            [Command::CompleteTransfer, Command::Confer, Command::CancelConsult, Command::HangUp];
        self.pick(&ways).clone()
    }

    pub(crate) fn supervises(&mut self, own: &AgentNo) -> Command {
        let agent = self.colleague();
        let ways = [Oversight::Listen, Oversight::Whisper, Oversight::BargeIn];
        let how = *self.pick(&ways);
        if agent == *own && self.random.chance(50) {
            return Command::Intercept;
        }
        if self.random.chance(5) {
            return Command::ForceRelease { agent };
        }
        if self.random.chance(10) {
            let to = *self.pick(&[Forced::Ready, Forced::Busy, Forced::SignedOut]);
            return Command::Force { agent, to };
        }
        if self.random.chance(10) {
            let all = [
                RecordingWish::Start,
                RecordingWish::Stop,
                RecordingWish::Pause,
                RecordingWish::Mask,
                RecordingWish::Resume,
            ];
            let open: Vec<_> = self.ledger.open().chain([CallId(0)]).collect();
            let (call, to) = (*self.pick(&open), *self.pick(&all));
            return Command::ControlRecording { call, to };
        }
        Command::Supervise { agent, how }
    }

    pub(crate) fn target(&mut self) -> Target {
        match self.random.below(3) {
            0 => Target::Agent(self.colleague()),
            1 => {
                let groups: Vec<GroupId> =
                    self.config.groups.iter().map(|it| it.id.clone()).collect();
                Target::Group(self.pick(&groups).clone())
            }
            _ => Target::Number(Pii::new((*self.pick(NUMBERS)).to_owned())),
        }
    }

    /// One that takes a caller in the middle of his talk, or none.
    fn flow(&mut self) -> FlowId {
        let flows = self.config.bundle.flows.values();
        let flows = flows.filter(|it| it.kind == FlowKind::MidCall).map(|it| it.id.clone());
        let nowhere = FlowId::new("nowhere");
        let flows: Vec<_> = flows.flat_map(|it| [it.clone(), it]).chain([nowhere]).collect();
        self.pick(&flows).clone()
    }

    /// What an agent does who waits for a caller in a flow.
    pub(crate) fn deed_in_wait(&mut self) -> Command {
        match self.random.below(8) {
            0..2 => Command::Retrieve,
            2 => Command::HangUp,
            3 => Command::Hold,
            4 => Command::ResumeRecording,
            _ => Command::SetBusy { reason: 1 },
        }
    }

    fn colleague(&mut self) -> AgentNo {
        let agents: Vec<AgentNo> = self.config.agents.iter().map(|it| it.no.clone()).collect();
        self.pick(&agents).clone()
    }
}
