//! One call as a robot sees it: what happened, what it heard, and what it can do.

use std::{fmt, sync::Arc, time::Duration};

use hotline_base::{Key, LegId};
use hotline_sdp::{SdpError, Stream};
use hotline_sip::{EndWhy, Invited};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use crate::{
    Heard, Match, Sound, Speech,
    audio::Audio,
    heard::SILENCE,
    robot::{Action, Command},
    sound::samples_of,
};

/// A call of a robot, outgoing or incoming.
///
/// Every `until_…` waits for something that happens, no longer than the deadline given, and says
/// what was missing when it did not happen.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) leg: LegId,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) audio: Arc<Audio>,
    pub(crate) invited: Option<Arc<Invited>>,
}

/// What has happened to a call.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Status of the newest provisional response to our INVITE.
    pub ringing: Option<u16>,
    pub answered: Option<Instant>,
    /// Our 200 was acknowledged.
    pub confirmed: bool,
    /// The audio as it was last agreed.
    pub stream: Option<Stream>,
    /// The peer holds us.
    pub held: bool,
    /// Offers of the peer within the call that we answered.
    pub n_reoffered: u32,
    /// Offers of ours within the call that the peer answered.
    pub n_reanswered: u32,
    /// Status with which the peer refused our newest offer within the call.
    pub reoffer_refused: Option<u16>,
    /// What the peer said to our wish that somebody else be called, and of what became of it.
    pub referred: Vec<u16>,
    /// Keys by INFO; keys by RTP are in [`Heard::keys`].
    pub keys: Vec<Key>,
    /// A description of the peer that led to no stream.
    pub sdp_error: Option<SdpError>,
    pub ended: Option<EndWhy>,
}

/// Something did not happen before its deadline, or cannot happen any more.
#[derive(Clone, Debug)]
pub struct Late {
    what: String,
    seen: String,
}

/// A prompt is heard when at least this much of it is what was sent.
const SAME: f64 = 0.8;

/// A tone is heard when at least this share of 200 ms is the tone.
const PURE: f64 = 0.8;

impl Call {
    /// The INVITE of an incoming call.
    pub fn invited(&self) -> Option<&Invited> {
        self.invited.as_deref()
    }

