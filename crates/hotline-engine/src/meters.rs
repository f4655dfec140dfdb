//! Figures, each made from facts, in one place (`docs/OPERATIONS.md` explains them).

#[cfg(test)]
mod tests;
mod trunks;

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use hotline_agent::Display;
use hotline_base::{
    Now,
    media::{Figures, LegQuality, LegStats, Scheduling, WorkerFigures},
};
use hotline_cdr::{CallFact, EndReason, FailCause, Party};
use hotline_net::{Count as NetCount, Counters as NetCounters};
use hotline_push::Counts as PushCounts;
use hotline_store::{LoaderStats, Saved, Stats};
use hotline_switchboard::{Board, BoardLadders, Count};
use hotline_web::{Counter, Gauge, Histogram, Metrics};

use crate::telemetry;

/// Upper ends in microseconds.
const TURN_ENDS: &[u64] = &[50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000];
const WAIT_ENDS: &[u64] = &[
    1_000_000,
    5_000_000,
    10_000_000,
    15_000_000,
    20_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
];

/// Refusals under overload are to come within 200 ms.
const SIP_WAIT_ENDS: &[u64] = &[
    1_000, 5_000, 10_000, 20_000, 40_000, 80_000, 120_000, 150_000, 200_000, 300_000, 500_000,
    1_000_000, 2_000_000,
];

/// Legs that sound worse than this, or lose more, are told apart (requirements 15.4).
const POOR_MOS_X100: u16 = 360;
const LOSSY_PERMILLE: u16 = 20;

/// What was dropped because its road was full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dropped {
    Transmit,
    Order,
    /// The record of a call that was turned away.
    Refusal,
    Ladder,
}

/// Receivers and their counts.
type Pushes = Vec<(String, Arc<PushCounts>)>;

/// Handles that are used often, and the registry for the rest. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    pub(crate) all: Metrics,
    turn: Histogram,
    wait: Histogram,
    /// Of new calls, and of other messages.
    sip_waits: [Histogram; 2],
    /// By [`Dropped`], in its order.
    dropped: [Counter; 4],
    turned_away: Counter,
    lost_lines: Counter,
    lost_commits: Counter,
    calls: Gauge,
    waiting: Gauge,
    /// In, out, lost, refused.
    rtp: [Counter; 4],
    /// Ended, poor, lossy, one way, silent.
    legs: [Counter; 5],
    pushes: Arc<Mutex<Pushes>>,
}

impl Meters {
    pub(crate) fn new(all: Metrics) -> Self {
        let dropped = |what| {
            let help = "Values that found their channel full.";
            all.counter("hotline_dropped_total", help, &[("what", what)])
        };
        let rtp = |way| {
            let help = "RTP packets of ended legs.";
            all.counter("hotline_rtp_packets_total", help, &[("way", way)])
        };
        let legs = |what| {
            let help = "Legs by how they sounded; one leg may be several.";
            all.counter("hotline_media_legs_total", help, &[("what", what)])
        };
        Self {
            turn: all.histogram(
                "hotline_turn_duration_seconds",
                "Turns of the control thread.",
                TURN_ENDS,
                &[],
            ),
            wait: all.histogram(
                "hotline_wait_duration_seconds",
                "From the queue to the bridge, of calls that were bridged.",
                WAIT_ENDS,
                &[],
            ),
            sip_waits: ["new_call", "other"].map(|what| {
                all.histogram(
                    "hotline_sip_wait_seconds",
                    "From the socket to the turn, of SIP messages.",
                    SIP_WAIT_ENDS,
                    &[("what", what)],
                )
            }),
            dropped: ["transmit", "order", "refusal", "ladder"].map(dropped),
            turned_away: all.counter(
                "hotline_calls_refused_total",
                "Calls refused on the wire.",
                &[("why", "overload")],
            ),
            lost_lines: dropped("log_line"),
            lost_commits: all.counter(
                "hotline_spool_lost_total",
                "Turns whose records could be kept neither on disk nor in memory.",
                &[],
            ),
            calls: all.gauge("hotline_calls_active", "Calls that have not ended.", &[]),
            waiting: all.gauge("hotline_callers_waiting", "Callers in queues.", &[]),
            rtp: ["in", "out", "lost", "refused"].map(rtp),
            legs: ["ended", "poor", "lossy", "one_way", "silent"].map(legs),
            pushes: Arc::default(),
            all,
        }
    }

