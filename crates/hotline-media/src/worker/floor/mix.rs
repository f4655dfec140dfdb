//! Who hears whom: the plan is made when control says so, packets and ticks follow it.
//!
//! A party that hears one other is on the *relay* path: packets are passed on as they come. A
//! party that hears several, or one of a codec that is not its own, is on the *mix* path: on each
//! tick it gets the sum of a group less what it says itself. Both feed the same outgoing stream, so
//! a change of path does not break it.

use hotline_base::MonoTime;
use hotline_dsp::FRAME;
use hotline_rtp::HEADER_LEN;
use hotline_sdp::Codec;

use super::{
    Floor,
    speech::{PACKET_MAX, send_speech},
};
use crate::{
    counters::count,
    intake::Intake,
    task::Slot,
    worker::{
        coder::SPEECH_MAX,
        leg::{Leg, Plan},
    },
};

/// Parties that one listener hears at once, so that a conference has 32.
const SPEAKERS_MAX: usize = 31;

/// From this many parties on, those who do not talk are left out of the sum: the rooms of thirty
/// silent telephones together are loud.
const GATED_FROM: usize = 5;

/// Groups whose memory is fetched side by side.
const FETCHED: usize = 4;

/// Parties whose sum is made once: those who are heard, and those who hear it without themselves.
#[derive(Debug)]
pub(super) struct Group {
    /// Sorted by slot.
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    slot: Slot,
    hears: bool,
}

impl Floor {
    /// From now on `listener` hears exactly these, never himself.
    pub(super) fn hear_from(&mut self, listener: Slot, mut speakers: Vec<Slot>, now: MonoTime) {
        speakers.retain(|it| *it != listener && self.leg(*it).is_some());
        speakers.sort_unstable();
        speakers.dedup();
        if speakers.len() > SPEAKERS_MAX {
            speakers.truncate(SPEAKERS_MAX);
            count(&self.out.counters.mixes_refused);
        }
        let Some(leg) = self.leg_mut(listener) else { return };
        // The same again changes nothing, not even what waits to be mixed.
        if leg.hears == speakers {
            return;
        }
        self.plan(listener, speakers, now);
    }

    fn plan(&mut self, listener: Slot, speakers: Vec<Slot>, now: MonoTime) {
        // A key that ends a flow goes on when the two talk again; it was meant for the flow.
        if let Some(leg) = self.leg_mut(listener) {
            let is_new = speakers.iter().any(|it| !leg.hears.contains(it));
            leg.missed_press |= is_new;
            leg.missed_tone |= is_new;
        }
        self.forget_plan(listener);
        let plan = match speakers.as_slice() {
            [] => Plan::Nobody,
            [speaker] if self.is_relayed(*speaker, listener) => {
                if let Some(speaker) = self.leg_mut(*speaker) {
                    speaker.relayed_to.push(listener);
                }
                Plan::Relay
            }
            [_, ..] => {
                self.join_group(listener, &speakers);
                self.start_ticking(now);
                Plan::Mix
            }
        };
        if let Some(leg) = self.leg_mut(listener) {
            leg.hears = speakers;
            leg.plan = plan;
        }
        self.fill_from(listener, now);
    }

    /// Whether packets of one are heard by the other as they come.
    fn is_relayed(&self, speaker: Slot, listener: Slot) -> bool {
        let codec = |it| self.leg(it).map_or(Codec::Pcma, Leg::codec);
        let (from, to) = (codec(speaker), codec(listener));
        from == to || from.is_g711() && to.is_g711()
    }