    /// The number an incoming call shows as its caller.
    pub fn caller_shown(&self) -> Option<&str> {
        self.invited().map(|it| it.from_user.reveal().as_str())
    }

    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        self.audio.state().heard.clone()
    }

    /// A place in what is heard, to look only at what comes after.
    pub fn mark(&self) -> usize {
        self.audio.state().heard.mark()
    }

    /// When packets were sent: a robot that had to wait for a processor has paused, too.
    pub fn sent(&self) -> Vec<Instant> {
        self.audio.state().sent.clone()
    }

    /// A packet as the robot would send it so many packets later, with another payload: what a
    /// stranger sends who has guessed everything but the address.
    pub fn forged(&self, later: u16, payload: &[u8]) -> Vec<u8> {
        let (ssrc, sequence, timestamp) = self.audio.state().line.newest();
        let timestamp = timestamp.wrapping_add(u32::from(later) * crate::line::FRAME_UNITS);
        crate::packet(false, 8, sequence.wrapping_add(later), timestamp, ssrc, payload)
    }

    /// Tells the caller that it rings: 180. A robot does so by itself.
    pub fn ring(&self) {
        self.act(Action::Ring);
    }

    /// Lets the caller hear what is spoken from now on before the answer: 183 with a description.
    pub fn ring_with_sound(&self) {
        self.act(Action::RingWithSound);
    }

    pub fn answer(&self) {
        self.act(Action::Answer);
    }

    /// Answers as a telephone that knows no telephone-events.
    pub fn answer_without_events(&self) {
        self.act(Action::AnswerWithoutEvents);
    }

    /// Answers later, by itself.
    pub fn answer_after(&self, delay: Duration) {
        let call = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            call.answer();
        });
    }

    /// Refuses an incoming call.
    pub fn reject(&self, status: u16) {
        self.act(Action::Refuse(status));
    }

    /// Ends the call in whatever state it is: CANCEL, BYE or a refusal.
    pub fn hang_up(&self) {
        self.act(Action::HangUp);
    }

    /// Gives up an outgoing call that is not answered.
    pub fn cancel(&self) {
        self.act(Action::HangUp);
    }

    /// Asks the peer to stop sending, by re-INVITE with `sendonly`.
    pub fn hold(&self) {
        self.act(Action::Reoffer { hold: true });
    }

    /// Takes a held call back, by re-INVITE with `sendrecv`.
    pub fn retrieve(&self) {
        self.act(Action::Reoffer { hold: false });
    }

    /// Tells of keys by INFO, once each. Other characters are left out.
    pub fn tell_keys(&self, keys: &str) {
        for key in keys.chars().filter_map(|it| Key::try_from(it).ok()) {
            self.act(Action::Key(key));
        }
    }

    /// Asks the peer to connect its other party to somebody else, by REFER.
    pub fn refer(&self, to: &str) {
        self.act(Action::Refer { to: to.to_owned(), replaces: None });
    }

    /// Asks the peer to connect its other party to the one of another call with it, by REFER with
    /// Replaces: the transfer key after a consultation.
    pub fn connect(&self, other: &Self, to: &str) {
        self.act(Action::Refer { to: to.to_owned(), replaces: Some(other.leg) });
    }

    /// The value of the Replaces header by which another telephone takes this call over.
    pub async fn replaces(&self) -> Option<String> {
        let (name, told) = oneshot::channel();
        self.act(Action::Name(name));
        told.await.ok().flatten()
    }

    /// Says something from now on, instead of what was said so far.
    pub fn speak(&self, speech: Speech) {
        self.audio.state().line.speak(speech);
    }

    /// From now on one packet in so many is lost, both ways; the robot's RTCP tells of it.
    pub fn lose_one_in(&self, n: u32) {
        self.audio.state().reporter.loses_one_in = Some(n);
    }

    /// RTCP reports of the peer that came.
    pub fn n_reports(&self) -> u32 {
        self.audio.state().reporter.n_reports
    }

    /// Presses keys (RFC 4733), 100 ms each with 100 ms between. Other characters are left out.
    pub fn press(&self, keys: &str) {
        self.audio.state().line.press(keys.chars().filter_map(|it| Key::try_from(it).ok()));
    }

    /// Waits until the view is as it should be.
    pub async fn until(
        &self,
        what: &str,
        deadline: Duration,
        condition: impl FnMut(&View) -> bool,
    ) -> Result<View, Late> {
        let mut view = self.view.clone();
        let end = Instant::now() + deadline;
        match timeout_at(end, view.wait_for(condition)).await {
            Ok(Ok(view)) => Ok(view.clone()),
            Ok(Err(_)) | Err(_) => Err(self.late(what)),
        }
    }

    pub async fn until_ringing(&self, deadline: Duration) -> Result<View, Late> {
        self.until("ringing", deadline, |it| it.ringing.is_some_and(|it| it >= 180)).await
    }

    /// Until audio is agreed in an answered call: ours or the peer's 200, and its ACK.
    pub async fn until_answered(&self, deadline: Duration) -> Result<View, Late> {
        let incoming = self.invited.is_some();
        let done =
            |it: &View| it.answered.is_some() && it.stream.is_some() && (it.confirmed || !incoming);
        self.until("answered", deadline, done).await
    }

    /// Until the call is over, and why it is.
    pub async fn until_ended(&self, deadline: Duration) -> Result<EndWhy, Late> {
        let view = self.until("ended", deadline, |it| it.ended.is_some()).await?;
        view.ended.ok_or_else(|| self.late("ended"))
    }

    /// Until the peer holds us (`true`) or takes us back (`false`).
    pub async fn until_held(&self, held: bool, deadline: Duration) -> Result<View, Late> {
        self.until("held", deadline, |it| it.held == held && it.n_reoffered > 0).await
    }

    /// Waits until something can be told of what was heard.
    pub async fn until_heard<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut tell: impl FnMut(&Heard) -> Option<T>,
    ) -> Result<T, Late> {
        let end = Instant::now() + deadline;
        let mut progress = self.audio.progress();
        loop {
            progress.mark_unchanged();
            let is_over = Instant::now() >= end || self.view.borrow().ended.is_some();
            let told = tell(&self.audio.state().heard);
            if let Some(it) = told {
                return Ok(it);
            }
            if is_over {
                return Err(self.late(what));
            }
            // The deadline is looked at above; a task that ended wakes nobody any more.
            if let Ok(Err(_)) = timeout_at(end, progress.changed()).await {
                return Err(self.late(what));
            }
        }
    }

    /// Until 200 ms of nothing but a tone were heard after `mark`.
    pub async fn until_tone_since(
        &self,
        mark: usize,
        hz: u32,
        deadline: Duration,
    ) -> Result<(), Late> {
        let window = crate::RATE as usize / 5;
        self.until_heard(&format!("a tone of {hz} Hz"), deadline, |heard| {
            let start = heard.mark().checked_sub(window).filter(|it| *it >= mark)?;
            (heard.since(start).tone_share(hz) >= PURE).then_some(())
        })
        .await
    }

    /// Until 200 ms of nothing but a tone are heard, from now on.
    pub async fn until_tone(&self, hz: u32, deadline: Duration) -> Result<(), Late> {
        self.until_tone_since(self.mark(), hz, deadline).await
    }

    /// Until 500 ms of silence are heard, or no packet comes for so long, from now on.
    pub async fn until_silence(&self, deadline: Duration) -> Result<(), Late> {
        let (mark, since) = (self.mark(), Instant::now());
        let half = Duration::from_millis(500);
        let window = samples_of(half);
        self.until_heard("silence", deadline, |heard| {
            let last = heard.packets().last().map_or(since, |it| it.at.max(since));
            if last.elapsed() >= half {
                return Some(());
            }
            let start = heard.mark().checked_sub(window).filter(|it| *it >= mark)?;
            (heard.since(start).level() < SILENCE).then_some(())
        })
        .await
    }

    /// Until the whole of a sound was heard that begins at or after `mark`; where it begins. Look
    /// for the head of a prompt that may be cut off.
    pub async fn until_sound_since(
        &self,
        mark: usize,
        what: &str,
        sound: &Sound,
        deadline: Duration,
    ) -> Result<Match, Late> {
        let end = Instant::now() + deadline;
        let mut scanned = mark;
        loop {
            let wanted = scanned + sound.samples().len() + crate::RATE as usize / 5;
            let left = end.saturating_duration_since(Instant::now());
            let more = |heard: &Heard| (heard.mark() >= wanted).then_some(());
            let late = self.until_heard(what, left, more).await.err();
            let part = {
                let state = self.audio.state();
                Sound::new(state.heard.samples().get(scanned..).unwrap_or_default().to_vec())
            };
            let Some(n_places) = (part.samples().len() + 1).checked_sub(sound.samples().len())
            else {
                return Err(late.unwrap_or_else(|| self.late(what)));
            };
            let needle = sound.clone();
            // Off the robots' threads: their packets must not wait for arithmetic.
            let find = move || part.find_in(&needle, 0..n_places);
            let found = tokio::task::spawn_blocking(find).await.ok().flatten();
            if let Some(it) = found.filter(|it| it.score >= SAME) {
                return Ok(Match { at: scanned + it.at, ..it });
            }
            if let Some(mut late) = late {
                late.seen = format!("{}; best match {found:?}", late.seen);
                return Err(late);
            }
            scanned += n_places;
        }
    }

    /// Until the whole of a sound was heard, since the call began.
    pub async fn until_sound(
        &self,
        what: &str,
        sound: &Sound,
        deadline: Duration,
    ) -> Result<Match, Late> {
        self.until_sound_since(0, what, sound, deadline).await
    }

    /// Until all keys are sent and a sound that is spoken once is over.
    pub async fn until_said(&self, deadline: Duration) -> Result<(), Late> {
        let end = Instant::now() + deadline;
        let mut progress = self.audio.progress();
        while !self.audio.state().line.is_idle() {
            if !matches!(timeout_at(end, progress.changed()).await, Ok(Ok(()))) {
                return Err(self.late("all said"));
            }
        }
        Ok(())
    }

    fn act(&self, action: Action) {
        // A robot that is gone does nothing, as one would expect; one that lags this far behind
        // is broken.
        let sent = self.commands.try_send(Command::Act(self.leg, action));
        debug_assert!(!matches!(sent, Err(mpsc::error::TrySendError::Full(_))), "robot stuck");
    }

    fn late(&self, what: &str) -> Late {
        let state = self.audio.state();
        let heard = &state.heard;
        let seen = format!(
            "{:?}; heard {:?}, {} packets, {} of strangers",
            *self.view.borrow(),
            heard.sound(),
            heard.packets().len(),
            heard.strangers().len(),
        );
        Late { what: what.to_owned(), seen }
    }
}

impl Late {
    pub(crate) fn new(what: &str, seen: &str) -> Self {
        Self { what: what.to_owned(), seen: seen.to_owned() }
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did not happen in time: {}. Seen: {}", self.what, self.seen)
    }
}

impl std::error::Error for Late {}
