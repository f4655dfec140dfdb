//! baresip, a softphone, as caller and as agent.

use std::{fs, net::IpAddr};

use hotline_testkit::{Sound, Speech};
use tempfile::TempDir;

use super::{
    AGENT_HZ, CALLER_HZ, LATER_HZ, check_talk, media_is_killed, peer::Peer, sign_in, sound,
    talk_goes_on, until_state,
};
use crate::{
    engine::{Engine, Role, SOON},
    setup::{CARRIER, OFFICE, PASSWORD, Setup},
    transports::{listener, secure},
};

struct Baresip {
    peer: Peer,
    folder: TempDir,
}

impl Baresip {
    /// A telephone at `local` that says `hz`, with one account: the user's name, the address of the
    /// engine with its transport, and what else stands behind.
    fn start(local: IpAddr, user: &str, at: &str, more: &str, hz: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("hotline-baresip-").tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        // Its sound is at 127.0.0.1 wherever its signalling is: it sends from a socket that is
        // bound to no address, and must not say another than the one it sends from.
        let config = format!(
            "sip_listen {local}:0\nnet_interface 127.0.0.1\n\
             audio_player aubridge,nowhere\naudio_source aufile,tone.wav\n\
             audio_alert aubridge,nowhere\nausrc_srate 8000\nauplay_srate 8000\n\
             ausrc_channels 1\nauplay_channels 1\nsnd_path .\n\
             module_path /usr/lib/baresip/modules\n\
             module stdio.so\nmodule g711.so\nmodule sndfile.so\nmodule aufile.so\n\
             module aubridge.so\nmodule srtp.so\nmodule_tmp account.so\nmodule_app menu.so\n"
        );
        write("config", config.as_bytes());
        let account = format!("<sip:{user}@{at}>;audio_codecs=PCMA/8000/1;{more}\n");
        write("accounts", account.as_bytes());
        write("contacts", b"");
        write("tone.wav", &sound::wav(hz));
        let peer = Peer::start("baresip", "baresip", folder.path(), &["-f", ".", "-v"]);
        Self { peer, folder }
    }

    async fn until_ready(&mut self) {
        self.peer.until_said("baresip is ready").await;
    }

    /// Ends the program; what it heard from the first packet to the last.
    async fn heard(mut self) -> Sound {
        self.peer.types("/quit\n").await;
        self.peer.until_gone().await;
        let files = fs::read_dir(self.folder.path()).unwrap();
        let mut files = files.map(|it| it.unwrap().path());
        let heard = files.find(|it| it.to_str().unwrap().ends_with("-dec.wav"));
        Sound::open(&heard.unwrap_or_else(|| panic!("{}", self.peer.said()))).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_calls_presses_0_talks_to_an_agent_and_hangs_up() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let number = "13700000011";
    let at = engine.udp().to_string();
    let mut caller = Baresip::start(CARRIER, number, &at, "regint=0", CALLER_HZ);
    caller.until_ready().await;
    caller.peer.types(&format!("/dial sip:12345@{}\n", engine.udp())).await;
    caller.peer.until_said("Call established").await;
    caller.peer.types("0").await;
    let ringing = agent.robot.incoming(SOON).await.unwrap();
    ringing.answer();
    ringing.speak(Speech::tone(AGENT_HZ));
    ringing.until_tone(CALLER_HZ, SOON).await.unwrap();
    talk_goes_on(&ringing).await;
    caller.peer.types("/hangup\n").await;
    ringing.until_ended(SOON).await.unwrap();
    check_talk(&engine, number, "caller").await;
    assert!(caller.heard().await.tone_anywhere(AGENT_HZ) > 0.9);
}

/// It registers, is called, talks and hangs up.
async fn is_an_agent(engine: &mut Engine, at: &str, more: &str, dies: Option<Role>) {
    let more = format!("auth_user=8001;regint=60{more}");
    let mut phone = Baresip::start(OFFICE, "8001", at, &more, AGENT_HZ);
    // It asks for the password that its account does not have.
    phone.peer.types(&format!("{PASSWORD}\n")).await;
    phone.until_ready().await;
    phone.peer.until_said("200 OK").await;
    sign_in(engine).await;
    let caller = engine.caller().await;
    caller.ask_for_person(engine).await;
    until_state(engine, "ringing").await;
    phone.peer.types("/accept\n").await;
    caller.speak(Speech::tone(CALLER_HZ));
    caller.until_tone(AGENT_HZ, SOON).await.unwrap();
    until_state(engine, "talking").await;
    talk_goes_on(&caller).await;
    if dies == Some(Role::Media) {
        media_is_killed(engine, &caller).await;
    }
    phone.peer.types("/hangup\n").await;
    caller.until_ended(SOON).await.unwrap();
    check_talk(engine, &caller.number, "platform").await;
    let heard = phone.heard().await;
    assert!(heard.tone_anywhere(CALLER_HZ) > 0.9);
    assert!(dies.is_none() || heard.tone_anywhere(LATER_HZ) > 0.9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_registers_as_an_agent_answers_and_hangs_up() {
    let mut engine = Engine::start(Setup::old_telephones()).await;
    let at = engine.udp().to_string();
    is_an_agent(&mut engine, &at, "", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_over_tcp_registers_as_an_agent_answers_and_hangs_up() {
    let mut engine = Engine::start(Setup::old_telephones()).await;
    let at = format!("{};transport=tcp", engine.tcp());
    is_an_agent(&mut engine, &at, "", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_over_tls_registers_as_an_agent_answers_and_hangs_up() {
    let (mut engine, _folder) = secure(Setup::old_telephones()).await;
    let at = format!("{};transport=tls", listener(&engine, "sip_tls"));
    is_an_agent(&mut engine, &at, "", None).await;
}

/// It takes no call whose audio is not encrypted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_over_tls_talks_by_srtp_with_keys_of_sdes_also_when_media_was_killed() {
    let (mut engine, _folder) = secure(Setup::encrypted_telephones()).await;
    let at = format!("{};transport=tls", listener(&engine, "sip_tls"));
    is_an_agent(&mut engine, &at, ";mediaenc=srtp-mand", Some(Role::Media)).await;
}
