//! How certificates call the CAs.

use daypass_credential::{Name, TrustDomain};

/// A distinguished name as our certificates have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Distinguished {
    /// `O`; only CAs have one.
    pub(crate) organization: Option<String>,
    /// `CN`.
    pub(crate) common_name: String,
}

impl Distinguished {
    /// The name of a CA. No two kinds share one: the root's has a space in it, and no audience's has.
    pub(crate) fn authority(domain: &TrustDomain, audience: Option<&Name>) -> Self {
        let ours = format!("Daypass {domain}");
        Self {
            common_name: audience.map_or_else(|| ours.clone(), ToString::to_string),
            organization: Some(ours),
        }
    }

    /// The name of a leaf.
    pub(crate) fn leaf(common_name: &str) -> Self {
        Self { organization: None, common_name: common_name.to_owned() }
    }
}
