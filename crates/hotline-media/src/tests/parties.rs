//! A tone for each telephone, and the spectrum at each ear: who hears whom through real sockets.

use hotline_base::{
    RecordingId,
    media::{Channel, Event, Hears, Order, VERSION},
};
use hotline_dsp::strength;

use super::{
    rig::{Phone, Rig},
    tapes::read,
};

/// How much of what is heard is this tone, 20 ms at a time: a clock that is followed bends a tone by
/// up to 0.6 %, which over a longer time would put it out of phase with itself.
fn share(heard: &[i16], hz: u32) -> f64 {
    let shares: Vec<_> = heard.chunks_exact(160).map(|it| strength(it, hz)).collect();
    shares.iter().sum::<f64>() / f64::from(u32::try_from(shares.len().max(1)).unwrap())
}

/// Telephones that all talk at the pace of the role's own music.
struct Room {
    rig: Rig,
    phones: Vec<Phone>,
    clock: Phone,
}

/// Whole periods in 20 ms, so that these are told apart and a frame that is left out on a busy
/// machine shifts nothing; below 2,000 Hz, where a clock that is followed takes nothing away.
fn hz(phone: usize) -> u32 {
    300 + 50 * u32::try_from(phone).unwrap()
}

impl Room {
    fn new(mut rig: Rig, phones: usize) -> Self {
        rig.dir.prompt("music", 3_000, 1_000);
        let phones = (0..phones).map(|n| {
            let mut phone = Phone::new(n as u64 + 1, hz(n)).with_loudness(900);
            phone.ulaw = n % 2 == 1;
            rig.phone_with(phone)
        });
        let phones = phones.collect();
        let clock = rig.phone(99, 0);
        rig.play(clock.leg, 1, &["music"], 0);
        clock.listen(1);
        Self { rig, phones, clock }
    }

    fn order(&mut self, hears: &[&[usize]]) {
        let leg = |n: &usize| self.phones[*n].leg;
        let hears = hears.iter().enumerate();
        let hears = hears.map(|(listener, speakers)| Hears {
            listener: leg(&listener),
            speakers: speakers.iter().map(leg).collect(),
        });
        let order = Order::Mix { hears: hears.collect() };
        self.rig.control.order(&order);
        self.rig.control.order(&Order::Hello { version: VERSION });
        assert!(matches!(self.rig.control.event(), Event::Inventory { .. }));
    }

    /// Everybody talks for a while.
    fn talk(&mut self, ms: usize) {
        while !self.clock.hears_nothing() {}
        for _ in 0..ms / 20 {
            self.clock.hear();
            self.phones.iter_mut().for_each(Phone::say);
        }
    }

    /// Which parties each ear hears, with at least a quarter of an equal share; looked at until it is
    /// as expected, for a machine may stand still for a moment.
    fn check(&mut self, expected: &[&[usize]]) {
        let mut last = Vec::new();
        for _ in 0..10 {
            last = self.heard();
            if last == expected {
                return;
            }
        }
        assert_eq!(last, expected);
    }

    fn heard(&mut self) -> Vec<Vec<usize>> {
        // What was on its way under the plan before.
        self.talk(200);
        self.phones.iter_mut().for_each(|it| {
            it.take_in();
            it.heard.clear();
        });
        self.talk(400);
        let n = self.phones.len();
        let others = f64::from(u32::try_from(n - 1).unwrap());
        let heard = |ear: &mut Phone| -> Vec<usize> {
            ear.take_in();
            (0..n).filter(|it| share(&ear.heard, hz(*it)) * others > 0.25).collect()
        };
        self.phones.iter_mut().map(heard).collect()
    }
}

#[test]
fn talk_three_way_listen_whisper_and_barge_in_are_heard_as_ordered_at_every_telephone() {
    let mut room = Room::new(Rig::new(), 3);
    let talk: [&[usize]; 3] = [&[1], &[0], &[]];
    let listen: [&[usize]; 3] = [&[1], &[0], &[0, 1]];
    let whisper: [&[usize]; 3] = [&[1], &[0, 2], &[0, 1]];
    let barge_in: [&[usize]; 3] = [&[1, 2], &[0, 2], &[0, 1]];
    for table in [talk, listen, whisper, barge_in, talk, barge_in, listen] {
        room.order(&table);
        room.check(&table);
    }
}

#[test]
fn in_a_conference_of_32_every_telephone_hears_the_31_others() {
    let rig = Rig::with(|it| it.legs_max = 40);
    let mut room = Room::new(rig, 32);
    let all: Vec<Vec<usize>> =
        (0..32).map(|it| (0..32).filter(|other| *other != it).collect()).collect();
    let table: Vec<_> = all.iter().map(Vec::as_slice).collect();
    room.order(&table);
    room.check(&table);
}

#[test]
fn a_recording_of_a_three_way_talk_holds_the_caller_left_and_the_two_others_right() {
    let mut room = Room::new(Rig::new(), 3);
    room.order(&[&[1, 2], &[0, 2], &[0, 1]]);
    let recording = RecordingId::new("r-1");
    let [left, right, third] = [0, 1, 2].map(|it: usize| room.phones[it].leg);
    let path = "r-1.wav".to_owned();
    room.rig.control.order(&Order::Record { recording: recording.clone(), path, left, right });
    let (channel, legs) = (Channel::Right, vec![right, third]);
    let source = Order::RecordSource { recording: recording.clone(), channel, legs };
    room.rig.control.order(&source);
    room.talk(1_000);
    room.rig.control.order(&Order::StopRecord { recording });
    assert!(matches!(room.rig.control.event(), Event::Recorded(_)));
    let (left, right) = read(&room.rig.dir.recordings().join("r-1.wav"));
    // The mean over pieces: the place of a telephone may move by a few milliseconds.
    let middle = 1_600..left.len() - 1_600;
    let of = |channel: &[i16], phone| {
        let pieces: Vec<_> = channel[middle.clone()].chunks_exact(800).collect();
        let sum: f64 = pieces.iter().map(|it| strength(it, hz(phone))).sum();
        sum / f64::from(u32::try_from(pieces.len()).unwrap())
    };
    assert!(of(&left, 0) > 0.9 && of(&left, 1) + of(&left, 2) < 0.01);
    assert!(of(&right, 1) > 0.35 && of(&right, 2) > 0.35 && of(&right, 0) < 0.01);
}
