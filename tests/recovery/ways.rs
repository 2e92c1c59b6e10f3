//! The ways into a new era beside a backup: lost keys, a lost admin, an era that ended before; and what comes along.

use std::fs;

use daypass_core::{Action, Event, Life};
use daypass_credential::NodeKind;
use daypass_proto::v1;
use daypass_sdk::{Application, Directory, Introspector};
use daypass_store::{Check, Options, Sled, Store};

use crate::{
    backup, begin_again,
    cli_support::Cli,
    code_for, code_of, enter, good, life, lose_the_store, mint, names, recover, restore,
    support::{World, id, name, object, person, reason, vendor},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_key_file_costs_an_era_and_not_the_directory() {
    let mut world = World::new().await;
    let file = backup(&world.broker);
    assert!(world.broker.stop().await);
    let key_file = world.broker.path().join("key");
    let before = fs::read(&key_file).unwrap();
    fs::remove_file(&key_file).unwrap();
    let (_, admin) = begin_again(&mut world.broker, "dana", "dana-again").await;
    assert_ne!(fs::read(&key_file).unwrap(), before);
    admin.resume(&id("vendor:acme")).await.unwrap();
    let sync = code_for(&admin, "application:sync").await;
    let sync = Application::over(enter(&world.broker, "sync", &sync, None).await).unwrap();
    mint(&sync).await.unwrap();

    // The same with nothing left but a backup.
    assert!(world.broker.stop().await);
    lose_the_store(&world.broker);
    fs::remove_file(&key_file).unwrap();
    let broker = &world.broker;
    crate::refused(&restore(broker, &file, &[]), 1, "cannot use the key file");
    let put_back = good(&restore(broker, &file, &["--without-keys"]));
    assert_eq!(put_back["recover_first"], true);
    let (_, admin) = begin_again(&mut world.broker, "dana", "dana-once-more").await;
    assert_eq!(life(&admin, "vendor:acme").await, v1::Life::Suspended);
}

#[tokio::test]
async fn keys_that_the_key_file_does_not_open_do_not_stop_a_recovery() {
    let mut world = World::new().await;
    assert!(world.broker.stop().await);
    fs::write(world.broker.path().join("key"), "00".repeat(32)).unwrap();
    begin_again(&mut world.broker, "dana", "dana-again").await;
    assert_eq!(fs::read_to_string(world.broker.path().join("key")).unwrap(), "00".repeat(32));
}

#[tokio::test]
async fn texts_and_keys_that_are_damaged_beside_the_log_do_not_stop_a_recovery() {
    let mut world = World::new().await;
    assert!(world.broker.stop().await);
    let veil = world.broker.store_path().join("veil");
    fs::write(&veil, vec![0; fs::read(&veil).unwrap().len()]).unwrap();
    let (recovered, admin) = begin_again(&mut world.broker, "dana", "dana-again").await;
    let remarks = recovered["remarks"].to_string();
    assert!(remarks.contains("of the texts beside the log"), "{remarks}");
    let found = Directory::over(admin.clone()).object(&id("person:rita")).await.unwrap();
    let Some(v1::object::Kind::Person(rita)) = found.object.unwrap().kind else { panic!("no person") };
    assert_eq!(rita.contact, "(missing)");
    admin.resume(&id("vendor:acme")).await.unwrap();
}

#[tokio::test]
async fn when_the_last_admin_is_gone_another_takes_over() {
    let mut world = World::new().await;
    world.admin.end(&id("person:dana"), "left").await.unwrap();
    assert!(world.broker.stop().await);
    crate::refused(&recover(&world.broker, "dana").0, 2, "its name is spent: name another admin");
    let (recovered, admin) = begin_again(&mut world.broker, "rita", "rita").await;
    assert_eq!(recovered["admin"], "rita");
    assert_eq!(life(&admin, "person:dana").await, v1::Life::Ended);
    let found = Directory::over(admin.clone()).object(&id("person:rita")).await.unwrap();
    let Some(v1::object::Kind::Person(rita)) = found.object.unwrap().kind else { panic!("no person") };
    assert_eq!(rita.roles, [i32::from(v1::Role::Admin)]);
    assert_eq!(rita.contact, "rita@company.example", "what stood in the directory");
    // Somebody whom the directory does not know yet does as well.
    assert!(world.broker.stop().await);
    let (_, admin) = begin_again(&mut world.broker, "nils", "nils").await;
    assert!(names(&admin, NodeKind::Person).await.contains(&name("nils")));
}

#[tokio::test]
async fn an_era_that_took_anothers_place_can_be_recovered_from_as_well() {
    let mut world = World::new().await;
    assert!(world.broker.stop().await);
    // Once without serving in between.
    let first = good(&recover(&world.broker, "dana").0);
    let second = good(&recover(&world.broker, "dana").0);
    assert_eq!(second["previous"]["era"], first["era"]);
    let (third, admin) = begin_again(&mut world.broker, "dana", "dana-again").await;
    assert_eq!(third["previous"]["era"], second["era"]);
    admin.resume(&id("vendor:acme")).await.unwrap();
    world.broker.kill();
    let (fourth, admin) = begin_again(&mut world.broker, "dana", "dana-once-more").await;
    assert_eq!(fourth["previous"]["era"], third["era"]);
    assert_eq!(life(&admin, "vendor:acme").await, v1::Life::Suspended, "what was confirmed is to be again");
    for era in [&first, &second, &third] {
        let kept = world.broker.store_path().with_extension(format!("era-{}", era["era"].as_str().unwrap()));
        assert!(kept.join("db").exists(), "{}", kept.display());
    }
    assert_eq!(names(&admin, NodeKind::Vendor).await.len(), 2);
}

#[tokio::test]
async fn the_directory_comes_along_as_it_was_with_its_texts_and_its_spent_names() {
    let mut world = World::new().await;
    world.put(vendor("skiff", "acme")).await;
    for (node, why) in [("application:other", ""), ("audience:shipping", ""), ("person:bea", "left")] {
        world.admin.end(&id(node), why).await.unwrap();
    }
    let directory = Directory::over(world.admin.clone());
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let kinds = ["vendor", "contract", "application", "person", "audience", "verifier"];
    for kind in kinds {
        before.extend(directory.all(kind.parse().unwrap()).await.unwrap());
    }
    assert!(world.broker.stop().await);
    let (recovered, admin) = begin_again(&mut world.broker, "dana", "dana-again").await;
    assert_eq!(recovered["carried"]["vendor"], 3, "{recovered}");
    assert_eq!(recovered["suspended_vendors"], 3);
    let directory = Directory::over(admin.clone());
    for kind in kinds {
        after.extend(directory.all(kind.parse().unwrap()).await.unwrap());
    }
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.id, &before.object), (&after.id, &after.object));
        let expected = match (before.id.split_once(':').unwrap().0, before.life()) {
            ("vendor", v1::Life::Open) => v1::Life::Suspended,
            (_, life) => life,
        };
        assert_eq!(after.life(), expected, "{}", after.id);
    }
    assert_eq!(reason(directory.put(person("bea", &[]), None).await), "name-spent");
    let again = v1::object::Kind::Application(crate::support::application("other", "globex", "globex-2026"));
    admin.resume(&id("vendor:globex")).await.unwrap();
    assert_eq!(reason(directory.put(object(again), None).await), "dangling-reference", "bea is no owner");
    assert!(world.broker.stop().await);
    every_event_carries_and_cuts_what_it_should(&world).await;
}

