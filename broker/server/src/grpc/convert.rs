//! Between the wire and the domain: what comes in is parsed into typed values, field by field, or refused.

use std::{collections::BTreeSet, str::FromStr};

use daypass_core::{
    Body, Life, PrivateId, TextRef,
    node::{
        Application, Audience, Classification, Contract, Entitlement, Identity, Owners, Person, Role,
        ScopeRule, Tier, Vendor, Verifier,
    },
};
use daypass_credential::{Digest, Name, NodeId, NodeKind, Revision, Scope, ScopeSet, Timestamp, Ttl};
use daypass_issuer::KeyRing;
use daypass_proto::v1::{self, object::Kind};

use crate::{
    credential::{CredentialRecord, Death, MintedCertificate, ShownCredential},
    diagnostics::RecordedRefusal,
    directory::{Change, Object, ObjectWish, Planned},
    notary::log_keys,
    refusal::Refusal,
    verification::Active,
};

fn parsed<T: FromStr<Err: ToString>>(field: &'static str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error: T::Err| Refusal::bad(field, error.to_string()))
}

fn optional(field: &'static str, text: &str) -> Result<Option<Name>, Refusal> {
    if text.is_empty() { Ok(None) } else { parsed(field, text).map(Some) }
}

/// Scopes, each as one text.
pub(crate) fn scopes(field: &'static str, texts: &[String]) -> Result<ScopeSet, Refusal> {
    let scopes = texts.iter().map(|text| parsed::<Scope>(field, text)).collect::<Result<_, _>>()?;
    ScopeSet::new(scopes).map_err(|error| Refusal::bad(field, error))
}

/// An instant on the wire.
pub(crate) fn instant(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    prost_types::Timestamp {
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1000 * 1_000_000).unwrap_or_default(),
    }
}

fn timestamp(field: &'static str, at: Option<prost_types::Timestamp>) -> Result<Timestamp, Refusal> {
    let at = at.ok_or_else(|| Refusal::bad(field, "say when"))?;
    let outside = || Refusal::bad(field, "not an instant from 1970 on");
    let secs = u64::try_from(at.seconds).map_err(|_| outside())?;
    let nanos = u64::try_from(at.nanos).ok().filter(|n| *n < 1_000_000_000).ok_or_else(outside)?;
    let millis = secs.checked_mul(1000).and_then(|ms| ms.checked_add(nanos / 1_000_000));
    millis.map(Timestamp::from_millis).ok_or_else(outside)
}

/// A certificate that was minted.
pub(crate) fn certificate(minted: MintedCertificate) -> v1::Certificate {
    v1::Certificate {
        der: minted.der.into(),
        issuer: minted.issuer.into(),
        revision: minted.revision.get(),
        expires_at: Some(instant(minted.record.expires)),
        bound_by: minted.record.bound_by.to_string(),
    }
}

/// A credential, and how it stands.
pub(crate) fn credential(shown: &ShownCredential) -> v1::Credential {
    let record = &shown.record;
    let kind = match record {
        CredentialRecord::Token { .. } => v1::CredentialKind::Token,
        CredentialRecord::Certificate(certificate) if certificate.audience.is_none() => {
            v1::CredentialKind::Identity
        }
        CredentialRecord::Certificate(_) => v1::CredentialKind::Certificate,
    };
    let (not_before, expires, bound_by) = record.life();
    let (dead_by, dead_since) = match &shown.death {
        None => (String::new(), 0),
        Some(Death::Expired) => ("expiry".to_owned(), 0),
        Some(Death::Cut { node, at }) => (node.to_string(), at.get()),
    };
    v1::Credential {
        revision: shown.revision.get(),
        kind: kind.into(),
        subject: record.subject().to_string(),
        identity: record.identity().map(ToString::to_string).unwrap_or_default(),
        audience: record.audience().map(ToString::to_string).unwrap_or_default(),
        scopes: record.scopes().into_iter().flat_map(ScopeSet::iter).map(ToString::to_string).collect(),
        not_before: Some(instant(not_before)),
        expires_at: Some(instant(expires)),
        bound_by: bound_by.to_string(),
        lineage: record.lineage().nodes().iter().map(ToString::to_string).collect(),
        alive: shown.death.is_none(),
        dead_by,
        dead_since,
    }
}

