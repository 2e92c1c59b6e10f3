//! Between the file format and the wire, field by field.

use std::str::FromStr;

use daypass_credential::{Name, Scope, Ttl};
use daypass_proto::v1::{self, object::Kind};

use super::{
    manifest::{
        Application, Audience, Contract, Entitlement, Identity, Manifest, Owners, Person, Said, ScopeRule,
        Vendor, Verifier,
    },
    words::{Classification, Instant, Role, Tier},
};

impl Manifest {
    /// As it goes over the wire.
    pub(crate) fn to_wire(&self) -> Result<v1::Object, String> {
        let kind = match self {
            Self::Vendor(vendor) => Kind::Vendor(v1::Vendor {
                name: vendor.name.to_string(),
                parent: text(vendor.parent.as_ref()),
                owner: vendor.owner.to_string(),
            }),
            Self::Contract(contract) => Kind::Contract(contract_to_wire(contract)),
            Self::Application(application) => Kind::Application(application_to_wire(application)),
            Self::Person(person) => Kind::Person(v1::Person {
                name: person.name.to_string(),
                roles: person.roles.iter().map(|role| role.to_wire()).collect(),
                contact: person.contact.clone(),
            }),
            Self::Audience(audience) => Kind::Audience(audience_to_wire(audience)),
            Self::Verifier(verifier) => Kind::Verifier(v1::Verifier {
                name: verifier.name.to_string(),
                audiences: texts(&verifier.audiences),
            }),
            Self::Identity(_) => return Err("an identity cannot be written".into()),
        };
        Ok(v1::Object { kind: Some(kind) })
    }

    /// As it came over the wire.
    pub(super) fn from_wire(object: v1::Object) -> Result<Self, String> {
        Ok(match object.kind.ok_or("an object of a kind that is not known here")? {
            Kind::Vendor(vendor) => Self::Vendor(Vendor {
                kind: Said,
                name: parsed(&vendor.name)?,
                parent: optional(&vendor.parent)?,
                owner: parsed(&vendor.owner)?,
            }),
            Kind::Contract(contract) => Self::Contract(contract_from_wire(contract)?),
            Kind::Application(application) => Self::Application(application_from_wire(application)?),
            Kind::Person(person) => Self::Person(Person {
                kind: Said,
                name: parsed(&person.name)?,
                roles: person.roles.into_iter().map(Role::from_wire).collect::<Result<_, _>>()?,
                contact: person.contact,
            }),
            Kind::Audience(audience) => Self::Audience(audience_from_wire(&audience)?),
            Kind::Verifier(verifier) => Self::Verifier(Verifier {
                kind: Said,
                name: parsed(&verifier.name)?,
                audiences: all(&verifier.audiences)?,
            }),
            Kind::Identity(identity) => Self::Identity(Identity {
                name: parsed(&identity.name)?,
                subject: parsed(&identity.subject)?,
                until: Instant::from_wire(identity.until)?,
            }),
        })
    }
}

fn contract_to_wire(contract: &Contract) -> v1::Contract {
    v1::Contract {
        name: contract.name.to_string(),
        vendor: contract.vendor.to_string(),
        reference: contract.reference.clone(),
        parent: text(contract.parent.as_ref()),
        start: Some(contract.start.to_wire()),
        end: Some(contract.end.to_wire()),
        classifications: contract.classifications.iter().map(|c| c.to_wire()).collect(),
    }
}

fn contract_from_wire(contract: v1::Contract) -> Result<Contract, String> {
    Ok(Contract {
        kind: Said,
        name: parsed(&contract.name)?,
        vendor: parsed(&contract.vendor)?,
        reference: contract.reference,
        parent: optional(&contract.parent)?,
        start: Instant::from_wire(contract.start)?,
        end: Instant::from_wire(contract.end)?,
        classifications: contract
            .classifications
            .into_iter()
            .map(Classification::from_wire)
            .collect::<Result<_, _>>()?,
    })
}

