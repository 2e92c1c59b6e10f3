//! Whether what was minted was alive: everything it rests on stood open and uncut, in the order of revisions, and
//! nothing outlives what it rests on. The rules that minted it are not asked.

use daypass_credential::{Lineage, Name, NodeId, NodeKind, Revision, Timestamp, Ttl};

use super::{Replay, Verdict, caller, certificates::Known, holds};
use crate::{
    event::{CertificateRecord, Event, TokenRecord},
    node::{Application, Audience, Body, Contract, Entitlement, KeyPurpose, ScopeRule, Tier},
};

/// How far the instant that a mint was decided for may lie from the one on its event.
const AFTER: Ttl = Ttl::seconds(2);
const BEFORE: Ttl = Ttl::minutes(10);

/// An application, with all that stands above it, as the nodes stand.
struct Above<'a> {
    application: &'a Application,
    contracts: Vec<&'a Contract>,
    /// Vendors and contracts, root first, and the application.
    nodes: Vec<NodeId>,
}

/// What any credential says of its life.
struct Term {
    from: Timestamp,
    expires: Timestamp,
}

impl Replay {
    pub(super) fn certificate_minted(&self, event: &Event, record: &CertificateRecord) -> Verdict {
        let (subject, identity, _) = caller(event)?;
        let own = record.subject == *subject && record.identity == *identity;
        holds(own, || "it is another's certificate".to_owned())?;
        let name = record.audience.as_ref().ok_or("it is for no audience")?;
        let term = Term { from: record.not_before, expires: record.expires };
        let above = self.minted(event, name, &record.lineage, &term)?;
        let (audience, entitlement) = self.entitled(above.application, name)?;
        let standing = |rule: &&ScopeRule| in_reach(rule, &above).is_ok();
        let rules: Vec<_> =
            entitlement.scopes.iter().filter_map(|scope| audience.rule(scope)).filter(standing).collect();
        holds(!rules.is_empty(), || {
            format!("`{}` has no standing scope at `{name}`", above.application.name)
        })?;
        for rule in rules {
            term.within(record.not_before.after(rule.max_ttl), &format!("scope `{}`", rule.scope))?;
        }
        holds(rest_after(&record.lineage, &above).is_empty(), || "it rests on what it does not need".into())?;
        self.signed(&record.issuer, &KeyPurpose::Audience { audience: name.clone() }, &term)
    }

    pub(super) fn token_minted(&self, event: &Event, record: &TokenRecord) -> Verdict {
        let (subject, _, _) = caller(event)?;
        let own = subject.kind == NodeKind::Application && subject.name == record.application;
        holds(own, || "it is another's token".to_owned())?;
        let term = Term { from: record.issued, expires: record.expires };
        let above = self.minted(event, &record.audience, &record.lineage, &term)?;
        let (audience, entitlement) = self.entitled(above.application, &record.audience)?;
        holds(!record.scopes.is_empty(), || "it is for nothing".to_owned())?;
        for scope in record.scopes.iter() {
            let rule = audience.rule(scope).filter(|_| entitlement.scopes.contains(scope));
            let rule =
                rule.ok_or_else(|| format!("`{}` is not entitled to `{scope}`", record.application))?;
            in_reach(rule, &above)?;
            holds(rule.unbound || record.thumbprint.is_some(), || format!("`{scope}` takes a certificate"))?;
            term.within(record.issued.after(rule.max_ttl), &format!("scope `{scope}`"))?;
        }
        let bound = rest_after(&record.lineage, &above);
        match record.thumbprint {
            Some(_) => self.bound(event, record, bound, &above, &term)?,
            None => holds(bound.is_empty(), || "it rests on what it is not bound to".to_owned())?,
        }
        self.signed(&record.key, &KeyPurpose::Token, &term)
    }

