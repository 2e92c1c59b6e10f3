//! What the offline check of the SDK costs beside the bare verification of the same signature, which it cannot do
//! without: for tokens that were never seen, and for ones that were. A verifier follows a real broker meanwhile.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use daypass_credential::Scope;
use daypass_sdk::{
    Connection, Token,
    verifier::{Certificate, Refused, Verifier},
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde::Deserialize;
use tokio::{task::JoinSet, time::sleep};

use super::{
    figures::{median, rounded},
    population::{self, Keep, Minter},
    stage::{self, Stage},
};
use crate::{console::Console, failure::Failure, progress::Progress, shapes::CheckMeasured};

/// Measure the offline check of a token against the bare verification of its signature.
///
/// A verifier follows a real broker that has ended some credentials one by one, and checks tokens that are bound to a
/// client certificate, with that certificate shown: each for the first time, and then once more. The bare verification
/// is of the same signatures, by the same library, and does nothing else. Short slices of each take turns; of each round
/// the least time counts, as noise only adds, and of the rounds the median.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// How many cuts the verifier holds.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    cuts: u64,
    /// How many rounds; each checks 1,600 tokens.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..=101))]
    rounds: u64,
}

const EXAMPLES: &str = "\
Examples:
  daypass bench check
  daypass bench check --cuts 100000 -o json";

const GUARD: &str = "guard";
const PARTNER: &str = "partner";

pub(super) async fn run(wish: Wish, console: &Console) -> Result<(), Failure> {
    let measured = stage::perform(console, async |stage| measure(&wish, stage, console).await).await?;
    console.show(&measured, || text(&measured))
}

async fn measure(wish: &Wish, stage: &mut Stage, console: &Console) -> Result<CheckMeasured, Failure> {
    let admin = stage.begin().await?;
    population::write_audience(&admin).await?;
    population::write_vendor(&admin, PARTNER).await?;
    let guard = population::enroll_verifier(stage, &admin, GUARD).await?;
    let verifier = Verifier::start(&guard, &population::checks()?)?;
    let partner = Minter::enroll(stage, &admin, PARTNER, CONNECTIONS).await?;
    let progress = Progress::start(console, "minting what is to be ended", Some(wish.cuts));
    let ended = partner.mint(wish.cuts, Keep::All, &progress).await?;
    drop(progress);
    end_all(admin.connection(), &ended, console).await?;
    let count = wish.rounds * u64::from(SLICES) * u64::from(TOKENS);
    let progress = Progress::start(console, "minting what is to be checked", Some(count));
    let tokens = partner.mint(count, Keep::All, &progress).await?;
    drop(progress);
    verifier.ready().await?;
    let cuts = hear_of(&verifier, wish.cuts).await?;

    let bundle = guard.trust_bundle(None).await?;
    let shown =
        verifier.read_certificate(partner.certificate.leaf()).map_err(|refused| not_good(&refused))?;
    let first = tokens.first().ok_or_else(|| Failure::Internal("nothing was minted".into()))?;
    let bench =
        Bench { key: key_of(&bundle.jwks, first.reveal())?, verifier, shown, wanted: partner.wanted() };
    let _measuring = Progress::start(console, "measuring", None);
    let rounds = tokio::task::spawn_blocking(move || bench.rounds(&tokens)).await;
    let rounds = rounds.map_err(|error| Failure::Internal(error.to_string()))??;
    Ok(figures(cuts, &rounds))
}

