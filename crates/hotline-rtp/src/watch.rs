//! Is anybody heard? One-way audio, dead streams and silent calls (无声电话), as events.

use std::time::Duration;

use hotline_base::{Due, MonoTime, earliest};

/// After how long something is said.
#[derive(Clone, Copy, Debug)]
pub struct WatchConfig {
    /// No packet, from the beginning or since the last one.
    pub no_audio: Duration,
    /// Packets, but nothing in them louder than `floor_dbm0`.
    pub silence: Duration,
    /// Quieter than this is silence.
    pub floor_dbm0: f64,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            no_audio: Duration::from_secs(5),
            silence: Duration::from_secs(15),
            floor_dbm0: -50.0,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WatchEvent {
    /// We send and nothing came at all: the classic of a firewall or a wrong address.
    OneWay,
    /// Packets came and no longer do.
    Dead,
    /// Packets come, and nothing is in them.
    Silent,
    /// After one of the above, sound is heard.
    Heard,
}

/// Watches what one peer sends. A paused sender (DTX) that still sends comfort noise is alive.
#[derive(Clone, Debug)]
pub struct Watch {
    config: WatchConfig,
    packet: Option<MonoTime>,
    sound: MonoTime,
    began: MonoTime,
    /// The peer was told not to send (hold), so nothing is missed.
    off: bool,
    quiet: Option<WatchEvent>,
    event: Option<WatchEvent>,
}

impl Watch {
    pub const fn new(config: WatchConfig, now: MonoTime) -> Self {
        Self { config, packet: None, sound: now, began: now, off: false, quiet: None, event: None }
    }

    /// A packet came; `level_dbm0` of what is in it, `None` when nobody looked.
    pub fn handle_packet(&mut self, level_dbm0: Option<f64>, now: MonoTime) {
        self.packet = Some(now);
        let loud = level_dbm0.is_none_or(|it| it > self.config.floor_dbm0);
        if loud {
            self.sound = now;
        }
        let over = match self.quiet {
            None => false,
            Some(WatchEvent::Silent) => loud,
            Some(WatchEvent::OneWay | WatchEvent::Dead | WatchEvent::Heard) => true,
        };
        if over {
            self.quiet = None;
            self.sound = now;
            self.event = Some(WatchEvent::Heard);
        }
    }

    /// Whether the peer is expected to send; a hold is not silence. Both waits begin anew.
    pub fn expect(&mut self, expected: bool, now: MonoTime) {
        self.off = !expected;
        self.quiet = None;
        (self.began, self.sound) = (now, now);
        self.packet = self.packet.map(|_| now);
    }

    pub fn poll_timeout(&self) -> Option<Due> {
        if self.off || self.quiet.is_some() {
            return None;
        }
        let packet = self.packet.unwrap_or(self.began) + self.config.no_audio;
        let sound = self.sound + self.config.silence;
        earliest(Some((packet, "no audio")), Some((sound, "silence")))
    }

    pub fn handle_timeout(&mut self, now: MonoTime) {
        let Some((due, _)) = self.poll_timeout().filter(|it| it.0 <= now) else { return };
        let quiet = match self.packet {
            None if due == self.began + self.config.no_audio => WatchEvent::OneWay,
            Some(packet) if due == packet + self.config.no_audio => WatchEvent::Dead,
            None | Some(_) => WatchEvent::Silent,
        };
        self.quiet = Some(quiet);
        self.event = Some(quiet);
    }

    /// What is to be told.
    pub fn poll_event(&mut self) -> Option<WatchEvent> {
        self.event.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `P` a loud packet, `q` a quiet one, `H` hold, `T` talk again, `.` a second passes.
    fn check(script: &str, expected: &[(u64, WatchEvent)]) {
        let mut seconds = 0;
        let at = |s| MonoTime::default() + Duration::from_secs(s);
        let mut it = Watch::new(WatchConfig::default(), at(0));
        let mut heard = Vec::new();
        for step in script.chars() {
            match step {
                'P' => it.handle_packet(Some(-20.0), at(seconds)),
                'q' => it.handle_packet(Some(-65.0), at(seconds)),
                'H' => it.expect(false, at(seconds)),
                'T' => it.expect(true, at(seconds)),
                _ => seconds += 1,
            }
            it.handle_timeout(at(seconds));
            heard.extend(it.poll_event().map(|it| (seconds, it)));
        }
        assert_eq!(heard, expected, "{script}");
    }

    #[test]
    fn a_caller_from_whom_nothing_ever_came_is_one_way() {
        check("........", &[(5, WatchEvent::OneWay)]);
        check(".......P.P.", &[(5, WatchEvent::OneWay), (7, WatchEvent::Heard)]);
    }

    #[test]
    fn a_stream_that_stops_is_dead_and_is_heard_again() {
        check("P.P.......P.", &[(6, WatchEvent::Dead), (8, WatchEvent::Heard)]);
    }

    #[test]
    fn a_caller_who_says_nothing_is_silent_until_he_speaks() {
        let quiet = "q.".repeat(18);
        check(&format!("{quiet}P."), &[(15, WatchEvent::Silent), (18, WatchEvent::Heard)]);
        check(&"P.q.q.".repeat(10), &[]);
    }

    #[test]
    fn a_held_peer_is_not_missed() {
        check("P.H..........T.P.", &[]);
    }

    #[test]
    fn one_trouble_is_told_once() {
        check(&".".repeat(60), &[(5, WatchEvent::OneWay)]);
    }
}