    /// What every mint of an application's has in common. Its lineage begins with what stands above, the instance, the
    /// certificate that asked, and the audience.
    fn minted(&self, event: &Event, audience: &Name, lineage: &Lineage, term: &Term) -> Verdict<Above<'_>> {
        let (subject, identity, credential) = caller(event)?;
        holds(subject.kind == NodeKind::Application, || format!("`{subject}` is no application"))?;
        term.about(event.at)?;
        let above = self.above(&subject.name)?;
        let asked = [
            NodeId::new(NodeKind::Identity, identity.clone()),
            NodeId::credential(credential),
            NodeId::new(NodeKind::Audience, audience.clone()),
        ];
        let begins = above.nodes.iter().chain(&asked);
        holds(lineage.nodes().iter().take(above.nodes.len() + asked.len()).eq(begins), || {
            "it does not rest on what stands above its application, and on what asked for it".to_owned()
        })?;
        for node in above.nodes.iter().chain(asked.first()) {
            self.uncut(node, credential)?;
        }
        if let Known::Issued(shown) = self.certificates.get(credential) {
            holds(term.from < shown.expires, || "what asked for it had expired".to_owned())?;
            term.within(shown.expires, "what asked for it")?;
        }
        for contract in &above.contracts {
            holds(contract.start.floor_secs() <= term.from, || {
                format!("contract `{}` had not begun", contract.name)
            })?;
            holds(term.from < contract.end, || format!("contract `{}` was over", contract.name))?;
            term.within(contract.end, &format!("contract `{}`", contract.name))?;
        }
        if let Some(ttl) = above.application.max_ttl {
            term.within(term.from.after(ttl), "its application")?;
        }
        Ok(above)
    }

    /// The certificate that a token is bound to is the last that it rests on, with what that one rests on.
    fn bound(
        &self,
        event: &Event,
        record: &TokenRecord,
        rest: &[NodeId],
        above: &Above<'_>,
        term: &Term,
    ) -> Verdict {
        let (subject, identity, credential) = caller(event)?;
        let (last, between) = rest.split_last().ok_or("it does not rest on what it is bound to")?;
        let number = last.name.as_str().parse().map(Revision::new).ok();
        let number =
            number.filter(|n| NodeId::credential(*n) == *last).ok_or("it is bound to no certificate")?;
        holds(number <= self.head, || format!("it is bound to `{last}`, which is later"))?;
        let audience = NodeId::new(NodeKind::Audience, record.audience.clone());
        let own = NodeId::new(NodeKind::Identity, identity.clone());
        for node in above.nodes.iter().chain([&audience]) {
            self.uncut(node, number)?;
        }
        for node in between.iter().chain([last]) {
            match node.kind {
                NodeKind::Credential => {
                    holds(!self.nodes.contains_key(node), || format!("`{node}` was ended"))?;
                }
                NodeKind::Identity => self.uncut(node, number)?,
                _ => return Err(format!("it rests on `{node}`, and has no need to")),
            }
        }
        let bound = match self.certificates.get(number) {
            Known::Issued(bound) => bound,
            Known::Dropped => return Ok(()),
            Known::No => return Err(format!("`{last}` is no certificate in force")),
        };
        let fits = bound.subject == *subject && bound.audience.as_ref() == Some(&record.audience);
        holds(fits, || format!("`{last}` is no certificate of `{subject}` for `{}`", record.audience))?;
        let holder = NodeId::new(NodeKind::Identity, bound.identity.clone());
        self.uncut(&holder, number)?;
        let asker = bound.asked_by.filter(|asker| *asker != credential).map(NodeId::credential);
        let named = |node: &NodeId| between.contains(node);
        let needed = (holder == own || named(&holder)) && asker.as_ref().is_none_or(named);
        holds(needed, || format!("it does not rest on all that `{last}` rests on"))?;
        let more = usize::from(holder != own) + usize::from(asker.is_some());
        holds(between.len() == more, || format!("it rests on more than `{last}` does"))?;
        holds(term.from < bound.expires, || format!("`{last}` had expired"))?;
        term.within(bound.expires, "what it is bound to")
    }

    /// An identity certificate rests on its subject, on what stands above that, and on the identity.
    pub(super) fn identity_certificate(&self, record: &CertificateRecord) -> Verdict {
        let term = Term { from: record.not_before, expires: record.expires };
        holds(record.audience.is_none(), || "an identity certificate is for no audience".to_owned())?;
        term.whole()?;
        let mut nodes = match record.subject.kind {
            NodeKind::Application => {
                let above = self.above(&record.subject.name)?;
                for contract in &above.contracts {
                    term.within(contract.end, &format!("contract `{}`", contract.name))?;
                }
                above.nodes
            }
            NodeKind::Person | NodeKind::Verifier => {
                self.open(&record.subject)?;
                vec![record.subject.clone()]
            }
            _ => return Err(format!("`{}` has no instances", record.subject)),
        };
        nodes.push(NodeId::new(NodeKind::Identity, record.identity.clone()));
        holds(record.lineage.nodes() == nodes, || {
            "it does not rest on what its subject rests on".to_owned()
        })?;
        self.signed(&record.issuer, &KeyPurpose::Identity, &term)
    }

    /// The key was in force, and vouches for all of the credential's life.
    fn signed(&self, name: &Name, purpose: &KeyPurpose, term: &Term) -> Verdict {
        let id = NodeId::new(NodeKind::Key, name.clone());
        match &self.open(&id)?.node.body {
            Body::Key(key) if key.purpose == *purpose => {
                holds(key.not_before <= term.from.after(AFTER), || format!("`{id}` was not yet in force"))?;
                holds(term.from < key.not_after, || format!("`{id}` was over"))?;
                term.within(key.not_after, &format!("`{id}`"))
            }
            _ => Err(format!("`{id}` does not sign such a thing")),
        }
    }

    /// The node is open, and was not cut since that credential was issued.
    fn uncut(&self, id: &NodeId, since: Revision) -> Verdict {
        match self.open(id)?.cut {
            Some(cut) if cut > since => {
                Err(format!("`{id}` was cut at revision {cut}, and `{}` is older", NodeId::credential(since)))
            }
            _ => Ok(()),
        }
    }

    /// The audience, open and where the application belongs, and what the application is entitled to there.
    fn entitled<'a>(
        &'a self,
        application: &'a Application,
        name: &Name,
    ) -> Verdict<(&'a Audience, &'a Entitlement)> {
        let id = NodeId::new(NodeKind::Audience, name.clone());
        let Body::Audience(audience) = &self.open(&id)?.node.body else {
            return Err(format!("`{id}` is no audience"));
        };
        holds(audience.environment == application.environment, || {
            format!("`{id}` is in another environment")
        })?;
        let found = application.entitlements.iter().find(|entitlement| entitlement.audience == *name);
        Ok((
            audience,
            found.ok_or_else(|| format!("`{}` is entitled to nothing at `{id}`", application.name))?,
        ))
    }

    /// An application with its vendors and contracts, all of them open.
    fn above(&self, name: &Name) -> Verdict<Above<'_>> {
        let id = NodeId::new(NodeKind::Application, name.clone());
        let Body::Application(application) = &self.open(&id)?.node.body else {
            return Err(format!("`{id}` is no application"));
        };
        let (mut vendors, mut contracts, mut terms) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = Some(&application.vendor);
        while let Some(name) = next.filter(|_| vendors.len() < Lineage::MAX) {
            let id = NodeId::new(NodeKind::Vendor, name.clone());
            next = match &self.open(&id)?.node.body {
                Body::Vendor(vendor) => vendor.parent.as_ref(),
                _ => None,
            };
            vendors.push(id);
        }
        let mut next = Some(&application.contract);
        while let Some(name) = next.filter(|_| contracts.len() < Lineage::MAX) {
            let id = NodeId::new(NodeKind::Contract, name.clone());
            next = match &self.open(&id)?.node.body {
                Body::Contract(contract) => {
                    terms.push(contract);
                    contract.parent.as_ref()
                }
                _ => None,
            };
            contracts.push(id);
        }
        let nodes = vendors.into_iter().rev().chain(contracts.into_iter().rev()).chain([id]).collect();
        Ok(Above { application, contracts: terms, nodes })
    }
}

