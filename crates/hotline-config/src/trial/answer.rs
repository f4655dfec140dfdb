//! One message through the switchboard, with a media plane that always has a port.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use hotline_base::{
    Machine as _, Now, TrunkId,
    media::{Event, FailReason, FailedOrder, Order, VERSION},
};
use hotline_sdp::{Local, SdpError};
use hotline_sip::{Flow, HeaderRules, Message};
use hotline_switchboard::{CarrierRules, Config, Input, Output, Switchboard};

use super::TrialOutcome;
use crate::Loaded;

/// Where our audio would be.
pub(super) const LOCAL: Local =
    Local { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 20_000, session: 1, version: 1 };

/// No message leads to more steps than this.
const STEPS_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Answers {
    /// As the endpoint makes them, before the carrier's rules.
    pub(super) sent: Vec<Vec<u8>>,
}

impl Answers {
    /// Refused: a final response above 2xx.
    pub(super) fn outcome(&self) -> TrialOutcome {
        let refuses = |it: &Vec<u8>| {
            Message::parse(it).ok().and_then(|it| it.status()).is_some_and(|it| it >= 300)
        };
        if self.sent.iter().any(refuses) { TrialOutcome::Refused } else { TrialOutcome::Taken }
    }
}

pub(super) fn answers(
    loaded: &Loaded,
    trunk: &TrunkId,
    flow: Flow,
    message: Message,
    now: Now,
) -> Answers {
    let mut switchboard = Switchboard::new(without_rules_out(loaded, trunk), 1, now);
    let mut answers = Answers::default();
    let mut inputs = vec![Input::MediaUp];
    let mut first = Some(Input::Sip { flow, message });
    for _ in 0..STEPS_MAX {
        // The message comes when media is ready.
        let Some(input) = inputs.pop().or_else(|| first.take()) else { break };
        switchboard.handle(input, now);
        while let Some(output) = switchboard.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => answers.sent.push(bytes),
                Output::Order(order) => inputs.extend(media(order).map(Input::Media)),
                Output::Record(_)
                | Output::Agent(_)
                | Output::Keep { .. }
                | Output::Reply { .. }
                | Output::Fact { .. }
                | Output::Count(_) => (),
            }
        }
    }
    answers
}

/// The header rules of both directions are applied and shown by the trial itself.
fn without_rules_out(loaded: &Loaded, trunk: &TrunkId) -> Config {
    let mut config = loaded.switchboard.clone();
    if let Some(rules) = config.rules.get_mut(trunk) {
        let bare = HeaderRules::default;
        let own = CarrierRules { headers_in: bare(), headers_out: bare(), ..(**rules).clone() };
        *rules = Arc::new(own);
    }
    config
}

fn media(order: Order) -> Option<Event> {
    match order {
        Order::Hello { .. } => {
            Some(Event::Inventory { version: VERSION, legs: Vec::new(), recordings: Vec::new() })
        }
        Order::Open { leg, offer } => Some(match offer {
            None => Event::Opened { leg, sdp: hotline_sdp::offer(&LOCAL, false) },
            Some(offer) => match hotline_sdp::answer(&offer, &LOCAL) {
                Ok((sdp, _)) => Event::Opened { leg, sdp },
                Err(why) => {
                    let reason = match why {
                        SdpError::Bad => FailReason::BadSdp,
                        SdpError::NoAudio | SdpError::NoCommonCodec => FailReason::NoCommonCodec,
                    };
                    Event::Failed { leg, order: FailedOrder::Open, reason }
                }
            },
        }),
        Order::Answer { .. }
        | Order::Reoffer { .. }
        | Order::Mix { .. }
        | Order::Play(_)
        | Order::Stop { .. }
        | Order::SendKeys { .. }
        | Order::Record { .. }
        | Order::RecordSource { .. }
        | Order::StopRecord { .. }
        | Order::Close { .. } => None,
    }
}
