//! Ladders as the web asks for them: from the control thread's memory, else from the database.

use hotline_base::CallId;
use hotline_ladder::{Ladder, Role, Side, Sight, Step, Trace, draw, pcap, read};
use hotline_store::{Database, wire::Time};
use hotline_web::{Answer, ArchiveError, LadderForm, Signalling, TrafficFilter};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::{inbox::Asked, traffic};

/// Asks the control thread first: it knows the newest.
#[derive(Debug)]
pub(super) struct Ladders {
    pub(super) commands: mpsc::Sender<Asked>,
    pub(super) database: Database,
}

impl Signalling for Ladders {
    fn ladder(
        &self,
        call: CallId,
        form: LadderForm,
        masked: bool,
    ) -> Answer<'_, Result<Option<Vec<u8>>, ArchiveError>> {
        let sight = if masked { Sight::Masked } else { Sight::Whole };
        Box::pin(async move {
            let live = self.live(call, false).await;
            let trace = match live {
                Some(it) => Some(it),
                None => self.stored(call).await?,
            };
            trace.map(|it| written(&it, form, sight)).transpose()
        })
    }

    fn keep_ladder(&self, call: CallId) -> Answer<'_, Result<bool, ArchiveError>> {
        Box::pin(async move {
            Ok(self.live(call, true).await.is_some() || self.stored(call).await?.is_some())
        })
    }

    fn traffic(&self, filter: TrafficFilter) -> Answer<'_, Result<String, ArchiveError>> {
        Box::pin(async move {
            let (reply, replied) = oneshot::channel();
            let asked = self.commands.try_send(Asked::Traffic { reply });
            asked.map_err(|_| ArchiveError::Away)?;
            let view = replied.await.map_err(|_| ArchiveError::Away)?;
            traffic::json(&view, &filter).map_err(|_| ArchiveError::Away)
        })
    }
}

impl Ladders {
    /// `None` also while no control thread answers.
    async fn live(&self, call: CallId, store: bool) -> Option<Box<Trace>> {
        let (reply, replied) = oneshot::channel();
        self.commands.try_send(Asked::Ladder { call, store, reply }).ok()?;
        replied.await.ok()?
    }

    async fn stored(&self, call: CallId) -> Result<Option<Box<Trace>>, ArchiveError> {
        let bytes = self.database.ladder(call).await.map_err(super::archive::away)?;
        // One that an earlier version wrote is as good as none.
        Ok(bytes.and_then(|it| borsh::from_slice(&it).ok()).map(Box::new))
    }
}

fn written(trace: &Trace, form: LadderForm, sight: Sight) -> Result<Vec<u8>, ArchiveError> {
    match form {
        LadderForm::Json => serde_json::to_vec(&LadderJson::from(&read(trace, sight)))
            .map_err(|_| ArchiveError::Away),
        LadderForm::Text => {
            let begun = Time(trace.begun.wall).to_string();
            Ok(draw(&read(trace, sight), &begun).into_bytes())
        }
        LadderForm::Pcap => Ok(pcap(trace, sight)),
    }
}

/// `Ladder` in the OpenAPI document.
#[derive(Serialize)]
struct LadderJson<'a> {
    call_id: String,
    begun: Time,
    masked: bool,
    left_out: u32,
    sides: Vec<SideJson<'a>>,
    steps: Vec<StepJson<'a>>,
}

#[derive(Serialize)]
struct SideJson<'a> {
    role: &'static str,
    name: &'a str,
    sip_call_id: &'a str,
    from: &'a str,
    to: &'a str,
}

#[derive(Serialize)]
struct StepJson<'a> {
    ms: f64,
    side: usize,
    sent: bool,
    transport: &'static str,
    address: String,
    method: Option<&'a str>,
    status: Option<u16>,
    title: &'a str,
    cseq: &'a str,
    bytes: usize,
    repetition: u32,
    repetitions: u32,
    sdp: Option<SdpJson<'a>>,
    reason: Option<ReasonJson<'a>>,
}

#[derive(Serialize)]
struct SdpJson<'a> {
    codecs: &'a [String],
    direction: &'static str,
    address: &'a str,
}

#[derive(Serialize)]
struct ReasonJson<'a> {
    protocol: &'a str,
    cause: Option<u16>,
    text: &'a str,
}

impl<'a> From<&'a Ladder> for LadderJson<'a> {
    fn from(it: &'a Ladder) -> Self {
        Self {
            call_id: it.call.to_string(),
            begun: Time(it.begun),
            masked: it.masked,
            left_out: it.n_left_out,
            sides: it.sides.iter().map(SideJson::from).collect(),
            steps: it.steps.iter().map(StepJson::from).collect(),
        }
    }
}

impl<'a> From<&'a Side> for SideJson<'a> {
    fn from(it: &'a Side) -> Self {
        let (role, name) = match &it.role {
            Role::Carrier(trunk) => ("carrier", trunk.as_str()),
            Role::Phone(extension) => ("phone", extension.as_str()),
        };
        Self { role, name, sip_call_id: &it.sip_call_id, from: &it.from, to: &it.to }
    }
}

impl<'a> From<&'a Step> for StepJson<'a> {
    fn from(it: &'a Step) -> Self {
        let us = u32::try_from(it.after.as_micros()).unwrap_or(u32::MAX);
        Self {
            ms: f64::from(us) / 1_000.0,
            side: it.side,
            sent: it.sent,
            transport: it.transport.name(),
            address: it.address.to_string(),
            method: it.method.as_deref(),
            status: it.status,
            title: &it.title,
            cseq: &it.cseq,
            bytes: it.n_bytes,
            repetition: it.repetition,
            repetitions: it.n_repetitions,
            sdp: it.audio.as_ref().map(|it| SdpJson {
                codecs: &it.codecs,
                direction: it.direction,
                address: &it.address,
            }),
            reason: it.reason.as_ref().map(|it| ReasonJson {
                protocol: &it.protocol,
                cause: it.cause,
                text: &it.text,
            }),
        }
    }
}
