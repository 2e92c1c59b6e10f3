//! Forgetting a person, through the real binaries: the texts are gone and the log is as it was. And who acted by which
//! rule, for whom, and what a refusal was about, as the log says it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cli_support;
mod support;

use std::{fs, path::Path};

use bytes::Bytes;
use cli_support::Cli;
use daypass_core::{Action, Actor, Event, Life, event::Rule, replay::Replay};
use daypass_credential::{NodeKind, Revision};
use daypass_proto::v1::{self, object::Kind};
use daypass_sdk::{Directory, Error};
use daypass_store::{Check, Options, Sled, Store};
use support::{World, id, mint, name, object, person, reason, token};

fn open(world: &World) -> Sled {
    let options = Options { check: Check::Whole, ..Options::default() };
    Sled::open(&world.broker.store_path(), options).unwrap()
}

async fn log(store: &Sled) -> Vec<Bytes> {
    store.log(Revision::ZERO, 100_000).await.unwrap().into_iter().map(|entry| entry.event).collect()
}

async fn events(world: &mut World) -> Vec<Event> {
    assert!(world.broker.stop().await, "{}", world.broker.log());
    let events: Vec<Event> =
        log(&open(world)).await.iter().map(|bytes| Event::from_bytes(bytes).unwrap()).collect();
    let mut replay = Replay::default();
    for (number, event) in (1..).zip(&events) {
        replay.take(Revision::new(number), event).unwrap();
    }
    events
}

fn reachable_at(contact: &str) -> v1::Object {
    object(Kind::Person(v1::Person { name: "tom".into(), roles: vec![], contact: contact.into() }))
}

fn contact(stored: v1::StoredObject) -> String {
    match stored.object.unwrap().kind {
        Some(Kind::Person(person)) => person.contact,
        other => panic!("{other:?}"),
    }
}

/// Texts that nothing else holds.
const TEXTS: [&str; 5] = [
    "first-contact-7731",
    "second-contact-7732",
    "reason-of-the-instance-7733",
    "reason-of-the-person-7734",
    "third-contact-7735",
];

/// Which of the texts are anywhere in the files of a folder.
fn found_in(folder: &Path) -> Vec<&'static str> {
    let mut found: Vec<&str> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_in(&path));
        } else if path.is_file() {
            let bytes = fs::read(path).unwrap();
            let holds = |text: &&str| bytes.windows(text.len()).any(|at| at == text.as_bytes());
            found.extend(TEXTS.into_iter().filter(holds));
        }
    }
    found
}

/// A world in which `tom` had three contacts and an instance, and is ended.
async fn world_without_tom() -> World {
    let world = World::new().await;
    for text in [TEXTS[0], TEXTS[1], TEXTS[4]] {
        world.put(reachable_at(text)).await;
    }
    let tom = world.enrolled("tom", "person:tom").await;
    let identity = format!("identity:{}", tom.ping().await.unwrap().identity);
    world.admin.end(&id(&identity), TEXTS[2]).await.unwrap();
    world.admin.end(&id("person:tom"), TEXTS[3]).await.unwrap();
    world
}

#[tokio::test]
async fn a_forgotten_person_is_a_name_and_the_log_is_as_it_was() {
    let mut world = world_without_tom().await;
    let directory = Directory::over(world.admin.clone());
    assert_eq!(contact(directory.object(&id("person:tom")).await.unwrap()), TEXTS[4]);
    assert!(world.broker.stop().await);
    let before = log(&open(&world)).await;
    world.broker.serve().await;
    world.settled().await;

    let at = directory.forget_person(&name("tom")).await.unwrap();
    assert_eq!(directory.forget_person(&name("tom")).await.unwrap(), at, "again is no event");
    let stored = directory.object(&id("person:tom")).await.unwrap();
    assert_eq!((stored.revision, stored.life()), (at.get(), v1::Life::Ended));
    assert_eq!(contact(stored), "(erased)");
    let listed = directory.all(NodeKind::Person).await.unwrap();
    assert_eq!(listed.iter().filter(|stored| contact((*stored).clone()) == "(erased)").count(), 1);
    assert_eq!(world.revision().await, at);

    assert!(world.broker.stop().await);
    let store = open(&world);
    let after = log(&store).await;
    assert!(after.starts_with(&before) && after.len() == before.len() + 1, "the log only grew by one");
    let event = Event::from_bytes(after.last().unwrap()).unwrap();
    let Action::Forgotten { node, erased } = &event.action else { panic!("{event:?}") };
    assert_eq!((node, erased.len()), (&id("person:tom"), TEXTS.len() + 1));
    assert_eq!(event.rule, Some(Rule::ADMIN));
    for text in erased {
        assert!(store.private(*text).await.unwrap().is_none(), "{text} is still there");
    }
    drop(store);
    // sled keeps the bytes of what it removed, for a while or for ever: they have to be worth nothing.
    assert_eq!(found_in(&world.broker.store_path()), Vec::<&str>::new());

    let backup = world.broker.path().join("backup");
    let made = world.broker.command(&["backup", "--out"]).arg(&backup).status().unwrap();
    assert!(made.success());
    let bytes = fs::read(&backup).unwrap();
    assert!(TEXTS.iter().all(|text| !bytes.windows(text.len()).any(|at| at == text.as_bytes())));
}