/// The log of the new era: one beginning, then what was carried over, nothing of it larger than an event may be.
async fn every_event_carries_and_cuts_what_it_should(world: &World) {
    let options = Options { check: Check::Whole, ..Options::default() };
    let store = Sled::open(&world.broker.store_path(), options).unwrap();
    let entries = store.log(daypass_credential::Revision::ZERO, 1000).await.unwrap();
    let events: Vec<_> = entries.iter().map(|entry| Event::from_bytes(&entry.event).unwrap()).collect();
    assert!(matches!(events[0].action, Action::Initialized { previous: Some(_), .. }));
    let carried: Vec<_> = events.iter().filter(|event| event.action == Action::CarriedOver).collect();
    assert!(!carried.is_empty());
    for put in carried.iter().flat_map(|event| &event.puts) {
        assert_eq!(put.cut, put.node.life != Life::Open, "{}", put.node.id());
    }
    let keys = carried.iter().flat_map(|event| &event.puts).filter(|put| put.node.id().kind == NodeKind::Key);
    assert_eq!(keys.count(), 2, "a CA for each audience that is open");
}

#[tokio::test]
async fn resuming_is_for_vendors_that_are_suspended_and_for_admins() {
    let mut world = World::new().await;
    world.put(vendor("skiff", "acme")).await;
    world.admin.end(&id("vendor:globex"), "").await.unwrap();
    assert!(world.broker.stop().await);
    let (_, admin) = begin_again(&mut world.broker, "dana", "dana-again").await;
    assert_eq!(reason(admin.resume(&id("vendor:globex")).await), "subject-closed");
    assert_eq!(reason(admin.resume(&id("vendor:nobody")).await), "unknown-node");
    assert_eq!(reason(admin.resume(&id("application:sync")).await), "not-resumable");
    let auditor = code_for(&admin, "person:audrey").await;
    let auditor = enter(&world.broker, "audrey", &auditor, None).await;
    assert_eq!(reason(auditor.resume(&id("vendor:acme")).await), "not-allowed");
    let verifier = code_for(&admin, "verifier:billing-api").await;
    let verifier = enter(&world.broker, "billing-api", &verifier, None).await;
    assert_eq!(reason(verifier.resume(&id("vendor:acme")).await), "wrong-caller");
    // A vendor under one that is suspended is resumed by itself, and is let in once that is as well.
    admin.resume(&id("vendor:skiff")).await.unwrap();
    let skiff = Directory::over(admin.clone()).object(&id("vendor:skiff")).await.unwrap();
    assert_eq!((skiff.life(), skiff.effective_life()), (v1::Life::Open, v1::Life::Suspended));
    admin.resume(&id("vendor:acme")).await.unwrap();
    let skiff = Directory::over(admin.clone()).object(&id("vendor:skiff")).await.unwrap();
    assert_eq!(skiff.effective_life(), v1::Life::Open);
    assert!(Introspector::over(verifier).is_ok());
}

