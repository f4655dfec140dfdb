//! Stories of one agent, and both tables as a person can read them.

use std::fmt::Write as _;

use hotline_base::Random;

use super::*;
use crate::{Action, Forced, Line, LineEvent, Presence, PresenceEvent};

const ACW: Duration = Duration::from_secs(30);

fn config() -> AgentConfig {
    AgentConfig {
        no: AgentNo::new("1001"),
        name: Pii::new("韦小玲".to_owned()),
        extension: Extension::new("8001"),
        groups: vec![(GroupId::new("general"), 1), (GroupId::new("tax"), 3)],
        acw: ACW,
        acw_manual: false,
        sign_in_state: SignInState::Idle,
        supervisor: false,
    }
}

fn at(secs: u64) -> Now {
    Now::default() + Duration::from_secs(secs)
}

/// One agent and a stopwatch.
struct Desk {
    agent: Agent,
    now: Now,
}

impl Desk {
    fn new(config: AgentConfig) -> Self {
        Self { agent: Agent::new(config), now: at(0) }
    }

    /// Signed in and idle.
    fn idle() -> Self {
        let mut it = Self::new(config());
        it.does(Command::SignIn { extension: None });
        it
    }

    /// In a conversation.
    fn talking() -> Self {
        let mut it = Self::idle();
        it.line(&[LineEvent::Reserve, LineEvent::Ring, LineEvent::Answer, LineEvent::Bridge]);
        it
    }

    #[track_caller]
    fn does(&mut self, command: Command) {
        assert_eq!(self.agent.command(&command, self.now), Ok(()), "{command:?}");
        assert_eq!(self.agent.check(), Ok(()));
    }

    #[track_caller]
    fn may_not(&mut self, command: Command) -> Refused {
        let before = self.agent.view();
        let refused = self.agent.command(&command, self.now).unwrap_err();
        assert_eq!(self.agent.view(), before);
        refused
    }

    #[track_caller]
    fn line(&mut self, events: &[LineEvent]) {
        for event in events {
            assert_eq!(self.agent.line_event(*event, self.now), Ok(()), "{event:?}");
            assert_eq!(self.agent.check(), Ok(()));
        }
    }

    fn after(&mut self, secs: u64) {
        self.now = self.now + Duration::from_secs(secs);
        self.agent.handle_timeout(self.now);
        assert_eq!(self.agent.check(), Ok(()));
    }

    #[track_caller]
    fn shows(&self, display: Display, reason: Option<BusyReason>) {
        let view = self.agent.view();
        assert_eq!((view.display, view.reason), (display, reason));
    }

    fn facts(&mut self) -> Vec<AgentFact> {
        std::iter::from_fn(|| self.agent.poll_fact()).collect()
    }

    fn displays(&mut self) -> Vec<Display> {
        self.facts().into_iter().map(|it| it.display).collect()
    }
}

const REST: Command = Command::SetRest { planned: Duration::from_mins(10) };
const BUSY: Command = Command::SetBusy { reason: 1 };

#[test]
fn the_tables_are_as_committed() {
    let mut text = String::new();
    let mut row = |state: String, event: String, next: Option<String>| {
        writeln!(text, "{state:<11}{event:<10} {}", next.unwrap_or("-".to_owned())).unwrap();
    };
    for state in Presence::ALL {
        for event in PresenceEvent::ALL {
            let next = state.apply(*event).ok().map(|it| format!("{it:?}"));
            row(format!("{state:?}"), format!("{event:?}"), next);
        }
    }
    for state in Line::ALL {
        for event in LineEvent::ALL {
            let next = state.apply(*event).ok().map(|it| format!("{it:?}"));
            row(format!("{state:?}"), format!("{event:?}"), next);
        }
    }
    assert_eq!(
        text,
        include_str!("matrix.txt"),
        "read the new table before committing it:\n{text}"
    );
}

