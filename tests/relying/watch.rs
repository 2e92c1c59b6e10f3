//! A verifier that does nothing but judge one credential, and tells how fresh it was when it did.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use daypass_sdk::{
    Home, Keeper,
    verifier::{Options, Refused, Verifier},
};
use serde_json::{Value, json};

use crate::{
    child::{commands, say},
    support::name,
};

/// Answers each `look` with its verdict, and the age of what it knew before and after it.
pub(crate) async fn run(knows: &BTreeMap<String, String>) {
    let keeper = Keeper::start(Home::at(&knows["home"]), &daypass_sdk::Options::default()).await.unwrap();
    let verifier = Verifier::start(&keeper.connection(), &Options::of([name("billing")])).unwrap();
    verifier.ready().await.unwrap();
    say(&json!({ "ready": true }));
    let shown = STANDARD.decode(&knows["certificate"]).unwrap();
    let mut commands = commands();
    while let Ok(Some(_)) = commands.next_line().await {
        say(&look(&verifier, &knows["token"], &shown));
    }
}

fn look(verifier: &Verifier, token: &str, shown: &[u8]) -> Value {
    let millis = |age: Option<Duration>| age.map(|age| u64::try_from(age.as_millis()).unwrap());
    let before = millis(verifier.age());
    let verdict = verifier.read_certificate(shown).and_then(|certificate| {
        verifier.check_token(token, Some(&certificate), &["invoices.read".parse().unwrap()])
    });
    let word = verdict.as_ref().err().map_or("good", Refused::word);
    json!({ "verdict": word, "before": before, "after": millis(verifier.age()) })
}
