//! Queues, agents and ratings.

use std::time::Duration;

use hotline_base::MonoTime;

use super::{Agent, Do, Done, HangUp, Lost, Missing, Press, Said, check, check_with, tell};
use crate::{Event, FlowFact, QueueRefusal, Step};

const MAIN: &str = "
id: main
start: person
on_error: failed
nodes:
  person:
    type: queue
    group: general
    priority: 6
    announce: {first_after: 15s, every: 45s, position: true}
    keys: {'9': instead}
    max_wait: 100s
    caller_whisper: agent.number
    after_agent: {flow: survey, when: 'agent.talk_ms >= 10000'}
    out: {agent_done: bye, timeout: late, full: full, no_agents: nobody, closed: closed}
  instead: {type: hangup, reason: instead}
  late: {type: hangup, reason: late}
  full: {type: hangup, reason: full}
  nobody: {type: hangup, reason: nobody}
  closed: {type: hangup, reason: closed}
  failed: {type: hangup, reason: failed}
  bye: {type: hangup, prompt: bye.common, reason: bye}
";

const SURVEY: &str = "
id: survey
kind: after_agent
start: ask
on_error: leave
nodes:
  ask:
    type: survey
    survey_id: s1
    prompt: survey.ask
    prompt_short: survey.short
    keys: {'1': {value: 5, label: 满意, satisfied: true}, '5': {value: 1, label: 不满意, next: why}}
    out: {rated: leave, noinput: leave, nomatch: leave}
  why: {type: tag, add: [unhappy], next: leave}
  leave: {type: return}
";

#[track_caller]
fn story(script: &[(u64, Do)], until: u64, want: &str) {
    check(&[MAIN, SURVEY], script, until, want);
}

#[test]
fn a_caller_hears_music_then_the_agents_number_then_the_agent() {
    story(
        &[
            (4_000, Agent("1001")),
            (12_000, Press('5')),
            (60_000, Done(50_000)),
            (63_000, Press('1')),
        ],
        70_000,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        4.00 play num.d1 num.d0 num.d0 num.d1 agent.service
        12.00 key Dropped
        14.00 connect
        60.00 survey offered for 1001
        60.00 play survey.ask
        63.00 rated 1001 1 5 true
        63.00 play bye.common
        65.00 hang up bye 16
        65.00 left main system_hangup",
    );
}

#[test]
fn an_agent_hears_before_the_bridge_what_is_for_him_alone_or_for_both() {
    let before = "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever";
    // Both hear his number, and he which hotline it is; the bridge waits for both.
    let both = "caller_whisper: agent.number\n    whisper_to: both\n    agent_whisper: ask";
    let main = MAIN.replace("caller_whisper: agent.number", both);
    check(
        &[&main, SURVEY],
        &[(1_000, Agent("1")), (7_000, Said)],
        8_000,
        &format!(
            "{before}
        1.00 play num.d1 agent.service
        1.00 agent hears ask num.d1 agent.service
        7.00 connect"
        ),
    );
    // Only he hears something: the caller goes on hearing music.
    let alone = MAIN.replace("caller_whisper: agent.number", "agent_whisper: ask");
    check(
        &[&alone, SURVEY],
        &[(1_000, Agent("1")), (3_000, Said)],
        4_000,
        &format!(
            "{before}
        1.00 agent hears ask
        3.00 stop
        3.00 connect"
        ),
    );
    // Nobody says that he has heard it; and he goes away before.
    check(
        &[&alone, SURVEY],
        &[(1_000, Agent("1")), (2_000, Lost), (3_000, Said), (5_000, Agent("1"))],
        31_000,
        &format!(
            "{before}
        1.00 agent hears ask
        2.00 play moh.default for ever
        5.00 agent hears ask
        30.00 stop
        30.00 connect"
        ),
    );
}

#[test]
fn a_short_talk_is_not_rated() {
    story(
        &[(1_000, Agent("1")), (10_000, Done(3_000))],
        12_000,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        1.00 play num.d1 agent.service
        5.00 connect
        10.00 play bye.common
        12.00 hang up bye 16
        12.00 left main system_hangup",
    );
}

#[test]
fn a_bad_rating_may_lead_to_a_reason() {
    story(
        &[(1_000, Agent("1")), (30_000, Done(20_000)), (31_000, Press('5'))],
        31_500,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        1.00 play num.d1 agent.service
        5.00 connect
        30.00 survey offered for 1001
        30.00 play survey.ask
        31.00 key stops
        31.00 rated 1001 5 1 false
        31.00 tag unhappy
        31.00 play bye.common",
    );
}

