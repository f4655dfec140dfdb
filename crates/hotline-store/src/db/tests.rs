//! Stories of the tables.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use hotline_base::{AgentNo, CallId, Pii, RecordingId, WallTime};
use rustix::process::getpriority_process;
use sqlx::Row;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    Entry, Item, Journal, JournalConfig, Kind, LOADER, Loader, LoaderStats, Opened, Position,
    fixture::{EPOCH, agent_fact, answered, in_flow},
    priority::tests::nices_of,
};

const NOW: WallTime = WallTime(EPOCH);

fn target() -> PushTarget {
    PushTarget {
        name: "orders".to_owned(),
        call_records: true,
        agent_states: true,
        recordings: true,
    }
}

fn at(offset: u64) -> Position {
    Position { segment: 1, offset }
}

fn record(offset: u64, record: &hotline_cdr::CallRecord) -> Entry {
    Entry {
        at: at(offset),
        idx: 0,
        kind: Kind::CallRecord,
        payload: borsh::to_vec(record).unwrap(),
    }
}

async fn database(dir: &TempDir) -> Database {
    let config = DatabaseConfig {
        busy_max: Duration::from_millis(50),
        ..DatabaseConfig::new(dir.path().join("hotline.db"))
    };
    let database = Database::new(&config);
    database.prepare().await.unwrap();
    database
}

/// Many calls of nobody, written at once.
async fn fill(database: &Database, n: i64) {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         INSERT INTO calls (call_id, version, t_in, called_no, called_raw, outcome, duration_ms,
                            wait_ms, talk_ms, record_json, facts_json)
         SELECT i, 1, i, '12345', '12345', 'answered', 0, 0, 0, '{}', '[]' FROM n";
    sqlx::query(sql).bind(n).execute(&database.writer).await.unwrap();
}

#[tokio::test]
async fn a_search_that_takes_too_long_is_stopped_and_keeps_nobody_waiting() {
    let dir = TempDir::new().unwrap();
    let database = |search_max| {
        let config = DatabaseConfig::new(dir.path().join("hotline.db"));
        Database::new(&DatabaseConfig { search_max, ..config })
    };
    let hasty = database(Duration::ZERO);
    hasty.prepare().await.unwrap();
    fill(&hasty, 20_000).await;
    // Of this there is no index and no such call: all are looked at.
    let query = CallQuery { outcome: Some("lost".to_owned()), n_max: 1, ..CallQuery::default() };
    for _ in 0..3 {
        let it = hasty.calls(&query, &Sight::All).await;
        assert!(matches!(it, Err(StoreError::TooLong)), "{it:?}");
    }
    let patient = database(Duration::from_secs(30));
    patient.prepare().await.unwrap();
    assert_eq!(patient.calls(&query, &Sight::All).await.unwrap(), CallPage::default());

    // As many as may search do not end, and whoever asks by a key or writes is served.
    let stop = Arc::new(AtomicBool::new(false));
    let mut held = Vec::new();
    for _ in 0..2 {
        let (mut conn, stop) = (patient.searcher().await.unwrap(), Arc::clone(&stop));
        let goes_on = move || !stop.load(Ordering::Relaxed);
        conn.lock_handle().await.unwrap().set_progress_handler(1_000, goes_on);
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
             SELECT COUNT(*) FROM n";
        held.push(tokio::spawn(async move { sqlx::query(endless).fetch_one(&mut *conn).await }));
    }
    assert!(patient.call(CallId(7_000_000), &Sight::All).await.unwrap().is_none());
    load(&patient, &[record(0, &answered(8_000_000, 1, "1001", "138"))], 100).await;
    assert!(patient.call(CallId(8_000_000), &Sight::All).await.unwrap().is_some());
    assert!(held.iter().all(|it| !it.is_finished()));
    stop.store(true, Ordering::Relaxed);
    for it in held {
        let it = StoreError::from(it.await.unwrap().unwrap_err());
        assert!(matches!(it, StoreError::TooLong), "{it:?}");
    }
}

