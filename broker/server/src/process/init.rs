//! Beginning a log: the broker's keys, and a one-time code for the first admin.

use std::{
    fs,
    path::{Path, PathBuf},
};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Node, PrivateId, Put,
    directory::NAME_MAX,
    node::{Enrollment, KeyAlgorithm, KeyPurpose, Person, Role},
};
use daypass_credential::{Digest, EnrollmentCode, Era, Name, NodeId, NodeKind, Revision, Timestamp, Ttl};
use daypass_issuer::{KeyEncryptionKey, KeyPlan, PublicKey, generate};
use daypass_log::VerifierKey;
use daypass_store::{Change, Lane, OpenError, Sled, Store};
use zeroize::Zeroizing;

use super::{
    command::Failure,
    durable,
    start::{key_encryption_key, options, store_path},
};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    directory::ca_plan,
    enrollment::code_name,
    entropy::{Entropy, SystemEntropy},
    notary,
    refusal::Refusal,
    text,
};

/// Who the first admin is.
pub(crate) struct Wish {
    pub(crate) admin: Name,
    pub(crate) admin_key: PathBuf,
    pub(crate) admin_contact: String,
}

/// What was begun.
pub(crate) struct Begun {
    era: Era,
    root: Digest,
    admin: Name,
    code: EnrollmentCode,
    expires: Timestamp,
    log_key: VerifierKey,
}

/// What to do where the answer of an earlier attempt got lost: its code is in nobody's hands, and in no log.
const BEGUN: &str = "cannot begin twice; if no code was ever shown, remove the store and begin again";
/// How long the first admin's code waits.
const CODE_TTL: Ttl = Ttl::days(1);
/// How long the first token key and audit key vouch.
const KEY_LIFE: Ttl = Ttl::days(730);

/// Makes the store and its first event. Where it fails, a second try goes on with what the first left.
pub(crate) async fn init(config: &Config, wish: Wish) -> Result<Begun, Failure> {
    if wish.admin.as_str().len() > NAME_MAX {
        return Err(Failure::Use(
            format!("`{}` is too long: at most {NAME_MAX} characters", wish.admin),
            None,
        ));
    }
    let key = admin_key(&wish.admin_key)?;
    let kek = match config.key_file.try_exists() {
        // Perhaps an attempt that broke off left it, and nothing of it is durable yet.
        Ok(true) => {
            let kek = key_encryption_key(&config.key_file)?;
            let failed = |error| Failure::work("cannot make the key file durable", error);
            durable::file(&config.key_file).map_err(failed)?;
            kek
        }
        _ => new_key_file(&config.key_file)?,
    };
    durable::folder(&config.data_dir)
        .map_err(|error| Failure::work(format!("cannot make `{}`", config.data_dir.display()), error))?;
    let store = empty_store(config)?;
    first_event(&store, config, &kek, wish, key).await
}

/// A new store, or one that an earlier attempt left without its first event.
fn empty_store(config: &Config) -> Result<Sled, Failure> {
    let path = store_path(config);
    let failed = |error| Failure::work("cannot make the store", error);
    match Sled::create(&path, options(config)) {
        Err(exists @ OpenError::Exists(_)) => {
            let store = Sled::open(&path, options(config)).map_err(failed)?;
            let begun = store.head().borrow().revision > Revision::ZERO;
            if begun { Err(Failure::work(BEGUN, exists)) } else { Ok(store) }
        }
        made => made.map_err(failed),
    }
}