#[test]
fn an_agent_works_a_shift() {
    use Display::{Acw, Connecting, Held, Idle, Reserved, Rest, Ringing, SignedOut, Talking};

    let mut it = Desk::idle();
    assert!(it.agent.is_ready());
    it.agent.set_call(Some(CallId(7)));
    it.line(&[LineEvent::Reserve, LineEvent::Ring, LineEvent::Answer, LineEvent::Bridge]);
    it.line(&[LineEvent::Hold, LineEvent::Retrieve, LineEvent::Release]);
    it.agent.set_call(None);
    it.after(30);
    it.does(REST);
    it.does(Command::SetReady);
    it.does(Command::SignOut);
    let facts = it.facts();
    let shown: Vec<_> = facts.iter().map(|it| it.display).collect();
    assert_eq!(
        shown,
        [
            Idle, Reserved, Ringing, Connecting, Talking, Held, Talking, Acw, Idle, Rest, Idle,
            SignedOut,
        ]
    );
    assert_eq!(facts[1].call, Some(CallId(7)));
    assert_eq!(facts[7].call, Some(CallId(7)), "the release still names the call");
    assert_eq!(facts[8].call, None);
    assert_eq!(facts[8].at, at(30).wall);
}

#[test]
fn an_agent_signs_in_busy_where_the_centre_wants_it() {
    let mut it = Desk::new(AgentConfig { sign_in_state: SignInState::Busy, ..config() });
    it.does(Command::SignIn { extension: Some(Extension::new("8009")) });
    it.shows(Display::Busy, Some(BusyReason::Own));
    assert_eq!(it.agent.extension(), Some(&Extension::new("8009")));
    assert_eq!(it.displays(), [Display::Busy]);
}

#[test]
fn a_wish_during_a_call_waits_for_its_end() {
    for (wish, display, reason) in [
        (BUSY, Display::Busy, Some(BusyReason::Own)),
        (Command::SetBusy { reason: 222 }, Display::Busy, Some(BusyReason::Custom(222))),
        (REST, Display::Rest, None),
        (Command::SignOut, Display::SignedOut, None),
        (Command::EnterAcw, Display::Acw, None),
    ] {
        let mut it = Desk::talking();
        it.does(wish.clone());
        it.shows(Display::Talking, None);
        it.line(&[LineEvent::Hold, LineEvent::Release]);
        it.shows(display, reason);
        assert_eq!(it.agent.view().pending, None, "{wish:?}");
    }
}

#[test]
fn the_last_wish_counts_and_ready_takes_it_back() {
    let mut it = Desk::talking();
    it.does(Command::SignOut);
    it.does(REST);
    it.does(Command::SetReady);
    assert_eq!(it.agent.view().pending, None);
    it.line(&[LineEvent::Release]);
    it.shows(Display::Acw, None);
}

#[test]
fn after_call_work_ends_by_timer_by_command_or_by_ready() {
    let mut it = Desk::talking();
    it.line(&[LineEvent::Release]);
    assert_eq!(it.agent.poll_timeout().map(|it| it.0), Some(at(30).mono));
    assert_eq!(it.agent.view().until_wall, Some(at(30).wall));
    it.after(29);
    it.shows(Display::Acw, None);
    it.after(1);
    it.shows(Display::Idle, None);
    assert_eq!(it.agent.poll_timeout(), None);
    for command in [Command::FinishAcw, Command::SetReady] {
        let mut it = Desk::talking();
        it.line(&[LineEvent::Release]);
        it.does(command);
        it.shows(Display::Idle, None);
    }
}

#[test]
fn an_agent_who_asks_for_time_has_no_timer() {
    let mut it = Desk::talking();
    it.line(&[LineEvent::Release]);
    it.does(Command::EnterAcw);
    it.after(3_600);
    it.shows(Display::Acw, None);
    assert!(!it.agent.allows(Action::EnterAcw));
    it.does(Command::FinishAcw);
    it.shows(Display::Idle, None);
}

#[test]
fn after_call_work_by_hand_has_no_timer_and_no_work_leads_to_idle() {
    let mut it = Desk::talking();
    it.agent.configure(AgentConfig { acw_manual: true, acw: Duration::ZERO, ..config() });
    it.line(&[LineEvent::Release]);
    it.shows(Display::Acw, None);
    assert_eq!(it.agent.poll_timeout(), None);

    let mut it = Desk::talking();
    it.agent.configure(AgentConfig { acw: Duration::ZERO, ..config() });
    it.line(&[LineEvent::Release]);
    it.shows(Display::Idle, None);
    assert!(it.agent.is_ready());
}