#[tokio::test]
async fn a_search_through_all_records_stands_back_behind_talks() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    fill(&database, 20_000).await;
    let query = CallQuery { outcome: Some("lost".to_owned()), n_max: 1, ..CallQuery::default() };
    assert_eq!(database.calls(&query, &Sight::All).await.unwrap(), CallPage::default());
    let nices = nices_of("search-");
    assert!(!nices.is_empty() && nices.iter().any(|it| *it >= 10), "{nices:?}");
    // Everybody else's questions do not.
    let own = nices_of("sqlx-sqlite");
    let usual = getpriority_process(None).unwrap();
    assert!(!own.is_empty() && own.iter().all(|it| *it == usual), "{own:?}, {usual}");
}

async fn load(database: &Database, entries: &[Entry], next: u64) {
    let items: Vec<_> = entries.iter().map(|it| (it.at, load::Item::read(it.clone()))).collect();
    database.load(LOADER, &items, at(next), &[target()], NOW).await.unwrap();
}

async fn count(database: &Database, table: &str) -> i64 {
    let mut sql = sqlx::QueryBuilder::<Db>::new("SELECT COUNT(*) FROM ");
    sql.push(table);
    sql.build().fetch_one(&database.writer).await.unwrap().try_get(0).unwrap()
}

async fn ids(database: &Database, query: &CallQuery, sight: &Sight) -> Vec<String> {
    let page = database.calls(query, sight).await.unwrap();
    page.items.into_iter().map(|it| it.call_id).collect()
}

fn all() -> CallQuery {
    CallQuery { n_max: 100, ..CallQuery::default() }
}

#[tokio::test]
async fn record_read_again_after_a_crash_is_one_call_and_one_push() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let it = answered(1, 1, "1001", "13800138000");
    load(&database, &[record(0, &it)], 100).await;
    // The same place again, as after a crash; and a copy elsewhere, as after a broken sync.
    load(&database, &[record(0, &it)], 100).await;
    load(&database, &[record(100, &it)], 200).await;
    assert_eq!(count(&database, "calls").await, 1);
    assert_eq!(count(&database, "call_segments").await, 1);
    assert_eq!(count(&database, "queue_segments").await, 1);
    assert_eq!(count(&database, "ratings").await, 1);
    assert_eq!(count(&database, "recordings").await, 1);
    let shown = database.call(CallId(1), &Sight::All).await.unwrap().unwrap();
    assert_eq!(shown.facts.unwrap().len(), it.facts.len());
    assert_eq!(count(&database, "push_outbox").await, 1);
    assert_eq!(database.cursor(LOADER).await.unwrap(), Some(at(200)));
}

#[tokio::test]
async fn newer_version_of_a_record_wins_whatever_the_order() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let old = answered(1, 1, "1001", "13800138000");
    let new = answered(1, 2, "1001", "13800138000");
    load(&database, &[record(0, &new), record(50, &old)], 100).await;
    let it = database.call(CallId(1), &Sight::All).await.unwrap().unwrap();
    assert_eq!(it.version, 2);
    assert!(it.recordings[0].sealed);
    let place = database.recording(&RecordingId::new("rec-1")).await.unwrap().unwrap();
    assert!(place.sealed);
    assert_eq!(place.path, "2026/1.wav");
    assert_eq!(place.agents, [AgentNo::new("1001")]);
    assert_eq!(count(&database, "push_outbox").await, 1);
}

#[tokio::test]
async fn question_that_is_faster_than_the_tables_waits_for_them() {
    let dir = TempDir::new().unwrap();
    let database = Database::new(&DatabaseConfig::new(dir.path().join("hotline.db")));
    let query = all();
    let (page, prepared) = tokio::join!(database.calls(&query, &Sight::All), database.prepare());
    prepared.unwrap();
    assert!(page.unwrap().items.is_empty());
}

