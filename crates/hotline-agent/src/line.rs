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
        /// 咨询: talks to somebody else while the caller waits.
        Consulting,
        /// 三方通话, 会议.
        Conferring,
        /// 挂起转: waits while the caller is in a flow, and gets him back.
        Suspended,
    }
    /// What happens to it.
    #[derive(BorshDeserialize, BorshSerialize)]
    pub event LineEvent {
        Reserve,
        Ring,
        Answer,
        Bridge,
        Hold,
        /// 恢复 / 取回; also the end of a consultation or of a conference that leaves two.
        Retrieve,
        /// The call has left this telephone, for whatever reason.
        Release,
        /// The agent calls somebody.
        Dial,
        /// Another room than the caller's.
        Consult,
        /// More than two hear each other.
        Confer,
        /// The caller goes to a flow and comes back by [`LineEvent::Retrieve`].
        Suspend,
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
        Talking + Consult => Consulting,
        Talking + Confer => Conferring,
        Talking + Release => Free,

        Held + Retrieve => Talking,
        Held + Consult => Consulting,
        Held + Confer => Conferring,
        Held + Release => Free,

        Consulting + Retrieve => Talking,
        Consulting + Hold => Held,
        Consulting + Confer => Conferring,
        Consulting + Release => Free,

        Conferring + Retrieve => Talking,
        Conferring + Hold => Held,
        Conferring + Consult => Consulting,
        Conferring + Release => Free,

        Talking + Suspend => Suspended,
        Held + Suspend => Suspended,
        Suspended + Retrieve => Talking,
        // His telephone held meanwhile.
        Suspended + Hold => Held,
        Suspended + Release => Free,

        Free + Dial => Dialing,
        Dialing + Bridge => Talking,
        Dialing + Release => Free,
    }
}