    pub(crate) fn turn(&self, took: Duration) {
        self.turn.observe(took);
    }

    /// How long a message waited for its turn.
    pub(crate) fn message_waited(&self, is_new_call: bool, wait: Duration) {
        let [new_calls, others] = &self.sip_waits;
        if is_new_call { new_calls } else { others }.observe(wait);
    }

    pub(crate) fn dropped(&self, what: Dropped) {
        let [transmits, orders, refusals, ladders] = &self.dropped;
        let counter = match what {
            Dropped::Transmit => transmits,
            Dropped::Order => orders,
            Dropped::Refusal => refusals,
            Dropped::Ladder => ladders,
        };
        counter.add(1);
    }

    pub(crate) fn saved(&self, saved: Saved) {
        match saved {
            Saved::OnDisk | Saved::InMemory => (),
            Saved::Lost => {
                self.lost_commits.add(1);
                tracing::error!("A record was lost: disk and memory are full.");
            }
        }
    }

    fn count(&self, name: &'static str, help: &'static str, label: (&str, &str)) {
        self.all.counter(name, help, &[label]).add(1);
    }

    /// One thing that happened to a call.
    #[expect(clippy::too_many_lines, reason = "an arm for each fact, all alike")]
    pub(crate) fn fact(&self, fact: &CallFact) {
        match fact {
            CallFact::Arrived(it) => self.count(
                "hotline_calls_arrived_total",
                "INVITEs that became calls.",
                ("trunk", it.trunk.as_str()),
            ),
            CallFact::WentOut { trunk, .. }
            | CallFact::PartyWentOut { trunk, .. }
            | CallFact::WayRefused { trunk, .. } => {
                self.way_out(trunk.as_str(), matches!(fact, CallFact::WayRefused { .. }));
            }
            CallFact::WayFull { trunk, why } => {
                let labels = [("trunk", trunk.as_str()), ("why", why.as_str())];
                let help = "Outgoing calls that a trunk had no room for.";
                self.all.counter("hotline_calls_out_full_total", help, &labels).add(1);
            }
            CallFact::Refused { why, .. } => self.count(
                "hotline_calls_refused_total",
                "Calls refused on the wire.",
                ("why", why.as_str()),
            ),
            CallFact::Ended { by, reason, .. } => self.ended(*by, reason),
            CallFact::EnqueueRefused { why, .. } | CallFact::LeftQueue { why, .. } => self.count(
                "hotline_queue_visits_total",
                "Visits to queues by how they ended.",
                ("exit", why.as_str()),
            ),
            CallFact::OfferEnded { why, .. } => self.count(
                "hotline_offers_ended_total",
                "Offers that ended without a bridge.",
                ("why", why.as_str()),
            ),
            CallFact::Rated(answer) => self.count(
                "hotline_ratings_total",
                "Answers to surveys.",
                ("satisfied", if answer.satisfied { "yes" } else { "no" }),
            ),
            CallFact::RecordingSealed { n_gaps, gap_ms, .. } => self.sealed(*n_gaps, *gap_ms),
            CallFact::RecordingFailed { .. } => self.recordings("failed"),
            CallFact::RecordingStarted { .. } => self.recordings("started"),
            CallFact::RecordingControlled(_) => {
                if fact.recording_started().is_some() {
                    self.recordings("started");
                }
            }
            CallFact::FlowError { .. } => self.count(
                "hotline_flow_errors_total",
                "Steps of flows that did not go as written.",
                ("kind", "error"),
            ),
            CallFact::LegClosed { stats, .. } => self.leg(stats),
            CallFact::LegSounded { quality, .. } => self.sounded(quality),
            CallFact::Hearing { state, .. } => self.count(
                "hotline_media_hearing_total",
                "Parties who began or ceased to be heard.",
                ("state", state.as_str()),
            ),
            CallFact::Listed { list, .. } => {
                self.count("hotline_list_hits_total", "Callers found on a list.", ("list", list));
            }
            CallFact::Transferred { mode, .. } => self.count(
                "hotline_transfers_total",
                "Callers whom an agent gave away, by how.",
                ("mode", mode.as_str()),
            ),
            CallFact::Returned(result) => self.count(
                "hotline_suspensions_total",
                "Callers whom an agent sent to a flow, by how they came back.",
                ("how", result.how.as_str()),
            ),
            CallFact::DialFailed { status, cause, .. } => self.dial_failed(*status, *cause),
            CallFact::Answered
            | CallFact::FlowEntered
            | CallFact::FlowLeft
            | CallFact::Node { .. }
            | CallFact::PersonRequested
            | CallFact::Enqueued { .. }
            | CallFact::Offered { .. }
            | CallFact::Ringing { .. }
            | CallFact::PhoneChanged { .. }
            | CallFact::AgentAnswered { .. }
            | CallFact::Bridged { .. }
            | CallFact::Held { .. }
            | CallFact::Retrieved { .. }
            | CallFact::AgentReleased { .. }
            | CallFact::SurveyOffered { .. }
            | CallFact::Tagged { .. }
            | CallFact::Untagged { .. }
            | CallFact::Exported { .. }
            | CallFact::FlowLogged { .. }
            | CallFact::MediaQuiet { .. }
            | CallFact::ToneHeard { .. }
            | CallFact::Signalled(_)
            | CallFact::ControlRestarted
            | CallFact::MediaRestarted
            | CallFact::Dialled { .. }
            | CallFact::AgentCalled { .. }
            | CallFact::PartyCalled { .. }
            | CallFact::PartyJoined { .. }
            | CallFact::PartyMoved { .. }
            | CallFact::PartyLeft { .. }
            | CallFact::CallerLeft { .. }
            | CallFact::RecordingFollows { .. }
            | CallFact::TakenOver { .. }
            | CallFact::AgentMuted { .. }
            | CallFact::AgentUnmuted { .. }
            | CallFact::RecordingMuted { .. }
            | CallFact::RecordingResumed { .. }
            | CallFact::RecordingMeasured { .. }
            | CallFact::RecordingGaps { .. }
            | CallFact::RecordingRecovered { .. }
            | CallFact::Suspended { .. }
            | CallFact::RecordingStopped { .. }
            | CallFact::RungOutside { .. }
            | CallFact::PartyRinging => (),
        }
    }

