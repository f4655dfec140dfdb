//! 市民: robots who call, listen, wait, talk, and sometimes give up.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use hotline_testkit::{Call, Robot};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{Stage, scene::Step};

const SOON: Duration = Duration::from_secs(10);

/// Longer than any talk here.
const TALK_MAX: Duration = Duration::from_secs(90);

/// Calls again and again until the stage closes.
pub(super) async fn life(stage: Stage, index: u16, number: String) {
    let place = usize::from(index);
    let mut closing = stage.closing.clone();
    let mut dice = Dice::new();
    for n in 0_u32.. {
        let pause = Duration::from_millis(dice.between(300, 3_000) + u64::from(index) * 700);
        tokio::select! {
            _ = closing.wait_for(|it| *it) => return,
            () = sleep(pause) => (),
        }
        // 199 0000 xxxx is nobody's number.
        let from = format!("1990000{:04}", (u32::from(index) * 100 + n) % 10_000);
        let how = one_call(&stage, place, &number, &from, &mut dice).await;
        stage.scene.step(place, Step::Gone { how });
    }
}

/// Gives how the call ended.
async fn one_call(
    stage: &Stage,
    place: usize,
    number: &str,
    from: &str,
    dice: &mut Dice,
) -> &'static str {
    let mut cues = stage.scene.dial(place, from);
    let Ok(robot) = Robot::bind(stage.ip).await else { return "没有端口" };
    let Ok(call) = robot.call(stage.running.sip, number, from).await else { return "没有拨出" };
    if call.until_answered(SOON).await.is_err() {
        call.cancel();
        return "没有接通";
    }
    stage.scene.step(place, Step::InFlow);
    sleep(Duration::from_millis(dice.between(3_000, 8_000))).await;
    if dice.percent(8) {
        hang_up(&call).await;
        return "中途挂机";
    }
    call.press("0");
    stage.scene.step(place, Step::Waiting);
    let patience = Duration::from_millis(dice.between(20_000, 60_000));
    let gives_up = patience_ends(patience, cues.clone(), stage.closing.clone());
    tokio::select! {
        how = conversation(stage, place, &call, &mut cues, dice) => how,
        () = gives_up => {
            hang_up(&call).await;
            "放弃等候"
        }
        _ = call.until_ended(TALK_MAX * 2) => "通话结束",
    }
}

/// A robot that is dropped says nothing more: the good-bye has to be answered first.
async fn hang_up(call: &Call) {
    call.hang_up();
    drop(call.until_ended(SOON).await);
}

/// Resolves only while nobody talks with the caller.
async fn patience_ends(
    patience: Duration,
    mut cues: watch::Receiver<Step>,
    mut closing: watch::Receiver<bool>,
) {
    let served = async {
        // Without anybody to cue it the caller is served as little.
        drop(cues.wait_for(|it| matches!(it, Step::Talking { .. } | Step::AfterTalk)).await);
    };
    let gives_up = async {
        tokio::select! {
            () = sleep(patience) => (),
            _ = closing.wait_for(|it| *it) => (),
        }
    };
    tokio::select! {
        () = served => std::future::pending().await,
        () = gives_up => (),
    }
}

/// Waits for an agent, talks, and presses a key when asked.
async fn conversation(
    stage: &Stage,
    place: usize,
    call: &Call,
    cues: &mut watch::Receiver<Step>,
    dice: &mut Dice,
) -> &'static str {
    if cues.wait_for(|it| matches!(it, Step::Talking { .. })).await.is_err() {
        return "没有接通";
    }
    // The agent greets first.
    sleep(Duration::from_secs(7)).await;
    call.speak(stage.voices.question(place));
    let after = cues.wait_for(|it| matches!(it, Step::AfterTalk));
    if !matches!(timeout(TALK_MAX, after).await, Ok(Ok(_))) {
        hang_up(call).await;
        return "主动挂机";
    }
    sleep(Duration::from_millis(dice.between(1_500, 4_000))).await;
    call.press(if dice.percent(80) { "1" } else { "2" });
    if call.until_ended(SOON * 2).await.is_ok() {
        return "评价后结束";
    }
    hang_up(call).await;
    "主动挂机"
}

/// Chance, from the standard library's random state.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// A number in `low..=high`.
    pub(super) const fn between(&mut self, low: u64, high: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        low + (it ^ (it >> 31)) % (high - low + 1)
    }

    pub(super) const fn percent(&mut self, n: u64) -> bool {
        self.between(1, 100) <= n
    }
}
