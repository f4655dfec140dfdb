//! The control thread as the web sees it, and whether the parts are well.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use hotline_agent::{AgentView, Command};
use hotline_base::{AgentNo, WallTime};
use hotline_net::{Ban, Gate};
use hotline_switchboard::{Directory, DirectoryEntry};
use hotline_web::{
    Answer, BanView, Bans, CommandError, Desk, DirectoryView, GroupView, Health, Part, TrunkView,
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use super::{inbox::Asked, views::Views};

/// Asks the control thread; reads what it shows.
#[derive(Debug)]
pub(crate) struct ControlDesk {
    pub(crate) commands: mpsc::Sender<Asked>,
    pub(crate) views: Views,
    pub(crate) directory: Arc<Directory>,
}

impl Desk for ControlDesk {
    fn command(
        &self,
        agent: AgentNo,
        command: Command,
    ) -> Answer<'_, Result<AgentView, CommandError>> {
        Box::pin(async move {
            let (reply, replied) = oneshot::channel();
            self.commands.try_send(Asked::Agent { agent, command, reply }).map_err(
                |it| match it {
                    TrySendError::Full(_) => CommandError::Busy,
                    TrySendError::Closed(_) => CommandError::Away,
                },
            )?;
            let outcome = replied.await.map_err(|_| CommandError::Away)?;
            outcome.map_err(CommandError::Refused)
        })
    }

    fn view(&self, agent: &AgentNo) -> Option<AgentView> {
        self.views.agent(agent)
    }

    fn agents(&self) -> Vec<AgentView> {
        self.views.agents()
    }

    fn groups(&self) -> Vec<GroupView> {
        self.views.groups()
    }

    fn trunks(&self) -> Vec<TrunkView> {
        self.views.trunks()
    }

    fn directory(&self, agent: &AgentNo, now: WallTime) -> Vec<DirectoryView> {
        let view = |it: &DirectoryEntry| DirectoryView {
            id: it.id.clone(),
            name: it.name.clone(),
            category: it.category.clone(),
            to: it.to.clone(),
            cities: it.cities.clone(),
            hours: it.hours.iter().map(|it| it.1.clone()).collect(),
            open: it.is_open(now),
        };
        self.directory.of(agent).map(view).collect()
    }
}

/// What the control thread knows of the other parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wellness {
    pub(crate) media_up: Arc<AtomicBool>,
    /// Control refuses calls because records do not reach the disk.
    pub(crate) spool_down: Arc<AtomicBool>,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) database_up: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(crate) struct EngineHealth(pub(crate) Wellness);

impl Health for EngineHealth {
    fn parts(&self) -> Vec<Part> {
        let part = |name, is_well, advice: &str| Part {
            name,
            is_well,
            advice: if is_well { String::new() } else { advice.to_owned() },
        };
        vec![
            part(
                "control",
                !self.0.draining.load(Relaxed),
                "正在停机：不再接新的来电，通话结束后退出",
            ),
            part(
                "media",
                self.0.media_up.load(Relaxed),
                "语音进程不在：监管进程会自动重启它；若一直不恢复，请看日志",
            ),
            part(
                "spool",
                !self.0.spool_down.load(Relaxed),
                "话单写不进磁盘：请在数据目录所在磁盘腾出空间；在此之前不接新的来电",
            ),
            part(
                "database",
                self.0.database_up.load(Relaxed),
                "数据库尚未打开或打不开：话单先存于日志，恢复后自动补入；若一直不恢复，请看日志",
            ),
        ]
    }
}

/// The gate of the signalling sockets as the web sees it.
#[derive(Debug)]
pub(crate) struct GateBans(pub(crate) Arc<Gate>);

impl Bans for GateBans {
    fn bans(&self) -> Vec<BanView> {
        let all = self.0.bans(Instant::now()).into_iter();
        all.map(|Ban { address, left, n_dropped }| BanView { address, left, n_dropped }).collect()
    }

    fn lift(&self, address: IpAddr) -> bool {
        self.0.lift(address)
    }
}