    /// An INVITE to a gateway, or its refusal after which the next one is tried.
    fn way_out(&self, trunk: &str, is_refused: bool) {
        let (name, help) = if is_refused {
            ("hotline_calls_out_refused_total", "INVITEs that a gateway did not take.")
        } else {
            ("hotline_calls_out_total", "INVITEs to gateways of trunks.")
        };
        self.count(name, help, ("trunk", trunk));
    }

    fn dial_failed(&self, status: u16, cause: Option<u16>) {
        let cause = FailCause::of(Some(status), cause).map_or("none", FailCause::as_str);
        let help = "Legs we dialled that came to nothing, by what it means.";
        self.count("hotline_dials_failed_total", help, ("cause", cause));
    }

    fn recordings(&self, what: &str) {
        self.count(
            "hotline_recordings_total",
            "Recordings by what became of them.",
            ("what", what),
        );
    }

    fn sealed(&self, n_gaps: u32, gap_ms: u64) {
        self.recordings("sealed");
        let total = |name, n| {
            let help = "Audio that is missing from recordings.";
            self.all.counter(name, help, &[]).add(n);
        };
        total("hotline_recording_gaps_total", u64::from(n_gaps));
        total("hotline_recording_gap_milliseconds_total", gap_ms);
    }

    fn leg(&self, stats: &LegStats) {
        let LegStats { packets_in, packets_out, lost, refused, .. } = stats;
        for (counter, n) in self.rtp.iter().zip([packets_in, packets_out, lost, refused]) {
            counter.add(*n);
        }
    }

