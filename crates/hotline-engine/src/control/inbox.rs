//! Everything that can reach the control thread, each road with its own bound (`docs/CHANNELS.md`).

use std::{future::ready, io, os::unix::net::UnixStream, sync::Arc, time::Duration};

use hotline_agent::{AgentView, Command, Refused};
use hotline_base::{AgentNo, CallId};
use hotline_ladder::Trace;
use hotline_net::{Counters, NetInput, Outlet, Sockets, Transmit};
use hotline_sip::Method;
use hotline_switchboard::{Input, TrafficView};
use hotline_trunk::{Backlog, Lists, Rank};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use crate::{
    Clock,
    link::{LinkInput, Ordered},
};

const NET_MAX: usize = 4_096;
const BACKLOG_MAX: usize = 4_096;
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
    net: mpsc::Receiver<NetInput>,
    /// What came by that road, to be taken in another order.
    backlog: Backlog<NetInput>,
    clock: Clock,
    link: mpsc::Receiver<LinkInput>,
    commands: mpsc::Receiver<Asked>,
    notes: mpsc::Receiver<Note>,
    lists: watch::Receiver<Arc<Lists>>,
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

/// A new call that has waited `late` is let pass.
///
/// # Errors
/// When a socket's handle cannot be copied.
pub(crate) fn roads(
    sip: &Sockets,
    counters: &Arc<Counters>,
    clock: Clock,
    late: Duration,
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
        backlog: Backlog::new(late),
        clock,
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

    /// What waits already on the two roads that are ever crowded, by turns; before both calls that
    /// are late, and behind both, under overload, all other new calls: what media says belongs to
    /// calls as well.
    pub(crate) fn try_next(&mut self) -> Option<Waiting> {
        if self.net_held_until.is_some() || self.lists.has_changed().is_ok_and(|it| it) {
            return None;
        }
        self.sort();
        if let Some(late) = self.backlog.pop_late(self.clock.mono()) {
            return Some(Waiting::Net(late));
        }
        self.link_first = !self.link_first;
        let link = |it: &mut Self| it.link.try_recv().ok().map(Waiting::Link);
        let net = |it: &mut Self| it.backlog.pop_first().map(Waiting::Net);
        let first = if self.link_first {
            link(self).or_else(|| net(self))
        } else {
            net(self).or_else(|| link(self))
        };
        first.or_else(|| self.backlog.pop_call().map(Waiting::Net))
    }

    /// Whether new calls wait behind all other messages from now on.
    pub(crate) fn let_calls_wait(&mut self, calls_wait: bool) {
        self.backlog.let_calls_wait(calls_wait);
    }

    /// Whether what was put aside may be taken though others wait.
    fn has_turn(&self) -> bool {
        self.backlog.has_first() || self.link.is_empty() && !self.backlog.is_empty()
    }

    /// How long the oldest call has waited that nobody has looked at yet.
    pub(crate) fn oldest_call(&self) -> Duration {
        self.backlog.oldest_call(self.clock.mono())
    }

    /// Puts what came where it is to wait. Beyond the bound the road itself is full, and whoever
    /// reads the wire knows what to do then.
    fn sort(&mut self) {
        while self.backlog.len() < BACKLOG_MAX
            && let Ok(it) = self.net.try_recv()
        {
            self.put(it);
        }
    }

    fn put(&mut self, it: NetInput) {
        let came = if let NetInput::Sip { at, .. } = &it {
            self.clock.mono_of(*at)
        } else {
            self.clock.mono()
        };
        self.backlog.push(rank(&it), came, it);
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
        self.sort();
        tokio::select! {
            Ok(()) = self.lists.changed() => {
                Some(Arrived::Lists(Arc::clone(&self.lists.borrow_and_update())))
            }
            () = ready(()), if self.has_turn() => {
                self.backlog.pop(self.clock.mono()).map(Arrived::Net)
            }
            // When nothing waits, the first that comes has nobody to go before.
            Some(it) = self.net.recv(), if self.backlog.is_empty() => Some(Arrived::Net(it)),
            Some(it) = self.link.recv() => Some(Arrived::Link(it)),
            Some(it) = self.commands.recv() => Some(Arrived::Asked(it)),
            Some(it) = self.notes.recv() => Some(Arrived::Note(it)),
            else => None,
        }
    }
}

