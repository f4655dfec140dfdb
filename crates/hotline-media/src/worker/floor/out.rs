//! What leaves the worker: reports to the desk and blocks to the recorder.

use std::{collections::VecDeque, sync::Arc};

use rtrb::{Consumer, Producer, PushError};

use crate::{
    counters::{Counters, WorkerCounters, count},
    recorder::{Block, Filled},
    task::{Handover, REPORTS_MAX, Report},
    wake::Wake,
    worker::{Playing, tape::Blocks},
};

/// The producing ends of the worker's rings.
#[derive(Debug)]
pub(in crate::worker) struct Out {
    reports: Producer<Report>,
    /// Reports that must not be lost, waiting for room in the ring.
    late: VecDeque<Report>,
    reported: bool,
    pub(in crate::worker) desk: Wake,
    filled: Producer<Filled>,
    empties: Consumer<Block>,
    /// With room for all there are.
    stock: Vec<Block>,
    pub(in crate::worker) counters: Arc<Counters>,
    /// This worker's.
    pub(in crate::worker) own: Arc<WorkerCounters>,
    handovers: Option<Producer<Handover>>,
}

impl Out {
    pub(in crate::worker) fn new(
        reports: Producer<Report>,
        filled: Producer<Filled>,
        (empties, stock): (Consumer<Block>, Vec<Block>),
        desk: Wake,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            reports,
            late: VecDeque::with_capacity(REPORTS_MAX),
            reported: false,
            desk,
            filled,
            empties,
            stock,
            counters,
            own: Arc::default(),
            handovers: None,
        }
    }

    pub(in crate::worker) fn with_handovers(self, handovers: Producer<Handover>) -> Self {
        Self { handovers: Some(handovers), ..self }
    }

    pub(in crate::worker) fn with_own(self, own: Arc<WorkerCounters>) -> Self {
        Self { own, ..self }
    }

    /// Passes a browser's check or handshake on to the desk. The peer says it again when there is
    /// no room.
    pub(super) fn hand_over(&mut self, it: Handover) {
        self.reported = true;
        let taken = self.handovers.as_mut().is_some_and(|ring| ring.push(it).is_ok());
        if !taken {
            count(&self.counters.handovers_dropped);
        }
    }

    pub(super) fn report(&mut self, report: Report) {
        self.reported = true;
        if !self.late.is_empty() {
            return self.keep(report);
        }
        if let Err(PushError::Full(report)) = self.reports.push(report) {
            self.keep(report);
        }
    }

    /// The desk counts on the end of things; a key or a silence may be lost.
    fn keep(&mut self, report: Report) {
        let needed = match report {
            Report::Key { .. }
            | Report::Quiet { .. }
            | Report::Hearing { .. }
            | Report::Tone { .. }
            | Report::Progress { .. } => false,
            Report::PlayDone { .. } | Report::Closed { .. } | Report::TapeDone { .. } => true,
        };
        if needed && self.late.len() < REPORTS_MAX {
            self.late.push_back(report);
        } else {
            count(&self.counters.events_dropped);
        }
    }

    /// A play for a leg that is gone: its memory is freed here, which happens once a race.
    pub(super) fn forget_play(&self, play: Box<Playing>) {
        drop(play);
        count(&self.counters.events_dropped);
    }

    /// Wakes the desk if something was reported.
    pub(in crate::worker) fn flush(&mut self) {
        while let Some(report) = self.late.pop_front() {
            self.reported = true;
            if let Err(PushError::Full(report)) = self.reports.push(report) {
                self.late.push_front(report);
                break;
            }
        }
        if std::mem::take(&mut self.reported) {
            self.desk.wake();
        }
    }
}

impl Blocks for Out {
    fn take(&mut self) -> Option<Block> {
        // What was used last is used first: memory that was never needed is never touched.
        while let Ok(block) = self.empties.pop() {
            self.stock.push(block);
        }
        self.stock.pop()
    }

    fn give_back(&mut self, block: Block) {
        self.stock.push(block);
    }

    fn send(&mut self, filled: Filled) -> Result<(), Filled> {
        self.filled.push(filled).map_err(|PushError::Full(it)| it)
    }
}