/// What is recorded of a refusal.
pub(crate) fn refusal(recorded: RecordedRefusal) -> v1::ExplainRefusalResponse {
    let (subject, identity) = recorded
        .caller
        .map(|(subject, identity)| (subject.to_string(), identity.to_string()))
        .unwrap_or_default();
    v1::ExplainRefusalResponse {
        at: Some(instant(recorded.at)),
        method: recorded.method.to_string(),
        reason: recorded.reason.to_string(),
        subject,
        identity,
        count: recorded.count,
        about: recorded.about.map(|node| node.to_string()).unwrap_or_default(),
    }
}

/// What writing one object would do; one that cannot be read has no id.
pub(crate) fn planned(planned: Result<Planned, Refusal>) -> v1::PlannedObject {
    let refused = |refusal: &Refusal| v1::PlannedObject {
        change: v1::PlannedChange::Refused.into(),
        reason: refusal.reason().to_string(),
        message: refusal.to_string(),
        ..v1::PlannedObject::default()
    };
    let planned = match planned {
        Ok(planned) => planned,
        Err(refusal) => return refused(&refusal),
    };
    let before = planned.before.as_ref().map(stored_object).unwrap_or_default();
    let change =
        |change: v1::PlannedChange| v1::PlannedObject { change: change.into(), ..Default::default() };
    let said = match &planned.change {
        Change::New => change(v1::PlannedChange::New),
        Change::Unchanged => change(v1::PlannedChange::Unchanged),
        Change::Changed { cut, applications } => v1::PlannedObject {
            cut: *cut,
            applications: u32::try_from(*applications).unwrap_or(u32::MAX),
            ..change(v1::PlannedChange::Changed)
        },
        Change::Refused(refusal) => refused(refusal),
    };
    v1::PlannedObject { id: planned.id.to_string(), revision: before.revision, before: before.object, ..said }
}

/// What introspection answers.
pub(crate) fn introspection(active: Option<Active>) -> v1::IntrospectResponse {
    let Some(active) = active else {
        return v1::IntrospectResponse::default();
    };
    v1::IntrospectResponse {
        active: true,
        application: active.application,
        audience: active.audience.to_string(),
        scopes: active.scopes.iter().map(ToString::to_string).collect(),
        expires_at: Some(instant(active.expires)),
        revision: active.revision.get(),
        lineage: active.lineage.nodes().iter().map(ToString::to_string).collect(),
    }
}

/// The public keys, those of one audience alone if it is named.
pub(crate) fn trust_bundle(
    ring: &KeyRing,
    now: Timestamp,
    only: &str,
) -> Result<v1::GetTrustBundleResponse, Refusal> {
    let bundle = ring.trust_bundle(now);
    let audiences = bundle.audiences.into_iter().filter(|(name, _)| only.is_empty() || name.as_str() == only);
    let audience = |(name, roots): (Name, Vec<Vec<u8>>)| v1::AudienceBundle {
        audience: name.to_string(),
        roots: roots.into_iter().map(Into::into).collect(),
    };
    Ok(v1::GetTrustBundleResponse {
        issuer: ring.realm().issuer.clone(),
        trust_domain: ring.realm().domain.to_string(),
        era: ring.realm().era.to_string(),
        jwks: serde_json::to_string(&ring.key_set(now)).map_err(Refusal::internal)?,
        broker_roots: bundle.roots.into_iter().map(Into::into).collect(),
        audiences: audiences.map(audience).collect(),
        log_keys: log_keys(ring, now).iter().map(ToString::to_string).collect(),
    })
}

