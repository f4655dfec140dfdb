//! Reads a test file.

use std::{collections::BTreeMap, time::Duration};

use hotline_base::{FlowId, GroupId, Key, WallTime};

use crate::{
    EndedBy, Listed,
    check::{
        Fields, Spot, bool_of, duration_of, int_of, items_of, loose_text, parse_duration, text_of,
    },
    civil::Civil,
    raw::{At, RawFile, RawNode},
};

#[derive(Debug)]
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) cases: Vec<Case>,
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) at_line: u32,
    pub(super) number: String,
    pub(super) from: String,
    pub(super) at: WallTime,
    pub(super) mocks: Mocks,
    pub(super) steps: Vec<(At, Step)>,
    pub(super) expect: Expect,
}

/// What the rest of the engine answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Mocks {
    pub(super) queues: BTreeMap<String, QueueMock>,
    /// Queues that are not named.
    pub(super) usual: QueueMock,
    pub(super) city: String,
    pub(super) carrier: String,
    pub(super) repeat: u32,
    /// Lists the caller is on.
    pub(super) lists: BTreeMap<String, Listed>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct QueueMock {
    /// An agent takes the caller after this time.
    pub(super) wait: Option<Duration>,
    pub(super) agent: AgentMock,
    pub(super) no_agents: bool,
    pub(super) full: bool,
    pub(super) closed: bool,
    /// Callers in front.
    pub(super) ahead: usize,
}

impl Mocks {
    pub(super) fn queue(&self, group: &str) -> &QueueMock {
        self.queues.get(group).unwrap_or(&self.usual)
    }
}

#[derive(Clone, Debug)]
pub(super) struct AgentMock {
    pub(super) id: String,
    pub(super) talk: Duration,
    pub(super) ended_by: EndedBy,
}

