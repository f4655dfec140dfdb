//! One task a target: takes what is due, sends it, writes down what became of it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use hotline_base::{Random, WallTime};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use crate::{
    Delivery, Outbox, OutboxError, Post, PostError, PushRequest, Retry, Secret, Verdict,
    breaker::Breaker, policy::Outcome, sign,
};

/// An outbox that cannot be reached is asked again after this long.
const OUTBOX_AGAIN: Duration = Duration::from_secs(1);

/// Without a reason the outbox is asked this often, should a change ever go unnoticed.
const LOOK_AROUND: Duration = Duration::from_mins(1);

/// How long running attempts may take when the sender stops.
const GRACE: Duration = Duration::from_secs(3);

/// A webhook.
#[derive(Clone, Debug)]
pub struct Target {
    /// As in the outbox.
    pub name: String,
    pub url: String,
    pub secret: Secret,
    /// For one attempt.
    pub timeout: Duration,
    /// Attempts at the same time, of different order keys.
    pub n_parallel: usize,
    pub retry: Retry,
}

impl Target {
    /// Five seconds an attempt, eight attempts at a time.
    pub fn new(name: &str, url: &str, secret: Secret) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            secret,
            timeout: Duration::from_secs(5),
            n_parallel: 8,
            retry: Retry::default(),
        }
    }
}

/// The wall clock of the engine.
pub type Clock = Arc<dyn Fn() -> WallTime + Send + Sync>;

/// What a sender has done, for figures.
#[derive(Debug, Default)]
pub struct Counts {
    pub n_done: AtomicU64,
    pub n_retried: AtomicU64,
    pub n_dead: AtomicU64,
    /// The target is not well.
    pub is_down: AtomicBool,
    /// The outbox cannot be reached.
    pub is_stuck: AtomicBool,
}

/// Sends the deliveries of one target.
pub struct Sender<O, P> {
    target: Target,
    outbox: O,
    post: Arc<P>,
    clock: Clock,
    counts: Arc<Counts>,
    random: Random,
    breaker: Breaker,
    /// Order keys under way.
    busy: BTreeSet<String>,
    running: JoinSet<(Delivery, Result<u16, PostError>)>,
    /// Not written down yet.
    verdicts: Vec<(Delivery, Verdict)>,
    /// The target is well again, and the outbox does not know yet.
    must_hurry: bool,
}

impl<O, P> std::fmt::Debug for Sender<O, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sender({})", self.target.name)
    }
}

