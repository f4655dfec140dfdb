//! 话务员: robots with a registered telephone who sign in by the API and take calls.

use std::time::Duration;

use anyhow::{Context, Result};
use hotline_testkit::{Call, Robot};
use tokio::time::{sleep, timeout};

use super::{Seat, Stage, callers::Dice, scene::Step};

const SOON: Duration = Duration::from_secs(10);

/// An agent waits for calls as long as the demonstration lasts.
const SHIFT: Duration = Duration::from_hours(2);

pub(super) struct Agent {
    stage: Stage,
    seat: Seat,
    robot: Robot,
}

impl Agent {
    /// Registers the telephone, signs in, is ready.
    pub(super) async fn report_for_duty(stage: Stage, seat: Seat) -> Result<Self> {
        let robot = Robot::bind(stage.ip).await.context("没有端口")?;
        robot
            .register(stage.running.sip, &seat.extension, &seat.password)
            .await
            .with_context(|| format!("分机 {} 不能注册", seat.extension))?;
        let it = Self { stage, seat, robot };
        // An agent left signed in by an earlier demonstration keeps the old telephone.
        drop(it.command("sign-out").await);
        it.command("sign-in").await?;
        // Refused when signing in has made the agent ready already.
        drop(it.command("ready").await);
        Ok(it)
    }

    async fn command(&self, what: &str) -> Result<()> {
        let path = format!("/api/v1/agents/{}/{what}", self.seat.no);
        self.stage.running.api.post(&path, "{}").await.map(drop)
    }

    /// Takes one call after the other.
    pub(super) async fn work(self) {
        let mut dice = Dice::new();
        while let Ok(call) = self.robot.incoming(SHIFT).await {
            let number = call.caller_shown().unwrap_or_default().to_owned();
            self.serve(&call, &number, &mut dice).await;
            sleep(Duration::from_millis(dice.between(1_500, 4_000))).await;
            // Refused when there is no after-call work to finish.
            drop(self.command("finish-acw").await);
        }
    }

    async fn serve(&self, call: &Call, number: &str, dice: &mut Dice) {
        let Stage { scene, voices, .. } = &self.stage;
        let agent = self.seat.no.clone();
        scene.cue(number, Step::Ringing { agent: agent.clone() });
        sleep(Duration::from_millis(dice.between(800, 3_000))).await;
        call.answer();
        if call.until_answered(SOON).await.is_err() || call.view().ended.is_some() {
            scene.cue(number, Step::Waiting);
            return;
        }
        scene.cue(number, Step::Talking { agent });
        let talk = async {
            // The caller hears the agent's number first.
            sleep(Duration::from_secs(4)).await;
            call.speak(voices.greeting());
            let mut closing = self.stage.closing.clone();
            tokio::select! {
                () = sleep(Duration::from_millis(dice.between(8_000, 14_000))) => (),
                _ = closing.wait_for(|it| *it) => (),
            }
            call.speak(voices.promise());
            drop(call.until_said(SOON).await);
            sleep(Duration::from_secs(1)).await;
            call.speak(voices.farewell());
            drop(call.until_said(SOON).await);
        };
        tokio::select! {
            () = talk => (),
            _ = call.until_ended(SHIFT) => return,
        }
        call.hang_up();
        drop(timeout(SOON, call.until_ended(SOON)).await);
        scene.cue(number, Step::AfterTalk);
    }
}