#[test]
fn an_agent_whose_caller_gave_up_during_ringing_is_ready_at_once_and_keeps_his_turn() {
    let mut it = Desk::idle();
    it.after(100);
    it.line(&[LineEvent::Reserve, LineEvent::Ring]);
    assert_eq!(it.agent.ready_since(), None);
    it.after(5);
    it.line(&[LineEvent::Release]);
    it.shows(Display::Idle, None);
    assert_eq!(it.agent.ready_since(), Some(at(0).mono));
}

#[test]
fn an_agent_who_served_a_caller_goes_to_the_end_of_the_turn() {
    let mut it = Desk::talking();
    it.after(60);
    it.line(&[LineEvent::Release]);
    it.after(30);
    assert_eq!(it.agent.ready_since(), Some(at(90).mono));
}

#[test]
fn an_agent_who_does_not_answer_is_set_aside_with_the_reason() {
    for reason in [BusyReason::RingNoAnswer, BusyReason::Rejected, BusyReason::Forced] {
        let mut it = Desk::idle();
        it.line(&[LineEvent::Reserve, LineEvent::Ring]);
        it.facts();
        it.agent.set_aside(reason, it.now);
        it.shows(Display::Busy, Some(reason));
        assert_eq!(it.agent.line(), Line::Free);
        let facts = it.facts();
        assert_eq!(facts.len(), 1, "one step is one fact");
        assert_eq!(facts[0].reason, Some(reason.code()));
        it.does(Command::SetReady);
        assert!(it.agent.is_ready());
    }
}

#[test]
fn an_agent_who_asked_for_rest_rests_even_if_he_did_not_answer() {
    let mut it = Desk::idle();
    it.line(&[LineEvent::Reserve, LineEvent::Ring]);
    it.does(REST);
    it.agent.set_aside(BusyReason::RingNoAnswer, it.now);
    it.shows(Display::Rest, None);
    it.agent.set_aside(BusyReason::RingNoAnswer, it.now);
    it.shows(Display::Rest, None);
    it.agent.set_aside(BusyReason::Forced, it.now);
    it.shows(Display::Busy, Some(BusyReason::Forced));
}

#[test]
fn being_set_aside_never_cuts_a_conversation() {
    let mut it = Desk::talking();
    it.agent.set_aside(BusyReason::Forced, it.now);
    it.shows(Display::Talking, None);
    it.line(&[LineEvent::Release]);
    it.shows(Display::Busy, Some(BusyReason::Forced));
}

#[test]
fn a_signed_out_agent_cannot_be_set_aside() {
    let mut it = Desk::new(config());
    it.agent.set_aside(BusyReason::Forced, it.now);
    it.agent.device_lost(it.now);
    it.agent.device_back(it.now);
    it.shows(Display::SignedOut, None);
    assert_eq!(it.facts(), []);
}

#[test]
fn an_agent_without_telephone_gets_no_caller_until_he_asks_for_one() {
    let mut it = Desk::idle();
    it.agent.device_lost(it.now);
    it.shows(Display::Busy, Some(BusyReason::DeviceUnavailable));
    assert_eq!(it.may_not(Command::SetReady), Refused::NotRegistered);
    it.agent.device_back(it.now);
    it.shows(Display::Busy, Some(BusyReason::DeviceUnavailable));
    it.does(Command::SetReady);
    assert!(it.agent.is_ready());
}

#[test]
fn a_telephone_lost_during_after_call_work_does_not_make_the_agent_ready() {
    let mut it = Desk::talking();
    it.line(&[LineEvent::Release]);
    it.agent.device_lost(it.now);
    it.shows(Display::Acw, None);
    it.after(30);
    it.shows(Display::Busy, Some(BusyReason::DeviceUnavailable));
}

