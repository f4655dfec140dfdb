//! What a push carries.

use hotline_base::WallTime;
use serde::Serialize;

use super::Time;

/// One event for another system.
#[derive(Debug, Serialize)]
pub struct Envelope<'a, T> {
    /// The idempotency key.
    pub id: &'a str,
    /// `call.finished`, `agent.state`, `recording.started`, `.sealed`, `.failed`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub occurred_at: Time,
    pub data: &'a T,
}

impl<'a, T: Serialize> Envelope<'a, T> {
    pub fn new(id: &'a str, kind: &'static str, at: WallTime, data: &'a T) -> Self {
        Self { id, kind, occurred_at: Time(at), data }
    }

    /// As JSON text.
    pub fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}
