//! Which nodes an event touches, for those who look for what happened to one.

use daypass_credential::{Lineage, Name, NodeId, NodeKind};

use crate::{
    event::{Action, Event},
    node::{Body, KeyPurpose},
    record::Who,
};

impl Event {
    /// Every node that it touches, each once: who acted, on whose behalf and about what, what a credential rests on, what
    /// was put, and to whom that belongs.
    #[must_use]
    pub fn concerns(&self) -> Vec<NodeId> {
        let mut all = Vec::new();
        if let Who::Node(id) = self.actor.who() {
            all.push(id);
        }
        all.extend(self.actor.identity());
        all.extend(self.on_behalf());
        all.extend(self.action.subject());
        match &self.action {
            Action::Enrolled(record) | Action::Renewed(record) | Action::CertificateMinted(record) => {
                all.push(record.subject.clone());
            }
            Action::TokenMinted(record) => {
                all.push(NodeId::new(NodeKind::Application, record.application.clone()));
            }
            _ => {}
        }
        all.extend(self.action.lineage().into_iter().flat_map(Lineage::nodes).cloned());
        for put in &self.puts {
            all.push(put.node.id());
            belongs_to(&put.node.body, &mut all);
        }
        once(all)
    }
}

/// Whose it is, as far as it says so itself.
fn belongs_to(body: &Body, all: &mut Vec<NodeId>) {
    let vendor = |name: &Name| NodeId::new(NodeKind::Vendor, name.clone());
    let contract = |name: &Name| NodeId::new(NodeKind::Contract, name.clone());
    match body {
        Body::Vendor(body) => all.extend(body.parent.as_ref().map(vendor)),
        Body::Contract(body) => {
            all.push(vendor(&body.vendor));
            all.extend(body.parent.as_ref().map(contract));
        }
        Body::Application(body) => all.extend([vendor(&body.vendor), contract(&body.contract)]),
        Body::Identity(body) => all.push(body.subject.clone()),
        Body::Enrollment(body) => all.push(body.subject.clone()),
        Body::Roster(body) => all.push(body.subject.clone()),
        Body::Key(body) => {
            if let KeyPurpose::Audience { audience } = &body.purpose {
                all.push(NodeId::new(NodeKind::Audience, audience.clone()));
            }
        }
        Body::Person(_) | Body::Audience(_) | Body::Verifier(_) | Body::Credential(_) => {}
    }
}

/// Without repeats, in the order of their first. An event has few nodes, so that looking through them is quick.
fn once(nodes: Vec<NodeId>) -> Vec<NodeId> {
    let mut kept: Vec<NodeId> = Vec::with_capacity(nodes.len());
    for node in nodes {
        if !kept.contains(&node) {
            kept.push(node);
        }
    }
    kept
}