#[tokio::test]
async fn whoever_resumes_sees_first_who_gets_in_again() {
    let mut world = World::new().await;
    world.put(vendor("skiff", "acme")).await;
    assert!(world.broker.stop().await);
    let (_, admin) = begin_again(&mut world.broker, "dana", "dana-again").await;
    let cli = Cli::new(world.broker.path());
    let home = world.broker.home("dana-again").folder().display().to_string();
    let listed = cli.run(cli.command(&["--home", &home, "list", "vendor", "--life", "suspended"])).await;
    assert!(listed.code == 0 && listed.stdout.contains("vendor:acme"), "{listed:?}");
    let described = cli.run(cli.command(&["--home", &home, "describe", "application:sync"])).await;
    assert!(described.stdout.contains("suspended"), "{described:?}");
    let unasked = cli.run(cli.command(&["--home", &home, "resume", "vendor:acme"])).await;
    assert!(unasked.code == 2 && unasked.stderr.contains("add --yes"), "{unasked:?}");
    if let Some(no) = cli.on_terminal(&format!("--home {home} resume vendor:acme"), "no\n").await {
        for words in [
            ": suspended; rita answers for it",
            "application:sync (collect invoices each night), of bea, tom and rita",
            "vendor:skiff sits under it, and stays as it is: suspended",
            "let them in again?",
        ] {
            assert!(no.stdout.contains(words), "{words}: {no:?}");
        }
        assert_eq!((no.code, life(&admin, "vendor:acme").await), (130, v1::Life::Suspended));
    }
    let line =
        ["--home", &home, "resume", "vendor:acme", "vendor:nobody", "vendor:globex", "--yes", "-o", "json"];
    let half = cli.run(cli.command(&line)).await;
    assert_eq!(half.code, 5, "{half:?}");
    let done: serde_json::Value = serde_json::from_str(&half.stdout).unwrap();
    assert_eq!(done["resumed"].as_array().unwrap().len(), 1);
    assert!(half.stderr.contains("`vendor:nobody`, and what was named after it, is not resumed"), "{half:?}");
    assert_eq!(life(&admin, "vendor:globex").await, v1::Life::Suspended);
    let none = cli.run(cli.command(&["--home", &home, "resume", "person:bea", "--yes"])).await;
    assert_eq!(none.code, 2, "{none:?}");
}

#[tokio::test]
async fn the_code_of_the_new_era_is_for_the_admins_key_alone() {
    let mut world = World::new().await;
    assert!(world.broker.stop().await);
    let recovered = good(&recover(&world.broker, "dana").0);
    world.broker.serve().await;
    let home = world.broker.home("thief");
    let code = code_of(&recovered);
    let stolen = daypass_sdk::enroll(&home, world.broker.address(), &code, None).await;
    assert_eq!(reason(stolen), "other-key-expected");
}
