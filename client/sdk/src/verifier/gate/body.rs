//! A body that ends with what it rests on: each frame is handed on only while that is good, and whoever waits for the next
//! one is woken when it is good no more.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

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
        Self { inner: None, guard: None }
    }

    fn guarded(inner: B, watch: Watch, whose: Whose) -> Self {
        let vigil = Vigil::over(Arc::clone(&watch.basis));
        Self { inner: Some(inner), guard: Some(Guard { vigil, watch, whose }) }
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;
type Next<D> = Option<Result<Frame<D>, Fault>>;

impl<B: Body<Error: Into<Fault>>> Body for GuardedBody<B> {
    type Data = B::Data;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next<B::Data>> {
        let mut this = self.project();
        let (Some(inner), Some(guard)) = (this.inner.as_mut().as_pin_mut(), this.guard.as_mut()) else {
            return Poll::Ready(None);
        };
        let over = match inner.poll_frame(cx) {
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
        *this.guard = None;
        Poll::Ready(Some(last))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Guard {
    /// What a body ends with that is broken off.
    fn last<D>(&self, refused: Refused) -> Result<Frame<D>, Fault> {
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
