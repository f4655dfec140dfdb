//! Finished calls, as the web asks for them: the database behind the web's words.

use std::path::PathBuf;

use hotline_base::{CallId, RecordingId};
use hotline_store::{CallQuery, Database, StoreError, place_of};
use hotline_web::{Answer, Archive, ArchiveError, CallFilter, CallPage, RecordingFile, Sight};
use tokio::task::spawn_blocking;

use crate::clock::wall;

#[derive(Debug)]
pub(super) struct Records {
    pub(super) database: Database,
    /// Absolute.
    pub(super) recording_dirs: Vec<PathBuf>,
}

impl Archive for Records {
    fn calls(
        &self,
        filter: CallFilter,
        sight: Sight,
    ) -> Answer<'_, Result<CallPage, ArchiveError>> {
        Box::pin(async move {
            let page = self.database.calls(&query(filter), &eyes(sight)).await.map_err(away)?;
            let items = page.items.iter().map(json).collect::<Result<_, _>>()?;
            Ok(CallPage { items, next: page.next })
        })
    }

    fn call(&self, call: CallId, sight: Sight) -> Answer<'_, Result<Option<String>, ArchiveError>> {
        Box::pin(async move {
            let found = self.database.call(call, &eyes(sight)).await.map_err(away)?;
            found.as_ref().map(json).transpose()
        })
    }

    fn recording(
        &self,
        recording: RecordingId,
    ) -> Answer<'_, Result<Option<RecordingFile>, ArchiveError>> {
        Box::pin(async move {
            let found = self.database.recording(&recording).await.map_err(away)?;
            let Some(it) = found.filter(|it| it.sealed) else { return Ok(None) };
            let (dirs, path) = (self.recording_dirs.clone(), it.path);
            // A disk may not answer.
            let found = spawn_blocking(move || place_of(&dirs, &path).map(|it| it.join(path)));
            let found = found.await.map_err(|_| ArchiveError::Away)?;
            let file = |path| RecordingFile { path, sha256: it.sha256, agents: it.agents };
            Ok(found.map(file))
        })
    }

    fn dead_letters(
        &self,
        n_max: usize,
        after: Option<String>,
    ) -> Answer<'_, Result<CallPage, ArchiveError>> {
        Box::pin(async move {
            let found = self.database.dead_letters(n_max, after.as_deref()).await;
            let page = found.map_err(away)?;
            let items = page.items.iter().map(json).collect::<Result<_, _>>()?;
            Ok(CallPage { items, next: page.next })
        })
    }

    fn resend(&self, id: String) -> Answer<'_, Result<bool, ArchiveError>> {
        Box::pin(async move { self.database.resend(&id, wall()).await.map_err(away) })
    }
}

fn query(it: CallFilter) -> CallQuery {
    CallQuery {
        from: it.from,
        to: it.to,
        caller_no: it.caller_no,
        called_no: it.called_no,
        agent: it.agent,
        group: it.group,
        outcome: it.outcome,
        recording: it.recording,
        n_max: it.n_max,
        after: it.after,
    }
}

pub(super) fn eyes(sight: Sight) -> hotline_store::Sight {
    match sight {
        Sight::All => hotline_store::Sight::All,
        Sight::Agent(no) => hotline_store::Sight::Agent(no),
        Sight::Masked => hotline_store::Sight::Masked,
    }
}

pub(super) fn json(it: &impl serde::Serialize) -> Result<String, ArchiveError> {
    serde_json::to_string(it).map_err(|_| ArchiveError::Away)
}

pub(super) fn away(error: StoreError) -> ArchiveError {
    match error {
        StoreError::BadCursor => ArchiveError::BadCursor,
        StoreError::TooLong => ArchiveError::TooLong,
        StoreError::Away(_) | StoreError::Form(_) | StoreError::Json(_) => {
            tracing::warn!(%error, "A question to the database has no answer.");
            ArchiveError::Away
        }
    }
}
