//! The listener and what every handler shares.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hotline_base::WallTime;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    Archive, Bans, Desk, Feeds, Health, Lists, Metrics, Prompts, Signalling, Tokens, routes,
};

/// How long open requests may take when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// What every handler shares. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub desk: Arc<dyn Desk>,
    pub archive: Arc<dyn Archive>,
    pub lists: Arc<dyn Lists>,
    pub signalling: Arc<dyn Signalling>,
    pub health: Arc<dyn Health>,
    pub bans: Arc<dyn Bans>,
    pub prompts: Arc<dyn Prompts>,
    pub feeds: Feeds,
    pub tokens: Arc<Tokens>,
    pub metrics: Metrics,
    /// Whether `/metrics` is open to everybody; else it wants a system's token.
    pub open_metrics: bool,
    /// The wall clock of the engine.
    pub now: fn() -> WallTime,
}

/// A running server.
#[derive(Debug)]
pub struct Serving {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

/// Serves on a listener that is already bound. Needs a tokio runtime.
pub fn serve(listener: TcpListener, app: App) -> io::Result<Serving> {
    let address = listener.local_addr()?;
    let (stop, stopping) = watch::channel(false);
    let router = router(app, stopping.clone());
    let task = tokio::spawn(async move {
        axum::serve(listener, router).with_graceful_shutdown(stopped(stopping)).await
    });
    Ok(Serving { address, stop, task })
}

pub(crate) fn router(app: App, stopping: watch::Receiver<bool>) -> Router {
    routes::router(stopping).with_state(app)
}

/// Waits until the server stops.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A closed channel says the same.
    drop(stopping.wait_for(|it| *it).await);
}

impl Serving {
    /// Takes no new connection, lets open requests finish, closes every WebSocket. Waits at most
    /// five seconds.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(GRACE, self.task).await.is_err() {
            abort.abort();
        }
    }
}
