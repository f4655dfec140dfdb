//! The road of orders to media, and what becomes of an order that finds no room.
//!
//! An order that would begin or change something is lost, and its call ends: what its parties would
//! hear is not what was decided. An order that ends something is owed: it goes first when there is
//! room, so that no leg and no recording outlives its call.

use std::{collections::VecDeque, time::Duration};

use hotline_base::media::Order;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::Instant,
};

use crate::{
    link::Ordered,
    meters::{Dropped, Meters},
};

/// How soon owed orders are tried again when nothing else happens.
const RETRY: Duration = Duration::from_millis(50);

/// The control thread's end. Never waits.
#[derive(Debug)]
pub(crate) struct Orders {
    road: mpsc::Sender<Ordered>,
    meters: Meters,
    /// The media link that is up.
    epoch: u64,
    /// At most a greeting, and an end for each leg and each recording.
    owed: VecDeque<Order>,
    /// Those of one turn; each is the switchboard's next input.
    lost: VecDeque<Order>,
    stuck: bool,
}

impl Orders {
    pub(crate) fn new(road: mpsc::Sender<Ordered>, meters: Meters) -> Self {
        Self { road, meters, epoch: 0, owed: VecDeque::new(), lost: VecDeque::new(), stuck: false }
    }

    /// Another media process, which knows nothing of what was owed to the one before.
    pub(crate) fn link_up(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.owed.clear();
    }

    pub(crate) fn give(&mut self, order: Order) {
        self.retry();
        let Some(order) = self.send(order) else { return };
        if is_owed(&order) {
            self.owed.push_back(order);
        } else {
            self.meters.dropped(Dropped::Order);
            self.lost.push_back(order);
        }
    }

    /// Sends what is owed while there is room.
    pub(crate) fn retry(&mut self) {
        while let Some(order) = self.owed.pop_front() {
            if let Some(order) = self.send(order) {
                self.owed.push_front(order);
                return;
            }
        }
    }

    /// An order whose call has to end.
    pub(crate) fn take_lost(&mut self) -> Option<Order> {
        self.lost.pop_front()
    }

    /// When [`retry`](Self::retry) is called at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.owed.is_empty()).then(|| Instant::now() + RETRY)
    }

    /// The order comes back when there is no room for it.
    fn send(&mut self, order: Order) -> Option<Order> {
        match self.road.try_send(Ordered { epoch: self.epoch, order }) {
            Ok(()) => {
                if std::mem::take(&mut self.stuck) {
                    tracing::info!("Media takes its orders again.");
                }
                None
            }
            Err(TrySendError::Full(it)) => {
                if !std::mem::replace(&mut self.stuck, true) {
                    tracing::error!("Media does not take its orders; calls that need it end.");
                }
                Some(it.order)
            }
            // The edge is gone: the process ends.
            Err(TrySendError::Closed(_)) => None,
        }
    }
}

/// Whether an order must arrive even though its call is over: it ends something, or opens the talk
/// with media.
const fn is_owed(order: &Order) -> bool {
    match order {
        Order::Hello { .. } | Order::StopRecord { .. } | Order::Close { .. } => true,
        Order::Open { .. }
        | Order::Answer { .. }
        | Order::Reoffer { .. }
        | Order::Describe { .. }
        | Order::Mix { .. }
        | Order::Play(_)
        | Order::Stop { .. }
        | Order::SendKeys { .. }
        | Order::HeedTones { .. }
        | Order::Record { .. }
        | Order::RecordSource { .. }
        | Order::RecordMute { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use hotline_base::{LegId, PlayId};
    use hotline_web::Metrics;

    use super::*;

    fn orders(room: usize) -> (Orders, mpsc::Receiver<Ordered>) {
        let (road, end) = mpsc::channel(room);
        (Orders::new(road, Meters::new(Metrics::default())), end)
    }

    const fn stop(leg: u64) -> Order {
        Order::Stop { leg: LegId(leg), play: PlayId(1) }
    }

    const fn close(leg: u64) -> Order {
        Order::Close { leg: LegId(leg) }
    }

    #[test]
    fn an_order_that_finds_no_room_is_told_and_one_that_ends_a_leg_goes_first_later() {
        let (mut orders, mut end) = orders(2);
        for order in [stop(1), stop(2), stop(3), close(3), close(4)] {
            orders.give(order);
        }
        assert_eq!(orders.take_lost(), Some(stop(3)));
        assert_eq!(orders.take_lost(), None);
        assert!(orders.due().is_some());
        let mut next = || end.try_recv().map(|it| it.order).ok();
        assert_eq!((next(), next(), next()), (Some(stop(1)), Some(stop(2)), None));
        orders.give(stop(5));
        assert_eq!((next(), next()), (Some(close(3)), Some(close(4))));
        assert_eq!(orders.take_lost(), Some(stop(5)), "the owed ones took the room");
        assert!(orders.due().is_none());
        assert_eq!(
            orders.meters.all.render().matches("hotline_dropped_total{what=\"order\"} 2").count(),
            1
        );
    }

    #[test]
    fn what_was_owed_to_a_media_process_that_died_is_owed_no_more() {
        let (mut orders, mut end) = orders(1);
        orders.give(stop(1));
        orders.give(close(1));
        orders.link_up(2);
        end.try_recv().unwrap();
        orders.retry();
        assert!(end.try_recv().is_err());
    }
}