    fn sounded(&self, it: &LegQuality) {
        let is_poor = |it: Option<u16>| it.is_some_and(|it| it < POOR_MOS_X100);
        let loses = |it: Option<u16>| it.is_some_and(|it| it > LOSSY_PERMILLE);
        let poor = is_poor(it.mos_in_x100) || is_poor(it.mos_out_x100);
        let lossy = loses(it.loss_in_permille) || loses(it.loss_out_permille);
        for (counter, is_so) in self.legs.iter().zip([true, poor, lossy, it.one_way, it.silent]) {
            counter.add(u64::from(is_so));
        }
    }

    /// What one of its workers counts.
    fn media_worker(&self, worker: u8, it: &WorkerFigures) {
        let number = worker.to_string();
        let labels = [("worker", number.as_str())];
        let share = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let gauge = |name, help, n| self.all.gauge(name, help, &labels).set(share(n));
        gauge("hotline_media_worker_legs", "Legs alive on this worker.", it.legs);
        let help = "The worker's share of a core over the last second, in thousandths.";
        gauge("hotline_media_busy_permille", help, it.busy_permille);
        let help = "Of what was due lately, the share that came over 5 ms late, in thousandths.";
        gauge("hotline_media_late_permille", help, it.late_permille);
        let help = "The core that the worker is pinned to; -1: none.";
        let core = self.all.gauge("hotline_media_worker_core", help, &labels);
        core.set(it.core.map_or(-1, i64::from));
        let help = "How the worker is scheduled: 2 SCHED_FIFO, 1 nice, 0 like all others.";
        let rank = match it.scheduling {
            Scheduling::Normal => 0,
            Scheduling::Nice => 1,
            Scheduling::Fifo => 2,
        };
        gauge("hotline_media_worker_scheduling", help, rank);
        let total = |name, help, n| self.all.counter(name, help, &labels).set(n);
        total("hotline_media_rounds_missed_total", "What came over 40 ms late.", it.rounds_missed);
        let help = "Packets that had queued up in a missed round and were not passed on.";
        total("hotline_media_packets_stale_total", help, it.packets_stale);
        let help = "RTCP reports left out because the worker was over 80 % busy.";
        total("hotline_media_reports_shed_total", help, it.reports_shed);
        let help = "Mixes of conferences with those who do not talk, from 85 % busy on.";
        total("hotline_media_gates_shed_total", help, it.gates_shed);
    }

    /// What the media process counts. It begins again at 0 with each process.
    pub(crate) fn media(&self, it: &Figures) {
        let total = |name, help, n| self.all.counter(name, help, &[]).set(n);
        let gauge = |name, help, n| self.all.gauge(name, help, &[]).set(n);
        gauge("hotline_media_legs", "Legs alive in the media process.", i64::from(it.legs));
        let help = "1: packets come in by sk_lookup; 0: by a socket a leg.";
        gauge("hotline_media_sk_lookup", help, i64::from(it.sk_lookup));
        let help = "1: the media process's memory is not swapped out.";
        gauge("hotline_media_memory_locked", help, i64::from(it.memory_locked));
        for (it, worker) in it.workers.iter().zip(0_u8..) {
            self.media_worker(worker, it);
        }
        let help = "Legs not opened because workers were busy or late.";
        total("hotline_media_legs_refused_total", help, it.legs_refused);
        let help = "Legs brought back after the death of a media process.";
        total("hotline_media_legs_revived_total", help, it.legs_revived);
        let help = "The latest 20 ms tick since the media process began, behind its time.";
        let late = i64::try_from(it.tick_late_max_us).unwrap_or(i64::MAX);
        gauge("hotline_media_tick_late_max_microseconds", help, late);
        total("hotline_media_ticks_total", "Ticks of 20 ms.", it.ticks);
        let help = "Ticks left out because the worker was late.";
        total("hotline_media_ticks_skipped_total", help, it.ticks_skipped);
        let help = "Packets that the kernel did not take.";
        total("hotline_media_sends_refused_total", help, it.sends_refused);
        let help = "Parties and tapes beyond what a mix or a leg can hold.";
        total("hotline_media_mixes_refused_total", help, it.mixes_refused);
        let help = "Events that control did not hear.";
        total("hotline_media_events_dropped_total", help, it.events_dropped);
        let help = "Links to control ended by force.";
        total("hotline_media_links_dropped_total", help, it.links_dropped);
        let help = "Syncs of recordings put off because the disk was behind.";
        total("hotline_media_syncs_skipped_total", help, it.syncs_skipped);
        let reports = |what, n| {
            let help = "RTCP datagrams.";
            self.all.counter("hotline_media_rtcp_total", help, &[("what", what)]).set(n);
        };
        reports("in", it.reports_in);
        reports("out", it.reports_out);
        reports("refused", it.reports_refused);
        let help = "Datagrams at the port of browsers that are nobody's.";
        total("hotline_media_browser_refused_total", help, it.browser_refused);
        let help = "Checks and handshakes of browsers that waited too long for the media desk.";
        total("hotline_media_handovers_dropped_total", help, it.handovers_dropped);
    }

