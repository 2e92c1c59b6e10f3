//! Mistakes that a new user makes, each through the real binary against a real broker: what they are told is a golden
//! file, and every message says what to do next. `DAYPASS_BLESS=1` writes the file anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod cli_support;
mod support;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use cli_support::{Cli, Ran};
use serde_json::json;
use support::{Broker, World, id};

/// A mistake, and what the user was told.
struct Mistake {
    title: &'static str,
    line: String,
    ran: Ran,
}

/// A user at a desk, who makes mistakes.
struct User {
    world: World,
    cli: Cli,
    mistakes: Vec<Mistake>,
}

impl User {
    async fn new() -> Self {
        let world = World::new().await;
        world.application("sync", "sync").await;
        let cli = Cli::new(world.broker.path());
        for (link, who) in [("dana", "dana"), ("sync", "sync")] {
            std::os::unix::fs::symlink(world.broker.home(who).folder(), cli.folder().join(link)).unwrap();
        }
        Self { world, cli, mistakes: Vec::new() }
    }

    /// Types a line, as `daypass …`, and keeps what came of it. It has to fail.
    async fn types(&mut self, title: &'static str, line: &str) {
        self.types_with(title, line, "").await;
    }

    async fn types_with(&mut self, title: &'static str, line: &str, input: &str) {
        let args: Vec<_> = line.split_whitespace().collect();
        let mut command = self.cli.command(&args);
        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let ran = self.cli.run_with(command, input).await;
        assert_ne!(ran.code, 0, "`daypass {line}` is no mistake: {ran:?}");
        self.mistakes.push(Mistake { title, line: line.to_owned(), ran });
    }

    /// Types a line that is right, on the way to a mistake.
    async fn types_well(&self, line: &str) {
        let ran = self.cli.run(self.cli.command(&line.split_whitespace().collect::<Vec<_>>())).await;
        assert_eq!(ran.code, 0, "`daypass {line}`: {ran:?}");
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.cli.folder().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    async fn code(&self, name: &str, subject: &str) -> String {
        let code = self.world.code(subject).await.reveal();
        self.file(name, &code);
        code
    }
}

/// A port where nobody listens.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Something on a port that answers, and is no broker.
fn something_else() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _read = stream.read(&mut [0; 1024]);
            let _written = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    port
}

