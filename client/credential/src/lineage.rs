//! The lineage: the nodes that a credential rests on, root first.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{NodeId, NodeIdError};

/// The nodes that a credential rests on, root first: never empty, none twice, at most [`Lineage::MAX`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Lineage(Vec<NodeId>);

/// Why a list of nodes is no lineage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineageError {
    /// A credential that rests on nothing would never die.
    #[error("a lineage names at least one node")]
    Empty,
    /// More than [`Lineage::MAX`] nodes.
    #[error("a lineage of more than 24 nodes")]
    TooLong,
    /// The same node twice.
    #[error("a lineage with `{0}` in it twice")]
    Twice(NodeId),
    /// One of the words is no node id.
    #[error(transparent)]
    Id(#[from] NodeIdError),
}

impl Lineage {
    /// The most nodes in a lineage.
    pub const MAX: usize = 24;

    /// The lineage of these nodes, root first.
    ///
    /// # Errors
    /// See [`LineageError`].
    pub fn new(nodes: Vec<NodeId>) -> Result<Self, LineageError> {
        if nodes.is_empty() {
            return Err(LineageError::Empty);
        }
        if nodes.len() > Self::MAX {
            return Err(LineageError::TooLong);
        }
        let twice =
            nodes.iter().enumerate().find(|(n, node)| nodes.iter().take(*n).any(|seen| seen == *node));
        if let Some((_, node)) = twice {
            return Err(LineageError::Twice(node.clone()));
        }
        Ok(Self(nodes))
    }

    /// The nodes, root first.
    #[must_use]
    pub fn nodes(&self) -> &[NodeId] {
        &self.0
    }

    /// Does it rest on this node?
    #[must_use]
    pub fn contains(&self, node: &NodeId) -> bool {
        self.0.contains(node)
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, node) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            fmt::Display::fmt(node, f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

impl FromStr for Lineage {
    type Err = LineageError;

    fn from_str(text: &str) -> Result<Self, LineageError> {
        if text.is_empty() {
            return Err(LineageError::Empty);
        }
        // Each token's is read, so room is made once.
        let words = text.split(' ').take(Self::MAX + 1);
        let mut nodes = Vec::with_capacity(words.clone().count());
        for word in words {
            nodes.push(word.parse::<NodeId>()?);
        }
        Self::new(nodes)
    }
}

impl Serialize for Lineage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lineage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lineage_reads_back_as_written() {
        let text =
            "vendor:acme contract:acme-2026 application:sync identity:x1 credential:41 audience:billing";
        let lineage: Lineage = text.parse().unwrap();
        assert_eq!(lineage.to_string(), text);
        assert!(lineage.contains(&"audience:billing".parse().unwrap()));
    }

    #[test]
    fn what_is_no_lineage_is_refused() {
        let long: Vec<String> = (0..25).map(|n| format!("vendor:v{n}")).collect();
        for bad in
            ["", " ", "vendor:a  vendor:b", "vendor:a vendor:a", "nobody:a", "vendor:a ", &long.join(" ")]
        {
            assert!(bad.parse::<Lineage>().is_err(), "`{bad}`");
        }
    }
}