async fn first_event(
    store: &Sled,
    config: &Config,
    kek: &KeyEncryptionKey,
    wish: Wish,
    key: Digest,
) -> Result<Begun, Failure> {
    let failed = |error: Refusal| Failure::work("cannot begin", error);
    let entropy = SystemEntropy::new();
    let entropy: &dyn Entropy = &entropy;
    let now = SystemClock.wall();
    let domain = config.trust_domain()?;
    let (mut puts, mut private) = (Vec::new(), Vec::new());
    let (mut root, mut log_key) = (None, None);
    for plan in plans(now.floor_secs()) {
        let identity = plan.purpose == KeyPurpose::Identity;
        let made = generate(plan, &domain, kek).map_err(|error| Failure::work("cannot make a key", error))?;
        if identity {
            root = Some(daypass_issuer::digest(&made.key.public.0));
        }
        log_key = log_key.or_else(|| notary::log_key(&config.issuer(), &made.key));
        private.push((made.key.sealed, Zeroizing::new(made.sealed)));
        puts.push(open_put(Body::Key(made.key)));
    }
    let root = root.ok_or_else(|| Failure::Work("no root was made".to_owned(), None))?;
    let log_key = log_key.ok_or_else(|| Failure::Work("no audit key was made".to_owned(), None))?;
    let code = EnrollmentCode::new(entropy.bytes().map_err(failed)?, root);
    let era = Era::new(u64::from_be_bytes(entropy.bytes().map_err(failed)?));
    let (person, contact) = admin(store, entropy, &wish).await.map_err(failed)?;
    private.extend(contact);
    puts.push(open_put(Body::Person(person)));
    let expires = now.after(CODE_TTL);
    puts.push(open_put(Body::Enrollment(Enrollment {
        name: code_name(code.secret()).map_err(failed)?,
        subject: NodeId::new(NodeKind::Person, wish.admin.clone()),
        expires,
        key: Some(key),
        spent: None,
    })));
    let action = Action::Initialized {
        era,
        issuer: config.issuer(),
        trust_domain: config.trust_domain.clone(),
        previous: None,
    };
    let mut event = Event::new(now, ChangeId::new(entropy.bytes().map_err(failed)?), Actor::Broker, action);
    event.puts = puts;
    let change = Change { event, expect: Vec::new(), private };
    store.commit(change, Lane::Normal).await.map_err(|error| Failure::work("cannot begin the log", error))?;
    Ok(Begun { era, root, admin: wish.admin, code, expires, log_key })
}

/// The keys that a broker begins with.
fn plans(now: Timestamp) -> [KeyPlan; 3] {
    let start = now.before(Ttl::minutes(60));
    let key = |purpose, algorithm| KeyPlan {
        purpose,
        algorithm,
        not_before: start,
        not_after: now.after(KEY_LIFE),
    };
    [
        ca_plan(KeyPurpose::Identity, now),
        key(KeyPurpose::Token, KeyAlgorithm::Es256),
        key(KeyPurpose::Audit, KeyAlgorithm::EdDsa),
    ]
}

fn open_put(body: Body) -> Put {
    Put { node: Node::open(body), cut: false }
}

async fn admin(
    store: &Sled,
    entropy: &dyn Entropy,
    wish: &Wish,
) -> Result<(Person, Option<(PrivateId, Zeroizing<Vec<u8>>)>), Refusal> {
    text::checked("admin-contact", &wish.admin_contact, 1000)?;
    let kept = text::keep(store, entropy, &wish.admin_contact, None).await?;
    let roles = [Role::Admin].into();
    Ok((Person { name: wish.admin.clone(), roles, contact: kept.reference, forgotten: false }, kept.write))
}

fn admin_key(path: &Path) -> Result<Digest, Failure> {
    let what = || format!("cannot use the admin's public key `{}`", path.display());
    let text = fs::read_to_string(path).map_err(|error| Failure::work(what(), error))?;
    let key: PublicKey = text.parse().map_err(|error| Failure::work(what(), error))?;
    Ok(key.digest())
}

/// Makes the file with the key that all keys are sealed with, for its owner alone.
fn new_key_file(path: &Path) -> Result<KeyEncryptionKey, Failure> {
    let what = || format!("cannot make the key file `{}`", path.display());
    let kek = KeyEncryptionKey::generate().map_err(|error| Failure::work(what(), error))?;
    let failed = |error| Failure::work(what(), error);
    let text = Zeroizing::new(format!("{}\n", kek.to_text().as_str()));
    durable::new_file(path, text.as_bytes()).map_err(failed)?;
    Ok(kek)
}

/// An instant as RFC 3339 writes it.
fn rfc3339(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
}

impl Begun {
    fn root_hex(&self) -> String {
        self.root.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        serde_json::json!({
            "era": self.era,
            "root_sha256": self.root_hex(),
            "log_key": self.log_key.to_string(),
            "admin": self.admin,
            "enrollment_code": self.code.reveal(),
            "expires_at": rfc3339(self.expires),
        })
        .to_string()
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        format!(
            "era        {}\nroot       sha256 {}\nlog key    {}\nadmin      {}\ncode       {}\n\n\
             Give the log key to whoever is to check the log. Hand the code to the admin: it works once, within a day, and with the key given alone.\n\
             Next: daypassd serve, and on the admin's machine:\n  daypass enroll --broker HOST:PORT --key FILE --code-file CODE.txt\n",
            self.era,
            self.root_hex(),
            self.log_key,
            self.admin,
            self.code.reveal(),
        )
    }
}
