//! Those who guess, forge and exaggerate: classes V6–V12 of the reliability paper.

use super::{
    contacts::dial,
    office::{Office, Phone, way},
    *,
};
use crate::{Challenges, PeerMisbehaved, Secret};

fn many(config: &mut Config) {
    config.accounts.insert(Extension::new("1002"), Account::new("other"));
    let md5 = Account::new("old").with(Challenges::Md5);
    config.accounts.insert(Extension::new("1003"), md5);
}

fn algorithms(it: &Message) -> Vec<String> {
    let all = it.headers("WWW-Authenticate").map(crate::decode);
    let name =
        |it: String| it.split("algorithm=").nth(1).unwrap().split(',').next().unwrap().to_owned();
    all.map(name).collect()
}

#[test]
fn v6_no_request_of_ours_but_register_answers_a_challenge_and_only_the_registrars() {
    let mut it = Office::new(|_| ());
    let mut phone = Phone::at("10.0.0.1:5060");
    let lines = phone.contact("");
    it.register(&mut phone, &lines);
    let ours = |it: &Office, n: usize| {
        it.sent[n..].iter().filter(|it| it.1.method().is_some()).cloned().collect::<Vec<_>>()
    };
    let told = |it: &Office| {
        let all = it.sent.iter().filter(|it| it.1.method().is_some());
        all.filter(|it| {
            it.1.header("Authorization").or(it.1.header("Proxy-Authorization")).is_some()
        })
        .count()
    };
    // The called phone challenges our INVITE with our realm.
    let n = it.sent.len();
    assert!(dial(&mut it));
    for (flow, request) in ours(&it, n) {
        for (status, name) in [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")] {
            let asked = "Digest realm=\"hotline\",nonce=\"n\",algorithm=MD5,qop=\"auth\"";
            let reply = crate::message::Reply::new(&request, status).tag("t").with(name, asked);
            it.hand(flow, std::str::from_utf8(&reply.build()).unwrap());
        }
    }
    // Our own registration is challenged by somebody who is not the registrar.
    let n = it.sent.len();
    let account = Account::new("secret").with(Challenges::Sha256AndMd5);
    let (extension, at) = (Extension::new("1001"), way("10.0.0.50:5060", None));
    it.act(|it, now| it.register(&extension, &account, at, Duration::from_mins(10), now));
    let (_, request) = ours(&it, n)[0].clone();
    let asked = "Digest realm=\"hotline\",nonce=\"n\",algorithm=SHA-256,qop=\"auth\"";
    let reply = crate::message::Reply::new(&request, 401).tag("t").with("WWW-Authenticate", asked);
    let text = String::from_utf8(reply.build()).unwrap();
    it.hand(way("10.6.6.6:5060", None), &text);
    assert_eq!(told(&it), 0);
    assert_eq!(it.said(|it| matches!(it, Event::RegisterDone { ok: false, status: 401, .. })), 1);
}

#[test]
fn v7_no_method_of_a_stranger_has_an_effect() {
    let methods = [
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "REGISTER",
        "INFO",
        "UPDATE",
        "PRACK",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "PUBLISH",
        "REFER",
        "WHATEVER",
    ];
    let mut it = Office::new(|_| ());
    let flow = way("10.6.6.6:5060", None);
    for method in methods {
        for to in ["<sip:1001@hotline>", "<sip:1001@hotline>;tag=guess"] {
            let branch = it.branch();
            let text = format!(
                "{method} sip:1001@hotline SIP/2.0\r\n\
                 Via: SIP/2.0/UDP 10.6.6.6:5060;rport;branch=z9hG4bK{branch}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:evil@h>;tag=e\r\nTo: {to}\r\nCall-ID: v7\r\n\
                 CSeq: {branch} {method}\r\nContact: <sip:evil@10.6.6.6>\r\nRefer-To: <sip:0@h>\r\n\
                 User-Agent: a stranger who says as much of himself as others do\r\n\r\n"
            );
            let status = it.hand(flow, &text).and_then(|it| it.status());
            let fine = match method {
                "OPTIONS" if !to.contains("tag") => status == Some(200),
                "REGISTER" => matches!(status, Some(401 | 481)),
                "ACK" => status.is_none(),
                _ => matches!(status, Some(403 | 405 | 481 | 501)),
            };
            assert!(fine, "{method} {to}: {status:?}");
        }
    }
    assert_eq!((it.end.n_legs(), it.end.n_transactions()), (0, 0));
    assert!(it.uris().is_empty() && !it.end.is_phone(flow));
}

