//! Signs of life within an answered leg (RFC 4028): we ask for them, or wait for the peer's.

use std::time::Duration;

use hotline_base::{LegId, Now};

use super::Endpoint;
use crate::{
    EndWhy, Event, HangUp, Message, Method,
    leg::{Leg, Offer, Purpose, Talk},
    session::{Session, Wish, has_option, min_se_of},
    timers::TimerName,
    transaction::{Tempo, TxId},
};

/// When a refresh cannot be sent now, was refused for the moment, or met nobody.
pub(super) const LATER: Duration = Duration::from_secs(5);

/// What a BYE may take to arrive.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Within this time after a restart sessions that are ours are refreshed, and within a part of what
/// is left of them when they are short: nobody knows how long ago the last refresh was.
const AFTER_RESTART: Duration = Duration::from_secs(30);
const PART_LEFT: u32 = 3;

impl Endpoint {
    pub(super) fn wish(&self) -> Wish {
        Wish::of(&self.config)
    }

    /// The peer gave a sign of life: the session runs anew from now.
    pub(super) fn arm_session(&mut self, leg: LegId, now: Now) {
        let Some(Leg::Up(up)) = self.legs.get(&leg) else { return };
        let session = up.talk.session;
        self.timers.cancel(leg, TimerName::Refresh);
        if session.ours {
            let wait = session.refresh_after(Tempo::of(&self.config).limit());
            self.timers.set(leg, TimerName::Refresh, now.mono + wait);
        }
        self.timers.set(leg, TimerName::Session, now.mono + session.ends_after());
        self.heard_silent(leg, now);
    }

    /// A peer that may be gone: one that says nothing to a refresh either is.
    pub(super) fn refresh_or_end(&mut self, leg: LegId, now: Now) {
        let Some(end) = self.timers.at(leg, TimerName::Session) else { return };
        let by_then = now.mono + Tempo::of(&self.config).limit() + A_MOMENT;
        self.timers.set(leg, TimerName::Session, end.min(by_then));
        self.timers.set(leg, TimerName::Refresh, now.mono);
    }

    /// After a restart nobody knows when the last sign came. What is ours is refreshed soon, spread
    /// over the legs; the peer has its whole time once more.
    pub(super) fn arm_restored(&mut self, leg: LegId, now: Now) {
        self.arm_session(leg, now);
        let Some(Leg::Up(up)) = self.legs.get(&leg) else { return };
        let session = up.talk.session;
        if session.ours {
            let due = session.refresh_after(Tempo::of(&self.config).limit());
            let left = session.ends_after().saturating_sub(due);
            let longest = AFTER_RESTART.min(left / PART_LEFT);
            let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
            let wait = Duration::from_millis(self.random.below(millis));
            self.timers.set(leg, TimerName::Refresh, now.mono + wait);
        }
    }

    /// What both sides said in an INVITE, UPDATE or its 2xx.
    pub(super) fn settle_talk(&mut self, leg: LegId, talk: Talk, now: Now) {
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        if up.talk != talk {
            up.talk = talk;
            self.say(Event::Changed { leg });
        }
        self.arm_session(leg, now);
    }

    pub(super) fn on_refresh_timer(&mut self, leg: LegId, now: Now) {
        let Some(Leg::Up(up)) = self.legs.get(&leg) else { return };
        let busy = !matches!(up.offer, Offer::Idle) || up.accepted.is_some();
        if busy {
            return self.timers.set(leg, TimerName::Refresh, now.mono + LATER);
        }
        if up.talk.may_update || up.talk.sdp.is_empty() {
            self.send_update(leg, now);
        } else {
            let sdp = up.talk.sdp.clone();
            self.send_reinvite(leg, sdp, 0, true, now);
        }
    }

    fn send_update(&mut self, leg: LegId, now: Now) {
        if let Some((request, flow)) = self.refresh_in(leg, "UPDATE") {
            self.ask(&request.end(), flow, Purpose::Refresh(leg), now);
        }
    }

    pub(super) fn on_refresh_response(
        &mut self,
        id: TxId,
        leg: LegId,
        message: &Message,
        now: Now,
    ) {
        let status = message.status().unwrap_or(0);
        if status < 200 {
            self.purposes.insert(id, Purpose::Refresh(leg));
            return;
        }
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        match status {
            ..300 => {
                up.dialog.refresh(message);
                let session = Session::settled(message, up.talk.session.secs);
                let talk = Talk { session, ..up.talk.clone() };
                self.settle_talk(leg, talk, now);
            }
            481 => self.disowned(leg, now),
            422 => {
                up.talk.session.secs = up.talk.session.secs.max(min_se_of(message));
                self.timers.set(leg, TimerName::Refresh, now.mono);
            }
            // Something else runs, the peer is busy, or nobody answered.
            408 | 491 | 500 | 503 => self.on_refresh_refused(leg, status, now),
            // It has no UPDATE after all.
            _ => {
                let again = !up.talk.sdp.is_empty();
                if std::mem::take(&mut up.talk.may_update) {
                    self.say(Event::Changed { leg });
                }
                self.on_refresh_refused(leg, status, now);
                if again {
                    self.timers.set(leg, TimerName::Refresh, now.mono);
                }
            }
        }
    }

    /// A refresh was refused for another reason than that the dialog is gone, or met nobody. It is
    /// made again until the session ends.
    pub(super) fn on_refresh_refused(&mut self, leg: LegId, status: u16, now: Now) {
        let Some(Leg::Up(up)) = self.legs.get(&leg) else { return };
        if status == 422 {
            self.timers.set(leg, TimerName::Refresh, now.mono);
        } else if up.talk.session.agreed || matches!(status, 408 | 503) {
            self.timers.set(leg, TimerName::Refresh, now.mono + LATER);
        } else {
            // A peer that knows no timers shows by any answer that it lives.
            self.arm_session(leg, now);
        }
    }

    /// The peer knows the dialog no more. Either it has lost it, or it has hung up and its BYE was
    /// lost in a cut: then that comes again within T2, and says why.
    pub(super) fn disowned(&mut self, leg: LegId, now: Now) {
        self.timers.cancel(leg, TimerName::Refresh);
        let by_then = now.mono + self.config.t2 + A_MOMENT;
        let end = self.timers.at(leg, TimerName::Session).map_or(by_then, |it| it.min(by_then));
        self.timers.set(leg, TimerName::Session, end);
    }

    /// RFC 4028 §10: BYE, whether or not the peer can hear it.
    pub(super) fn session_over(&mut self, leg: LegId, now: Now) {
        let reason = Some("Q.850;cause=102;text=\"session expired\"".to_owned());
        self.hang_up_because(leg, HangUp { status: 408, reason }, EndWhy::Expired, now);
    }
}

/// Whether the peer takes UPDATE, as its Allow says; `before` when it has none.
pub(super) fn may_update(message: &Message, before: bool) -> bool {
    match message.header("Allow") {
        Some(_) => has_option(message, "Allow", Method::Update.name()),
        None => before,
    }
}

/// Session-Expires of our 2xx, and Require where the peer must know it (RFC 4028 §9).
pub(super) fn session_headers(session: Session) -> impl Iterator<Item = (&'static str, String)> {
    let require = session.agreed.then(|| ("Require", "timer".to_owned()));
    [Some(("Session-Expires", session.header(true))), require].into_iter().flatten()
}
