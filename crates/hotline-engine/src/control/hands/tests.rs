//! What leaves the hands, and when.

use hotline_agent::Command;
use hotline_base::AgentNo;
use hotline_net::{Flood, Sockets};
use hotline_store::{Journal, JournalConfig};
use hotline_web::Metrics;
use tokio::time::timeout;

use super::*;
use crate::Clock;

/// R1: who is told that he is ready is so after a restart of control as well.
#[tokio::test]
async fn a_person_is_answered_when_what_his_command_changed_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        JournalConfig { segment_bytes: 1 << 16, ..JournalConfig::new(folder.path().into()) };
    let journal = Journal::open(config).unwrap().journal;
    let meters = Meters::new(Metrics::default());
    let (inbox, _roads, addresses) =
        inbox::roads(&Sockets::default(), &Arc::default(), Clock::start(), Duration::ZERO).unwrap();
    let mut hands = Hands {
        inbox,
        spool: Spool::new(journal.clone(), addresses.net, meters.clone()),
        gate: Arc::new(Gate::new(Flood::default(), Arc::default())),
        orders: Orders::new(addresses.orders, meters.clone()),
        notes: addresses.notes,
        feeds: Feeds::new(1),
        views: Views::default(),
        meters,
        wellness: Wellness::default(),
        state: State::new(1),
    };
    let (reply, mut answered) = oneshot::channel();
    let (agent, command) = (AgentNo::new("1001"), Command::SignOut);
    let asked = hands.take_asked(Asked::Agent { agent, command, reply });
    let Input::Command { id, .. } = asked else { panic!("a command") };
    hands.act(Output::Reply { id, result: Err(Refused::UnknownAgent) });
    hands.act(Output::Keep { key: "agent/1001".to_owned(), value: Some(b"idle".to_vec()) });
    assert!(answered.try_recv().is_err(), "nothing is on disk yet");
    assert!(hands.spool.end_turn());
    let answer = timeout(Duration::from_secs(10), answered).await.unwrap().unwrap();
    assert_eq!((answer, journal.stats().n_syncs), (Err(Refused::UnknownAgent), 1));
}