/// Does the entitlement alone suffice for this scope?
fn in_reach(rule: &ScopeRule, above: &Above<'_>) -> Verdict {
    let scope = &rule.scope;
    holds(rule.tier == Tier::Standing, || format!("`{scope}` takes a grant"))?;
    let allowed = rule.classification <= above.application.classification
        && above.contracts.iter().all(|contract| contract.classifications.contains(&rule.classification));
    holds(allowed, || format!("`{scope}` opens {} data, which is out of reach", rule.classification))
}

/// What a lineage names after what stands above the application, the instance, what asked, and the audience.
fn rest_after<'a>(lineage: &'a Lineage, above: &Above<'_>) -> &'a [NodeId] {
    lineage.nodes().get(above.nodes.len() + 3..).unwrap_or_default()
}

impl Term {
    /// It begins about when its event was recorded, and ends after that, in whole seconds.
    fn about(&self, recorded: Timestamp) -> Verdict {
        let near = self.from <= recorded.after(AFTER) && recorded <= self.from.after(BEFORE);
        holds(near, || "it does not begin when it was recorded".to_owned())?;
        self.whole()
    }

    fn whole(&self) -> Verdict {
        let whole = self.from < self.expires && self.expires.floor_secs() == self.expires;
        holds(whole, || "its life is no number of whole seconds".to_owned())
    }

    /// Law 5: nothing outlives its parents.
    fn within(&self, end: Timestamp, of: &str) -> Verdict {
        holds(self.expires <= end, || format!("it outlives {of}"))
    }
}
