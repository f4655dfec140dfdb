//! Browsers by an implementation that is not ours, over real sockets.

use std::{net::Ipv4Addr, time::Duration};

use hotline_base::{
    Key, LegId,
    media::{Event, FailReason, FailedOrder, Hears, Order, Profile, VERSION},
};
use hotline_dsp::strength;

use super::{
    page::Page,
    rig::{CONTEXT, Phone, Rig},
};

/// A page that calls in, connected.
pub(super) fn page(rig: &mut Rig, leg: u64, hz: u32) -> Page {
    let mut page = Page::new(leg, hz);
    let offer = page.offer();
    let sdp = opened(rig, leg, Some(offer));
    page.accept(&sdp);
    assert!(page.until(|it| it.is_connected), "no connection");
    page
}

fn opened(rig: &mut Rig, leg: u64, offer: Option<String>) -> String {
    rig.control.order(&Order::Open {
        leg: LegId(leg),
        offer,
        profile: Profile::WebRtc,
        context: CONTEXT,
    });
    let Event::Opened { leg: opened, sdp } = rig.control.event() else { panic!("not opened") };
    assert_eq!(opened, LegId(leg));
    sdp
}

pub(super) fn bridge(rig: &mut Rig, a: LegId, b: LegId) {
    let hears = |listener, speaker| Hears { listener, speakers: vec![speaker] };
    rig.control.order(&Order::Mix { hears: vec![hears(a, b), hears(b, a)] });
    rig.control.order(&Order::Hello { version: VERSION });
    assert!(matches!(rig.control.event(), Event::Inventory { .. }));
}

/// Both talk for a while; what each hears is the other's tone.
pub(super) fn assert_page_and_phone_talk(
    page: &mut Page,
    phone: &mut Phone,
    [from_page, from_phone]: [u32; 2],
) {
    page.heard.clear();
    phone.take_in();
    phone.heard.clear();
    for _ in 0..100 {
        page.say();
        phone.say();
        page.take_in(Duration::from_millis(5));
        phone.take_in();
    }
    let heard = page.until(|it| it.heard.len() >= 80 * 160);
    assert!(heard, "{} samples at the page", page.heard.len());
    phone.take_in();
    let n_stale = phone.n_stale();
    let n_heard = phone.heard.len() / 160 + n_stale;
    assert!(n_heard >= 80, "{n_heard} frames at the telephone");
    assert_tone(&page.heard, from_phone, n_stale);
    assert_tone(&phone.heard, from_page, n_stale);
}

/// 20 ms at a time, as a packet that came late leaves a gap; before he speaks, and while a machine
/// stands still, silence of ours is heard. So many packets were not passed on for that.
#[track_caller]
fn assert_tone(heard: &[i16], hz: u32, n_stale: usize) {
    let loud = heard.chunks_exact(160).filter(|it| it.iter().any(|it| it.unsigned_abs() > 100));
    let shares: Vec<_> = loud.map(|it| strength(it, hz)).collect();
    let n = shares.len();
    assert!(n >= 20 && n + n_stale >= 70, "{n} frames with sound, {n_stale} not passed on");
    let mean = shares.iter().sum::<f64>() / f64::from(u32::try_from(shares.len()).unwrap());
    assert!(mean > 0.9, "{mean} of {hz} Hz");
}

#[test]
fn a_browser_that_calls_and_a_telephone_hear_each_other_and_each_others_keys() {
    let mut rig = Rig::new();
    let mut page = page(&mut rig, 1, 450);
    let mut phone = rig.phone(2, 700);
    bridge(&mut rig, page.leg, phone.leg);
    assert_page_and_phone_talk(&mut page, &mut phone, [450, 700]);

    page.press(5);
    page.take_in(Duration::from_millis(300));
    let key = Key::try_from('5').unwrap();
    assert_eq!(rig.control.event(), Event::Key { leg: page.leg, key });
    rig.control.order(&Order::SendKeys { leg: page.leg, keys: vec![key] });
    assert!(page.until(|it| it.keys.contains(&5)), "no key");

    // The mixed path is protected as well.
    rig.control.order(&Order::Close { leg: page.leg });
    let Event::Closed { stats, .. } = rig.control.event() else { panic!("not closed") };
    assert!(stats.packets_in >= 100 && stats.refused == 0, "{stats:?}");
}

