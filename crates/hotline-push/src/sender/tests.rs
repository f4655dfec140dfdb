//! Stories of receivers, on paused time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
};

use tokio::{task::JoinHandle, time::Instant};

use super::*;

/// Milliseconds on the wall when a test begins.
const START: i64 = 1_795_219_200_000;

struct Row {
    delivery: Delivery,
    next_at: WallTime,
}

/// An outbox in memory that forgets nothing when a sender dies.
#[derive(Clone)]
struct Shelf {
    rows: Arc<Mutex<VecDeque<Row>>>,
    dead: Arc<Mutex<Vec<(String, String)>>>,
    is_away: Arc<AtomicBool>,
    added: Arc<watch::Sender<u64>>,
    settled: Arc<watch::Sender<u64>>,
}

impl Shelf {
    fn new() -> Self {
        Self {
            rows: Arc::default(),
            dead: Arc::default(),
            is_away: Arc::default(),
            added: Arc::new(watch::channel(0).0),
            settled: Arc::new(watch::channel(0).0),
        }
    }

    fn add(&self, id: &str, order_key: &str) {
        let delivery = Delivery {
            id: id.to_owned(),
            order_key: order_key.to_owned(),
            kind: "call.finished".to_owned(),
            body: format!("{{\"id\":\"{id}\"}}"),
            created: wall(),
            n_attempts: 0,
        };
        self.rows.lock().unwrap().push_back(Row { delivery, next_at: wall() });
        self.added.send_modify(|it| *it += 1);
    }

    fn n_waiting(&self) -> usize {
        self.rows.lock().unwrap().len()
    }

    /// The oldest of each order key.
    fn heads<T>(&self, busy: &BTreeSet<String>, mut take: impl FnMut(&Row) -> Option<T>) -> Vec<T> {
        let mut seen = busy.clone();
        let rows = self.rows.lock().unwrap();
        let mut heads: Vec<&Row> =
            rows.iter().filter(|it| seen.insert(it.delivery.order_key.clone())).collect();
        heads.sort_by_key(|it| it.next_at);
        heads.into_iter().filter_map(&mut take).collect()
    }

    fn reach(&self) -> Result<(), OutboxError> {
        if self.is_away.load(Ordering::SeqCst) { Err(OutboxError) } else { Ok(()) }
    }
}

impl Outbox for Shelf {
    async fn due(
        &self,
        _: &str,
        now: WallTime,
        n_max: usize,
        busy: &BTreeSet<String>,
    ) -> Result<Vec<Delivery>, OutboxError> {
        self.reach()?;
        let mut due = self.heads(busy, |it| (it.next_at <= now).then(|| it.delivery.clone()));
        due.truncate(n_max);
        Ok(due)
    }

    async fn next_due(
        &self,
        _: &str,
        busy: &BTreeSet<String>,
    ) -> Result<Option<WallTime>, OutboxError> {
        self.reach()?;
        Ok(self.heads(busy, |it| Some(it.next_at)).into_iter().next())
    }

    async fn settle(&self, _: &str, verdicts: &[(Delivery, Verdict)]) -> Result<(), OutboxError> {
        self.reach()?;
        let mut rows = self.rows.lock().unwrap();
        for (delivery, verdict) in verdicts {
            let at = rows.iter().position(|it| it.delivery.id == delivery.id).unwrap();
            match verdict {
                Verdict::Done => drop(rows.remove(at)),
                Verdict::Dead { why } => {
                    rows.remove(at);
                    self.dead.lock().unwrap().push((delivery.id.clone(), why.clone()));
                }
                Verdict::Retry { at: next_at, .. } => {
                    rows[at].next_at = *next_at;
                    rows[at].delivery.n_attempts += 1;
                }
            }
        }
        self.settled.send_modify(|it| *it += 1);
        Ok(())
    }

    async fn hurry(&self, _: &str, now: WallTime) -> Result<(), OutboxError> {
        self.reach()?;
        let mut rows = self.rows.lock().unwrap();
        rows.iter_mut().for_each(|it| it.next_at = it.next_at.min(now));
        Ok(())
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.added.subscribe()
    }
}

