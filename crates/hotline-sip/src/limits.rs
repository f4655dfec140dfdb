//! How much of anything one message may have.

/// The largest message, in bytes: what one UDP datagram can carry.
pub const MESSAGE_MAX: usize = 65_535;

/// Bounds of one message. A peer that exceeds them is answered and counted, never believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The whole message, in bytes; not above [`MESSAGE_MAX`].
    pub message: usize,
    pub headers: usize,
    /// The start line, or one header with its folded lines, in bytes.
    pub line: usize,
}

impl Limits {
    pub const fn new() -> Self {
        Self { message: MESSAGE_MAX, headers: 128, line: 8_192 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