#[test]
fn a_caller_who_hangs_up_first_is_not_asked() {
    story(
        &[(1_000, Agent("1")), (30_000, HangUp)],
        31_500,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        1.00 play num.d1 agent.service
        5.00 connect
        30.00 left main caller_hangup",
    );
}

#[test]
fn a_caller_who_hangs_up_in_the_survey_leaves_both_flows() {
    story(
        &[(1_000, Agent("1")), (30_000, Done(20_000)), (31_000, HangUp)],
        31_500,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        1.00 play num.d1 agent.service
        5.00 connect
        30.00 survey offered for 1001
        30.00 play survey.ask
        31.00 left survey caller_hangup
        31.00 left main caller_hangup",
    );
}

#[test]
fn a_caller_who_gives_up_in_the_queue_abandons() {
    story(
        &[(8_000, HangUp)],
        9_000,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        8.00 left main queue_abandon",
    );
    story(
        &[(8_000, Agent("1")), (8_500, HangUp)],
        9_000,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        8.00 play num.d1 agent.service
        8.50 left main queue_abandon",
    );
}

#[test]
fn a_lost_agent_brings_the_music_back_and_no_more_time() {
    story(
        &[(90_000, Agent("1")), (91_000, Lost)],
        120_000,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        15.00 play queue.wait
        17.00 play moh.default for ever
        62.00 play queue.wait
        64.00 play moh.default for ever
        90.00 play num.d1 agent.service
        91.00 play moh.default for ever
        100.00 stop
        100.00 leave queue
        100.00 hang up late 16
        100.00 left main system_hangup",
    );
}

#[test]
fn waiting_ends_even_while_an_agent_was_being_connected() {
    story(
        &[(99_000, Agent("1")), (101_000, Lost)],
        120_000,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        15.00 play queue.wait
        17.00 play moh.default for ever
        62.00 play queue.wait
        64.00 play moh.default for ever
        99.00 play num.d1 agent.service
        101.00 stop
        101.00 leave queue
        101.00 hang up late 16
        101.00 left main system_hangup",
    );
}

#[test]
fn an_answer_cuts_an_announcement_off_at_once() {
    story(
        &[(16_000, Agent("1"))],
        21_000,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        15.00 play queue.wait
        16.00 play num.d1 agent.service
        20.00 connect",
    );
}

#[test]
fn a_caller_hears_how_many_are_in_front() {
    check_with(
        &[MAIN, SURVEY],
        |desk| desk.ahead = 12,
        &[(30_000, HangUp)],
        31_000,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        15.00 play queue.position.prefix num.ten num.d2 queue.position.suffix
        23.00 play moh.default for ever
        30.00 left main queue_abandon",
    );
}

#[test]
fn a_wait_nobody_can_tell_is_not_announced() {
    let story = tell(&[MAIN, SURVEY], |it| it.ewt = Some(Duration::from_secs(95)), &[], 20_000);
    // The prompts for it are not recorded either.
    assert!(story.log.contains("play queue.wait"), "{}", story.log);
}

#[test]
fn a_key_of_the_queue_leads_out_of_it_and_others_do_nothing() {
    story(
        &[(5_000, Press('3')), (6_000, Press('9'))],
        7_000,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        5.00 key Dropped
        6.00 stop
        6.00 leave queue
        6.00 hang up instead 16
        6.00 left main system_hangup",
    );
}

#[test]
fn keys_typed_before_a_queue_are_not_its_keys() {
    let flow = MAIN.replace("start: person", "start: hello").replace(
        "  instead:",
        "  hello: {type: play, prompt: greet.short, barge_in: none, next: person}\n  instead:",
    );
    check(
        &[&flow, SURVEY],
        &[(500, Press('9'))],
        2_000,
        "0.00 answer
        0.00 play greet.short
        0.50 key Kept
        1.00 key Dropped
        1.00 enqueue general 6
        1.00 play moh.default for ever",
    );
}

