//! linphone, a softphone, as an agent.

use std::{fmt::Write as _, fs};

use hotline_testkit::{Sound, Speech};
use tempfile::TempDir;
use tokio::time::{Duration, Instant, interval};

use super::{
    AGENT_HZ, CALLER_HZ, LATER_HZ, check_talk, media_is_killed, peer::Peer, sign_in, sound,
    talk_goes_on, until_state,
};
use crate::{
    engine::{Engine, Role, SOON},
    setup::{PASSWORD, Setup},
    transports::{listener, secure},
};

struct Linphone {
    peer: Peer,
    folder: TempDir,
}

impl Linphone {
    /// A telephone that speaks `transport` alone, says `AGENT_HZ` and registers as 8001 at `at`.
    async fn start(transport: &str, at: &str, more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("hotline-linphone-").tempdir().unwrap();
        // Without this place it writes nothing, and ends.
        fs::create_dir_all(folder.path().join(".local/share/linphone")).unwrap();
        fs::write(folder.path().join("tone.wav"), sound::wav(AGENT_HZ)).unwrap();
        let mut config = format!("[sip]\nverify_server_certs=0\nverify_server_cn=0\n{more}");
        for (key, name) in [("sip_port", "udp"), ("sip_tcp_port", "tcp"), ("sip_tls_port", "tls")] {
            // Any port, and none.
            let port = if name == transport { -1 } else { 0 };
            writeln!(config, "{key}={port}").unwrap();
        }
        config += "[rtp]\naudio_rtp_port=-1\n[sound]\nec_enabled=0\n";
        fs::write(folder.path().join("rc"), config).unwrap();
        let mut peer = Peer::start("linphonec", "linphone-cli", folder.path(), &["-c", "rc", "-S"]);
        peer.until_said("linphonec>").await;
        peer.types("soundcard use files\nplay tone.wav\nrecord heard.wav\n").await;
        peer.types(&format!("register sip:8001@127.0.0.1 sip:{at}\n")).await;
        peer.until_said("Password for 8001").await;
        peer.types(&format!("{PASSWORD}\n")).await;
        Self { peer, folder }
    }

    /// It registers in silence, and tells when it is asked.
    async fn until_registered(&mut self) {
        let end = Instant::now() + SOON;
        let mut tick = interval(ASK_EVERY);
        while !self.peer.said().contains("registered, identity=") {
            assert!(Instant::now() < end, "{}", self.peer.said());
            tick.tick().await;
            self.peer.types("status register\n").await;
        }
    }

    /// Ends the program; what it heard.
    async fn heard(mut self) -> Sound {
        self.peer.types("quit\n").await;
        self.peer.until_gone().await;
        Sound::open(&self.folder.path().join("heard.wav")).unwrap()
    }
}

const ASK_EVERY: Duration = Duration::from_millis(200);

/// It registers, is called, talks and hangs up.
async fn is_an_agent(
    engine: &mut Engine,
    (transport, more): (&str, &str),
    at: &str,
    dies: Option<Role>,
) {
    let mut phone = Linphone::start(transport, at, more).await;
    phone.until_registered().await;
    sign_in(engine).await;
    let caller = engine.caller().await;
    caller.ask_for_person(engine).await;
    until_state(engine, "ringing").await;
    phone.peer.types("answer\n").await;
    caller.speak(Speech::tone(CALLER_HZ));
    caller.until_tone(AGENT_HZ, SOON).await.unwrap();
    until_state(engine, "talking").await;
    talk_goes_on(&caller).await;
    talk_goes_on(&caller).await;
    if dies == Some(Role::Media) {
        media_is_killed(engine, &caller).await;
    }
    phone.peer.types("terminate\n").await;
    caller.until_ended(SOON).await.unwrap();
    check_talk(engine, &caller.number, "platform").await;
    let heard = phone.heard().await;
    assert!(heard.tone_anywhere(CALLER_HZ) > 0.9);
    assert!(dies.is_none() || heard.tone_anywhere(LATER_HZ) > 0.9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linphone_registers_as_an_agent_answers_and_hangs_up() {
    let mut engine = Engine::start(Setup::old_telephones()).await;
    let at = engine.udp().to_string();
    is_an_agent(&mut engine, ("udp", ""), &at, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linphone_over_tcp_registers_as_an_agent_answers_and_hangs_up() {
    let mut engine = Engine::start(Setup::old_telephones()).await;
    let at = format!("{};transport=tcp", engine.tcp());
    is_an_agent(&mut engine, ("tcp", ""), &at, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linphone_over_tls_registers_as_an_agent_answers_and_hangs_up() {
    let (mut engine, _folder) = secure(Setup::old_telephones()).await;
    let at = format!("{};transport=tls", listener(&engine, "sip_tls"));
    is_an_agent(&mut engine, ("tls", ""), &at, None).await;
}

/// It takes no call whose audio is not encrypted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linphone_over_tls_talks_by_srtp_with_keys_of_sdes_also_when_media_was_killed() {
    let (mut engine, _folder) = secure(Setup::encrypted_telephones()).await;
    let at = format!("{};transport=tls", listener(&engine, "sip_tls"));
    let more = "media_encryption=srtp\nmedia_encryption_mandatory=1\n";
    is_an_agent(&mut engine, ("tls", more), &at, Some(Role::Media)).await;
}
