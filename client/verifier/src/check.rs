//! The verifier: the audiences that it checks for, the view in force, and the memory of what it read. Its methods are
//! plain calls that never wait; applying a view takes effect for every check that begins its verdict afterwards.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use daypass_credential::{Name, Scope, Ttl};

use crate::{Certificate, MAX_TOKEN, Moment, Refused, Token, View, judge::Judge, seen::Seen, x509};

/// What can be set of a verifier.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many tokens, and how many certificates, are remembered as read.
    pub remembered: usize,
    /// A staleness limit of its own. It only ever makes the audience's stricter.
    pub staleness: Option<Ttl>,
}

impl Default for Options {
    fn default() -> Self {
        Self { remembered: 16 * 1024, staleness: None }
    }
}

/// Why there can be no such verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// It would refuse everything.
    #[error("a verifier checks for at least one audience")]
    NoAudience,
}

/// Checks tokens and certificates for some audiences.
pub struct Verifier {
    /// None for whatever the keys in use are for.
    audiences: Option<BTreeSet<Name>>,
    staleness: Option<Ttl>,
    view: RwLock<Option<Arc<View>>>,
    tokens: Seen<Token>,
    certificates: Seen<Certificate>,
}

impl Verifier {
    /// A verifier for these audiences. It refuses everything until a view is applied.
    ///
    /// # Errors
    /// [`VerifierError::NoAudience`].
    pub fn new(audiences: impl IntoIterator<Item = Name>, options: &Options) -> Result<Self, VerifierError> {
        let audiences: BTreeSet<_> = audiences.into_iter().collect();
        if audiences.is_empty() {
            return Err(VerifierError::NoAudience);
        }
        Ok(Self::checking(Some(audiences), options))
    }

    /// A verifier for whatever audiences the broker gives it the keys of: those that it is registered for. It refuses
    /// everything until a view is applied.
    #[must_use]
    pub fn of_all(options: &Options) -> Self {
        Self::checking(None, options)
    }

    fn checking(audiences: Option<BTreeSet<Name>>, options: &Options) -> Self {
        Self {
            audiences,
            staleness: options.staleness,
            view: RwLock::new(None),
            tokens: Seen::new(options.remembered),
            certificates: Seen::new(options.remembered),
        }
    }

    /// The audiences that it was made for; none if that is left to the keys.
    #[must_use]
    pub const fn audiences(&self) -> Option<&BTreeSet<Name>> {
        self.audiences.as_ref()
    }

    /// Puts a view in force in place of the one before, keys and cuts in one step. One from further back in the same era
    /// changes nothing: it may lack cuts, and what was refused stays refused, whoever feeds this.
    pub fn apply(&self, view: Arc<View>) {
        let mut now = self.view.write().unwrap_or_else(PoisonError::into_inner);
        if now.as_ref().is_none_or(|now| !view.is_behind(now)) {
            *now = Some(view);
        }
    }

    /// The view in force.
    #[must_use]
    pub fn view(&self) -> Option<Arc<View>> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Is this token good, at this moment? `shown` is the certificate of the connection that it came over, `wanted` what
    /// the request takes.
    ///
    /// Verifying a signature takes a while, and a program may be stopped in between: whoever reads the clocks by
    /// themselves reads the token first, then the clocks, and judges then ([`Self::read_token`],
    /// [`Self::check_token_again`]).
    ///
    /// # Errors
    /// Why not.
    pub fn check_token(
        &self,
        token: &str,
        shown: Option<&Certificate>,
        wanted: &[Scope],
        now: Moment,
    ) -> Result<Token, Refused> {
        let read = self.read_token(token)?;
        self.check_token_again(&read, shown, wanted, now)?;
        Ok(read)
    }

    /// What a token says that a key in use here signed. This is no verdict.
    ///
    /// # Errors
    /// Why it is none of the broker's.
    pub fn read_token(&self, token: &str) -> Result<Token, Refused> {
        let view = self.view().ok_or(Refused::NotReady)?;
        if token.len() > MAX_TOKEN {
            return Err(Refused::TooLong);
        }
        self.tokens.or_read(token.as_bytes(), |_| Token::read(view.bundle(), token))
    }

    /// Is a token that was good before still good? For connections and streams that rest on it.
    ///
    /// # Errors
    /// Why not.
    pub fn check_token_again(
        &self,
        token: &Token,
        shown: Option<&Certificate>,
        wanted: &[Scope],
        now: Moment,
    ) -> Result<(), Refused> {
        // Verifying a signature takes a while: what was applied meanwhile counts already.
        self.judge(now, |judge| judge.token(token, shown, wanted))
    }

    /// What a client certificate says, whose key the connection's handshake proved. This is no verdict.
    ///
    /// # Errors
    /// Why it is none of the broker's.
    pub fn read_certificate(&self, der: &[u8]) -> Result<Certificate, Refused> {
        let view = self.view().ok_or(Refused::NotReady)?;
        if der.len() > x509::MAX {
            return Err(Refused::TooLong);
        }
        self.certificates.or_read(der, |thumbprint| Certificate::read(view.bundle(), der, thumbprint))
    }

    /// Is this client certificate good, here and now? To be asked for each request, not only once a connection.
    ///
    /// # Errors
    /// Why not.
    pub fn check_certificate(&self, certificate: &Certificate, now: Moment) -> Result<(), Refused> {
        self.judge(now, |judge| judge.certificate(certificate))
    }

    /// For how many milliseconds more what is known is new enough for this audience, if nothing else comes. It says when
    /// to ask again, and is no verdict.
    #[must_use]
    pub fn fresh_for(&self, audience: &Name, now: Moment) -> u64 {
        let left = |view: Arc<View>| {
            let limit = view.bundle().staleness(audience)?;
            let limit = self.staleness.map_or(limit, |own| own.min(limit));
            Some(limit.as_millis().saturating_sub(view.age(now)?))
        };
        self.view().and_then(left).unwrap_or(0)
    }

    fn judge(
        &self,
        now: Moment,
        verdict: impl FnOnce(&Judge<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let view = self.view().ok_or(Refused::NotReady)?;
        let audiences = self.audiences.as_ref();
        verdict(&Judge { view: &view, audiences, staleness: self.staleness, now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_without_audiences_is_refused() {
        assert_eq!(Verifier::new([], &Options::default()).err(), Some(VerifierError::NoAudience));
    }

    #[test]
    fn a_verifier_is_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Verifier>();
    }

    #[test]
    fn without_a_view_nothing_is_accepted() {
        let verifier = Verifier::new(["billing".parse().unwrap()], &Options::default()).unwrap();
        let now = Moment { boot: 0, wall: daypass_credential::Timestamp::ZERO };
        assert_eq!(verifier.check_token("a.b.c", None, &[], now).err(), Some(Refused::NotReady));
        assert_eq!(verifier.read_certificate(&[]).err(), Some(Refused::NotReady));
        assert_eq!(verifier.fresh_for(&"billing".parse().unwrap(), now), 0);
    }
}
