//! The documents of `-o json`, held against their description in `client/cli/docs/json.md`: what a verb prints has the
//! described fields, of the described types, and no others; and every verb is described.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod cli_support;
mod support;

use std::{collections::BTreeMap, fs, path::Path};

use cli_support::Cli;
use serde_json::Value;
use support::World;

/// One section of the description: its examples, and the fields that may be absent.
#[derive(Default)]
struct Section {
    examples: Vec<Value>,
    optional: Vec<String>,
}

fn described() -> BTreeMap<String, Section> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("client/cli/docs/json.md");
    let text = fs::read_to_string(path).unwrap();
    let mut sections = BTreeMap::<String, Section>::new();
    for part in text.split("\n## ").skip(1) {
        let (title, body) = part.split_once('\n').unwrap();
        let mut section = Section::default();
        for (n, block) in body.split("```").enumerate() {
            if n % 2 == 1 {
                let json = block
                    .strip_prefix("json\n")
                    .unwrap_or_else(|| panic!("a block that is no json in {title}"));
                let example = serde_json::from_str(json);
                section.examples.push(example.unwrap_or_else(|error| panic!("{title}: {error}")));
            } else if let Some((_, absent)) = block.split_once("May be absent") {
                let words = absent.split('`').skip(1).step_by(2);
                section.optional.extend(words.map(str::to_owned));
            }
        }
        sections.insert(title.trim_matches('`').to_owned(), section);
    }
    sections
}

