//! The thread that decides.

use std::{
    panic::resume_unwind,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hotline_switchboard::{Config, Input, Switchboard};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

use super::{
    Shared,
    hands::{Hands, State},
    inbox::{Addresses, Inbox, ORDERS_MAX},
    orders::Orders,
    spool::Spool,
};
use crate::{Clock, Error, clock::first_id, priority, turn};

/// How long the last orders may take to reach media.
const LAST_ORDERS: Duration = Duration::from_secs(1);

/// The control thread and the word that it has ended.
#[derive(Debug)]
pub(crate) struct Deciding {
    runtime: Handle,
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl Deciding {
    /// What an earlier life kept is the first input.
    pub(crate) fn start(
        shared: &Shared,
        config: Config,
        inbox: Inbox,
        addresses: &Addresses,
        keepsakes: Vec<(String, Vec<u8>)>,
    ) -> Result<Self, Error> {
        let clock = shared.clock;
        let now = clock.now();
        let (journal, meters) = (shared.journal.clone(), shared.meters.clone());
        let mut first = vec![Input::Restored { entries: keepsakes }];
        if !journal.stats().healthy {
            first.push(Input::Spool { healthy: false });
        }
        let mut hands = Hands {
            inbox,
            spool: Spool::new(journal, addresses.net.clone(), meters.clone()),
            gate: Arc::clone(&shared.gate),
            orders: Orders::new(addresses.orders.clone(), meters.clone()),
            notes: addresses.notes.clone(),
            feeds: shared.feeds.clone(),
            views: shared.views.clone(),
            meters,
            wellness: shared.wellness.clone(),
            state: State::new(first_id(now.wall)),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("the control thread does not start"))?;
        let (tell, ended) = oneshot::channel();
        let mut switchboard = Switchboard::new(config, seed(clock), now);
        let (handle, orders) = (runtime.handle().clone(), addresses.orders.clone());
        let body = move || {
            priority::raise();
            let n_calls = runtime.block_on(async {
                // A task like those of the sockets, which it runs behind: before the future of
                // `block_on` itself is polled, the runtime asks the kernel for news each time.
                let turning = tokio::spawn(async move {
                    turn::run(&mut switchboard, &mut hands, clock, first).await;
                    (switchboard, hands)
                });
                let turned = turning.await;
                let (switchboard, _hands) =
                    turned.unwrap_or_else(|it| resume_unwind(it.into_panic()));
                // The link is served between turns. All room is free when it has taken all orders.
                if timeout(LAST_ORDERS, orders.reserve_many(ORDERS_MAX)).await.is_err() {
                    tracing::warn!("The last orders did not reach media in time.");
                }
                switchboard.calls().count()
            });
            tracing::info!(n_calls, "The control thread ends.");
            drop(tell);
        };
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(body)
            .map_err(Error::io("the control thread does not start"))?;
        Ok(Self { runtime: handle, thread, ended })
    }

    /// Where tasks run between the turns, in the control thread.
    pub(crate) const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Resolves when the thread has ended. Can be asked again after it was dropped half way.
    pub(crate) async fn ended(&mut self) {
        // Either way it says the same: a panic drops the sender, too.
        drop((&mut self.ended).await);
    }

    /// `false`: it panicked.
    pub(crate) fn join(self) -> bool {
        self.thread.join().is_ok()
    }
}

/// Not a secret: it names dialogs and branches.
fn seed(clock: Clock) -> u64 {
    let now = clock.now();
    first_id(now.wall) ^ (u64::from(std::process::id()) << 32) ^ now.mono.0
}
