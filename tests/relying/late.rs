//! A network that brings what the broker says late, by the same time always; what goes to the broker is not held up.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use daypass_sdk::Address;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::{Instant, sleep_until},
};

pub(crate) struct Late {
    pub(crate) address: Address,
    by: Arc<watch::Sender<Duration>>,
}

impl Late {
    /// One that is not late yet.
    pub(crate) async fn to(broker: &Address) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let by = Arc::new(watch::Sender::new(Duration::ZERO));
        let (broker, seen) = (broker.to_string(), by.subscribe());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&broker).await else { continue };
                let ((mut near_read, near_write), (far_read, mut far_write)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(async move { copy(&mut near_read, &mut far_write).await });
                tokio::spawn(bring(far_read, near_write, seen.clone()));
            }
        });
        Self { address, by }
    }

    /// From now on everything comes this late.
    pub(crate) fn by(&self, time: Duration) {
        self.by.send_replace(time);
    }
}

/// Brings bytes in the order in which they came, each at its time.
async fn bring(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, by: watch::Receiver<Duration>) {
    let (mut under_way, mut buffer) = (VecDeque::<(Instant, Vec<u8>)>::new(), [0; 16 * 1024]);
    loop {
        let due = under_way.front().map(|(due, _)| *due);
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(read @ 1..) => under_way.push_back((Instant::now() + *by.borrow(), buffer[..read].to_vec())),
                _ => return,
            },
            () = async { sleep_until(due.unwrap()).await }, if due.is_some() => {
                let (_, bytes) = under_way.pop_front().unwrap();
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}
