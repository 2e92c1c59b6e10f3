//! Faults to order, for tests and simulation: a sync that stalls, fails, or succeeds without anybody learning of it.

use std::{
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// Orders for the next syncs of an engine; clones give orders to the same one. For tests: a broker never holds one.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

struct Inner {
    orders: Mutex<Orders>,
    released: Condvar,
    stalled: watch::Sender<bool>,
}

#[derive(Default)]
struct Orders {
    stall: bool,
    /// One group may go on although syncs are stalled.
    pass: bool,
    next: Option<Fault>,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Nothing is made durable.
    Fail,
    /// It is made durable, but the answer is an error.
    LoseAnswer,
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

impl Faults {
    /// No fault, until one is ordered.
    #[must_use]
    pub fn none() -> Self {
        let stalled = watch::channel(false).0;
        Self(Arc::new(Inner { orders: Mutex::default(), released: Condvar::new(), stalled }))
    }

    /// The next sync fails, which is final.
    pub fn fail_next(&self) {
        self.orders().next = Some(Fault::Fail);
    }

    /// The next sync succeeds and is reported as failed, which is final: the group is recorded, its answer lost.
    pub fn lose_next(&self) {
        self.orders().next = Some(Fault::LoseAnswer);
    }

    /// Groups wait before they are synced, until [`Self::release`].
    pub fn stall(&self) {
        self.orders().stall = true;
    }

    /// Lets a stalled group go on.
    pub fn release(&self) {
        self.orders().stall = false;
        self.0.released.notify_all();
    }

    /// Lets the stalled group go on, and stalls the next.
    pub fn step(&self) {
        self.orders().pass = true;
        self.0.released.notify_all();
    }

    /// Returns once a group stands stalled.
    pub async fn stalled(&self) {
        let mut stalled = self.0.stalled.subscribe();
        let _still_here = stalled.wait_for(|stalled| *stalled).await;
    }

    /// Does what a sync does, with the fault that was ordered.
    pub(crate) fn around(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self.wait() {
            None => sync(),
            Some(Fault::Fail) => Err(io::Error::other("the sync was told to fail")),
            Some(Fault::LoseAnswer) => {
                sync()?;
                Err(io::Error::other("the answer was told to get lost"))
            }
        }
    }

    /// Waits as long as syncs are stalled, and takes the order for this one.
    fn wait(&self) -> Option<Fault> {
        let mut orders = self.orders();
        if orders.stall {
            self.0.stalled.send_replace(true);
            let stalled = |orders: &mut Orders| orders.stall && !orders.pass;
            orders = self.0.released.wait_while(orders, stalled).unwrap_or_else(PoisonError::into_inner);
            orders.pass = false;
            self.0.stalled.send_replace(false);
        }
        orders.next.take()
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
