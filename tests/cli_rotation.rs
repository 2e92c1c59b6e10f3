//! A rotation killed at any moment: what is in the folder then still works, or the next rotation makes it so; and in the
//! end the old certificate is dead.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cli_support;
mod support;

use std::{fs, path::Path, process::Stdio, time::Duration};

use cli_support::{Cli, fits};
use daypass_credential::Revision;
use daypass_sdk::{Application, Connection};
use support::World;

/// The number of the certificate that is in the folder.
async fn shown(cli: &Cli, home: &str) -> (u64, bool) {
    let shown = ["--home", home, "credential", "show", "--cert", "billing/cert.pem", "-o", "json"];
    let shown = cli.run(cli.command(&shown)).await.json();
    (shown["revision"].as_u64().unwrap(), shown["alive"].as_bool().unwrap())
}

/// Starts a rotation and kills it after a while; true if it was done by then.
fn killed_after(cli: &Cli, home: &str, patience: Duration) -> bool {
    let rotate = ["--home", home, "credential", "rotate", "--cert", "billing", "--yes"];
    let mut child = cli.command(&rotate).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(patience);
    child.kill().unwrap();
    child.wait().unwrap().success()
}

fn is_broken_off(folder: &Path) -> bool {
    folder.join(".rotation.toml").exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_killed_at_any_moment_leaves_what_works_or_can_be_finished() {
    let world = World::new().await;
    world.application("sync", "sync").await;
    let cli = Cli::new(world.broker.path());
    let home = world.broker.home("sync").folder().display().to_string();
    let cert = ["--home", &home, "cert", "--audience", "billing", "--out", "billing"];
    assert_eq!(cli.run(cli.command(&cert)).await.code, 0);
    let folder = cli.folder().join("billing");
    let sync = Connection::open(&world.broker.home("sync").identity().unwrap()).await.unwrap();
    let alive = async |revision| sync.credential(Revision::new(revision)).await.unwrap().death.is_none();

    let (mut untouched, mut finished) = (0, 0);
    for round in 0..support::size("DAYPASS_ROTATION_ROUNDS", 25) {
        let (old, _) = shown(&cli, &home).await;
        // From before it has read the home to after it is done.
        let patience = Duration::from_millis(u64::try_from(round % 25).unwrap() * 2);
        let (line, at_home) = (&cli, home.clone());
        let done = tokio::task::block_in_place(|| killed_after(line, &at_home, patience));
        assert!(
            fits(&folder) || is_broken_off(&folder),
            "after {patience:?}: a pair that does not fit, and no way on"
        );
        if !done && !is_broken_off(&folder) && shown(&cli, &home).await.0 == old {
            untouched += 1;
            assert!(alive(old).await, "after {patience:?}: ended, and nothing in its place");
        }
        let finish = ["--home", &home, "credential", "rotate", "--cert", "billing", "--yes"];
        let ran = cli.run(cli.command(&finish)).await;
        assert_eq!(ran.code, 0, "after {patience:?}: {ran:?}");
        finished += usize::from(ran.stderr.contains("was broken off"));
        let (new, lives) = shown(&cli, &home).await;
        assert!(fits(&folder) && lives && new > old && !alive(old).await, "after {patience:?}");
        assert_eq!(fs::read_dir(&folder).unwrap().filter(is_ours).count(), 2);
    }
    eprintln!("untouched {untouched}, gone on with {finished}");
    assert!(untouched > 0, "no round was killed before it did anything");
    let sync = Application::over(sync).unwrap();
    assert!(support::mint(&sync).await.is_ok(), "the application goes on");
}

/// Not what a killed writer left, which is swept once it is old.
fn is_ours(entry: &std::io::Result<fs::DirEntry>) -> bool {
    let name = entry.as_ref().unwrap().file_name();
    !name.to_str().unwrap().starts_with(".key.pem.")
        && !name.to_str().unwrap().starts_with(".cert.pem.")
        && !name.to_str().unwrap().starts_with("..rotation.toml.")
}