    fn ended(&self, by: Party, reason: &EndReason) {
        // A flow's own reasons are text of its author: too many for a label.
        let reason = match reason {
            EndReason::Normal { .. } => "normal",
            EndReason::Cancelled
            | EndReason::Refused
            | EndReason::AckMissing
            | EndReason::MediaLost
            | EndReason::MediaFailed
            | EndReason::PeerGone
            | EndReason::SessionExpired
            | EndReason::Internal => reason.as_str(),
        };
        let labels = [("by", by.as_str()), ("reason", reason)];
        self.all.counter("hotline_calls_ended_total", "Calls by how they ended.", &labels).add(1);
    }

    /// How long a caller waited, once bridged.
    pub(crate) fn waited(&self, wait: Duration) {
        self.wait.observe(wait);
    }

    pub(crate) fn counted(&self, count: Count) {
        let help = "What belongs to no call.";
        let what = match count {
            Count::Stranger => "stranger",
            Count::AuthFailed => "auth_failed",
            Count::LockedOut => "locked_out",
            Count::Misbehaved(why) => {
                let help = "What peers did against the standards.";
                let why = snake(&format!("{why:?}"));
                self.count("hotline_peer_misbehaved_total", help, ("why", &why));
                return;
            }
            Count::Panicked => "panicked",
            Count::NotRestored => "not_restored",
            Count::OrphanLeg => "orphan_leg",
            Count::RulesSpoiled => "rules_spoiled",
            Count::TurnedAway => return self.turned_away.add(1),
        };
        self.count("hotline_events_total", help, ("what", what));
    }

    pub(crate) fn board(&self, board: &Board) {
        self.lost_lines.set(telemetry::n_lost());
        self.calls.set(signed(board.n_calls));
        self.waiting.set(signed(board.groups.iter().map(|it| it.waiting).sum()));
        for display in DISPLAYS {
            let n = board.agents.get(display).copied().unwrap_or(0);
            let state = snake(&format!("{display:?}"));
            self.all
                .gauge("hotline_agents", "Agents by state.", &[("state", &state)])
                .set(signed(n));
        }
        self.ladders(board.ladders);
        self.trunks(board);
        let gauge = |name, help, value| self.all.gauge(name, help, &[]).set(value);
        let help = "New calls a second that are taken under overload; 0: all.";
        let per_sec = i64::try_from(board.calls_per_sec.unwrap_or(0)).unwrap_or(i64::MAX);
        gauge("hotline_overload_calls_per_second", help, per_sec);
        let help = "The part of their calls that peers are told to keep back.";
        gauge("hotline_overload_reduction_percent", help, i64::from(board.reduction_percent));
    }