#[test]
fn v8_answers_by_an_algorithm_the_account_does_not_permit_are_refused() {
    let mut it = Office::new(many);
    let mut old =
        Phone { user: "1003".to_owned(), password: "old".to_owned(), ..Phone::at("10.0.0.1:1") };
    let lines = old.contact("");
    assert_eq!(it.register(&mut old, &lines).status(), Some(200));
    // The others are not asked for MD5, and an answer by it is as good as a wrong password.
    let mut phone = Phone::at("10.0.0.1:2");
    let text = it.request(&mut phone, "");
    let asked = it.hand(phone.flow, &text).unwrap();
    assert_eq!(algorithms(&asked), ["SHA-256"]);
    let weak = crate::decode(asked.header("WWW-Authenticate").unwrap()).replace("SHA-256", "MD5");
    let weak = crate::message::Reply::new(&Message::parse(text.as_bytes()).unwrap(), 401)
        .with("WWW-Authenticate", weak)
        .build();
    let told = Office::answer(&phone, &text, &Message::parse(&weak).unwrap());
    let text = it.request(&mut phone, &format!("Authorization: {told}\r\n"));
    assert_eq!(it.hand(phone.flow, &text).unwrap().status(), Some(403));
}

#[test]
fn v8_both_challenges_are_given_sha256_first_where_the_account_has_both() {
    let both = Account::new("secret").with(Challenges::Sha256AndMd5);
    let mut it = Office::new(|it| {
        it.accounts.insert(Extension::new("1001"), both);
    });
    let mut phone = Phone::at("10.0.0.1:2").over(3);
    let text = it.request(&mut phone, "");
    assert_eq!(algorithms(&it.hand(phone.flow, &text).unwrap()), ["SHA-256", "MD5"]);
    for challenges in [Challenges::Md5, Challenges::Sha256] {
        let call_id = format!("{challenges:?}");
        let mut phone = Phone { call_id, challenges, ..phone.clone() };
        let lines = phone.contact("");
        assert_eq!(it.register(&mut phone, &lines).status(), Some(200), "{challenges:?}");
    }
}

#[test]
fn v8_known_and_unknown_names_look_alike() {
    let mut it = Office::new(many);
    let mut looks = Vec::new();
    for user in ["1001", "1000", "9999", "1002"] {
        let called =
            |it: Phone| Phone { user: user.to_owned(), password: "guess".to_owned(), ..it };
        let mut phone = called(Phone::at("10.0.0.1:2"));
        let text = it.request(&mut phone, "");
        let asked = it.hand(phone.flow, &text).unwrap();
        let names = algorithms(&asked);
        let phone = Phone { challenges: Challenges::Sha256AndMd5, ..phone };
        let told = Office::answer(&phone, &text, &asked);
        let text = it.request(&mut phone.clone(), &format!("Authorization: {told}\r\n"));
        let refused = it.hand(phone.flow, &text).unwrap();
        let lines: Vec<_> = String::from_utf8(refused.bytes().to_vec())
            .unwrap()
            .lines()
            .map(|it| it.split(':').next().unwrap().to_owned())
            .collect();
        looks.push((refused.status(), lines, names.len()));
    }
    assert!(looks.windows(2).all(|it| it[0] == it[1]), "{looks:?}");
    assert_eq!(looks[0].0, Some(403));
}

