//! The four tables in full: what is not listed here is refused.

use super::table::{
    Client, ClientEvent, InviteClient, InviteClientEvent, InviteServer, InviteServerEvent, Server,
    ServerEvent,
};

/// One line for each state: its events and where they lead.
macro_rules! matrix {
    ($state:ident, $event:ident) => {
        $state::ALL
            .iter()
            .map(|state| {
                let steps = $event::ALL
                    .iter()
                    .filter_map(|it| state.apply(*it).ok().map(|to| format!("{it:?}>{to:?}")));
                format!("{state:?}: {}", steps.collect::<Vec<_>>().join(" "))
            })
            .collect::<Vec<_>>()
    };
}

#[test]
fn an_invite_from_the_peer_goes_these_ways() {
    assert_eq!(
        matrix!(InviteServer, InviteServerEvent),
        [
            "Proceeding: Request>Proceeding Provisional>Proceeding Success>Accepted \
             Failure>Completed Broken>Terminated",
            "Accepted: Request>Accepted Ack>Accepted TimerL>Terminated Broken>Accepted",
            "Completed: Request>Completed Ack>Confirmed TimerG>Completed TimerH>Terminated \
             Broken>Terminated",
            "Confirmed: Request>Confirmed Ack>Confirmed TimerI>Terminated Broken>Terminated",
            "Terminated: ",
        ]
    );
}

#[test]
fn another_request_from_the_peer_goes_these_ways() {
    assert_eq!(
        matrix!(Server, ServerEvent),
        [
            "Trying: Request>Trying Final>Completed Broken>Terminated",
            "Completed: Request>Completed TimerJ>Terminated Broken>Terminated",
            "Terminated: ",
        ]
    );
}

#[test]
fn our_invite_goes_these_ways() {
    assert_eq!(
        matrix!(InviteClient, InviteClientEvent),
        [
            "Calling: Provisional>Proceeding Success>Accepted Failure>Completed TimerA>Calling \
             TimerB>Terminated \
         TimerC>Terminated Broken>Terminated",
            "Proceeding: Provisional>Proceeding Success>Accepted Failure>Completed \
             TimerC>Terminated Broken>Terminated",
            "Accepted: Success>Accepted TimerM>Terminated Broken>Accepted",
            "Completed: Success>Accepted Failure>Completed TimerD>Terminated Broken>Terminated",
            "Terminated: ",
        ]
    );
}

#[test]
fn another_request_of_ours_goes_these_ways() {
    assert_eq!(
        matrix!(Client, ClientEvent),
        [
            "Trying: Provisional>Proceeding Final>Completed TimerE>Trying TimerF>Terminated \
             Broken>Terminated",
            "Proceeding: Provisional>Proceeding Final>Completed TimerE>Proceeding \
             TimerF>Terminated Broken>Terminated",
            "Completed: Final>Completed TimerK>Terminated Broken>Terminated",
            "Terminated: ",
        ]
    );
}
