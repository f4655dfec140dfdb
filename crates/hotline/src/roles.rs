//! From a configuration to a running role.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use hotline_config::Loaded;
use hotline_engine::{
    Control, Listen, Receiver,
    supervisor::{self, CANNOT_START, RoleCommand, Setup},
    telemetry,
};

use crate::{Bans, Call, Letters, bans, calls, demo, letters, prompt, say};

/// `hotline serve`.
pub(crate) fn serve(config: Option<PathBuf>) -> Result<ExitCode> {
    let Some(loaded) = load(config.as_deref(), true) else { return Ok(ExitCode::FAILURE) };
    let _logging = telemetry::begin(&loaded.engine.telemetry, "supervisor");
    let n_prompts = loaded.prepare().with_context(|| {
        format!("不能写数据目录 {}（请检查权限和磁盘）", loaded.engine.data_dir.display())
    })?;
    if n_prompts > 0 {
        say::line(&format!("已写出内置语音 {n_prompts} 条，可用自己的录音替换。"));
    }
    let program = std::env::current_exe().context("找不到自己的程序文件")?;
    let role = |name: &str| {
        let mut args = vec![OsString::from(name)];
        if let Some(config) = &config {
            args.extend([OsString::from("--config"), config.clone().into_os_string()]);
        }
        RoleCommand { program: program.clone(), args }
    };
    let engine = loaded.engine;
    let setup = Setup {
        listen: engine.listen,
        data_dir: engine.data_dir,
        control: role("control"),
        media: role("media"),
        grace: engine.grace,
        announce,
    };
    supervisor::supervise(setup)?;
    Ok(ExitCode::SUCCESS)
}

/// The first thing a person wants to know.
fn announce(at: &Listen) {
    let all = |it: &[SocketAddr]| it.iter().map(ToString::to_string).collect::<Vec<_>>().join("、");
    say::line(&"引擎已就绪，可以呼叫了。按 Ctrl-C 停止。");
    say::line(&format!("  信令  UDP {}；TCP {}", all(&at.sip_udp), all(&at.sip_tcp)));
    if !at.sip_ws.is_empty() {
        say::line(&format!("  浏览器  ws://{}", all(&at.sip_ws)));
    }
    if let Some(http) = at.http {
        say::line(&format!("  接口  http://{http}（说明在 /openapi.json）"));
    }
}

/// `hotline check`.
pub(crate) fn check(config: Option<&Path>) -> ExitCode {
    let report = hotline_config::check(config);
    say::line(&report);
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `hotline control`, a child of `serve`.
pub(crate) fn control(config: Option<&Path>) -> Result<ExitCode> {
    let Some(loaded) = load(config, false) else { return Ok(ExitCode::from(CANNOT_START)) };
    let Loaded { engine, switchboard, media, http, push, ladders_for, .. } = loaded;
    let receivers = push.into_iter().map(|it| Receiver {
        target: it.target,
        records: it.records,
        agent_states: it.agent_states,
        recordings: it.recordings,
    });
    let setup = Control {
        config: engine,
        switchboard,
        recording_dirs: [media.recording_dir]
            .into_iter()
            .chain(media.recorder.second_dir)
            .collect(),
        prompt_dir: media
            .prompt_dirs
            .first()
            .map(|it| it.join(&media.lang))
            .context("没有语音目录")?,
        converter: prompt::apart_command(),
        tokens: http.tokens,
        open_metrics: http.open_metrics,
        receivers: receivers.collect(),
        ladders_for,
    };
    hotline_engine::control(setup)?;
    Ok(ExitCode::SUCCESS)
}

/// `hotline media`, a child of `serve`.
pub(crate) fn media(config: Option<&Path>) -> Result<ExitCode> {
    let Some(loaded) = load(config, false) else { return Ok(ExitCode::from(CANNOT_START)) };
    hotline_engine::media(&loaded.engine, loaded.media)?;
    Ok(ExitCode::SUCCESS)
}

/// `hotline demo`.
pub(crate) fn demo(config: Option<PathBuf>, wanted: demo::Wanted) -> Result<ExitCode> {
    let Some(loaded) = load(config.as_deref(), false) else { return Ok(ExitCode::FAILURE) };
    loaded.prepare().context("不能写数据目录")?;
    // Robots of a crowd keep both cores busy; the screen shall not starve.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(demo::run(config, &loaded, wanted))?;
    Ok(ExitCode::SUCCESS)
}

/// `hotline dead-letters`.
pub(crate) fn letters(config: Option<&Path>, action: Letters) -> Result<ExitCode> {
    let Some(loaded) = load(config, false) else { return Ok(ExitCode::FAILURE) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match action {
            Letters::List => letters::list(&loaded).await,
            Letters::Resend { id, .. } => letters::resend(&loaded, id.as_deref()).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// `hotline call`.
pub(crate) fn call(config: Option<&Path>, action: Call) -> Result<ExitCode> {
    let Some(loaded) = load(config, false) else { return Ok(ExitCode::FAILURE) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match action {
            Call::Ladder { id, numbers, json, keep } => {
                calls::ladder(&loaded, id, numbers, json, keep).await
            }
            Call::Pcap { id, numbers, output } => calls::pcap(&loaded, id, numbers, &output).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// `hotline bans`.
pub(crate) fn bans(config: Option<&Path>, action: Bans) -> Result<ExitCode> {
    let Some(loaded) = load(config, false) else { return Ok(ExitCode::FAILURE) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match action {
            Bans::List => bans::list(&loaded).await,
            Bans::Lift { address } => bans::lift(&loaded, &address).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Complaints go to the terminal; warnings only when `warn`, since every role reads the same.
pub(crate) fn load(config: Option<&Path>, warn: bool) -> Option<Loaded> {
    match hotline_config::load(config) {
        Ok(loaded) => {
            if warn {
                loaded.warnings.iter().for_each(say::complaint);
            }
            Some(loaded)
        }
        Err(complaints) => {
            complaints.iter().for_each(say::complaint);
            None
        }
    }
}
