//! Who hears whom: the plan is made when control says so, packets and ticks follow it.
//!
//! A party that hears one other is on the *relay* path: packets are passed on as they come. A
//! party that hears several is on the *mix* path: on each tick it gets the sum of a group less what
//! it says itself. Both feed the same outgoing stream, so a change of path does not break it.

use hotline_base::MonoTime;
use hotline_dsp::{
    FRAME,
    g711::{linear_to_alaw, linear_to_ulaw},
};
use hotline_rtp::{HEADER_LEN, write_header};
use hotline_sdp::Codec;

use super::{Floor, talk::headed};
use crate::{
    counters::count,
    intake::Intake,
    task::Slot,
    worker::{leg::Plan, tap::Tap},
};

/// Parties that one listener hears at once, so that a conference has 32.
const SPEAKERS_MAX: usize = 31;

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
        self.forget_plan(listener);
        let plan = match speakers.as_slice() {
            [] => Plan::Nobody,
            [speaker] => {
                if let Some(speaker) = self.leg_mut(*speaker) {
                    speaker.relayed_to.push(listener);
                }
                Plan::Relay
            }
            [_, _, ..] => {
                self.join_group(listener, &speakers);
                self.start_ticking(now);
                Plan::Mix
            }
        };
        if let Some(leg) = self.leg_mut(listener) {
            leg.hears = speakers;
            leg.plan = plan;
        }
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
                leg.tap.get_or_insert_with(|| Box::new(Tap::new())).n_mixes += 1;
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
            let Some(leg) = self.leg_mut(member.slot) else { continue };
            let Some(tap) = &mut leg.tap else { continue };
            tap.n_mixes -= 1;
            if tap.n_mixes == 0 {
                leg.tap = None;
            }
        }
    }

    /// Sends the 20 ms that are `due` to everybody on the mix path.
    pub(super) fn mix(&mut self, intake: &mut impl Intake, due: MonoTime, now: MonoTime) {
        self.turn += 1;
        let groups = std::mem::take(&mut self.groups);
        for group in &groups {
            let mut sum = [0_i32; FRAME];
            for member in &group.members {
                let turn = self.turn;
                let Some(leg) = self.leg_mut(member.slot) else { continue };
                let Some(tap) = &mut leg.tap else { continue };
                for (sum, sample) in sum.iter_mut().zip(tap.frame(turn, due)) {
                    *sum += i32::from(*sample);
                }
            }
            for member in group.members.iter().filter(|it| it.hears) {
                self.send_mix(member.slot, &sum, intake, due, now);
            }
        }
        self.groups = groups;
    }

    /// Sends `sum` less what the listener says himself.
    fn send_mix(
        &mut self,
        listener: Slot,
        sum: &[i32; FRAME],
        intake: &mut impl Intake,
        due: MonoTime,
        now: MonoTime,
    ) {
        let turn = self.turn;
        let Some(leg) = self.leg_mut(listener) else { return };
        let route = leg.route();
        // A play or keys take its place.
        if leg.is_busy() {
            return;
        }
        let Some((line, to)) = route else { return leg.out.pause() };
        let Some(tap) = &mut leg.tap else { return };
        let encode = match line.codec {
            Codec::Pcma => linear_to_alaw,
            Codec::Pcmu => linear_to_ulaw,
        };
        let mut packet = [0; HEADER_LEN + FRAME];
        let audio = packet.iter_mut().skip(HEADER_LEN);
        for (to, (sum, own)) in audio.zip(sum.iter().zip(tap.frame(turn, due))) {
            let rest = (sum - i32::from(*own)).clamp(i16::MIN.into(), i16::MAX.into());
            *to = encode(i16::try_from(rest).unwrap_or(0));
        }
        let stamp = leg.out.stamp(160, now);
        let header = headed(leg, stamp, line.payload_type);
        if write_header(&mut packet, &header) && intake.send(listener.index, to, &packet) {
            leg.note_sent(packet.len());
        } else {
            count(&self.out.counters.sends_refused);
        }
    }
}
