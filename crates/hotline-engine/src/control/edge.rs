//! Everything around the control thread: sockets, the media link, the web, the way to the end.

use std::{os::unix::net::UnixStream, sync::Arc, time::Duration};

use hotline_store::{Journal, Running};
use hotline_web::{App, Serving, Tokens};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Instant, interval, sleep_until, timeout},
};

use super::{
    Around, Control, Handed, Shared,
    archive::Records,
    decide::Deciding,
    desk::{ControlDesk, EngineHealth, GateBans},
    inbox::{Addresses, Note, Roads},
    ladders::Ladders,
    lists::Listing,
    outward::Outward,
    prompts::PromptShelf,
};
use crate::{
    Error,
    clock::wall,
    handover::{Channel, Handover, Report},
    link,
};

/// How often figures that others count are copied for `/metrics`.
const COPY_EVERY: Duration = Duration::from_secs(2);

/// How long calls that are ended by the grace period may take to say good-bye.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) struct Edge {
    setup: Control,
    shared: Shared,
    addresses: Addresses,
    supervisor: Channel,
    around: Around,
    outward: Outward,
    lists: Arc<Listing>,
    web: Option<Serving>,
    /// There is no link to media.
    unlinked: Arc<Notify>,
    /// Ends when everything for the wire has left.
    transmitting: Option<JoinHandle<()>>,
}

impl Edge {
    pub(super) fn new(
        mut setup: Control,
        shared: Shared,
        addresses: Addresses,
        supervisor: Channel,
        around: Around,
    ) -> Result<Self, Error> {
        for dir in &mut setup.recording_dirs {
            *dir = std::path::absolute(&*dir).map_err(Error::io("the recording directory"))?;
        }
        let prompt_dir = std::path::absolute(&setup.prompt_dir);
        setup.prompt_dir = prompt_dir.map_err(Error::io("the directory of prompts"))?;
        let entered = around.records.enter();
        let outward = Outward::start(
            &shared,
            &setup.config.data_dir,
            setup.recording_dirs.clone(),
            setup.ladders_for,
            &setup.receivers,
        );
        let (database, shown) = (outward.database.clone(), addresses.lists.clone());
        let lists = Arc::new(Listing::new(database, shared.views.clone(), shown));
        drop(entered);
        Ok(Self {
            setup,
            shared,
            addresses,
            supervisor,
            around,
            outward,
            lists,
            web: None,
            unlinked: Arc::default(),
            transmitting: None,
        })
    }

    /// Opens all roads. From here on packets are read, by the control thread itself: handing each
    /// datagram and each event of media over to it cost more than reading them.
    pub(super) fn open(
        &mut self,
        handed: Handed,
        roads: Roads,
        control: Handle,
    ) -> Result<(), Error> {
        let Roads { from_net, to_net, from_link, to_link, link_ends } = roads;
        let Shared { meters, journal, net, gate, clock, .. } = self.shared.clone();
        control.spawn(link::run(link_ends, to_link, from_link, Arc::clone(&self.unlinked)));
        tokio::spawn(watch_spool(journal, self.addresses.notes.clone()));
        let lists = Arc::clone(&self.lists);
        self.around.outside.spawn(async move { lists.begin().await });
        tokio::spawn({
            let shared = self.shared.clone();
            async move {
                let mut every = interval(COPY_EVERY);
                loop {
                    every.tick().await;
                    meters.copy(&shared.net, &shared.journal.stats());
                }
            }
        });
        let first_conn = crate::clock::first_id(clock.now().wall);
        let config = hotline_net::Config { first_conn, ..self.setup.config.net.clone() };
        let threads =
            hotline_net::Threads { datagrams: control, handshakes: self.around.handshakes.clone() };
        self.transmitting = Some(tokio::spawn(async move {
            let run = hotline_net::run(handed.sip, config, net, gate, (from_net, to_net), threads);
            if let Err(error) = run.await {
                tracing::error!(%error, "The signalling sockets do not work.");
            }
        }));
        if let Some(listener) = handed.http {
            let web = self.web(listener).map_err(Error::io("the HTTP socket does not work"))?;
            self.web = Some(web);
        }
        Ok(())
    }

