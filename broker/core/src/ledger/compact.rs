//! Tidying: what the horizon made needless goes, and what is left is numbered anew.

use super::{
    Ledger,
    lines::LineNo,
    nodes::{Entry, Nodes},
};

impl Ledger {
    /// Drops what the horizon made needless: credentials, and the lines and nodes that only they needed.
    pub(super) fn compact(&mut self) {
        let (nodes, lines) = (std::mem::take(&mut self.nodes), std::mem::take(&mut self.lines));
        self.issued.drop_expired(self.horizon);
        let mut moved: Vec<Option<LineNo>> = vec![None; lines.len()];
        for place in self.issued.places() {
            let Some(old) = self.issued.get(place).map(|credential| credential.line) else { continue };
            let Some(slot) = moved.get_mut(old.index()) else { continue };
            let new = match (*slot, lines.get(old)) {
                (Some(new), _) => new,
                (None, Some(line)) => {
                    let face = line.face.moved(|no| self.nodes.intern_from(&nodes, no));
                    *slot.insert(self.lines.intern(face))
                }
                (None, None) => continue,
            };
            if let Some(credential) = self.issued.get_mut(place) {
                credential.line = new;
            }
            self.link(place);
        }
        self.keep_cuts(nodes);
    }

    fn keep_cuts(&mut self, nodes: Nodes) {
        self.ends.clear();
        for Entry { id, cuts, .. } in nodes.into_entries().filter(|entry| !entry.cuts.is_empty()) {
            let no = self.nodes.intern(id);
            self.ends.extend(cuts.iter().map(|fell| (fell.until, fell.at, no)));
            if let Some(entry) = self.nodes.entry_mut(no) {
                entry.cuts = cuts;
            }
        }
    }
}
