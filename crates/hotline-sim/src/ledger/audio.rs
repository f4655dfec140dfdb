//! Who hears whom, as media was told, and as the facts have it.

use std::collections::BTreeSet;

use hotline_agent::{AgentView, Display};
use hotline_base::{CallId, LegId, OfferId};
use hotline_switchboard::Switchboard;

use super::Ledger;
use crate::media::MediaModel;

impl Ledger {
    /// The plan is with media before anybody is told: the two hear each other, or do not; and a
    /// caller hears music exactly when he hears nobody, or nobody who wants to be heard.
    pub(super) fn expect_audio(
        &mut self,
        call: CallId,
        offer: OfferId,
        media: &MediaModel,
        open: bool,
    ) {
        let (Some(caller), Some(agent)) =
            (self.caller_legs.get(&call), self.offer_legs.get(&offer))
        else {
            return self.fail(format!("call {call} talks on legs that nobody opened"));
        };
        if self.unheard.contains(&call) || media.is_reviving() {
            return;
        }
        if media.protection(*agent).is_none() {
            return self.fail(format!("call {call} talks by a leg that nobody answered"));
        }
        let is_muted = self.muted.contains_key(&offer);
        let bridged =
            if is_muted { media.hears(*agent, *caller) } else { media.is_bridged(*caller, *agent) };
        let music = media.is_playing(*caller);
        let alone = media.hears_nobody(*caller);
        let quiet = self.muted.values().any(|it| *it == call);
        let is_heard = is_muted && media.hears(*caller, *agent);
        if bridged != open || !quiet && music != alone || is_heard {
            self.fail(format!(
                "call {call}: bridged {bridged}, music {music}, alone {alone}, open {open}"
            ));
        }
    }

    /// Unless one of them wants it otherwise, at least two do; else the call is over.
    pub(super) fn check_left(&mut self, media: &MediaModel, switchboard: &Switchboard) {
        if self.left.is_empty() || media.is_reviving() {
            return;
        }
        // Who holds, and who asks somebody, has left the other for a while.
        let holds = |it: &AgentView| matches!(it.display, Display::Held | Display::Consulting);
        let apart: BTreeSet<_> = switchboard.agents().filter(holds).map(|it| it.no).collect();
        let muted: BTreeSet<_> = self.muted.values().copied().collect();
        let mut broken = None;
        for call in self.left.iter().filter(|it| !self.ended.contains(it)) {
            let legs = self.call_legs.iter().filter(|it| it.1 == call).map(|it| *it.0);
            let legs: Vec<_> = legs.filter(|it| media.has(*it)).collect();
            let wants_otherwise = |leg: &LegId| {
                media.is_on_hold(*leg) || self.agents.get(leg).is_some_and(|it| apart.contains(it))
            };
            let is_excused = self.unheard.contains(call) || muted.contains(call);
            let is_kept = legs.iter().any(|it| media.is_with_somebody(*it) || wants_otherwise(it));
            if !is_kept && !is_excused {
                broken = Some(format!("call {call} goes on without its caller, and nobody talks"));
            }
            if self.waiting.values().any(|it| it.call == *call) {
                broken = Some(format!("call {call} waits for an agent without its caller"));
            }
        }
        if let Some(why) = broken {
            self.fail(why);
        }
    }
}