/// What does not fit, with where it is.
fn misfits(found: &Value, example: &Value, optional: &[String], at: &str) -> Vec<String> {
    match (found, example) {
        (Value::Object(found), Value::Object(example)) => {
            let missing = example
                .keys()
                .filter(|key| !found.contains_key(*key) && !optional.contains(key))
                .map(|key| format!("{at}.{key} is described, and is not there"));
            let inner = found.iter().flat_map(|(key, value)| match example.get(key) {
                Some(example) => misfits(value, example, optional, &format!("{at}.{key}")),
                None if optional.contains(key) && value.is_string() => Vec::new(),
                None => vec![format!("{at}.{key} is not described")],
            });
            missing.chain(inner).collect()
        }
        (Value::Array(found), Value::Array(example)) => {
            let Some(example) = example.first() else { return vec![format!("{at} has an empty example")] };
            found.iter().flat_map(|value| misfits(value, example, optional, &format!("{at}[]"))).collect()
        }
        (found, example) if kind(found) == kind(example) => Vec::new(),
        (found, example) => vec![format!("{at} is {} and is described as {}", kind(found), kind(example))],
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

struct Reader {
    world: World,
    cli: Cli,
    sections: BTreeMap<String, Section>,
    seen: Vec<String>,
}

impl Reader {
    /// Runs a verb as somebody, and holds what it prints against the section.
    async fn holds(&mut self, section: &str, who: &str, line: &str) -> Value {
        self.holds_example(section, 0, who, line).await
    }

    async fn holds_example(&mut self, section: &str, example: usize, who: &str, line: &str) -> Value {
        let home = self.world.broker.home(who).folder().display().to_string();
        let line: Vec<_> = line.split_whitespace().chain(["-o", "json"]).collect();
        let args: Vec<_> = match who {
            "" => line,
            _ => ["--home", home.as_str()].into_iter().chain(line).collect(),
        };
        let ran = self.cli.run(self.cli.command(&args)).await;
        let text = if ran.stdout.is_empty() { &ran.stderr } else { &ran.stdout };
        let found: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{args:?}: {error}: {ran:?}"));
        let described = self.sections.get(section).unwrap_or_else(|| panic!("no section `{section}`"));
        let misfits = misfits(&found, &described.examples[example], &described.optional, section);
        assert!(misfits.is_empty(), "{args:?}: {misfits:#?} in {found:#}");
        self.seen.push(section.to_owned());
        found
    }
}

impl Reader {
    /// The same for a verb that prints a document in each line: each is as one of the examples.
    async fn holds_lines(&mut self, section: &str, who: &str, line: &str) {
        let home = self.world.broker.home(who).folder().display().to_string();
        let args: Vec<_> = ["--home", &home].into_iter().chain(line.split_whitespace()).collect();
        let ran = self.cli.run(self.cli.command(&[args.as_slice(), &["-o", "json"]].concat())).await;
        let described = &self.sections[section];
        // What each example has is described; what it lacks may be in another one.
        let mut all = serde_json::Map::new();
        described.examples.iter().for_each(|example| all.extend(example.as_object().unwrap().clone()));
        assert!(ran.code == 0 && ran.stdout.lines().count() > 1, "{ran:?}");
        for document in ran.stdout.lines() {
            let found: Value = serde_json::from_str(document).unwrap();
            let misfits = misfits(&found, &Value::Object(all.clone()), &described.optional, section);
            assert!(misfits.is_empty(), "{args:?}: {misfits:#?} in {found:#}");
        }
        self.seen.push(section.to_owned());
    }
}

#[tokio::test]
async fn every_document_is_as_it_is_described() {
    let world = World::new().await;
    world.application("sync", "sync").await;
    world.verifier("billing-api").await;
    let cli = Cli::new(world.broker.path());
    let mut reader = Reader { world, cli, sections: described(), seen: Vec::new() };
    let broker = reader.world.broker.address().to_string();

    reader.holds("key new", "", "key new admin.key").await;
    reader.holds("quickstart", "", "quickstart").await;
    reader.holds("completions", "", "completions bash").await;
    reader.holds("explain", "", "explain code-spent").await;

    let opened = reader.holds("open-enrollment", "dana", "open-enrollment application:other").await;
    fs::write(reader.cli.folder().join("code"), opened["code"].as_str().unwrap()).unwrap();
    let enroll = format!("enroll --context other --broker {broker} --code-file code");
    reader.holds("enroll", "", &enroll).await;
    reader.holds("context list", "", "context list").await;
    reader.holds("context add", "", "context show other").await;
    reader.holds("context add", "", "context use other").await;
    reader.holds("context add", "", "context add later --broker broker.example:7443").await;
    reader.holds("context remove", "", "context remove later").await;
    let renewed = reader.holds("enroll", "", "renew").await;
    let identity = renewed["revision"].as_u64().unwrap();

    reader.holds("cert", "sync", "cert --audience billing --out billing").await;
    let mint = "token --audience billing --scope invoices.read --cert billing/cert.pem";
    let token = reader.holds("token", "sync", mint).await;
    fs::write(reader.cli.folder().join("token"), token["token"].as_str().unwrap()).unwrap();
    reader.holds("verify", "billing-api", "verify --token token --cert billing/cert.pem").await;
    reader.holds_lines("follow", "billing-api", "follow --until-fresh").await;
    reader.holds("verifier list", "dana", "verifier list").await;
    reader.holds("credential show", "dana", "credential show --token token").await;
    reader.holds("credential rotate", "sync", "credential rotate --cert billing --token token --yes").await;
    let dead = format!("credential show {}", token["revision"]);
    reader.holds("credential show", "sync", &dead).await;
    reader.holds("credential show", "dana", &format!("credential show {identity}")).await;
    reader.holds("end", "sync", "credential revoke --token token --yes").await;

    let ask = "token --audience billing --scope invoices.write --cert billing/cert.pem";
    let refused = reader.holds("Errors", "sync", ask).await;
    let explain = format!("explain {}", refused["error"]["refusal"]);
    reader.holds("explain", "sync", &explain).await;

    fs::write(
        reader.cli.folder().join("vendor.toml"),
        "kind = \"vendor\"\nname = \"initech\"\nowner = \"rita\"\n",
    )
    .unwrap();
    reader.holds("put", "dana", "put -f vendor.toml").await;
    reader.holds("get", "dana", "get vendor:initech").await;
    reader.holds("list", "dana", "list vendor").await;
    let vendors =
        "[[vendor]]\nname = \"initech\"\nowner = \"tom\"\n\n[[vendor]]\nname = \"hooli\"\nowner = \"tom\"\n";
    fs::write(reader.cli.folder().join("vendors.toml"), vendors).unwrap();
    reader.holds("apply", "dana", "apply -f vendors.toml --plan").await;
    reader.holds("apply", "dana", "apply -f vendors.toml").await;
    fs::write(reader.cli.folder().join("bad.toml"), vendors.replace("\"tom\"", "\"nobody\"")).unwrap();
    reader.holds("apply", "dana", "apply -f bad.toml").await;
    reader.holds("describe", "dana", "describe vendor:acme").await;
    reader.holds("export", "dana", "export vendor").await;
    reader.holds("export", "dana", "export vendor --no-revisions --out vendors.toml").await;
    reader.holds("ping", "dana", "ping").await;
    every_document_of_the_log(&mut reader).await;
    reader.holds("context add", "", "--context other context show").await;
    reader.holds("doctor", "dana", "doctor").await;
    reader.holds_lines("audit list", "dana", "audit list --all").await;
    reader.holds_lines("audit list", "dana", "audit tail").await;
    reader.holds_example("end", 1, "dana", "end vendor:acme --preview").await;
    reader.holds_example("end", 1, "dana", &format!("end credential:{identity} --preview")).await;
    reader.holds("resume", "dana", "resume vendor:acme --yes").await;
    reader.holds("end", "dana", "end vendor:acme --yes").await;
    reader.holds("doctor", "sync", "doctor").await;
    reader.holds("end", "dana", "end person:bea --yes").await;
    reader.holds("person forget", "dana", "person forget bea --yes").await;
    reader.holds_example("offboard", 1, "dana", "offboard globex --preview").await;
    reader.holds("offboard", "dana", "offboard globex --yes --wait").await;
    reader.holds("receipt get", "dana", "receipt get acme --wait").await;
    reader.holds("receipt verify", "dana", "receipt verify acme.receipt").await;
    fs::write(reader.cli.folder().join("acme.receipt.list"), "1 token\n").unwrap();
    reader.holds_example("receipt verify", 1, "dana", "receipt verify acme.receipt").await;
    reader.holds("list", "dana", "list vendor").await;
    every_verb_is_described(&mut reader).await;
}

async fn every_document_of_the_log(reader: &mut Reader) {
    let file = reader.cli.folder().join("log.jsonl");
    reader.holds("audit export", "dana", "audit export --out log.jsonl").await;
    reader.holds("audit verify", "dana", "audit verify").await;
    reader.holds("audit prove", "dana", "audit prove 3 --out 3.tlog-proof").await;
    reader.holds_example("audit verify", 2, "dana", "audit verify 3.tlog-proof").await;
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, whole.replacen("rita", "tina", 1)).unwrap();
    reader.holds_example("audit verify", 1, "dana", "audit verify log.jsonl").await;
}

/// The pages of the manual name every verb; each has a section, and each section that is not only a pointer was held.
async fn every_verb_is_described(reader: &mut Reader) {
    let pages = reader.holds("man", "", "man --out man").await;
    let names = pages["pages"].as_array().unwrap().iter().map(|page| page.as_str().unwrap().to_owned());
    let pages: Vec<String> = names.collect();
    for page in &pages {
        let verb = page.trim_start_matches("man/daypass").trim_end_matches(".1").trim_start_matches('-');
        let has_verbs_below = pages.iter().any(|other| {
            other.starts_with(page.trim_end_matches(".1")) && other.len() > page.len() && other.contains('-')
        });
        if has_verbs_below || verb.is_empty() {
            continue;
        }
        let known = |title: &String| title.replace(' ', "-") == verb;
        let section = reader.sections.iter().find(|(title, _)| known(title));
        let (title, section) = section.unwrap_or_else(|| panic!("`{verb}` is not described"));
        let held =
            reader.seen.contains(title) || section.examples.is_empty() || LEFT_OUT.contains(&title.as_str());
        assert!(held, "`{title}` is described by an example that nothing is held against");
    }
}

/// In their shortest forms: what they measure so says nothing.
#[tokio::test]
async fn figures_are_as_they_are_described() {
    let folder = tempfile::tempdir().unwrap();
    let (cli, sections) = (Cli::new(folder.path()), described());
    for (section, options) in FIGURES {
        let line: Vec<_> = section.split(' ').chain(options.split(' ')).chain(["-o", "json"]).collect();
        let found = cli.run(cli.command(&line)).await.json();
        let misfits = misfits(&found, &sections[*section].examples[0], &[], section);
        assert!(misfits.is_empty(), "{misfits:#?} in {found:#}");
    }
}

const FIGURES: &[(&str, &str)] = &[
    ("bench", "--seconds 1 --in-flight 8"),
    ("bench check", "--cuts 20 --rounds 1"),
    ("bench offboard", "--credentials 100 --repetitions 2"),
    ("bench revoke", "--verifiers 3 --samples 3"),
];

/// Verbs that take too long, or are held against their description elsewhere.
const LEFT_OUT: &[&str] = &["bench", "bench check", "bench offboard", "bench revoke"];