#[tokio::test]
async fn each_of_a_new_users_mistakes_is_answered_with_what_to_do_next() {
    let mut user = User::new().await;
    let broker = user.world.broker.address().to_string();
    mistakes_at_the_door(&mut user, &broker).await;
    mistakes_with_codes(&mut user, &broker).await;
    mistakes_when_asking(&mut user).await;
    mistakes_of_an_admin(&mut user).await;

    let told = golden(&user.mistakes, &[(user.cli.folder(), "/desk"), (user.world.broker.path(), "/world")]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes/golden.txt");
    if std::env::var_os("DAYPASS_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &told).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let with_next_step = user.mistakes.iter().filter(|mistake| says_what_next(&mistake.ran)).count();
    support::show(&json!({
        "mistakes": user.mistakes.len(),
        "with_next_step": with_next_step,
        "golden_matches": told == expected,
    }));
    let silent = user.mistakes.iter().find(|mistake| !says_what_next(&mistake.ran));
    if let Some(Mistake { line, ran, .. }) = silent {
        panic!("`daypass {line}` does not say what to do next: {ran:?}");
    }
    assert_eq!(told, expected, "tests/mistakes/golden.txt; DAYPASS_BLESS=1 writes it anew");
}

/// Before anything is enrolled: no broker, another port, no identity, an open folder.
async fn mistakes_at_the_door(user: &mut User, broker: &str) {
    user.types("nobody is enrolled yet", "ping").await;
    user.types("a verb is mistyped", "tokn --audience billing --scope invoices.read").await;
    user.types("an argument is left out", "token --scope invoices.read").await;
    user.code("code.txt", "application:other").await;
    let nobody = format!("enroll --broker 127.0.0.1:{} --code-file code.txt", free_port());
    user.types("no broker runs there", &nobody).await;
    let other = format!("enroll --broker 127.0.0.1:{} --code-file code.txt", something_else());
    user.types("the port is another program's", &other).await;
    user.types("the port is left out", "enroll --broker 127.0.0.1 --code-file code.txt").await;
    let nameless = format!("enroll --broker no-such-host.invalid:{} --code-file code.txt", 7443);
    user.types("the host is mistyped", &nameless).await;
    let open = user.cli.folder().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let line = format!("--home open enroll --broker {broker} --code-file code.txt");
    user.types("the home is open to others", &line).await;
    user.types("a context is not there", "--context staging ping").await;
}

/// Codes that are mistyped, another broker's, spent, withdrawn.
async fn mistakes_with_codes(user: &mut User, broker: &str) {
    let code = user.code("code.txt", "application:other").await;
    let enroll =
        |home: &str, file: &str| format!("--home {home} enroll --broker {broker} --code-file {file}");
    user.file("cut.txt", &code[..60]);
    user.types("a part of the code is missing", &enroll("new", "cut.txt")).await;
    // A digit of the secret half, and one of the broker's root.
    let changed = |at: usize| {
        let mut digits = code.clone().into_bytes();
        digits[at] = if digits[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(digits).unwrap()
    };
    user.file("typo.txt", &changed(8));
    user.types("a digit of the code is wrong", &enroll("new", "typo.txt")).await;
    user.file("root.txt", &changed(code.len() - 1));
    user.types("the code is for a broker with another root", &enroll("new", "root.txt")).await;
    user.types("no code is given", &format!("--home new enroll --broker {broker}")).await;

    user.types_well(&enroll("other", "code.txt")).await;
    user.types("the home is taken", &enroll("other", "code.txt")).await;
    user.types("the code was used before", &enroll("second", "code.txt")).await;

    let opened =
        user.cli.run(user.cli.command(&["--home", "dana", "open-enrollment", "person:bea", "-o", "json"]));
    let opened = opened.await.json();
    user.world.admin.end(&id(opened["id"].as_str().unwrap()), "").await.unwrap();
    user.file("withdrawn.txt", opened["code"].as_str().unwrap());
    user.types("the code was withdrawn", &enroll("third", "withdrawn.txt")).await;

    let open = ["--home", "dana", "open-enrollment", "person:bea", "--ttl", "1s", "-o", "json"];
    let opened = user.cli.run(user.cli.command(&open)).await.json();
    user.file("expired.txt", opened["code"].as_str().unwrap());
    support::reached(daypass_credential::Timestamp::from_secs(support::now() + 2)).await;
    user.types("the code was used too late", &enroll("late", "expired.txt")).await;

    let other = Broker::init("");
    user.file("foreign.txt", &other.first_code().reveal());
    user.types("the code is another broker's", &enroll("fourth", "foreign.txt")).await;
}

/// Audiences, scopes and certificates that do not fit.
async fn mistakes_when_asking(user: &mut User) {
    user.types_well("--home sync cert --audience billing --out billing").await;
    let token = "--home sync token --audience";
    user.types("the audience is mistyped", &format!("{token} biling --scope status.read")).await;
    let scope = format!("{token} billing --scope invoices.write --cert billing/cert.pem");
    user.types("the application is not entitled to the scope", &scope).await;
    user.types("no certificate is named", &format!("{token} billing --scope invoices.read")).await;
    let key = format!("{token} billing --scope invoices.read --cert billing/key.pem");
    user.types("the key is given for the certificate", &key).await;
    user.types("an admin asks for a token", "--home dana token --audience billing --scope status.read").await;
    user.types("an admin follows the feed", "--home dana follow").await;
    user.types("an application asks how far the verifiers are", "--home sync verifier list").await;
    user.types("the file is not there", "--home sync verify --token no-such-file").await;
    let mode = fs::Permissions::from_mode(0o644);
    fs::set_permissions(user.cli.folder().join("sync/identity.toml"), mode).unwrap();
    user.types("others may read the identity", "--home sync doctor").await;
}

/// Objects that do not fit, and ends in a script.
async fn mistakes_of_an_admin(user: &mut User) {
    user.types_well("key new admin.key").await;
    user.types("the key is there already", "key new admin.key").await;
    user.file("broken.toml", "kind = \"vendor\"\nname = \"initech\nowner = \"rita\"\n");
    user.types("the TOML is broken", "--home dana put -f broken.toml").await;
    user.file("field.toml", "kind = \"vendor\"\nname = \"initech\"\nowner = \"rita\"\nparrent = \"acme\"\n");
    user.types("a field is mistyped", "--home dana put -f field.toml").await;
    user.file("lost.toml", "kind = \"vendor\"\nname = \"initech\"\nowner = \"nobody-known\"\n");
    user.types("an object names what is not there", "--home dana put -f lost.toml").await;
    user.types("a script ends without --yes", "--home dana end vendor:acme").await;
    user.types("an id is not `kind:name`", "--home dana end acme --yes").await;
    user.types("what is to be ended is not there", "--home dana end vendor:acmee --yes").await;
    user.types("an application writes the directory", "--home sync put -f lost.toml").await;
    user.types("a reason is mistyped", "explain scope-not-entiteld").await;
}

fn says_what_next(ran: &Ran) -> bool {
    let mut lines = ran.stderr.lines().filter_map(|line| line.strip_prefix("next: "));
    lines.next().is_some_and(|next| next.len() > 10)
}

/// Everything that was told, with what differs from run to run masked.
fn golden(mistakes: &[Mistake], folders: &[(&Path, &str)]) -> String {
    let mut text =
        String::from("What a new user is told, mistake by mistake. Written by tests/mistakes.rs.\n");
    for Mistake { title, line, ran } in mistakes {
        text.push_str(&format!(
            "\n## {title}\n\n$ daypass {line}\n{}{}exit code {}\n",
            ran.stdout, ran.stderr, ran.code
        ));
    }
    for (folder, mask) in folders {
        let real = folder.canonicalize().unwrap();
        text = text.replace(real.to_str().unwrap(), mask).replace(folder.to_str().unwrap(), mask);
    }
    masked(&text)
}

/// Ports, revisions, instants, instances and fingerprints differ from run to run.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    for line in text.split_inclusive('\n') {
        if let Some(begin) = line.find(" good for ") {
            masked.push_str(&line[..begin]);
            masked.push_str(" good for …\n");
            continue;
        }
        let line = &match line.find(", seen 2") {
            Some(begin) => format!("{}, seen TIME\n", &line[..begin]),
            None => line.to_owned(),
        };
        let (mut rest, mut last) = (line.as_str(), "");
        while let Some((before, word, after)) = next_word(rest) {
            masked.push_str(before);
            masked.push_str(mask(last, before, word));
            (rest, last) = (after, word);
        }
        masked.push_str(rest);
    }
    masked
}

/// What stands before the next run of letters, digits and dashes, that run, and what stands behind it.
fn next_word(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find(|c: char| c.is_ascii_alphanumeric())?;
    let (before, rest) = text.split_at(begin);
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    Some((before, word, after))
}

fn mask<'a>(last: &str, before: &str, word: &'a str) -> &'a str {
    let all = |of: fn(&u8) -> bool| word.bytes().all(|byte| of(&byte));
    match word {
        _ if word.starts_with("dpe1-") && word.len() > 40 => "CODE",
        _ if all(u8::is_ascii_hexdigit) && word.len() >= 32 => "SHA256",
        _ if word.len() == 21
            && word.starts_with('i')
            && word[1..].bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            "INSTANCE"
        }
        _ if all(u8::is_ascii_digit) && last == "revision" => "N",
        _ if all(u8::is_ascii_digit) && before == ":" && word.len() >= 4 && word != "7443" => "PORT",
        _ => word,
    }
}
