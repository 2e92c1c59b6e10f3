//! The credentials of an application's program: for each audience a client certificate and tokens bound to it, had when
//! they are first wanted, kept, and replaced before they end.
//!
//! INVARIANT (one pair): a [`Credential`] is a certificate and a token bound to that certificate, made together and never
//! changed. Whoever holds one shows nothing that does not fit; a replacement is another credential.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daypass_credential::{Name, Revision, ScopeSet, Timestamp};
use tokio::sync::watch;

use self::wanted::{Answer, Flight, TurnDown, Wanted};
use crate::{
    Application, ClientCertificate, Error, Event, Proof, Token, TokenRequest, entropy,
    life::{self, Life, Moment},
};

mod wanted;

/// A client certificate and a token bound to it: what to show to a relying party, both or neither.
pub struct Credential {
    audience: Name,
    scopes: ScopeSet,
    certificate: Arc<Certificate>,
    token: Token,
    life: Life,
}

/// A client certificate, and how far it has come.
struct Certificate {
    certificate: ClientCertificate,
    life: Life,
}

impl Credential {
    /// For which audience it is.
    #[must_use]
    pub const fn audience(&self) -> &Name {
        &self.audience
    }

    /// What the token may be used for.
    #[must_use]
    pub const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// The certificate with its key.
    #[must_use]
    pub fn certificate(&self) -> &ClientCertificate {
        &self.certificate.certificate
    }

    /// What to show in the TLS handshake.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.certificate().proof()
    }

    /// The token: its text goes into `Authorization: Bearer`.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// When it ends: with the first of the two.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.token.expires_at.min(self.certificate().expires_at)
    }

    /// Will it still be good when it arrives?
    fn is_alive(&self) -> bool {
        let left = self.life.left().min(self.certificate.life.left());
        left > (self.life.whole() / 20).min(MARGIN)
    }

    fn is_due(&self) -> bool {
        self.life.due_in().is_zero() || self.certificate.life.due_in().is_zero()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({} for {}, {:?})", self.scopes, self.audience, self.token)
    }
}

/// The credentials of one application's program. Copies share them.
#[derive(Clone)]
pub struct Credentials {
    shared: Arc<Shared>,
}

struct Shared {
    application: Application,
    audiences: Mutex<HashMap<Name, Arc<Audience>>>,
}

/// What is held for one audience.
#[derive(Default)]
struct Audience {
    /// The certificate that new tokens are bound to. Whoever makes the next one holds this meanwhile.
    certificate: tokio::sync::Mutex<Option<Arc<Certificate>>>,
    wanted: Mutex<HashMap<ScopeSet, Wanted>>,
    /// Certificates up to this one are not good enough for anything new.
    spurned: Mutex<Revision>,
}

impl Credentials {
    /// The credentials of the application at the end of this connection; best that of a [`Keeper`](crate::Keeper).
    #[must_use]
    pub fn of(application: Application) -> Self {
        Self { shared: Arc::new(Shared { application, audiences: Mutex::default() }) }
    }

    /// A credential for these scopes at this audience: the one that is held, or a new one. At two thirds of its life it
    /// is replaced while it is still handed out; whoever asks waits only if there is none that is good. Many who ask at
    /// once wait for the same.
    ///
    /// # Errors
    /// See [`Error`]: why a new one could not be had, once the old one is over.
    pub async fn credential(&self, audience: &Name, scopes: &ScopeSet) -> Result<Arc<Credential>, Error> {
        let place = self.place(audience);
        let mut flight = {
            let mut wanted = place.wanted();
            if wanted.len() >= MANY {
                wanted.retain(|_, wanted| !wanted.is_over());
            }
            let wanted = wanted.entry(scopes.clone()).or_default();
            match wanted.answer() {
                Answer::Held(credential) => return Ok(credential),
                Answer::Failed(error) => return Err(error.copy()),
                Answer::Replace(credential) => {
                    self.shared.fly(&place, (audience, scopes), wanted);
                    return Ok(credential);
                }
                Answer::Wait => self.shared.fly(&place, (audience, scopes), wanted),
            }
        };
        let landed = flight.wait_for(Option::is_some).await;
        let outcome = landed.ok().and_then(|outcome| outcome.clone());
        match outcome {
            Some(outcome) => outcome.map_err(|error| error.copy()),
            None => Err(Error::Unable("finish a request: the program is ending")),
        }
    }

    /// A relying party turned this credential down (a 401): the next one asked for is new, certificate and all. Says
    /// whether it will be. If new ones are turned down as well, one after another, something else is wrong: then there
    /// are pauses between them, from a second up to a minute.
    pub fn turned_down(&self, credential: &Credential) -> bool {
        let place = self.place(&credential.audience);
        let mut wanted = place.wanted();
        let Some(wanted) = wanted.get_mut(&credential.scopes) else { return true };
        match wanted.turned_down(credential) {
            TurnDown::Replaced => true,
            TurnDown::GivenUp => {
                place.spurn(credential.certificate().revision);
                true
            }
            TurnDown::TooSoon => false,
        }
    }

