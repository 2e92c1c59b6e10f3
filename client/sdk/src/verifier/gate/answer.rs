//! What a caller hears who is refused: a status of HTTP with the challenge of RFC 6750, or one of gRPC. It tells whether to
//! come back with something else or later, and never why.

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Version,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    request::Parts,
};

use super::{Denied, Refused};

/// How the caller is to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Http,
    Grpc,
}

impl Speech {
    /// As the request speaks. gRPC is a POST of HTTP/2, and anything else that calls itself so is none: its refusals would
    /// have a status that means success to whatever stands between.
    pub(super) fn of_request(parts: &Parts) -> Self {
        if parts.version >= Version::HTTP_2 && parts.method == Method::POST {
            Self::of(&parts.headers)
        } else {
            Self::Http
        }
    }

    /// As the answer to such a request does: a service that is none of gRPC sends no statuses behind its bodies.
    pub(super) fn of_response(self, headers: &HeaderMap) -> Self {
        match self {
            Self::Http => Self::Http,
            Self::Grpc => Self::of(headers),
        }
    }

    /// What is called gRPC-Web is HTTP here: its statuses lie in bodies.
    fn of(headers: &HeaderMap) -> Self {
        let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        match kind.strip_prefix(b"application/grpc") {
            Some([] | [b'+' | b';' | b' ', ..]) => Self::Grpc,
            Some(_) | None => Self::Http,
        }
    }
}

/// What a refusal is to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing was shown that could be judged.
    Show,
    /// It was shown in a way that cannot be read.
    Unreadable,
    /// Token or certificate are not good, for whatever reason: others may be.
    NotGood,
    /// A certificate is missing, or nobody may do this: another token would not help.
    Forbidden,
    /// A token for something else.
    Scope,
    /// It cannot be judged now.
    Later,
    /// The service is not set up right.
    Fault,
}

impl Heard {
    pub(super) fn of(denied: &Denied) -> Self {
        match denied {
            Denied::NoConnection => Self::Fault,
            Denied::NoRule | Denied::NoCertificate => Self::Forbidden,
            Denied::NoToken => Self::Show,
            Denied::Unreadable => Self::Unreadable,
            Denied::Token(Refused::Scope(_)) => Self::Scope,
            Denied::Certificate(Refused::NoAudience) | Denied::Token(Refused::NoAudience) => Self::Fault,
            Denied::Certificate(refused) | Denied::Token(refused) | Denied::Over(refused) => {
                if refused.is_own_state() { Self::Later } else { Self::NotGood }
            }
        }
    }

    const fn http(self) -> (StatusCode, Option<&'static str>) {
        match self {
            Self::Show => (StatusCode::UNAUTHORIZED, Some("Bearer")),
            Self::Unreadable => (StatusCode::BAD_REQUEST, Some(r#"Bearer error="invalid_request""#)),
            Self::NotGood => (StatusCode::UNAUTHORIZED, Some(r#"Bearer error="invalid_token""#)),
            Self::Scope => (StatusCode::FORBIDDEN, Some(r#"Bearer error="insufficient_scope""#)),
            Self::Forbidden => (StatusCode::FORBIDDEN, None),
            Self::Later => (StatusCode::SERVICE_UNAVAILABLE, None),
            Self::Fault => (StatusCode::INTERNAL_SERVER_ERROR, None),
        }
    }

    /// The number and the word of gRPC.
    pub(super) const fn grpc(self) -> (&'static str, &'static str) {
        match self {
            Self::Show | Self::Unreadable | Self::NotGood | Self::Forbidden => ("16", "not good"),
            Self::Scope => ("7", "not for this"),
            Self::Later => ("14", "cannot check now"),
            Self::Fault => ("13", "not set up"),
        }
    }
}

/// The whole answer, without a body.
pub(super) fn refusal<B>(denied: &Denied, speech: Speech, empty: B) -> Response<B> {
    let (heard, mut response) = (Heard::of(denied), Response::new(empty));
    let headers = response.headers_mut();
    match speech {
        Speech::Grpc => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.extend(trailers(heard));
        }
        Speech::Http => {
            let (status, challenge) = heard.http();
            if let Some(challenge) = challenge {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            if heard == Heard::Later {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            *response.status_mut() = status;
        }
    }
    response
}

/// What ends a stream of gRPC.
pub(super) fn trailers(heard: Heard) -> HeaderMap {
    let (code, message) = heard.grpc();
    let pairs = [("grpc-status", code), ("grpc-message", message)];
    pairs
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect()
}
