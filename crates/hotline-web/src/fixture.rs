//! A house for tests: two agents, one call, one recording.

use std::{
    collections::BTreeMap,
    future::ready,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use hotline_agent::{
    Agent, AgentConfig, AgentView, Command, LineEvent, Refused, SignInState, Target,
};
use hotline_base::{
    AgentNo, CallId, FlowId, GroupId, MonoTime, Now, Pii, RecordingId, TrunkId, WallTime,
};
use hotline_cdr::FlowReturn;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{io::AsyncReadExt as _, sync::watch};
use tower::ServiceExt;

use crate::{
    AccountView, Answer, App, Archive, ArchiveError, BanView, Bans, CallFilter, CallPage, CallView,
    CommandError, Desk, DirectoryView, Feeds, GatewayView, GroupView, Health, LadderForm,
    ListDraft, ListError, ListFilter, Lists, Metrics, Part, ProbesView, PromptError, PromptView,
    Prompts, RecordingFile, Role, Sight, Signalling, Token, Tokens, TrafficFilter, TrunkView,
    Upload, server::router,
};

pub(crate) const WALL: WallTime = WallTime(1_795_219_200_000);
const NOW: Now = Now { mono: MonoTime(0), wall: WALL };

pub(crate) fn agent(no: &str) -> Agent {
    Agent::new(AgentConfig {
        no: AgentNo::new(no),
        name: Pii::new("张三".to_owned()),
        extension: format!("8{no}").as_str().into(),
        groups: vec![(GroupId::new("general"), 1)],
        acw: Duration::ZERO,
        acw_manual: false,
        sign_in_state: SignInState::Busy,
        supervisor: false,
    })
}

pub(crate) fn call_view() -> CallView {
    CallView {
        outbound: false,
        call: CallId(7),
        caller_no: Some(Pii::new("13800138000".to_owned())),
        called_no: "077112345".to_owned(),
        group: Some(GroupId::new("general")),
        recording: Some(RecordingId::new("rec-7")),
        t_in: WALL,
        wait_ms: 4000,
        tags: vec!["vip".to_owned()],
        attached: vec![("id".to_owned(), "证件号".to_owned(), Pii::new("45".to_owned()))],
        last_flow: Some((FlowId::new("gx12345.identify"), FlowReturn::Done)),
    }
}

/// Two agents who obey at once.
pub(crate) struct Desks(Mutex<BTreeMap<AgentNo, Agent>>);

impl Desks {
    pub(crate) fn line(&self, no: &str, event: LineEvent) {
        let mut agents = self.0.lock().unwrap();
        agents.get_mut(no).unwrap().line_event(event, NOW).unwrap();
    }
}

impl Desk for Desks {
    fn command(
        &self,
        agent: AgentNo,
        command: Command,
    ) -> Answer<'_, Result<AgentView, CommandError>> {
        let mut agents = self.0.lock().unwrap();
        let answer = match agents.get_mut(&agent) {
            None => Err(CommandError::Refused(Refused::UnknownAgent)),
            Some(it) => match it.command(&command, NOW) {
                Ok(()) => Ok(it.view()),
                Err(refused) => Err(CommandError::Refused(refused)),
            },
        };
        Box::pin(ready(answer))
    }

    fn view(&self, agent: &AgentNo) -> Option<AgentView> {
        self.0.lock().unwrap().get(agent).map(Agent::view)
    }

    fn agents(&self) -> Vec<AgentView> {
        self.0.lock().unwrap().values().map(Agent::view).collect()
    }

    fn groups(&self) -> Vec<GroupView> {
        vec![GroupView {
            id: GroupId::new("general"),
            name: "综合".to_owned(),
            n_waiting: 2,
            oldest_since: Some(WALL),
            n_signed_in: 1,
            n_ready: 0,
        }]
    }

    fn directory(&self, _agent: &AgentNo, _now: WallTime) -> Vec<DirectoryView> {
        vec![DirectoryView {
            id: "police".to_owned(),
            name: "公安 110".to_owned(),
            category: "应急".to_owned(),
            to: Target::Number(Pii::new("110".to_owned())),
            cities: vec!["450100".to_owned()],
            hours: vec!["1-5 08:00-18:00".to_owned()],
            open: true,
        }]
    }

    fn trunks(&self) -> Vec<TrunkView> {
        vec![TrunkView {
            id: TrunkId::new("carrier"),
            n_in: 3,
            n_out: 1,
            channels_max: 30,
            gateways: vec![GatewayView {
                address: "10.8.0.4:5060".parse().unwrap(),
                transport: "tls",
                lives: true,
                probed: Some(ProbesView {
                    since: WALL,
                    n_good: 7,
                    n_failed: 1,
                    round_trip: Some(Duration::from_micros(1_500)),
                }),
            }],
            accounts: vec![AccountView {
                user: "+8677112345".to_owned(),
                registered: Some("10.8.0.4:5060".parse().unwrap()),
                status: 200,
            }],
        }]
    }
}

