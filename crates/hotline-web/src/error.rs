//! Every refusal of this interface: status, code, and a sentence in both languages.

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hotline_agent::{AgentView, Refused};
use serde::Serialize;

use crate::{
    ArchiveError, CommandError, ListError, PromptError,
    routes::list_refusal,
    wire::agent::{AgentJson, action_name, display_name},
};

#[derive(Debug)]
pub(crate) enum ApiError {
    Unauthorized,
    Forbidden,
    NotFound(&'static str),
    /// The field, and what is wrong with it.
    BadRequest {
        field: Option<&'static str>,
        why: String,
    },
    MethodNotAllowed,
    TooLarge,
    /// `bytes */len` (RFC 9110 §15.5.17).
    Range {
        len: u64,
    },
    Command(CommandError, Option<Box<AgentView>>),
    Archive(ArchiveError),
    List(ListError),
    Prompt(PromptError),
    /// A file the database knows cannot be read.
    Gone,
}

#[derive(Serialize)]
struct Body {
    error: ErrorJson,
}

/// `{"error": {…}}`: the only form of a refusal.
#[derive(Serialize)]
struct ErrorJson {
    code: &'static str,
    message: String,
    message_zh: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    /// The agent as it is, for a command that came too late or in a wrong state.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<AgentJson>,
}

impl ApiError {
    pub(crate) fn field(field: &'static str, why: impl Into<String>) -> Self {
        Self::BadRequest { field: Some(field), why: why.into() }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Gone => StatusCode::GONE,
            Self::BadRequest { .. } | Self::Archive(ArchiveError::BadCursor) => {
                StatusCode::BAD_REQUEST
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Range { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Command(CommandError::Refused(refused), _) => refused_status(refused),
            Self::List(error) => {
                StatusCode::from_u16(list_refusal(error).0).unwrap_or(StatusCode::CONFLICT)
            }
            Self::Prompt(error) => prompt_status(error),
            Self::Archive(ArchiveError::TooLong) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Command(CommandError::Busy | CommandError::Away, _)
            | Self::Archive(ArchiveError::Away) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Code, English, Chinese.
    fn words(&self) -> (&'static str, String, String) {
        let it =
            |code, english: &str, chinese: &str| (code, english.to_owned(), chinese.to_owned());
        match self {
            Self::Unauthorized => it(
                "unauthorized",
                "send a known token as `Authorization: Bearer <token>`",
                "令牌缺失或无效，请在 Authorization: Bearer 中携带有效令牌",
            ),
            Self::Forbidden => it(
                "forbidden",
                "this token may not do that; an agent's token is for that agent only",
                "该令牌无此权限；坐席令牌只能操作本坐席",
            ),
            Self::NotFound(what) => {
                ("not_found", format!("no such {what}"), format!("未找到：{what}"))
            }
            Self::Gone => it("gone", "the file is not there any more", "文件已不存在"),
            Self::BadRequest { why, .. } => {
                ("bad_request", why.clone(), format!("请求不正确：{why}"))
            }
            Self::MethodNotAllowed => {
                it("method_not_allowed", "this path has other methods", "该地址不支持此方法")
            }
            Self::TooLarge => it("too_large", "the body is over 16 KiB", "请求体超过 16 KiB"),
            Self::Range { len } => (
                "range_not_satisfiable",
                format!("the recording has {len} bytes"),
                format!("请求范围超出录音长度（{len} 字节）"),
            ),
            Self::Command(error, _) => command_words(error),
            Self::Archive(ArchiveError::Away) => it(
                "archive_away",
                "the database cannot be reached; calls go on, try again later",
                "数据库暂不可用，通话不受影响，请稍后重试",
            ),
            Self::Archive(ArchiveError::TooLong) => it(
                "search_too_long",
                "the search took too long and was stopped; narrow it, such as by `from` and `to`",
                "查询耗时过长，已中止，请缩小范围（例如限定 from 和 to）",
            ),
            Self::List(error) => {
                let (_, code, english, chinese, _) = list_refusal(error);
                it(code, english, chinese)
            }
            Self::Prompt(error) => prompt_words(error),
            Self::Archive(ArchiveError::BadCursor) => {
                it("bad_request", "`after` is not a cursor of ours", "after 不是有效的翻页游标")
            }
        }
    }
}

fn refused_status(refused: &Refused) -> StatusCode {
    match refused {
        Refused::UnknownAgent
        | Refused::UnknownFlow
        | Refused::UnknownEntry
        | Refused::UnknownCall => StatusCode::NOT_FOUND,
        Refused::UnknownReason(_) | Refused::NotANumber | Refused::NotOwnNumber => {
            StatusCode::BAD_REQUEST
        }
        Refused::NotPermitted | Refused::AbroadBlocked | Refused::NotSupervisor => {
            StatusCode::FORBIDDEN
        }
        Refused::TooManyCalls => StatusCode::TOO_MANY_REQUESTS,
        Refused::NoTrunk | Refused::Closed => StatusCode::SERVICE_UNAVAILABLE,
        Refused::WrongState { .. }
        | Refused::WrongLine { .. }
        | Refused::ExtensionTaken
        | Refused::NotRegistered
        | Refused::TargetAway
        | Refused::NoCall
        | Refused::WrongRecording
        | Refused::Late => StatusCode::CONFLICT,
    }
}

fn prompt_status(error: &PromptError) -> StatusCode {
    match error {
        PromptError::Name | PromptError::Bad(_) | PromptError::Cut => StatusCode::BAD_REQUEST,
        PromptError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        PromptError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        PromptError::Slow => StatusCode::REQUEST_TIMEOUT,
        PromptError::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        PromptError::NotStored => StatusCode::INSUFFICIENT_STORAGE,
    }
}

fn prompt_words(error: &PromptError) -> (&'static str, String, String) {
    let it = |code, english: &str, chinese: &str| (code, english.to_owned(), chinese.to_owned());
    match error {
        PromptError::Name => it(
            "bad_request",
            "a prompt's name has letters, digits, `.`, `-` and `_`, at most 64, and no `.wav`",
            "语音编号由字母、数字、点、横线和下划线组成，最多 64 个，不带 .wav",
        ),
        PromptError::Bad([chinese, english]) => it("not_a_prompt", english, chinese),
        PromptError::TooLarge => {
            it("too_large", "the sound file is over 64 MiB", "语音文件超过 64 MiB")
        }
        PromptError::Cut => {
            it("bad_request", "the body did not arrive whole", "语音文件没有传完整")
        }
        PromptError::Busy => it(
            "busy",
            "another sound is being converted, try again later",
            "正在转换另一个语音，请稍后重试",
        ),
        PromptError::Slow => it(
            "too_slow",
            "the sound did not arrive and was not converted in time",
            "语音文件没有在时限内传完并转换",
        ),
        PromptError::Failed => {
            it("not_converted", "the converter broke off; see the log", "转换中断，请看日志")
        }
        PromptError::NotStored => it(
            "not_stored",
            "the prompt cannot be written; the log says why",
            "语音写不进语音目录，原因见日志",
        ),
    }
}

fn command_words(error: &CommandError) -> (&'static str, String, String) {
    let english = error.to_string();
    match error {
        CommandError::Busy => ("busy", english, "指令过多，请稍后重试".to_owned()),
        CommandError::Away => ("away", english, "引擎正在启动或停止，请稍后重试".to_owned()),
        CommandError::Refused(refused) => match refused {
            Refused::WrongState { display, command } => (
                "wrong_state",
                english,
                format!("当前状态（{}）不能{}", display_name(*display).1, action_name(*command).1),
            ),
            Refused::WrongLine { display, .. } => (
                "wrong_state",
                english,
                format!("当前话机状态（{}）不能执行该操作", display_name(*display).1),
            ),
            Refused::UnknownAgent => ("not_found", english, "无此工号".to_owned()),
            Refused::ExtensionTaken => {
                ("extension_taken", english, "该分机已被其他坐席签入".to_owned())
            }
            Refused::NotRegistered => {
                ("not_registered", english, "该分机的话机未注册，请先注册话机".to_owned())
            }
            Refused::UnknownReason(_) => {
                ("unknown_reason", english, "示忙原因码只能为 1 或 200～250".to_owned())
            }
            Refused::Late => ("late", english, "操作过晚，对应的通话或状态已结束".to_owned()),
            Refused::NotANumber => ("not_a_number", english, "这不是可以拨打的号码".to_owned()),
            Refused::NotOwnNumber => {
                ("not_own_number", english, "外显号码不是任何中继的号码".to_owned())
            }
            Refused::NotPermitted => {
                ("not_permitted", english, "该坐席无权拨打此号码，请联系管理员".to_owned())
            }
            Refused::TooManyCalls => {
                ("too_many_calls", english, "该坐席一小时内外呼次数已满".to_owned())
            }
            Refused::AbroadBlocked => {
                ("abroad_blocked", english, "国际呼叫过于频繁，已暂停，请联系管理员".to_owned())
            }
            Refused::NoTrunk => ("no_trunk", english, "没有通往此号码的中继".to_owned()),
            Refused::Closed => ("closed", english, "引擎现在不接新的呼叫，请稍后重试".to_owned()),
            Refused::TargetAway => ("target_away", english, "对方不空闲或未签入".to_owned()),
            Refused::NotSupervisor => ("not_supervisor", english, "只有班长可以这样做".to_owned()),
            Refused::UnknownFlow => {
                ("unknown_flow", english, "没有这个可供挂起转的流程（kind: mid_call）".to_owned())
            }
            Refused::UnknownEntry => {
                ("unknown_entry", english, "一键转接名单里没有您可用的这一项".to_owned())
            }
            Refused::NoCall => ("no_call", english, "该坐席没有可监控的通话".to_owned()),
            Refused::UnknownCall => ("not_found", english, "没有这个进行中的通话".to_owned()),
            Refused::WrongRecording => {
                ("wrong_recording", english, "通话没有在录音，或已经在录音".to_owned())
            }
        },
    }
}

impl From<ListError> for ApiError {
    fn from(it: ListError) -> Self {
        if let ListError::Archive(error) = it { Self::Archive(error) } else { Self::List(it) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let (code, message, message_zh) = self.words();
        let mut headers = HeaderMap::new();
        let (field, agent) = match self {
            Self::BadRequest { field, .. } => (field, None),
            Self::Archive(ArchiveError::BadCursor) => (Some("after"), None),
            Self::List(error) => (list_refusal(&error).4, None),
            Self::Prompt(PromptError::Name) => (Some("name"), None),
            Self::Command(CommandError::Refused(Refused::UnknownReason(_)), view) => {
                (Some("reason"), view)
            }
            Self::Command(CommandError::Refused(Refused::NotANumber), view) => {
                (Some("number"), view)
            }
            Self::Command(CommandError::Refused(Refused::NotOwnNumber), view) => {
                (Some("display_no"), view)
            }
            Self::Command(CommandError::Refused(Refused::UnknownFlow), view) => {
                (Some("flow"), view)
            }
            Self::Command(CommandError::Refused(Refused::UnknownEntry), view) => {
                (Some("directory"), view)
            }
            Self::Command(_, view) => (None, view),
            Self::Range { len } => {
                let value = HeaderValue::from_str(&format!("bytes */{len}")).ok();
                headers.extend(value.map(|it| (header::CONTENT_RANGE, it)));
                (None, None)
            }
            Self::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                (None, None)
            }
            Self::Forbidden
            | Self::NotFound(_)
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::Prompt(_)
            | Self::Archive(ArchiveError::Away | ArchiveError::TooLong)
            | Self::Gone => (None, None),
        };
        let agent = agent.map(|it| AgentJson::from(&*it));
        let body = Body { error: ErrorJson { code, message, message_zh, field, agent } };
        (status, headers, Json(body)).into_response()
    }
}
