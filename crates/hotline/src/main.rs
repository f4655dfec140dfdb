//! The program: arguments in, a role run, an exit status out.

#![forbid(unsafe_code)]

mod api;
mod demo;
mod letters;
mod roles;
mod running;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// 12345 热线语音引擎。
#[derive(Debug, Parser)]
#[command(name = "hotline", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 启动引擎，直到 Ctrl-C 或 SIGTERM
    Serve(ConfigFile),
    /// 检查配置与流程，并运行流程的测试；有错误时退出码为 1
    Check(ConfigFile),
    /// 看一看活的热线：机器人市民拨打 12345，机器人话务员接听，全部是真实的信令、语音和录音
    Demo {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        wanted: demo::Wanted,
    },
    /// 死信：放弃推送的话单和坐席状态
    DeadLetters {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        action: Letters,
    },
    /// 控制进程，由 serve 启动
    #[command(hide = true)]
    Control(ConfigFile),
    /// 语音进程，由 serve 启动
    #[command(hide = true)]
    Media(ConfigFile),
}

#[derive(Debug, Subcommand)]
enum Letters {
    /// 列出
    List,
    /// 放回发送队列
    Resend {
        /// list 显示的名称
        #[arg(required_unless_present = "all", value_name = "名称")]
        id: Option<String>,
        /// 全部
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

#[derive(Args, Clone, Debug)]
struct ConfigFile {
    /// 配置文件；不写则用内置配置，只在本机可用
    #[arg(long, global = true, value_name = "文件")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Serve(it) => roles::serve(it.config),
        Command::Check(it) => Ok(roles::check(it.config.as_deref())),
        Command::Demo { file, wanted } => roles::demo(file.config, wanted),
        Command::DeadLetters { file, action } => roles::letters(file.config.as_deref(), action),
        Command::Control(it) => roles::control(it.config.as_deref()),
        Command::Media(it) => roles::media(it.config.as_deref()),
    };
    outcome.unwrap_or_else(|error| {
        say::error(&error);
        ExitCode::FAILURE
    })
}

/// What is said to the person at the terminal. Who has closed it misses it; the engine goes on.
mod say {
    use std::{
        fmt::Display,
        io::{Write as _, stderr, stdout},
    };

    pub(crate) fn line(it: &impl Display) {
        drop(writeln!(stdout(), "{it}"));
    }

    /// Without a line's end; a screen is drawn with it.
    pub(crate) fn part(it: &impl Display) {
        drop(write!(stdout(), "{it}").and_then(|()| stdout().flush()));
    }

    pub(crate) fn error(it: &anyhow::Error) {
        drop(writeln!(stderr(), "hotline: {it:#}"));
    }

    pub(crate) fn complaint(it: &impl Display) {
        drop(writeln!(stderr(), "{it}"));
    }
}
