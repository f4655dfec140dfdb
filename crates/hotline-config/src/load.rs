//! The whole configuration, from its file to the parts' own values.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hotline_acd::GroupConfig;
use hotline_agent::AgentConfig;
use hotline_base::{Extension, TrunkId, WallTime};
use hotline_ivr::{Bundle, Severity};
use hotline_media::MediaConfig;
use hotline_sip::Credentials;
use hotline_switchboard::{Directory, Outbound, Regions, Srtp};
use hotline_trunk::{AccountId, NumberRow, TrunkConfig, watch::Thresholds};

use crate::{
    Complaint, Http, PushTarget, embedded,
    flows::{Flows, Place},
    part,
    section::{Document, Section, Tables},
};

/// Everything the roles of the engine are told.
#[derive(Debug)]
pub struct Loaded {
    pub engine: hotline_engine::Config,
    pub switchboard: hotline_switchboard::Config,
    pub media: MediaConfig,
    pub http: Http,
    pub push: Vec<PushTarget>,
    /// How long stored ladders are kept.
    pub ladders_for: Duration,
    /// What does not keep the engine from starting but wants a look.
    pub warnings: Vec<Complaint>,
}

/// Reads a configuration, or the built-in one, and the flows it names.
///
/// # Errors
/// Every complaint of all files, warnings among them, when at least one is an error.
pub fn load(path: Option<&Path>) -> Result<Loaded, Vec<Complaint>> {
    let (text, file, folder) = source(path).map_err(|it| vec![*it])?;
    load_text(&file, &folder, &text)
}

/// Like [`load`] for a text that is at hand. `file` names it in complaints; files that it names
/// start at `folder`.
pub fn load_text(file: &str, folder: &Path, text: &str) -> Result<Loaded, Vec<Complaint>> {
    let (loaded, _, complaints) = read(file, folder, text);
    if complaints.iter().any(Complaint::is_error) {
        return Err(complaints);
    }
    Ok(Loaded { warnings: complaints, ..loaded })
}

impl Loaded {
    /// Makes the folders and writes the bundled prompts that are not there yet; a person's own
    /// file is never written over. Says how many were written.
    pub fn prepare(&self) -> io::Result<usize> {
        fs::create_dir_all(&self.engine.data_dir)?;
        fs::create_dir_all(&self.media.recording_dir)?;
        if let Some(second) = &self.media.recorder.second_dir {
            fs::create_dir_all(second)?;
        }
        embedded::unpack_sounds(&sounds_of(&self.engine.data_dir.join("prompts")))
    }
}

/// Text, name and folder of the configuration.
pub(crate) fn source(path: Option<&Path>) -> Result<(String, String, PathBuf), Box<Complaint>> {
    let Some(path) = path else {
        return Ok((embedded::CONFIG.into(), "（内置）hotline.toml".into(), PathBuf::from("")));
    };
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| Complaint {
        file: file.clone(),
        line: 0,
        key: String::new(),
        text: format!("不能读取：{error}"),
        advice: "检查 --config 后的路径；不写则用内置配置".into(),
        severity: Severity::Error,
    });
    let folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    Ok((text?, file, folder))
}

/// Reads as much as can be understood.
pub(crate) fn read(file: &str, folder: &Path, text: &str) -> (Loaded, Flows, Vec<Complaint>) {
    let document = Document::new(file.to_owned(), folder.to_owned(), text);
    let tables = Tables::parse(text);
    let (parts, place) = parts(&document.root(&tables));
    let names: BTreeSet<_> = parts.groups.iter().map(|it| it.id.clone()).collect();
    let (flows, found) = place.read(names, Some(today()));
    let (numbers, number_params) = numbers(&flows.bundle);
    let mut complaints = document.finish();
    complaints.extend(found);
    let known = parts.trunks.iter().map(|it| it.id.clone()).collect();
    complaints.extend(unknown_trunks(&flows, &known));
    let loaded = Loaded {
        switchboard: hotline_switchboard::Config {
            // Known when the sockets are open.
            local: Vec::new(),
            local_streams: Vec::new(),
            accounts: parts.accounts,
            outbound: parts.outbound,
            directory: Arc::new(parts.directory),
            sip: parts.sip.config,
            trunks: parts.trunks,
            rules: parts.rules,
            numbers,
            number_params,
            groups: parts.groups,
            agents: parts.people,
            bundle: Arc::clone(&flows.bundle),
            call: parts.calls,
            ladder: parts.ladder.config,
            carriers: parts.carriers,
            carrier_alarm: parts.carrier_alarm,
            overload: parts.sip.overload,
            regions: Arc::new(parts.regions),
            auto_answer: parts.auto_answer,
            srtp: parts.sip.srtp,
            srtp_of: parts.srtp_of,
        },
        engine: hotline_engine::Config {
            listen: hotline_engine::Listen {
                sip_udp: parts.sip.listen_udp,
                sip_tcp: parts.sip.listen_tcp,
                sip_tls: parts.sip.listen_tls,
                sip_ws: parts.sip.listen_ws,
                sip_wss: parts.sip.listen_wss,
                http: parts.http.listen,
            },
            data_dir: parts.engine.data_dir,
            net: parts.sip.net,
            telemetry: parts.engine.telemetry,
            grace: parts.engine.grace,
        },
        media: parts.media,
        http: parts.http,
        push: parts.push,
        ladders_for: parts.ladder.stored_for,
        warnings: Vec::new(),
    };
    (loaded, flows, complaints)
}

