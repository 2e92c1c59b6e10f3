//! The documents of the verbs that read and write many objects.

use serde::Serialize;
use serde_json::Value;

use super::Stored;
use crate::directory::Manifest;

/// `apply`, with and without `--plan`
#[derive(Debug, Serialize)]
pub(crate) struct Applied {
    /// The newest revision when it was planned.
    pub(crate) revision: u64,
    pub(crate) objects: Vec<AppliedObject>,
    pub(crate) new: usize,
    pub(crate) changed: usize,
    pub(crate) unchanged: usize,
    pub(crate) refused: usize,
    /// How many of them would kill what was minted under them before.
    pub(crate) cuts: usize,
    /// How many were written; left out with `--plan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) written: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(crate) struct AppliedObject {
    pub(crate) id: String,
    /// Where it stands, as `file:line:column`.
    pub(crate) place: String,
    /// `new`, `changed`, `unchanged` or `refused`.
    pub(crate) change: &'static str,
    /// Would what was minted under it before be dead?
    pub(crate) cut: bool,
    /// How many open applications such a cut reaches.
    pub(crate) applications: u32,
    /// When it was last written: before this, or by this if `outcome` is `written`. Left out if it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// Of a changed one: what changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<Changed>,
    /// Of a refused or failed one: the stable code, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// `written`, `unchanged`, `failed` or `not-tried`; left out with `--plan`, and if the plan was not carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<&'static str>,
}

/// One field of a changed object. A side that is left out has no such field.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Changed {
    /// As `entitlements[billing].scopes`.
    pub(crate) field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Value>,
}

/// `export`
#[derive(Debug, Serialize)]
pub(crate) struct Exported {
    pub(crate) objects: Vec<ExportedObject>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ExportedObject {
    pub(crate) id: String,
    /// When it was last written; left out with `--no-revisions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    pub(crate) object: Manifest,
}

/// `describe`: the object as `get` shows it, and what is around it.
#[derive(Debug, Serialize)]
pub(crate) struct Described {
    #[serde(flatten)]
    pub(crate) object: Stored,
    /// What it rests on, nearest first: what ends any of these ends it.
    pub(crate) rests_on: Vec<Related>,
    /// What else it names.
    pub(crate) names: Vec<Related>,
    /// What rests on it, directly or not. Left out for callers who may not list the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resting: Option<Vec<Related>>,
    /// What else names it; left out likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) named_by: Option<Vec<Related>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Related {
    pub(crate) id: String,
    /// The field that says so, as `owners.technical`.
    pub(crate) relation: String,
    /// The life that counts. Left out where the caller may not know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) life: Option<&'static str>,
}