#[tokio::test]
async fn record_that_is_not_complete_is_shown_and_not_pushed() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let whole = answered(1, 2, "1001", "13800138000");
    let begun = hotline_cdr::CallRecord { version: 1, complete: false, ..whole.clone() };
    load(&database, &[record(0, &begun)], 1).await;
    assert!(!database.call(CallId(1), &Sight::All).await.unwrap().unwrap().complete);
    assert_eq!(count(&database, "push_outbox").await, 0);
    load(&database, &[record(1, &whole)], 2).await;
    assert_eq!(count(&database, "push_outbox").await, 1);
}

#[tokio::test]
async fn agents_state_read_twice_is_one_row() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let entry = |offset, ms| Entry {
        at: at(offset),
        idx: 0,
        kind: Kind::AgentFact,
        payload: borsh::to_vec(&agent_fact("1001", ms)).unwrap(),
    };
    load(&database, &[entry(0, 1), entry(10, 1), entry(20, 2)], 30).await;
    assert_eq!(count(&database, "agent_states").await, 2);
    assert_eq!(count(&database, "push_outbox").await, 2);
}

#[tokio::test]
async fn ladder_is_read_as_it_was_written_until_its_time_is_over() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let entry = |offset, trace: &[u8]| Entry {
        at: at(offset),
        idx: 0,
        kind: Kind::Ladder,
        payload: borsh::to_vec(&(CallId(7), trace.to_vec())).unwrap(),
    };
    load(&database, &[entry(0, b"old"), entry(10, b"\x00\xABnew")], 20).await;
    assert_eq!(database.ladder(CallId(7)).await.unwrap().unwrap(), b"\x00\xABnew");
    assert_eq!(database.ladder(CallId(8)).await.unwrap(), None);
    let keep = Duration::from_hours(1);
    let later = |ms| WallTime(NOW.0 + 3_600_000 + ms);
    assert_eq!(database.forget_ladders(keep, later(0)).await.unwrap(), 0);
    assert_eq!(database.forget_ladders(keep, later(1)).await.unwrap(), 1);
    assert_eq!(database.ladder(CallId(7)).await.unwrap(), None);
}

#[tokio::test]
async fn item_of_another_version_is_kept_and_stops_nothing() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let strange = Entry { at: at(0), idx: 0, kind: Kind::CallRecord, payload: vec![1, 2, 0xAB] };
    load(&database, &[strange, record(10, &in_flow(1, "13800138000"))], 20).await;
    assert_eq!(count(&database, "calls").await, 1);
    let row = sqlx::query("SELECT payload_hex FROM unreadable_items")
        .fetch_one(&database.writer)
        .await
        .unwrap();
    assert_eq!(row.try_get::<String, _>(0).unwrap(), "0102ab");
}

#[tokio::test]
async fn calls_are_found_by_every_filter() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let entries = [
        record(0, &answered(1, 1, "1001", "13800138000")),
        record(1, &answered(2, 1, "1002", "13900139000")),
        record(2, &in_flow(3, "07715551234")),
    ];
    load(&database, &entries, 3).await;
    let pii = |it: &str| Some(Pii::new(it.to_owned()));
    let time = |s: i64| Some(WallTime(EPOCH + s * 1000));
    let text = |it: &str| Some(it.to_owned());
    for (query, wanted) in [
        (all(), vec!["3", "2", "1"]),
        (CallQuery { from: time(2), ..all() }, vec!["3", "2"]),
        (CallQuery { to: time(2), ..all() }, vec!["1"]),
        (CallQuery { caller_no: pii("13800138000"), ..all() }, vec!["1"]),
        (CallQuery { caller_no: pii("13*"), ..all() }, vec!["2", "1"]),
        (CallQuery { caller_no: pii("1380013800"), ..all() }, vec![]),
        (CallQuery { called_no: text("12345"), ..all() }, vec!["3", "2", "1"]),
        (CallQuery { called_no: text("12348"), ..all() }, vec![]),
        (CallQuery { agent: Some("1002".into()), ..all() }, vec!["2"]),
        (CallQuery { group: Some("general".into()), ..all() }, vec!["2", "1"]),
        (CallQuery { outcome: text("in_flow"), ..all() }, vec!["3"]),
        (CallQuery { recording: Some("rec-2".into()), ..all() }, vec!["2"]),
        (CallQuery { outcome: text("' OR 1=1 --"), ..all() }, vec![]),
    ] {
        assert_eq!(ids(&database, &query, &Sight::All).await, wanted, "{query:?}");
    }
}