fn application_to_wire(application: &Application) -> v1::Application {
    let entitlement = |entitlement: &Entitlement| v1::Entitlement {
        audience: entitlement.audience.to_string(),
        scopes: texts(&entitlement.scopes),
    };
    v1::Application {
        name: application.name.to_string(),
        vendor: application.vendor.to_string(),
        contract: application.contract.to_string(),
        environment: application.environment.to_string(),
        purpose: application.purpose.clone(),
        classification: application.classification.to_wire(),
        owners: Some(v1::Owners {
            business: application.owners.business.to_string(),
            technical: application.owners.technical.to_string(),
            relationship: application.owners.relationship.to_string(),
        }),
        entitlements: application.entitlements.iter().map(entitlement).collect(),
        instances: application.instances,
        max_ttl_seconds: seconds(application.max_ttl),
    }
}

fn application_from_wire(application: v1::Application) -> Result<Application, String> {
    let owners = application.owners.ok_or("the owners are missing")?;
    let entitlement = |entitlement: &v1::Entitlement| -> Result<Entitlement, String> {
        Ok(Entitlement {
            audience: parsed(&entitlement.audience)?,
            scopes: all::<Scope>(&entitlement.scopes)?,
        })
    };
    Ok(Application {
        kind: Said,
        name: parsed(&application.name)?,
        vendor: parsed(&application.vendor)?,
        contract: parsed(&application.contract)?,
        environment: parsed(&application.environment)?,
        purpose: application.purpose,
        classification: Classification::from_wire(application.classification)?,
        instances: application.instances,
        max_ttl: Ttl::from_secs(application.max_ttl_seconds).ok(),
        owners: Owners {
            business: parsed(&owners.business)?,
            technical: parsed(&owners.technical)?,
            relationship: parsed(&owners.relationship)?,
        },
        entitlements: application.entitlements.iter().map(entitlement).collect::<Result<_, _>>()?,
    })
}

fn audience_to_wire(audience: &Audience) -> v1::Audience {
    let rule = |rule: &ScopeRule| v1::ScopeRule {
        scope: rule.scope.to_string(),
        classification: rule.classification.to_wire(),
        tier: rule.tier.to_wire(),
        max_ttl_seconds: rule.max_ttl.as_secs(),
        unbound: rule.unbound,
    };
    v1::Audience {
        name: audience.name.to_string(),
        environment: audience.environment.to_string(),
        scopes: audience.scopes.iter().map(rule).collect(),
        staleness_seconds: seconds(audience.staleness),
    }
}

fn audience_from_wire(audience: &v1::Audience) -> Result<Audience, String> {
    let rule = |rule: &v1::ScopeRule| -> Result<ScopeRule, String> {
        Ok(ScopeRule {
            scope: parsed(&rule.scope)?,
            classification: Classification::from_wire(rule.classification)?,
            tier: Tier::from_wire(rule.tier)?,
            max_ttl: Ttl::from_secs(rule.max_ttl_seconds).map_err(|error| error.to_string())?,
            unbound: rule.unbound,
        })
    };
    Ok(Audience {
        kind: Said,
        name: parsed(&audience.name)?,
        environment: parsed(&audience.environment)?,
        staleness: Ttl::from_secs(audience.staleness_seconds).ok(),
        scopes: audience.scopes.iter().map(rule).collect::<Result<_, _>>()?,
    })
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn optional(text: &str) -> Result<Option<Name>, String> {
    if text.is_empty() { Ok(None) } else { parsed(text).map(Some) }
}

fn all<T: FromStr<Err: ToString>>(texts: &[String]) -> Result<Vec<T>, String> {
    texts.iter().map(|text| parsed(text)).collect()
}

fn text(name: Option<&Name>) -> String {
    name.map(ToString::to_string).unwrap_or_default()
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn seconds(ttl: Option<Ttl>) -> u32 {
    ttl.map_or(0, Ttl::as_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_the_same_after_the_wire() {
        for (name, text) in crate::example::OBJECTS {
            let manifest = Manifest::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let wire = manifest.to_wire().unwrap();
            assert_eq!(Manifest::from_wire(wire.clone()).unwrap().to_wire().unwrap(), wire, "{name}");
        }
    }
}
