//! The real journal in a folder of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hotline_agent::Refused;
use hotline_base::{CallId, LegId, MonoTime, Now, Pii, TrunkId, WallTime};
use hotline_cdr::{CallFact, CallRecord, Incoming, RefusedWhy, ShortAfter, Stamped, fold};
use hotline_net::{Outlet, Sockets, Transmit};
use hotline_sip::{Flow, Transport};
use hotline_store::{Journal, JournalConfig, Opened};
use hotline_web::Metrics;
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Answer, Spool};
use crate::meters::Meters;

struct Disk {
    folder: TempDir,
    opened: Opened,
    spool: Spool,
    wire: mpsc::Receiver<Transmit>,
    metrics: Metrics,
}

fn disk() -> Disk {
    let folder = tempfile::tempdir().unwrap();
    let config =
        JournalConfig { segment_bytes: 1 << 16, ..JournalConfig::new(folder.path().into()) };
    let opened = Journal::open(config).unwrap();
    let (net, wire) = mpsc::channel(16);
    let net = Outlet::new(&Sockets::default(), net, Arc::default()).unwrap();
    let metrics = Metrics::default();
    let spool = Spool::new(opened.journal.clone(), net, Meters::new(metrics.clone()));
    Disk { folder, opened, spool, wire, metrics }
}

impl Disk {
    /// The journal's thread does not come back before the sender is dropped.
    fn hang(&self) -> std::sync::mpsc::Sender<()> {
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let (enter, entered) = std::sync::mpsc::channel();
        let wait = move |_| {
            enter.send(()).unwrap();
            assert!(gate.recv().is_err(), "it is only dropped");
        };
        self.opened.journal.append(Vec::new(), Box::new(wait)).unwrap();
        entered.recv().unwrap();
        release
    }