/// What somebody wants written.
pub(crate) fn object_wish(object: v1::Object, expected: Option<Revision>) -> Result<ObjectWish, Refusal> {
    let kind = object.kind.ok_or_else(|| Refusal::bad("object", "say of which kind"))?;
    let mut text = None;
    let body = match kind {
        Kind::Vendor(vendor) => Body::Vendor(Vendor {
            name: parsed("name", &vendor.name)?,
            parent: optional("parent", &vendor.parent)?,
            owner: parsed("owner", &vendor.owner)?,
        }),
        Kind::Contract(contract) => Body::Contract(contract_in(contract)?),
        Kind::Application(application) => {
            text = Some(application.purpose.clone());
            Body::Application(application_in(application)?)
        }
        Kind::Person(person) => {
            text = Some(person.contact);
            let roles = person.roles.into_iter().map(role_in).collect::<Result<_, _>>()?;
            Body::Person(Person {
                name: parsed("name", &person.name)?,
                roles,
                contact: NO_TEXT,
                forgotten: false,
            })
        }
        Kind::Audience(audience) => Body::Audience(audience_in(audience)?),
        Kind::Verifier(verifier) => {
            let audiences = verifier.audiences.iter().map(|name| parsed("audiences", name));
            Body::Verifier(Verifier {
                name: parsed("name", &verifier.name)?,
                audiences: audiences.collect::<Result<BTreeSet<_>, _>>()?,
            })
        }
        Kind::Identity(_) => return Err(Refusal::bad("object", "identities come from enrolment alone")),
    };
    Ok(ObjectWish { body, text, expected })
}

/// The object of this kind and name, if that is a name.
pub(crate) fn named(kind: NodeKind, name: &str) -> Option<NodeId> {
    name.parse().ok().map(|name| NodeId::new(kind, name))
}

/// What somebody wants written, by its id alone.
pub(crate) fn object_id(object: &v1::Object) -> Option<NodeId> {
    match object.kind.as_ref()? {
        Kind::Vendor(vendor) => named(NodeKind::Vendor, &vendor.name),
        Kind::Contract(contract) => named(NodeKind::Contract, &contract.name),
        Kind::Application(application) => named(NodeKind::Application, &application.name),
        Kind::Person(person) => named(NodeKind::Person, &person.name),
        Kind::Audience(audience) => named(NodeKind::Audience, &audience.name),
        Kind::Verifier(verifier) => named(NodeKind::Verifier, &verifier.name),
        Kind::Identity(identity) => named(NodeKind::Identity, &identity.name),
    }
}

/// Where a text's place will be written once it has one.
const NO_TEXT: TextRef = TextRef { id: PrivateId::new([0; 16]), hash: Digest::new([0; 32]) };

fn contract_in(contract: v1::Contract) -> Result<Contract, Refusal> {
    let classifications = contract.classifications.into_iter();
    Ok(Contract {
        name: parsed("name", &contract.name)?,
        vendor: parsed("vendor", &contract.vendor)?,
        reference: parsed("reference", &contract.reference)?,
        parent: optional("parent", &contract.parent)?,
        start: timestamp("start", contract.start)?,
        end: timestamp("end", contract.end)?,
        classifications: classifications
            .map(|c| classification_in("classifications", c))
            .collect::<Result<_, _>>()?,
    })
}

fn application_in(application: v1::Application) -> Result<Application, Refusal> {
    let owners = application.owners.ok_or_else(|| Refusal::bad("owners", "name all three"))?;
    let entitlement = |entitlement: &v1::Entitlement| -> Result<Entitlement, Refusal> {
        Ok(Entitlement {
            audience: parsed("entitlements.audience", &entitlement.audience)?,
            scopes: scopes("entitlements.scopes", &entitlement.scopes)?,
        })
    };
    Ok(Application {
        name: parsed("name", &application.name)?,
        vendor: parsed("vendor", &application.vendor)?,
        contract: parsed("contract", &application.contract)?,
        environment: parsed("environment", &application.environment)?,
        purpose: NO_TEXT,
        classification: classification_in("classification", application.classification)?,
        owners: Owners {
            business: parsed("owners.business", &owners.business)?,
            technical: parsed("owners.technical", &owners.technical)?,
            relationship: parsed("owners.relationship", &owners.relationship)?,
        },
        entitlements: application.entitlements.iter().map(entitlement).collect::<Result<_, _>>()?,
        instances: u8::try_from(application.instances).map_err(|_| Refusal::bad("instances", "1 to 32"))?,
        max_ttl: Ttl::from_secs(application.max_ttl_seconds).ok(),
    })
}

