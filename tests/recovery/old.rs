//! What an era gave out, and trying all of it on the broker of the next one.

use daypass_credential::EnrollmentCode;
use daypass_proto::v1::{
    self, audit_service_client::AuditServiceClient, credential_service_client::CredentialServiceClient,
    enrollment_service_client::EnrollmentServiceClient,
};
use daypass_sdk::{
    Address, Application, ClientCertificate, Connection, Error, Identity, Introspector, PrivateKey, Proof,
    Token, Trust, TrustBundle, connect,
};
use tonic::Status;
use tonic_prost::{ProstCodec, prost::Message as _};
use tonic_types::StatusExt;

use crate::support::{mint, name, scopes};

/// What an era gave out.
pub(crate) struct Old {
    pub(crate) identities: Vec<Identity>,
    pub(crate) pairs: Vec<(ClientCertificate, Token)>,
    pub(crate) unbound: Vec<Token>,
    pub(crate) codes: Vec<EnrollmentCode>,
    /// Requests with an id, and under which revision each was answered.
    pub(crate) requests: Vec<(v1::MintTokenRequest, u64)>,
    /// What a client last heard of the log.
    pub(crate) checkpoint: v1::GetCheckpointResponse,
    pub(crate) bundle: TrustBundle,
}

/// The newest checkpoint, for somebody who knows this one.
async fn checkpoint(from: &Connection, known: &str) -> Result<v1::GetCheckpointResponse, Status> {
    let request = v1::GetCheckpointRequest { known: known.to_owned() };
    AuditServiceClient::new(from.channel()).get_checkpoint(request).await.map(tonic::Response::into_inner)
}

impl Old {
    pub(crate) async fn of(admin: &Connection) -> Self {
        Self {
            identities: Vec::new(),
            pairs: Vec::new(),
            unbound: Vec::new(),
            codes: Vec::new(),
            requests: Vec::new(),
            checkpoint: checkpoint(admin, "").await.unwrap(),
            bundle: admin.trust_bundle(None).await.unwrap(),
        }
    }

    /// Has an application mint everything that it can, and keeps that.
    pub(crate) async fn mint(&mut self, application: &Application) {
        self.pairs.push(mint(application).await.unwrap());
        let mut request = v1::MintTokenRequest {
            audience: "billing".into(),
            scopes: scopes("status.read").iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let audience = name("billing");
        let wanted = scopes("status.read");
        let ask =
            daypass_sdk::TokenRequest { audience: &audience, scopes: &wanted, certificate: None, ttl: None };
        self.unbound.push(application.token(&ask).await.unwrap());
        request.request_id = format!("nightly-{}", self.requests.len());
        let answer = ask_again(application.connection(), &request).await.unwrap();
        self.requests.push((request, answer.revision));
    }
}

/// Sends a request with its own id, as a program does that lost the answer.
pub(crate) async fn ask_again(
    from: &Connection,
    request: &v1::MintTokenRequest,
) -> Result<v1::MintTokenResponse, Status> {
    let answer = CredentialServiceClient::new(from.channel()).mint_token(request.clone()).await;
    answer.map(tonic::Response::into_inner)
}

/// How many old things were tried and refused, and which were accepted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) refused: usize,
    pub(crate) accepted: Vec<String>,
}

impl Tally {
    fn count(&mut self, what: impl Into<String>, accepted: bool) {
        if accepted { self.accepted.push(what.into()) } else { self.refused += 1 }
    }

    /// A refusal counts only if it is for this reason: a call that never arrived shows nothing.
    fn answered<T>(&mut self, what: &str, answer: Result<T, Status>, reason: &str) {
        let Err(status) = answer else {
            self.accepted.push(what.to_owned());
            return;
        };
        let said = status.get_error_details().error_info().map(|info| info.reason.clone());
        assert_eq!(said.as_deref(), Some(reason), "{what}: {status:?}");
        self.refused += 1;
    }
}

/// The broker of the new era, and whoever is enrolled there.
pub(crate) struct New<'a> {
    pub(crate) broker: &'a Address,
    pub(crate) root: Trust,
    pub(crate) verifier: &'a Introspector,
    pub(crate) bundle: &'a TrustBundle,
}