    /// Forgets what is held for an audience. What was handed out stays good until it ends.
    pub fn forget(&self, audience: &Name) {
        self.shared.audiences().remove(audience);
    }

    fn place(&self, audience: &Name) -> Arc<Audience> {
        Arc::clone(self.shared.audiences().entry(audience.clone()).or_default())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.shared.application)
    }
}

impl Audience {
    fn wanted(&self) -> MutexGuard<'_, HashMap<ScopeSet, Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing new is bound to this certificate, nor to one before it.
    fn spurn(&self, certificate: Revision) {
        let mut spurned = self.spurned.lock().unwrap_or_else(PoisonError::into_inner);
        *spurned = certificate.max(*spurned);
    }

    /// May something new be bound to it?
    fn is_usable(&self, certificate: &Certificate) -> bool {
        !self.is_spurned(certificate) && !certificate.life.due_in().is_zero()
    }

    fn is_spurned(&self, certificate: &Certificate) -> bool {
        let spurned = *self.spurned.lock().unwrap_or_else(PoisonError::into_inner);
        certificate.certificate.revision <= spurned
    }
}

impl Shared {
    fn audiences(&self) -> MutexGuard<'_, HashMap<Name, Arc<Audience>>> {
        self.audiences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to the next credential, in a task of its own: whoever stops waiting for it does not stop it for others.
    fn fly(
        self: &Arc<Self>,
        place: &Arc<Audience>,
        (audience, scopes): (&Name, &ScopeSet),
        wanted: &mut Wanted,
    ) -> Flight {
        if let Some(flight) = wanted.flight() {
            return flight.clone();
        }
        let (land, flight) = watch::channel(None);
        wanted.took_off(flight.clone());
        let (shared, place) = (Arc::clone(self), Arc::clone(place));
        let (audience, scopes) = (audience.clone(), scopes.clone());
        tokio::spawn(async move {
            let outcome = shared.mint(&place, &audience, &scopes).await.map(Arc::new).map_err(Arc::new);
            shared.application.connection().options().observer.tell(&match &outcome {
                Ok(credential) => Event::Minted { credential },
                Err(error) => Event::MintFailed { error },
            });
            place.wanted().entry(scopes).or_default().landed(&outcome);
            land.send_replace(Some(outcome));
        });
        flight
    }

    /// A certificate first, then a token bound to it.
    async fn mint(&self, place: &Audience, audience: &Name, scopes: &ScopeSet) -> Result<Credential, Error> {
        match self.mint_once(place, audience, scopes).await {
            // The certificate that was held rests on something that was cut; or an answer was lost for so long that what
            // it gave is over. Of something new neither is true.
            Err(error) if matches!(error.reason(), Some(CERTIFICATE_DEAD | ANSWER_OVER)) => {
                self.mint_once(place, audience, scopes).await
            }
            // Its certificate was turned down while it was on its way.
            Ok(minted) if place.is_spurned(&minted.certificate) => {
                self.mint_once(place, audience, scopes).await
            }
            minted => minted,
        }
    }

    async fn mint_once(
        &self,
        place: &Audience,
        audience: &Name,
        scopes: &ScopeSet,
    ) -> Result<Credential, Error> {
        let certificate = self.certificate(place, audience).await?;
        let (asked, then) = (Moment::now(), certificate.life.now());
        let leaf = Some(certificate.certificate.leaf());
        let request = TokenRequest { audience, scopes, certificate: leaf, ttl: None };
        let token = self.application.token(&request).await.inspect_err(|error| {
            if error.reason() == Some(CERTIFICATE_DEAD) {
                place.spurn(certificate.certificate.revision);
            }
        })?;
        let life = Life::new((then, token.expires_at), (asked, then), entropy::part());
        Ok(Credential { audience: audience.clone(), scopes: scopes.clone(), certificate, token, life })
    }

    /// The certificate that new tokens are bound to: the one that is held, or the next one if that is due.
    async fn certificate(&self, place: &Audience, audience: &Name) -> Result<Arc<Certificate>, Error> {
        let mut held = place.certificate.lock().await;
        if let Some(certificate) = held.as_ref().filter(|certificate| place.is_usable(certificate)) {
            return Ok(Arc::clone(certificate));
        }
        let asked = Moment::now();
        let certificate = self.application.certificate(audience, None).await?;
        let issued = life::issued_at(certificate.leaf())?;
        let life = Life::new((issued, certificate.expires_at), (asked, issued), entropy::part());
        Ok(Arc::clone(held.insert(Arc::new(Certificate { certificate, life }))))
    }
}

const CERTIFICATE_DEAD: &str = "certificate-dead";
const ANSWER_OVER: &str = "answer-over";
/// What is handed out has this much of its life left at least, so that it is good when it arrives.
const MARGIN: Duration = Duration::from_secs(2);
/// From so many sets of scopes on, those that are over are looked for and forgotten.
const MANY: usize = 64;