/// Remembers what it was asked.
pub(crate) struct Shelf {
    pub(crate) asked: Mutex<Vec<(CallFilter, Sight)>>,
    pub(crate) recording: PathBuf,
    pub(crate) is_away: bool,
}

impl Archive for Shelf {
    fn calls(
        &self,
        filter: CallFilter,
        sight: Sight,
    ) -> Answer<'_, Result<CallPage, ArchiveError>> {
        let answer = match filter.after.as_deref() {
            _ if self.is_away => Err(ArchiveError::Away),
            Some("bad") => Err(ArchiveError::BadCursor),
            Some("long") => Err(ArchiveError::TooLong),
            Some(_) | None => Ok(CallPage {
                items: vec!["{\"call_id\":\"2\"}".to_owned(), "{\"call_id\":\"1\"}".to_owned()],
                next: Some("5.1".to_owned()),
            }),
        };
        self.asked.lock().unwrap().push((filter, sight));
        Box::pin(ready(answer))
    }

    fn call(&self, call: CallId, _: Sight) -> Answer<'_, Result<Option<String>, ArchiveError>> {
        let found = (call == CallId(1)).then(|| "{\"call_id\":\"1\"}".to_owned());
        Box::pin(ready(Ok(found)))
    }

    fn recording(
        &self,
        recording: RecordingId,
    ) -> Answer<'_, Result<Option<RecordingFile>, ArchiveError>> {
        let found = (recording.as_str() == "rec-7").then(|| RecordingFile {
            path: self.recording.clone(),
            sha256: "abc".to_owned(),
            agents: vec![AgentNo::new("1001")],
        });
        Box::pin(ready(Ok(found)))
    }

    fn dead_letters(
        &self,
        _: usize,
        _: Option<String>,
    ) -> Answer<'_, Result<CallPage, ArchiveError>> {
        Box::pin(ready(Ok(CallPage { items: vec!["{\"id\":\"t:1\"}".to_owned()], next: None })))
    }

    fn resend(&self, id: String) -> Answer<'_, Result<bool, ArchiveError>> {
        Box::pin(ready(Ok(id == "t:1")))
    }
}

/// Has the ladder of call 1.
struct Wire;

impl Signalling for Wire {
    fn ladder(
        &self,
        call: CallId,
        form: LadderForm,
        masked: bool,
    ) -> Answer<'_, Result<Option<Vec<u8>>, ArchiveError>> {
        let text = format!("{form:?} masked {masked}");
        Box::pin(ready(Ok((call == CallId(1)).then(|| text.into_bytes()))))
    }

    fn keep_ladder(&self, call: CallId) -> Answer<'_, Result<bool, ArchiveError>> {
        Box::pin(ready(Ok(call == CallId(1))))
    }

    fn traffic(&self, filter: TrafficFilter) -> Answer<'_, Result<String, ArchiveError>> {
        let TrafficFilter { from, to, by_carrier } = filter;
        let text = format!("[{:?},{:?},{by_carrier}]", from.map(|it| it.0), to.map(|it| it.0));
        Box::pin(ready(Ok(text)))
    }
}

