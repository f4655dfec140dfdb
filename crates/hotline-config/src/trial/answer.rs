//! One message through the switchboard, with a media plane that always has a port.

use std::sync::Arc;

use hotline_base::{
    Machine as _, Now, TrunkId, WallTime,
    media::{Event, FailedOrder, Order, VERSION},
};
use hotline_media::MediaConfig;
use hotline_sdp::Local;
use hotline_sip::{Flow, HeaderRules, Message};
use hotline_switchboard::{CarrierRules, Config, Input, Output, Switchboard};

use super::TrialOutcome;
use crate::Loaded;

/// Where our audio would be; the first port of the range stands for whichever is free.
pub(super) const fn local(media: &MediaConfig) -> Local {
    let (address, port) = (media.address, *media.ports.start());
    Local { address, port, session: 1, version: 1, codecs: media.coding.codecs }
}

/// No message leads to more steps than this.
const STEPS_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Answers {
    /// As the endpoint makes them, before the carrier's rules.
    pub(super) sent: Vec<Arc<[u8]>>,
}

impl Answers {
    /// Refused: a final response above 2xx.
    pub(super) fn outcome(&self) -> TrialOutcome {
        let refuses = |it: &Arc<[u8]>| {
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
    let call_id = message.call_id().to_vec();
    let mut inputs = vec![Input::MediaUp];
    let mut first = Some(Input::Sip { flow, message, waited_us: 0 });
    for _ in 0..STEPS_MAX {
        // The message comes when media is ready.
        let Some(input) = inputs.pop().or_else(|| first.take()) else { break };
        switchboard.handle(input, now);
        while let Some(output) = switchboard.poll_output() {
            if let Output::Transmit { bytes, .. } = output {
                // The engine also speaks of itself, such as probes of gateways.
                let is_answer = Message::parse(&bytes).is_ok_and(|it| it.call_id() == call_id);
                answers.sent.extend(is_answer.then_some(bytes));
            } else if let Output::Order(order) = output {
                let local = local(&loaded.media);
                inputs.extend(media(order, &local).map(Input::Media));
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

fn media(order: Order, local: &Local) -> Option<Event> {
    if let Order::Hello { .. } = order {
        return Some(Event::Inventory {
            version: VERSION,
            legs: Vec::new(),
            recordings: Vec::new(),
            began: WallTime::default(),
        });
    }
    let Order::Open { leg, offer, .. } = order else { return None };
    let Some(offer) = offer else {
        return Some(Event::Opened { leg, sdp: hotline_sdp::offer(local, false) });
    };
    Some(match hotline_sdp::answer(&offer, local) {
        Ok((sdp, _)) => Event::Opened { leg, sdp },
        Err(why) => Event::Failed { leg, order: FailedOrder::Open, reason: why.into() },
    })
}
