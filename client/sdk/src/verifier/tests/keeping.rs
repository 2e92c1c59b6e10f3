//! What the next process begins with.

use std::{fs, os::unix::fs::PermissionsExt as _};

use daypass_credential::Era;

use super::{World, billing};
use crate::{
    Error,
    log::tests::fake::{ERA, Log},
};

#[tokio::test]
async fn the_next_process_goes_no_further_back() {
    let world = World::with(Log::of(6)).await;
    let mut following = world.start().await;
    following.ready().await;
    world.feeder.cut("vendor:acme").await;
    following.told("acknowledged 7").await;
    following.verifier.close().await;
    let path = world.folder().join("feed.toml");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    // A store that was put back, by somebody who also removed what is known of the log.
    let whole = std::mem::replace(&mut world.feeder.scene().log, Log::of(6));
    world.broker.put(Log::of(6)).await;
    fs::remove_file(world.folder().join("log.toml")).unwrap();
    let mut next = world.start().await;
    let lost = next.told("lost").await;
    assert!(lost.contains("alarming") && lost.contains("revision 6, and revision 7 was seen"), "{lost}");
    assert!(next.verifier.view().is_none());
    {
        let mut scene = world.feeder.scene();
        let hello = &scene.hellos[1];
        assert_eq!((hello.snapshot, hello.known.as_ref().unwrap().revision), (true, 7));
        scene.log = whole;
    }
    next.told("snapshot 7").await;
    next.ready().await;
}

#[tokio::test]
async fn an_era_that_was_left_stays_left_in_the_next_process() {
    let world = World::with(Log::of(6)).await;
    let first = world.start().await;
    first.ready().await;
    first.verifier.close().await;
    let path = world.folder().join("feed.toml");
    let text = fs::read_to_string(&path).unwrap();
    let later = text
        .lines()
        .filter(|line| !line.starts_with("former"))
        .map(|line| {
            if line.starts_with("era = ") {
                format!("era = \"{}\"\nformer = [\"{ERA}\"]", Era::new(0xac))
            } else {
                line.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join("\n");
    fs::write(&path, later).unwrap();
    let mut next = world.start().await;
    let lost = next.told("lost").await;
    assert!(lost.contains("alarming") && lost.contains("is over"), "{lost}");
    // A process that is further back leaves what is there alone.
    next.verifier.close().await;
    assert!(fs::read_to_string(&path).unwrap().contains(&Era::new(0xac).to_string()));
}

#[tokio::test]
async fn whoever_is_further_back_overwrites_nothing() {
    let world = World::with(Log::of(6)).await;
    let (mut ahead, behind) = (world.start().await, world.start().await);
    ahead.ready().await;
    behind.ready().await;
    // Only one of them hears of it.
    let path = world.folder().join("feed.toml");
    world.feeder.cut("vendor:acme").await;
    ahead.told("acknowledged 7").await;
    ahead.verifier.close().await;
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept.contains("revision = 7"), "{kept}");
    fs::write(&path, kept.replace("revision = 7", "revision = 900")).unwrap();
    behind.verifier.close().await;
    assert!(fs::read_to_string(&path).unwrap().contains("revision = 900"));
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_said_what_to_do_about() {
    let world = World::with(Log::of(6)).await;
    let following = world.start().await;
    following.ready().await;
    following.verifier.close().await;
    let path = world.folder().join("feed.toml");
    let text = fs::read_to_string(&path).unwrap();
    for bad in [
        "",
        "version = 1",
        &text.replace("version = 1", "version = 2"),
        &text.replace("broker.example", "other.example"),
    ] {
        fs::write(&path, bad).unwrap();
        let Err(error) = world.start_with(billing()).await else { panic!("taken: {bad}") };
        assert!(
            matches!(&error, Error::BadInput(text) if text.contains("feed.toml") && text.contains("remove it")),
            "{error:?}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), bad, "nothing replaces it");
    }
    // Of another broker's log nothing is to be feared.
    let root = text.lines().find(|line| line.starts_with("root")).unwrap();
    let other = text.replace(root, &format!("root = \"{}\"", "A".repeat(43)));
    fs::write(&path, other).unwrap();
    world.start().await.ready().await;
}

#[tokio::test]
async fn a_home_that_cannot_be_written_is_told_and_followed_from_all_the_same() {
    let world = World::with(Log::of(6)).await;
    crate::make_private_folder(&world.folder()).unwrap();
    fs::create_dir(world.folder().join("feed.lock")).unwrap();
    let mut following = world.start().await;
    following.ready().await;
    assert!(following.told("not kept").await.contains("feed.lock"));
    assert_eq!(following.verdict(&world.token("acme")), Ok(()));
}