#[test]
fn a_registration_that_flickers_during_a_call_changes_nothing() {
    let mut it = Desk::talking();
    it.agent.device_lost(it.now);
    it.shows(Display::Talking, None);
    it.agent.device_back(it.now);
    it.line(&[LineEvent::Release]);
    it.shows(Display::Acw, None);

    let mut it = Desk::talking();
    it.agent.device_lost(it.now);
    it.line(&[LineEvent::Release]);
    it.shows(Display::Busy, Some(BusyReason::DeviceUnavailable));
}

#[test]
fn nobody_is_reserved_who_does_not_want_calls() {
    let mut it = Desk::idle();
    it.does(BUSY);
    let refused = it.agent.line_event(LineEvent::Reserve, it.now);
    let display = Display::Busy;
    assert_eq!(refused, Err(Refused::WrongLine { display, event: LineEvent::Reserve }));
}

#[test]
fn a_late_click_is_refused_with_the_state() {
    let mut it = Desk::idle();
    for command in [Command::Hold, Command::HangUp, Command::FinishAcw] {
        let action = command.action();
        let refused = it.may_not(command);
        assert_eq!(refused, Refused::WrongState { display: Display::Idle, command: action });
    }
    assert_eq!(it.may_not(Command::SetBusy { reason: 4 }), Refused::UnknownReason(4));
    let text = it.may_not(Command::FinishAcw).to_string();
    assert_eq!(text, "FinishAcw is not possible while the agent is Idle");
}

#[test]
fn a_second_click_changes_nothing_and_tells_nobody() {
    let mut it = Desk::idle();
    it.facts();
    it.does(Command::SetReady);
    assert_eq!(it.facts(), []);
    it.does(BUSY);
    it.does(BUSY);
    assert_eq!(it.displays(), [Display::Busy]);
}

#[test]
fn presence_outlives_a_restart_of_control() {
    let mut it = Desk::idle();
    it.after(10);
    it.does(REST);
    let saved = it.agent.save();
    // A new process: another monotonic time, five seconds later on the wall.
    let later = Now { mono: MonoTime(1_000_000), wall: at(15).wall };
    let back = Agent::restore(config(), &saved, later).unwrap();
    assert_eq!(back.view(), it.agent.view());
    assert_eq!(Agent::restore(config(), b"something else", later).map(|_| ()), None);
    assert_eq!(Agent::restore(config(), &[], later).map(|_| ()), None);
}

#[test]
fn after_call_work_goes_on_after_a_restart_for_what_is_left_of_it() {
    let mut it = Desk::talking();
    it.line(&[LineEvent::Release]);
    let saved = it.agent.save();
    let later = Now { mono: MonoTime(5), wall: at(10).wall };
    let mut back = Agent::restore(config(), &saved, later).unwrap();
    let twenty = Duration::from_secs(20);
    assert_eq!(back.poll_timeout().map(|it| it.0), Some(later.mono + twenty));
    back.handle_timeout(later + twenty);
    assert!(back.is_ready());
}

#[test]
fn a_wish_outlives_a_restart_whether_or_not_the_call_does() {
    let mut it = Desk::talking();
    it.does(REST);
    let saved = it.agent.save();

    let mut alone = Agent::restore(config(), &saved, at(60)).unwrap();
    assert!(!alone.is_ready());
    assert_eq!(alone.poll_timeout().map(|it| it.0), Some(at(60).mono));
    alone.handle_timeout(at(60));
    assert_eq!(alone.display(), Display::Rest);

    let mut in_call = Agent::restore(config(), &saved, at(60)).unwrap();
    for event in [LineEvent::Reserve, LineEvent::Answer, LineEvent::Bridge] {
        in_call.line_event(event, at(60)).unwrap();
    }
    in_call.handle_timeout(at(61));
    assert_eq!(in_call.display(), Display::Talking);
    in_call.line_event(LineEvent::Release, at(62)).unwrap();
    assert_eq!(in_call.display(), Display::Rest);
}

