//! Everything that can reach the control thread, each road with its own bound (`docs/CHANNELS.md`).

use std::{io, os::unix::net::UnixStream, sync::Arc, time::Duration};

use hotline_agent::{AgentView, Command, Refused};
use hotline_base::{AgentNo, CallId};
use hotline_ladder::Trace;
use hotline_net::{Counters, NetInput, Outlet, Sockets, Transmit};
use hotline_switchboard::{Input, TrafficView};
use hotline_trunk::Lists;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use crate::link::{LinkInput, Ordered};

const NET_MAX: usize = 4_096;
const TRANSMITS_MAX: usize = 4_096;
pub(crate) const ORDERS_MAX: usize = 1_024;
const EVENTS_MAX: usize = 4_096;
const COMMANDS_MAX: usize = 256;

/// How long the wire waits at the start for media. A call that comes in these milliseconds would be
/// refused for nothing; a media plane that takes longer is not there.
const HELD_MAX: Duration = Duration::from_secs(1);

/// A person's or a system's request.
#[derive(Debug)]
pub(crate) enum Asked {
    Agent {
        agent: AgentNo,
        command: Command,
        reply: oneshot::Sender<Result<AgentView, Refused>>,
    },
    /// The signalling of a call; `store`: it shall be kept.
    Ladder {
        call: CallId,
        store: bool,
        reply: oneshot::Sender<Option<Box<Trace>>>,
    },
    /// The figures of the trunks.
    Traffic {
        reply: oneshot::Sender<Box<TrafficView>>,
    },
}

/// What the engine itself tells the switchboard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Note {
    /// The journal's disk begins or ceases to take records.
    Disk {
        takes: bool,
    },
    /// The spool begins or ceases to have room.
    Spool,
    Drain,
    /// The grace period is over: calls end now.
    EndCalls,
    /// The process is told to end.
    Quit,
}

/// The control thread's ends.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) net: mpsc::Receiver<NetInput>,
    pub(crate) link: mpsc::Receiver<LinkInput>,
    pub(crate) commands: mpsc::Receiver<Asked>,
    pub(crate) notes: mpsc::Receiver<Note>,
    pub(crate) lists: watch::Receiver<Arc<Lists>>,
    /// Until then nothing is taken from the wire; it waits in its channel and in the sockets.
    net_held_until: Option<Instant>,
    link_first: bool,
}

/// The edge's ends.
#[derive(Debug)]
pub(crate) struct Roads {
    pub(crate) from_net: mpsc::Sender<NetInput>,
    pub(crate) to_net: mpsc::Receiver<Transmit>,
    pub(crate) from_link: mpsc::Sender<LinkInput>,
    pub(crate) to_link: mpsc::Receiver<Ordered>,
    pub(crate) link_ends: mpsc::Receiver<UnixStream>,
}

/// Addresses that others hold.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) net: Outlet,
    pub(crate) orders: mpsc::Sender<Ordered>,
    pub(crate) link_ends: mpsc::Sender<UnixStream>,
    pub(crate) commands: mpsc::Sender<Asked>,
    pub(crate) notes: mpsc::Sender<Note>,
    pub(crate) lists: watch::Sender<Arc<Lists>>,
}

/// # Errors
/// When a socket's handle cannot be copied.
pub(crate) fn roads(
    sip: &Sockets,
    counters: &Arc<Counters>,
) -> io::Result<(Inbox, Roads, Addresses)> {
    let (from_net, net) = mpsc::channel(NET_MAX);
    let (to_net, transmits) = mpsc::channel(TRANSMITS_MAX);
    let (from_link, link) = mpsc::channel(EVENTS_MAX);
    let (orders, to_link) = mpsc::channel(ORDERS_MAX);
    let (link_ends, ends) = mpsc::channel(4);
    let (commands, asked) = mpsc::channel(COMMANDS_MAX);
    let (notes, own) = mpsc::channel(16);
    let to_net = Outlet::new(sip, to_net, Arc::clone(counters))?;
    let (lists, shown) = watch::channel(Arc::default());
    let net_held_until = Some(Instant::now() + HELD_MAX);
    let inbox = Inbox {
        net,
        link,
        commands: asked,
        notes: own,
        lists: shown,
        net_held_until,
        link_first: false,
    };
    let roads = Roads { from_net, to_net: transmits, from_link, to_link, link_ends: ends };
    Ok((inbox, roads, Addresses { net: to_net, orders, link_ends, commands, notes, lists }))
}

