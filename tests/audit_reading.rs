//! Reading the log of a real broker: an auditor follows it while things happen, looks things up from the command line,
//! and reads no further once ended; others read nothing; and no private text is anywhere in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cli_support;
mod support;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use cli_support::{Cli, Ran};
use daypass_core::{ActionKind, Event, Outcome, Who};
use daypass_credential::Revision;
use daypass_sdk::{Connection, EventFilter, EventQuery, Events, Options, RetryPolicy};
use serde_json::Value;
use support::{World, id, mint, name, reason, scopes, vendor};

fn following(filter: EventFilter) -> EventQuery {
    EventQuery { filter, follow: true, ..EventQuery::default() }
}

/// Reads until an event is there that fits.
async fn until(events: &mut Events, fits: impl Fn(&Event) -> bool) -> (Revision, Event) {
    loop {
        let page = tokio::time::timeout(Duration::from_secs(20), events.page()).await.unwrap();
        for logged in page.unwrap().expect("following has no end").events {
            let event = Event::from_bytes(&logged.bytes).unwrap();
            if fits(&event) {
                return (logged.revision, event);
            }
        }
    }
}

/// All that fits, from the first on.
async fn all(connection: &Connection, filter: EventFilter) -> Vec<(u64, Event)> {
    let mut events = connection.events(&EventQuery { filter, ..EventQuery::default() }).await.unwrap();
    let mut found = Vec::new();
    while let Some(page) = events.page().await.unwrap() {
        let read = page.events.iter();
        found.extend(read.map(|logged| (logged.revision.get(), Event::from_bytes(&logged.bytes).unwrap())));
    }
    found
}

#[tokio::test]
async fn an_auditor_hears_of_what_happens_as_it_happens() {
    let world = World::new().await;
    let auditor = world.enrolled("audrey", "person:audrey").await;
    let mut acme = auditor.events(&following(EventFilter::new().vendor(&name("acme")))).await.unwrap();
    let sync = world.application("sync", "sync").await;
    let (_, token) = mint(&sync).await.unwrap();
    let is = |kind: ActionKind| move |event: &Event| event.action.kind() == kind;
    let (revision, event) = until(&mut acme, is(ActionKind::TokenMinted)).await;
    assert_eq!(revision, token.revision);
    let record = event.record();
    assert_eq!((record.actor, record.behalf), (Who::Node(id("application:sync")), Some(id("vendor:acme"))));
    // What happens elsewhere is not among it, and what was ended is.
    let courier = world.application("courier", "courier").await;
    mint(&courier).await.unwrap();
    let cut = world.admin.end(&id("vendor:acme"), "contract over").await.unwrap();
    let (revision, event) = until(&mut acme, |event| {
        assert_ne!(event.actor.who(), Who::Node(id("application:courier")));
        event.action.kind() == ActionKind::Ended
    })
    .await;
    assert_eq!((revision, event.record().subject), (cut, Some(id("vendor:acme"))));
}

#[tokio::test]
async fn an_auditor_who_is_ended_while_following_is_told_so_and_hears_no_more() {
    let world = World::new().await;
    let auditor = world.enrolled("audrey", "person:audrey").await;
    let mut events = auditor.events(&following(EventFilter::new())).await.unwrap();
    events.page().await.unwrap();
    let ended = world.admin.end(&id("person:audrey"), "").await.unwrap();
    let begun = Instant::now();
    let refused = loop {
        match events.page().await {
            Ok(page) => assert!(page.is_some()),
            Err(refused) => break refused,
        }
    };
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(refused.reason(), Some("caller-dead"));
    assert!(events.page().await.unwrap().is_none(), "after that there is nothing");
    let refusals = all(&world.admin, EventFilter::new().actor("person:audrey").outcome("refused")).await;
    assert!(refusals.iter().any(|(at, _)| *at > ended.get()), "it is recorded: {refusals:?}");
}