#[tokio::test]
async fn only_an_admin_has_somebody_forgotten_and_only_who_was_ended() {
    let world = World::new().await;
    let directory = Directory::over(world.admin.clone());
    assert_eq!(reason(directory.forget_person(&name("tom")).await), "not-ended");
    assert_eq!(reason(directory.forget_person(&name("nobody")).await), "unknown-node");
    world.admin.end(&id("person:tom"), "").await.unwrap();
    let audrey = world.enrolled("audrey", "person:audrey").await;
    assert_eq!(reason(Directory::over(audrey).forget_person(&name("tom")).await), "not-allowed");
    let sync = world.enrolled("sync", "application:sync").await;
    assert_eq!(reason(Directory::over(sync).forget_person(&name("tom")).await), "wrong-caller");
    directory.forget_person(&name("tom")).await.unwrap();
}

/// What is written about somebody after they were forgotten goes when they are forgotten again.
#[tokio::test]
async fn a_reason_given_later_is_erased_by_forgetting_again() {
    let world = World::new().await;
    let tom = world.enrolled("tom", "person:tom").await;
    let laptop = format!("identity:{}", tom.ping().await.unwrap().identity);
    let directory = Directory::over(world.admin.clone());
    world.admin.end(&id("person:tom"), "left").await.unwrap();
    let first = directory.forget_person(&name("tom")).await.unwrap();
    world.admin.end(&id(&laptop), "his laptop").await.unwrap();
    let second = directory.forget_person(&name("tom")).await.unwrap();
    assert!(second > first);
    assert_eq!(directory.forget_person(&name("tom")).await.unwrap(), second);
}

#[tokio::test]
async fn the_command_line_shows_asks_and_says_what_is_erased() {
    let world = world_without_tom().await;
    let cli = Cli::new(world.broker.path());
    let home = world.broker.home("dana").folder().display().to_string();
    let run = async |args: &[&str]| cli.run(cli.command(&[&["--home", &home], args].concat())).await;
    let unasked = run(&["person", "forget", "tom"]).await;
    assert_eq!(unasked.code, 2, "{unasked:?}");
    if let Some(no) = cli.on_terminal(&format!("--home {home} person forget tom"), "no\n").await {
        assert_eq!(no.code, 130, "{no:?}");
        assert!(no.stdout.contains(TEXTS[4]), "{no:?}");
    }
    let forgotten = run(&["person", "forget", "tom", "--yes", "-o", "json"]).await.json();
    assert_eq!(forgotten["id"], "person:tom");
    let described = run(&["describe", "person:tom"]).await;
    assert!(described.stdout.contains("(erased)"), "{described:?}");
    assert!(!run(&["export"]).await.stdout.contains("\"tom\"\nroles"), "an ended person is not exported");
    // A file from before names the person: it is refused as the spent name that it is, and nothing breaks.
    let manifest = "[[person]]\nname = \"tom\"\ncontact = \"tom@company.example\"\n";
    fs::write(cli.folder().join("tom.toml"), manifest).unwrap();
    let applied = run(&["apply", "-f", "tom.toml"]).await;
    assert_eq!(applied.code, 3, "{applied:?}");
    assert!(applied.stdout.contains("name is spent"), "{applied:?}");
}