/// One thing that arrived.
#[derive(Debug)]
pub(crate) enum Arrived {
    Net(NetInput),
    Link(LinkInput),
    Asked(Asked),
    Note(Note),
    Lists(Arc<Lists>),
}

/// One thing that waited on a crowded road.
#[derive(Debug)]
pub(crate) enum Waiting {
    Net(NetInput),
    Link(LinkInput),
}

impl Inbox {
    /// Media is there: what waits on the wire is taken.
    pub(crate) const fn release_net(&mut self) {
        self.net_held_until = None;
    }

    /// What waits already on the two roads that are ever crowded, by turns.
    pub(crate) fn try_next(&mut self) -> Option<Waiting> {
        if self.net_held_until.is_some() || self.lists.has_changed().is_ok_and(|it| it) {
            return None;
        }
        self.link_first = !self.link_first;
        let link = |it: &mut Self| it.link.try_recv().ok().map(Waiting::Link);
        let net = |it: &mut Self| it.net.try_recv().ok().map(Waiting::Net);
        if self.link_first {
            link(self).or_else(|| net(self))
        } else {
            net(self).or_else(|| link(self))
        }
    }

    /// In no fixed order, so that no road starves another. `None`: all roads are closed.
    pub(crate) async fn next(&mut self) -> Option<Arrived> {
        // Before all others: who was told that an entry is in force finds it so in his next call.
        if self.lists.has_changed().is_ok_and(|it| it) {
            return Some(Arrived::Lists(Arc::clone(&self.lists.borrow_and_update())));
        }
        if let Some(until) = self.net_held_until {
            tokio::select! {
                Some(it) = self.link.recv() => return Some(Arrived::Link(it)),
                Some(it) = self.commands.recv() => return Some(Arrived::Asked(it)),
                Some(it) = self.notes.recv() => return Some(Arrived::Note(it)),
                () = sleep_until(until) => self.release_net(),
            }
        }
        tokio::select! {
            Ok(()) = self.lists.changed() => {
                Some(Arrived::Lists(Arc::clone(&self.lists.borrow_and_update())))
            }
            Some(it) = self.net.recv() => Some(Arrived::Net(it)),
            Some(it) = self.link.recv() => Some(Arrived::Link(it)),
            Some(it) = self.commands.recv() => Some(Arrived::Asked(it)),
            Some(it) = self.notes.recv() => Some(Arrived::Note(it)),
            else => None,
        }
    }
}

/// What the wire says, as an input.
pub(crate) fn from_net(it: NetInput) -> Input {
    match it {
        NetInput::Sip { flow, message, at } => {
            let waited_us = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX);
            Input::Sip { flow, message, waited_us }
        }
        NetInput::Broken { flow, why, reply } => Input::SipBroken { flow, why, reply },
        NetInput::ConnectionGone { conn } => Input::ConnectionGone { conn },
        NetInput::Unreachable { flow } => Input::Unreachable { flow },
    }
}

#[cfg(test)]
mod tests {
    use hotline_sip::{Flow, Message, Transport};

    use super::*;

    #[test]
    fn message_says_how_long_it_waited() {
        let any = "127.0.0.1:5060".parse().unwrap();
        let flow = Flow { transport: Transport::Udp, local: any, remote: any, conn: None };
        let at = std::time::Instant::now().checked_sub(Duration::from_millis(150)).unwrap();
        let input = from_net(NetInput::Sip { flow, message: Message::blank(), at });
        let Input::Sip { waited_us, .. } = input else { panic!("a message") };
        assert!(waited_us >= 150_000, "{waited_us}");
    }
}
