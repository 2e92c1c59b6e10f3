//! A body that ends with what it rests on: each frame is handed on only while that is good, and whoever waits for the next
//! one is woken when it is good no more.
//!
//! Frames are handed on in small pieces: a large one would lie in the server's buffers by then, and be sent for as long as
//! the caller takes to read it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    Basis, Denied, Refused, Speech, Watch,
    answer::{Heard, trailers},
};
use crate::verifier::vigil::{Vigil, Watched as _};

pin_project! {
    /// The body of a request or of an answer that was let through a [`Gate`](super::Gate). It breaks off with an error, or
    /// with the trailers of gRPC, when the credential is cut or expires, or when the verifier is cut off for too long.
    pub struct GuardedBody<B> {
        #[pin]
        inner: Option<B>,
        guard: Option<Guard>,
        // Of the frame that came last, what was not handed on yet.
        rest: Bytes,
    }
}

struct Guard {
    vigil: Vigil<Arc<Basis>>,
    watch: Watch,
    whose: Whose,
}

/// Who sends the body.
#[derive(Clone, Copy)]
enum Whose {
    Callers,
    Ours,
}

impl<B> GuardedBody<B> {
    pub(super) fn of_request(inner: B, watch: Watch) -> Self {
        Self::guarded(inner, watch, Whose::Callers)
    }

    pub(super) fn of_response(inner: B, watch: Watch) -> Self {
        Self::guarded(inner, watch, Whose::Ours)
    }

    /// The body of a refusal.
    pub(super) const fn empty() -> Self {
        Self { inner: None, guard: None, rest: Bytes::new() }
    }

    fn guarded(inner: B, watch: Watch, whose: Whose) -> Self {
        let vigil = Vigil::over(Arc::clone(&watch.basis));
        let guard = Some(Guard { vigil, watch, whose });
        Self { inner: Some(inner), guard, rest: Bytes::new() }
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

impl<B: Body<Error: Into<Fault>>> Body for GuardedBody<B> {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let mut this = self.project();
        let (Some(inner), Some(guard)) = (this.inner.as_mut().as_pin_mut(), this.guard.as_mut()) else {
            return Poll::Ready(None);
        };
        let next = if this.rest.is_empty() {
            inner.poll_frame(cx).map(|next| next.map(|frame| frame.map(|frame| begun(frame, this.rest))))
        } else {
            Poll::Ready(Some(Ok(Frame::data(piece(this.rest)))))
        };
        let over = match next {
            Poll::Ready(Some(Ok(frame))) => match guard.vigil.watched().judge() {
                Ok(()) => return Poll::Ready(Some(Ok(frame))),
                Err(refused) => refused,
            },
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => match guard.vigil.poll_over(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(refused) => refused,
            },
        };
        let last = guard.last(over);
        // Nothing inside goes on for a caller who hears nothing more.
        this.inner.set(None);
        (*this.guard, *this.rest) = (None, Bytes::new());
        Poll::Ready(Some(last))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut both = SizeHint::new();
        both.set_lower(inner.lower().saturating_add(rest));
        if let Some(most) = inner.upper().and_then(|most| most.checked_add(rest)) {
            both.set_upper(most);
        }
        both
    }
}

/// The frame, if it is small, or its first piece; what it has beyond that stays.
fn begun(frame: Frame<impl Buf>, rest: &mut Bytes) -> Frame<Bytes> {
    frame.map_data(|mut data| {
        *rest = data.copy_to_bytes(data.remaining());
        piece(rest)
    })
}

fn piece(rest: &mut Bytes) -> Bytes {
    rest.split_to(rest.len().min(PIECE))
}

/// The most that is handed on by one verdict: as much as fits into a frame of HTTP/2, or a record of TLS.
const PIECE: usize = 16 * 1024;

impl Guard {
    /// What a body ends with that is broken off.
    fn last(&self, refused: Refused) -> Result<Frame<Bytes>, Fault> {
        let denied = self.watch.over(refused);
        match (self.watch.speech, self.whose) {
            (Speech::Grpc, Whose::Ours) => Ok(Frame::trailers(trailers(Heard::of(&denied)))),
            (Speech::Grpc, Whose::Callers) => Err(Box::new(status(&denied))),
            (Speech::Http, Whose::Ours | Whose::Callers) => Err(Box::new(denied)),
        }
    }
}

/// As a handler of tonic meets it.
fn status(denied: &Denied) -> tonic::Status {
    let (code, message) = Heard::of(denied).grpc();
    tonic::Status::new(tonic::Code::from_bytes(code.as_bytes()), message)
}
