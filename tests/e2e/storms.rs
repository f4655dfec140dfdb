//! Strangers in numbers, and talks that notice nothing. What is counted does not depend on how fast
//! the machine is: how many come a second is told, not asserted.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use hotline_testkit::{Canaries, raw::request};
use rustls::{ClientConnection, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    engine::{Engine, SOON},
    figures::tell,
    setup::Setup,
    survival::{Talk, number, taken_caller, talks},
    transports::{connector, listener, memory, note, secure},
};

/// A storm in which the machine itself stood still and packets were lost says nothing, so there is
/// another, up to so many.
const TRIES: usize = 10;

/// Whether the storm cost the talks nothing. Each ear may have lost what its core was away for.
fn is_borne(n_lost: u32, talks: &[Talk], away: Duration) -> bool {
    let n_ears = 2 * talks.len() as u128;
    let excused = n_ears * (away.as_millis() / 20);
    assert!(u128::from(n_lost) <= excused, "{n_lost} packets lost, the machine away for {away:?}");
    n_lost == 0
}

/// Strangers of whom no two have one address, or the first would be banned.
fn stranger(n: usize) -> Ipv4Addr {
    let part = |it: usize| u8::try_from(it).unwrap();
    Ipv4Addr::new(127, 1, part(n / 250), part(1 + n % 250))
}

/// Packets that both sides of the talks have lost since then.
fn n_lost(talks: &[Talk], since: Instant) -> u32 {
    let ears = talks.iter().flat_map(|it| [&*it.caller, &it.phone]);
    ears.map(|it| it.heard().continuity_since(since).n_lost).sum()
}

async fn go_on(talks: &[Talk]) {
    for it in talks {
        let (caller, phone) = (it.caller.mark(), it.phone.mark());
        it.caller.until_tone_since(caller, 440, SOON).await.unwrap();
        it.phone.until_tone_since(phone, 700, SOON).await.unwrap();
        assert!(it.caller.view().ended.is_none() && it.phone.view().ended.is_none());
    }
}

/// The first message of a handshake: what it costs us to answer, a stranger need not compute.
fn client_hello(folder: &Path) -> Vec<u8> {
    let config = Arc::clone(connector(folder).config());
    let name = ServerName::try_from("sip.example").unwrap();
    let mut bytes = Vec::new();
    ClientConnection::new(config, name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

/// One stranger begins a handshake; whether he was answered.
async fn shake(at: SocketAddr, from: Ipv4Addr, hello: Vec<u8>) -> io::Result<bool> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut stream = socket.connect(at).await?;
    stream.write_all(&hello).await?;
    Ok(timeout(SOON, stream.read_u8()).await?? == 22)
}

/// The names of the threads of control, and how far each stands back.
fn nices(engine: &Engine) -> Vec<(String, i32)> {
    let tasks = format!("/proc/{}/task", note(engine)["control"]);
    let one = |at: &Path| {
        let stat = fs::read_to_string(at.join("stat")).ok()?;
        let (before, after) = stat.rsplit_once(") ")?;
        let name = before.split_once('(')?.1.to_owned();
        // The first behind the name is the third (proc(5)).
        Some((name, after.split(' ').nth(16)?.parse().ok()?))
    };
    fs::read_dir(tasks).unwrap().filter_map(|it| one(&it.unwrap().path())).collect()
}

/// The reliability paper, 5, has 2,000 a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v22_a_storm_of_handshakes_costs_no_packet_of_a_talk_and_is_bounded() {
    const TOGETHER: usize = 100;
    // As it is configured when nothing is.
    const PER_SEC: u64 = 200;
    let n_strangers = number("HOTLINE_HANDSHAKES", 1_000);
    let sip_more = "flood = { friends = [] }\n".to_owned();
    let (engine, folder) = secure(Setup { sip_more, ..Setup::of_calls(2) }).await;
    let (talks, _agents) = talks(&engine, 2).await;
    let (at, hello) = (listener(&engine, "sip_tls"), client_hello(folder.path()));
    let canaries = Canaries::start();
    let mut is_over = false;
    for round in 0..TRIES {
        canaries.away();
        let since = Instant::now();
        let (mut running, mut n_answered) = (JoinSet::new(), 0);
        for n in 0..n_strangers {
            if running.len() == TOGETHER {
                n_answered += u64::from(matches!(running.join_next().await, Some(Ok(Ok(true)))));
            }
            running.spawn(shake(at, stranger((round * n_strangers + n) % 60_000), hello.clone()));
        }
        let rest = running.join_all().await;
        n_answered += rest.iter().filter(|it| matches!(it, Ok(true))).count() as u64;
        let (took, lost) = (since.elapsed(), n_lost(&talks, since));
        let away = canaries.away();
        tell(
            "handshakes begun and answered, how long it took, packets lost, the machine away",
            &(n_strangers, n_answered, took, lost, away),
        );
        assert!(n_answered <= PER_SEC * (took.as_secs() + 2), "{n_answered} in {took:?}");
        is_over = is_borne(lost, &talks, away);
        if is_over {
            break;
        }
    }
    assert!(is_over, "the machine stood still in each of {TRIES} storms");
    let nices = nices(&engine);
    let of =
        |name: &str| nices.iter().find(|it| it.0 == name).unwrap_or_else(|| panic!("{nices:?}")).1;
    assert!(of("handshakes") == of("records") && of("handshakes") >= of("edge"), "{nices:?}");
    go_on(&talks).await;
}

