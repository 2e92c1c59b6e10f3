//! The engine in memory passes the suite.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;

use daypass_store::{Disk, Faults, Memory, Store, conformance::Harness};

struct InMemory {
    disk: Disk,
    faults: Faults,
    store: Arc<dyn Store>,
}

impl InMemory {
    fn new() -> Self {
        let (disk, faults) = (Disk::new(), Faults::none());
        let store = Arc::new(Memory::open(&disk, &faults).unwrap());
        Self { disk, faults, store }
    }
}

impl Harness for InMemory {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    fn faults(&self) -> Faults {
        self.faults.clone()
    }

    fn reopen(&mut self) {
        self.faults = Faults::none();
        self.store = Arc::new(Memory::open(&self.disk, &self.faults).unwrap());
    }
}

daypass_store::conformance!(InMemory::new());
