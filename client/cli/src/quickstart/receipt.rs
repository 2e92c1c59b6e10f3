//! The receipt of the tour's offboarding: waited for, checked as anybody could check it later, and told in a line.

use daypass_credential::Name;
use daypass_log::receipt::{Receipt, State};
use daypass_sdk::{Connection, ReceiptPart};

use crate::failure::Failure;

/// Who refuses, and what died, as the receipt has it.
pub(super) async fn get(connection: &Connection, vendor: &Name) -> Result<String, Failure> {
    let mut parts = connection.receipt(vendor, true).await?;
    let (mut statement, mut list) = (Vec::new(), Vec::new());
    while let Some(part) = parts.next().await? {
        match part {
            ReceiptPart::Progress(_) => {}
            ReceiptPart::Statement(bytes) => statement.extend_from_slice(&bytes),
            ReceiptPart::List(bytes) => list.extend_from_slice(&bytes),
        }
    }
    let keys: Vec<_> = connection.known_log()?.into_iter().map(|log| log.key().clone()).collect();
    let receipt = Receipt::open(&statement, &keys).map_err(|error| untrue(&error))?;
    receipt.check_list(&*list).map_err(|error| untrue(&error))?;
    let said = receipt.statement();
    let verifiers = said.audiences.iter().flat_map(|audience| &audience.verifiers);
    let confirmed: Vec<&str> = verifiers
        .filter(|verifier| verifier.state == State::Confirmed)
        .map(|verifier| verifier.verifier.as_str())
        .collect();
    let dead = said.list.credentials;
    Ok(format!(
        "signed: {} credentials died, for relying parties {}; confirmed by {}",
        dead.identity_certificates + dead.client_certificates + dead.tokens,
        dead.client_certificates + dead.tokens,
        confirmed.join(", "),
    ))
}

fn untrue(error: &dyn std::error::Error) -> Failure {
    Failure::Internal(format!("the receipt does not hold: {error}"))
}
