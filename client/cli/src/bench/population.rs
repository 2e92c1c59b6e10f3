//! Who is measured: vendors with one application each, the audience that they reach, and what is minted for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use daypass_credential::{Name, NodeId, NodeKind, Scope, ScopeSet};
use daypass_sdk::{
    Application, ClientCertificate, Connection, Directory, Error, Home, Options, Token, TokenRequest,
    verifier,
};
use tokio::task::JoinSet;

use super::stage::Stage;
use crate::{directory::Manifest, example, failure::Failure, progress::Progress};

/// The audience of everything that is minted here. Its credentials live as long as the broker lets them.
pub(super) const AUDIENCE: &str = "ledger";
const SCOPE: &str = "entries.read";

/// What a verifier is told that checks for it.
pub(super) fn checks() -> Result<verifier::Options, Failure> {
    Ok(verifier::Options::of([AUDIENCE.parse::<Name>().map_err(broken)?]))
}

/// Writes the audience.
pub(super) async fn write_audience(admin: &Directory) -> Result<(), Failure> {
    let scope =
        format!("scope = \"{SCOPE}\"\nclassification = \"internal\"\ntier = \"standing\"\nmax_ttl = \"1d\"");
    let text = format!(
        "kind = \"audience\"\nname = \"{AUDIENCE}\"\nenvironment = \"production\"\n[[scopes]]\n{scope}\n"
    );
    write(admin, &text).await
}

/// Writes a vendor with a contract and an application, all of one name.
pub(super) async fn write_vendor(admin: &Directory, name: &str) -> Result<(), Failure> {
    let vendor = format!("kind = \"vendor\"\nname = \"{name}\"\nowner = \"rosa\"\n");
    let contract = format!(
        "kind = \"contract\"\nname = \"{name}\"\nvendor = \"{name}\"\nreference = \"C-1\"\n\
         start = \"2024-01-01T00:00:00Z\"\nend = \"2044-01-01T00:00:00Z\"\nclassifications = [\"internal\"]\n"
    );
    let application = format!(
        "kind = \"application\"\nname = \"{name}\"\nvendor = \"{name}\"\ncontract = \"{name}\"\n\
         environment = \"production\"\npurpose = \"is measured\"\nclassification = \"internal\"\ninstances = 2\n\
         owners = {{ business = \"dana\", technical = \"lee\", relationship = \"rosa\" }}\n\
         entitlements = [{{ audience = \"{AUDIENCE}\", scopes = [\"{SCOPE}\"] }}]\n"
    );
    for text in [vendor, contract, application] {
        write(admin, &text).await?;
    }
    Ok(())
}

async fn write(admin: &Directory, text: &str) -> Result<(), Failure> {
    let object = Manifest::parse(text).and_then(|manifest| manifest.to_wire()).map_err(broken)?;
    admin.put(object, None).await?;
    Ok(())
}

/// An enrolled application over several connections, with a client certificate that its tokens are bound to.
#[derive(Debug)]
pub(super) struct Minter {
    connections: Vec<Application>,
    pub(super) certificate: ClientCertificate,
    audience: Name,
    scopes: ScopeSet,
}

impl Minter {
    /// Enrols an application, and mints its certificate.
    pub(super) async fn enroll(
        stage: &Stage,
        admin: &Directory,
        name: &str,
        connections: usize,
    ) -> Result<Arc<Self>, Failure> {
        let subject = id(NodeKind::Application, name)?;
        example::enroll(stage.folder(), &stage.address()?, admin, &subject).await?;
        let mut all = Vec::new();
        for _ in 0..connections.max(1) {
            all.push(Application::over(connect(&stage.home(name)).await?)?);
        }
        let (audience, scopes) = (AUDIENCE.parse().map_err(broken)?, SCOPE.parse().map_err(broken)?);
        let first = all.first().ok_or_else(|| broken("no connections"))?;
        let certificate = first.certificate(&audience, None).await?;
        Ok(Arc::new(Self { connections: all, certificate, audience, scopes }))
    }

    /// What a request takes that shows one of its tokens.
    pub(super) fn wanted(&self) -> Vec<Scope> {
        self.scopes.iter().cloned().collect()
    }

    /// Mints a token.
    pub(super) async fn token(&self) -> Result<Token, Error> {
        self.token_over(0).await
    }

    async fn token_over(&self, worker: usize) -> Result<Token, Error> {
        let application = worker.checked_rem(self.connections.len()).and_then(|at| self.connections.get(at));
        let application = application.ok_or(Error::BadInput("there are no connections".into()))?;
        let request = TokenRequest {
            audience: &self.audience,
            scopes: &self.scopes,
            certificate: Some(self.certificate.leaf()),
            ttl: None,
        };
        application.token(&request).await
    }

    /// Mints so many tokens, many at once.
    pub(super) async fn mint(
        self: &Arc<Self>,
        count: u64,
        keep: Keep,
        progress: &Progress,
    ) -> Result<Vec<Token>, Failure> {
        let left = Arc::new(AtomicU64::new(count));
        let mut workers = JoinSet::new();
        for worker in 0..AT_ONCE {
            let (minter, left) = (Arc::clone(self), Arc::clone(&left));
            workers.spawn(async move { minter.work(worker, &left, keep).await });
        }
        let mut tokens = Vec::new();
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                worked = workers.join_next() => match worked {
                    Some(worked) => tokens.extend(worked.map_err(|error| Failure::Internal(error.to_string()))??),
                    None => return Ok(tokens),
                },
                _ = ticks.tick() => progress.reach(count - left.load(Ordering::Relaxed)),
            }
        }
    }

    async fn work(&self, worker: usize, left: &AtomicU64, keep: Keep) -> Result<Vec<Token>, Error> {
        let mut tokens = Vec::new();
        let take = |left: u64| left.checked_sub(1);
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            let token = self.token_over(worker).await?;
            if keep == Keep::All {
                tokens.push(token);
            }
        }
        Ok(tokens)
    }
}

/// What becomes of tokens that were minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    All,
    /// The broker's record of them is all that is wanted.
    None,
}

/// Writes a verifier of the audience, and enrols it.
pub(super) async fn enroll_verifier(
    stage: &Stage,
    admin: &Directory,
    name: &str,
) -> Result<Connection, Failure> {
    write(admin, &format!("kind = \"verifier\"\nname = \"{name}\"\naudiences = [\"{AUDIENCE}\"]\n")).await?;
    example::enroll(stage.folder(), &stage.address()?, admin, &id(NodeKind::Verifier, name)?).await
}

/// The node that a token is ended by.
pub(super) fn credential(token: &Token) -> Result<NodeId, Failure> {
    format!("{}:{}", NodeKind::Credential, token.revision).parse().map_err(broken)
}

/// Connects as whoever was enrolled here, and patiently.
pub(super) async fn connect(home: &Home) -> Result<Connection, Failure> {
    Ok(Connection::open_with(&home.identity()?, &Options::default()).await?)
}

/// The id of a node of the measurement's own.
pub(super) fn id(kind: NodeKind, name: &str) -> Result<NodeId, Failure> {
    Ok(NodeId::new(kind, name.parse().map_err(broken)?))
}

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::Internal(format!("what is to be measured is broken: {why}"))
}

/// How many mints are under way at once: enough to fill the broker's groups, less than it takes of one identity.
const AT_ONCE: usize = 256;