#[test]
fn a_browser_that_is_called_and_a_telephone_hear_each_other() {
    let mut rig = Rig::new();
    let offer = opened(&mut rig, 1, None);
    let mut page = Page::new(1, 450);
    let answer = page.answer(&offer);
    rig.control.order(&Order::Answer { leg: LegId(1), answer });
    assert_eq!(rig.control.event(), Event::Settled { leg: LegId(1), hold: false });
    assert!(page.until(|it| it.is_connected), "no connection");
    let mut phone = rig.phone(2, 700);
    bridge(&mut rig, page.leg, phone.leg);
    assert_page_and_phone_talk(&mut page, &mut phone, [450, 700]);
}

#[test]
fn two_browsers_at_one_port_hear_each_other_and_nobody_else() {
    let mut rig = Rig::new();
    let (mut a, mut b) = (page(&mut rig, 1, 450), page(&mut rig, 2, 700));
    let mut c = page(&mut rig, 3, 950);
    bridge(&mut rig, a.leg, b.leg);
    for _ in 0..100 {
        for it in [&mut a, &mut b, &mut c] {
            it.say();
            it.take_in(Duration::from_millis(2));
        }
    }
    assert!(a.until(|it| it.heard.len() >= 80 * 160) && b.until(|it| it.heard.len() >= 80 * 160));
    let workers = rig.media.counters().workers;
    let n_stale = workers.iter().map(|it| usize::try_from(it.packets_stale).unwrap()).sum();
    assert_tone(&a.heard, 700, n_stale);
    assert_tone(&b.heard, 450, n_stale);
    assert_eq!(c.heard.len(), 0);
}

#[test]
fn after_a_change_of_network_a_browser_goes_on_with_the_keys_it_has() {
    let mut rig = Rig::new();
    let mut page = page(&mut rig, 1, 450);
    let mut phone = rig.phone(2, 700);
    bridge(&mut rig, page.leg, phone.leg);
    assert_page_and_phone_talk(&mut page, &mut phone, [450, 700]);
    let offer = page.roam(Ipv4Addr::new(127, 0, 0, 2));
    rig.control.order(&Order::Reoffer { leg: page.leg, offer });
    let Event::Reanswered { sdp, .. } = rig.control.event() else { panic!("not answered") };
    page.accept(&sdp);
    assert!(page.until_heard(|| phone.say()), "the new way is never found");
    assert_page_and_phone_talk(&mut page, &mut phone, [450, 700]);
}

#[test]
fn a_browser_with_another_certificate_than_described_is_refused_and_stays_silent() {
    let mut rig = Rig::new();
    let mut page = Page::new(1, 450);
    let offer = page.offer();
    let (before, digits) = offer.split_once("a=fingerprint:sha-256 ").unwrap();
    let other = if digits.starts_with("00") { "01" } else { "00" };
    let offer = format!("{before}a=fingerprint:sha-256 {other}{}", &digits[2..]);
    let sdp = opened(&mut rig, 1, Some(offer));
    page.accept(&sdp);
    let mut phone = rig.phone(2, 700);
    bridge(&mut rig, page.leg, phone.leg);
    page.take_in(Duration::from_millis(500));
    let refused = Event::Failed {
        leg: LegId(1),
        order: FailedOrder::Secure,
        reason: FailReason::BadCertificate,
    };
    rig.control.order(&Order::Hello { version: VERSION });
    let mut events = Vec::new();
    for _ in 0..60 {
        let event = rig.control.event();
        if event == refused {
            break;
        }
        events.push(event);
        page.take_in(Duration::from_millis(100));
        rig.control.order(&Order::Hello { version: VERSION });
    }
    assert!(events.len() < 60, "never refused");
    for _ in 0..20 {
        page.say();
        phone.say();
        page.take_in(Duration::from_millis(5));
    }
    assert!(page.is_broken && page.heard.is_empty() && phone.hears_nothing());
}