/// Telephones' calls are never refused, but wait behind running calls, too: whose call it is shows
/// only later.
pub(crate) fn rank(it: &NetInput) -> Rank {
    match it {
        NetInput::Sip { message, .. } => {
            let method = message.known_method();
            if method == Method::Invite && message.to_tag().is_empty() {
                Rank::NewCall
            } else if method == Method::Cancel {
                Rank::Behind
            } else {
                Rank::First
            }
        }
        NetInput::ConnectionGone { .. } => Rank::Behind,
        NetInput::Broken { .. } | NetInput::Unreachable { .. } => Rank::First,
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
    use std::time::Instant as StdInstant;

    use hotline_sip::{Flow, Message, Transport};

    use super::*;

    const LATE: Duration = Duration::from_mins(1);

    fn flow() -> Flow {
        let any = "127.0.0.1:5060".parse().unwrap();
        Flow { transport: Transport::Udp, local: any, remote: any, conn: None }
    }

    fn came(message: Message, before: Duration) -> NetInput {
        let at = StdInstant::now().checked_sub(before).unwrap();
        NetInput::Sip { flow: flow(), message, at }
    }

    fn request(method: &str, to_tag: &str) -> NetInput {
        let text = format!(
            "{method} sip:12345@127.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\n\
             To: <sip:12345@127.0.0.1>{to_tag}\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\n\r\n"
        );
        came(Message::parse(text.as_bytes()).unwrap(), Duration::ZERO)
    }

    fn method(it: Option<NetInput>) -> String {
        let Some(NetInput::Sip { message, .. }) = it else { panic!("{it:?}") };
        let again = if message.to_tag().is_empty() { "" } else { " again" };
        String::from_utf8_lossy(message.method().unwrap()).into_owned() + again
    }

    fn crowded() -> (Inbox, Roads) {
        let (mut inbox, roads) = inbox(LATE);
        inbox.let_calls_wait(true);
        (inbox, roads)
    }

    fn inbox(late: Duration) -> (Inbox, Roads) {
        let (mut inbox, roads, _addresses) =
            roads(&Sockets::default(), &Arc::default(), Clock::start(), late).unwrap();
        inbox.release_net();
        (inbox, roads)
    }

    #[test]
    fn message_says_how_long_it_waited() {
        let input = from_net(came(Message::blank(), Duration::from_millis(150)));
        let Input::Sip { waited_us, .. } = input else { panic!("a message") };
        assert!(waited_us >= 150_000, "{waited_us}");
    }

    #[tokio::test]
    async fn new_calls_wait_behind_what_belongs_to_others_and_before_what_is_about_them() {
        let (mut inbox, roads) = crowded();
        for (it, to_tag) in [
            ("INVITE", ""),
            ("CANCEL", ""),
            ("INVITE", ";tag=2"),
            ("OPTIONS", ""),
            ("BYE", ";tag=2"),
        ] {
            roads.from_net.try_send(request(it, to_tag)).unwrap();
        }
        let taken = std::iter::from_fn(|| match inbox.try_next()? {
            Waiting::Net(it) => Some(method(Some(it))),
            Waiting::Link(it) => panic!("{it:?}"),
        });
        let order = ["INVITE again", "OPTIONS", "BYE again", "INVITE", "CANCEL"];
        assert_eq!(taken.collect::<Vec<_>>(), order);
    }

    #[tokio::test]
    async fn calls_that_are_late_go_before_what_media_says() {
        let (mut inbox, roads) = inbox(Duration::ZERO);
        inbox.let_calls_wait(true);
        for _ in 0..3 {
            roads.from_link.try_send(LinkInput::Down).unwrap();
            roads.from_net.try_send(request("INVITE", "")).unwrap();
        }
        let taken = std::iter::from_fn(|| inbox.try_next());
        let is_call = taken.map(|it| matches!(it, Waiting::Net(_))).collect::<Vec<_>>();
        assert_eq!(is_call, [true, true, true, false, false, false]);
    }

    #[tokio::test]
    async fn new_calls_wait_behind_what_media_says_under_overload_and_only_then() {
        let (mut inbox, roads) = inbox(LATE);
        for (calls_wait, order) in [(true, "media media call"), (false, "media call media")] {
            inbox.let_calls_wait(calls_wait);
            inbox.link_first = false;
            roads.from_net.try_send(request("INVITE", "")).unwrap();
            (0..2).for_each(|_| roads.from_link.try_send(LinkInput::Down).unwrap());
            let taken = std::iter::from_fn(|| inbox.try_next());
            let name = |it| if matches!(it, Waiting::Net(_)) { "call" } else { "media" };
            assert_eq!(taken.map(name).collect::<Vec<_>>().join(" "), order);
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_anything_is_given_no_new_call_before_what_media_says() {
        let (mut inbox, roads) = crowded();
        for _ in 0..20 {
            roads.from_net.try_send(request("INVITE", "")).unwrap();
            roads.from_link.try_send(LinkInput::Down).unwrap();
            let first = inbox.next().await;
            assert!(matches!(first, Some(Arrived::Link(_))), "{first:?}");
            let then = inbox.next().await;
            assert!(matches!(then, Some(Arrived::Net(_))), "{then:?}");
        }
    }

    #[tokio::test]
    async fn what_media_says_keeps_no_message_of_a_call_from_its_turn() {
        let mut n_first = 0;
        for _ in 0..100 {
            let (mut inbox, roads) = crowded();
            roads.from_net.try_send(request("BYE", ";tag=2")).unwrap();
            roads.from_link.try_send(LinkInput::Down).unwrap();
            n_first += u32::from(matches!(inbox.next().await, Some(Arrived::Net(_))));
        }
        assert!((1..100).contains(&n_first), "{n_first} of 100");
    }

    #[tokio::test]
    async fn whoever_waits_for_anything_is_given_what_was_put_aside() {
        let (mut inbox, roads) = crowded();
        for (it, to_tag) in [("INVITE", ""), ("BYE", ";tag=2")] {
            roads.from_net.try_send(request(it, to_tag)).unwrap();
        }
        for order in ["BYE again", "INVITE"] {
            let Some(Arrived::Net(it)) = inbox.next().await else { panic!("a message") };
            assert_eq!(method(Some(it)), order);
        }
        roads.from_net.try_send(request("OPTIONS", "")).unwrap();
        let Some(Arrived::Net(it)) = inbox.next().await else { panic!("a message") };
        assert_eq!(method(Some(it)), "OPTIONS");
    }

    #[tokio::test]
    async fn no_more_is_put_aside_than_may_wait_and_the_road_is_full_then() {
        let (mut inbox, roads) = inbox(LATE);
        for _ in 0..BACKLOG_MAX {
            roads.from_net.try_send(request("INVITE", "")).unwrap();
        }
        inbox.sort();
        for _ in 0..NET_MAX {
            roads.from_net.try_send(request("INVITE", "")).unwrap();
        }
        inbox.sort();
        assert!(roads.from_net.try_send(request("INVITE", "")).is_err());
    }
}
