//! What is around an object: what it rests on and names, what rests on it and names it.

use std::collections::{HashSet, VecDeque};

use daypass_credential::{NodeId, NodeKind};
use daypass_sdk::{Directory, Error};

use super::{
    list::all,
    manifest::Manifest,
    order::key,
    relations::{self, Relation},
    stored,
};
use crate::{
    failure::Failure,
    shapes::{Stored, directory::Related},
};

/// What an object rests on, and that in turn; and what it only names.
pub(super) struct Above {
    pub(super) rests_on: Vec<Related>,
    pub(super) names: Vec<Related>,
}

/// What rests on an object, and on that in turn; and what only names it.
pub(super) struct Below {
    pub(super) resting: Vec<Related>,
    pub(super) named_by: Vec<Related>,
}

pub(super) async fn above(directory: &Directory, object: &Manifest) -> Result<Above, Failure> {
    let mut above = Above { rests_on: Vec::new(), names: Vec::new() };
    let mut seen = HashSet::from([object.node()]);
    let (resting, naming): (VecDeque<_>, Vec<_>) = split(relations::of(object));
    let mut ahead = resting;
    while let Some(relation) = ahead.pop_front() {
        if seen.insert(relation.id.clone()) {
            let found = look_up(directory, &relation.id).await?;
            let further = found.iter().filter_map(|found| found.object.as_ref()).flat_map(relations::of);
            ahead.extend(further.filter(|further| further.rests));
            above.rests_on.push(related(&relation.id, &relation, found.as_ref()));
        }
    }
    for relation in naming {
        let found = look_up(directory, &relation.id).await?;
        above.names.push(related(&relation.id, &relation, found.as_ref()));
    }
    Ok(above)
}

fn split(relations: Vec<Relation>) -> (VecDeque<Relation>, Vec<Relation>) {
    let (resting, naming): (Vec<_>, Vec<_>) = relations.into_iter().partition(|relation| relation.rests);
    (resting.into(), naming)
}

/// An object, if there is one and the caller may know of it.
async fn look_up(directory: &Directory, id: &NodeId) -> Result<Option<Stored>, Failure> {
    match directory.object(id).await {
        Ok(stored) => stored::shape(stored).map(Some),
        Err(Error::Refused(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The kinds among which something may rest on an object, or name it.
const KINDS: &[NodeKind] =
    &[NodeKind::Vendor, NodeKind::Contract, NodeKind::Application, NodeKind::Verifier, NodeKind::Identity];

/// Looks through the whole directory. None if the caller may not.
pub(super) async fn below(directory: &Directory, id: &NodeId) -> Result<Option<Below>, Failure> {
    let mut objects = Vec::new();
    for kind in KINDS {
        match all(directory, *kind).await {
            Ok(listed) => objects.extend(listed),
            Err(Failure::Sdk(Error::Refused(_))) => return Ok(None),
            Err(failure) => return Err(failure),
        }
    }
    let others: Vec<Other> = objects.iter().filter_map(Other::of).collect();
    Ok(Some(Below { resting: sorted(resting(id, &others)), named_by: sorted(naming(id, &others)) }))
}

/// One of the directory, and what it names.
struct Other<'a> {
    id: NodeId,
    stored: &'a Stored,
    relations: Vec<Relation>,
}

impl<'a> Other<'a> {
    fn of(stored: &'a Stored) -> Option<Self> {
        let object = stored.object.as_ref()?;
        Some(Self { id: object.node(), stored, relations: relations::of(object) })
    }
}

fn resting(id: &NodeId, others: &[Other<'_>]) -> Vec<(NodeId, Related)> {
    let (mut found, mut reached) = (Vec::new(), HashSet::from([id.clone()]));
    loop {
        let rests = |other: &Other<'_>| {
            let on =
                other.relations.iter().find(|relation| relation.rests && reached.contains(&relation.id))?;
            Some((other.id.clone(), related(&other.id, on, Some(other.stored))))
        };
        let unreached = others.iter().filter(|other| !reached.contains(&other.id));
        let more: Vec<_> = unreached.filter_map(rests).collect();
        if more.is_empty() {
            return found;
        }
        reached.extend(more.iter().map(|(id, _)| id.clone()));
        found.extend(more);
    }
}

fn naming(id: &NodeId, others: &[Other<'_>]) -> Vec<(NodeId, Related)> {
    let names = |other: &Other<'_>| {
        let named = other.relations.iter().find(|relation| !relation.rests && relation.id == *id)?;
        Some((other.id.clone(), related(&other.id, named, Some(other.stored))))
    };
    others.iter().filter_map(names).collect()
}

fn sorted(mut list: Vec<(NodeId, Related)>) -> Vec<Related> {
    list.sort_by(|(a, _), (b, _)| key(a).cmp(&key(b)));
    list.into_iter().map(|(_, related)| related).collect()
}

fn related(id: &NodeId, relation: &Relation, found: Option<&Stored>) -> Related {
    Related {
        id: id.to_string(),
        relation: relation.as_what.clone(),
        life: found.map(|stored| stored.effective_life),
    }
}