    /// A leg has another codec: those two by two who could pass packets on may not any more, or the
    /// other way round.
    pub(super) fn replan(&mut self, slot: Slot, now: MonoTime) {
        let concerned = |it: &&Leg| match it.hears.as_slice() {
            [speaker] => {
                let relayed = self.is_relayed(*speaker, it.slot);
                (it.slot == slot || *speaker == slot) && (it.plan == Plan::Relay) != relayed
            }
            [] | [_, _, ..] => false,
        };
        let listeners: Vec<_> =
            self.legs.iter().flatten().filter(concerned).map(|it| it.slot).collect();
        for listener in listeners {
            let speakers = self.leg(listener).map(|it| it.hears.clone()).unwrap_or_default();
            self.plan(listener, speakers, now);
        }
    }

    /// The other one of two who hear each other by a mix.
    pub(super) fn partner(&self, slot: Slot) -> Option<Slot> {
        self.groups.iter().find_map(|it| match it.members.as_slice() {
            [a, b] if a.hears && b.hears && a.slot == slot => Some(b.slot),
            [a, b] if a.hears && b.hears && b.slot == slot => Some(a.slot),
            _ => None,
        })
    }

    /// A leg that is about to go is heard by nobody and hears nobody.
    pub(super) fn leave_plans(&mut self, slot: Slot, now: MonoTime) {
        self.hear_from(slot, Vec::new(), now);
        let Some(leg) = self.leg_mut(slot) else { return };
        for listener in std::mem::take(&mut leg.relayed_to) {
            self.hear_from(listener, Vec::new(), now);
        }
        let with = |it: &&Group| it.members.iter().any(|it| it.slot == slot);
        let listeners: Vec<_> = self
            .groups
            .iter()
            .filter(with)
            .flat_map(|it| it.members.iter().filter(|it| it.hears).map(|it| it.slot))
            .collect();
        for listener in listeners {
            let Some(mut speakers) = self.leg(listener).map(|it| it.hears.clone()) else {
                continue;
            };
            speakers.retain(|it| *it != slot);
            self.hear_from(listener, speakers, now);
        }
    }

    fn forget_plan(&mut self, listener: Slot) {
        let Some(leg) = self.leg_mut(listener) else { return };
        let before = std::mem::take(&mut leg.hears);
        match std::mem::replace(&mut leg.plan, Plan::Nobody) {
            Plan::Nobody => {}
            Plan::Relay => {
                for speaker in before {
                    if let Some(speaker) = self.leg_mut(speaker) {
                        speaker.relayed_to.retain(|it| *it != listener);
                    }
                }
            }
            Plan::Mix => self.leave_group(listener),
        }
    }

    /// Joins the group of these speakers and himself, which those who hear each other share.
    fn join_group(&mut self, listener: Slot, speakers: &[Slot]) {
        let mut slots = speakers.to_vec();
        slots.push(listener);
        slots.sort_unstable();
        let same = |it: &&mut Group| it.members.iter().map(|it| it.slot).eq(slots.iter().copied());
        if let Some(group) = self.groups.iter_mut().find(same) {
            group
                .members
                .iter_mut()
                .filter(|it| it.slot == listener)
                .for_each(|it| it.hears = true);
            return;
        }
        for slot in &slots {
            if let Some(leg) = self.leg_mut(*slot) {
                leg.tap_for_one_more();
            }
        }
        let member = |slot| Member { slot, hears: slot == listener };
        self.groups.push(Group { members: slots.into_iter().map(member).collect() });
    }

    /// Leaves the one group that he hears; with its last listener it ends.
    fn leave_group(&mut self, listener: Slot) {
        let heard = |it: &Member| it.slot == listener && it.hears;
        let Some(at) = self.groups.iter().position(|it| it.members.iter().any(heard)) else {
            return;
        };
        let Some(group) = self.groups.get_mut(at) else { return };
        group.members.iter_mut().filter(|it| heard(it)).for_each(|it| it.hears = false);
        if group.members.iter().any(|it| it.hears) {
            return;
        }
        for member in self.groups.swap_remove(at).members {
            if let Some(leg) = self.leg_mut(member.slot) {
                leg.leave_tap();
            }
        }
    }

