//! `hotline demo`: robots call a real engine with real voices, and a person watches.

mod agents;
mod callers;
mod engine;
mod report;
mod scene;
mod screen;
mod voices;

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use hotline_config::Loaded;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use self::{engine::Engine, scene::Scene, screen::Screen, voices::Voices};
use crate::{running::Running, say};

/// How long calls that go on at the end may take to finish by themselves.
const LAST_CALLS: Duration = Duration::from_secs(20);

#[derive(Args, Clone, Debug)]
pub(crate) struct Wanted {
    /// 演示多少秒
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3_600))]
    seconds: u64,
    /// 同时有多少位市民来电
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=50))]
    callers: u16,
    /// 多少名话务员上班（不超过配置里的人数）
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    agents: u16,
    /// 拨打的号码
    #[arg(long, default_value = "12345")]
    number: String,
}

/// What every robot knows.
#[derive(Clone, Debug)]
struct Stage {
    running: Running,
    /// Where robots have their telephones.
    ip: IpAddr,
    voices: Arc<Voices>,
    scene: Scene,
    /// True when the time is up: no new call, and running ones come to their end.
    closing: watch::Receiver<bool>,
}

/// An agent's place: number, extension and the telephone's password.
#[derive(Clone, Debug)]
struct Seat {
    no: String,
    extension: String,
    password: String,
}

pub(crate) async fn run(config: Option<PathBuf>, loaded: &Loaded, wanted: Wanted) -> Result<()> {
    let engine = Engine::find_or_start(config.as_deref(), loaded).await?;
    let outcome = play(loaded, &engine.running, &wanted).await;
    engine.leave().await;
    outcome
}

async fn play(loaded: &Loaded, running: &Running, wanted: &Wanted) -> Result<()> {
    let (close, closing) = watch::channel(false);
    let stage = Stage {
        running: running.clone(),
        ip: reachable(running.sip.ip()),
        voices: Arc::new(Voices::open(loaded)?),
        scene: Scene::default(),
        closing,
    };
    let mut robots = JoinSet::new();
    let seats = seats(loaded, usize::from(wanted.agents));
    for seat in &seats {
        let agent = agents::Agent::report_for_duty(stage.clone(), seat.clone()).await;
        let agent = agent.with_context(|| format!("话务员 {} 不能上班", seat.no))?;
        robots.spawn(agent.work());
    }
    let mut callers = JoinSet::new();
    for index in 0..wanted.callers {
        callers.spawn(callers::life(stage.clone(), index, wanted.number.clone()));
    }
    let mut screen = Screen::begin(stage.clone(), wanted.seconds);
    let end = Instant::now() + Duration::from_secs(wanted.seconds);
    tokio::select! {
        () = sleep_until(end) => (),
        // Without a handler the signal would leave the terminal half drawn.
        _ = tokio::signal::ctrl_c() => (),
        () = screen.draw() => (),
    }
    close.send_replace(true);
    let all_gone = async { while callers.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout(LAST_CALLS, all_gone) => (),
        _ = tokio::signal::ctrl_c() => (),
        () = screen.draw() => (),
    }
    screen.end().await;
    robots.shutdown().await;
    for seat in &seats {
        let path = format!("/api/v1/agents/{}/sign-out", seat.no);
        if stage.running.api.post(&path, "{}").await.is_err() {
            say::complaint(&format!("话务员 {} 没有签出", seat.no));
        }
    }
    report::print(loaded, &stage, usize::from(wanted.callers)).await
}

/// The agents that have a telephone with a password.
fn seats(loaded: &Loaded, n_max: usize) -> Vec<Seat> {
    let accounts = &loaded.switchboard.sip.accounts;
    let all = loaded.switchboard.agents.iter().filter_map(|it| {
        Some(Seat {
            no: it.no.to_string(),
            extension: it.extension.to_string(),
            password: accounts.get(&it.extension)?.password()?.to_owned(),
        })
    });
    all.take(n_max).collect()
}

const fn reachable(ip: IpAddr) -> IpAddr {
    if ip.is_unspecified() { IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) } else { ip }
}