#[tokio::test]
async fn pages_show_every_call_once() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let entries: Vec<Entry> =
        (0..7).map(|call| record(call, &in_flow(call, "13800138000"))).collect();
    load(&database, &entries, 7).await;
    let mut seen = Vec::new();
    let mut query = CallQuery { n_max: 3, ..CallQuery::default() };
    loop {
        let page = database.calls(&query, &Sight::All).await.unwrap();
        seen.extend(page.items.into_iter().map(|it| it.call_id));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["6", "5", "4", "3", "2", "1", "0"]);
    query.after = Some("nonsense".to_owned());
    let refused = database.calls(&query, &Sight::All).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)));
}

#[tokio::test]
async fn agent_sees_numbers_of_own_calls_only() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let entries = [
        record(0, &answered(1, 1, "1001", "13800138000")),
        record(1, &answered(2, 1, "1002", "13900139000")),
    ];
    load(&database, &entries, 2).await;
    let nobody = CallQuery { caller_no: Some(Pii::new("13800138000".to_owned())), ..all() };
    assert!(ids(&database, &nobody, &Sight::Masked).await.is_empty());
    for it in database.calls(&all(), &Sight::Masked).await.unwrap().items {
        assert!(it.masked && it.caller_no.is_none_or(|it| it.contains('*')));
    }
    let own = Sight::Agent(AgentNo::new("1001"));
    let page = database.calls(&all(), &own).await.unwrap();
    let numbers: Vec<_> = page.items.iter().map(|it| it.caller_no.clone().unwrap()).collect();
    assert_eq!(numbers, ["139****9000", "13800138000"]);
    let other = database.call(CallId(2), &own).await.unwrap().unwrap();
    assert!(other.masked);
    assert!(!serde_json::to_string(&other).unwrap().contains("13900139000"));
    // A masked number cannot be guessed by asking.
    let query = CallQuery { caller_no: Some(Pii::new("139*".to_owned())), ..all() };
    assert!(ids(&database, &query, &own).await.is_empty());
}

#[tokio::test]
async fn recording_outside_the_directory_is_not_given_out() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let mut it = answered(1, 1, "1001", "13800138000");
    it.recordings[0].path = "../../etc/passwd".to_owned();
    load(&database, &[record(0, &it)], 1).await;
    assert_eq!(database.recording(&RecordingId::new("rec-1")).await.unwrap(), None);
}

#[tokio::test]
async fn pushes_of_one_call_wait_for_each_other_and_others_do_not() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let entries = [
        record(0, &answered(1, 1, "1001", "13800138000")),
        record(1, &answered(1, 2, "1001", "13800138000")),
        record(2, &answered(2, 1, "1001", "13800138000")),
    ];
    load(&database, &entries, 3).await;
    let free = BTreeSet::new();
    let due = |now: i64| database.push_due("orders", WallTime(now), 10, &free);
    let names = |rows: Vec<PushRow>| rows.into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(names(due(EPOCH).await.unwrap()), ["call-1-1", "call-2-1"]);
    let busy = BTreeSet::from(["call-1".to_owned()]);
    let rest = database.push_due("orders", NOW, 10, &busy).await.unwrap();
    assert_eq!(names(rest), ["call-2-1"]);
    assert_eq!(names(database.push_due("others", NOW, 10, &free).await.unwrap()), [""; 0]);

    let again = PushVerdict::Retry { at: WallTime(EPOCH + 500), why: "slow".to_owned() };
    let settle = |id: &str, it: PushVerdict| vec![(id.to_owned(), it)];
    database.push_settle("orders", &settle("call-1-1", again), NOW).await.unwrap();
    assert_eq!(names(due(EPOCH).await.unwrap()), ["call-2-1"]);
    let busy = BTreeSet::from(["call-2".to_owned()]);
    let next = database.push_next_due("orders", &busy).await.unwrap();
    assert_eq!(next, Some(WallTime(EPOCH + 500)));
    let rows = due(EPOCH + 500).await.unwrap();
    assert_eq!(rows[1].n_attempts, 1);

    database.push_settle("orders", &settle("call-1-1", PushVerdict::Done), NOW).await.unwrap();
    assert_eq!(names(due(EPOCH).await.unwrap()), ["call-1-2", "call-2-1"]);
    let backlog = database.push_backlog("orders").await.unwrap();
    assert_eq!((backlog.n_waiting, backlog.oldest), (2, Some(NOW)));
}

