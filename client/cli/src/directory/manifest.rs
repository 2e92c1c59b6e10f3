//! The objects of the directory as files hold them, each in TOML or JSON, with `kind` to say which. Names, scopes and
//! durations are checked here, so that a mistake is told with its line before anything is sent.

use daypass_credential::{Name, NodeId, NodeKind, Scope, Ttl};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    file::{Reading, no_kind},
    words::{Classification, Instant, Role, Tier, ttl},
};

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Manifest {
    Vendor(Vendor),
    Contract(Contract),
    Application(Application),
    Person(Person),
    Audience(Audience),
    Verifier(Verifier),
    /// Read only: instances come from enrolment.
    Identity(Identity),
}

/// An outside organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vendor {
    #[serde(default, skip_serializing)]
    pub(super) kind: Said,
    pub(super) name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<Name>,
    pub(super) owner: Name,
}

/// A vendor's term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contract {
    #[serde(default, skip_serializing)]
    pub(super) kind: Said,
    pub(super) name: Name,
    pub(super) vendor: Name,
    pub(super) reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<Name>,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) classifications: Vec<Classification>,
}

/// One partner application identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Application {
    #[serde(default, skip_serializing)]
    pub(super) kind: Said,
    pub(super) name: Name,
    pub(super) vendor: Name,
    pub(super) contract: Name,
    pub(super) environment: Name,
    pub(super) purpose: String,
    pub(super) classification: Classification,
    pub(super) instances: u32,
    #[serde(default, with = "ttl::optional", skip_serializing_if = "Option::is_none")]
    pub(super) max_ttl: Option<Ttl>,
    pub(super) owners: Owners,
    pub(super) entitlements: Vec<Entitlement>,
}

/// The persons who answer for an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owners {
    pub(super) business: Name,
    pub(super) technical: Name,
    pub(super) relationship: Name,
}

/// What an application may ask for at one audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entitlement {
    pub(super) audience: Name,
    pub(super) scopes: Vec<Scope>,
}

/// A human.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    #[serde(default, skip_serializing)]
    pub(super) kind: Said,
    pub(super) name: Name,
    #[serde(default)]
    pub(super) roles: Vec<Role>,
    pub(super) contact: String,
}

/// Something protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audience {
    #[serde(default, skip_serializing)]
    pub(super) kind: Said,
    pub(super) name: Name,
    pub(super) environment: Name,
    #[serde(default, with = "ttl::optional", skip_serializing_if = "Option::is_none")]
    pub(super) staleness: Option<Ttl>,
    pub(super) scopes: Vec<ScopeRule>,
}

/// What one scope means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScopeRule {
    pub(super) scope: Scope,
    pub(super) classification: Classification,
    pub(super) tier: Tier,
    #[serde(with = "ttl")]
    pub(super) max_ttl: Ttl,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unbound: bool,
}

/// A relying party's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verifier {
    #[serde(default, skip_serializing)]
    pub(super) kind: Said,
    pub(super) name: Name,
    pub(super) audiences: Vec<Name>,
}

/// One enrolled instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Identity {
    pub(super) name: Name,
    pub(super) subject: NodeId,
    pub(super) until: Instant,
}

/// The field `kind`, which was read already when the rest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Said;

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// As much of an object as says which kind it is.
#[derive(Deserialize)]
struct Kinded {
    kind: String,
}

