//! What a cut kills: whether anything that is alive rests on a node. What is found dead on the way is left out from then
//! on, so that nothing is looked at twice; and what died together is found dead together, because everything that verifiers
//! hear of waits for it.

use daypass_credential::Revision;
use serde::{Deserialize, Serialize};

use super::{
    Ledger,
    issued::{Credential, Place},
    lines::LineNo,
    nodes::Id,
};

/// What a cut killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Nothing that was alive: whatever was minted under it is dead already. It is not sent, and not kept.
    Nothing,
    /// Identity certificates alone. Those are for the broker, so that no relying party has to hear of it.
    Identities,
    /// Something that a relying party would have accepted.
    Relied,
}

impl Ledger {
    /// What a cut of this node would kill now.
    pub(super) fn reach(&mut self, id: &Id) -> Reach {
        let one = id.credential().map_or(Reach::Nothing, |rev| self.reach_of_one(rev));
        if one == Reach::Relied || self.any_under(id, Reach::Relied) {
            Reach::Relied
        } else if one == Reach::Identities || self.any_under(id, Reach::Identities) {
            Reach::Identities
        } else {
            Reach::Nothing
        }
    }

    /// What a cut would kill of a single credential and of what is bound to it.
    fn reach_of_one(&mut self, rev: Revision) -> Reach {
        let Some(place) = self.issued.place(rev) else { return Reach::Nothing };
        let itself = self.reach_at(place);
        // Most of what is bound to one certificate is of one line.
        let mut known = None;
        while let Some(kin) = self.issued.get(place).map(|itself| itself.kin) {
            let Some(bound) = self.issued.get(kin).filter(|bound| bound.bound == place).copied() else {
                break;
            };
            let (line, cut) = known
                .filter(|(line, _)| *line == bound.line)
                .unwrap_or_else(|| (bound.line, self.cut_of_line(bound.line, self.head)));
            known = Some((line, cut));
            if cut <= bound.rev && self.lives_by_itself(&bound) {
                return itself.max(self.reach_of_line(line));
            }
            if let Some(itself) = self.issued.get_mut(place) {
                itself.kin = bound.kin;
            }
        }
        itself
    }

    fn reach_at(&self, place: Place) -> Reach {
        let alive = self.issued.get(place).filter(|credential| {
            self.lives_by_itself(credential) && self.cut_of_line(credential.line, self.head) <= credential.rev
        });
        alive.map_or(Reach::Nothing, |credential| self.reach_of_line(credential.line))
    }

    fn reach_of_line(&self, no: LineNo) -> Reach {
        self.lines.get(no).map_or(Reach::Nothing, |line| line.face.kind.reach())
    }

    /// Is anything alive in the lines under a node? Lines found dead are taken away; a new credential brings them back.
    fn any_under(&mut self, id: &Id, reach: Reach) -> bool {
        let Some(no) = self.nodes.number(id) else { return false };
        // After its last cut nothing was minted: that one killed it all.
        if self.nodes.entry(no).is_some_and(|entry| entry.cut(self.head) > entry.newest(reach)) {
            return false;
        }
        while let Some(line) = self.nodes.entry(no).and_then(|entry| entry.under(reach).last()).copied() {
            if self.line_lives(line) {
                return true;
            }
            if let Some(entry) = self.nodes.entry_mut(no) {
                entry.under_list(reach).pop();
            }
        }
        false
    }

    /// Is anything alive in a line? What is found dead is taken out of it: all at once what was minted before its cut, and
    /// one by one what expired or was cut by itself.
    fn line_lives(&mut self, no: LineNo) -> bool {
        let cut = self.cut_of_line(no, self.head);
        while let Some(newest) = self.lines.get(no).and_then(|line| self.issued.get(line.newest)).copied() {
            let fell = newest.rev < cut;
            if !fell && self.lives_by_itself(&newest) {
                return true;
            }
            if let Some(line) = self.lines.get_mut(no) {
                line.newest = if fell { Place::NONE } else { newest.before };
            }
        }
        false
    }

    /// Could a verifier accept it now, whatever its clock says, if nothing that its line rests on was cut?
    fn lives_by_itself(&self, credential: &Credential) -> bool {
        credential.exp > self.horizon && self.cut_of_one(credential, self.head) <= credential.rev
    }

    /// The latest cut, up to a revision, of what a line rests on.
    pub(super) fn cut_of_line(&self, no: LineNo, up_to: Revision) -> Revision {
        let rests = self.lines.get(no).into_iter().flat_map(|line| line.face.rests.iter());
        let cuts = rests.filter_map(|no| self.nodes.entry(*no)?.cut(up_to));
        cuts.max().unwrap_or(Revision::ZERO)
    }

    /// The latest cut, up to a revision, of the credential itself and of what it is bound to.
    pub(super) fn cut_of_one(&self, credential: &Credential, up_to: Revision) -> Revision {
        let bound = self.issued.get(credential.bound).map(|bound| bound.rev);
        let cuts = [Some(credential.rev), bound].into_iter().flatten();
        let cuts = cuts.filter_map(|rev| self.nodes.find(&Id::Credential(rev))?.cut(up_to));
        cuts.max().unwrap_or(Revision::ZERO)
    }
}
