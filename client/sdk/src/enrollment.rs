//! Enrolment: from a one-time code to an identity on disk, and from one identity certificate to the next.

use std::sync::atomic::{AtomicBool, Ordering};

use daypass_credential::{EnrollmentCode, NodeId, Timestamp, Ttl};
use daypass_proto::v1::{self, enrollment_service_client::EnrollmentServiceClient};
use rustls_pki_types::CertificateDer;

use crate::{
    Address, Connection, Directory, Error, Home, Identity, Options, PrivateKey, RefusalClass, RetryPolicy,
    Trust,
    identity::Held,
    log,
    retry::{self, Repeat},
    tls::fingerprint,
    way::Way,
    wire::{self, Minted},
};

/// Spends a code: makes a key (or takes the one given), and moves the identity into `home`. Everything is tried once:
/// [`enroll_with`] is for the patient.
///
/// The broker is known by the root that the code names, before it is told anything. If the attempt breaks off, the
/// next one asks with the same key, and gets the same answer.
///
/// # Errors
/// [`Error::BadInput`] if the home is taken, or waits for an attempt with another key; else see [`Error`].
pub async fn enroll(
    home: &Home,
    broker: &Address,
    code: &EnrollmentCode,
    key: Option<PrivateKey>,
) -> Result<Identity, Error> {
    enroll_with(home, broker, code, key, &Options::with_retry(RetryPolicy::ONCE)).await
}

/// As [`enroll`], as patiently as the options say.
///
/// # Errors
/// [`Error::BadInput`] if the home is taken, or waits for an attempt with another key; else see [`Error`].
pub async fn enroll_with(
    home: &Home,
    broker: &Address,
    code: &EnrollmentCode,
    key: Option<PrivateKey>,
    options: &Options,
) -> Result<Identity, Error> {
    vacant(home)?;
    let channel =
        Way::new(broker, &Trust::Pin(code.root()), None, options.keep_alive)?.connect(options).await?;
    let _alone = home.alone().await?;
    vacant(home)?;
    // Whether the broker can have heard of the key by now.
    let heard = AtomicBool::new(home.awaits_answer()?);
    let key = home.next_key(key, None)?;
    let request = v1::EnrollRequest { code: code.reveal(), csr: key.csr()?.into() };
    let answer = retry::run(&options.retry, &options.observer, Repeat::Harmless, || {
        let sent = EnrollmentServiceClient::new(channel.clone());
        let (request, heard) = (request.clone(), &heard);
        async move {
            let answer = { sent }.enroll(request).await;
            let answer = answer.map_err(|status| Error::from_status(&broker.to_string(), status));
            if answer.as_ref().is_err_and(|no| !matches!(no, Error::Refused(_)) && !no.left_undone()) {
                heard.store(true, Ordering::Relaxed);
            }
            answer
        }
    });
    let answer = match answer.await {
        Ok(answer) => answer.into_inner(),
        Err(error) => return Err(refused(home, error, !heard.into_inner())),
    };
    let root = wire::certificate(&answer.root)?;
    if fingerprint(&root) != code.root() {
        return Err(Error::BadAnswer("the root is not the one that the code names"));
    }
    let identity = Identity {
        subject: wire::node(&answer.subject)?,
        broker: broker.clone(),
        held: held(wire::minted(answer.certificate)?, &root),
        memory: home.memory(&root),
        root,
        key,
    };
    // Whoever lived here before may have been another broker's.
    log::forget_others(home.folder(), &code.root())?;
    home.keep(&identity)?;
    Ok(identity)
}

/// Gets the next identity certificate, for a new key, and moves both into `home` at once. Everything is tried once:
/// a [`Keeper`](crate::Keeper) is for the patient.
///
/// # Errors
/// See [`Error`].
pub async fn renew(home: &Home) -> Result<Identity, Error> {
    match renew_with(home, None, &Options::with_retry(RetryPolicy::ONCE)).await? {
        Next::Renewed(identity) | Next::Found(identity) => Ok(identity),
    }
}

/// How there came to be a next certificate.
pub(crate) enum Next {
    /// It was asked for here and now.
    Renewed(Identity),
    /// Somebody else had renewed it, some time ago.
    Found(Identity),
}