#[test]
fn v8_a_nonce_serves_one_address_for_a_minute_and_never_twice() {
    let mut it = Office::new(|_| ());
    let mut phone = Phone::at("10.0.0.1:2");
    let lines = phone.contact("");
    let text = it.request(&mut phone, &lines);
    let asked = it.hand(phone.flow, &text).unwrap();
    let told = Office::answer(&phone, &text, &asked);
    let told = format!("Authorization: {told}\r\n{lines}");
    let is_stale = |it: &Message| {
        it.status() == Some(401)
            && crate::decode(it.header("WWW-Authenticate").unwrap()).contains("stale=true")
    };
    // Somebody who saw it, from elsewhere.
    let mut thief = Phone { flow: way("10.6.6.6:5060", None), ..phone.clone() };
    let text = it.request(&mut thief, &told);
    assert!(is_stale(&it.hand(thief.flow, &text).unwrap()));
    let text = it.request(&mut phone, &told);
    assert_eq!(it.hand(phone.flow, &text).unwrap().status(), Some(200));
    let text = it.request(&mut phone, &told);
    assert!(is_stale(&it.hand(phone.flow, &text).unwrap()), "replayed");
    it.millis(62_000);
    let text = it.request(&mut phone, &told.replace("nc=00000001", "nc=00000002"));
    assert!(is_stale(&it.hand(phone.flow, &text).unwrap()), "too old");
    // A hashed user name was not offered.
    let text = it.request(&mut phone, &told.replace("qop=auth", "userhash=true,qop=auth"));
    assert_eq!(it.hand(phone.flow, &text).unwrap().status(), Some(400));
}

#[test]
fn v9_ten_wrong_passwords_lock_a_user_at_an_address_and_nobody_else() {
    let mut it = Office::new(|_| ());
    let mut thief = Phone { password: "guess".to_owned(), ..Phone::at("10.6.6.6:5060") };
    for _ in 0..10 {
        assert_eq!(it.register(&mut thief, "").status(), Some(403));
    }
    assert_eq!(it.said(|it| matches!(it, Event::AuthFailed { locks: true, .. })), 1);
    thief.password = "secret".to_owned();
    let lines = thief.contact("");
    assert_eq!(it.register(&mut thief, &lines).status(), Some(403), "locked, though right");
    let mut phone = Phone::at("10.0.0.1:5060");
    let lines = phone.contact("");
    assert_eq!(it.register(&mut phone, &lines).status(), Some(200));
    it.millis(15 * 60_000 + 1_000);
    assert_eq!(it.register(&mut thief, &lines).status(), Some(200));
}

#[test]
fn v9_who_forges_the_address_of_a_phone_does_not_lock_it_out() {
    let mut it = Office::new(|_| ());
    let mut phone = Phone::at("10.0.0.1:5060");
    let forged = "Authorization: Digest username=\"1001\",realm=\"hotline\",uri=\"sip:hotline\",\
                  nonce=\"65432100abcd0123456789ab\",response=\"00\",algorithm=SHA-256,qop=auth,\
                  nc=00000001,cnonce=\"c\"\r\n";
    for _ in 0..100 {
        let text = it.request(&mut phone, forged);
        assert_eq!(it.hand(phone.flow, &text).unwrap().status(), Some(401));
    }
    let lines = phone.contact("");
    assert_eq!(it.register(&mut phone, &lines).status(), Some(200));
}

