//! The loop on tokio's paused time.

use std::{collections::VecDeque, time::Duration};

use hotline_base::{Due, Machine, MonoTime, Now};
use tokio::{sync::mpsc, time::Instant};

use super::{Rim, Turn, run};
use crate::Clock;

/// Counts what it is told; `9` makes it panic, `0` makes it done.
#[derive(Default)]
struct Counter {
    due: Option<MonoTime>,
    /// A machine that wants to be woken at once, again and again.
    restless: bool,
    done: bool,
    said: VecDeque<String>,
}

impl Machine for Counter {
    type Input = u8;
    type Output = String;

    fn handle(&mut self, input: u8, _: Now) {
        assert_ne!(input, 9, "told to");
        self.done = input == 0;
        self.said.push_back(format!("input {input}"));
    }

    fn handle_timeout(&mut self, now: Now) {
        if !self.restless {
            self.due = None;
        }
        let secs = now.mono.since(MonoTime(0)).as_secs();
        self.said.push_back(format!("timeout {secs}"));
    }

    fn poll_timeout(&self) -> Option<Due> {
        self.due.map(|it| (it, "test"))
    }

    fn poll_output(&mut self) -> Option<String> {
        self.said.pop_front()
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

struct Heard {
    /// There already.
    waiting: VecDeque<u8>,
    inputs: mpsc::Receiver<u8>,
    said: Vec<String>,
}

impl Rim<Counter> for Heard {
    async fn next(&mut self) -> Option<u8> {
        match self.waiting.pop_front() {
            Some(it) => Some(it),
            None => self.inputs.recv().await,
        }
    }

    fn try_next(&mut self) -> Option<u8> {
        self.waiting.pop_front()
    }

    fn name(_: &u8) -> &'static str {
        "number"
    }

    fn act(&mut self, output: String) {
        self.said.push(output);
    }

    fn wake_at(&self) -> Option<Instant> {
        None
    }

    fn end_turn(&mut self, _: &Counter, _: Turn) {}

    fn recover(machine: &mut Counter, _: Now) {
        machine.said.push_back("recovered".to_owned());
    }
}

fn heard() -> (mpsc::Sender<u8>, Heard) {
    let (tell, inputs) = mpsc::channel(8);
    (tell, Heard { waiting: VecDeque::new(), inputs, said: Vec::new() })
}

#[tokio::test(start_paused = true)]
async fn an_hour_passes_and_its_timer_fires() {
    let (tell, mut rim) = heard();
    let mut machine = Counter { due: Some(MonoTime(3_600_000_000_000)), ..Counter::default() };
    let began = Instant::now();
    let teller = async {
        tokio::time::sleep(Duration::from_hours(2)).await;
        tell.send(0).await.unwrap();
    };
    tokio::join!(run(&mut machine, &mut rim, Clock::at_boot(), vec![1]), teller);
    assert_eq!(rim.said, ["input 1", "timeout 3600", "input 0"]);
    assert!(began.elapsed() >= Duration::from_hours(2));
}

#[tokio::test(start_paused = true)]
async fn a_panicking_step_does_not_end_the_others() {
    let (tell, mut rim) = heard();
    for it in [9, 2, 0] {
        tell.send(it).await.unwrap();
    }
    run(&mut Counter::default(), &mut rim, Clock::at_boot(), vec![]).await;
    assert_eq!(rim.said, ["recovered", "input 2", "input 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_restless_timer_lets_inputs_through() {
    let (tell, mut rim) = heard();
    tell.send(1).await.unwrap();
    tell.send(0).await.unwrap();
    let mut machine = Counter { due: Some(MonoTime(0)), restless: true, ..Counter::default() };
    run(&mut machine, &mut rim, Clock::at_boot(), vec![]).await;
    assert_eq!(rim.said, ["timeout 0", "input 1", "timeout 0", "input 0"]);
}

#[tokio::test(start_paused = true)]
async fn the_loop_ends_when_nobody_can_send() {
    let (tell, mut rim) = heard();
    drop(tell);
    run(&mut Counter::default(), &mut rim, Clock::at_boot(), vec![3]).await;
    assert_eq!(rim.said, ["input 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_inputs_is_taken_in_order_and_lets_a_timer_through() {
    let (_tell, mut rim) = heard();
    rim.waiting = (0..100).map(|it| u8::from(it < 99)).collect();
    let mut machine = Counter { due: Some(MonoTime(0)), ..Counter::default() };
    run(&mut machine, &mut rim, Clock::at_boot(), vec![]).await;
    let timer = rim.said.iter().position(|it| it.starts_with("timeout"));
    assert!(timer.is_some_and(|it| it < 99), "{timer:?}");
    assert_eq!((rim.said.len(), rim.said.last().map(String::as_str)), (101, Some("input 0")));
}