#[tokio::test]
async fn an_event_says_by_which_rule_and_for_which_vendor() {
    let mut world = World::new().await;
    let tom = world.enrolled("tom", "person:tom").await;
    Directory::over(tom.clone()).open_enrollment(&id("application:other"), None).await.unwrap();
    let sync = world.application("sync", "sync").await;
    let (certificate, minted) = mint(&sync).await.unwrap();
    token(&sync, &certificate, "invoices.write").await.unwrap_err();
    sync.connection().end(&id(&format!("credential:{}", minted.revision)), "").await.unwrap();
    let rita = world.enrolled("rita", "person:rita").await;
    rita.end(&id("vendor:acme"), "").await.unwrap();

    let said = |event: &Event| {
        let behalf = event.behalf.as_ref().map(ToString::to_string).unwrap_or_default();
        let rule = event.rule.as_ref().map(ToString::to_string).unwrap_or_default();
        (behalf, rule)
    };
    let expect = |behalf: &str, rule: &str| (behalf.to_owned(), rule.to_owned());
    let mut kinds = 0;
    for event in events(&mut world).await {
        let partner =
            matches!(&event.actor, Actor::Caller { subject, .. } if subject.kind == NodeKind::Application);
        let tom_did = matches!(&event.actor, Actor::Caller { subject, .. } if *subject == id("person:tom"));
        let expected = match &event.action {
            Action::Initialized { .. } => expect("", ""),
            Action::Written { .. } => expect("", "admin"),
            Action::EnrollmentOpened { .. } if tom_did => expect("", "technical-owner"),
            Action::EnrollmentOpened { .. } => expect("", "admin"),
            Action::Enrolled(_) => expect("", "code"),
            Action::CertificateMinted(_) | Action::TokenMinted(_) => expect("", ""),
            Action::Ended { .. } if partner => expect("vendor:acme", "own-credential"),
            Action::Ended { .. } => expect("", "relationship-owner"),
            Action::Refused { about, .. } => {
                assert_eq!(about.as_ref(), Some(&id("audience:billing")));
                expect("vendor:acme", "")
            }
            other => panic!("{other:?}"),
        };
        kinds += usize::from(!matches!(event.action, Action::Written { .. }));
        assert_eq!(said(&event), expected, "{event:?}");
    }
    assert!(kinds > 10, "{kinds}");
}

/// A refusal is about what exists and the caller may know of, and never about what they only named.
#[tokio::test]
async fn a_refusal_names_nothing_that_the_caller_made_up_or_may_not_know_of() {
    let mut world = World::new().await;
    let sync = world.enrolled("sync", "application:sync").await;
    let rita = world.enrolled("rita", "person:rita").await;
    let made_up = ["vendor:made-up-by-sync", "vendor:globex", "audience:shipping", "application:other"];
    for node in made_up {
        sync.end(&id(node), "").await.unwrap_err();
        Directory::over(sync.clone()).object(&id(node)).await.unwrap_err();
    }
    // The relationship owner may read the vendor, and not write it: that is what the refusal is about.
    let put = Directory::over(rita.clone()).put(support::vendor("acme", ""), None).await;
    let Err(Error::Refused(refusal)) = put else { panic!("{put:?}") };
    let refusal = refusal.revision.unwrap();
    assert_eq!(rita.refusal(refusal).await.unwrap().about, Some(id("vendor:acme")));
    let unknown = Directory::over(rita).put(person("made-up-by-rita", &[]), None).await;
    assert_eq!(reason(unknown), "not-allowed");

    let cli = Cli::new(world.broker.path());
    let home = world.broker.home("dana").folder().display().to_string();
    let explained = cli.command(&["--home", &home, "explain", &refusal.to_string()]);
    let explained = cli.run(explained).await;
    assert!(explained.stdout.contains("about    vendor:acme"), "{explained:?}");

    let abouts: Vec<_> = events(&mut world)
        .await
        .into_iter()
        .filter_map(|event| match event.action {
            Action::Refused { about, .. } => Some((event.behalf.map(|node| node.to_string()), about)),
            _ => None,
        })
        .collect();
    assert_eq!(abouts.len(), 2 * made_up.len() + 2);
    for (behalf, about) in &abouts[..2 * made_up.len()] {
        assert_eq!((behalf.as_deref(), about), (Some("vendor:acme"), &None));
    }
    assert_eq!(abouts.last(), Some(&(None, None)));
    let store = open(&world);
    assert!(log(&store).await.iter().all(|event| !String::from_utf8_lossy(event).contains("made-up")));
    assert_eq!(store.nodes(&[id("vendor:acme")]).await.unwrap()[0].as_ref().unwrap().node.life, Life::Open);
}
