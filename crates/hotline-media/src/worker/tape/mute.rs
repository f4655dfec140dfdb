//! Stretches of a tape that hold nothing, whatever is said (暂停录音, 遮蔽).

use hotline_base::media::Channel;

use crate::recorder::Block;

/// Stretches that may touch the blocks that are open.
const SPANS: usize = 4;

/// The last stretches, in samples: from the first to before the second.
#[derive(Debug, Default)]
pub(super) struct Mute {
    spans: [Option<(u64, u64)>; SPANS],
}

impl Mute {
    /// Begins a stretch at `at`, or ends it there. What lies before `flushed` is written.
    pub(super) fn set(&mut self, muted: bool, at: u64, flushed: u64) {
        let running = self.spans.iter_mut().flatten().find(|it| it.1 == u64::MAX);
        match (running, muted) {
            (Some(span), false) => span.1 = at,
            (None, true) => self.begin(at, flushed),
            (Some(_), true) | (None, false) => (),
        }
    }

    fn begin(&mut self, at: u64, flushed: u64) {
        for span in &mut self.spans {
            span.take_if(|it| it.1 <= flushed);
        }
        match self.spans.iter_mut().find(|it| it.is_none()) {
            Some(free) => *free = Some((at, u64::MAX)),
            // More than that in half a second: better too much silence than too little.
            None => self.spans.iter_mut().flatten().for_each(|it| it.1 = u64::MAX),
        }
    }

    /// Takes out of a block's channel what no file may hold.
    pub(super) fn silence(&self, block: &mut Block, channel: Channel) {
        for (from, to) in self.spans.iter().flatten() {
            block.silence(channel, *from, *to);
        }
    }
}
