//! The four state machines of transactions, as tables.

hotline_base::fsm! {
    /// An INVITE we received (RFC 3261 §17.2.1, RFC 6026 §7.1).
    pub(crate) state InviteServer { Proceeding, Accepted, Completed, Confirmed, Terminated }
    /// What happens to it.
    pub(crate) event InviteServerEvent {
        Request, Ack, Provisional, Success, Failure, TimerG, TimerH, TimerI, TimerL, Broken,
    }
    table {
        Proceeding + Request => Proceeding,
        Proceeding + Provisional => Proceeding,
        Proceeding + Success => Accepted,
        Proceeding + Failure => Completed,
        Proceeding + Broken => Terminated,
        Accepted + Request => Accepted,
        Accepted + Ack => Accepted,
        Accepted + TimerL => Terminated,
        Accepted + Broken => Accepted,
        Completed + Request => Completed,
        Completed + Ack => Confirmed,
        Completed + TimerG => Completed,
        Completed + TimerH => Terminated,
        Completed + Broken => Terminated,
        Confirmed + Request => Confirmed,
        Confirmed + Ack => Confirmed,
        Confirmed + TimerI => Terminated,
        Confirmed + Broken => Terminated,
    }
}

hotline_base::fsm! {
    /// Any other request we received (RFC 3261 §17.2.2).
    pub(crate) state Server { Trying, Completed, Terminated }
    /// What happens to it.
    pub(crate) event ServerEvent { Request, Final, TimerJ, Broken }
    table {
        Trying + Request => Trying,
        Trying + Final => Completed,
        Trying + Broken => Terminated,
        Completed + Request => Completed,
        Completed + TimerJ => Terminated,
        Completed + Broken => Terminated,
    }
}

hotline_base::fsm! {
    /// An INVITE we sent (RFC 3261 §17.1.1, RFC 6026 §7.2).
    pub(crate) state InviteClient { Calling, Proceeding, Accepted, Completed, Terminated }
    /// What happens to it.
    pub(crate) event InviteClientEvent {
        Provisional, Success, Failure, TimerA, TimerB, TimerC, TimerD, TimerM, Broken,
    }
    table {
        Calling + Provisional => Proceeding,
        Calling + Success => Accepted,
        Calling + Failure => Completed,
        Calling + TimerA => Calling,
        Calling + TimerB => Terminated,
        Calling + TimerC => Terminated,
        Calling + Broken => Terminated,
        Proceeding + Provisional => Proceeding,
        Proceeding + Success => Accepted,
        Proceeding + Failure => Completed,
        Proceeding + TimerC => Terminated,
        Proceeding + Broken => Terminated,
        Accepted + Success => Accepted,
        Accepted + TimerM => Terminated,
        Accepted + Broken => Accepted,
        Completed + Success => Accepted,
        Completed + Failure => Completed,
        Completed + TimerD => Terminated,
        Completed + Broken => Terminated,
    }
}

hotline_base::fsm! {
    /// Any other request we sent (RFC 3261 §17.1.2).
    pub(crate) state Client { Trying, Proceeding, Completed, Terminated }
    /// What happens to it.
    pub(crate) event ClientEvent { Provisional, Final, TimerE, TimerF, TimerK, Broken }
    table {
        Trying + Provisional => Proceeding,
        Trying + Final => Completed,
        Trying + TimerE => Trying,
        Trying + TimerF => Terminated,
        Trying + Broken => Terminated,
        Proceeding + Provisional => Proceeding,
        Proceeding + Final => Completed,
        Proceeding + TimerE => Proceeding,
        Proceeding + TimerF => Terminated,
        Proceeding + Broken => Terminated,
        Completed + Final => Completed,
        Completed + TimerK => Terminated,
        Completed + Broken => Terminated,
    }
}
