//! The ledger written down, so that after a start only the log's tail has to be followed. Two ledgers that followed the
//! same are written alike, however they numbered things.

use std::collections::{BTreeMap, BTreeSet};

use daypass_credential::{Era, NodeId, Revision, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    Kind, Ledger, Reach,
    issued::{Credential, Place},
    lines::{Face, Line, LineNo},
    nodes::{Fell, Id, NodeNo},
};

/// The version of the form that this code writes; it reads no other. What was derived is derived again from the log.
const VERSION: u16 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    v: u16,
    era: Option<Era>,
    head: Revision,
    horizon: Timestamp,
    nodes: Vec<NodeForm>,
    lines: Vec<LineForm>,
    issued: Vec<IssuedForm>,
}

#[derive(Serialize, Deserialize)]
struct NodeForm(NodeId, Vec<CutForm>);

/// Number, expiry, line, and the certificate that it is bound to, or zero.
#[derive(Serialize, Deserialize)]
struct IssuedForm(Revision, Timestamp, u32, Revision);

/// At which revision, until when, and whether verifiers hear of it.
#[derive(Serialize, Deserialize)]
struct CutForm(Revision, Timestamp, bool);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineForm {
    kind: Kind,
    subject: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audience: Option<u32>,
    rests: Vec<u32>,
}

/// Why what is written is no ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Another program wrote it.
    #[error("version {0} of the ledger's form is not known")]
    Version(u16),
    /// An era and no event, or the other way round.
    #[error("it has an era exactly if it followed a log")]
    Era,
    /// A node or line twice, or a node, line or certificate that is not there.
    #[error("its nodes, lines and credentials do not fit together")]
    Reference,
    /// A credential out of order, after the head, or below the horizon.
    #[error("its credentials are not those that the horizon leaves, in the order of their revisions")]
    Credential,
    /// A cut out of order, after the head, or below the horizon.
    #[error("its cuts are not those that the horizon leaves, in the order of their revisions")]
    Cut,
}

impl Serialize for Ledger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::of(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ledger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Form::deserialize(deserializer)?.ledger().map_err(de::Error::custom)
    }
}

/// The numbers that nodes and lines have in the form: nodes in their own order, lines in that of their first credential.
#[derive(Default)]
struct Numbers {
    nodes: BTreeMap<NodeNo, u32>,
    lines: BTreeMap<LineNo, u32>,
}

impl Form {
    fn of(ledger: &Ledger) -> Self {
        let issued: Vec<_> =
            ledger.issued.after(Revision::ZERO).iter().filter(|one| one.exp > ledger.horizon).collect();
        let mut numbers = Numbers::default();
        let mut lines: Vec<&Line> = Vec::new();
        for credential in &issued {
            let Some(line) = ledger.lines.get(credential.line) else { continue };
            numbers.lines.entry(credential.line).or_insert_with(|| {
                lines.push(line);
                number(lines.len() - 1)
            });
        }
        let nodes = written_nodes(ledger, &lines);
        numbers.nodes = nodes.values().enumerate().map(|(index, no)| (*no, number(index))).collect();
        Self {
            v: VERSION,
            era: ledger.era,
            head: ledger.head,
            horizon: ledger.horizon,
            nodes: nodes.into_iter().map(|(id, no)| NodeForm(id, cuts(ledger, no))).collect(),
            lines: lines.into_iter().map(|line| numbers.line(&line.face)).collect(),
            issued: issued.into_iter().map(|one| numbers.issued(ledger, one)).collect(),
        }
    }

    fn ledger(self) -> Result<Ledger, FormError> {
        if self.v != VERSION {
            return Err(FormError::Version(self.v));
        }
        if self.era.is_some() != (self.head > Revision::ZERO) {
            return Err(FormError::Era);
        }
        let mut ledger =
            Ledger { era: self.era, head: self.head, horizon: self.horizon, ..Ledger::default() };
        let nodes = ledger.read_nodes(self.nodes)?;
        let lines = ledger.read_lines(self.lines, &nodes)?;
        ledger.read_issued(self.issued, &lines)?;
        Ok(ledger)
    }
}

