//! The task of a robot: the loop that runs its SIP endpoint.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hotline_base::{Extension, LegId, MonoTime, Now, Random, WallTime};
use hotline_sdp::{Codecs, Local, SdpError, Stream};
use hotline_sip::{
    Account, Admit, Challenges, Config, Credentials, Dial, Endpoint, Event, Flow, HangUp, Invited,
    Message, Output,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use super::{Action, Command, Outgoing, Refused};
use crate::{
    Call, View,
    audio::Audio,
    wire::{CONN, Received, Wire},
};

pub(super) struct Actor {
    endpoint: Endpoint,
    wire: Wire,
    random: Random,
    /// Beginning of this robot's monotonic clock.
    birth: Instant,
    legs: BTreeMap<LegId, Leg>,
    registrations: BTreeMap<Extension, Registration>,
    /// Who is told what became of a REFER.
    told: BTreeMap<LegId, watch::Sender<View>>,
    commands: mpsc::WeakSender<Command>,
    ringing: mpsc::Sender<Call>,
    codecs: Codecs,
}

struct Leg {
    view: watch::Sender<View>,
    audio: Arc<Audio>,
    local: Local,
    /// Our newest offer.
    offer: String,
    /// The offer of an incoming call, until it is answered.
    invitation: Option<String>,
}

struct Registration {
    account: Account,
    flow: Flow,
    expires: Duration,
    again: Instant,
    done: Option<oneshot::Sender<Result<(), Refused>>>,
}

impl Actor {
    pub(super) fn new(
        wire: Wire,
        seed: u64,
        commands: mpsc::WeakSender<Command>,
        ringing: mpsc::Sender<Call>,
    ) -> Self {
        let mut random = Random::new(seed);
        let mut secret = [0; 32];
        for it in &mut secret {
            *it = random.next_u64().to_le_bytes()[0];
        }
        let mut config = Config::new("hotline-testkit", wire.local().ip(), secret);
        "hotline-testkit".clone_into(&mut config.user_agent);
        Self {
            endpoint: Endpoint::new(config, random.next_u64(), 1),
            wire,
            random,
            birth: Instant::now(),
            legs: BTreeMap::new(),
            registrations: BTreeMap::new(),
            told: BTreeMap::new(),
            commands,
            ringing,
            codecs: Codecs::default(),
        }
    }

    /// Runs until the robot is dropped.
    pub(super) async fn run(mut self, mut to_do: mpsc::Receiver<Command>) {
        loop {
            while let Some(output) = self.endpoint.poll_output() {
                match output {
                    Output::Transmit { flow, bytes } => self.wire.send(&flow, &bytes).await,
                    Output::Event(event) => self.handle_event(event).await,
                }
            }
            let due = self.due();
            let timeout = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = timeout => self.handle_timeout(),
                received = self.wire.receive() => self.handle_received(received),
                command = to_do.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => return,
                },
            }
        }
    }

    fn now(&self) -> Now {
        let mono = u64::try_from(self.birth.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        Now { mono: MonoTime(mono), wall: WallTime(wall) }
    }

    fn due(&self) -> Option<Instant> {
        let endpoint =
            self.endpoint.poll_timeout().map(|(at, _)| self.birth + Duration::from_nanos(at.0));
        self.registrations.values().map(|it| it.again).chain(endpoint).min()
    }

    fn handle_timeout(&mut self) {
        let now = self.now();
        self.endpoint.handle_timeout(now);
        let at = Instant::now();
        for (extension, it) in &mut self.registrations {
            if it.again <= at {
                it.again = at + it.expires.max(Duration::from_secs(2)) / 2;
                self.endpoint.register(extension, &it.account, it.flow, it.expires, now);
            }
        }
    }

    fn handle_received(&mut self, received: Received) {
        let now = self.now();
        match received {
            Received::Message { from, bytes } => {
                if let Ok(message) = Message::parse(&bytes) {
                    let flow = self.wire.flow(from);
                    self.endpoint.handle_message(flow, message, Admit::Trusted, now);
                }
            }
            Received::Gone => self.endpoint.handle_connection_gone(CONN, now),
        }
    }

    fn handle_command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Register { server, user, password, expires, done } => {
                let extension = Extension::new(&user);
                let account = Account::new(&password).with(Challenges::Sha256AndMd5);
                let flow = self.wire.flow(server);
                self.endpoint.register(&extension, &account, flow, expires, now);
                let again = Instant::now() + expires.max(Duration::from_secs(2)) / 2;
                let done = Some(done);
                let registration = Registration { account, flow, expires, again, done };
                self.registrations.insert(extension, registration);
            }
            Command::Dial { server, outgoing, audio, call } => {
                let flow = self.wire.flow(server);
                let dialled = self.dial(flow, *outgoing, audio, now);
                if let Some(it) = dialled {
                    call.send(it).ok();
                }
            }
            Command::Act(leg, action) => self.act(leg, action, now),
            Command::Speak(codecs) => self.codecs = codecs,
        }
    }

    fn dial(&mut self, flow: Flow, it: Outgoing, audio: Arc<Audio>, now: Now) -> Option<Call> {
        let id = self.endpoint.new_leg();
        audio.state().line.speak(it.speech);
        let mut leg = Leg::new(audio, self.codecs, &mut self.random);
        let own = || match hotline_sdp::offer(&leg.local, false) {
            offer if it.without_events => without_events(&offer),
            offer => offer,
        };
        leg.offer = it.sdp.unwrap_or_else(own);
        // A telephone proves whose it is.
        let credentials = self.registrations.get(it.from_user.as_str()).map(|own| Credentials {
            user: it.from_user.clone(),
            secret: own.account.secret.clone(),
            realm: None,
            hops: vec![flow.remote.ip()],
            challenges: own.account.challenges,
        });
        let transport = flow.transport.uri_parameter();
        let dial = Dial {
            target: format!("sip:{}@{}{transport}", it.to, flow.remote),
            flow,
            from_display: it.from_display,
            from_user: it.from_user,
            sdp: leg.offer.clone(),
            headers: it.headers,
            ring_limit: it.ring_limit,
            silence_limit: None,
            from_host: None,
            credentials,
        };
        self.endpoint.dial(id, dial, now);
        let call = self.call_of(id, &leg, None);
        self.legs.insert(id, leg);
        call
    }

    fn act(&mut self, id: LegId, action: Action, now: Now) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let takes_events = !matches!(action, Action::AnswerWithoutEvents);
        match action {
            Action::Ring => self.endpoint.ring(id, None, now),
            Action::RingWithSound => {
                let answer = leg.invitation.as_ref().map(|it| leg.answer(it));
                if let Some(Ok((sdp, stream))) = answer {
                    leg.settle(Ok(stream));
                    self.endpoint.ring(id, Some(sdp), now);
                }
            }
            Action::Answer | Action::AnswerWithoutEvents => match leg.invitation.take() {
                Some(offer) => match leg.answer(&offer) {
                    Ok((sdp, stream)) => {
                        leg.settle(Ok(stream));
                        leg.view.send_modify(|it| it.answered = Some(Instant::now()));
                        let sdp = if takes_events { sdp } else { without_events(&sdp) };
                        self.endpoint.answer(id, sdp, now);
                    }
                    Err(error) => {
                        leg.settle(Err(error));
                        self.endpoint.refuse(id, 488, now);
                    }
                },
                // An INVITE without an offer: ours goes in the 200.
                None if leg.view.borrow().answered.is_none() => {
                    leg.offer = hotline_sdp::offer(&leg.local, false);
                    leg.view.send_modify(|it| it.answered = Some(Instant::now()));
                    self.endpoint.answer(id, leg.offer.clone(), now);
                }
                None => {}
            },
            Action::Refuse(status) => self.endpoint.refuse(id, status, now),
            Action::HangUp => {
                self.endpoint.hang_up(id, HangUp { status: 486, reason: None }, now);
            }
            Action::Key(key) => self.endpoint.send_key(id, key, now),
            Action::Refer { to, replaces } => {
                let replaces = replaces.and_then(|it| self.endpoint.replaces(it));
                if let Some(leg) = self.legs.get(&id) {
                    self.told.insert(id, leg.view.clone());
                }
                self.endpoint.refer(id, &to, replaces.as_deref(), now);
            }
            Action::Name(name) => {
                name.send(self.endpoint.replaces(id)).ok();
            }
            Action::Reoffer { hold } => {
                leg.local.version += 1;
                leg.offer = hotline_sdp::offer(&leg.local, hold);
                self.endpoint.reoffer(id, leg.offer.clone(), now);
            }
        }
    }

    async fn handle_event(&mut self, event: Event) {
        match event {
            Event::Invited(invited) => {
                let id = invited.leg;
                if self.ring(*invited).await.is_err() {
                    self.endpoint.refuse(id, 480, self.now());
                }
            }
            Event::Ringing { leg, status, sdp, .. } => self.on(leg, |it| {
                it.settle_answer(sdp.as_deref());
                it.view.send_modify(|it| it.ringing = Some(status));
            }),
            Event::Answered { leg, sdp } => self.on(leg, |it| {
                it.settle_answer(sdp.as_deref());
                it.view.send_modify(|it| it.answered = Some(Instant::now()));
            }),
            Event::Confirmed { leg } => {
                self.on(leg, |it| it.view.send_modify(|it| it.confirmed = true));
            }
            Event::Offered { leg, sdp } => self.accept(leg, sdp),
            Event::Reanswered { leg, sdp } => self.on(leg, |it| {
                it.settle_answer(sdp.as_deref());
                it.view.send_modify(|it| it.n_reanswered += 1);
            }),
            // Also after the call.
            Event::ReferProgress { leg, status } => {
                if let Some(view) = self.told.get(&leg) {
                    view.send_modify(|it| it.referred.push(status));
                }
            }
            Event::Referred { leg, .. } => self.endpoint.answer_refer(leg, 403, self.now()),
            Event::ReofferRefused { leg, status } => {
                self.on(leg, |it| it.view.send_modify(|it| it.reoffer_refused = Some(status)));
            }
            Event::Key { leg, key } => {
                self.on(leg, |it| it.view.send_modify(|it| it.keys.push(key)));
            }
            Event::Ended { leg, why } => {
                if let Some(it) = self.legs.remove(&leg) {
                    it.view.send_modify(|it| it.ended = Some(why));
                }
            }
            Event::Enrolled(_) => (),
            Event::RegisterDone { extension, ok, status } => {
                self.registered(&extension, if ok { Ok(()) } else { Err(Refused { status }) });
            }
            // A telephone is no registrar.
            Event::Bound { .. }
            | Event::Changed { .. }
            | Event::Unbound { .. }
            | Event::Unreachable { .. }
            | Event::Reachable { .. }
            | Event::Stranger { .. }
            | Event::Misbehaved { .. }
            | Event::AuthFailed { .. }
            | Event::Probed { .. } => {}
        }
    }

    fn on(&mut self, leg: LegId, act: impl FnOnce(&mut Leg)) {
        if let Some(it) = self.legs.get_mut(&leg) {
            act(it);
        }
    }

    fn registered(&mut self, extension: &Extension, result: Result<(), Refused>) {
        let Some(it) = self.registrations.get_mut(extension) else { return };
        if let Some(done) = it.done.take() {
            done.send(result).ok();
        }
        if result.is_err() || it.expires.is_zero() {
            self.registrations.remove(extension);
        }
    }

    /// A new incoming call: it rings, and somebody may want to answer it.
    async fn ring(&mut self, invited: Invited) -> io::Result<()> {
        let id = invited.leg;
        let random = Random::new(self.random.next_u64());
        let audio = Arc::new(Audio::open(self.wire.local().ip(), random).await?);
        let mut leg = Leg::new(audio, self.codecs, &mut self.random);
        leg.invitation.clone_from(&invited.sdp);
        let call = self.call_of(id, &leg, Some(Arc::new(invited)));
        self.legs.insert(id, leg);
        self.endpoint.ring(id, None, self.now());
        let call = call.ok_or_else(|| io::Error::other("the robot is gone"))?;
        self.ringing.try_send(call).map_err(io::Error::other)
    }

    fn accept(&mut self, id: LegId, sdp: Option<String>) {
        let now = self.now();
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.local.version += 1;
        let answered = if let Some(offer) = sdp {
            leg.answer(&offer).map(|(sdp, stream)| {
                leg.settle(Ok(stream));
                sdp
            })
        } else {
            leg.offer = hotline_sdp::offer(&leg.local, false);
            Ok(leg.offer.clone())
        };
        match answered {
            Ok(sdp) => {
                self.endpoint.accept_offer(id, sdp, now);
                leg.view.send_modify(|it| it.n_reoffered += 1);
            }
            Err(_) => self.endpoint.refuse_offer(id, 488, now),
        }
    }

    fn call_of(&self, leg: LegId, it: &Leg, invited: Option<Arc<Invited>>) -> Option<Call> {
        let commands = self.commands.upgrade()?;
        let (view, audio) = (it.view.subscribe(), Arc::clone(&it.audio));
        Some(Call { leg, commands, view, audio, invited })
    }
}

