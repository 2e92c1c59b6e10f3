//! The embedded engine passes the suite, on a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;

use daypass_store::{Check, Faults, Options, Sled, Store, conformance::Harness};
use tempfile::TempDir;

struct OnDisk {
    directory: TempDir,
    faults: Faults,
    store: Option<Arc<dyn Store>>,
}

impl OnDisk {
    fn new() -> Self {
        let (directory, faults) = (tempfile::tempdir().unwrap(), Faults::none());
        let store = Sled::create(&directory.path().join("store"), options(&faults)).unwrap();
        Self { directory, faults, store: Some(Arc::new(store)) }
    }
}

impl Drop for OnDisk {
    /// A test that fails with a group stalled must not wait for it.
    fn drop(&mut self) {
        self.faults.release();
    }
}

/// Every restart checks everything.
fn options(faults: &Faults) -> Options {
    Options { check: Check::Whole, sync: Box::new(faults.clone()), ..Options::default() }
}

impl Harness for OnDisk {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().unwrap())
    }

    fn faults(&self) -> Faults {
        self.faults.clone()
    }

    fn reopen(&mut self) {
        self.faults.release();
        let store = self.store.take().unwrap();
        assert_eq!(Arc::strong_count(&store), 1, "the suite still holds the store");
        drop(store);
        let store = Sled::open(&self.directory.path().join("store"), options(&self.faults)).unwrap();
        self.store = Some(Arc::new(store));
    }
}

daypass_store::conformance!(OnDisk::new());
