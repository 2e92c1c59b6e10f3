//! A disk that fills up: mints are refused first, with a reason; ends go on, to the last byte and beyond; with room
//! again everything goes on by itself.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use daypass_sdk::{Application, Connection};
use support::{Broker, World, id, mint};

/// A file system of its own, of 96 MiB, in memory; it is unmounted in the end.
struct Small(PathBuf);

impl Small {
    /// Puts what is in this folder on it; `None` where that cannot be done.
    fn over(folder: &Path) -> Option<Self> {
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).unwrap();
        fs::create_dir(folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=96m,mode=0700", "daypass-test"])
            .arg(folder)
            .output();
        match mounted {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let error = std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned());
                support::left_out("mount", &error);
                return None;
            }
            Err(error) => {
                support::left_out("mount", &error);
                return None;
            }
        }
        let copied = Command::new("cp").arg("-a").arg(aside.join("store")).arg(folder).status().unwrap();
        assert!(copied.success());
        Some(Self(folder.to_owned()))
    }

    /// Leaves this many KiB free, or none.
    fn fill(&self, leave_kib: u64) {
        let free = Command::new("df").args(["--output=avail", "-k"]).arg(&self.0).output().unwrap();
        let free: u64 =
            String::from_utf8(free.stdout).unwrap().lines().nth(1).unwrap().trim().parse().unwrap();
        let take = free.saturating_sub(leave_kib);
        let _full = Command::new("fallocate").args(["-l", &format!("{take}K")]).arg(self.filler()).status();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Waits until the broker has noticed: it looks at its disk once a second.
async fn noticed(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the broker does not notice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_go_on_when_mints_are_refused_for_want_of_space() {
    let mut broker = Broker::init("[limits]\ndisk_low_water_mib = 32\ndisk_reserve_mib = 16\n");
    let Some(small) = Small::over(&broker.path().join("data")) else { return };
    broker.serve().await;
    let world = World::over(broker).await;
    let sync = world.application("sync", "sync").await;
    let verifier = world.verifier("billing-api").await;
    let (certificate, token) = mint(&sync).await.unwrap();
    let code = world.code("application:courier").await;
    let victim = world.broker.enroll("courier", &code).await.unwrap();
    let victim = Application::over(Connection::open(&victim).await.unwrap()).unwrap();
    let reserve = small.0.join("reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 16 << 20);

    small.fill(20 * 1024);
    noticed(async || mint(&sync).await.is_err()).await;
    assert_eq!(support::reason(mint(&sync).await), "disk-low");
    assert_eq!(support::reason(sync.certificate(&support::name("billing"), None).await), "disk-low");
    let live = verifier.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap();
    assert!(live.is_some(), "questions are answered");
    world.admin.end(&id(&format!("credential:{}", token.revision)), "").await.unwrap();
    let live = verifier.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap();
    assert!(live.is_none(), "the end counts at once");

    // Others take the rest as well: what was held back is for ends.
    fs::remove_file(small.filler()).unwrap();
    small.fill(0);
    noticed(async || !reserve.exists()).await;
    world.admin.end(&id("application:sync"), "its vendor is gone").await.unwrap();
    assert!(verifier.introspect("", Some(certificate.leaf())).await.unwrap().is_none());
    // Neither does a full disk hide a theft: a spent code with another key suspends what it led to.
    let thief = daypass_sdk::enroll(&world.broker.home("thief"), world.broker.address(), &code, None).await;
    assert_eq!(support::reason(thief), "code-spent");
    assert_eq!(support::reason(victim.connection().ping().await), "caller-dead");
    assert!(world.broker.log().contains("the disk is nearly full"), "{}", world.broker.log());

    fs::remove_file(small.filler()).unwrap();
    let other = async || world.admin.ping().await.is_ok() && reserve.exists();
    noticed(other).await;
    let other = world.application("other", "other").await;
    mint(&other).await.unwrap();
    drop(world);
}