    fn web(&self, listener: std::net::TcpListener) -> std::io::Result<Serving> {
        listener.set_nonblocking(true)?;
        let shared = &self.shared;
        let lists = Arc::clone(&self.lists);
        let app = App {
            lists,
            desk: Arc::new(ControlDesk {
                commands: self.addresses.commands.clone(),
                views: shared.views.clone(),
                directory: Arc::clone(&self.setup.switchboard.directory),
            }),
            archive: Arc::new(Records {
                database: self.outward.database.clone(),
                recording_dirs: self.setup.recording_dirs.clone(),
            }),
            signalling: Arc::new(Ladders {
                commands: self.addresses.commands.clone(),
                database: self.outward.database.clone(),
            }),
            health: Arc::new(EngineHealth(shared.wellness.clone())),
            bans: Arc::new(GateBans(Arc::clone(&shared.gate))),
            prompts: Arc::new(PromptShelf::new(
                self.setup.prompt_dir.clone(),
                self.setup.converter.clone(),
            )),
            feeds: shared.feeds.clone(),
            tokens: Arc::new(Tokens::new(self.setup.tokens.clone())),
            metrics: shared.meters.all.clone(),
            open_metrics: self.setup.open_metrics,
            now: wall,
        };
        let _entered = self.around.outside.enter();
        hotline_web::serve(TcpListener::from_std(listener)?, app)
    }

    /// Carries out what the supervisor says until the control thread has ended.
    pub(super) async fn serve(&self, mut thread: Deciding) -> Result<(), Error> {
        self.supervisor
            .send(&Report::Ready, &[])
            .await
            .map_err(Error::io("the supervisor's socket"))?;
        let mut last: Option<Instant> = None;
        let mut farewell = false;
        loop {
            let alarm = async {
                match last {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = thread.ended() => break,
                () = self.unlinked.notified() => {
                    if self.supervisor.send(&Report::Unlinked, &[]).await.is_err() {
                        tracing::debug!("The supervisor is gone.");
                    }
                }
                () = alarm => {
                    let note = if farewell { Note::Quit } else { Note::EndCalls };
                    self.note(note).await;
                    farewell = true;
                    last = Some(Instant::now() + FAREWELL);
                }
                message = self.supervisor.receive::<Handover>() => match message {
                    Ok(Some((Handover::Link, handles))) => {
                        for handle in handles {
                            self.attach(UnixStream::from(handle)).await;
                        }
                    }
                    Ok(Some((Handover::Drain, _))) => {
                        self.note(Note::Drain).await;
                        last = Some(Instant::now() + self.setup.config.grace);
                    }
                    Ok(Some((Handover::Sockets { .. } | Handover::Memory, _))) => {
                        tracing::error!("Sockets came twice.");
                    }
                    Ok(Some((Handover::Stop, _)) | None) | Err(_) => self.note(Note::Quit).await,
                },
            }
        }
        if thread.join() {
            Ok(())
        } else {
            let source = std::io::Error::other("it panicked");
            Err(Error::Io { what: "the control thread", source })
        }
    }

    async fn note(&self, it: Note) {
        if self.addresses.notes.send(it).await.is_err() {
            tracing::debug!("The control thread has ended already.");
        }
    }

    async fn attach(&self, end: UnixStream) {
        match end.set_nonblocking(true) {
            Ok(()) => drop(self.addresses.link_ends.send(end).await),
            Err(error) => tracing::error!(%error, "The link to media cannot be used."),
        }
    }

    /// The web says good-bye, the journal writes what waits, the last packets leave.
    pub(super) async fn close(self, running: Running) {
        let Self { web, addresses, transmitting, outward, lists, .. } = self;
        if let Some(web) = web {
            web.stop().await;
        }
        drop((addresses, lists));
        outward.stop().await;
        if tokio::task::spawn_blocking(move || running.close()).await.is_err() {
            tracing::error!("The journal did not end well.");
        }
        if let Some(task) = transmitting
            && timeout(FAREWELL, task).await.is_err()
        {
            tracing::warn!("The last packets did not leave in time.");
        }
    }
}

/// Tells control whenever the disk begins or ceases to take records.
async fn watch_spool(journal: Journal, notes: mpsc::Sender<Note>) {
    let mut health = journal.watch_health();
    let mut told = true;
    loop {
        let takes = *health.borrow_and_update();
        if takes != told && notes.send(Note::Disk { takes }).await.is_err() {
            return;
        }
        told = takes;
        if health.changed().await.is_err() {
            return;
        }
    }
}