#[tokio::test]
async fn only_admins_and_auditors_read_and_bad_filters_are_refused() {
    let world = World::new().await;
    let query = EventQuery::default();
    let sync = world.application("sync", "sync").await;
    assert_eq!(reason(sync.connection().events(&query).await), "wrong-caller");
    let verifier = world.verifier("billing-api").await;
    assert_eq!(reason(verifier.connection().events(&query).await), "wrong-caller");
    let owner = world.enrolled("rita", "person:rita").await;
    assert_eq!(reason(owner.events(&query).await), "not-allowed");
    let bad = |query: EventQuery| {
        let admin = world.admin.clone();
        async move { assert_eq!(reason(admin.events(&query).await), "bad-request", "{query:?}") }
    };
    let with = |filter| EventQuery { filter, ..EventQuery::default() };
    for actor in ["dana", "vendor:acme", "Broker", "person:dana\n"] {
        bad(with(EventFilter::new().actor(actor))).await;
    }
    bad(with(EventFilter::new().action("minted"))).await;
    bad(with(EventFilter::new().outcome("fine"))).await;
    let at = |secs| daypass_credential::Timestamp::from_secs(secs);
    bad(with(EventFilter::new().since(at(7)).until(at(7)))).await;
    bad(EventQuery { newest_first: true, ..following(EventFilter::new()) }).await;
    bad(following(EventFilter::new().until(at(7)))).await;
    bad(EventQuery { after: Some(Revision::new(9_999_999)), ..EventQuery::default() }).await;
}