/// One entry, which is a draft of `system`.
impl Lists for Shelf {
    fn page(&self, filter: ListFilter, sight: Sight) -> Answer<'_, Result<CallPage, ArchiveError>> {
        let number = if sight == Sight::All { "13800138000" } else { "138****8000" };
        let item = format!("{{\"number\":\"{number}\"}}");
        let items = if filter.list.as_deref() == Some("vip") { Vec::new() } else { vec![item] };
        Box::pin(ready(Ok(CallPage { items, next: None })))
    }

    fn one(&self, id: u64, _: Sight) -> Answer<'_, Result<Option<String>, ArchiveError>> {
        Box::pin(ready(Ok((id == 1).then(|| "{\"id\":\"1\"}".to_owned()))))
    }

    fn audit(&self, id: u64) -> Answer<'_, Result<Vec<String>, ArchiveError>> {
        let steps = if id == 1 { vec!["{\"what\":\"drafted\"}".to_owned()] } else { Vec::new() };
        Box::pin(ready(Ok(steps)))
    }

    fn draft(
        &self,
        id: Option<u64>,
        draft: ListDraft,
        who: String,
    ) -> Answer<'_, Result<String, ListError>> {
        let answer = match (id, draft.reason.as_str()) {
            (Some(2..), _) => Err(ListError::Missing),
            (_, "") => Err(ListError::Invalid("reason", "say why", "请写明原因")),
            _ => Ok(format!("{{\"who\":{}}}", Value::from(who))),
        };
        Box::pin(ready(answer))
    }

    fn approve(&self, id: u64, who: String) -> Answer<'_, Result<String, ListError>> {
        let answer = match (id, who.as_str()) {
            (1, "system") => Err(ListError::SamePerson),
            (1, _) => Ok(format!("{{\"who\":{}}}", Value::from(who))),
            _ => Err(ListError::Missing),
        };
        Box::pin(ready(answer))
    }

    fn remove(&self, id: u64, _: String) -> Answer<'_, Result<(), ListError>> {
        Box::pin(ready(if id == 1 { Ok(()) } else { Err(ListError::Missing) }))
    }
}

struct Parts(bool);

impl Health for Parts {
    fn parts(&self) -> Vec<Part> {
        let advice = if self.0 { "" } else { "free some disk space" };
        vec![Part { name: "journal", is_well: self.0, advice: advice.to_owned() }]
    }
}

pub(crate) struct House {
    pub(crate) app: App,
    pub(crate) desk: Arc<Desks>,
    pub(crate) shelf: Arc<Shelf>,
    stop: watch::Sender<bool>,
}

/// Tokens are `system`, `operator`, `1001` and `1002`.
pub(crate) fn house() -> House {
    house_with(PathBuf::new(), true)
}

pub(crate) fn house_with(recording: PathBuf, is_well: bool) -> House {
    let agents = ["1001", "1002"].map(|no| (AgentNo::new(no), agent(no)));
    let desk = Arc::new(Desks(Mutex::new(agents.into())));
    let asked = Mutex::default();
    let shelf = Arc::new(Shelf { asked, recording, is_away: !is_well });
    let role = |it: &str| match it {
        "system" => Role::System,
        "operator" => Role::Operator,
        no => Role::Agent(AgentNo::new(no)),
    };
    let token = |it: &str| Token { name: it.to_owned(), secret: it.to_owned(), role: role(it) };
    let app = App {
        desk: Arc::<Desks>::clone(&desk),
        archive: Arc::<Shelf>::clone(&shelf),
        lists: Arc::<Shelf>::clone(&shelf),
        signalling: Arc::new(Wire),
        health: Arc::new(Parts(is_well)),
        bans: Arc::new(NoBans),
        prompts: Arc::new(Studio),
        feeds: Feeds::new(42),
        tokens: Arc::new(Tokens::new(["system", "operator", "1001", "1002"].map(token))),
        metrics: Metrics::default(),
        open_metrics: false,
        now: || WALL,
    };
    House { app, desk, shelf, stop: watch::channel(false).0 }
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }
}

impl House {
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let router = router(self.app.clone(), self.stop.subscribe());
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Reply {
        self.send(Method::GET, path, Some(token), &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &str) -> Reply {
        self.send(Method::POST, path, Some(token), &[], body).await
    }
}

/// Nobody is banned.
struct NoBans;

impl Bans for NoBans {
    fn bans(&self) -> Vec<BanView> {
        Vec::new()
    }

    fn lift(&self, _: IpAddr) -> bool {
        false
    }
}

/// Takes every sound but an empty one, whose length in milliseconds is that of its bytes.
struct Studio;

impl Prompts for Studio {
    fn put(
        &self,
        name: String,
        mut sound: Upload,
        _: bool,
    ) -> Answer<'_, Result<PromptView, PromptError>> {
        Box::pin(async move {
            let mut bytes = Vec::new();
            sound.bytes.read_to_end(&mut bytes).await.map_err(|_| PromptError::Cut)?;
            match (name.as_str(), bytes.len() as u64) {
                ("bad name", _) => Err(PromptError::Name),
                (_, 0) => Err(PromptError::Bad(["没有声音".to_owned(), "no sound".to_owned()])),
                (_, length_ms) => Ok(PromptView {
                    length_ms,
                    rate: 8_000,
                    channels: 1,
                    coding: "A-law".to_owned(),
                    peak_dbfs: -3.049,
                    loudness_dbfs: -19.06,
                    clipped: 0,
                    warnings: Vec::new(),
                }),
            }
        })
    }
}
