//! Minting a client certificate.

use daypass_core::{
    Denial, Facts, Permit,
    event::{CertificateRecord, Nonce},
    mint::{CertificateAsk, Terms, decide_certificate},
};
use daypass_credential::{Name, NodeId, NodeKind, Revision, Ttl};
use daypass_issuer::Csr;

use crate::{
    broker::Broker,
    call::{Call, RequestMark},
    keys::Keys,
    refusal::Refusal,
};

/// What an application asks for.
pub(crate) struct CertificateWish {
    pub(crate) audience: Name,
    pub(crate) csr: Csr,
    pub(crate) ttl: Option<Ttl>,
}

/// What it gets.
pub(crate) struct MintedCertificate {
    pub(crate) der: Vec<u8>,
    /// The CA's certificate.
    pub(crate) issuer: Vec<u8>,
    pub(crate) revision: Revision,
    pub(crate) record: CertificateRecord,
}

impl Broker {
    /// Mints a client certificate: decide, record, sign.
    pub(crate) async fn mint_certificate(
        &self,
        call: &Call,
        wish: &CertificateWish,
        mark: RequestMark,
    ) -> Result<MintedCertificate, Refusal> {
        let keys = self.keys.now();
        let now = self.trusted_now()?;
        // Without a CA the audience does not exist, or not for this caller: the rules say which no it is.
        let none: Name = "none".parse().map_err(Refusal::internal)?;
        let key = keys.ring().audience_ca(&wish.audience, now).map_or(&none, |key| &key.name);
        let terms = Terms { era: self.era, key, max_ttl: self.lifetimes.certificate_ttl };
        let nonce = Nonce(self.entropy.bytes()?);
        let ask = CertificateAsk { audience: &wish.audience, key: wish.csr.key(), nonce, ttl: wish.ttl };
        let mut facts = call.facts.clone();
        let hints = [(NodeKind::Audience, &wish.audience), (NodeKind::Key, key)];
        self.read(&mut facts, hints.map(|(kind, name)| NodeId::new(kind, name.clone())).into()).await?;
        let decide = |facts: &Facts, now| decide_certificate(facts, &call.caller, &ask, &terms, now);
        let (permit, revision) = self.mint(call, mark, facts, decide).await?;
        sign(&keys, permit, revision, &wish.csr)
    }
}

/// Signs what was recorded, and adds the certificate of the CA that did.
pub(crate) fn sign(
    keys: &Keys,
    permit: Permit<CertificateRecord>,
    revision: Revision,
    csr: &Csr,
) -> Result<MintedCertificate, Refusal> {
    let der = keys.ring().sign_certificate(&permit, revision, csr).map_err(Refusal::internal)?;
    let record = permit.record().clone();
    let issuer = keys.ring().keys().find(|key| key.name == record.issuer).ok_or(Denial::NoSigningKey)?;
    Ok(MintedCertificate { der, issuer: issuer.public.0.clone(), revision, record })
}