#[test]
fn v10_a_register_brings_back_no_more_than_it_was_once_and_leaves_nothing_behind() {
    let mut it = Office::new(many);
    let (mut bytes_in, mut bytes_out) = (0, 0);
    let flow = way("10.6.6.6:5060", None);
    for user in ["1001", "1003", "x"] {
        for more in ["", "Authorization: Digest realm=\"hotline\"\r\n", "Contact: <sip:a@b>\r\n"] {
            for long in [0, 40, 400] {
                let text = format!(
                    "REGISTER sip:hotline SIP/2.0\r\nVia: SIP/2.0/UDP 10.6.6.6;branch=z9hG4bK{}\r\n\
                     From: <sip:{user}@h>;tag=1\r\nTo: <sip:{user}@h>\r\nCall-ID: {}\r\n\
                     CSeq: 1 REGISTER\r\n{more}X: {}\r\n\r\n",
                    it.branch(),
                    it.branch(),
                    "x".repeat(long),
                );
                let before = it.sent.len();
                it.hand(flow, &text);
                let out = &it.sent[before..];
                let n_out: usize = out.iter().map(|it| it.1.bytes().len()).sum();
                assert!(out.len() <= 1 && n_out <= text.len(), "{n_out} for {text}");
                bytes_in += text.len();
                bytes_out += n_out;
            }
        }
    }
    let n = it.sent.len();
    it.millis(120_000);
    assert_eq!((it.sent.len(), it.end.n_transactions(), it.end.poll_timeout()), (n, 0, None));
    assert!(n >= 9 && bytes_out < bytes_in, "{n} answers, {bytes_out} of {bytes_in} bytes");
}

#[test]
fn v11_numbers_beyond_all_bounds_are_cut_or_refused() {
    let huge =
        ["2147483647", "4294967296", "18446744073709551616", &"9".repeat(100)].map(str::to_owned);
    for number in huge {
        let mut it = Office::new(|_| ());
        let mut phone = Phone::at("10.0.0.1:5060");
        let lines = format!("{}Expires: {number}\r\n", phone.contact(""));
        assert_eq!(it.register(&mut phone, &lines).status(), Some(200), "{number}");
        let lines = phone.contact(&format!(";expires={number}"));
        assert_eq!(it.register(&mut phone, &lines).status(), Some(200), "{number}");
        let left = it.contacts()[0].expires_wall.millis_since(it.now.wall);
        assert!(left <= 3_600_000, "{left}");
        let lines =
            phone.contact(&format!(";q={number};+sip.instance=\"<urn:x>\";reg-id={number}"));
        assert_eq!(it.register(&mut phone, &lines).status(), Some(200), "{number}");
        assert!(it.contacts().iter().all(|it| it.q <= 1000));
    }
    for number in ["-1", "1.5", "0x10", "", "+1", "1e9"] {
        let mut it = Office::new(|_| ());
        let mut phone = Phone::at("10.0.0.1:5060");
        let lines = phone.contact(&format!(";expires={number}"));
        assert_eq!(it.register(&mut phone, &lines).status(), Some(400), "{number}");
        assert!(it.uris().is_empty());
    }
}

#[test]
fn v12_too_many_contacts_paths_and_parameters_are_refused_and_nothing_is_kept() {
    let mut it = Office::new(|_| ());
    let list = |value: &str, n: usize| vec![value; n].join(",");
    let mut phone = Phone::at("10.0.0.1:5060").over(1);
    let contacts = format!("Contact: {}\r\n", list("<sip:a@b>", 200));
    assert_eq!(it.register(&mut phone, &contacts).status(), Some(400));
    let paths = format!("{}Path: {}\r\n", phone.contact(""), list("<sip:p;lr>", 200));
    assert_eq!(it.register(&mut phone, &paths).status(), Some(400));
    let params = format!("Authorization: Digest {}\r\n", list("realm=\"hotline\"", 200));
    let text = it.request(&mut phone, &params);
    assert_eq!(it.hand(phone.flow, &text).unwrap().status(), Some(400));
    // What is kept of a phone has a length, too.
    let long = format!("Contact: <sip:{}@h>\r\n", "a".repeat(2_000));
    assert_eq!(it.register(&mut phone, &long).status(), Some(400));
    let said = it.events.iter().filter(|it| {
        matches!(
            it,
            Event::Misbehaved {
                why: PeerMisbehaved::BadContact
                    | PeerMisbehaved::BadPath
                    | PeerMisbehaved::BadCredentials,
                ..
            }
        )
    });
    assert_eq!(said.count(), 4);
    assert!(it.uris().is_empty());
}

#[test]
fn secrets_are_not_shown() {
    let account =
        Account { secret: Secret::Password("hush".to_owned()), challenges: Challenges::Md5 };
    assert!(!format!("{account:?}").contains("hush"));
}