    /// Ends the turn and waits until its commit is done; turns that follow hand it over when there
    /// was no room for it.
    async fn save(&mut self) {
        let (asker, mut answered) = oneshot::channel();
        self.spool.answer(Answer { asker, result: Err(Refused::UnknownAgent) });
        let saved = async {
            while answered.try_recv().is_err() {
                self.spool.end_turn();
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_mins(1), saved).await.unwrap();
    }

    fn counted(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse().unwrap()
    }
}

const MIB: usize = 1 << 20;

/// A call's record of about a mebibyte, half of it in the facts.
fn record(is_refused: bool) -> CallRecord {
    let now = Now { mono: MonoTime(0), wall: WallTime(0) };
    let arrived = CallFact::Arrived(Arc::new(Incoming {
        leg: LegId(1),
        trunk: TrunkId::new("carrier"),
        caller: None,
        caller_raw: Pii::new(String::new()),
        restricted: false,
        called: String::new(),
        called_raw: String::new(),
        flow: None,
        bundle: "x".repeat(MIB / 2),
    }));
    let refused = CallFact::Refused { status: 503, why: RefusedWhy::SpoolDown };
    let facts = [arrived].into_iter().chain(is_refused.then_some(refused));
    let facts: Vec<_> = facts.map(|fact| Arc::new(Stamped { at: now, fact })).collect();
    fold(CallId(1), true, &facts, ShortAfter(Duration::ZERO))
}

fn packet(text: &str) -> Transmit {
    let at = SocketAddr::from(([127, 0, 0, 1], 5060));
    let flow = Flow { transport: Transport::Udp, local: at, remote: at, conn: None };
    Transmit { flow, bytes: text.as_bytes().into() }
}

async fn next(wire: &mut mpsc::Receiver<Transmit>) -> String {
    let sent = timeout(Duration::from_secs(10), wire.recv()).await.unwrap().unwrap();
    String::from_utf8(sent.bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_last_answer_of_a_call_leaves_after_its_record_is_on_disk() {
    let mut it = disk();
    it.spool.transmit(packet("before"));
    it.spool.record(&record(false)).unwrap();
    it.spool.transmit(packet("after"));
    assert_eq!(next(&mut it.wire).await, "before");
    assert!(it.wire.try_recv().is_err());
    assert!(it.spool.end_turn());
    assert_eq!(next(&mut it.wire).await, "after");
    assert_eq!(it.opened.journal.stats().n_commits, 1);
}

#[tokio::test]
async fn what_a_turn_keeps_is_there_in_the_next_life() {
    let Disk { folder, opened, mut spool, mut wire, .. } = disk();
    spool.keep("agent/1001".to_owned(), Some(b"idle".to_vec()));
    spool.transmit(packet("at once"));
    assert_eq!(next(&mut wire).await, "at once");
    assert!(spool.end_turn());
    drop(spool);
    opened.running.close();
    let again = Journal::open(JournalConfig::new(folder.path().into())).unwrap();
    assert_eq!(again.keepsakes, [("agent/1001".to_owned(), b"idle".to_vec())]);
    again.running.close();
}

/// R1: who is told that he is ready is so after a restart of control as well.
#[tokio::test]
async fn the_answer_to_a_command_is_given_when_what_it_changed_is_on_disk() {
    let mut it = disk();
    let (asker, mut answered) = oneshot::channel();
    it.spool.answer(Answer { asker, result: Err(Refused::UnknownAgent) });
    it.spool.keep("agent/1001".to_owned(), Some(b"idle".to_vec()));
    assert!(answered.try_recv().is_err());
    assert!(it.spool.end_turn());
    let answer = timeout(Duration::from_secs(10), answered).await.unwrap().unwrap();
    assert_eq!((answer, it.opened.journal.stats().n_syncs), (Err(Refused::UnknownAgent), 1));
}

#[tokio::test]
async fn the_answer_to_a_command_that_changed_nothing_waits_for_no_disk() {
    let mut it = disk();
    let (asker, mut answered) = oneshot::channel();
    it.spool.answer(Answer { asker, result: Err(Refused::UnknownAgent) });
    assert!(it.spool.end_turn());
    assert_eq!(answered.try_recv(), Ok(Err(Refused::UnknownAgent)));
    assert_eq!(it.opened.journal.stats().n_commits, 0);
}

#[tokio::test]
async fn a_turn_without_anything_to_keep_writes_nothing() {
    let mut it = disk();
    it.spool.transmit(packet("ringing"));
    assert!(it.spool.end_turn());
    assert_eq!(next(&mut it.wire).await, "ringing");
    assert_eq!(it.opened.journal.stats().n_commits, 0);
}

#[tokio::test]
async fn a_disk_that_hangs_closes_the_door_and_costs_no_memory_without_end() {
    // What a turn keeps, how many turns the door stays open, and how many fit: 32 and 64 MiB with
    // what a turn takes itself, or the 8,192 that the journal's road bears.
    for (bytes, n_before, n_fit) in [(MIB, 31, 63_u64), (1_024, 8_192, 52_428)] {
        let mut it = disk();
        let release = it.hang();
        for n in 0..n_fit {
            it.spool.agent_fact(vec![0; bytes]);
            assert_eq!(it.spool.end_turn(), n < n_before, "{n}");
        }
        assert_eq!(it.counted("hotline_spool_lost_total"), 0);
        // There is no room for more, and who asked for it does not wait for ever.
        let (asker, mut answered) = oneshot::channel();
        it.spool.agent_fact(vec![0; bytes]);
        it.spool.answer(Answer { asker, result: Err(Refused::UnknownAgent) });
        assert!(!it.spool.end_turn());
        assert_eq!(answered.try_recv(), Ok(Err(Refused::UnknownAgent)));
        assert_eq!(it.counted("hotline_spool_lost_total"), 1);

        drop(release);
        let all_saved = async {
            while !it.spool.end_turn() {
                tokio::task::yield_now().await;
            }
            it.spool.keep("key".to_owned(), None);
            it.save().await;
        };
        timeout(Duration::from_mins(2), all_saved).await.unwrap();
        assert_eq!(it.opened.journal.stats().n_commits, n_fit + 1);
    }
}

/// A flood of calls that are turned away while the disk is full.
#[tokio::test]
async fn calls_that_are_turned_away_leave_the_memory_to_those_that_people_had() {
    let mut it = disk();
    // Nothing can be written from here on.
    std::fs::remove_dir_all(it.folder.path()).unwrap();
    let refused = record(true);
    for _ in 0..40 {
        it.spool.record(&refused).unwrap();
        it.spool.keep("key".to_owned(), None);
        it.save().await;
    }
    assert_eq!(it.counted("hotline_dropped_total{what=\"refusal\"}"), 24);
    it.spool.ladder(vec![0; 10]);
    assert_eq!(it.counted("hotline_dropped_total{what=\"ladder\"}"), 1);
    let spoken = record(false);
    for _ in 0..40 {
        it.spool.record(&spoken).unwrap();
        it.save().await;
    }
    assert_eq!(it.counted("hotline_spool_lost_total"), 0);
    let held = it.opened.journal.stats().backlog_bytes;
    assert!((56 * MIB as u64..57 * MIB as u64).contains(&held), "{held}");
}