#[tokio::test]
async fn dead_letter_is_listed_lets_the_next_pass_and_can_be_sent_again() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    let entries = [
        record(0, &answered(1, 1, "1001", "13800138000")),
        record(1, &answered(1, 2, "1001", "13800138000")),
    ];
    load(&database, &entries, 2).await;
    let free = BTreeSet::new();
    let dead = PushVerdict::Dead { why: "refused with 422".to_owned() };
    database.push_settle("orders", &[("call-1-1".to_owned(), dead)], NOW).await.unwrap();
    let rows = database.push_due("orders", NOW, 10, &free).await.unwrap();
    assert_eq!(rows[0].id, "call-1-2");
    let page = database.dead_letters(10, None).await.unwrap();
    assert_eq!(page.items[0].id, "orders:call-1-1");
    assert_eq!(page.items[0].why, "refused with 422");
    assert_eq!(database.push_backlog("orders").await.unwrap().n_dead, 1);

    let mut watch = database.push_watch();
    assert!(database.resend("orders:call-1-1", NOW).await.unwrap());
    assert!(watch.has_changed().unwrap());
    watch.mark_unchanged();
    assert!(!database.resend("orders:call-1-1", NOW).await.unwrap());
    assert!(!database.resend("nothing", NOW).await.unwrap());
    assert!(database.dead_letters(10, None).await.unwrap().items.is_empty());
    let done = |id: &str| [(id.to_owned(), PushVerdict::Done)];
    database.push_settle("orders", &done("call-1-2"), NOW).await.unwrap();
    let rows = database.push_due("orders", NOW, 10, &free).await.unwrap();
    assert_eq!((rows[0].id.as_str(), rows[0].n_attempts), ("call-1-1", 0));
    assert!(rows[0].body.contains("13800138000"));
}

#[tokio::test]
async fn target_that_is_well_again_gets_everything_at_once() {
    let dir = TempDir::new().unwrap();
    let database = database(&dir).await;
    load(&database, &[record(0, &in_flow(1, "13800138000"))], 1).await;
    let late = PushVerdict::Retry { at: WallTime(EPOCH + 600_000), why: "down".to_owned() };
    database.push_settle("orders", &[("call-1-1".to_owned(), late)], NOW).await.unwrap();
    let free = BTreeSet::new();
    assert!(database.push_due("orders", NOW, 10, &free).await.unwrap().is_empty());
    database.push_hurry("orders", NOW).await.unwrap();
    assert_eq!(database.push_due("orders", NOW, 10, &free).await.unwrap().len(), 1);
    let done = [("call-1-1".to_owned(), PushVerdict::Done)];
    database.push_settle("orders", &done, NOW).await.unwrap();
    assert_eq!(database.push_forget(NOW).await.unwrap(), 0);
    let later = WallTime(EPOCH + 8 * 24 * 3_600_000);
    assert_eq!(database.push_forget(later).await.unwrap(), 1);
}

/// A journal with a loader that can be stopped.
struct Line {
    stop: watch::Sender<bool>,
    stats: watch::Receiver<LoaderStats>,
    task: JoinHandle<()>,
}

fn start(opened: &Opened, database: &Database, dir: &TempDir) -> Line {
    let (stop, stopping) = watch::channel(false);
    let (tell, stats) = watch::channel(LoaderStats::default());
    let loader = Loader {
        journal: opened.journal.clone(),
        database: database.clone(),
        targets: vec![target()],
        recording_dirs: vec![dir.path().join("recordings")],
        ladders_for: Duration::from_hours(24),
    };
    Line { stop, stats, task: tokio::spawn(loader.run(tell, stopping)) }
}

