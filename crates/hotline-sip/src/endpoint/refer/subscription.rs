//! The subscriptions that REFERs make (RFC 3515 §2.4.4). One lives until what became of the REFER
//! is said, which may be after its call: the dialog lives on for it alone (RFC 5057 §4.2).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hotline_base::{ConnId, Due, HashedMap, LegId, MonoTime, Now, Sought};

use crate::{build::phrase, by_conn::ByConn, dialog::Dialog};

/// What a NOTIFY says (RFC 3515 §2.4.5).
pub(super) const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// Nobody waits longer for what becomes of a REFER.
pub(super) const LONGEST: Duration = Duration::from_mins(6);

#[derive(Debug)]
pub(in crate::endpoint) struct Subscriptions {
    /// Peers that are to be told.
    notifiers: BTreeMap<LegId, Notifier>,
    /// The same by their ends: it is asked after each turn which is the first.
    due: BTreeSet<(MonoTime, LegId)>,
    /// And those of legs that are over by the connections of their dialogs.
    by_conn: ByConn<LegId>,
    /// Dialogs in which we shall be told.
    subscribers: HashedMap<(LegId, MonoTime)>,
}

#[derive(Debug)]
struct Notifier {
    until: MonoTime,
    /// Of a leg that is over.
    dialog: Option<Box<Dialog>>,
}

impl Subscriptions {
    pub(in crate::endpoint) fn new(secret: &[u8; 32]) -> Self {
        Self {
            notifiers: BTreeMap::new(),
            due: BTreeSet::new(),
            by_conn: ByConn::new(),
            subscribers: HashedMap::new(secret),
        }
    }

    /// A leg is over whose dialog a subscription may still need.
    pub(in crate::endpoint) fn leg_ends(&mut self, leg: LegId, dialog: &Dialog) {
        if let Some(it) = self.notifiers.get_mut(&leg) {
            it.dialog = Some(Box::new(dialog.clone()));
            self.by_conn.insert(dialog.flow.conn, leg);
        }
    }

    /// `dialog`: of a leg that is over, before a restart.
    pub(super) fn begin_notifier(&mut self, leg: LegId, dialog: Option<Box<Dialog>>, now: Now) {
        let until = now.mono + LONGEST;
        self.by_conn.insert(dialog.as_ref().and_then(|it| it.flow.conn), leg);
        self.notifiers.insert(leg, Notifier { until, dialog });
        self.due.insert((until, leg));
    }

    pub(super) fn has_notifier(&self, leg: LegId) -> bool {
        self.notifiers.contains_key(&leg)
    }

    /// The dialog of a leg that is over.
    pub(super) fn dialog(&mut self, leg: LegId) -> Option<&mut Dialog> {
        self.notifiers.get_mut(&leg)?.dialog.as_deref_mut()
    }

    pub(super) fn ended_dialog(&self, leg: LegId) -> Option<&Dialog> {
        self.notifiers.get(&leg)?.dialog.as_deref()
    }

    /// As [`Endpoint::handle_connection_gone`](crate::Endpoint) does for legs.
    pub(in crate::endpoint) fn conn_gone(&mut self, conn: ConnId) {
        for leg in self.by_conn.take(conn) {
            if let Some(dialog) = self.dialog(leg) {
                dialog.reroute();
            }
        }
    }

    pub(in crate::endpoint) fn drop_notifier(&mut self, leg: LegId) {
        if let Some(it) = self.notifiers.remove(&leg) {
            self.due.remove(&(it.until, leg));
            self.by_conn.remove(it.dialog.and_then(|it| it.flow.conn), &leg);
        }
    }

    pub(super) fn begin_subscriber(&mut self, leg: LegId, key: &impl Sought, now: Now) {
        self.subscribers.insert(key, (leg, now.mono + LONGEST));
    }

    pub(super) fn subscriber(&self, key: &impl Sought) -> Option<LegId> {
        self.subscribers.get(key).map(|it| it.0)
    }

    pub(super) fn drop_subscriber(&mut self, leg: LegId) {
        self.subscribers.retain(|it| it.0 != leg);
    }

    pub(in crate::endpoint) fn next(&self) -> Option<Due> {
        let notifier = self.due.first().map(|it| it.0);
        let subscribers = self.subscribers.values().map(|it| it.1);
        notifier.into_iter().chain(subscribers).min().map(|it| (it, "REFER"))
    }

    /// A peer who was not told in time.
    pub(super) fn pop_due(&mut self, now: Now) -> Option<LegId> {
        self.subscribers.retain(|it| it.1 > now.mono);
        let is_due = self.due.first().is_some_and(|it| it.0 <= now.mono);
        if is_due { self.due.pop_first().map(|it| it.1) } else { None }
    }
}

pub(super) fn fragment(status: u16) -> String {
    format!("SIP/2.0 {status} {}\r\n", phrase(status))
}

pub(super) fn status_in(body: &[u8]) -> Option<u16> {
    String::from_utf8_lossy(body).strip_prefix("SIP/2.0 ").and_then(|it| it.get(..3)?.parse().ok())
}
