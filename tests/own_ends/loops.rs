//! A partner that opens and ends things of its own as fast as it can, over connections that nothing holds back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use daypass_credential::{NodeId, Revision};
use daypass_proto::v1::{
    self, credential_service_client::CredentialServiceClient,
    enrollment_service_client::EnrollmentServiceClient, offboarding_service_client::OffboardingServiceClient,
};
use daypass_sdk::{Address, Identity, PrivateKey, Proof, Trust, connect};
use tokio::task::JoinSet;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;

/// What the loops did.
#[derive(Default)]
pub(crate) struct Done {
    stop: AtomicBool,
    /// Calls that were answered.
    pub(crate) calls: AtomicU64,
    /// What was ended.
    pub(crate) ended: AtomicU64,
    /// How often something was not opened, because too much was ended.
    pub(crate) refused: AtomicU64,
}

/// Loops at work.
pub(crate) struct Loops {
    pub(crate) done: Arc<Done>,
    tasks: JoinSet<()>,
}

/// One instance of an application, as it stands after its last renewal.
struct Instance {
    broker: Address,
    trust: Trust,
    proof: Proof,
    revision: Revision,
}

impl Loops {
    pub(crate) fn new() -> Self {
        Self { done: Arc::default(), tasks: JoinSet::new() }
    }

    /// Each instance renews its identity certificate and ends the one before.
    pub(crate) fn renew_and_end(&mut self, identity: &Identity) {
        let (instance, done) = (Instance::of(identity), self.done.clone());
        self.tasks.spawn(async move { renewing(instance, &done).await });
    }

    /// Mints tokens and ends them, as so many clients over each of so many connections.
    pub(crate) async fn mint_and_end(&mut self, identity: &Identity, connections: usize, clients: usize) {
        let instance = Instance::of(identity);
        for _ in 0..connections {
            let channel = instance.connect().await;
            for _ in 0..clients {
                let (channel, done) = (channel.clone(), self.done.clone());
                self.tasks.spawn(async move { minting(&channel, &done).await });
            }
        }
    }

    /// Waits until they are well under way.
    pub(crate) async fn began(&self) {
        while self.done.ended.load(Ordering::Relaxed) < 20 {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the broker has refused to open more.
    pub(crate) async fn limited(&self) {
        while self.done.refused.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Ends the loops, each after its call under way.
    pub(crate) async fn stop(self) -> Arc<Done> {
        self.done.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        self.done
    }
}

impl Done {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// What came of opening something: none if it was refused for the reason that is expected here, or for want of room.
    fn opened<T>(&self, answer: Result<T, Status>) -> Option<T> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match answer.map_err(|status| reason(&status)) {
            Ok(opened) => Some(opened),
            Err(reason) if reason == "too-many-ended" => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(reason) if reason == "busy" => None,
            Err(reason) => panic!("refused: {reason}"),
        }
    }

    /// Ends what was opened, as often as it takes where there is no place for the call.
    async fn end(&self, channel: &Channel, credential: Revision) {
        let request = v1::EndRequest { id: NodeId::credential(credential).to_string(), ..Default::default() };
        loop {
            let answer = OffboardingServiceClient::new(channel.clone()).end(request.clone()).await;
            self.calls.fetch_add(1, Ordering::Relaxed);
            match answer.map_err(|status| reason(&status)) {
                Ok(_) => break,
                Err(reason) => assert_eq!(reason, "busy", "ending refuses for no other reason"),
            }
        }
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Instance {
    fn of(identity: &Identity) -> Self {
        let (broker, trust) = (identity.broker().clone(), identity.trust());
        Self { broker, trust, proof: identity.proof(), revision: identity.revision() }
    }

    async fn connect(&self) -> Channel {
        connect(&self.broker, &self.trust, Some(&self.proof)).await.unwrap()
    }
}

async fn renewing(mut instance: Instance, done: &Done) {
    let mut channel = instance.connect().await;
    while done.goes_on() {
        let key = PrivateKey::generate().unwrap();
        let request = v1::RenewIdentityRequest { csr: key.csr().unwrap().into() };
        let answer = EnrollmentServiceClient::new(channel.clone()).renew_identity(request).await;
        let Some(renewed) = done.opened(answer) else { continue };
        let certificate = renewed.into_inner().certificate.unwrap();
        let chain = vec![certificate.der.to_vec().into()];
        let before = std::mem::replace(&mut instance.revision, Revision::new(certificate.revision));
        instance.proof = Proof { chain, key };
        channel = instance.connect().await;
        done.end(&channel, before).await;
    }
}

async fn minting(channel: &Channel, done: &Done) {
    let request = v1::MintTokenRequest {
        audience: "billing".to_owned(),
        scopes: vec!["status.read".to_owned()],
        ..Default::default()
    };
    while done.goes_on() {
        let answer = CredentialServiceClient::new(channel.clone()).mint_token(request.clone()).await;
        let Some(minted) = done.opened(answer) else { continue };
        done.end(channel, Revision::new(minted.into_inner().revision)).await;
    }
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map_or_else(|| format!("{status:?}"), |info| info.reason.clone())
}
