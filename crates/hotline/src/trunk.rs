//! `hotline trunk`: what a carrier's message means to the engine.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, anyhow};
use hotline_config::{TrialOutcome, try_incoming, try_outgoing};

use crate::{Trunks, roles, say};

/// The engine would refuse the message.
const REFUSED: u8 = 3;

pub(crate) fn run(config: Option<&Path>, action: Trunks) -> Result<ExitCode> {
    let Trunks::Test { trunk, message, out } = action;
    let Some(loaded) = roles::load(config, false) else { return Ok(ExitCode::FAILURE) };
    let bytes = fs::read(&message)
        .with_context(|| format!("不能读取 {}（请检查路径）", message.display()))?;
    let trial = if out { try_outgoing } else { try_incoming };
    let trial = trial(&loaded, &trunk, &bytes).map_err(|text| anyhow!(text))?;
    say::line(&trial);
    Ok(match trial.outcome {
        TrialOutcome::Taken => ExitCode::SUCCESS,
        TrialOutcome::Refused => ExitCode::from(REFUSED),
    })
}
