//! A network between a client and a broker that can be told to fail: to lose answers, or everything, without a word.

use std::sync::Arc;

use daypass_sdk::Address;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// All is carried.
    Fair,
    /// What the broker says is lost.
    Deaf,
    /// Everything is lost.
    Void,
}

/// What the network does, and how often it did so before.
#[derive(Debug, Clone, Copy)]
struct State {
    weather: Weather,
    /// How often everything was lost.
    voids: u32,
    /// How often everything was closed.
    cuts: u32,
}

/// A connection that has lost something stays lost, and so does each that was open when everything was: as behind a
/// router that has forgotten it. New ones see the weather of the day.
pub(crate) struct Proxy {
    pub(crate) address: Address,
    state: Arc<watch::Sender<State>>,
}

impl Proxy {
    pub(crate) async fn to(broker: &Address) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let state = Arc::new(watch::Sender::new(State { weather: Weather::Fair, voids: 0, cuts: 0 }));
        let (broker, seen) = (broker.to_string(), state.subscribe());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (broker, seen) = (broker.clone(), seen.clone());
                tokio::spawn(async move { carry(near, &broker, seen).await });
            }
        });
        Self { address, state }
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.state.send_modify(|state| {
            state.weather = weather;
            state.voids += u32::from(weather == Weather::Void);
        });
    }

    /// Closes all connections; new ones are carried.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| {
            state.weather = Weather::Fair;
            state.cuts += 1;
        });
    }
}

async fn carry(near: TcpStream, broker: &str, seen: watch::Receiver<State>) {
    let Ok(far) = TcpStream::connect(broker).await else { return };
    let begun = *seen.borrow();
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let mut cut = seen.clone();
    tokio::select! {
        () = pump(near_read, far_write, &seen, begun, |weather| weather == Weather::Void) => {}
        () = pump(far_read, near_write, &seen, begun, |weather| weather != Weather::Fair) => {}
        _ = cut.wait_for(|state| state.cuts > begun.cuts) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    seen: &watch::Receiver<State>,
    begun: State,
    loses: fn(Weather) -> bool,
) {
    let (mut buffer, mut lost) = ([0; 16 * 1024], false);
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let now = *seen.borrow();
        lost = lost || loses(now.weather) || now.voids > begun.voids;
        if !lost && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    if lost {
        // Whoever is at the other end does not hear of it.
        std::future::pending::<()>().await;
    }
}