/// The same as patiently as the options say; but if the certificate in `home` is not the one `known` any more, somebody
/// else has renewed it, and theirs is the answer.
pub(crate) async fn renew_with(
    home: &Home,
    known: Option<&Identity>,
    options: &Options,
) -> Result<Next, Error> {
    home.identity()?;
    let _alone = home.alone().await?;
    // Somebody else may have renewed it while this one waited.
    let identity = home.identity()?;
    if let Some(known) = known
        && known.revision() != identity.revision()
    {
        // Going back would renew a second time what was renewed already, and suspend the identity.
        if identity.revision() < known.revision() {
            return Err(Error::BadInput(format!(
                "`{}` holds an older certificate than the one in use: an old copy of it was put back",
                home.folder().display()
            )));
        }
        return same(home, known, identity).map(Next::Found);
    }
    let connection = Connection::open_with(&identity, options).await?;
    connection.meet().await?;
    let key = home.next_key(None, Some(&identity.key))?;
    let request = v1::RenewIdentityRequest { csr: key.csr()?.into() };
    let send = |channel| {
        let request = request.clone();
        async move { EnrollmentServiceClient::new(channel).renew_identity(request).await }
    };
    let answer = connection.call_as_it_is(Repeat::Harmless, send).await;
    let answer = answer.map_err(|error| refused(home, error, false))?;
    let held = held(wire::minted(answer.certificate)?, identity.root());
    let renewed = Identity { key, held, ..identity };
    home.keep(&renewed)?;
    Ok(Next::Renewed(renewed))
}

/// What somebody else put into the home, if it is the same identity by another certificate.
fn same(home: &Home, known: &Identity, found: Identity) -> Result<Identity, Error> {
    if found.subject() == known.subject() && found.root() == known.root() {
        return Ok(found);
    }
    Err(Error::BadInput(format!(
        "`{}` holds another identity by now: `{}` instead of `{}`, or another broker's",
        home.folder().display(),
        found.subject(),
        known.subject()
    )))
}

fn vacant(home: &Home) -> Result<(), Error> {
    if home.is_taken()? {
        return Err(Error::BadInput(format!(
            "somebody is enrolled in `{}` already: choose another folder",
            home.folder().display()
        )));
    }
    Ok(())
}

/// A key that the broker will not have is forgotten, so that the next attempt can take another. So is a fresh one, that
/// no attempt before asked with, if the code was not taken from it: nothing can have been made for it.
fn refused(home: &Home, error: Error, fresh: bool) -> Error {
    let unknown = matches!(&error, Error::Refused(no) if no.class == RefusalClass::Unauthenticated);
    if (error.reason() == Some("key-reused") || fresh && unknown)
        && let Err(error) = home.forget_next_key()
    {
        return error;
    }
    error
}

fn held(minted: Minted, root: &CertificateDer<'_>) -> Held {
    let above = if minted.issuer == *root { Vec::new() } else { vec![minted.issuer] };
    Held { leaf: minted.leaf, above, revision: minted.revision, expires_at: minted.expires_at }
}

/// A code that was made.
#[derive(Debug, Clone)]
pub struct Opened {
    /// To be handed over, once. The broker cannot show it again.
    pub code: EnrollmentCode,
    /// From then on it is void.
    pub expires_at: Timestamp,
    /// What to end, to withdraw it.
    pub id: NodeId,
}

impl Directory {
    /// Makes a one-time code for an application, a person or a verifier.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open_enrollment(&self, subject: &NodeId, ttl: Option<Ttl>) -> Result<Opened, Error> {
        let request =
            v1::OpenEnrollmentRequest { subject: subject.to_string(), ttl_seconds: wire::seconds(ttl) };
        let send = |channel| {
            let request = request.clone();
            async move { EnrollmentServiceClient::new(channel).open_enrollment(request).await }
        };
        // A code that nobody saw would lie open until its time is over.
        let answer = self.connection().call(Repeat::Unmarked, send).await?;
        Ok(Opened {
            code: answer.code.parse().map_err(|_| Error::BadAnswer("the code is none"))?,
            expires_at: wire::instant(answer.expires_at)?,
            id: wire::node(&answer.id)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    #[test]
    fn only_a_key_that_nothing_was_made_for_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let no = |reason: &str, class| {
            Error::Refused(Refusal { reason: reason.into(), message: "no".into(), revision: None, class })
        };
        let other = || no("other-key-expected", RefusalClass::Unauthenticated);
        let lost = || Error::Unreachable { broker: "b:1".into(), source: "x".into() };
        for (error, fresh, kept) in [
            (other(), true, false),
            (other(), false, true),
            (lost(), true, true),
            (no("key-reused", RefusalClass::Invalid), false, false),
        ] {
            home.next_key(None, None).unwrap();
            drop(refused(&home, error, fresh));
            assert_eq!(home.awaits_answer().unwrap(), kept);
        }
    }
}
