//! In which order objects are written: what is named before what names it, rank by rank.

use std::collections::{BTreeMap, HashMap, HashSet};

use daypass_credential::{NodeId, NodeKind};

use super::{
    fields::SHAPES,
    file::Entry,
    problem::{Problem, report},
};

/// The entries by rank: those of one rank do not name each other. The writer's own person is alone in the last rank,
/// because it may take away what the writer may do.
///
/// # Errors
/// The objects that rest on themselves, in words.
pub(super) fn ranked(entries: Vec<Entry>, writer: &NodeId) -> Result<Vec<Vec<Entry>>, String> {
    let ranks = ranks(&entries);
    let (mut by_rank, mut circle) = (BTreeMap::<usize, Vec<Entry>>::new(), Vec::new());
    for entry in entries {
        match ranks.get(&entry.id) {
            Some(_) if entry.id == *writer => by_rank.entry(usize::MAX).or_default().push(entry),
            Some(rank) => by_rank.entry(*rank).or_default().push(entry),
            None => {
                let message = format!("`{}` rests on itself, or on what does", entry.id);
                circle.push(Problem::new(entry.place, message));
            }
        }
    }
    if !circle.is_empty() {
        return Err(report(circle));
    }
    let sorted = |mut rank: Vec<Entry>| {
        rank.sort_by(|a, b| key(&a.id).cmp(&key(&b.id)));
        rank
    };
    Ok(by_rank.into_values().map(sorted).collect())
}

/// One above the highest rank of what it names among these. What is in a circle, or names what is, has none.
fn ranks(entries: &[Entry]) -> HashMap<NodeId, usize> {
    let here: HashSet<&NodeId> = entries.iter().map(|entry| &entry.id).collect();
    let mut ranks = HashMap::new();
    loop {
        let rank = |entry: &Entry| {
            let mut named = entry.references.iter().filter(|named| here.contains(&named.id));
            named.try_fold(0, |rank: usize, named| Some(rank.max(ranks.get(&named.id)? + 1)))
        };
        let waiting = entries.iter().filter(|entry| !ranks.contains_key(&entry.id));
        let settled: Vec<(NodeId, usize)> =
            waiting.filter_map(|entry| Some((entry.id.clone(), rank(entry)?))).collect();
        if settled.is_empty() {
            return ranks;
        }
        ranks.extend(settled);
    }
}

/// By kind as exports list them, then by name.
pub(super) fn key(id: &NodeId) -> (usize, &str) {
    (kind(id.kind), id.name.as_str())
}

fn kind(kind: NodeKind) -> usize {
    SHAPES.iter().position(|shape| shape.kind == kind).unwrap_or(SHAPES.len())
}

#[cfg(test)]
mod tests {
    use super::{super::file::Reading, *};

    fn ranks_of(text: &str) -> Result<Vec<Vec<String>>, String> {
        let mut reading = Reading::default();
        reading.add("a.toml".into(), text.into());
        let ranked = ranked(reading.finish().unwrap(), &"person:dana".parse().unwrap())?;
        Ok(ranked.iter().map(|rank| rank.iter().map(|entry| entry.id.to_string()).collect()).collect())
    }

    fn vendor(name: &str, parent: &str) -> String {
        format!("[[vendor]]\nname = \"{name}\"\nparent = \"{parent}\"\nowner = \"bea\"\n")
    }

    #[test]
    fn what_is_named_comes_first_and_the_writer_last() {
        let people =
            "[[person]]\nname = \"bea\"\ncontact = \"x\"\n[[person]]\nname = \"dana\"\ncontact = \"x\"\n";
        let text = [vendor("c", "b"), vendor("b", "a"), vendor("a", "elsewhere"), people.into()].concat();
        assert_eq!(
            ranks_of(&text).unwrap(),
            [["person:bea"], ["vendor:a"], ["vendor:b"], ["vendor:c"], ["person:dana"]]
        );
    }

    #[test]
    fn within_a_rank_the_order_is_that_of_exports() {
        let text = [vendor("z", "elsewhere"), vendor("a", "elsewhere")].concat()
            + "[[verifier]]\nname = \"v\"\naudiences = [\"elsewhere\"]\n";
        assert_eq!(ranks_of(&text).unwrap(), [["vendor:a", "vendor:z", "verifier:v"]]);
    }

    #[test]
    fn a_circle_is_told_with_its_places() {
        let why = ranks_of(&[vendor("a", "b"), vendor("b", "a"), vendor("c", "c")].concat()).unwrap_err();
        for expected in ["a.toml:2:8: `vendor:a` rests on itself", "`vendor:b`", "`vendor:c`"] {
            assert!(why.contains(expected), "{expected} in {why}");
        }
    }
}