/// The nodes that lines name, and those whose cuts are kept.
fn written_nodes(ledger: &Ledger, lines: &[&Line]) -> BTreeMap<NodeId, NodeNo> {
    let named = lines.iter().flat_map(|line| {
        let face = &line.face;
        face.rests.iter().copied().chain([face.subject]).chain(face.audience)
    });
    let all: BTreeSet<NodeNo> = named.chain(ledger.ends.iter().map(|(_, _, no)| *no)).collect();
    all.into_iter().filter_map(|no| Some((ledger.nodes.entry(no)?.id.node(), no))).collect()
}

fn cuts(ledger: &Ledger, no: NodeNo) -> Vec<CutForm> {
    let cuts = ledger.nodes.entry(no).into_iter().flat_map(|entry| &entry.cuts);
    cuts.map(|fell| CutForm(fell.at, fell.until, fell.told)).collect()
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Numbers {
    fn of_node(&self, no: NodeNo) -> u32 {
        self.nodes.get(&no).copied().unwrap_or(u32::MAX)
    }

    fn issued(&self, ledger: &Ledger, one: &Credential) -> IssuedForm {
        let bound = ledger.issued.get(one.bound).map_or(Revision::ZERO, |bound| bound.rev);
        let line = self.lines.get(&one.line).copied().unwrap_or(u32::MAX);
        IssuedForm(one.rev, one.exp, line, bound)
    }

    fn line(&self, face: &Face) -> LineForm {
        LineForm {
            kind: face.kind,
            subject: self.of_node(face.subject),
            audience: face.audience.map(|no| self.of_node(no)),
            rests: face.rests.iter().map(|no| self.of_node(*no)).collect(),
        }
    }
}

impl Ledger {
    fn read_nodes(&mut self, forms: Vec<NodeForm>) -> Result<Vec<NodeNo>, FormError> {
        let mut numbers = Vec::with_capacity(forms.len());
        for NodeForm(id, cuts) in forms {
            let id = Id::of(&id);
            if self.nodes.number(&id).is_some() {
                return Err(FormError::Reference);
            }
            let no = self.nodes.intern(id);
            let mut before = (Revision::ZERO, Timestamp::ZERO);
            for CutForm(at, until, told) in cuts {
                // What is forgotten first was cut first: the latest expiry under a node never falls.
                if at <= before.0 || until < before.1 || at > self.head || until <= self.horizon {
                    return Err(FormError::Cut);
                }
                before = (at, until);
                self.ends.insert((until, at, no));
                let entry = self.nodes.entry_mut(no).ok_or(FormError::Reference)?;
                entry.cuts.push(Fell { at, until, told });
            }
            numbers.push(no);
        }
        Ok(numbers)
    }

    fn read_lines(&mut self, forms: Vec<LineForm>, nodes: &[NodeNo]) -> Result<Vec<LineNo>, FormError> {
        let node = |number: u32| nodes.get(number as usize).copied().ok_or(FormError::Reference);
        let mut lines = Vec::with_capacity(forms.len());
        for form in forms {
            let face = Face {
                kind: form.kind,
                subject: node(form.subject)?,
                audience: form.audience.map(node).transpose()?,
                rests: form.rests.into_iter().map(node).collect::<Result<_, _>>()?,
            };
            let known = self.lines.len();
            lines.push(self.lines.intern(face));
            if self.lines.len() == known {
                return Err(FormError::Reference);
            }
        }
        Ok(lines)
    }

    fn read_issued(&mut self, forms: Vec<IssuedForm>, lines: &[LineNo]) -> Result<(), FormError> {
        let mut before = Revision::ZERO;
        for IssuedForm(rev, exp, line, bound) in forms {
            if rev <= before || rev > self.head || exp <= self.horizon {
                return Err(FormError::Credential);
            }
            before = rev;
            let line = lines.get(line as usize).ok_or(FormError::Reference)?;
            let bound = match bound {
                Revision::ZERO => Place::NONE,
                bound if self.is_relied(*line) => {
                    self.issued.binds(bound, exp).ok_or(FormError::Reference)?
                }
                _ => return Err(FormError::Reference),
            };
            self.enter(rev, exp, *line, bound);
        }
        Ok(())
    }

    fn is_relied(&self, line: LineNo) -> bool {
        self.lines.get(line).is_some_and(|line| line.face.kind.reach() == Reach::Relied)
    }
}
