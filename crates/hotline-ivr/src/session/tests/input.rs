//! Prompts, keys and their times (4.1–4.3).

use super::{Do, HangUp, Info, Press, check, tell};

/// A menu between an answer and a queue.
fn menu(more: &str) -> String {
    format!(
        "
id: main
vars: {{code: {{type: string, default: '', export: true}}}}
start: top
on_error: to_person
nodes:
  top:
    type: menu
    prompt: greet.long
    prompt_short: menu.one.short
    {more}
    out: {{noinput: quiet, nomatch: wrong}}
  a: {{type: hangup, reason: a}}
  b: {{type: hangup, reason: b}}
  quiet: {{type: hangup, reason: quiet}}
  wrong: {{type: hangup, reason: wrong}}
  to_person: {{type: hangup, reason: person}}
"
    )
}

const TWO: &str = "options: {'1': {next: a}, '2': {next: b}}";

#[track_caller]
fn menu_story(more: &str, script: &[(u64, Do)], want: &str) {
    check(&[&menu(more)], script, 200_000, want);
}

#[test]
fn silence_counts_from_the_end_of_the_prompt() {
    menu_story(
        &format!("{TWO}\n    max_attempts: 1"),
        &[],
        "0.00 answer
        0.00 play greet.long
        15.00 hang up quiet 16
        15.00 left main system_hangup",
    );
}

#[test]
fn a_key_interrupts_the_prompt_and_is_taken_at_once() {
    menu_story(
        TWO,
        &[(3_000, Press('2'))],
        "0.00 answer
        0.00 play greet.long
        3.00 key stops
        3.00 hang up b 16
        3.00 left main system_hangup",
    );
}

#[test]
fn a_key_by_info_stops_the_prompt_as_well() {
    menu_story(
        TWO,
        &[(3_000, Info('1'))],
        "0.00 answer
        0.00 play greet.long
        3.00 stop
        3.00 hang up a 16
        3.00 left main system_hangup",
    );
}

#[test]
fn a_key_in_the_first_moment_waits_until_the_prompt_may_be_interrupted() {
    menu_story(
        TWO,
        &[(100, Press('1'))],
        "0.00 answer
        0.00 play greet.long
        0.10 key Kept
        0.25 stop
        0.25 hang up a 16
        0.25 left main system_hangup",
    );
}

#[test]
fn a_prompt_that_may_not_be_interrupted_plays_on_and_the_key_is_used_after_it() {
    menu_story(
        &format!("{TWO}\n    input: {{barge_in: none}}"),
        &[(3_000, Press('2'))],
        "0.00 answer
        0.00 play greet.long
        3.00 key Kept
        10.00 hang up b 16
        10.00 left main system_hangup",
    );
}

#[test]
fn with_flush_a_key_during_such_a_prompt_is_dropped() {
    menu_story(
        &format!("{TWO}\n    max_attempts: 1\n    input: {{barge_in: none, type_ahead: flush}}"),
        &[(3_000, Press('2'))],
        "0.00 answer
        0.00 play greet.long
        3.00 key Dropped
        15.00 hang up quiet 16
        15.00 left main system_hangup",
    );
}

#[test]
fn attempts_count_silence_and_wrong_keys_together_and_the_last_failure_decides() {
    menu_story(
        &format!("{TWO}\n    max_attempts: 3"),
        &[(12_000, Press('7')), (16_000, Press('9'))],
        "0.00 answer
        0.00 play greet.long
        12.00 play sys.invalid menu.one.short
        16.00 play sys.invalid menu.one.short
        25.00 hang up quiet 16
        25.00 left main system_hangup",
    );
    menu_story(
        &format!("{TWO}\n    max_attempts: 2"),
        &[(17_000, Press('7'))],
        "0.00 answer
        0.00 play greet.long
        15.00 play sys.noinput menu.one.short
        17.00 key stops
        17.00 hang up wrong 16
        17.00 left main system_hangup",
    );
}

