//! The network between a browser and the engine: signalling and audio leave it at an address that
//! changes when the browser's machine goes from one network to another.

use std::net::{IpAddr, SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, UdpSocket},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::setup::ENGINE;

/// Falls silent when it is dropped.
pub(super) struct Network {
    place: watch::Sender<Place>,
    /// Where the browser finds the engine's WebSocket and its audio.
    pub(super) sip: SocketAddr,
    pub(super) audio: SocketAddr,
    tasks: [AbortHandle; 2],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Place {
    /// Where what the browser sends comes from.
    from: IpAddr,
    /// Where the engine takes audio.
    audio: Option<SocketAddr>,
}

impl Network {
    /// Leads from `from` to the engine's WebSocket.
    pub(super) async fn new(from: IpAddr, sip: SocketAddr) -> Self {
        let listener = TcpListener::bind((ENGINE, 0)).await.unwrap();
        let inside = UdpSocket::bind((ENGINE, 0)).await.unwrap();
        let place = watch::Sender::new(Place { from, audio: None });
        Self {
            sip: listener.local_addr().unwrap(),
            audio: inside.local_addr().unwrap(),
            tasks: [
                tokio::spawn(carry_sip(listener, sip, place.subscribe())).abort_handle(),
                tokio::spawn(carry_audio(inside, place.subscribe())).abort_handle(),
            ],
            place,
        }
    }

    /// The engine has said where it takes audio.
    pub(super) fn lead_audio_to(&self, audio: SocketAddr) {
        self.place.send_if_modified(|it| it.audio.replace(audio) != Some(audio));
    }

    /// Connections break, and what is sent from now on comes from elsewhere.
    pub(super) fn change_to(&self, from: IpAddr) {
        self.place.send_modify(|it| it.from = from);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn carry_sip(listener: TcpListener, to: SocketAddr, mut place: watch::Receiver<Place>) {
    let mut connections = JoinSet::new();
    let mut from = place.borrow_and_update().from;
    loop {
        tokio::select! {
            Ok((mut inside, _)) = listener.accept() => {
                connections.spawn(async move {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind((from, 0).into())?;
                    let mut outside = socket.connect(to).await?;
                    copy_bidirectional(&mut inside, &mut outside).await
                });
            }
            changed = place.changed() => {
                let now = place.borrow_and_update().from;
                if changed.is_err() {
                    return;
                }
                if now != from {
                    from = now;
                    connections.abort_all();
                }
            }
        }
    }
}

async fn carry_audio(inside: UdpSocket, mut place: watch::Receiver<Place>) {
    let mut browser = None;
    loop {
        let Place { from, audio } = *place.borrow_and_update();
        let outside = UdpSocket::bind((from, 0)).await.unwrap();
        let (mut out, mut back) = ([0; 2_048], [0; 2_048]);
        loop {
            tokio::select! {
                Ok((n, source)) = inside.recv_from(&mut out) => {
                    browser = Some(source);
                    if let Some(audio) = audio {
                        outside.send_to(&out[..n], audio).await.ok();
                    }
                }
                Ok((n, source)) = outside.recv_from(&mut back) => {
                    if let (Some(browser), true) = (browser, Some(source) == audio) {
                        inside.send_to(&back[..n], browser).await.ok();
                    }
                }
                changed = place.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
            }
        }
    }
}
