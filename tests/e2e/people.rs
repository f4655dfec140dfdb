//! Callers and agents: robots with a place in the hotline.

use std::{
    net::SocketAddr,
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hotline_testkit::{Call, Match, Outgoing, Robot, Speech};
use serde_json::{Value, json};

use crate::{
    engine::{Engine, SOON, text},
    http,
    setup::{CARRIER, OFFICE, PASSWORD},
};

/// A caller on the trunk; derefs to the call.
pub(crate) struct Caller {
    pub(crate) number: String,
    pub(crate) call: Call,
    _robot: Robot,
}

/// An agent with a telephone, signed in and ready.
pub(crate) struct Agent {
    pub(crate) no: String,
    pub(crate) robot: Robot,
}

impl Engine {
    /// Somebody with a number of his own calls 12345.
    pub(crate) async fn caller(&self) -> Caller {
        self.caller_of("12345").await
    }

    pub(crate) async fn caller_of(&self, called: &str) -> Caller {
        static NEXT: AtomicU64 = AtomicU64::new(13_900_000_000);
        let number = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        let (to, from_user) = (called.to_owned(), number);
        self.dial(Outgoing { to, from_user, ..Outgoing::default() }).await
    }

    /// Somebody whose number is known calls 12345.
    pub(crate) async fn caller_from(&self, number: &str) -> Caller {
        let (to, from_user) = ("12345".to_owned(), number.to_owned());
        self.dial(Outgoing { to, from_user, ..Outgoing::default() }).await
    }

    /// Somebody with a telephone of his own and a number of his own calls 12345.
    pub(crate) async fn caller_with(&self, robot: Robot) -> Caller {
        static NEXT: AtomicU64 = AtomicU64::new(13_800_000_000);
        let (to, from_user) =
            ("12345".to_owned(), NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        self.dial_from(robot, Outgoing { to, from_user, ..Outgoing::default() }).await
    }

    /// A call with everything that can be said in an INVITE.
    pub(crate) async fn dial(&self, outgoing: Outgoing) -> Caller {
        self.dial_from(Robot::bind(CARRIER).await.unwrap(), outgoing).await
    }

    /// The same from a telephone of his own.
    pub(crate) async fn dial_from(&self, robot: Robot, outgoing: Outgoing) -> Caller {
        let number = outgoing.from_user.clone();
        let call = robot.dial(self.udp(), outgoing).await.unwrap();
        Caller { number, call, _robot: robot }
    }

    /// Agent `index` (from 1) registers a telephone, signs in and is ready.
    pub(crate) async fn agent(&self, index: u32) -> Agent {
        let agent = self.busy_agent(index).await;
        self.ready(&agent).await;
        self.until_state(&agent, "idle").await;
        agent
    }

    /// An agent takes calls from now on.
    pub(crate) async fn ready(&self, agent: &Agent) {
        self.command(&agent.no, "ready", json!({})).await;
    }

    /// Agent `index` registers a telephone and signs in.
    pub(crate) async fn busy_agent(&self, index: u32) -> Agent {
        let robot = Robot::bind(OFFICE).await.unwrap();
        self.sign_in(index, robot, self.udp()).await
    }

    /// Agent `index` with a telephone that keeps a TCP connection.
    pub(crate) async fn agent_over_tcp(&self, index: u32) -> Agent {
        let robot = Robot::connect(OFFICE, self.tcp()).await.unwrap();
        let agent = self.sign_in(index, robot, self.tcp()).await;
        self.ready(&agent).await;
        self.until_state(&agent, "idle").await;
        agent
    }

    pub(crate) async fn sign_in(&self, index: u32, robot: Robot, registrar: SocketAddr) -> Agent {
        robot.register(registrar, &format!("800{index}"), PASSWORD).await.unwrap();
        let agent = Agent { no: format!("100{index}"), robot };
        self.command(&agent.no, "sign-in", json!({})).await;
        agent
    }

    /// A command of an agent that must be taken; the agent's state after it.
    pub(crate) async fn command(&self, no: &str, command: &str, body: Value) -> Value {
        let path = format!("/api/v1/agents/{no}/{command}");
        let response = http::post(self.http(), &path, &body).await.unwrap();
        assert_eq!(response.status, 200, "POST {path}: {}", response.text());
        response.json()
    }

    /// Waits until an agent's state is shown as this.
    pub(crate) async fn until_state(&self, agent: &Agent, state: &str) -> Value {
        let path = format!("/api/v1/agents/{}", agent.no);
        self.until(&path, SOON, |it| (text(&it["state"]) == state).then(|| it.clone())).await
    }

    /// Waits until so many callers wait in a group.
    pub(crate) async fn until_waiting(&self, group: &str, n: u64) {
        let of = |it: &Value| {
            let groups = it["items"].as_array()?;
            let found = groups.iter().find(|it| text(&it["skill_group"]) == group)?;
            (found["n_waiting"].as_u64()? == n).then_some(())
        };
        self.until("/api/v1/groups", SOON, of).await;
    }

    /// A caller who has pressed 0 and an agent who has answered, talking: the caller says 700 Hz,
    /// the agent 440 Hz, and both were heard.
    pub(crate) async fn talk(&self) -> (Caller, Agent, Call) {
        let agent = self.agent(1).await;
        let (caller, phone) = self.talk_with(&agent).await;
        (caller, agent, phone)
    }

    /// The same with an agent who is ready, and the only one.
    pub(crate) async fn talk_with(&self, agent: &Agent) -> (Caller, Call) {
        let caller = self.caller().await;
        caller.ask_for_person(self).await;
        let ringing = agent.robot.incoming(SOON).await.unwrap();
        ringing.answer();
        caller.speak(Speech::tone(700));
        ringing.speak(Speech::tone(440));
        caller.until_tone(440, SOON).await.unwrap();
        ringing.until_tone(700, SOON).await.unwrap();
        (caller, ringing)
    }
}

impl Caller {
    /// Hears a whole prompt that begins at or after `mark`.
    pub(crate) async fn hears_since(&self, engine: &Engine, mark: usize, prompt: &str) -> Match {
        let sound = engine.setup.prompts.sound(prompt);
        let found = self.call.until_sound_since(mark, prompt, &sound, LONG).await;
        found.unwrap_or_else(|it| panic!("{it}"))
    }

    /// Hears a whole prompt.
    pub(crate) async fn hears(&self, engine: &Engine, prompt: &str) -> Match {
        self.hears_since(engine, 0, prompt).await
    }

    /// Hears a prompt begin, which a key may cut off.
    pub(crate) async fn hears_begin(&self, engine: &Engine, prompt: &str) -> Match {
        let sound = engine.setup.prompts.sound(prompt).head(Duration::from_millis(400));
        let found = self.call.until_sound(prompt, &sound, LONG).await;
        found.unwrap_or_else(|it| panic!("{it}"))
    }

    /// Waits for the menu and presses 0.
    pub(crate) async fn ask_for_person(&self, engine: &Engine) {
        self.hears_begin(engine, "menu.top.long").await;
        self.call.press("0");
    }
}

impl Deref for Caller {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}

/// A spoken prompt lasts up to twelve seconds, and others come before it.
const LONG: Duration = Duration::from_secs(40);
