//! Connections that are opened, broken and made anew while the log behind them grows, or is put back.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use daypass_credential::Revision;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::fake::{Fake, Log};
use crate::{Connection, Error, Event, KnownLog, LogFault, Observer, Options, RetryPolicy, log};

struct World {
    broker: Fake,
    home: TempDir,
    refused: Arc<Mutex<Vec<String>>>,
}

impl World {
    async fn with(log: Log) -> Self {
        let (broker, home) = (Fake::with(log).await, tempfile::tempdir().unwrap());
        Self { broker, home, refused: Arc::default() }
    }

    fn options(&self) -> Options {
        let refused = Arc::clone(&self.refused);
        let observer = Observer::new(move |event| {
            if let Event::LogRefused { error } = event {
                refused.lock().unwrap().push(error.to_string());
            }
        });
        Options { observer, retry: RetryPolicy::new(Duration::from_secs(5)), ..Options::default() }
    }

    async fn connect(&self) -> Connection {
        let identity = self.broker.identity(&self.folder());
        Connection::open_with(&identity, &self.options()).await.unwrap()
    }

    fn folder(&self) -> std::path::PathBuf {
        self.home.path().join("home")
    }

    fn known(&self) -> Option<KnownLog> {
        let root = self.broker.identity(&self.folder()).root_fingerprint();
        log::read(&self.folder(), &root).unwrap()
    }

    /// How often it was asked for a checkpoint, and for something else.
    fn asked(&self) -> (u32, u32) {
        let scene = self.broker.scene();
        (scene.checkpoints, scene.pings)
    }
}