impl Default for AgentMock {
    fn default() -> Self {
        Self { id: "1001".to_owned(), talk: Duration::from_secs(30), ended_by: EndedBy::Agent }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Heard { prompt: String, interrupted: bool },
    Press { keys: Vec<Key>, when: When, gap: Duration },
    Silence(Duration),
    Queued { group: Option<String>, priority: Option<i64> },
    Agent { id: String, talk: Option<Duration> },
    HangUp { after: Duration },
    Clock(WallTime),
    Ended { by: Option<String>, reason: Option<String> },
    Suspend { flow: FlowId },
    Recall,
    Returned { how: Option<String>, values: BTreeMap<String, String> },
}

#[derive(Clone, Debug)]
pub(super) enum When {
    /// A person's reaction after the moment reached.
    Soon,
    /// After the prompt heard last began.
    At(Duration),
    /// While this prompt plays.
    During(String),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Expect {
    pub(super) rating: WantedRating,
    pub(super) vars: BTreeMap<String, String>,
    pub(super) path: Vec<String>,
    pub(super) end_reason: Option<String>,
    pub(super) events: Vec<String>,
    pub(super) tags: Vec<String>,
    /// What flows did to the recording, in order; nothing is not looked at.
    pub(super) recording: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) enum WantedRating {
    #[default]
    Whatever,
    Nothing,
    This(Rating),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Rating {
    pub(super) value: Option<i64>,
    pub(super) satisfied: Option<bool>,
    pub(super) agent: Option<String>,
}

/// What is true when a file says nothing else.
pub(super) fn usual() -> Case {
    Case {
        name: String::new(),
        at_line: 0,
        number: String::new(),
        from: "13800138000".to_owned(),
        at: WallTime(1_773_109_800_000),
        mocks: Mocks::default(),
        steps: Vec::new(),
        expect: Expect::default(),
    }
}

pub(super) fn read(file: &RawFile, spot: &Spot<'_>) -> Option<Suite> {
    let mut fields = Fields::open(spot.clone(), &file.root)?;
    fields.skip("ivr");
    fields.text("title");
    let name = fields.required_text("suite")?;
    let mut base = usual();
    circumstances(&mut fields, &mut base);
    if let Some(mut defaults) = fields.map("defaults") {
        circumstances(&mut defaults, &mut base);
        defaults.finish();
    }
    let mut cases = Vec::new();
    for mut fields in fields.maps_in("cases") {
        let mut case = base.clone();
        case.at_line = fields.at.line;
        case.name = fields.required_text("name").unwrap_or_default();
        circumstances(&mut fields, &mut case);
        if case.number.is_empty() {
            fields.wrong("number", "E04", "没有被叫号码", "写 number: \"077112345\"");
        }
        let steps = fields.spot.under("steps");
        if let Some(list) = fields.take("steps") {
            for item in items_of(list) {
                case.steps.extend(step(item, &steps).map(|it| (item.at(), it)));
            }
        }
        if let Some(mut it) = fields.map("expect") {
            case.expect = expect(&mut it);
            it.finish();
        }
        fields.finish();
        cases.push(case);
    }
    fields.finish();
    Some(Suite { name, cases })
}

/// `number`, `from`, `at` and `mocks`.
fn circumstances(fields: &mut Fields<'_>, case: &mut Case) {
    if let Some(number) = fields.text("number") {
        case.number = number;
    }
    if let Some(from) = fields.text("from") {
        case.from = from;
    }
    if let Some(at) = moment(fields, "at") {
        case.at = at;
    }
    if let Some(mut mocks) = fields.map("mocks") {
        for name in mocks.keys() {
            mock(&mut mocks, &name, &mut case.mocks);
        }
        mocks.finish();
    }
}

fn moment(fields: &mut Fields<'_>, key: &str) -> Option<WallTime> {
    let text = fields.text(key)?;
    let civil = Civil::parse(&text);
    if civil.is_none() {
        fields.wrong(key, "E04", "不是时刻", "写作 \"2026-02-14T10:30:00+08:00\"");
    }
    civil.map(Civil::to_wall)
}

fn mock(fields: &mut Fields<'_>, name: &str, mocks: &mut Mocks) {
    match name.split_once(' ') {
        Some(("queue", group)) => {
            let Some(mut it) = fields.map(name) else { return };
            let mut queue = QueueMock {
                wait: it.duration("wait"),
                no_agents: it.bool("no_agents").unwrap_or(false),
                full: it.bool("full").unwrap_or(false),
                closed: it.bool("closed").unwrap_or(false),
                ahead: it.int("ahead", 0, 10_000).and_then(|it| it.try_into().ok()).unwrap_or(0),
                ..QueueMock::default()
            };
            if let Some(mut agent) = it.map("agent") {
                queue.agent = agent_mock(&mut agent);
                agent.finish();
            }
            it.finish();
            mocks.queues.insert(group.to_owned(), queue);
        }
        Some(("list", list)) => {
            let Some(mut it) = fields.map(name) else { return };
            let action = it.choice("action", &ACTIONS);
            let action = ACTIONS.into_iter().find(|known| Some(*known) == action);
            let listed = Listed {
                entry: 1,
                action: action.unwrap_or("reject"),
                priority: it.int("priority", 0, 9).and_then(|it| it.try_into().ok()),
                group: it.text("group").map(|it| GroupId::new(&it)),
            };
            it.finish();
            mocks.lists.insert(list.to_owned(), listed);
        }
        _ if name == "caller.city" => mocks.city = fields.text(name).unwrap_or_default(),
        _ if name == "caller.carrier" => mocks.carrier = fields.text(name).unwrap_or_default(),
        _ if name == "caller.repeat" => {
            let n = fields.int(name, 0, 10_000).and_then(|it| u32::try_from(it).ok());
            mocks.repeat = n.unwrap_or(0);
        }
        _ => {
            fields.skip(name);
            let advice =
                "可用：queue <组>、list <名单>、caller.city、caller.carrier、caller.repeat";
            fields.wrong(name, "E03", "未知的模拟对象", advice);
        }
    }
}

/// What an entry of a list may ask for.
const ACTIONS: [&str; 5] = ["reject", "announce", "low_priority", "voicemail", "prefer"];

fn agent_mock(fields: &mut Fields<'_>) -> AgentMock {
    let usual = AgentMock::default();
    let id = fields.take("id").and_then(|it| loose_text(it, &fields.spot.under("id")));
    AgentMock {
        id: id.unwrap_or(usual.id),
        talk: fields.duration("talk").unwrap_or(usual.talk),
        ended_by: match fields.choice("ended_by", &["agent", "system", "supervisor"]) {
            Some("system") => EndedBy::System,
            Some("supervisor") => EndedBy::Supervisor,
            _ => EndedBy::Agent,
        },
    }
}

const STEPS: &str =
    "可用：heard press silence queued agent hangup clock ended suspend recall returned";

fn step(node: &RawNode, spot: &Spot<'_>) -> Option<Step> {
    let RawNode::Map { entries, at } = node else {
        spot.complain(node.at(), "E04", "步骤应写作“名称: 参数”", STEPS);
        return None;
    };
    let [entry] = entries.as_slice() else {
        spot.complain(*at, "E04", "每个步骤只有一个名称", STEPS);
        return None;
    };
    let (value, spot) = (&entry.value, spot.under(&entry.key));
    match entry.key.as_str() {
        "heard" => heard(value, &spot),
        "press" => press(value, &spot),
        "silence" => duration_of(value, &spot).map(Step::Silence),
        "queued" => queued(value, &spot),
        "agent" => agent(value, &spot),
        "hangup" => hangup(value, &spot),
        "clock" => {
            let civil = Civil::parse(&text_of(value, &spot)?);
            if civil.is_none() {
                spot.complain(value.at(), "E04", "不是时刻", "写作 \"2026-02-14T10:30:00+08:00\"");
            }
            civil.map(|it| Step::Clock(it.to_wall()))
        }
        "ended" => {
            let mut fields = open(value, &spot)?;
            let (by, reason) = (fields.text("by"), fields.text("reason"));
            fields.finish();
            Some(Step::Ended { by, reason })
        }
        "suspend" => text_of(value, &spot).map(|it| Step::Suspend { flow: FlowId::new(&it) }),
        "recall" => open(value, &spot).map(|it| {
            it.finish();
            Step::Recall
        }),
        "returned" => {
            let mut fields = open(value, &spot)?;
            let how = fields.text("how");
            let values = texts_by_name(&mut fields, "values");
            fields.finish();
            Some(Step::Returned { how, values })
        }
        other => {
            spot.complain(entry.at, "E03", &format!("没有步骤“{other}”"), STEPS);
            None
        }
    }
}

/// The fields of a step; none when it is written without parameters.
fn open<'a>(value: &'a RawNode, spot: &Spot<'a>) -> Option<Fields<'a>> {
    if value.text() == Some("") {
        return Some(Fields::none(spot.clone(), value.at()));
    }
    Fields::open(spot.clone(), value)
}

fn heard(value: &RawNode, spot: &Spot<'_>) -> Option<Step> {
    if value.text().is_some() {
        return Some(Step::Heard { prompt: text_of(value, spot)?, interrupted: false });
    }
    let mut fields = open(value, spot)?;
    let prompt = fields.required_text("prompt");
    let interrupted = fields.text("interrupted_by").is_some();
    fields.finish();
    Some(Step::Heard { prompt: prompt?, interrupted })
}

fn press(value: &RawNode, spot: &Spot<'_>) -> Option<Step> {
    let usual = Duration::from_millis(200);
    if value.text().is_some() {
        let keys = keys(&text_of(value, spot)?, value.at(), spot)?;
        return Some(Step::Press { keys, when: When::Soon, gap: usual });
    }
    let mut fields = open(value, spot)?;
    let text = fields.required_text("keys");
    let when = match (fields.text("during"), fields.duration("at")) {
        (Some(prompt), _) => When::During(prompt),
        (None, Some(at)) => When::At(at),
        (None, None) => When::Soon,
    };
    let gap = fields.duration("gap").unwrap_or(usual);
    fields.finish();
    Some(Step::Press { keys: keys(&text?, value.at(), spot)?, when, gap })
}

fn keys(text: &str, at: At, spot: &Spot<'_>) -> Option<Vec<Key>> {
    let keys: Result<Vec<Key>, _> = text.chars().map(Key::try_from).collect();
    if keys.is_err() {
        spot.complain(at, "E04", "不是按键", "按键只能是 0-9 * # A-D");
    }
    keys.ok()
}

fn queued(value: &RawNode, spot: &Spot<'_>) -> Option<Step> {
    let mut fields = open(value, spot)?;
    let (group, priority) = (fields.text("group"), fields.int("priority", 0, 9));
    fields.finish();
    Some(Step::Queued { group, priority })
}

fn agent(value: &RawNode, spot: &Spot<'_>) -> Option<Step> {
    if value.text().is_some() {
        return Some(Step::Agent { id: loose_text(value, spot)?, talk: None });
    }
    let mut fields = open(value, spot)?;
    let id = fields.required("id").and_then(|it| loose_text(it, &spot.under("id")));
    let talk = fields.duration("talk");
    fields.finish();
    Some(Step::Agent { id: id?, talk })
}

fn hangup(value: &RawNode, spot: &Spot<'_>) -> Option<Step> {
    if let Some(after) = value.text().and_then(parse_duration) {
        return Some(Step::HangUp { after });
    }
    let mut fields = open(value, spot)?;
    let after = fields.duration("after").unwrap_or_default();
    fields.finish();
    Some(Step::HangUp { after })
}

/// A map of texts.
fn texts_by_name(fields: &mut Fields<'_>, key: &str) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    if let Some(mut it) = fields.map(key) {
        for name in it.keys() {
            let spot = it.spot.under(&name);
            let value = it.take(&name).and_then(|it| loose_text(it, &spot));
            texts.extend(value.map(|it| (name, it)));
        }
    }
    texts
}

fn expect(fields: &mut Fields<'_>) -> Expect {
    let rating = if fields.is_null("rating") {
        WantedRating::Nothing
    } else if let Some(mut it) = fields.map("rating") {
        let spot = it.spot.clone();
        let rating = Rating {
            value: it.take("value").and_then(|it| int_of(it, i64::MIN, i64::MAX, &spot)),
            satisfied: it.take("satisfied").and_then(|it| bool_of(it, &spot)),
            agent: it.take("agent").and_then(|it| loose_text(it, &spot)),
        };
        it.finish();
        WantedRating::This(rating)
    } else {
        WantedRating::Whatever
    };
    let vars = texts_by_name(fields, "vars");
    Expect {
        rating,
        vars,
        path: fields.texts("path"),
        end_reason: fields.text("end_reason"),
        events: fields.texts("events"),
        tags: fields.texts("tags"),
        recording: fields.texts("recording"),
    }
}
