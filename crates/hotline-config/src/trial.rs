//! What the engine makes of one message of a carrier (`hotline trunk test`).
//!
//! Nothing here imitates the engine: rules, understanding and answers come from the same functions
//! and the same switchboard that take calls, turned once with the message as its input.

mod answer;

use std::fmt::{self, Write as _};

use hotline_base::{CallId, Now, Pii, TrunkId, WallTime};
use hotline_media::MediaConfig;
use hotline_sip::{
    Admit, Endpoint, Event, Flow, HeaderRules, Invited, Message, Output, Transport, decode, visible,
};
use hotline_switchboard::CarrierRules;
use hotline_trunk::{
    Admission, CalledForms, CallerForms, NumberOf, NumberRule, Refusal, TrunkConfig, rewrite,
};

use crate::Loaded;

/// What came of a message; to be printed as it is.
#[derive(Debug)]
pub struct Trial {
    text: String,
    pub outcome: TrialOutcome,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TrialOutcome {
    /// Taken, or sent.
    Taken,
    /// The engine would say no.
    Refused,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Gives a message to the engine as if it came over the trunk.
///
/// # Errors
/// The trunk is not configured; the text says which are.
pub fn try_incoming(loaded: &Loaded, trunk: &str, file: &[u8]) -> Result<Trial, String> {
    let trunk = known(loaded, trunk)?;
    let mut report = Report::default();
    let bytes = as_sent(file);
    report.head("收到", "what comes in");
    report.message(&bytes);
    let message = match Message::parse(&bytes) {
        Ok(message) => message,
        Err(malformed) => {
            report.line(&format!("不是 SIP 报文 (not a SIP message): {}", malformed.why));
            report.head("发出", "what goes out");
            match malformed.reply {
                Some(reply) => report.message(&reply),
                None => report.line("没有应答 (nothing)"),
            }
            return Ok(report.end(TrialOutcome::Refused));
        }
    };
    let none = CarrierRules::default();
    let rules = loaded.switchboard.rules.get(&trunk.id).map_or(&none, |it| it);
    report.head("执行的规则", "rules that fired");
    let message = report.repaired(&rules.headers_in, "收", message);
    let flow = flow(loaded, trunk);
    if let Some(invited) = invited(loaded, flow, &message) {
        report.number_rules(&rules.numbers_in, &invited);
        report.understood(loaded, rules, flow, &message, invited);
    } else {
        report.head("引擎的理解", "what the engine understands");
        report.line("不是可以接的新来电 (no new call)");
    }
    report.head("发出", "what goes out");
    let answers = answer::answers(loaded, &trunk.id, flow, message, now());
    for bytes in &answers.sent {
        report.adapted(&rules.headers_out, bytes);
    }
    if answers.sent.is_empty() {
        report.line("没有应答 (nothing)");
    }
    Ok(report.end(answers.outcome()))
}

/// Gives a message to the carrier's rules as if the engine sent it.
///
/// # Errors
/// As [`try_incoming`].
pub fn try_outgoing(loaded: &Loaded, trunk: &str, file: &[u8]) -> Result<Trial, String> {
    let trunk = known(loaded, trunk)?;
    let mut report = Report::default();
    let bytes = as_sent(file);
    report.head("引擎要发的", "what the engine is about to send");
    report.message(&bytes);
    if let Err(malformed) = Message::parse(&bytes) {
        report.line(&format!("不是 SIP 报文 (not a SIP message): {}", malformed.why));
        return Ok(report.end(TrialOutcome::Refused));
    }
    report.head("发出", "what goes out");
    let none = HeaderRules::default();
    let rules = loaded.switchboard.rules.get(&trunk.id).map_or(&none, |it| &it.headers_out);
    report.adapted(rules, &bytes);
    Ok(report.end(TrialOutcome::Taken))
}

fn known<'a>(loaded: &'a Loaded, trunk: &str) -> Result<&'a TrunkConfig, String> {
    let trunks = &loaded.switchboard.trunks;
    trunks.iter().find(|it| it.id.as_str() == trunk).ok_or_else(|| {
        let names: Vec<_> = trunks.iter().map(|it| it.id.as_str()).collect();
        format!("没有中继 {trunk}；已配置的有：{} (no such trunk)", names.join("、"))
    })
}