/// Ends credentials one by one, many at once.
async fn end_all(admin: &Connection, tokens: &[Token], console: &Console) -> Result<(), Failure> {
    let progress = Progress::start(console, "ending them", u64::try_from(tokens.len()).ok());
    let mut workers = JoinSet::new();
    for share in tokens.chunks(tokens.len().div_ceil(ENDS_AT_ONCE).max(1)) {
        let ids: Vec<_> = share.iter().map(population::credential).collect::<Result<_, _>>()?;
        let admin = admin.clone();
        workers.spawn(async move {
            for id in &ids {
                admin.end(id, "").await?;
            }
            Ok::<_, Failure>(ids.len())
        });
    }
    let mut done = 0;
    while let Some(worked) = workers.join_next().await {
        done += worked.map_err(|error| Failure::Internal(error.to_string()))??;
        progress.reach(u64::try_from(done).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// Waits until a verifier holds so many cuts; the answer is how many it does hold.
async fn hear_of(verifier: &Verifier, cuts: u64) -> Result<usize, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let held = verifier.view().map_or(0, |view| view.cuts());
        if u64::try_from(held).is_ok_and(|held| held >= cuts) {
            return Ok(held);
        }
        if Instant::now() > deadline {
            return Err(Failure::Internal(format!(
                "the verifier heard of {held} cuts, and of {cuts} it should"
            )));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// What one slice is measured with.
struct Bench {
    key: UnparsedPublicKey<Vec<u8>>,
    verifier: Verifier,
    shown: Certificate,
    wanted: Vec<Scope>,
}

/// The least microseconds for each.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Least {
    bare: f64,
    unseen: f64,
    seen: f64,
}

impl Bench {
    fn rounds(&self, tokens: &[Token]) -> Result<Vec<Least>, Failure> {
        let (slice, round) = (usize::from(TOKENS), usize::from(TOKENS) * usize::from(SLICES));
        tokens.chunks(round).map(|tokens| self.round(tokens.chunks(slice))).collect()
    }

    fn round<'a>(&self, slices: impl Iterator<Item = &'a [Token]>) -> Result<Least, Failure> {
        let mut least = Least { bare: f64::MAX, unseen: f64::MAX, seen: f64::MAX };
        for (number, tokens) in slices.enumerate() {
            let apart = tokens.iter().map(take_apart).collect::<Result<Vec<_>, _>>()?;
            let bare = || timed(&apart, |(message, signature)| self.bare(message, signature));
            let check = || timed(tokens, |token| self.check(token));
            // Whichever comes first finds the processor in another state: that takes turns.
            let (bare, unseen) = if number.is_multiple_of(2) {
                (bare()?, check()?)
            } else {
                let unseen = check()?;
                (bare()?, unseen)
            };
            least.bare = least.bare.min(bare);
            least.unseen = least.unseen.min(unseen);
            least.seen = least.seen.min(check()?);
        }
        Ok(least)
    }

    fn bare(&self, message: &[u8], signature: &[u8]) -> Result<(), Failure> {
        let verified = self.key.verify(message, signature);
        verified.map_err(|_| Failure::Internal("the signature of a token is wrong".into()))
    }

    fn check(&self, token: &Token) -> Result<(), Failure> {
        let checked = self.verifier.check_token(token.reveal(), Some(&self.shown), &self.wanted);
        checked.map(|token| drop(black_box(token))).map_err(|refused| not_good(&refused))
    }
}

/// Microseconds for each of them.
fn timed<T>(all: &[T], work: impl Fn(&T) -> Result<(), Failure>) -> Result<f64, Failure> {
    let begin = Instant::now();
    for one in all {
        work(one)?;
    }
    let micros = begin.elapsed().as_secs_f64() * 1e6;
    Ok(micros / u32::try_from(all.len()).map_or(f64::MAX, f64::from))
}

fn not_good(refused: &Refused) -> Failure {
    Failure::Internal(format!("a credential that is good is refused: {refused}"))
}

/// What is signed of a token, and the signature.
fn take_apart(token: &Token) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let apart = token.reveal().rsplit_once('.').and_then(|(message, signature)| {
        Some((message.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(signature).ok()?))
    });
    apart.ok_or_else(|| Failure::Internal("a token has another form".into()))
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

/// A public key as RFC 7517 has it.
#[derive(Deserialize)]
struct Key {
    kid: String,
    x: String,
    /// The other coordinate, of a key on P-256.
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    kid: String,
}

/// The key that signed a token.
fn key_of(jwks: &str, token: &str) -> Result<UnparsedPublicKey<Vec<u8>>, Failure> {
    let header = token.split('.').next().and_then(|head| URL_SAFE_NO_PAD.decode(head).ok());
    let header = header.and_then(|header| serde_json::from_slice::<Header>(&header).ok());
    let keys = serde_json::from_str::<KeySet>(jwks).map(|set| set.keys).unwrap_or_default();
    let key = header.and_then(|header| keys.into_iter().find(|key| key.kid == header.kid));
    let key = key.and_then(|key| {
        let x = URL_SAFE_NO_PAD.decode(key.x).ok()?;
        Some(match key.y {
            Some(y) => {
                let point = [vec![4], x, URL_SAFE_NO_PAD.decode(y).ok()?].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            }
            None => UnparsedPublicKey::new(&ED25519, x),
        })
    });
    key.ok_or_else(|| Failure::Internal("the key of a token is not published".into()))
}

fn figures(cuts: usize, rounds: &[Least]) -> CheckMeasured {
    let middle = |of: fn(&Least) -> f64| median(rounds.iter().map(of).collect());
    CheckMeasured {
        cuts,
        rounds: rounds.len(),
        bare_micros: rounded(middle(|least| least.bare), 1000.0),
        check_micros: rounded(middle(|least| least.unseen), 1000.0),
        check_seen_micros: rounded(middle(|least| least.seen), 1000.0),
        check_ratio: rounded(middle(|least| least.bare / least.unseen), 10_000.0),
        check_seen_speedup: rounded(middle(|least| least.bare / least.seen), 100.0),
    }
}

fn text(measured: &CheckMeasured) -> String {
    let line = |what: &str, micros: f64| format!("{what:<24} {micros:>9.3} µs");
    [
        line("bare verification", measured.bare_micros),
        line("check, never seen", measured.check_micros),
        line("check, seen before", measured.check_seen_micros),
        format!(
            "{:.3} of the bare rate, and {:.1} times it for tokens seen before; {} cuts, {} rounds",
            measured.check_ratio, measured.check_seen_speedup, measured.cuts, measured.rounds
        ),
    ]
    .join("\n")
}

/// How many tokens a slice checks, and how many slices there are in a round.
const TOKENS: u8 = 20;
const SLICES: u8 = 80;
const CONNECTIONS: usize = 4;
const ENDS_AT_ONCE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_medians_over_the_rounds() {
        let least = |bare, unseen, seen| Least { bare, unseen, seen };
        let rounds = [least(90.0, 100.0, 2.0), least(95.0, 100.0, 1.0), least(50.0, 100.0, 3.0)];
        let measured = figures(7, &rounds);
        assert!((measured.check_ratio - 0.9).abs() < 1e-9, "{measured:?}");
        assert!((measured.check_seen_speedup - 45.0).abs() < 1e-9, "{measured:?}");
        assert_eq!((measured.cuts, measured.rounds), (7, 3));
    }

    #[test]
    fn a_key_is_found_by_what_the_token_says() {
        let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"at+jwt","alg":"ES256","kid":"token-1"}"#);
        let jwks =
            |kid| format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"{kid}","x":"AQ","y":"Ag"}}]}}"#);
        let token = format!("{head}.e30.AA");
        assert_eq!(key_of(&jwks("token-1"), &token).unwrap().as_ref(), [4, 1, 2]);
        assert!(key_of(&jwks("token-2"), &token).is_err() && key_of("", &token).is_err());
    }
}