#[test]
fn a_wrong_key_empties_what_was_typed_ahead() {
    menu_story(
        &format!("{TWO}\n    max_attempts: 2\n    input: {{barge_in: none}}"),
        &[(3_000, Press('7')), (3_200, Press('1')), (15_000, Press('2'))],
        "0.00 answer
        0.00 play greet.long
        3.00 key Kept
        3.20 key Kept
        10.00 key Dropped
        10.00 play sys.invalid menu.one.short
        15.00 hang up b 16
        15.00 left main system_hangup",
    );
}

#[test]
fn the_repeat_key_costs_no_attempt_but_has_an_end() {
    let mut script: Vec<(u64, Do)> = (1..=5).map(|it| (it * 1_000, Press('*'))).collect();
    script.push((6_000, Press('*')));
    menu_story(
        &format!("{TWO}\n    max_attempts: 2"),
        &script,
        "0.00 answer
        0.00 play greet.long
        1.00 key stops
        1.00 play greet.long
        2.00 key stops
        2.00 play greet.long
        3.00 key stops
        3.00 play greet.long
        4.00 key stops
        4.00 play greet.long
        5.00 key stops
        5.00 play greet.long
        6.00 key stops
        6.00 play sys.invalid menu.one.short
        15.00 hang up quiet 16
        15.00 left main system_hangup",
    );
}

#[test]
fn the_operator_key_works_in_every_attempt() {
    menu_story(
        TWO,
        &[(12_000, Press('7')), (13_000, Press('0'))],
        "0.00 answer
        0.00 play greet.long
        12.00 play sys.invalid menu.one.short
        13.00 key stops
        13.00 hang up person 16
        13.00 left main system_hangup",
    );
}

#[test]
fn a_short_key_that_begins_a_longer_one_waits_for_the_next_digit() {
    let both = "options: {'1': {next: a}, '12': {next: b}}";
    menu_story(
        both,
        &[(1_000, Press('1'))],
        "0.00 answer
        0.00 play greet.long
        1.00 key stops
        4.00 hang up a 16
        4.00 left main system_hangup",
    );
    menu_story(
        both,
        &[(1_000, Press('1')), (3_900, Press('2'))],
        "0.00 answer
        0.00 play greet.long
        1.00 key stops
        3.90 hang up b 16
        3.90 left main system_hangup",
    );
}

#[test]
fn the_beginning_of_a_long_key_alone_is_wrong() {
    menu_story(
        "options: {'12': {next: b}, '3': {next: a}}\n    max_attempts: 1",
        &[(1_000, Press('1'))],
        "0.00 answer
        0.00 play greet.long
        1.00 key stops
        4.00 hang up wrong 16
        4.00 left main system_hangup",
    );
}

#[test]
fn an_option_whose_condition_fails_is_a_wrong_key() {
    menu_story(
        "options: {'1': {next: a, when: \"caller.city() == ''\"}, '2': {next: b}}\n    max_attempts: 1",
        &[(1_000, Press('1'))],
        "0.00 answer
        0.00 play greet.long
        1.00 key stops
        1.00 hang up wrong 16
        1.00 left main system_hangup",
    );
}

/// A greeting, two menus, and a number to type.
const CHAIN: &str = "
id: main
vars: {code: {type: string, default: '', export: true}}
start: hello
on_error: to_person
nodes:
  hello: {type: play, prompt: greet.long, barge_in: none, next: one}
  one: {type: menu, prompt: menu.one, options: {'1': {next: two}}, out: {noinput: bye, nomatch: bye}}
  two: {type: menu, prompt: menu.two, options: {'2': {next: typed}}, back_key: '9', out: {noinput: bye, nomatch: bye}}
  typed: {type: collect, prompt: ask, prompt_short: ask.short, var: code, min: 4, max: 6, out: {done: bye, noinput: bye, nomatch: bye}, max_attempts: 2}
  to_person: {type: hangup, reason: person}
  bye: {type: hangup, reason: bye}
";