impl Manifest {
    /// Reads the one object of a text. The error says where.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if is_json(text) {
            return Self::from_json(text);
        }
        let mut reading = Reading::default();
        reading.add("the object".into(), text.to_owned());
        let mut entries = reading.finish()?.into_iter();
        match (entries.next(), entries.next()) {
            (Some(entry), None) => Ok(entry.manifest),
            _ => Err("not one object".into()),
        }
    }

    /// Reads one object in JSON. The error says where.
    pub(super) fn from_json(text: &str) -> Result<Self, String> {
        let kinded: Kinded = json(text)?;
        let manifest = match kinded.kind.as_str() {
            "vendor" => Self::Vendor(json(text)?),
            "contract" => Self::Contract(json(text)?),
            "application" => Self::Application(json(text)?),
            "person" => Self::Person(json(text)?),
            "audience" => Self::Audience(json(text)?),
            "verifier" => Self::Verifier(json(text)?),
            other => return Err(no_kind(other)),
        };
        manifest.unless_erased()
    }

    /// The object, unless it says that a text was erased instead of having one.
    pub(super) fn unless_erased(self) -> Result<Self, String> {
        match self.erased() {
            Some(field) => Err(format!(
                "`{field}` is gone, and `{ERASED}` or `{MISSING}` only says so: write a new text"
            )),
            None => Ok(self),
        }
    }

    /// The text that stands for one that was erased: not to be written back as if it were one.
    fn erased(&self) -> Option<&'static str> {
        let (field, text) = match self {
            Self::Contract(contract) => ("reference", &contract.reference),
            Self::Application(application) => ("purpose", &application.purpose),
            Self::Person(person) => ("contact", &person.contact),
            Self::Vendor(_) | Self::Audience(_) | Self::Verifier(_) | Self::Identity(_) => return None,
        };
        [ERASED, MISSING].contains(&text.as_str()).then_some(field)
    }

    /// What it is called.
    pub(crate) fn id(&self) -> String {
        self.node().to_string()
    }

    /// What it is called.
    pub(super) fn node(&self) -> NodeId {
        let (kind, name) = match self {
            Self::Vendor(vendor) => (NodeKind::Vendor, &vendor.name),
            Self::Contract(contract) => (NodeKind::Contract, &contract.name),
            Self::Application(application) => (NodeKind::Application, &application.name),
            Self::Person(person) => (NodeKind::Person, &person.name),
            Self::Audience(audience) => (NodeKind::Audience, &audience.name),
            Self::Verifier(verifier) => (NodeKind::Verifier, &verifier.name),
            Self::Identity(identity) => (NodeKind::Identity, &identity.name),
        };
        NodeId::new(kind, name.clone())
    }
}

/// Is this text JSON rather than TOML?
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// What the broker shows in place of a text that was erased, and of one that is not where it should be.
const ERASED: &str = "(erased)";
const MISSING: &str = "(missing)";

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: &str = r#"
kind = "application"
name = "sync"
vendor = "acme"
contract = "acme-2026"
environment = "production"
purpose = "fetches invoices"
classification = "internal"
instances = 2
max_ttl = "15m"
owners = { business = "dana", technical = "lee", relationship = "rosa" }
entitlements = [{ audience = "billing", scopes = ["invoices.read"] }]
"#;

    #[test]
    fn toml_and_json_say_the_same() {
        let manifest = Manifest::parse(APPLICATION).unwrap();
        assert_eq!(manifest.id(), "application:sync");
        let json = serde_json::to_string(&manifest).unwrap();
        assert_eq!(Manifest::parse(&json).unwrap(), manifest);
        let toml = toml::to_string_pretty(&manifest).unwrap();
        assert_eq!(Manifest::parse(&toml).unwrap(), manifest, "{toml}");
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let of = |text: &str| Manifest::parse(text).unwrap_err();
        let unknown = of(&APPLICATION.replace("instances", "instanzes"));
        assert!(unknown.contains("9:1") && unknown.contains("instanzes"), "{unknown}");
        let bad = of(&APPLICATION.replace("\"acme\"", "\"Acme!\""));
        assert!(bad.contains("4:10") && bad.contains("is not a name"), "{bad}");
        let missing = of(&APPLICATION.replace("environment = \"production\"\n", ""));
        assert!(missing.contains("environment"), "{missing}");
        let erased = of(&APPLICATION.replace("fetches invoices", ERASED));
        assert!(erased.contains("`purpose` is gone"), "{erased}");
        assert!(of("name = \"x\"").contains("kind"));
        assert!(of("kind = \"robot\"").contains("robot"));
        assert!(of("{\"kind\": \"vendor\", \"name\": 1}").contains("line 1"));
    }
}