/// A file that an editor has saved with bare line breaks gets those of the wire, in its headers
/// and its body alike.
fn as_sent(file: &[u8]) -> Vec<u8> {
    if file.windows(2).any(|it| it == b"\r\n") {
        return file.to_vec();
    }
    let mut bytes = Vec::with_capacity(file.len() + 64);
    for it in file {
        if *it == b'\n' {
            bytes.push(b'\r');
        }
        bytes.push(*it);
    }
    bytes
}

/// The path the message would have come by.
fn flow(loaded: &Loaded, trunk: &TrunkConfig) -> Flow {
    let any = || std::net::SocketAddr::from(([0, 0, 0, 0], 5060));
    let listen = &loaded.engine.listen;
    let local = listen.sip_udp.first().or(listen.sip_tcp.first()).copied();
    Flow {
        transport: Transport::Udp,
        local: local.unwrap_or_else(any),
        remote: trunk.sources.first().map_or_else(any, hotline_trunk::Source::example),
        conn: None,
    }
}

/// What the endpoint tells of an INVITE that begins a call.
fn invited(loaded: &Loaded, flow: Flow, message: &Message) -> Option<Invited> {
    let mut endpoint = Endpoint::new(loaded.switchboard.sip.clone(), 1, 1);
    endpoint.handle_message(flow, message.clone(), Admit::Trusted, now());
    std::iter::from_fn(|| endpoint.poll_output()).find_map(|it| match it {
        Output::Event(Event::Invited(it)) => Some(*it),
        Output::Event(_) | Output::Transmit { .. } => None,
    })
}

/// A trial happens at a fixed time: its answers are the same each time.
const fn now() -> Now {
    Now { mono: hotline_base::MonoTime(1_000_000_000), wall: WallTime(1_795_219_200_000) }
}

#[derive(Default)]
struct Report(String);

/// Headers that say who calls, and why a call came another way.
const IDENTITY: [&str; 9] = [
    "From",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "Privacy",
    "Diversion",
    "History-Info",
    "Reason",
    "P-Charging-Vector",
];

impl Report {
    fn head(&mut self, chinese: &str, english: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        writeln!(self.0, "{gap}== {chinese} ({english})").unwrap_or_default();
    }

    /// Whatever a peer wrote, it steers no terminal.
    fn line(&mut self, text: &str) {
        writeln!(self.0, "  {}", visible(text.to_owned())).unwrap_or_default();
    }

    fn message(&mut self, bytes: &[u8]) {
        for line in bytes.split(|it| *it == b'\n') {
            let line = decode(line);
            self.line(line.trim_end_matches('\r'));
        }
    }

    fn end(self, outcome: TrialOutcome) -> Trial {
        Trial { text: self.0, outcome }
    }

    /// The message after the rules, with what they did.
    fn repaired(&mut self, rules: &HeaderRules, way: &str, message: Message) -> Message {
        let repair = rules.apply(&message);
        for place in &repair.fired {
            let name = rules.rules().get(*place).map_or("", |it| it.name.as_str());
            self.line(&format!("头域规则 (header rule) {way} {}: {name}", place + 1));
        }
        if repair.fired.is_empty() {
            self.line(&format!("没有头域规则执行 (no header rule fired), {way}"));
        }
        if repair.is_spoiled {
            self.line("规则改坏了报文，仍用原样 (the rules spoiled the message; used as it was)");
        }
        let Some(changed) = repair.message else { return message };
        self.line("改为 (becomes):");
        for line in changed.bytes().split(|it| *it == b'\n') {
            let is_new = !message.bytes().split(|it| *it == b'\n').any(|it| it == line);
            if is_new {
                self.line(&format!("  {}", decode(line).trim_end_matches('\r')));
            }
        }
        changed
    }