#[tokio::test]
async fn following_outlasts_a_restart_without_gaps_or_repeats() {
    let mut world = World::new().await;
    let identity = world.broker.home("dana").identity().unwrap();
    let patient = Options::with_retry(RetryPolicy::PATIENT);
    let connection = Connection::open_with(&identity, &patient).await.unwrap();
    let mut events = connection.events(&following(EventFilter::new())).await.unwrap();
    let first = events.page().await.unwrap().unwrap();
    let begun = Instant::now();
    let reading = tokio::spawn(async move {
        let mut seen: Vec<u64> = first.events.iter().map(|event| event.revision.get()).collect();
        loop {
            let page = events.page().await.unwrap().unwrap();
            for logged in page.events {
                seen.push(logged.revision.get());
                let event = Event::from_bytes(&logged.bytes).unwrap();
                if event.record().subject == Some(id("vendor:afterwards")) {
                    return seen;
                }
            }
        }
    });
    assert!(world.broker.stop().await, "a reader does not keep it from stopping well");
    assert!(begun.elapsed() < Duration::from_secs(5), "nor for long: {:?}", begun.elapsed());
    world.broker.serve().await;
    world.admin = Connection::open(&identity).await.unwrap();
    let last = world.put(vendor("afterwards", "")).await;
    let seen = tokio::time::timeout(Duration::from_secs(30), reading).await.unwrap().unwrap();
    assert_eq!(seen, (1..=last.get()).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_log_holds_no_private_text_and_no_word_of_whoever_was_refused() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    mint(&sync).await.unwrap();
    let hostile = "secret-word-of-mine";
    let (audience, wanted) = (name(hostile), scopes("invoices.read"));
    let request =
        daypass_sdk::TokenRequest { audience: &audience, scopes: &wanted, certificate: None, ttl: None };
    assert_eq!(reason(sync.token(&request).await), "unknown-audience");
    world.admin.end(&id("vendor:globex"), "they were late again").await.unwrap();
    let mut log = world.admin.events(&EventQuery::default()).await.unwrap();
    let mut count = 0;
    while let Some(page) = log.page().await.unwrap() {
        for logged in page.events {
            count += 1;
            let text = String::from_utf8(logged.bytes.to_vec()).unwrap();
            for private in ["collect invoices", "company.example", "they were late", hostile] {
                assert!(!text.contains(private), "{text}");
            }
        }
    }
    assert!(count > 20);
}

fn home(world: &World, who: &str) -> String {
    world.broker.home(who).folder().display().to_string()
}

async fn audit(cli: &Cli, home: &str, line: &str) -> Ran {
    let args: Vec<&str> = ["--home", home, "audit"].into_iter().chain(line.split_whitespace()).collect();
    cli.run(cli.command(&args)).await
}

fn lines(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_command_line_lists_what_fits_and_nothing_else() {
    let world = World::new().await;
    let (cli, dana) = (Cli::new(world.broker.path()), home(&world, "dana"));
    let sync = world.application("sync", "sync").await;
    mint(&sync).await.unwrap();
    let certificate = sync.certificate(&name("billing"), None).await.unwrap();
    assert_eq!(reason(support::token(&sync, &certificate, "invoices.write").await), "scope-not-entitled");
    let log = all(&world.admin, EventFilter::new()).await;
    for (line, fits) in [
        (
            "--application sync",
            (|event| event.concerns().contains(&id("application:sync"))) as fn(&Event) -> bool,
        ),
        ("--vendor globex", |event| event.concerns().contains(&id("vendor:globex"))),
        ("--actor broker", |event| event.actor.who() == Who::Broker),
        ("--actor person:dana --action written", |event| {
            event.actor.who() == Who::Node(id("person:dana")) && event.action.kind() == ActionKind::Written
        }),
        ("--action token-minted,certificate-minted", |event| {
            matches!(event.action.kind(), ActionKind::TokenMinted | ActionKind::CertificateMinted)
        }),
        ("--outcome refused", |event| event.action.outcome() == Outcome::Refused),
        ("--since 1h --until 2100-01-01", |_| true),
        ("--until 2h", |_| false),
    ] {
        let expected: Vec<u64> = log.iter().filter(|(_, event)| fits(event)).map(|(at, _)| *at).collect();
        let ran = audit(&cli, &dana, &format!("list --all --oldest-first -o json {line}")).await;
        let found: Vec<u64> = lines(&ran).iter().map(|line| line["revision"].as_u64().unwrap()).collect();
        assert_eq!(found, expected, "{line}");
    }
    let newest = lines(&audit(&cli, &dana, "list -n 3 -o json").await);
    let revisions: Vec<u64> = newest.iter().map(|line| line["revision"].as_u64().unwrap()).collect();
    let head = log.last().unwrap().0;
    assert_eq!(revisions, [head, head - 1, head - 2]);
    let tail = lines(&audit(&cli, &dana, "tail -n 3 -o json").await);
    assert_eq!(tail.iter().rev().collect::<Vec<_>>(), newest.iter().collect::<Vec<_>>());

    let table = audit(&cli, &dana, "list --outcome refused").await;
    let said: Vec<&str> = table.stdout.lines().collect();
    assert_eq!(said.len(), 2, "{table:?}");
    for word in ["application:sync", "refused: scope-not-entitled", "audience:billing"] {
        assert!(said[1].contains(word), "{table:?}");
    }
    let nothing = audit(&cli, &dana, "list --vendor nobody").await;
    assert_eq!((nothing.code, nothing.stdout.as_str()), (0, ""));
    assert!(nothing.stderr.contains("nothing in the log fits"), "{nothing:?}");
    for bad in [
        "list --since yesterday",
        "list --action minted",
        "list --actor dana",
        "list --all -n 3",
        "list -n 0",
    ] {
        assert_eq!(audit(&cli, &dana, bad).await.code, 2, "{bad}");
    }
    assert_eq!(audit(&cli, &dana, "list --actor vendor:acme").await.code, 2);
    assert_eq!(audit(&cli, &home(&world, "sync"), "tail").await.code, 3);
    let seen_enough =
        cli.shell("\"$0\" \"$@\" | head -n 1", &["--home", &dana, "audit", "list", "--all"]).await;
    assert_eq!((seen_enough.code, seen_enough.stdout.lines().count()), (0, 1), "{seen_enough:?}");
    assert_eq!(seen_enough.stderr, "");
}

/// Sends it what Ctrl-C sends, and tells how it ended.
fn interrupt(child: &mut Child) -> Option<i32> {
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child.wait().unwrap().code()
}

#[tokio::test]
async fn the_command_line_follows_until_it_is_told_to_stop() {
    let world = World::new().await;
    let (cli, dana) = (Cli::new(world.broker.path()), home(&world, "dana"));
    let args = ["--home", &dana, "audit", "tail", "-n", "1", "-f", "--action", "written", "-o", "json"];
    let mut child = cli.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().try_for_each(|line| told.send(line.unwrap())));
    let mut next = async || -> String {
        let line: Value = serde_json::from_str(&heard.recv().await.unwrap()).unwrap();
        line["subject"].as_str().unwrap().to_owned()
    };
    assert_eq!(next().await, "verifier:shipping-api");
    world.put(vendor("initech", "")).await;
    assert_eq!(next().await, "vendor:initech");
    let ended = tokio::task::spawn_blocking(move || interrupt(&mut child)).await.unwrap();
    assert_eq!(ended, Some(0), "that is how following ends");
}

#[tokio::test]
async fn whoever_reads_has_a_place_for_as_long_as_it_reads() {
    let world = World::new().await;
    let identity = world.broker.home("dana").identity().unwrap();
    let mut readers = Vec::new();
    for _ in 0..16 {
        readers.push(world.admin.events(&following(EventFilter::new())).await.unwrap());
    }
    assert_eq!(reason(world.admin.events(&EventQuery::default()).await), "busy");
    assert!(world.admin.ping().await.is_ok(), "other calls have places of their own");
    readers.pop();
    // As soon as the broker has noticed that somebody left.
    let patient = Options::with_retry(RetryPolicy::PATIENT);
    let connection = Connection::open_with(&identity, &patient).await.unwrap();
    assert!(connection.events(&EventQuery::default()).await.is_ok());
}