fn audience_in(audience: v1::Audience) -> Result<Audience, Refusal> {
    let rule = |rule: &v1::ScopeRule| -> Result<ScopeRule, Refusal> {
        Ok(ScopeRule {
            scope: parsed("scopes.scope", &rule.scope)?,
            classification: classification_in("scopes.classification", rule.classification)?,
            tier: tier_in(rule.tier)?,
            max_ttl: Ttl::from_secs(rule.max_ttl_seconds)
                .map_err(|error| Refusal::bad("scopes.max_ttl_seconds", error))?,
            unbound: rule.unbound,
        })
    };
    let staleness = match audience.staleness_seconds {
        0 => DEFAULT_STALENESS,
        seconds => Ttl::from_secs(seconds).map_err(|error| Refusal::bad("staleness_seconds", error))?,
    };
    Ok(Audience {
        name: parsed("name", &audience.name)?,
        environment: parsed("environment", &audience.environment)?,
        scopes: audience.scopes.iter().map(rule).collect::<Result<_, _>>()?,
        staleness,
    })
}

/// How long a verifier may go without news, where an audience does not say.
const DEFAULT_STALENESS: Ttl = Ttl::seconds(30);

fn classification_in(field: &'static str, value: i32) -> Result<Classification, Refusal> {
    match v1::Classification::try_from(value) {
        Ok(v1::Classification::Public) => Ok(Classification::Public),
        Ok(v1::Classification::Internal) => Ok(Classification::Internal),
        Ok(v1::Classification::Confidential) => Ok(Classification::Confidential),
        Ok(v1::Classification::Restricted) => Ok(Classification::Restricted),
        Ok(v1::Classification::Unspecified) | Err(_) => {
            Err(Refusal::bad(field, "public, internal, confidential or restricted"))
        }
    }
}

fn tier_in(value: i32) -> Result<Tier, Refusal> {
    match v1::Tier::try_from(value) {
        Ok(v1::Tier::Standing) => Ok(Tier::Standing),
        Ok(v1::Tier::Jit) => Ok(Tier::Jit),
        Ok(v1::Tier::BreakGlass) => Ok(Tier::BreakGlass),
        Ok(v1::Tier::Unspecified) | Err(_) => {
            Err(Refusal::bad("scopes.tier", "standing, jit or break-glass"))
        }
    }
}

fn role_in(value: i32) -> Result<Role, Refusal> {
    match v1::Role::try_from(value) {
        Ok(v1::Role::Admin) => Ok(Role::Admin),
        Ok(v1::Role::Auditor) => Ok(Role::Auditor),
        Ok(v1::Role::Unspecified) | Err(_) => Err(Refusal::bad("roles", "admin or auditor")),
    }
}

const fn classification_out(classification: Classification) -> v1::Classification {
    match classification {
        Classification::Public => v1::Classification::Public,
        Classification::Internal => v1::Classification::Internal,
        Classification::Confidential => v1::Classification::Confidential,
        Classification::Restricted => v1::Classification::Restricted,
    }
}

const fn life_out(life: Life) -> v1::Life {
    match life {
        Life::Open => v1::Life::Open,
        Life::Suspended => v1::Life::Suspended,
        Life::Ended => v1::Life::Ended,
    }
}

/// An object as it stands.
pub(crate) fn stored_object(object: &Object) -> v1::StoredObject {
    let stored = &object.stored;
    let text = object.text.clone().unwrap_or_else(|| lost(&stored.node.body).to_owned());
    v1::StoredObject {
        id: stored.node.id().to_string(),
        object: kind_out(&stored.node.body, text).map(|kind| v1::Object { kind: Some(kind) }),
        revision: stored.revision.get(),
        cut: stored.cut.map(Revision::get).unwrap_or_default(),
        life: life_out(stored.node.life).into(),
        effective_life: life_out(object.effective).into(),
    }
}