#[test]
fn keys_typed_ahead_cross_two_menus_without_a_word_of_them() {
    check(
        &[CHAIN],
        &[(1_000, Press('1')), (1_200, Press('2'))],
        12_000,
        "0.00 answer
        0.00 play greet.long
        1.00 key Kept
        1.20 key Kept
        10.00 play ask",
    );
}

#[test]
fn the_seventeenth_key_typed_ahead_is_lost() {
    let script: Vec<(u64, Do)> = (0..17).map(|it| (1_000 + it * 100, Press('7'))).collect();
    let story = tell(&[CHAIN], |_| (), &script, 5_000);
    assert_eq!(story.log.matches("key Kept").count(), 16);
    assert_eq!(story.log.matches("key Overflow").count(), 1);
}

#[test]
fn the_back_key_leads_to_the_menu_before() {
    check(
        &[CHAIN],
        &[(11_000, Press('1')), (12_000, Press('9')), (13_000, Press('9'))],
        14_000,
        "0.00 answer
        0.00 play greet.long
        10.00 play menu.one
        11.00 key stops
        11.00 play menu.two
        12.00 key stops
        12.00 play menu.one
        13.00 key stops
        13.00 play sys.invalid menu.one",
    );
}

/// The number alone.
fn collect(more: &str) -> String {
    format!(
        "
id: main
vars: {{code: {{type: string, default: '', export: true}}}}
start: typed
on_error: bye
nodes:
  typed: {{type: collect, prompt: ask, prompt_short: ask.short, var: code, {more} max_attempts: 2, out: {{done: next, noinput: quiet, nomatch: wrong}}}}
  next: {{type: menu, prompt: menu.one, options: {{'#': {{next: bye}}}}, operator_key: null, out: {{noinput: bye, nomatch: bye}}}}
  quiet: {{type: hangup, reason: quiet}}
  wrong: {{type: hangup, reason: wrong}}
  bye: {{type: hangup, reason: bye}}
"
    )
}

#[test]
fn the_terminator_ends_a_number_and_is_no_part_of_it() {
    check(
        &[&collect("min: 2,")],
        &[(500, Press('4')), (700, Press('2')), (900, Press('#'))],
        1_000,
        "0.00 answer
        0.00 play ask
        0.50 key stops
        0.90 exported code 42
        0.90 play menu.one",
    );
}

#[test]
fn the_terminator_alone_is_a_wrong_number() {
    check(
        &[&collect("min: 1,")],
        &[(500, Press('#'))],
        1_000,
        "0.00 answer
        0.00 play ask
        0.50 key stops
        0.50 play sys.invalid ask.short",
    );
    let story = tell(&[&collect("min: 0,")], |_| (), &[(500, Press('#'))], 1_000);
    assert!(story.log.ends_with("0.50 exported code \n0.50 play menu.one\n"), "{}", story.log);
}

#[test]
fn from_the_first_digit_only_the_time_between_digits_counts() {
    // Sixteen digits, one every 2.9 s: 46 s of typing.
    let script: Vec<(u64, Do)> = (0..16).map(|it| (500 + it * 2_900, Press('5'))).collect();
    check(
        &[&collect("min: 4, max: 16,")],
        &script,
        44_001,
        "0.00 answer
        0.00 play ask
        0.50 key stops
        44.00 exported code 5555555555555555
        44.00 play menu.one",
    );
}

#[test]
fn a_pause_after_enough_digits_ends_the_number() {
    check(
        &[&collect("min: 2,")],
        &[(500, Press('4')), (700, Press('2'))],
        4_000,
        "0.00 answer
        0.00 play ask
        0.50 key stops
        3.70 exported code 42
        3.70 play menu.one",
    );
}

#[test]
fn a_pause_after_too_few_digits_is_a_wrong_number() {
    check(
        &[&collect("min: 4,")],
        &[(500, Press('4')), (700, Press('2'))],
        30_000,
        "0.00 answer
        0.00 play ask
        0.50 key stops
        3.70 play sys.invalid ask.short
        12.70 hang up quiet 16
        12.70 left main system_hangup",
    );
}

