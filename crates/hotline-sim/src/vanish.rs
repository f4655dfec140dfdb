//! Peers that lose their power in mid-call, all at once and for good.

use std::time::Duration;

use hotline_base::media::Event as MediaEvent;
use hotline_sip::Endpoint;

use crate::{Shift, agenda::Event};

/// Whether media says that it hears nobody any more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Vanish {
    #[default]
    Never,
    /// It reports silence, as it does for legs that should be heard.
    Heard,
    /// It does not, as for legs on hold: only signalling can tell.
    Unheard,
}

impl Shift {
    /// Nobody out there says anything any more, and nothing that is sent meets anybody.
    pub(crate) fn peers_vanish(&mut self) {
        self.drain();
        self.vanished = Some(self.switchboard.n_dialogs());
        let sip = &self.config.sip;
        self.carrier = Endpoint::new(sip.clone(), self.random.next_u64(), 1);
        self.callers.clear();
        for phone in &mut self.phones {
            phone.endpoint = Endpoint::new(sip.clone(), self.random.next_u64(), 1);
            phone.voices.clear();
        }
        if self.plan.faults.vanish == Vanish::Heard {
            for leg in self.media.legs() {
                for secs in [5, 30] {
                    let quiet = MediaEvent::Quiet { leg, secs };
                    self.tell_media(Duration::from_secs(u64::from(secs)), quiet);
                }
            }
        }
    }
}

impl Event {
    /// Whether carrier, telephones or agents do it.
    pub(crate) const fn is_of_peers(&self) -> bool {
        match self {
            Self::CallerDials
            | Self::CallerActs { .. }
            | Self::PhoneActs { .. }
            | Self::PhoneRegisters { .. }
            | Self::AgentActs { .. }
            | Self::CalleeActs { .. }
            | Self::PhoneConnects { .. }
            | Self::PageReloads { .. }
            | Self::PageMoves { .. }
            | Self::PhoneLosesPower
            | Self::PhoneReturns { .. }
            | Self::GatewayDies
            | Self::GatewayReturns
            | Self::LineCut { .. }
            | Self::LineReturns
            | Self::GatewayIsKnown => true,
            Self::Arrives { .. }
            | Self::Media { .. }
            | Self::ConnectionGone { .. }
            | Self::Unreachable { .. }
            | Self::CertificateShown { .. }
            | Self::MustBeClosed { .. }
            | Self::MediaDies
            | Self::MediaReturns
            | Self::DiskFails
            | Self::DiskReturns
            | Self::PeersVanish
            | Self::ControlDies
            | Self::ClockSet { .. }
            | Self::FaultsEnd => false,
        }
    }
}
