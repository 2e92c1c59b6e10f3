//! What objects name, by the table of fields: what each rests on, and what it only names.

use daypass_credential::{NodeId, NodeKind};
use serde_json::Value;

use super::{
    fields::{Field, What, shape},
    manifest::Manifest,
};

/// One object naming another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) id: NodeId,
    /// As what, as `owners.business`.
    pub(super) as_what: String,
    /// Does it rest on it, so that what ends that ends this?
    pub(super) rests: bool,
}

/// All that an object names.
pub(super) fn of(manifest: &Manifest) -> Vec<Relation> {
    let mut relations = Vec::new();
    if let Manifest::Identity(identity) = manifest {
        let (id, as_what) = (identity.subject.clone(), "subject".to_owned());
        return vec![Relation { id, as_what, rests: true }];
    }
    let value = serde_json::to_value(manifest).unwrap_or_default();
    if let Some(shape) = shape(manifest.node().kind) {
        table(&value, "", shape.fields, &mut relations);
    }
    relations
}

fn table(value: &Value, path: &str, fields: &[Field], into: &mut Vec<Relation>) {
    for field in fields {
        if let Some(value) = value.get(field.name) {
            let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
            collect(value, &path, &field.what, into);
        }
    }
}

fn collect(value: &Value, path: &str, what: &What, into: &mut Vec<Relation>) {
    match what {
        What::Named(kind) => push(value, path, *kind, false, into),
        What::RestsOn(kind) => push(value, path, *kind, true, into),
        What::List(each) => {
            value.as_array().into_iter().flatten().for_each(|item| collect(item, path, each, into));
        }
        What::Table(fields) => table(value, path, fields, into),
        What::Name
        | What::Label
        | What::Text
        | What::Scope
        | What::Duration
        | What::Instant
        | What::Word(_)
        | What::Count
        | What::Flag => {}
    }
}

fn push(value: &Value, path: &str, kind: NodeKind, rests: bool, into: &mut Vec<Relation>) {
    if let Some(name) = value.as_str().and_then(|name| name.parse().ok()) {
        into.push(Relation { id: NodeId::new(kind, name), as_what: path.to_owned(), rests });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_rests_on_vendor_and_contract_and_names_the_rest() {
        let (_, text) = crate::example::OBJECTS.iter().find(|(name, _)| name.contains("09")).unwrap();
        let told: Vec<String> = of(&Manifest::parse(text).unwrap())
            .iter()
            .map(|relation| format!("{} as {}, {}", relation.id, relation.as_what, relation.rests))
            .collect();
        assert_eq!(
            told,
            [
                "vendor:skiff as vendor, true",
                "contract:skiff-sync as contract, true",
                "person:dana as owners.business, false",
                "person:lee as owners.technical, false",
                "person:rosa as owners.relationship, false",
                "audience:billing as entitlements.audience, false",
            ]
        );
    }
}