fn fault<T: std::fmt::Debug>(answer: Result<T, Error>) -> LogFault {
    match answer.unwrap_err() {
        Error::Log { source, .. } => source,
        error => panic!("{error:?}"),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_log_is_asked_for_once_a_connection_and_kept() {
    let world = World::with(Log::of(5)).await;
    let connection = world.connect().await;
    assert_eq!(world.asked(), (0, 0));
    for _ in 0..4 {
        connection.ping().await.unwrap();
    }
    assert_eq!(world.asked(), (1, 4));
    let known = world.known().unwrap();
    assert_eq!((known.revision(), known.key()), (Revision::new(5), &Log::of(5).key()));
    assert_eq!(mode(&world.folder().join("log.toml")), 0o600);

    world.broker.put(Log::of(700)).await;
    connection.ping().await.unwrap();
    connection.ping().await.unwrap();
    assert_eq!(world.asked(), (2, 6), "once more, after the break");
    assert_eq!(world.known().unwrap().revision(), Revision::new(700));
    let left = fs::read_dir(world.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, ["log.lock", "log.toml"]);
}

#[tokio::test]
async fn an_older_log_gets_no_call_and_nobody_waits_for_it_to_change() {
    let world = World::with(Log::of(300)).await;
    let connection = world.connect().await;
    connection.ping().await.unwrap();
    world.broker.put(Log::of(299)).await;
    let found = fault(connection.ping().await);
    assert_eq!(found, LogFault::Older { known: Revision::new(300), found: Revision::new(299) });
    assert_eq!(world.asked(), (2, 1), "asked once, and never called");
    assert_eq!(world.refused.lock().unwrap().len(), 1);
    // Another program of the same home, later.
    let error = world.connect().await.ping().await.unwrap_err();
    assert_eq!(error.reason(), Some("log-older"));
    assert!(!error.may_retry());
    assert_eq!((world.asked().1, world.known().unwrap().revision()), (1, Revision::new(300)));
    // Once the right one is back, all goes on.
    world.broker.put(Log::of(301)).await;
    connection.ping().await.unwrap();
}

#[tokio::test]
async fn whatever_is_not_the_known_log_gets_no_call() {
    let known = Log::of(300);
    let others = [
        Log::forked(300),
        Log::forked(301),
        Log { seed: 8, ..Log::of(301) },
        Log { origin: "elsewhere.example/log", ..Log::of(301) },
        Log { era: daypass_credential::Era::new(1), ..Log::of(301) },
    ];
    let world = World::with(known.clone()).await;
    let connection = world.connect().await;
    connection.ping().await.unwrap();
    for other in others {
        world.broker.put(other).await;
        let found = fault(connection.ping().await);
        assert_eq!(found.reason(), None, "{found:?}");
    }
    assert_eq!(world.asked().1, 1);
    assert_eq!(world.known().unwrap().checkpoint(), known.known(300).checkpoint());
}

#[tokio::test]
async fn a_call_under_way_is_not_disturbed_and_a_spoilt_answer_is_no_answer() {
    let world = World::with(Log::of(300)).await;
    let connection = world.connect().await;
    connection.ping().await.unwrap();
    world.broker.scene().log = Log::of(10);
    connection.ping().await.unwrap();
    world.broker.put(Log::of(400)).await;
    world.broker.scene().spoil = |answer| answer.consistency[0] = vec![1; 31].into();
    assert!(matches!(connection.ping().await, Err(Error::BadAnswer(_))));
    world.broker.scene().spoil = |answer| answer.consistency.clear();
    assert!(matches!(fault(connection.ping().await), LogFault::Proof(_)));
    world.broker.scene().spoil = |_| {};
    connection.ping().await.unwrap();
}

#[tokio::test]
async fn a_broker_from_before_there_were_logs_is_served_until_a_log_was_seen() {
    let world = World::with(Log::of(3)).await;
    world.broker.scene().without_log = true;
    let connection = world.connect().await;
    connection.ping().await.unwrap();
    assert_eq!(world.known(), None);
    assert!(matches!(connection.checkpoint().await, Err(Error::BadAnswer(_))));
    world.broker.scene().without_log = false;
    world.broker.cut().await;
    connection.ping().await.unwrap();
    world.broker.scene().without_log = true;
    world.broker.cut().await;
    assert_eq!(fault(connection.ping().await), LogFault::NotShown { known: Revision::new(3) });
}

#[tokio::test]
async fn a_broker_that_says_so_itself_is_believed() {
    let world = World::with(Log::of(3)).await;
    let connection = world.connect().await;
    connection.ping().await.unwrap();
    let refusal = |code, reason| {
        let details = ErrorDetails::with_error_info(reason, daypass_proto::ERROR_DOMAIN, HashMap::new());
        Some(Status::with_error_details(code, "put back", details))
    };
    world.broker.scene().refuse = refusal(Code::Unavailable, "log-older");
    let said = |known| LogFault::SaysOlder { known, words: "put back".into() };
    assert_eq!(fault(connection.ping().await), said(None), "over the connection that there is");
    world.broker.cut().await;
    assert_eq!(fault(connection.ping().await), said(Some(Revision::new(3))));
    world.broker.scene().refuse = refusal(Code::FailedPrecondition, "checkpoint-unknown");
    world.broker.cut().await;
    let disowned = LogFault::Disowned { known: Revision::new(3), words: "put back".into() };
    assert_eq!(fault(connection.ping().await), disowned);
    assert_eq!(disowned.reason(), Some("checkpoint-unknown"));
}

#[tokio::test]
async fn a_key_that_was_handed_over_is_demanded_of_the_first_contact() {
    let world = World::with(Log::of(3)).await;
    let identity = world.broker.identity(&world.folder());
    let with = |log: Log| Options { log_key: Some(log.key()), ..Options::with_retry(RetryPolicy::ONCE) };
    let other = with(Log { seed: 8, ..Log::of(3) });
    let connection = Connection::open_with(&identity, &other).await.unwrap();
    assert!(matches!(fault(connection.ping().await), LogFault::Forged(_)));
    assert_eq!(world.known(), None);
    let connection = Connection::open_with(&identity, &with(Log::of(3))).await.unwrap();
    connection.ping().await.unwrap();
    let connection = Connection::open_with(&identity, &other).await.unwrap();
    assert!(matches!(fault(connection.ping().await), LogFault::OtherLog { .. }));
}

#[tokio::test]
async fn a_damaged_file_is_no_reason_to_begin_anew() {
    let world = World::with(Log::of(3)).await;
    world.connect().await.ping().await.unwrap();
    let path = world.folder().join("log.toml");
    let good = fs::read_to_string(&path).unwrap();
    for bad in ["", "version = 2", &good.replace("\n3\n", "\n4\n"), &good.replace("checkpoint =", "")] {
        fs::write(&path, bad).unwrap();
        let error = world.connect().await.ping().await.unwrap_err();
        assert!(matches!(&error, Error::BadInput(text) if text.contains("log.toml")), "{error:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad, "nothing is overwritten");
    }
    assert_eq!(world.asked().1, 1);
    fs::write(&path, good).unwrap();
    world.connect().await.ping().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_kept_is_an_error_unless_nothing_is_to_be_kept() {
    let world = World::with(Log::of(3)).await;
    let identity = world.broker.identity(&world.folder());
    // A folder where the file should be: not even root can write there.
    fs::create_dir(world.folder().join("log.lock")).unwrap();
    let error = Connection::open(&identity).await.unwrap().ping().await.unwrap_err();
    assert!(matches!(error, Error::Files { .. }), "{error:?}");
    let identity = identity.keeping_nothing();
    let connection = Connection::open_with(&identity, &world.options()).await.unwrap();
    connection.ping().await.unwrap();
    world.broker.put(Log::of(2)).await;
    assert!(matches!(fault(connection.ping().await), LogFault::Older { .. }));
    let copy = Connection::open(&identity).await.unwrap();
    assert!(matches!(fault(copy.ping().await), LogFault::Older { .. }), "copies share what is known");
    assert_eq!(world.known(), None);
}

/// What a broker that cannot do it now says.
fn not_now(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, daypass_proto::ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(code, "not now", details)
}

#[tokio::test]
async fn an_end_goes_out_where_the_log_cannot_be_looked_at_and_nothing_else_does() {
    let world = World::with(Log::of(3)).await;
    let identity = world.broker.identity(&world.folder());
    let node = "vendor:acme".parse().unwrap();
    let unseen = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&unseen);
    let observer = Observer::new(move |event| {
        if matches!(event, Event::LogNotSeen { .. }) {
            *seen.lock().unwrap() += 1;
        }
    });
    let options = Options { observer, ..Options::with_retry(RetryPolicy::ONCE) };
    let file = world.folder().join("log.toml");
    for (number, (refusal, damaged)) in [
        (Some(not_now(Code::Unavailable, "busy")), false),
        (Some(not_now(Code::Internal, "internal")), false),
        (None, true),
    ]
    .into_iter()
    .enumerate()
    {
        world.broker.scene().refuse_checkpoint = refusal;
        if damaged {
            fs::write(&file, "x").unwrap();
        }
        let connection = Connection::open_with(&identity, &options).await.unwrap();
        connection.ping().await.unwrap_err();
        let ended = connection.end(&node, "over").await;
        assert_eq!(ended.unwrap(), Revision::new(4), "{number}");
        connection.ping().await.unwrap_err();
        assert_eq!(*unseen.lock().unwrap(), number + 1);
    }
    fs::remove_file(&file).unwrap();
    // What cannot be kept was looked at all the same.
    fs::create_dir(world.folder().join("log.lock")).unwrap();
    let connection = Connection::open_with(&identity, &options).await.unwrap();
    connection.end(&node, "over").await.unwrap();
    assert_eq!((world.asked().1, world.broker.scene().ends), (0, 4));
}

#[tokio::test]
async fn not_even_an_end_goes_to_a_broker_that_shows_another_log() {
    let world = World::with(Log::of(3)).await;
    world.connect().await.ping().await.unwrap();
    let node = "vendor:acme".parse().unwrap();
    for log in [Log::of(2), Log::forked(5), Log { seed: 8, ..Log::of(5) }] {
        world.broker.put(log).await;
        fault(world.connect().await.end(&node, "over").await);
    }
    world.broker.put(Log::of(5)).await;
    world.broker.scene().spoil = |answer| answer.consistency = vec![vec![1].into()];
    let error = world.connect().await.end(&node, "over").await.unwrap_err();
    assert!(matches!(error, Error::BadAnswer(_)), "{error:?}");
    assert_eq!(world.broker.scene().ends, 0);
}

#[tokio::test]
async fn several_programs_of_one_home_never_go_backwards() {
    let world = World::with(Log::of(3)).await;
    world.broker.scene().growing = true;
    let mut programs = JoinSet::new();
    for _ in 0..6 {
        let connection = world.connect().await;
        programs.spawn(async move { connection.ping().await.unwrap() });
    }
    programs.join_all().await;
    let kept = world.known().unwrap();
    // Whoever lost a race asked again, from what was kept by then: so what is kept is what was shown last to a winner.
    let identity = world.broker.identity(&world.folder());
    let older = Log::of(3).known(3);
    assert!(!identity.memory.keep(Some(older.clone()), Log::of(4).known(4)).await.unwrap());
    assert!(!identity.memory.keep(None, older).await.unwrap());
    assert_eq!(world.known().unwrap(), kept);
    assert!(kept.revision() >= Revision::new(4 + 5), "{kept:?}");
}

#[tokio::test]
async fn many_calls_wait_for_one_question() {
    let world = World::with(Log::of(3)).await;
    let connection = world.connect().await;
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let connection = connection.clone();
        calls.spawn(async move { connection.ping().await.unwrap() });
    }
    calls.join_all().await;
    assert_eq!(world.asked(), (1, 20));
}

#[tokio::test]
async fn another_broker_s_log_is_forgotten_by_whoever_enrols_elsewhere() {
    let world = World::with(Log::of(3)).await;
    world.connect().await.ping().await.unwrap();
    let root = world.broker.identity(&world.folder()).root_fingerprint();
    log::forget_others(&world.folder(), &root).unwrap();
    assert!(world.known().is_some(), "the same broker's is kept");
    let other = daypass_credential::Digest::new([9; 32]);
    assert!(matches!(log::read(&world.folder(), &other), Err(Error::BadInput(_))));
    log::forget_others(&world.folder(), &other).unwrap();
    assert_eq!(log::read(&world.folder(), &other).unwrap(), None);
}