    fn ladders(&self, it: BoardLadders) {
        let help = "Signalling of calls that is kept in memory.";
        self.all.gauge("hotline_ladder_calls", help, &[]).set(signed(it.n_calls));
        self.all.gauge("hotline_ladder_bytes", help, &[]).set(signed(it.bytes));
        let total = |what, n| {
            let help = "Ladders by what became of them.";
            self.all.counter("hotline_ladders_total", help, &[("what", what)]).set(n);
        };
        total("pushed_out", it.n_pushed_out);
        total("not_stored", it.n_not_stored);
    }

    /// The ladder of a call goes to the database.
    pub(crate) fn ladder_stored(&self) {
        self.count("hotline_ladders_total", "Ladders by what became of them.", ("what", "stored"));
    }

    /// Figures that others count, copied now and then.
    pub(crate) fn copy(&self, net: &NetCounters, spool: &Stats) {
        for what in NetCount::ALL {
            let help = "Packets, connections and refusals at the signalling edge.";
            let label = [("what", what.label())];
            self.all.counter("hotline_sip_edge_total", help, &label).set(net.of(*what));
        }
        let gauge = |name, help, value| self.all.gauge(name, help, &[]).set(value);
        gauge("hotline_spool_healthy", "1: records reach the disk.", i64::from(spool.healthy));
        gauge("hotline_spool_bytes", "The journal's size.", large(spool.bytes));
        gauge("hotline_spool_backlog_bytes", "Waiting in memory.", large(spool.backlog_bytes));
        let sync = i64::try_from(spool.last_sync.as_micros()).unwrap_or(i64::MAX);
        gauge("hotline_spool_last_sync_microseconds", "The last sync took so long.", sync);
        self.copy_pushes();
    }

    /// A receiver's own counts, to be copied with the others.
    pub(crate) fn pushes(&self, receiver: &str, counts: Arc<PushCounts>) {
        let mut all = self.pushes.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((receiver.to_owned(), counts));
    }

    fn copy_pushes(&self) {
        let all = self.pushes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (receiver, counts) in all {
            let total = |outcome, n| {
                let labels = [("receiver", &*receiver), ("outcome", outcome)];
                let help = "Attempts to push by what became of them.";
                self.all.counter("hotline_pushes_total", help, &labels).set(n);
            };
            total("done", counts.n_done.load(Relaxed));
            total("retried", counts.n_retried.load(Relaxed));
            total("dead", counts.n_dead.load(Relaxed));
            let down = i64::from(counts.is_down.load(Relaxed));
            let help = "1: the receiver does not take pushes.";
            self.all.gauge("hotline_push_down", help, &[("receiver", &receiver)]).set(down);
        }
    }

    /// How the database follows the journal.
    pub(crate) fn loader(&self, it: &LoaderStats) {
        let total = |name, help, n| self.all.counter(name, help, &[]).set(n);
        total("hotline_database_items_total", "Items loaded.", it.n_items);
        total("hotline_database_failures_total", "Attempts to load that failed.", it.n_failures);
        total("hotline_spool_damaged_total", "Damaged frames of the journal.", it.n_damaged);
        total("hotline_spool_unreadable_total", "Items of another version.", it.n_unreadable);
        let help = "随录信息 files that could not be written.";
        total("hotline_sidecars_failed_total", help, it.n_sidecars_failed);
        let help = "1: records are not loaded (yet, or any more); the journal keeps them.";
        self.all.gauge("hotline_database_away", help, &[]).set(i64::from(!it.is_well()));
    }

    pub(crate) fn started(&self, now: Now) {
        let help = "When this control process began, in seconds since 1970.";
        self.all.gauge("hotline_control_started_seconds", help, &[]).set(now.wall.0 / 1_000);
    }
}

const DISPLAYS: &[Display] = &[
    Display::SignedOut,
    Display::Idle,
    Display::Busy,
    Display::Rest,
    Display::Reserved,
    Display::Ringing,
    Display::Connecting,
    Display::Talking,
    Display::Held,
    Display::Acw,
    Display::Dialing,
    Display::Consulting,
    Display::Conferring,
    Display::Suspended,
];

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn large(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// `SignedOut` as `signed_out`.
fn snake(camel: &str) -> String {
    let mut out = String::new();
    for it in camel.chars() {
        if it.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(it.to_lowercase());
    }
    out
}