impl<O: Outbox, P: Post> Sender<O, P> {
    /// `seed` is for the jitter of waits.
    pub fn new(target: Target, outbox: O, post: Arc<P>, clock: Clock, seed: u64) -> Self {
        Self {
            target,
            outbox,
            post,
            clock,
            counts: Arc::default(),
            random: Random::new(seed),
            breaker: Breaker::default(),
            busy: BTreeSet::new(),
            running: JoinSet::new(),
            verdicts: Vec::new(),
            must_hurry: false,
        }
    }

    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Runs until `stop` is true or closed. What is under way then gets three seconds.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut changed = self.outbox.watch();
        loop {
            let idle = self.step().await;
            let was_stuck = self.counts.is_stuck.swap(idle.is_err(), Ordering::Relaxed);
            if idle.is_err() && !was_stuck {
                error!(receiver = self.target.name, "The push outbox cannot be reached.");
            }
            let wait = idle.unwrap_or(OUTBOX_AGAIN);
            tokio::select! {
                Some(ended) = self.running.join_next() => self.on_ended(ended.ok()),
                Ok(()) = changed.changed() => {}
                () = sleep(wait) => {}
                _ = stop.wait_for(|it| *it) => break,
            }
            while let Some(ended) = self.running.try_join_next() {
                self.on_ended(ended.ok());
            }
        }
        self.finish().await;
    }

    /// Writes down what is known and begins what is due. Gives how long there is nothing to do.
    async fn step(&mut self) -> Result<Duration, OutboxError> {
        self.settle().await?;
        if self.must_hurry {
            self.outbox.hurry(&self.target.name, (self.clock)()).await?;
            self.must_hurry = false;
        }
        let now = (self.clock)();
        let n_free = match self.breaker.probe_at() {
            Some(at) if at > now => return Ok(until(at, now)),
            Some(_) => 1usize.saturating_sub(self.running.len()),
            None => self.target.n_parallel.saturating_sub(self.running.len()),
        };
        if n_free == 0 {
            return Ok(LOOK_AROUND);
        }
        let due = self.outbox.due(&self.target.name, now, n_free, &self.busy).await?;
        let is_all = due.len() < n_free;
        for delivery in due {
            self.begin(delivery, now);
        }
        if !is_all {
            return Ok(LOOK_AROUND);
        }
        let next = self.outbox.next_due(&self.target.name, &self.busy).await?;
        Ok(next.map_or(LOOK_AROUND, |at| until(at, now)))
    }

    fn begin(&mut self, delivery: Delivery, now: WallTime) {
        let timestamp_s = now.0.div_euclid(1000);
        let request = PushRequest {
            url: self.target.url.clone(),
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("idempotency-key", delivery.id.clone()),
                ("x-hotline-event", delivery.kind.clone()),
                ("x-hotline-attempt", delivery.n_attempts.saturating_add(1).to_string()),
                ("x-hotline-timestamp", timestamp_s.to_string()),
                (
                    "x-hotline-signature",
                    sign(&self.target.secret, timestamp_s, &delivery.id, &delivery.body),
                ),
            ],
            body: delivery.body.clone(),
            timeout: self.target.timeout,
        };
        self.busy.insert(delivery.order_key.clone());
        let post = Arc::clone(&self.post);
        self.running.spawn(async move { (delivery, post.post(request).await) });
    }

    /// `None`: the attempt's task ended without an answer, which only its abortion does.
    fn on_ended(&mut self, ended: Option<(Delivery, Result<u16, PostError>)>) {
        let Some((delivery, answer)) = ended else { return };
        let now = (self.clock)();
        let outcome = Outcome::of(answer);
        match &outcome {
            Outcome::Accepted | Outcome::Refused(_) => {
                if self.breaker.on_alive() {
                    info!(receiver = self.target.name, "The push target is well again.");
                    self.must_hurry = true;
                }
            }
            Outcome::Outage(why) => {
                let was_open = self.breaker.is_open();
                self.breaker.on_outage(&self.target.retry, now, &mut self.random);
                if self.breaker.is_open() && !was_open {
                    warn!(receiver = self.target.name, why, "The push target is not well.");
                }
            }
        }
        self.counts.is_down.store(self.breaker.is_open(), Ordering::Relaxed);
        let others_pass = !self.breaker.is_open();
        let random = &mut self.random;
        let verdict = self.target.retry.judge(&delivery, outcome, others_pass, now, random);
        let count = match &verdict {
            Verdict::Done => &self.counts.n_done,
            Verdict::Retry { .. } => &self.counts.n_retried,
            Verdict::Dead { why } => {
                warn!(receiver = self.target.name, id = delivery.id, why, "A push is given up.");
                &self.counts.n_dead
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.verdicts.push((delivery, verdict));
    }

    /// Only what is written down frees its order key.
    async fn settle(&mut self) -> Result<(), OutboxError> {
        if self.verdicts.is_empty() {
            return Ok(());
        }
        self.outbox.settle(&self.target.name, &self.verdicts).await?;
        for (delivery, _) in self.verdicts.drain(..) {
            self.busy.remove(&delivery.order_key);
        }
        Ok(())
    }

    async fn finish(&mut self) {
        let rest = async {
            while let Some(ended) = self.running.join_next().await {
                self.on_ended(ended.ok());
            }
        };
        // What does not end in time is sent again in the next life, under the same key.
        if timeout(GRACE, rest).await.is_err() {
            self.running.abort_all();
        }
        if self.settle().await.is_err() {
            warn!(receiver = self.target.name, "Pushes just made will be made again.");
        }
    }
}

fn until(at: WallTime, now: WallTime) -> Duration {
    Duration::from_millis(at.millis_since(now)).min(LOOK_AROUND)
}

#[cfg(test)]
mod tests;