    /// Bytes for the wire after the rules, with what they did.
    fn adapted(&mut self, rules: &HeaderRules, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return self.message(bytes) };
        let message = self.repaired(rules, "发", message);
        self.message(message.bytes());
    }

    fn number_rules(&mut self, rules: &[NumberRule], it: &Invited) {
        let numbers = [
            (NumberOf::Caller, "主叫 From", Some(it.from_user.reveal())),
            (NumberOf::Caller, "主叫 P-Asserted-Identity", it.asserted.as_ref().map(Pii::reveal)),
            (NumberOf::Called, "被叫", Some(&it.request_user)),
        ];
        for (of, what, number) in numbers {
            let Some(number) = number else { continue };
            let (becomes, fired) = rewrite(rules, of, number);
            for place in fired {
                let name = rules.get(place).map_or("", |it| it.name.as_str());
                self.line(&format!("号码规则 (number rule) {}: {name}", place + 1));
                self.line(&format!("  {what}: {number} → {becomes}"));
            }
        }
    }

    fn understood(
        &mut self,
        loaded: &Loaded,
        rules: &CarrierRules,
        flow: Flow,
        message: &Message,
        it: Invited,
    ) {
        self.head("引擎的理解", "what the engine understands");
        let number = |of, it: &str| rewrite(&rules.numbers_in, of, it).0;
        let from = number(NumberOf::Caller, it.from_user.reveal());
        let asserted = it.asserted.as_ref().map(|it| number(NumberOf::Caller, it.reveal()));
        let forms = CallerForms {
            asserted: asserted.as_deref(),
            from: &from,
            anonymous: it.anonymous_from,
            privacy_id: it.privacy_id,
        };
        let board = &loaded.switchboard;
        let mut admission = Admission::new(board.trunks.clone(), board.numbers.clone());
        let (request, party) = (it.request_user.as_str(), it.called_party.as_deref());
        let called = CalledForms { request, party, to: &it.to_user };
        let found = admission.recognise(flow.remote, &called);
        let trunk = found.as_ref().map(|it| it.0.clone());
        let called = found.map_or_else(|| it.request_user.clone(), |it| it.1);
        let called = number(NumberOf::Called, &called);
        let id = trunk.clone().unwrap_or(TrunkId::new("-"));
        self.line(&format!("中继 (trunk): {id}，来自 (from) {}", flow.remote));
        let (who, norm) = admission.parties(&id, &called, &forms);
        let shown = who.number.map_or_else(|| "匿名".to_owned(), |it| it.reveal().clone());
        let hides = if who.restricted { "是 (yes)" } else { "否 (no)" };
        self.line(&format!("主叫 (caller): {shown}；要求隐藏 (hidden): {hides}"));
        let norm = norm.map_or(called.clone(), |it| it.norm);
        let goes = match admission.admit(CallId(1), trunk.as_ref(), &called, &forms, now().mono) {
            Ok(found) => format!(" → 流程 (flow) {}", found.flow),
            Err(refusal) => format!("；{}", refused(refusal)),
        };
        self.line(&format!("被叫 (called): {norm}{goes}"));
        for name in IDENTITY {
            for value in message.headers(name) {
                self.line(&format!("{name}: {}", decode(value)));
            }
        }
        self.audio(&loaded.media, it.sdp.as_deref());
    }

    fn audio(&mut self, media: &MediaConfig, offer: Option<&str>) {
        let Some(offer) = offer else {
            return self
                .line("语音 (audio): 没有 SDP，由引擎提出 (no offer; the engine makes one)");
        };
        let is_audio = |it: &&str| it.starts_with("m=") || it.starts_with("a=rtpmap:");
        for line in offer.lines().filter(is_audio) {
            self.line(&format!("语音 (audio): {line}"));
        }
        let chosen = match hotline_sdp::answer(offer, &answer::local(media)) {
            Ok((_, it)) => {
                let events = it.telephone_event.map_or("-".to_owned(), |it| it.to_string());
                format!(
                    "选用 (chosen): {:?} {}，按键 (telephone-event) {events}，{} ms，{}",
                    it.codec, it.payload_type, it.ptime_ms, it.address
                )
            }
            Err(why) => format!("不能通话 (no common ground): {why:?}"),
        };
        self.line(&chosen);
    }
}

const fn refused(it: Refusal) -> &'static str {
    match it {
        Refusal::UnknownSource => "来源不是中继 (no trunk sends from there)",
        Refusal::UnknownNumber => "号码表里没有这个被叫 (no row for this called number)",
        Refusal::OverLimit => "通道已满 (no channel is free)",
        Refusal::TooFast => "来话太快 (too many calls a second)",
    }
}
