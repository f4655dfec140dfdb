//! An hour of a bad network between two people whose clocks run apart, on virtual time.

use std::time::Duration;

use hotline_base::MonoTime;
use hotline_rtp::MediaTime;
use hotline_testkit::{Crystal, Network, Weather};

use super::*;

const SECONDS: usize = 3_600;

/// Samples in 20 ms: how far anything may be from where it was said.
const NEAR: i64 = 160;

const DELAY: Duration = Duration::from_millis(40);

/// One of the two, and his way to us.
struct Sender {
    leg: Slot,
    channel: Channel,
    codec: Codec,
    crystal: Crystal,
    /// What his packets hold, in turn.
    codes: Vec<u8>,
    network: Network<u32>,
    n_packets: u32,
}

/// What the tape sends off, put together.
#[derive(Default)]
struct Reel {
    sides: [Vec<u8>; 2],
    heard: [u64; 2],
    stock: Vec<Block>,
}

impl Blocks for Reel {
    fn take(&mut self) -> Option<Block> {
        self.stock.pop().or_else(|| Some(Block::silent()))
    }

    fn give_back(&mut self, block: Block) {
        self.stock.push(block);
    }

    fn send(&mut self, filled: Filled) -> Result<(), Filled> {
        if let Filled::Block(mut block) = filled {
            for (sum, more) in self.heard.iter_mut().zip(block.heard()) {
                *sum += more;
            }
            let len = block.len();
            for (side, channel) in self.sides.iter_mut().zip([Channel::Left, Channel::Right]) {
                side.extend_from_slice(&block.channel(channel)[..len]);
            }
            self.stock.push(block);
        }
        Ok(())
    }
}

/// A byte of this codec as it is on a tape.
fn as_alaw(codec: Codec, byte: u8) -> u8 {
    if codec == Codec::Pcmu { ULAW_TO_ALAW[usize::from(byte)] } else { byte }
}

impl Sender {
    fn new(leg: Slot, channel: Channel, codec: Codec, ppm: i64) -> Self {
        let weather = Weather {
            loss_percent: 13,
            loss_again_percent: 26,
            duplicate_percent: 1,
            delay: DELAY,
            jitter: Duration::from_millis(30),
        };
        let mut distinct: Vec<u8> = Vec::new();
        for byte in 0..=255 {
            let alaw = as_alaw(codec, byte);
            if alaw != ALAW_SILENCE && distinct.iter().all(|it| as_alaw(codec, *it) != alaw) {
                distinct.push(byte);
            }
        }
        distinct.truncate(100);
        assert_eq!(distinct.len(), 100);
        let network = Network::new(u64::from(leg.index), weather);
        Self {
            leg,
            channel,
            codec,
            crystal: Crystal { ppm },
            codes: distinct,
            network,
            n_packets: 0,
        }
    }

    /// When a packet of his is said.
    fn time_of(&self, packet: u32) -> Duration {
        self.crystal.time_of(u64::from(packet) * 160)
    }

    fn speak(&mut self, now: MonoTime, tape: &mut Tape, reel: &mut Reel) {
        loop {
            let at = MonoTime::default() + self.time_of(self.n_packets);
            if at > now {
                break;
            }
            self.network.send(self.n_packets, at);
            self.n_packets += 1;
        }
        while let Some((n, at)) = self.network.receive(now) {
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: u16::try_from(n % 65_536).unwrap(),
                // It wraps within the hour.
                timestamp: MediaTime((n * 160).wrapping_sub(10_000_000)),
                ssrc: self.leg.index,
            };
            let audio = &[self.codes[n as usize % 100]; 160];
            let said = Said { by: self.leg, since: at, header: &header, codec: self.codec, audio };
            tape.write(self.channel, &said, at, reel);
        }
    }

    /// How far off the tape holds his packets, in samples: the least and the most in each second.
    fn errors(&self, side: &[u8]) -> Vec<(i64, i64)> {
        let mut errors = vec![(i64::MAX, i64::MIN); SECONDS];
        let mut last = ALAW_SILENCE;
        for (at, byte) in side.iter().enumerate() {
            if std::mem::replace(&mut last, *byte) == *byte || *byte == ALAW_SILENCE {
                continue;
            }
            let code = self.codes.iter().position(|it| as_alaw(self.codec, *it) == *byte).unwrap();
            // Packets of one code are two seconds apart.
            let near = i64::try_from(at / 160).unwrap() - 2;
            let code = i64::try_from(code).unwrap();
            let packet = near + (code - near + 50).rem_euclid(100) - 50;
            let said = self.time_of(u32::try_from(packet.max(0)).unwrap()) + DELAY;
            let should = i64::try_from(said.as_nanos() / 125_000).unwrap();
            let off = i64::try_from(at).unwrap() - should;
            let (low, high) = &mut errors[at / 8_000];
            *low = off.min(*low);
            *high = off.max(*high);
        }
        errors
    }
}

#[test]
fn both_sides_stay_beside_each_other_for_an_hour_of_loss_jitter_and_drift() {
    let (mut tape, mut reel) = (Tape::new(TAPE, 1, ms(0)), Reel::default());
    let mut both = [
        Sender::new(CALLER, Channel::Left, Codec::Pcma, 150),
        Sender::new(AGENT, Channel::Right, Codec::Pcmu, -150),
    ];
    for it in &both {
        tape.set_sources(it.channel, &[it.leg], ms(0));
    }
    for now in (0..SECONDS as u64 * 1_000).step_by(5) {
        for it in &mut both {
            it.speak(ms(now), &mut tape, &mut reel);
        }
        tape.flush(ms(now), &mut reel);
    }
    assert!(tape.end(ms(SECONDS as u64 * 1_000), &mut reel));
    let length = SECONDS * 8_000;
    let [left, right] = &both;
    assert_eq!(reel.sides.each_ref().map(Vec::len), [length; 2], "loss shortens nothing");
    for (heard, it) in reel.heard.iter().zip(&both) {
        let (sent, lost) = it.network.counts();
        assert!((14..=17).contains(&(lost * 100 / sent)), "{lost} of {sent}");
        // In thousandths.
        let share = *heard * 1_000 / length as u64;
        let came = (sent - lost) * 1_000 / sent;
        assert!(share.abs_diff(came) < 10, "{share} heard, {came} came");
    }
    let [left_off, right_off] = [left.errors(&reel.sides[0]), right.errors(&reel.sides[1])];
    // In the first two seconds the quickest packets are not known yet.
    for (second, (left, right)) in left_off.iter().zip(&right_off).enumerate().skip(2) {
        let apart = (left.1 - right.0).max(right.1 - left.0);
        assert!(apart <= NEAR, "second {second}: {apart} samples apart");
        for (least, most) in [left, right] {
            assert!(*least >= -NEAR && *most <= NEAR, "second {second}: {least} to {most}");
        }
    }
}