#[test]
fn a_terminator_after_a_full_number_does_not_answer_the_next_question() {
    check(
        &[&collect("min: 2, max: 2,")],
        &[(500, Press('4')), (700, Press('2')), (900, Press('#')), (3_000, Press('#'))],
        3_500,
        "0.00 answer
        0.00 play ask
        0.50 key stops
        0.70 exported code 42
        0.70 play menu.one
        0.90 key Dropped
        3.00 hang up bye 16
        3.00 left main system_hangup",
    );
}

#[test]
fn a_key_that_is_no_digit_interrupts_and_the_wait_begins_there() {
    check(
        &[&collect("accept: '[0-9]',")],
        &[(500, Press('*'))],
        6_000,
        "0.00 answer
        0.00 play ask
        0.50 key stops
        0.50 key Dropped
        5.50 play sys.noinput ask.short",
    );
}

#[test]
fn a_number_that_fails_its_rule_is_asked_again() {
    check(
        &[&collect("min: 8, max: 8, validate: date_yyyymmdd,")],
        &[
            (500, Press('2')),
            (600, Press('0')),
            (700, Press('2')),
            (800, Press('6')),
            (900, Press('1')),
            (1_000, Press('3')),
            (1_100, Press('0')),
            (1_200, Press('1')),
        ],
        2_000,
        "0.00 answer
        0.00 play ask
        0.50 key stops
        1.20 play sys.invalid ask.short",
    );
    check(
        &[&collect("min: 2, max: 2, validate: {expr: \"int(last.digits) > 50\"},")],
        &[(500, Press('4')), (700, Press('2')), (5_000, Press('6')), (5_100, Press('0'))],
        5_200,
        "0.00 answer
        0.00 play ask
        0.50 key stops
        0.70 play sys.invalid ask.short
        5.10 exported code 60
        5.10 play menu.one",
    );
}

#[test]
fn a_secret_number_is_told_to_nobody() {
    check(
        &[&collect("min: 2, max: 2, secret: true,")],
        &[(500, Press('4')), (700, Press('2'))],
        1_000,
        "0.00 answer
        0.00 play ask
        0.00 secret
        0.50 key stops
        0.70 play menu.one
        0.70 secret no more",
    );
}

#[test]
fn a_greeting_gives_way_to_a_key_and_the_key_goes_on() {
    let flow = CHAIN.replace("barge_in: none", "barge_in: dtmf");
    check(
        &[&flow],
        &[(3_000, Press('1'))],
        4_000,
        "0.00 answer
        0.00 play greet.long
        3.00 key stops
        3.00 key Kept
        3.00 play menu.two",
    );
    let flush = CHAIN.replace("barge_in: none", "barge_in: dtmf, type_ahead: flush");
    check(
        &[&flush],
        &[(3_000, Press('1'))],
        4_000,
        "0.00 answer
        0.00 play greet.long
        3.00 key stops
        3.00 key Dropped
        3.00 play menu.one",
    );
}

#[test]
fn half_a_number_typed_ahead_is_finished_without_the_question() {
    check(
        &[CHAIN],
        &[
            (1_000, Press('1')),
            (1_200, Press('2')),
            (1_400, Press('7')),
            (1_600, Press('8')),
            (11_000, Press('9')),
            (12_000, Press('9')),
            (12_200, Press('#')),
        ],
        13_000,
        "0.00 answer
        0.00 play greet.long
        1.00 key Kept
        1.20 key Kept
        1.40 key Kept
        1.60 key Kept
        12.20 exported code 7899
        12.20 hang up bye 16
        12.20 left main system_hangup",
    );
}

#[test]
fn a_caller_who_leaves_in_a_question_is_noticed_at_once() {
    menu_story(
        TWO,
        &[(3_000, HangUp)],
        "0.00 answer
        0.00 play greet.long
        3.00 left main caller_hangup",
    );
}