/// What a person, a telephone and a supervisor can do, drawn at random.
fn something(it: &mut Desk, random: &mut Random) {
    let commands = [
        Command::SignIn { extension: None },
        Command::SignOut,
        Command::SetReady,
        BUSY,
        REST,
        Command::EnterAcw,
        Command::FinishAcw,
        Command::SetBusy { reason: 3 },
    ];
    let nth = |random: &mut Random, n: usize| {
        usize::try_from(random.below(u64::try_from(n).unwrap())).unwrap()
    };
    match random.below(8) {
        0..=2 => {
            let command = &commands[nth(random, commands.len())];
            let listed = it.agent.allows(command.action());
            let before = it.agent.view();
            let result = it.agent.command(command, it.now);
            let known = *command != Command::SetBusy { reason: 3 };
            assert!(result.is_ok() || !listed || !known, "{command:?} in {before:?}: {result:?}");
            if result.is_err() {
                assert_eq!(it.agent.view(), before);
            }
        }
        3..=5 => {
            let event = LineEvent::ALL[nth(random, LineEvent::ALL.len())];
            let ready = it.agent.is_ready();
            let result = it.agent.line_event(event, it.now);
            assert!(!(ready && event == LineEvent::Reserve) || result.is_ok());
        }
        6 => match random.below(4) {
            0 => it.agent.device_lost(it.now),
            1 => it.agent.device_back(it.now),
            2 => {
                let all = [Forced::Ready, Forced::Busy, Forced::SignedOut];
                let before = it.agent.view();
                let result = it.agent.force(all[nth(random, all.len())], it.now);
                assert!(result.is_ok() || it.agent.view() == before);
            }
            _ => it.agent.set_aside(BusyReason::RingNoAnswer, it.now),
        },
        _ => it.after(random.below(40)),
    }
}

#[test]
fn a_supervisor_decides_for_an_agent_at_once_or_for_the_end_of_his_call() {
    let mut it = Desk::new(config());
    assert!(it.agent.force(Forced::Busy, it.now).is_err(), "nobody is there");
    assert!(it.agent.force(Forced::Ready, it.now).is_err());
    it.does(Command::SignIn { extension: None });
    it.agent.force(Forced::Ready, it.now).unwrap();
    assert!(it.agent.is_ready());
    it.does(Command::SetRest { planned: Duration::from_mins(10) });
    it.agent.force(Forced::Busy, it.now).unwrap();
    assert_eq!(it.agent.view().reason, Some(BusyReason::Forced));
    it.agent.force(Forced::Ready, it.now).unwrap();
    // A call that rings rings on.
    it.line(&[LineEvent::Reserve, LineEvent::Ring]);
    it.agent.force(Forced::Busy, it.now).unwrap();
    assert_eq!((it.agent.line(), it.agent.is_ready()), (Line::Ringing, false));
    it.line(&[LineEvent::Answer, LineEvent::Bridge, LineEvent::Release]);
    assert_eq!(it.agent.view().reason, Some(BusyReason::Forced));
    it.agent.force(Forced::Ready, it.now).unwrap();
    it.line(&[LineEvent::Reserve, LineEvent::Answer, LineEvent::Bridge]);
    it.agent.force(Forced::SignedOut, it.now).unwrap();
    assert_eq!(it.agent.presence(), Presence::Idle);
    // The last word counts.
    it.agent.force(Forced::Ready, it.now).unwrap();
    it.agent.force(Forced::SignedOut, it.now).unwrap();
    it.line(&[LineEvent::Release]);
    assert_eq!(it.agent.presence(), Presence::SignedOut);
}

#[test]
fn no_agent_gets_stuck_whatever_happens_in_whatever_order() {
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let mut it = Desk::new(config());
        for _ in 0..60 {
            let before = it.agent.display();
            something(&mut it, &mut random);
            assert_eq!(it.agent.check(), Ok(()), "seed {seed}");
            let facts = it.displays();
            let last = facts.last().copied().unwrap_or(before);
            assert_eq!(last, it.agent.display(), "seed {seed}: a change was not told");
            assert!(facts.len() <= 1, "seed {seed}: {facts:?}");
        }
        // Whoever wants to can be ready again with what the bar shows.
        if it.agent.line() != Line::Free {
            it.line(&[LineEvent::Release]);
        }
        it.agent.device_back(it.now);
        if it.agent.presence() == Presence::SignedOut {
            it.does(Command::SignIn { extension: None });
        }
        it.does(Command::SetReady);
        assert!(it.agent.is_ready(), "seed {seed}");
    }
}
