//! Peers whose connection is gone in the middle of a dialog; telephones may come back by another.

use std::{net::IpAddr, time::Duration};

use hotline_base::{LegId, Now};

use super::Endpoint;
use crate::{Binding, Flow, Uri, leg::Leg, registrar::Moved, timers::TimerName};

/// Who could not be told that his call is over is told when he is back so soon: browsers try to
/// connect every 30 s at the latest.
const BACK_WITHIN: Duration = Duration::from_secs(40);

impl Endpoint {
    /// The next request of this leg opens a connection to the next hop, unless its telephone is
    /// back by then. Nobody can connect to a browser, nor to most telephones behind a NAT.
    pub(super) fn set_adrift(&mut self, leg: LegId) {
        let Some(dialog) = self.legs.get_mut(&leg).and_then(Leg::dialog_mut) else { return };
        self.adrift.insert(leg, dialog.flow.remote.ip());
        dialog.reroute();
    }

    /// A telephone registers by a new connection: its dialogs go on by that one, and it is told
    /// what it has missed. It is known by host and port of its Contact, and by the address from
    /// which it came before.
    pub(super) fn regain(&mut self, binding: &Binding, now: Now) {
        if binding.flow.conn.is_none() {
            return;
        }
        let (flow, ip) = (binding.flow, binding.flow.remote.ip());
        let legs = &self.legs;
        let is_his = |leg: &LegId, from: &mut IpAddr| {
            let dialog = legs.get(leg).and_then(Leg::dialog);
            *from == ip && dialog.is_some_and(|it| is_at(it.target(), &binding.contact))
        };
        let back: Vec<_> = self.adrift.extract_if(.., is_his).map(|it| it.0).collect();
        for leg in back {
            self.go_by(leg, flow, now);
        }
    }

    /// A telephone registers by another way, and what it came by before may not have ended: behind
    /// a NAT that forgot it, or in another network, a connection hangs until nobody answers. Its
    /// dialogs go on by the new way at once, where it has proven that it is itself.
    pub(super) fn follow(&mut self, moved: &Moved, now: Now) {
        let (before, flow) = (&moved.before, moved.flow);
        let is_his = |leg: &LegId| {
            let dialog = self.legs.get(leg).and_then(Leg::dialog);
            dialog.is_some_and(|it| it.flow == before.flow && is_at(it.target(), &before.contact))
        };
        let his: Vec<LegId> = match before.flow.conn {
            Some(conn) => self.by_conn.of(conn).filter(|it| is_his(it)).copied().collect(),
            None => self.legs.keys().filter(|it| is_his(it)).copied().collect(),
        };
        for leg in his {
            self.by_conn.remove(before.flow.conn, &leg);
            self.go_by(leg, flow, now);
            // What has been asked by the old way nobody may ever answer.
            if let Some(Leg::Up(up)) = self.legs.get(&leg).filter(|_| flow.conn.is_some())
                && up.talk.session.ours
            {
                self.timers.set(leg, TimerName::Refresh, now.mono);
            }
        }
    }

    /// The dialog goes on by this way, and its peer is told what it has missed.
    fn go_by(&mut self, leg: LegId, flow: Flow, now: Now) {
        if let Some(dialog) = self.legs.get_mut(&leg).and_then(Leg::dialog_mut) {
            dialog.flow = flow;
            self.by_conn.insert(flow.conn, leg);
        }
        if matches!(self.legs.get(&leg), Some(Leg::Closing(it)) if it.accepted.is_none()) {
            self.send_closing_bye(leg, now);
        }
    }

    /// Nobody took our BYE. A telephone whose connection is gone may be back soon.
    pub(super) fn on_bye_lost(&mut self, leg: LegId, now: Now) {
        if self.adrift.contains_key(&leg) {
            self.timers.set(leg, TimerName::Back, now.mono + BACK_WITHIN);
        } else {
            self.remove_leg(leg);
        }
    }
}

/// Whether the Contact of a dialog and that of a registration are of one telephone: users and
/// parameters of the two may differ.
fn is_at(target: &[u8], contact: &str) -> bool {
    let [at, registered] = [target, contact.as_bytes()].map(Uri::parse);
    let is_same = |(a, b): (Uri<'_>, Uri<'_>)| (a.host, a.port) == (b.host, b.port);
    target == contact.as_bytes() || at.zip(registered).is_some_and(is_same)
}
