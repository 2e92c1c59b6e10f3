//! A request under way: until its answer comes, and while it comes, it rests on what let it in.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;

use super::{Basis, Denied, GuardedBody, Speech, Watch, answer::refusal};
use crate::verifier::vigil::{Vigil, Watched as _};

pin_project! {
    /// The answer to a request. When what let it in is good no more, the caller is refused at once, and what is under way
    /// is dropped as if the caller had gone.
    pub struct Answering<F> {
        #[pin]
        way: Way<F>,
    }
}

pin_project! {
    #[project = Stage]
    enum Way<F> {
        Refused { denied: Denied, speech: Speech },
        Inside { #[pin] future: F, vigil: Vigil<Arc<Basis>>, watch: Watch },
    }
}

impl<F> Answering<F> {
    pub(super) const fn refused(denied: Denied, speech: Speech) -> Self {
        Self { way: Way::Refused { denied, speech } }
    }

    pub(super) fn under_way(future: F, watch: Watch) -> Self {
        let vigil = Vigil::over(Arc::clone(&watch.basis));
        Self { way: Way::Inside { future, vigil, watch } }
    }
}

impl<F, R, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<GuardedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let refused = match this.way.as_mut().project() {
            Stage::Refused { denied, speech } => {
                return Poll::Ready(Ok(refusal(denied, *speech, GuardedBody::empty())));
            }
            Stage::Inside { future, vigil, watch } => match future.poll(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(response)) => match vigil.watched().judge() {
                    Ok(()) => {
                        let speech = watch.speech.of_response(response.headers());
                        let guard = |body| GuardedBody::of_response(body, Watch { speech, ..watch.clone() });
                        return Poll::Ready(Ok(response.map(guard)));
                    }
                    Err(refused) => (watch.over(refused), watch.speech),
                },
                Poll::Pending => match vigil.poll_over(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(refused) => (watch.over(refused), watch.speech),
                },
            },
        };
        let (denied, speech) = refused;
        let response = refusal(&denied, speech, GuardedBody::empty());
        // What is inside goes now, not when the caller has read the answer.
        this.way.set(Way::Refused { denied, speech });
        Poll::Ready(Ok(response))
    }
}