#[test]
fn a_queue_that_cannot_take_the_caller_says_why() {
    for (refusal, reason) in [
        (QueueRefusal::Full, "full"),
        (QueueRefusal::NoAgents, "nobody"),
        (QueueRefusal::Closed, "closed"),
        (QueueRefusal::UnknownGroup, "failed"),
    ] {
        let story = tell(&[MAIN, SURVEY], |it| it.refusal = Some(refusal), &[], 1_000);
        assert!(story.log.contains(&format!("hang up {reason} 16")), "{}", story.log);
    }
    let story = tell(&[MAIN, SURVEY], |it| it.signed_in = 0, &[], 1_000);
    assert!(story.log.contains("hang up nobody") && !story.log.contains("enqueue"));
}

#[test]
fn music_that_is_missing_costs_nobody_his_place() {
    story(
        &[(100, Missing), (20_000, Agent("1"))],
        25_000,
        "0.00 answer
        0.00 enqueue general 6
        0.00 play moh.default for ever
        0.10 error at person: music ended -> Ignored
        15.00 play queue.wait
        17.00 play moh.default for ever
        20.00 play num.d1 agent.service
        24.00 connect",
    );
}

#[test]
fn a_survey_that_fails_costs_the_caller_nothing() {
    let broken = SURVEY.replace("on_error: leave\n", "").replace(
        "out: {rated: leave, noinput: leave, nomatch: leave}",
        "out: {rated: leave, noinput: leave, nomatch: leave, error: boom}",
    ) + "  boom: {type: set, assign: {session.count: '1 / 0'}, out: {done: leave, error: boom}}\n";
    // `boom` fails for ever: the limit of steps ends it.
    let broken = broken.replace("error: boom}}\n", "error: leave}}\n");
    let story = tell(
        &[MAIN, &broken],
        |_| (),
        &[(1_000, Agent("1")), (30_000, Done(20_000)), (31_000, Missing)],
        40_000,
    );
    assert!(story.log.contains("error at ask: prompt is missing"), "{}", story.log);
    assert!(story.log.contains("hang up bye"), "{}", story.log);
}

#[test]
fn a_survey_that_spins_does_not_bring_the_caller_back_into_the_queue() {
    let spinning = SURVEY.replace("start: ask", "start: spin").replace(
        "  why:",
        "  spin: {type: branch, cases: [{if: 'agent.talk_ms > 0', next: more}], else: ask}\n  \
         more: {type: tag, add: [x], next: spin}\n  why:",
    );
    let files = crate::sample::with_flows(&[MAIN, &spinning]);
    let (bundle, _) = crate::check(&files);
    let mut story = super::Story::new(&std::sync::Arc::new(bundle), "main");
    story.tell(Event::Start);
    story.act(Agent("1"));
    story.pass(MonoTime(10_000_000_000));
    story.act(Done(20_000));
    assert!(story.log.contains("max_steps_without_wait -> Ignored"), "{}", story.log);
    assert!(story.log.ends_with("play bye.common\n"), "{}", story.log);
    assert_eq!(story.log.matches("enqueue").count(), 1);
}

#[test]
fn waiting_and_talking_do_not_count_as_time_in_the_flow() {
    let flow = MAIN
        .replace("start: person", "start: person\nlimits: {max_time: 20s}")
        .replace("max_wait: 100s", "max_wait: 10m");
    let story =
        tell(&[&flow, SURVEY], |_| (), &[(300_000, Agent("1")), (900_000, Done(500_000))], 903_000);
    assert!(story.log.ends_with("900.00 play survey.ask\n"), "{}", story.log);
    assert!(story.session.poll_timeout().unwrap().0 > MonoTime(903_000_000_000));
}

#[test]
fn a_person_is_requested_once_however_often_the_caller_queues() {
    let again = MAIN.replace("timeout: late", "timeout: person").replace("100s", "10s");
    let flow = again.replace("  late: {type: hangup, reason: late}\n", "");
    let bundle = crate::sample::bundle(&[&flow, SURVEY]);
    let mut story = super::Story::new(&bundle, "main");
    let mut requested = 0;
    story.session.handle(Event::Start, &story.desk, story.now);
    for _ in 0..200 {
        while let Some(step) = story.session.poll_step() {
            let event = if step == Step::Answer {
                Event::Answered
            } else if matches!(step, Step::Enqueue(_)) {
                Event::Enqueued { position: 1 }
            } else {
                requested += usize::from(step == Step::Fact(FlowFact::PersonRequested));
                continue;
            };
            story.session.handle(event, &story.desk, story.now);
        }
        story.now = story.now + Duration::from_secs(1);
        story.session.handle_timeout(&story.desk, story.now);
    }
    assert_eq!(requested, 1);
}
