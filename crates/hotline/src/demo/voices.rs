//! What the robots say, from the bundled sounds.

use anyhow::{Context, Result};
use hotline_config::Loaded;
use hotline_testkit::{Sound, Speech};

#[derive(Debug)]
pub(super) struct Voices {
    questions: Vec<Sound>,
    greeting: Sound,
    promise: Sound,
    farewell: Sound,
}

impl Voices {
    pub(super) fn open(loaded: &Loaded) -> Result<Self> {
        let open = |name: &str| {
            let file = format!("{}/demo.{name}.wav", loaded.media.lang);
            let found = loaded.media.prompt_dirs.iter().map(|it| it.join(&file));
            let path = found.clone().find(|it| it.exists());
            let path = path.with_context(|| format!("缺少演示语音 {file}"))?;
            Sound::open(&path).map_err(anyhow::Error::from)
        };
        Ok(Self {
            questions: vec![open("caller.1")?, open("caller.2")?],
            greeting: open("agent.1")?,
            promise: open("agent.2")?,
            farewell: open("agent.3")?,
        })
    }

    pub(super) fn question(&self, index: usize) -> Speech {
        let it = self.questions.iter().cycle().nth(index % self.questions.len().max(1));
        it.cloned().map_or(Speech::Silence, Speech::once)
    }

    pub(super) fn greeting(&self) -> Speech {
        Speech::once(self.greeting.clone())
    }

    pub(super) fn promise(&self) -> Speech {
        Speech::once(self.promise.clone())
    }

    pub(super) fn farewell(&self) -> Speech {
        Speech::once(self.farewell.clone())
    }
}