/// The sections of the file.
struct Parts {
    engine: part::engine::Engine,
    sip: part::sip::Sip,
    media: MediaConfig,
    trunks: Vec<TrunkConfig>,
    accounts: BTreeMap<AccountId, Credentials>,
    rules: part::trunk::TrunkRules,
    groups: Vec<GroupConfig>,
    people: Vec<AgentConfig>,
    outbound: Outbound,
    directory: Directory,
    calls: hotline_call::Config,
    regions: Regions,
    auto_answer: BTreeSet<Extension>,
    srtp_of: BTreeMap<Extension, Srtp>,
    http: Http,
    push: Vec<PushTarget>,
    ladder: part::ladder::Ladder,
    carriers: BTreeMap<TrunkId, String>,
    carrier_alarm: Thresholds,
}

fn parts(root: &Section<'_, '_>) -> (Parts, Place) {
    let engine = part::engine::read(root);
    let mut sip = part::sip::read(root);
    let media = part::media::read(root, &engine.data_dir, sip.config.advertised);
    let part::trunk::Carried { trunks, rules, carriers, accounts, servers } =
        part::trunk::read(root, &part::rules::read(root));
    sip.net.flood.trunks = trunks.iter().flat_map(part::trunk::peers).collect();
    let speaks_tls = !(sip.listen_tls.is_empty() && sip.listen_wss.is_empty());
    sip.net.tls = part::tls::read(root, &trunks, servers, speaks_tls);
    let groups = part::group::read(root);
    let staff = part::agent::read(root, &groups);
    let outbound = part::outbound::read(root, &trunks, staff.wishes);
    let directory = part::directory::read(root, &staff.people, &groups, &outbound);
    let calls = part::calls::read(root);
    let regions = part::regions::read(root);
    let http = part::http::read(root, &staff.people);
    let push = part::push::read(root);
    let ladder = part::ladder::read(root);
    let carrier_alarm = part::ladder::read_alarm(root);
    let is_public = sip.listeners().any(|it| !it.ip().is_loopback());
    if staff.has_demo_password && is_public {
        root.warn("agent", "分机用演示口令，而信令端口对外开放", "改用 password_file");
    }
    root.end();
    sip.config.accounts = staff.accounts;
    let sounds = media.prompt_dirs.iter().map(|it| sounds_of(it)).collect();
    let place = Place { folder: engine.flows_dir.clone(), sounds };
    let (people, auto_answer, srtp_of) = (staff.people, staff.auto_answer, staff.srtp_of);
    let parts = Parts {
        engine,
        sip,
        media,
        trunks,
        accounts,
        rules,
        groups,
        people,
        outbound,
        directory,
        calls,
        regions,
        auto_answer,
        srtp_of,
        http,
        push,
        ladder,
        carriers,
        carrier_alarm,
    };
    (parts, place)
}

/// The bundle's numbers as the trunks' rows, and their checked parameters by row.
fn numbers(bundle: &Bundle) -> (Vec<NumberRow>, hotline_switchboard::NumberParams) {
    let row = |(row, it): (usize, &hotline_ivr::Number)| NumberRow {
        dnis: it.dnis.clone(),
        trunks: it.trunks.clone(),
        flow: it.flow.clone(),
        params: BTreeMap::new(),
        row,
    };
    let rows = bundle.numbers.iter().enumerate().map(row).collect();
    (rows, bundle.numbers.iter().map(|it| it.params.clone()).collect())
}

/// A row for a trunk that is not configured never matches: somebody misspelt one of the two.
fn unknown_trunks(flows: &Flows, known: &BTreeSet<TrunkId>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for number in &flows.bundle.numbers {
        for trunk in number.trunks.iter().filter(|it| !known.contains(*it)) {
            complaints.push(Complaint {
                file: format!("{}/numbers", flows.shown),
                line: 0,
                key: number.dnis.join("、"),
                text: format!("号码指定的中继 {trunk} 没有配置"),
                advice: "在配置里加一节 [[trunk]]，或改正号码表里的 trunk".into(),
                severity: Severity::Warning,
            });
        }
    }
    complaints
}

fn sounds_of(folder: &Path) -> PathBuf {
    folder.join(embedded::LANGUAGE)
}

fn today() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