impl Line {
    async fn until(&mut self, is_so: impl FnMut(&LoaderStats) -> bool) {
        self.stats.wait_for(is_so).await.unwrap();
    }

    async fn end(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

fn journal(dir: &TempDir) -> Opened {
    let config =
        JournalConfig { segment_bytes: 16 << 10, ..JournalConfig::new(dir.path().join("journal")) };
    Journal::open(config).unwrap()
}

fn save(journal: &Journal, record: &hotline_cdr::CallRecord) {
    let (tell, told) = mpsc::channel();
    let payload = borsh::to_vec(record).unwrap();
    let done = Box::new(move |saved| tell.send(saved).unwrap());
    journal.append(vec![Item { kind: Kind::CallRecord, payload }], done).unwrap();
    told.recv().unwrap();
}

#[tokio::test]
async fn records_reach_the_tables_and_their_segments_go() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("recordings/2026")).unwrap();
    let opened = journal(&dir);
    let database = database(&dir).await;
    let mut line = start(&opened, &database, &dir);
    for call in 0..40 {
        save(&opened.journal, &answered(call, 2, "1001", "13800138000"));
    }
    line.until(|it| it.n_items == 40).await;
    assert_eq!(count(&database, "calls").await, 40);
    let sidecar = fs::read_to_string(dir.path().join("recordings/2026/7.json")).unwrap();
    let sidecar: serde_json::Value = serde_json::from_str(&sidecar).unwrap();
    assert_eq!(sidecar["recording_id"], "rec-7");
    assert_eq!(sidecar["duration_ms"], 52_000);
    assert_eq!(sidecar["segments"][0]["to_ms"], 52_000);
    assert_eq!(
        (&sidecar["chain"]["seq"], &sidecar["chain"]["previous"]),
        (&8.into(), &"2026/6.json".into())
    );
    line.end().await;
    // A second life finds nothing left to do, and adds nothing.
    let line = start(&opened, &database, &dir);
    line.end().await;
    assert_eq!(count(&database, "push_outbox").await, 40);
    opened.running.close();
    let opened = journal(&dir);
    assert_eq!(opened.journal.stats().n_segments, 2);
    opened.running.close();
}

#[tokio::test]
async fn locked_database_delays_records_and_loses_none() {
    let dir = TempDir::new().unwrap();
    let opened = journal(&dir);
    let database = database(&dir).await;
    let lock = SqliteConnectOptions::new().filename(dir.path().join("hotline.db"));
    let lock = SqlitePoolOptions::new().max_connections(1).connect_with(lock).await.unwrap();
    let tx = lock.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    let mut line = start(&opened, &database, &dir);
    save(&opened.journal, &answered(1, 1, "1001", "13800138000"));
    line.until(|it| it.is_stuck && it.n_failures >= 2).await;
    tx.rollback().await.unwrap();
    line.until(|it| !it.is_stuck && it.n_items == 1).await;
    assert_eq!(count(&database, "calls").await, 1);
    line.end().await;
    opened.running.close();
}

#[tokio::test]
async fn absent_database_is_waited_for() {
    let dir = TempDir::new().unwrap();
    let opened = journal(&dir);
    let place = dir.path().join("later");
    let database = Database::new(&DatabaseConfig::new(place.join("hotline.db")));
    let mut line = start(&opened, &database, &dir);
    assert!(!line.stats.borrow().is_well(), "nobody has opened it yet");
    save(&opened.journal, &in_flow(1, "13800138000"));
    line.until(|it| it.is_stuck).await;
    assert!(!line.stats.borrow().is_ready);
    fs::create_dir(place).unwrap();
    line.until(|it| it.is_well() && it.n_items == 1).await;
    assert_eq!(count(&database, "calls").await, 1);
    line.end().await;
    opened.running.close();
}