const FLOODERS: usize = 10;

/// Requests of so many strangers as fast as the kernel takes them; says how many these were, and how
/// many answers came.
fn flood(to: SocketAddr) -> (usize, usize) {
    const ROUNDS: usize = 5_000;
    let bind = |n| std::net::UdpSocket::bind((stranger(n), 0)).unwrap();
    let sockets: Vec<_> = (0..FLOODERS).map(bind).collect();
    let texts: Vec<_> = sockets
        .iter()
        .zip(["INVITE", "REGISTER", "OPTIONS", "BYE"].iter().cycle())
        .map(|(it, method)| request(method, to, it.local_addr().unwrap(), "UDP"))
        .collect();
    let mut n_sent = 0;
    for round in 0..ROUNDS {
        for (socket, text) in sockets.iter().zip(&texts) {
            let text = text.replace("raw-", &format!("raw-{round}-"));
            n_sent += usize::from(socket.send_to(text.as_bytes(), to).is_ok());
        }
    }
    let mut n_answers = 0;
    for it in &sockets {
        it.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        while it.recv(&mut [0; 2_048]).is_ok() {
            n_answers += 1;
        }
    }
    (n_sent, n_answers)
}

/// The reliability paper, 5, has 50,000 a second for 5 minutes (bench `calls flood`): here are as
/// many as in a second of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_requests_of_strangers_cost_no_packet_of_a_talk_and_stop_no_call() {
    let sip_more = "flood = { friends = [] }\n".to_owned();
    let setup = Setup { sip_more, ..Setup::of_calls(20) };
    let engine = Engine::start(setup).await;
    let (talks, _agents) = talks(&engine, 2).await;
    let (before, to) = (memory(&engine), engine.udp());
    let canaries = Canaries::start();
    let mut is_over = false;
    for _ in 0..TRIES {
        canaries.away();
        let since = Instant::now();
        let flooding = tokio::task::spawn_blocking(move || flood(to));
        // Somebody calls all the while, and each of them is answered.
        let mut n_calls = 0;
        while !flooding.is_finished() || n_calls == 0 {
            let caller = taken_caller(&engine).await;
            caller.hang_up();
            caller.until_ended(SOON).await.unwrap();
            n_calls += 1;
        }
        let (n_sent, n_answers) = flooding.await.unwrap();
        let (lost, away) = (n_lost(&talks, since), canaries.away());
        tell(
            "requests, answers, how long it took, calls meanwhile, packets lost, the machine away",
            &(n_sent, n_answers, since.elapsed(), n_calls, lost, away),
        );
        assert!(
            n_sent >= 45_000 && n_answers <= FLOODERS * 20,
            "{n_sent} sent, {n_answers} answers"
        );
        is_over = is_borne(lost, &talks, away);
        if is_over {
            break;
        }
    }
    assert!(is_over, "the machine stood still in each of {TRIES} floods");
    engine.until_counted("hotline_sip_edge_total{what=\"banned\"}").await;
    let grown = memory(&engine).saturating_sub(before);
    assert!(grown <= 64 << 20, "{grown} bytes more");
    go_on(&talks).await;
}
