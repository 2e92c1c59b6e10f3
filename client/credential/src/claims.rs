//! The claims of an access token: the JWT profile of RFC 9068 with the confirmation of RFC 8705, and what law 3 needs.

use serde::{Deserialize, Serialize};

use crate::{Digest, Era, Lineage, Rests, Revision, ScopeSet, Timestamp};

/// The `typ` header of an access token (RFC 9068, section 2.1).
pub const TOKEN_TYPE: &str = "at+jwt";

/// The payload of an access token. Instants are in whole seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The broker that minted it.
    pub iss: String,
    /// The application, which is also the client (RFC 9068, section 2.2).
    pub sub: String,
    /// The one audience that it is for.
    pub aud: String,
    /// From this second on it is dead.
    pub exp: u64,
    /// When it was minted.
    pub iat: u64,
    /// Its name: era and revision.
    pub jti: String,
    /// The application (RFC 8693, section 4.3).
    pub client_id: String,
    /// What it may be used for.
    pub scope: ScopeSet,
    /// The certificate that it is bound to; absent only where every scope allows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// The life of the log that recorded it.
    #[serde(rename = "dp_era")]
    pub era: Era,
    /// Its number in that log.
    #[serde(rename = "dp_rev")]
    pub rev: Revision,
    /// What it rests on.
    #[serde(rename = "dp_lin")]
    pub lineage: Lineage,
}

/// The key that a bearer must prove to hold (RFC 7800).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// SHA-256 of the DER client certificate (RFC 8705, section 3.1).
    #[serde(rename = "x5t#S256")]
    pub thumbprint: Digest,
}

impl Claims {
    /// What decides whether it is alive.
    #[must_use]
    pub const fn rests(&self) -> Rests<'_> {
        Rests { era: self.era, rev: self.rev, exp: Timestamp::from_secs(self.exp), lineage: &self.lineage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            iss: "https://broker.example".into(),
            sub: "sync".into(),
            aud: "billing".into(),
            exp: 900,
            iat: 0,
            jti: "0000000000000001-7".into(),
            client_id: "sync".into(),
            scope: "invoices.read".parse().unwrap(),
            cnf: Some(Confirmation { thumbprint: Digest::new([7; 32]) }),
            era: Era::new(1),
            rev: Revision::new(7),
            lineage: "vendor:acme application:sync".parse().unwrap(),
        }
    }

    #[test]
    fn claims_read_back_as_written() {
        let text = serde_json::to_string(&claims()).unwrap();
        assert!(text.contains("\"x5t#S256\""));
        assert_eq!(serde_json::from_str::<Claims>(&text).unwrap(), claims());
    }

    #[test]
    fn a_claim_given_twice_is_refused() {
        let text = serde_json::to_string(&claims()).unwrap();
        let twice = text.replacen('{', "{\"exp\":99999999999,", 1);
        assert!(serde_json::from_str::<Claims>(&twice).is_err());
    }

    #[test]
    fn a_missing_claim_is_refused() {
        let whole = serde_json::to_value(claims()).unwrap();
        for claim in
            ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "dp_era", "dp_rev", "dp_lin"]
        {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(claim);
            assert!(serde_json::from_value::<Claims>(part).is_err(), "without {claim}");
        }
    }
}
