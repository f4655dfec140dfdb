//! What a network lets be heard before the answer (彩铃, announcements; RFC 3960).

/// The sound of one leg before it is answered. Of several telephones that ring, the first to
/// describe its sound is heard, until one answers.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact about the sound")]
pub(super) struct Network {
    /// The telephone was said to ring after the sound had been described: without sound it is our
    /// ring-back that is heard (RFC 3960 §3.2).
    pub(super) alerts: bool,
    /// The sound did not come, or stopped.
    pub(super) silent: bool,
    /// Media was given a description, and understood it. Of a party that was called in; of the
    /// call's own the state of the leg says so.
    is_described: bool,
    is_understood: bool,
}

impl Network {
    /// The telephone rings. Gives the description for media when it is the first.
    pub(super) fn rings(&mut self, sdp: Option<String>) -> Option<String> {
        self.alerts |= self.is_described && sdp.is_none();
        let first = sdp.filter(|_| !self.is_described);
        self.is_described |= first.is_some();
        first
    }

    pub(super) const fn begin(&mut self) {
        self.is_understood = true;
    }

    /// Instead of our ring-back.
    pub(super) const fn is_heard(&self) -> bool {
        self.is_understood && !(self.alerts && self.silent)
    }
}