    /// Sends the 20 ms that are `due` to everybody on the mix path.
    pub(super) fn mix(&mut self, intake: &mut impl Intake, due: MonoTime, now: MonoTime) {
        self.turn += 1;
        let groups = std::mem::take(&mut self.groups);
        for (idx, group) in groups.iter().enumerate() {
            if idx % FETCHED == 0 {
                let next = groups.iter().skip(idx).take(FETCHED);
                self.fetch_mixed(next.flat_map(|it| it.members.iter().map(|it| it.slot)));
            }
            let is_large = group.members.len() >= GATED_FROM;
            let gated = is_large && !self.shedding.voice_activity;
            if is_large && !gated {
                count(&self.out.own.gates_shed);
            }
            let mut sum = [0_i32; FRAME];
            for member in &group.members {
                let turn = self.turn;
                let Some(leg) = self.leg_mut(member.slot) else { continue };
                let Some(said) = leg.said(turn, due, gated) else { continue };
                for (sum, sample) in sum.iter_mut().zip(said) {
                    *sum += i32::from(*sample);
                }
            }
            for member in group.members.iter().filter(|it| it.hears) {
                let missed = self.missed_presses(member.slot, &group.members, gated, due);
                let mut sum = sum;
                for (sum, missed) in sum.iter_mut().zip(missed.into_iter().flatten()) {
                    *sum -= missed;
                }
                self.send_mix(member.slot, sum, gated, intake, (due, now));
            }
        }
        self.groups = groups;
    }

    /// What is heard of those who press a key in their sound, where the listener came in the middle
    /// of it or is sent the same key by us.
    fn missed_presses(
        &mut self,
        listener: Slot,
        members: &[Member],
        gated: bool,
        due: MonoTime,
    ) -> Option<[i32; FRAME]> {
        let misses = |it: &Leg| it.missed_tone || it.keys.is_some();
        self.leg(listener).filter(|it| misses(it))?;
        let (mut sum, mut is_pressed) = ([0; FRAME], false);
        for member in members.iter().filter(|it| it.slot != listener) {
            let turn = self.turn;
            let Some(leg) = self.leg_mut(member.slot) else { continue };
            if !leg.tap.as_ref().is_some_and(|it| it.is_pressing()) {
                continue;
            }
            is_pressed = true;
            let said = leg.said(turn, due, gated);
            for (sum, sample) in sum.iter_mut().zip(said.into_iter().flatten()) {
                *sum += i32::from(*sample);
            }
        }
        self.leg_mut(listener)?.missed_tone = is_pressed;
        Some(sum)
    }

    /// Sends `sum` less what the listener says himself.
    fn send_mix(
        &mut self,
        listener: Slot,
        mut sum: [i32; FRAME],
        gated: bool,
        intake: &mut impl Intake,
        (due, now): (MonoTime, MonoTime),
    ) {
        let (turn, busy) = (self.turn, self.busy_percent);
        let Some(leg) = self.leg_mut(listener) else { return };
        // A play or keys take its place.
        if leg.is_busy() {
            return;
        }
        let Some(route) = leg.route() else { return leg.out.pause() };
        for (sum, own) in sum.iter_mut().zip(leg.said(turn, due, gated).unwrap_or(&[0; FRAME])) {
            *sum -= i32::from(*own);
        }
        let mut rest = [0; FRAME];
        for (rest, sum) in rest.iter_mut().zip(sum) {
            *rest = clipped(sum);
        }
        let mut packet = [0; PACKET_MAX];
        let Some(audio) = packet.last_chunk_mut::<SPEECH_MAX>() else { return };
        let n = leg.encode(&rest, audio, busy);
        let packet = packet.get_mut(..HEADER_LEN + n).unwrap_or_default();
        if !send_speech(leg, &route, packet, intake, now) {
            count(&self.out.counters.sends_refused);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
fn clipped(sum: i32) -> i16 {
    sum.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}