impl New<'_> {
    /// Tries everything.
    pub(crate) async fn try_all(&self, old: &Old) -> Tally {
        let mut tally = Tally::default();
        self.identities(old, &mut tally).await;
        self.certificates(old, &mut tally).await;
        self.credentials(old, &mut tally).await;
        self.codes(old, &mut tally).await;
        self.checkpoints(old, &mut tally).await;
        self.keys(old, &mut tally);
        tally
    }

    /// Every old identity at every method that wants one: with the new root known, as if it had been told; and as its
    /// program would go on, which does not take this broker for its own.
    async fn identities(&self, old: &Old, tally: &mut Tally) {
        for identity in &old.identities {
            self.shown(&identity.proof(), "certificate-not-ours", tally).await;
            let gone_on = match Connection::open(identity).await {
                Ok(connection) => connection.ping().await.map(drop),
                Err(error) => Err(error),
            };
            let other = matches!(gone_on, Err(Error::OtherBroker { .. }));
            assert!(other || gone_on.is_ok(), "{gone_on:?}");
            tally.count(format!("{} goes on", identity.subject()), !other);
        }
    }

    /// Every client certificate, shown to the broker as if it were an identity.
    async fn certificates(&self, old: &Old, tally: &mut Tally) {
        for (certificate, _) in &old.pairs {
            self.shown(&certificate.proof(), "certificate-not-ours", tally).await;
        }
    }

    async fn shown(&self, proof: &Proof, reason: &str, tally: &mut Tally) {
        for path in methods() {
            let channel = connect(self.broker, &self.root, Some(proof)).await.unwrap();
            let mut grpc = tonic::client::Grpc::new(channel);
            grpc.ready().await.unwrap();
            let called = path.parse().unwrap();
            let codec = ProstCodec::<(), ()>::default();
            let answer = grpc.unary(tonic::Request::new(()), called, codec).await;
            tally.answered(&path, answer, reason);
        }
    }

    /// Every token and certificate at a verifier of the new era.
    async fn credentials(&self, old: &Old, tally: &mut Tally) {
        for (certificate, token) in &old.pairs {
            let leaf = certificate.leaf();
            for (what, token, certificate) in [
                ("a certificate", "", Some(leaf)),
                ("a token with its certificate", token.reveal(), Some(leaf)),
                ("a token without its certificate", token.reveal(), None),
            ] {
                let found = self.verifier.introspect(token, certificate).await.unwrap();
                tally.count(what, found.is_some());
            }
        }
        for token in &old.unbound {
            let found = self.verifier.introspect(token.reveal(), None).await.unwrap();
            tally.count("an unbound token", found.is_some());
        }
    }

    /// Every code, spent or not: as it is, and with its secret put to the new root.
    async fn codes(&self, old: &Old, tally: &mut Tally) {
        let Trust::Pin(root) = self.root else { panic!("the root is not pinned") };
        for code in &old.codes {
            let moved = EnrollmentCode::new(*code.secret(), root);
            for (code, reason) in [(code, "code-for-other-broker"), (&moved, "code-unknown")] {
                let channel = connect(self.broker, &self.root, None).await.unwrap();
                let csr = PrivateKey::generate().unwrap().csr().unwrap();
                let request = v1::EnrollRequest { code: code.reveal(), csr: csr.into() };
                let answer = EnrollmentServiceClient::new(channel).enroll(request).await;
                tally.answered("a code", answer, reason);
            }
        }
    }

    /// What a client knows of the old log is nothing that the new one goes on from.
    async fn checkpoints(&self, old: &Old, tally: &mut Tally) {
        let verifier = self.verifier.connection();
        let answer = checkpoint(verifier, &old.checkpoint.checkpoint).await;
        tally.answered("a checkpoint", answer, "checkpoint-unknown");
        let now = checkpoint(verifier, "").await.unwrap();
        tally.count("the key of the log", now.log_key == old.checkpoint.log_key);
    }

    /// No key of the old era is given to relying parties.
    fn keys(&self, old: &Old, tally: &mut Tally) {
        for root in &old.bundle.broker_roots {
            tally.count("a root of the broker's", self.bundle.broker_roots.contains(root));
        }
        let roots: Vec<_> = self.bundle.audiences.iter().flat_map(|audience| &audience.roots).collect();
        for root in old.bundle.audiences.iter().flat_map(|audience| &audience.roots) {
            tally.count("a CA of an audience", roots.contains(&root));
        }
        let (before, now) = (kids(&old.bundle.jwks), kids(&self.bundle.jwks));
        assert!(!before.is_empty() && !now.is_empty() && roots.len() == old.bundle.audiences.len());
        for kid in before {
            tally.count("a token key", now.contains(&kid));
        }
    }
}

fn kids(jwks: &str) -> Vec<String> {
    let set: serde_json::Value = serde_json::from_str(jwks).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Every method of the broker's own that is not open to everybody.
fn methods() -> Vec<String> {
    let open = ["Enroll", "GetTrustBundle"];
    let files = prost_types::FileDescriptorSet::decode(daypass_proto::DESCRIPTORS).unwrap().file;
    let mut paths = Vec::new();
    for file in files.iter().filter(|file| file.package() == "daypass.v1") {
        for service in &file.service {
            let closed = service.method.iter().filter(|method| !open.contains(&method.name()));
            paths.extend(closed.map(|method| format!("/daypass.v1.{}/{}", service.name(), method.name())));
        }
    }
    assert!(paths.len() > 15, "{paths:?}");
    paths
}
