//! Who refreshes, how often, and what is refused.

use super::*;

const WISH: Wish = Wish { secs: 1_800, min_secs: 90 };

fn request(more: &str) -> Message {
    let text = format!(
        "INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\n\
         To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{more}\r\n"
    );
    Message::parse(text.as_bytes()).unwrap()
}

fn response(more: &str) -> Message {
    let text = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\n\
         To: <sip:b@h>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{more}\r\n"
    );
    Message::parse(text.as_bytes()).unwrap()
}

/// Our answer as it is written, and whether we refresh.
#[track_caller]
fn check(more: &str, expected: Result<(&str, bool), u32>) {
    let it = Session::answer(&request(more), WISH, None).map(|it| (it.header(true), it.ours));
    let expected = expected.map(|it| (it.0.to_owned(), it.1));
    assert_eq!(it, expected, "{more}");
}

#[test]
fn the_called_side_follows_the_callers_wish_within_its_own_bounds() {
    check("Supported: timer\r\nSession-Expires: 600\r\n", Ok(("600;refresher=uac", false)));
    check("k: timer\r\nx: 600;refresher=uas\r\n", Ok(("600;refresher=uas", true)));
    check("Require: timer\r\nx: 600 ; Refresher=UAC\r\n", Ok(("600;refresher=uac", false)));
    // Longer than we wish: shortened, but not below the peer's own shortest.
    check("Supported: timer\r\nSession-Expires: 7200\r\n", Ok(("1800;refresher=uac", false)));
    check("k: timer\r\nx: 7200\r\nMin-SE: 3600\r\n", Ok(("3600;refresher=uac", false)));
    check("Supported: timer\r\nSession-Expires: 30\r\n", Err(90));
    check("Supported: timer\r\n", Ok(("1800;refresher=uac", false)));
}

#[test]
fn a_peer_without_timers_is_asked_by_us() {
    check("", Ok(("1800;refresher=uas", true)));
    check("Session-Expires: 600;refresher=uac\r\n", Ok(("600;refresher=uas", true)));
    check("Session-Expires: 30\r\n", Ok(("90;refresher=uas", true)));
    check("Supported: 100rel\r\nSession-Expires: nonsense\r\n", Ok(("1800;refresher=uas", true)));
    let it = Session::settled(&response(""), 1_800);
    assert_eq!((it.secs, it.ours, it.agreed), (1_800, true, false));
}

#[test]
fn a_later_request_that_says_nothing_leaves_the_refresher_as_it_is() {
    let now = Session { secs: 600, ours: true, agreed: true };
    let it = Session::answer(&request("Supported: timer\r\n"), WISH, Some(now)).unwrap();
    assert!(it.ours);
}

#[test]
fn the_calling_side_takes_what_the_2xx_says() {
    let settled = |more| Session::settled(&response(more), 1_800);
    let it = settled("Require: timer\r\nSession-Expires: 600;refresher=uac\r\n");
    assert_eq!((it.secs, it.ours, it.agreed), (600, true, true));
    assert_eq!(it.header(false), "600;refresher=uac");
    let it = settled("Session-Expires: 600;refresher=uas\r\n");
    assert_eq!((it.ours, it.header(false).as_str()), (false, "600;refresher=uas"));
    // A session of no length would end the call at once.
    assert_eq!(settled("Session-Expires: 0\r\n").secs, 90);
}

/// A peer that is gone would be believed for 136 years.
#[test]
fn no_peer_makes_a_session_longer_than_two_hours_or_than_we_asked_for() {
    let ages = u32::MAX;
    let longest = Ok(("7200;refresher=uac", false));
    check(&format!("k: timer\r\nx: {ages}\r\n"), Ok(("1800;refresher=uac", false)));
    check(&format!("k: timer\r\nMin-SE: {ages}\r\nx: {ages}\r\n"), longest);
    check(&format!("k: timer\r\nMin-SE: {ages}\r\n"), longest);
    let settled = |more: &str, asked| Session::settled(&response(more), asked).secs;
    let told = format!("Require: timer\r\nSession-Expires: {ages};refresher=uas\r\n");
    assert_eq!((settled(&told, 1_800), settled(&told, 0)), (1_800, 90));
    // A number that is none says nothing.
    assert_eq!(settled("Session-Expires: 4294967296\r\n", 600), 600);
}

#[test]
fn a_refresh_comes_at_half_time_and_the_end_a_little_before_the_peers() {
    let it = |secs, agreed| {
        let it = Session { secs, ours: true, agreed };
        (it.refresh_after(Duration::from_secs(32)).as_secs(), it.ends_after().as_secs())
    };
    assert_eq!(it(1_800, true), (900, 1_768));
    assert_eq!(it(128, true), (64, 96));
    // Earlier where a refresh of 32 s would not fit in.
    assert_eq!(it(90, true), (28, 60));
    // A peer without timers ends nothing.
    assert_eq!((it(1_800, false), it(90, false)), ((900, 1_800), (45, 90)));
}