impl Drop for Leg {
    /// A telephone without power is silent, whoever still holds the call.
    fn drop(&mut self) {
        self.audio.stop();
    }
}

impl Leg {
    fn new(audio: Arc<Audio>, codecs: Codecs, random: &mut Random) -> Self {
        let local = Local {
            address: audio.local().ip(),
            port: audio.local().port(),
            session: random.next_u64() >> 2,
            version: 1,
            codecs,
        };
        let view = watch::Sender::new(View::default());
        Self { view, audio, local, offer: String::new(), invitation: None }
    }

    fn answer(&self, offer: &str) -> Result<(String, Stream), SdpError> {
        hotline_sdp::answer(offer, &self.local)
    }

    fn settle_answer(&self, sdp: Option<&str>) {
        if let Some(sdp) = sdp.filter(|it| !it.is_empty()) {
            self.settle(hotline_sdp::settle(&self.offer, sdp));
        }
    }

    fn settle(&self, settled: Result<Stream, SdpError>) {
        if let Ok(stream) = settled {
            self.audio.settle(stream);
        }
        self.view.send_modify(|it| match settled {
            Ok(stream) => {
                it.stream = Some(stream);
                it.held = stream.hold;
            }
            Err(error) => it.sdp_error = Some(error),
        });
    }
}

/// A description without the formats of telephone-event, on whichever clocks.
fn without_events(description: &str) -> String {
    let number = |row: &str| {
        let (number, name) = row.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        name.starts_with("telephone-event").then(|| number.to_owned())
    };
    let numbers: Vec<_> = description.lines().filter_map(number).collect();
    let mut kept = String::new();
    for row in description.lines() {
        let of = row.strip_prefix("a=rtpmap:").or_else(|| row.strip_prefix("a=fmtp:"));
        let of = of.and_then(|it| it.split_once(' ')).map(|it| it.0);
        if of.is_some_and(|it| numbers.iter().any(|number| number == it)) {
            continue;
        }
        if row.starts_with("m=audio") {
            // Behind the port, which may be the same number.
            let words = row.split(' ').enumerate();
            let stays = |(n, it): &(usize, &str)| *n < 3 || numbers.iter().all(|no| no != it);
            let words: Vec<_> = words.filter(stays).map(|it| it.1).collect();
            kept += &words.join(" ");
        } else {
            kept += row;
        }
        kept += "\r\n";
    }
    kept
}