/// What stands for a text that is not there: it was erased by an event, or it ought to be there. Clients know both, and do
/// not write them back.
const fn lost(body: &Body) -> &'static str {
    match body {
        Body::Person(Person { forgotten: true, .. }) => "(erased)",
        _ => "(missing)",
    }
}

/// An object's own fields; the broker's bookkeeping has none to show.
fn kind_out(body: &Body, text: String) -> Option<Kind> {
    Some(match body {
        Body::Vendor(vendor) => Kind::Vendor(v1::Vendor {
            name: vendor.name.to_string(),
            parent: vendor.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            owner: vendor.owner.to_string(),
        }),
        Body::Contract(contract) => Kind::Contract(contract_out(contract)),
        Body::Application(application) => Kind::Application(application_out(application, text)),
        Body::Person(person) => {
            let role = |role: &Role| match role {
                Role::Admin => v1::Role::Admin.into(),
                Role::Auditor => v1::Role::Auditor.into(),
            };
            let roles = person.roles.iter().map(role).collect();
            Kind::Person(v1::Person { name: person.name.to_string(), roles, contact: text })
        }
        Body::Audience(audience) => Kind::Audience(audience_out(audience)),
        Body::Verifier(verifier) => Kind::Verifier(v1::Verifier {
            name: verifier.name.to_string(),
            audiences: verifier.audiences.iter().map(ToString::to_string).collect(),
        }),
        Body::Identity(Identity { name, subject, until, .. }) => Kind::Identity(v1::Identity {
            name: name.to_string(),
            subject: subject.to_string(),
            until: Some(instant(*until)),
        }),
        Body::Credential(_) | Body::Key(_) | Body::Enrollment(_) | Body::Roster(_) => return None,
    })
}

fn contract_out(contract: &Contract) -> v1::Contract {
    v1::Contract {
        name: contract.name.to_string(),
        vendor: contract.vendor.to_string(),
        reference: contract.reference.as_str().to_owned(),
        parent: contract.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        start: Some(instant(contract.start)),
        end: Some(instant(contract.end)),
        classifications: contract.classifications.iter().map(|c| classification_out(*c).into()).collect(),
    }
}

fn application_out(application: &Application, purpose: String) -> v1::Application {
    let entitlement = |entitlement: &Entitlement| v1::Entitlement {
        audience: entitlement.audience.to_string(),
        scopes: entitlement.scopes.iter().map(ToString::to_string).collect(),
    };
    v1::Application {
        name: application.name.to_string(),
        vendor: application.vendor.to_string(),
        contract: application.contract.to_string(),
        environment: application.environment.to_string(),
        purpose,
        classification: classification_out(application.classification).into(),
        owners: Some(v1::Owners {
            business: application.owners.business.to_string(),
            technical: application.owners.technical.to_string(),
            relationship: application.owners.relationship.to_string(),
        }),
        entitlements: application.entitlements.iter().map(entitlement).collect(),
        instances: application.instances.into(),
        max_ttl_seconds: application.max_ttl.map(Ttl::as_secs).unwrap_or_default(),
    }
}

fn audience_out(audience: &Audience) -> v1::Audience {
    let rule = |rule: &ScopeRule| v1::ScopeRule {
        scope: rule.scope.to_string(),
        classification: classification_out(rule.classification).into(),
        tier: match rule.tier {
            Tier::Standing => v1::Tier::Standing,
            Tier::Jit => v1::Tier::Jit,
            Tier::BreakGlass => v1::Tier::BreakGlass,
        }
        .into(),
        max_ttl_seconds: rule.max_ttl.as_secs(),
        unbound: rule.unbound,
    };
    v1::Audience {
        name: audience.name.to_string(),
        environment: audience.environment.to_string(),
        scopes: audience.scopes.iter().map(rule).collect(),
        staleness_seconds: audience.staleness.as_secs(),
    }
}
