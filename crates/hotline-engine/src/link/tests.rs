//! A media process that is only the far end of a socket.

use std::{os::unix::net::UnixStream as StdUnixStream, sync::Arc, time::Duration};

use hotline_base::{
    LegId,
    media::{Event, Order, VERSION},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::{Notify, mpsc},
    time::Instant,
};

use super::{LinkInput, Ordered, run};

struct Link {
    ends: mpsc::Sender<StdUnixStream>,
    orders: mpsc::Sender<Ordered>,
    inputs: mpsc::Receiver<LinkInput>,
    missing: Arc<Notify>,
}

fn link() -> Link {
    let (ends, ends_rx) = mpsc::channel(4);
    let (orders, orders_rx) = mpsc::channel(16);
    let (to_control, inputs) = mpsc::channel(16);
    let missing = Arc::<Notify>::default();
    tokio::spawn(run(ends_rx, orders_rx, to_control, Arc::clone(&missing)));
    Link { ends, orders, inputs, missing }
}

impl Link {
    async fn up(&mut self) -> (UnixStream, u64) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.ends.send(ours.into_std().unwrap()).await.unwrap();
        let input = self.inputs.recv().await.unwrap();
        let LinkInput::Up { epoch } = input else { panic!("{input:?}") };
        (theirs, epoch)
    }

    async fn order(&self, epoch: u64, order: Order) {
        self.orders.send(Ordered { epoch, order }).await.unwrap();
    }
}

async fn read(from: &mut UnixStream) -> Order {
    let length = from.read_u32().await.unwrap();
    let mut frame = vec![0; length as usize];
    from.read_exact(&mut frame).await.unwrap();
    borsh::from_slice(&frame).unwrap()
}

async fn write(to: &mut UnixStream, event: &Event) {
    let frame = borsh::to_vec(event).unwrap();
    to.write_u32(u32::try_from(frame.len()).unwrap()).await.unwrap();
    to.write_all(&frame).await.unwrap();
}

#[tokio::test]
async fn an_order_reaches_media_and_its_event_comes_back() {
    let mut it = link();
    let (mut media, epoch) = it.up().await;
    let close = Order::Close { leg: LegId(7) };
    it.order(epoch, close.clone()).await;
    assert_eq!(read(&mut media).await, close);
    let key = Event::Quiet { leg: LegId(7), secs: 5 };
    write(&mut media, &key).await;
    let input = it.inputs.recv().await.unwrap();
    assert!(matches!(input, LinkInput::Event(it) if it == key));
}

#[tokio::test]
async fn an_order_for_a_dead_media_process_never_reaches_the_next_one() {
    let mut it = link();
    let (media, first) = it.up().await;
    drop(media);
    assert!(matches!(it.inputs.recv().await, Some(LinkInput::Down)));
    it.order(first, Order::Close { leg: LegId(1) }).await;
    let (mut media, second) = it.up().await;
    it.order(first, Order::Close { leg: LegId(2) }).await;
    it.order(second, Order::Close { leg: LegId(3) }).await;
    assert_eq!(read(&mut media).await, Order::Close { leg: LegId(3) });
}

#[tokio::test]
async fn a_fresh_link_replaces_the_one_before() {
    let mut it = link();
    let (_old, first) = it.up().await;
    let (ours, mut media) = UnixStream::pair().unwrap();
    it.ends.send(ours.into_std().unwrap()).await.unwrap();
    assert!(matches!(it.inputs.recv().await, Some(LinkInput::Down)));
    let input = it.inputs.recv().await.unwrap();
    let LinkInput::Up { epoch } = input else { panic!("{input:?}") };
    assert!(epoch > first);
    it.order(epoch, Order::Close { leg: LegId(3) }).await;
    assert_eq!(read(&mut media).await, Order::Close { leg: LegId(3) });
}

#[tokio::test]
async fn media_of_another_version_is_refused() {
    let mut it = link();
    let (mut media, _) = it.up().await;
    let version = VERSION + 1;
    let began = hotline_base::WallTime::default();
    let inventory = Event::Inventory { version, legs: vec![], recordings: vec![], began };
    write(&mut media, &inventory).await;
    assert!(matches!(it.inputs.recv().await, Some(LinkInput::Down)));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_media_lets_go_of_is_asked_for_until_there_is_another() {
    let mut it = link();
    let (media, _) = it.up().await;
    drop(media);
    assert!(matches!(it.inputs.recv().await, Some(LinkInput::Down)));
    let began = Instant::now();
    let mut asked = Vec::new();
    for _ in 0..6 {
        it.missing.notified().await;
        asked.push(began.elapsed().as_millis());
    }
    assert_eq!(asked, [500, 1_500, 3_500, 7_500, 12_500, 17_500]);
    let (_media, _) = it.up().await;
    let asked = tokio::time::timeout(Duration::from_mins(1), it.missing.notified()).await;
    assert!(asked.is_err(), "a link that is there was asked for");
}

#[tokio::test(start_paused = true)]
async fn links_that_do_not_last_are_asked_for_ever_more_seldom_until_one_does() {
    let mut it = link();
    let mut pauses = Vec::new();
    for lasts in [0, 0, 0, 0, 0, 5] {
        let (media, _) = it.up().await;
        tokio::time::sleep(Duration::from_secs(lasts)).await;
        drop(media);
        assert!(matches!(it.inputs.recv().await, Some(LinkInput::Down)));
        let began = Instant::now();
        it.missing.notified().await;
        pauses.push(began.elapsed().as_millis());
    }
    assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 5_000, 500]);
}
