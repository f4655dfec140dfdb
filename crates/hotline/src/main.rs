//! The program: arguments in, a role run, an exit status out.

#![forbid(unsafe_code)]

mod api;
mod bans;
mod calls;
mod demo;
mod letters;
mod prompt;
mod recording;
mod roles;
mod running;
mod trunk;

use std::{path::PathBuf, process::ExitCode};

use clap::{
    Args, Parser, Subcommand,
    error::{ContextKind, ErrorKind},
};

/// A call of two legs makes hundreds of allocations, some of which another thread frees: control
/// takes a tenth less time by it than by glibc's malloc, and the memory of a busy day comes to rest
/// (`benches/README.md`). Without huge pages, which would give idle roles 2 MB for each small need.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// 一通呼叫的信令：看梯形图，导出抓包
    Call {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        action: Call,
    },
    /// 中继：用一份报文试规则和号码
    Trunk {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        action: Trunks,
    },
    /// 封禁：发来洪水、暂时不听的地址
    Bans {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        action: Bans,
    },
    /// 录音：核对文件是否完整、是否被改动，修复中断的
    Recording {
        #[command(subcommand)]
        action: Recordings,
    },
    /// 语音提示：检查录好的声音，转成可以播放的
    Prompt {
        #[command(subcommand)]
        action: Prompts,
    },
    /// 转换语音提示的进程，由 prompt 启动
    #[command(name = prompt::APART, hide = true)]
    PromptApart,
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

#[derive(Debug, Subcommand)]
enum Call {
    /// 画出信令梯形图：运营商、引擎、坐席话机，一行一条消息
    Ladder {
        /// 呼叫流水号，话单里就有
        #[arg(value_name = "流水号")]
        id: u64,
        /// 显示完整号码；不写则脱敏
        #[arg(long)]
        numbers: bool,
        /// 输出 JSON
        #[arg(long)]
        json: bool,
        /// 同时存入数据库，内存里没有了也能再看
        #[arg(long)]
        keep: bool,
    },
    /// 导出为抓包文件，可用 Wireshark 打开
    Pcap {
        /// 呼叫流水号，话单里就有
        #[arg(value_name = "流水号")]
        id: u64,
        /// 保留完整号码；不写则脱敏
        #[arg(long)]
        numbers: bool,
        /// 写到哪个文件
        #[arg(short, long, value_name = "文件")]
        output: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Trunks {
    /// 把报文当作从这条中继收到，打印收到、规则、理解和发出的内容；拒绝时退出码为 3
    Test {
        /// 中继的 id
        #[arg(value_name = "中继")]
        trunk: String,
        /// 一条 SIP 报文，原样或用编辑器存的都可以
        #[arg(value_name = "报文文件")]
        message: PathBuf,
        /// 把报文当作引擎要发给这条中继的
        #[arg(long)]
        out: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Recordings {
    /// 逐个核对：文件头、长度、随录信息里的摘要，以及随录信息的摘要链；有问题时退出码为 1
    Verify {
        /// 录音目录；有第二个卷时两个一起写，链跨两个卷
        #[arg(value_name = "目录", required = true)]
        dirs: Vec<PathBuf>,
        /// 修复因断电或进程被杀而中断的录音的文件头；正在录的不动
        #[arg(long)]
        mend: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Prompts {
    /// 检查一个 WAV 文件能否作语音提示，报告时长、响度和削波
    Check {
        /// PCM 或 G.711 的 WAV 文件，单声道或立体声，8 到 96 kHz
        #[arg(value_name = "文件")]
        file: PathBuf,
    },
    /// 检查并转成 8 kHz 单声道 A 律
    Convert {
        /// PCM 或 G.711 的 WAV 文件，单声道或立体声，8 到 96 kHz
        #[arg(value_name = "文件")]
        file: PathBuf,
        /// 写到哪里，如 prompts/zh-CN/greet.common.wav
        #[arg(value_name = "输出文件")]
        output: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Bans {
    /// 列出
    List,
    /// 解封
    Lift {
        /// list 显示的地址
        #[arg(value_name = "地址")]
        address: String,
    },
}

#[derive(Args, Clone, Debug)]
struct ConfigFile {
    /// 配置文件；不写则用内置配置，只在本机可用
    #[arg(long, global = true, value_name = "文件")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        if let Some(wrong) = wrong(&error) {
            say::complaint(&format!("hotline: {wrong}"));
        }
        error.exit()
    });
    let outcome = match arguments.command {
        Command::Serve(it) => roles::serve(it.config),
        Command::Check(it) => Ok(roles::check(it.config.as_deref())),
        Command::Demo { file, wanted } => roles::demo(file.config, wanted),
        Command::DeadLetters { file, action } => roles::letters(file.config.as_deref(), action),
        Command::Call { file, action } => roles::call(file.config.as_deref(), action),
        Command::Trunk { file, action } => trunk::run(file.config.as_deref(), action),
        Command::Recording { action } => recording::run(action),
        Command::Prompt { action } => prompt::run(action),
        Command::PromptApart => prompt::apart(),
        Command::Bans { file, action } => roles::bans(file.config.as_deref(), action),
        Command::Control(it) => roles::control(it.config.as_deref()),
        Command::Media(it) => roles::media(it.config.as_deref()),
    };
    outcome.unwrap_or_else(|error| {
        say::error(&error);
        ExitCode::FAILURE
    })
}

/// What is wrong with the arguments, to stand before the English of the parser. `None`: nothing is,
/// help or the version was asked for.
#[expect(clippy::wildcard_enum_match_arm, reason = "the parser may find more that is wrong")]
fn wrong(error: &clap::Error) -> Option<String> {
    let of = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let argument = of(ContextKind::InvalidArg);
    let wrong = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return None,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            format!("{argument} 不能是“{}”", of(ContextKind::InvalidValue))
        }
        ErrorKind::UnknownArgument => format!("没有参数 {argument}"),
        ErrorKind::InvalidSubcommand => {
            format!("没有命令 {}", of(ContextKind::InvalidSubcommand))
        }
        ErrorKind::MissingRequiredArgument => format!("还缺 {argument}"),
        ErrorKind::ArgumentConflict => {
            format!("{argument} 不能与 {} 一起用", of(ContextKind::PriorArg))
        }
        _ => "参数不对".to_owned(),
    };
    Some(wrong)
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
