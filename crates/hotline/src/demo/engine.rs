//! The engine of the demonstration: the one that runs, or one of its own.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use hotline_config::Loaded;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{Instant, interval, timeout},
};

use crate::{
    running::{self, Running},
    say,
};

/// Generous: the first start writes the bundled prompts.
const START_MAX: Duration = Duration::from_secs(30);

const STOP_MAX: Duration = Duration::from_secs(10);

pub(super) struct Engine {
    pub(super) running: Running,
    /// Ours, to be ended again.
    own: Option<Child>,
}

impl Engine {
    pub(super) async fn find_or_start(config: Option<&Path>, loaded: &Loaded) -> Result<Self> {
        if let Ok(running) = running::find(loaded)
            && running.api.get("/healthz").await.is_ok()
        {
            say::line(&"使用正在运行的引擎。");
            return Ok(Self { running, own: None });
        }
        let log = loaded.engine.data_dir.join("demo.log");
        std::fs::create_dir_all(&loaded.engine.data_dir).context("不能写数据目录")?;
        say::line(&format!("引擎没有运行，为演示启动一个（日志：{}）……", log.display()));
        let mut child = spawn(config, &log).context("引擎启动不了")?;
        let running = until_well(&mut child, loaded, &log).await?;
        Ok(Self { running, own: Some(child) })
    }

    /// Ends the engine if it was started here.
    pub(super) async fn leave(self) {
        let Some(mut child) = self.own else { return };
        let pid = child.id().and_then(|it| Pid::from_raw(it.cast_signed()));
        // The second time it does not wait for calls that go on.
        for _ in 0..2 {
            let told = pid.is_some_and(|it| kill_process(it, Signal::TERM).is_ok());
            if told && timeout(STOP_MAX, child.wait()).await.is_ok() {
                return;
            }
        }
        drop(child.kill().await);
    }
}

fn spawn(config: Option<&Path>, log: &PathBuf) -> io::Result<Child> {
    let log = File::create(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve");
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C ends the demonstration, which then ends the engine.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn until_well(child: &mut Child, loaded: &Loaded, log: &Path) -> Result<Running> {
    let end = Instant::now() + START_MAX;
    let mut tick = interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        if let Some(status) = child.try_wait()? {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let mut tail: Vec<_> = text.lines().rev().take(5).collect();
            tail.push("");
            tail.reverse();
            bail!("引擎启动不了（{status}）：{}", tail.join("\n    "));
        }
        if let Ok(running) = running::find(loaded)
            && running.api.get("/healthz").await.is_ok()
        {
            return Ok(running);
        }
        if Instant::now() > end {
            bail!("引擎没有及时启动，请看 {}", log.display());
        }
    }
}
