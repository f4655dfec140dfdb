//! Presses under loss, reorder and duplication.

use super::*;

/// `(marker, timestamp, key, ended)`
type Sent = (bool, u32, char, bool);

fn check(packets: &[Sent], expected: &str) {
    let mut receiver = EventReceiver::default();
    let mut heard = String::new();
    for (marker, timestamp, key, ended) in packets {
        let header = Header {
            marker: *marker,
            payload_type: 101,
            sequence: 0,
            timestamp: MediaTime(*timestamp),
            ssrc: 7,
        };
        let key = Key::try_from(*key).unwrap();
        let payload = [key.event(), u8::from(*ended) << 7 | 0x0A, 0, 160];
        heard.extend(receiver.handle(&header, &payload).map(Key::as_char));
    }
    assert_eq!(heard, expected);
}

const ONE: [Sent; 6] = [
    (true, 1_000, '1', false),
    (false, 1_000, '1', false),
    (false, 1_000, '1', false),
    (false, 1_000, '1', true),
    (false, 1_000, '1', true),
    (false, 1_000, '1', true),
];

#[test]
fn one_press_with_three_end_packets_is_one_key() {
    check(&ONE, "1");
    check(&ONE[..1], "1");
}

#[test]
fn a_press_without_its_start_or_its_end_is_one_key() {
    check(&ONE[1..], "1");
    check(&ONE[5..], "1");
    check(&ONE[..3], "1");
}

#[test]
fn reordered_and_doubled_packets_are_one_key() {
    check(&[3, 0, 1, 5, 2, 4, 0, 3].map(|it: usize| ONE[it]), "1");
}

#[test]
fn two_presses_of_one_key_are_two_keys_even_when_all_ends_are_lost() {
    check(&[ONE[0], ONE[1], (true, 2_600, '1', false), (false, 2_600, '1', true)], "11");
    check(&[ONE[0], ONE[1], (false, 2_600, '1', false)], "11");
    check(&[ONE[0], (true, 1_400, '1', false)], "11");
}

#[test]
fn a_straggler_of_the_press_before_is_no_key() {
    check(&[ONE[0], (true, 2_600, '2', false), ONE[4], (false, 2_600, '2', true)], "12");
}

#[test]
fn a_phone_that_restarts_its_clock_is_heard() {
    check(&[(true, 900_000, '1', true), (true, 160, '2', true)], "12");
}

#[test]
fn a_very_long_press_in_segments_is_one_key() {
    check(&[ONE[0], (false, 1_000 + 0xFFFF, '1', false), (false, 1_000 + 0xFFFF, '1', true)], "1");
}

#[test]
fn a_phone_that_moves_the_timestamp_with_every_packet_presses_once() {
    check(&[ONE[0], (false, 1_160, '1', false), (false, 1_320, '1', false)], "1");
}

#[test]
fn presses_go_on_across_the_wrap_of_the_timestamp() {
    check(&[(true, u32::MAX - 100, '5', true), (true, 2_000, '6', true)], "56");
}

#[test]
fn flash_and_torn_events_are_no_keys() {
    let mut receiver = EventReceiver::default();
    let header =
        Header { marker: true, payload_type: 101, sequence: 0, timestamp: MediaTime(0), ssrc: 7 };
    assert_eq!(receiver.handle(&header, &[16, 10, 0, 160]), None);
    assert_eq!(receiver.handle(&header, &[1, 10]), None);
}

/// `(payload type, ssrc, marker, timestamp, ended, duration)` of the key 7.
fn presses(packets: &[(u8, u32, bool, u32, bool, u16)]) -> usize {
    let mut receiver = EventReceiver::default();
    let heard = packets.iter().filter_map(|(payload_type, ssrc, marker, timestamp, ended, n)| {
        let header = Header {
            marker: *marker,
            payload_type: *payload_type,
            sequence: 0,
            timestamp: MediaTime(*timestamp),
            ssrc: *ssrc,
        };
        let [d0, d1] = n.to_be_bytes();
        receiver.handle(&header, &[7, u8::from(*ended) << 7 | 0x0A, d0, d1])
    });
    heard.count()
}

#[test]
fn a_payload_type_that_changes_while_a_key_is_down_is_one_key() {
    let it = [(101, 1, true, 800, false, 160), (96, 1, false, 800, false, 320)];
    assert_eq!(presses(&it), 1);
    assert_eq!(presses(&[it[0], it[1], (96, 1, false, 800, true, 800)]), 1);
}

#[test]
fn a_source_that_changes_while_a_key_is_down_is_one_key() {
    let it = [(101, 1, true, 800, false, 160), (101, 1, false, 800, false, 320)];
    assert_eq!(presses(&[it[0], it[1], (101, 2, false, 99, false, 480)]), 1);
    assert_eq!(
        presses(&[it[0], it[1], (101, 2, false, 99, false, 480), (101, 2, false, 99, true, 800)]),
        1
    );
}

#[test]
fn a_press_from_another_source_is_another_key() {
    let whole = [(101, 1, true, 800, false, 160), (101, 1, false, 800, true, 800)];
    assert_eq!(presses(&[whole[0], whole[1], (101, 2, true, 99, false, 160)]), 2);
    // All ends of the first and the start of the second are lost.
    let open = (101, 1, false, 800, false, 640);
    assert_eq!(presses(&[open, (101, 2, false, 99, false, 320)]), 2);
}

#[test]
fn any_loss_reorder_and_doubling_of_a_press_is_at_most_one_key() {
    let mut random = hotline_base::Random::new(4733);
    let press: Vec<_> =
        (1..=7_u16).map(|n| (101, 1, n == 1, 8_000, n >= 5, (n * 160).min(800))).collect();
    for _ in 0..20_000 {
        let mut sent = Vec::new();
        for it in &press {
            for _ in 0..random.below(3) {
                let at = usize::try_from(random.below(sent.len() as u64 + 1)).unwrap();
                sent.insert(at, *it);
            }
        }
        assert_eq!(presses(&sent), usize::from(!sent.is_empty()), "{sent:?}");
    }
}

#[test]
fn a_press_that_we_send_is_100_ms_with_three_ends_and_a_pause() {
    let mut sender = EventSender::new(Key::try_from('9').unwrap());
    let sent: Vec<_> = std::iter::from_fn(|| sender.next_step()).collect();
    assert_eq!(sent.len(), 10);
    assert_eq!(sent.iter().map(|it| it.1).collect::<Vec<_>>(), [1, 1, 1, 1, 3, 0, 0, 0, 0, 0]);
    assert_eq!(sent[0].0, EventPacket { payload: [9, 10, 0, 160], first: true });
    assert_eq!(sent[4].0, EventPacket { payload: [9, 0x8A, 3, 32], first: false });

    let mut receiver = EventReceiver::default();
    let header =
        Header { marker: true, payload_type: 101, sequence: 0, timestamp: MediaTime(9), ssrc: 7 };
    let keys = sent.iter().filter_map(|it| receiver.handle(&header, &it.0.payload)).count();
    assert_eq!(keys, 1);
}