/// By key and attempt.
type Script = Box<dyn Fn(&str, u32) -> Does + Send + Sync>;

/// When, headers, body.
type Request = (Instant, BTreeMap<&'static str, String>, String);

/// Answers as the script says and remembers what it stored, by key.
struct Receiver {
    script: Script,
    /// What it stored, in order, each key once.
    stored: Mutex<Vec<String>>,
    requests: Mutex<Vec<Request>>,
}

#[derive(Clone, Copy)]
enum Does {
    Answers(u16),
    /// Stores the event and breaks the connection.
    StoresAndBreaks,
    Hangs,
}

impl Receiver {
    fn new(script: impl Fn(&str, u32) -> Does + Send + Sync + 'static) -> Arc<Self> {
        let (stored, requests) = (Mutex::default(), Mutex::default());
        Arc::new(Self { script: Box::new(script), stored, requests })
    }

    fn store(&self, id: &str) {
        let mut stored = self.stored.lock().unwrap();
        if !stored.iter().any(|it| it == id) {
            stored.push(id.to_owned());
        }
    }

    fn stored(&self) -> Vec<String> {
        self.stored.lock().unwrap().clone()
    }

    fn n_requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

impl Post for Receiver {
    async fn post(&self, request: PushRequest) -> Result<u16, PostError> {
        let headers: BTreeMap<_, _> = request.headers.into_iter().collect();
        let id = headers["idempotency-key"].clone();
        let attempt = headers["x-hotline-attempt"].parse().unwrap();
        self.requests.lock().unwrap().push((Instant::now(), headers, request.body));
        match (self.script)(&id, attempt) {
            Does::Answers(status) => {
                if (200..300).contains(&status) {
                    self.store(&id);
                }
                Ok(status)
            }
            Does::StoresAndBreaks => {
                self.store(&id);
                Err(PostError::Broken)
            }
            Does::Hangs => {
                sleep(request.timeout).await;
                Err(PostError::Timeout)
            }
        }
    }
}

thread_local! {
    static BEGAN: Instant = Instant::now();
}

/// Follows the paused clock. A test runs on one thread.
fn wall() -> WallTime {
    let since = BEGAN.with(Instant::elapsed);
    WallTime(START + i64::try_from(since.as_millis()).unwrap())
}

struct Run {
    stop: watch::Sender<bool>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

fn start(shelf: &Shelf, receiver: &Arc<Receiver>) -> Run {
    let target = Target::new("orders", "http://receiver/", Secret::new("secret"));
    let clock: Clock = Arc::new(wall);
    let sender = Sender::new(target, shelf.clone(), Arc::clone(receiver), clock, 7);
    let counts = sender.counts();
    let (stop, stopping) = watch::channel(false);
    Run { stop, counts, task: tokio::spawn(sender.run(stopping)) }
}

impl Run {
    async fn end(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

/// Lets paused time pass until nothing waits. Gives how long it took.
async fn drained(shelf: &Shelf) -> Duration {
    let began = Instant::now();
    let mut settled = shelf.settled.subscribe();
    while shelf.n_waiting() > 0 {
        settled.changed().await.unwrap();
        assert!(began.elapsed() < Duration::from_hours(200), "never drained");
    }
    began.elapsed()
}

async fn pass(secs: u64) {
    sleep(Duration::from_secs(secs)).await;
}

#[tokio::test(start_paused = true)]
async fn event_arrives_at_once_signed_and_with_its_key() {
    let shelf = Shelf::new();
    let receiver = Receiver::new(|_, _| Does::Answers(200));
    let run = start(&shelf, &receiver);
    pass(100).await;
    shelf.add("call-1-2", "call-1");
    assert!(drained(&shelf).await < Duration::from_millis(50));
    {
        let requests = receiver.requests.lock().unwrap();
        let (_, headers, body) = &requests[0];
        let timestamp_s = START / 1000 + 100;
        assert_eq!(headers["x-hotline-timestamp"], timestamp_s.to_string());
        let wanted = sign(&Secret::new("secret"), timestamp_s, "call-1-2", body);
        assert_eq!(headers["x-hotline-signature"], wanted);
        assert_eq!(headers["x-hotline-event"], "call.finished");
        assert_eq!(headers["content-type"], "application/json");
    }
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn receiver_down_for_ten_minutes_loses_nothing_and_gets_each_call_in_order() {
    let shelf = Shelf::new();
    wall();
    let receiver = Receiver::new(|_, _| match wall().0 - START {
        0..600_000 => Does::Answers(503),
        _ => Does::Answers(200),
    });
    let run = start(&shelf, &receiver);
    for n in 0..200 {
        shelf.add(&format!("{n}"), &format!("call-{}", n / 2));
    }
    pass(300).await;
    assert!(run.counts.is_down.load(Ordering::Relaxed));
    // One probe at a time, at most every 30 s: a sick receiver is left in peace.
    assert!(receiver.n_requests() < 40, "{}", receiver.n_requests());
    pass(300).await;
    let took = drained(&shelf).await;
    assert!(took < Duration::from_secs(35), "{took:?}");
    let stored = receiver.stored();
    assert_eq!(stored.len(), 200);
    let place = |n: usize| stored.iter().position(|it| *it == n.to_string()).unwrap();
    assert!((0..100).all(|call| place(2 * call) < place(2 * call + 1)));
    assert!(shelf.dead.lock().unwrap().is_empty());
    assert!(!run.counts.is_down.load(Ordering::Relaxed));
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn event_whose_answer_was_lost_comes_again_under_the_same_key() {
    let shelf = Shelf::new();
    let receiver = Receiver::new(|_, attempt| match attempt {
        1 => Does::StoresAndBreaks,
        2 => Does::Hangs,
        _ => Does::Answers(201),
    });
    let run = start(&shelf, &receiver);
    shelf.add("a", "call-1");
    shelf.add("b", "call-1");
    drained(&shelf).await;
    assert_eq!(receiver.stored(), ["a", "b"]);
    assert_eq!(receiver.n_requests(), 6);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn waits_grow_between_attempts() {
    let shelf = Shelf::new();
    let receiver = Receiver::new(|_, attempt| Does::Answers(if attempt < 5 { 500 } else { 200 }));
    let run = start(&shelf, &receiver);
    shelf.add("a", "call-1");
    drained(&shelf).await;
    let times: Vec<Instant> = receiver.requests.lock().unwrap().iter().map(|it| it.0).collect();
    let waits: Vec<u128> =
        times.windows(2).map(|it| it[1].duration_since(it[0]).as_millis()).collect();
    for (wait, longest) in waits.iter().zip([1000, 2000, 4000, 8000]) {
        assert!(*wait >= longest * 3 / 4 && *wait <= longest + 10, "{waits:?}");
    }
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn poison_event_becomes_a_dead_letter_and_blocks_no_other_call() {
    let shelf = Shelf::new();
    let receiver = Receiver::new(|id, _| Does::Answers(if id == "bad" { 422 } else { 200 }));
    let run = start(&shelf, &receiver);
    shelf.add("bad", "call-1");
    shelf.add("after", "call-1");
    for n in 0..20 {
        shelf.add(&format!("{n}"), &format!("call-{}", n + 2));
    }
    pass(1).await;
    assert_eq!(receiver.stored().len(), 20, "the others went at once");
    drained(&shelf).await;
    assert_eq!(receiver.stored().last().unwrap(), "after");
    let dead = shelf.dead.lock().unwrap().clone();
    assert_eq!(dead, [("bad".to_owned(), "the receiver refused it with 422".to_owned())]);
    assert_eq!(run.counts.n_dead.load(Ordering::Relaxed), 1);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn event_that_breaks_the_receiver_is_given_up_while_others_pass() {
    let shelf = Shelf::new();
    let receiver = Receiver::new(|id, _| Does::Answers(if id == "bad" { 500 } else { 200 }));
    let run = start(&shelf, &receiver);
    shelf.add("bad", "call-1");
    shelf.add("after", "call-1");
    let mut n = 0;
    while shelf.dead.lock().unwrap().is_empty() {
        n += 1;
        shelf.add(&format!("{n}"), &format!("call-{n}-other"));
        pass(10).await;
        assert!(n < 2000, "never given up");
    }
    drained(&shelf).await;
    assert_eq!(receiver.stored().len(), n + 1);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn event_nobody_takes_for_three_days_becomes_a_dead_letter() {
    let shelf = Shelf::new();
    let receiver = Receiver::new(|_, _| Does::Answers(404));
    let run = start(&shelf, &receiver);
    shelf.add("a", "call-1");
    let took = drained(&shelf).await;
    assert!(took >= Duration::from_hours(72) && took < Duration::from_hours(73), "{took:?}");
    assert_eq!(shelf.dead.lock().unwrap()[0].1, "the receiver answered 404");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_a_slow_receiver_side_by_side() {
    let shelf = Shelf::new();
    let receiver = Receiver::new(|_, attempt| match attempt {
        1 => Does::Hangs,
        _ => Does::Answers(200),
    });
    let run = start(&shelf, &receiver);
    for n in 0..4 {
        shelf.add(&format!("{n}"), &format!("call-{n}"));
    }
    // One time-out of five seconds and one wait, not four of each.
    let took = drained(&shelf).await;
    assert!(took < Duration::from_secs(7), "{took:?}");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn outbox_that_is_away_delays_and_doubles_nothing() {
    let shelf = Shelf::new();
    let receiver = Receiver::new(|_, _| Does::Answers(200));
    let run = start(&shelf, &receiver);
    shelf.add("a", "call-1");
    drained(&shelf).await;
    shelf.is_away.store(true, Ordering::SeqCst);
    shelf.add("b", "call-2");
    pass(60).await;
    assert!(run.counts.is_stuck.load(Ordering::Relaxed));
    assert_eq!(receiver.n_requests(), 1);
    shelf.is_away.store(false, Ordering::SeqCst);
    drained(&shelf).await;
    assert_eq!(receiver.n_requests(), 2);
    assert!(!run.counts.is_stuck.load(Ordering::Relaxed));
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn sent_event_is_not_sent_again_while_the_outbox_cannot_note_it() {
    let shelf = Shelf::new();
    let away = Arc::clone(&shelf.is_away);
    let receiver = Receiver::new(move |_, _| {
        away.store(true, Ordering::SeqCst);
        Does::Answers(200)
    });
    let run = start(&shelf, &receiver);
    shelf.add("a", "call-1");
    pass(60).await;
    assert_eq!((receiver.n_requests(), shelf.n_waiting()), (1, 1));
    shelf.is_away.store(false, Ordering::SeqCst);
    drained(&shelf).await;
    assert_eq!(receiver.n_requests(), 1);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn sender_killed_at_any_moment_loses_nothing_and_doubles_nothing_by_key() {
    let shelf = Shelf::new();
    let receiver = Receiver::new(|id, attempt| match (id.len() + attempt as usize) % 4 {
        0 => Does::Answers(500),
        1 => Does::StoresAndBreaks,
        2 => Does::Hangs,
        _ => Does::Answers(200),
    });
    let mut random = Random::new(3);
    for n in 0..60 {
        shelf.add(&"x".repeat(n + 1), &format!("call-{}", n % 20));
    }
    for _ in 0..50 {
        let run = start(&shelf, &receiver);
        sleep(Duration::from_millis(random.between(1, 3000))).await;
        run.task.abort();
    }
    let run = start(&shelf, &receiver);
    drained(&shelf).await;
    let stored = receiver.stored();
    assert_eq!(stored.len(), 60);
    let place = |n: usize| stored.iter().position(|it| it.len() == n + 1).unwrap();
    for call in 0..20 {
        assert!(place(call) < place(call + 20) && place(call + 20) < place(call + 40));
    }
    run.end().await;
}
