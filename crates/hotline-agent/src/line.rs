//! Line: what the agent's telephone is doing for a caller.

use borsh::{BorshDeserialize, BorshSerialize};

hotline_base::fsm! {
    /// From the instant an agent is promised to a caller until the telephone is free again.
    #[derive(BorshDeserialize, BorshSerialize)]
    pub state Line {
        Free,
        /// 占用: promised to a caller; the telephone does not ring yet.
        Reserved,
        /// 振铃.
        Ringing,
        /// 应答: picked up; the caller hears the agent's number (报工号).
        Connecting,
        /// 通话.
        Talking,
        /// 保持: the caller hears music.
        Held,
        /// 外呼: a call of the agent's own, from his wish until the called party answers.
        Dialing,
    }
    /// What happens to it.
    #[derive(BorshDeserialize, BorshSerialize)]
    pub event LineEvent {
        Reserve,
        Ring,
        Answer,
        Bridge,
        Hold,
        /// 恢复 / 取回.
        Retrieve,
        /// The call has left this telephone, for whatever reason.
        Release,
        /// The agent calls somebody.
        Dial,
    }
    table {
        Free + Reserve => Reserved,

        Reserved + Ring => Ringing,
        // A telephone that answers by itself may skip 180.
        Reserved + Answer => Connecting,
        Reserved + Release => Free,

        Ringing + Ring => Ringing,
        Ringing + Answer => Connecting,
        Ringing + Release => Free,

        Connecting + Bridge => Talking,
        Connecting + Release => Free,

        Talking + Hold => Held,
        Talking + Release => Free,

        Held + Retrieve => Talking,
        Held + Release => Free,

        Free + Dial => Dialing,
        Dialing + Bridge => Talking,
        Dialing + Release => Free,
    }
}
