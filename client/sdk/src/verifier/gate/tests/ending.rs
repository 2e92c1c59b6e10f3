//! What was let in ends: bodies and requests under way, by a cut, by time, and by silence, also while nothing moves.

use std::{pin::pin, task::Poll, time::Duration};

use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::*;

type Stream = UnsyncBoxBody<Bytes, Infallible>;

/// A body that brings what is sent here.
fn stream() -> (mpsc::Sender<&'static str>, Stream) {
    let (send, frames) = mpsc::channel(8);
    let frames = ReceiverStream::new(frames)
        .map(|text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes()))));
    (send, StreamBody::new(frames).boxed_unsync())
}

/// A stream that was let in, and what feeds it.
async fn streaming(
    gate: &Gate,
    request: Request<Empty<Bytes>>,
) -> (mpsc::Sender<&'static str>, GuardedBody<Stream>) {
    streaming_as(gate, request, "application/json").await
}

async fn streaming_as(
    gate: &Gate,
    request: Request<Empty<Bytes>>,
    kind: &'static str,
) -> (mpsc::Sender<&'static str>, GuardedBody<Stream>) {
    let (send, body) = stream();
    let mut body = Some(body);
    let service = gate.layer(service_fn(move |_| {
        let mut response = Response::new(body.take().unwrap());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        async { Ok::<_, Infallible>(response) }
    }));
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    (send, response.into_body())
}

async fn text<B: Body<Data = Bytes, Error: fmt::Debug> + Unpin>(body: &mut B) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

/// Why the stream broke off.
async fn broken<B: Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Unpin>(
    body: &mut B,
) -> Denied {
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(body.frame().await.is_none() && body.is_end_stream(), "nothing comes after the end");
    *error.downcast().unwrap()
}

fn cut(node: &str) -> Denied {
    let at = daypass_credential::Revision::new(101);
    Denied::Over(Refused::Cut { node: node.parse().unwrap(), cut: at })
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_is_woken_by_a_cut() {
    for node in ["vendor:acme", "credential:42", "credential:41"] {
        let scene = Scene::new();
        let (send, mut body) = streaming(&scene.gate(), scene.good()).await;
        send.send("one").await.unwrap();
        assert_eq!(text(&mut body).await, "one");
        let begun = Instant::now();
        let waiting = tokio::spawn(async move { broken(&mut body).await });
        // The stream waits before the cut comes.
        tokio::task::yield_now().await;
        scene.forge.cut(node);
        assert_eq!(waiting.await.unwrap(), cut(node), "{node}");
        assert_eq!(begun.elapsed(), Duration::ZERO, "no timer was needed");
        assert!(send.is_closed(), "its source hears of it");
    }
}

#[tokio::test(start_paused = true)]
async fn another_vendors_end_leaves_it_open() {
    let scene = Scene::new();
    let (send, mut body) = streaming(&scene.gate(), scene.good()).await;
    let waiting = tokio::spawn(async move { text(&mut body).await });
    for n in 0..100 {
        scene.forge.cut(&format!("vendor:v{n}"));
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    send.send("still here").await.unwrap();
    assert_eq!(waiting.await.unwrap(), "still here");
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_after_the_cut_is_not_handed_on() {
    let scene = Scene::new();
    let (send, mut body) = streaming(&scene.gate(), scene.good()).await;
    send.send("one").await.unwrap();
    send.send("two").await.unwrap();
    assert_eq!(text(&mut body).await, "one");
    scene.forge.cut("vendor:acme");
    assert_eq!(broken(&mut body).await, cut("vendor:acme"));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_in_mid_stream_ends_it_in_that_instant() {
    let Scene { forge, proof, .. } = Scene::new();
    let token = forge.token(&Claim { bound: Some(&proof), lasts: 10, ..Claim::default() });
    let gate = Gate::new(&forge.verifier, peer, read());
    let begun = Instant::now();
    let (_send, mut body) = streaming(&gate, bearing(Some(&proof), &token)).await;
    assert_eq!(broken(&mut body).await, Denied::Over(Refused::Expired));
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_expires_in_mid_stream_ends_what_an_unbound_token_opened() {
    let forge = Forge::new();
    let proof = forge.billing.proof(&Leaf { lasts: 20, ..Leaf::default() });
    let token = forge.token(&Claim::default());
    let begun = Instant::now();
    let gate = Gate::new(&forge.verifier, peer, read());
    let (_send, mut body) = streaming(&gate, bearing(Some(&proof), &token)).await;
    assert_eq!(broken(&mut body).await, Denied::Over(Refused::Expired));
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_the_verifier_was_cut_off_for_too_long_and_not_before() {
    let scene = Scene::new();
    let begun = Instant::now();
    let (_send, mut body) = streaming(&scene.gate(), scene.good()).await;
    let waiting = tokio::spawn(async move { broken(&mut body).await });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        scene.forge.refresh();
    }
    assert_eq!(waiting.await.unwrap(), Denied::Over(Refused::Stale));
    assert_eq!(begun.elapsed(), Duration::from_secs(60 + 30), "from the last proof");
}

#[tokio::test(start_paused = true)]
async fn after_a_suspension_nothing_is_handed_on_though_timers_stood_still() {
    let scene = Scene::new();
    let (send, mut body) = streaming(&scene.gate(), scene.good()).await;
    scene.forge.skip(LIMIT.as_millis());
    send.send("late").await.unwrap();
    assert_eq!(broken(&mut body).await, Denied::Over(Refused::Stale));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_grpc_ends_with_a_status() {
    for (silence, status) in [(false, "16"), (true, "14")] {
        let scene = Scene::new();
        let (_send, mut body) = streaming_as(&scene.gate(), as_grpc(scene.good()), "application/grpc").await;
        let waiting = tokio::spawn(async move { (body.frame().await, body.frame().await.is_none()) });
        tokio::task::yield_now().await;
        if !silence {
            scene.forge.cut("vendor:acme");
        }
        let (last, over) = waiting.await.unwrap();
        let trailers = last.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!((trailers["grpc-status"].to_str().unwrap(), over), (status, true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_none_of_grpc_has_no_end_that_looks_whole() {
    let scene = Scene::new();
    let (_send, mut body) = streaming(&scene.gate(), as_grpc(scene.good())).await;
    scene.forge.cut("vendor:acme");
    assert_eq!(broken(&mut body).await, cut("vendor:acme"));
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_still_sends_ends_too() {
    for grpc in [false, true] {
        let scene = Scene::new();
        let (send, body) = stream();
        let request = scene.good().map(|_| body);
        let request = if grpc { as_grpc(request) } else { request };
        let (tell, mut told) = mpsc::channel(1);
        let service = scene.gate().layer(service_fn(move |request: Request<GuardedBody<Stream>>| {
            // The handler goes on by itself, as one does that takes in a stream.
            let (mut body, tell) = (request.into_body(), tell.clone());
            tokio::spawn(async move {
                assert_eq!(text(&mut body).await, "one");
                let error = body.frame().await.unwrap().unwrap_err();
                tell.send(error.downcast_ref().map(tonic::Status::code)).await.unwrap();
            });
            async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
        }));
        service.oneshot(request).await.unwrap();
        send.send("one").await.unwrap();
        tokio::task::yield_now().await;
        scene.forge.cut("application:sync");
        assert_eq!(told.recv().await, Some(grpc.then_some(tonic::Code::Unauthenticated)));
    }
}

/// Tells when it is dropped.
struct Gone(Arc<Mutex<bool>>);

impl Drop for Gone {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = true;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_is_refused_at_once_and_dropped() {
    let scene = Scene::new();
    let dropped = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&dropped);
    let service = scene.gate().layer(service_fn(move |_| {
        let gone = Gone(Arc::clone(&seen));
        async move {
            let _gone = gone;
            std::future::pending::<Result<Ok200, Infallible>>().await
        }
    }));
    let mut answer = pin!(service.oneshot(scene.good()));
    assert!(futures_poll(answer.as_mut()).await.is_pending());
    scene.forge.cut("vendor:acme");
    let Poll::Ready(response) = futures_poll(answer.as_mut()).await else {
        panic!("it does not wait for the handler");
    };
    assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert!(*dropped.lock().unwrap());
}

/// Polls once.
async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_ready_after_the_cut_is_not_given() {
    let scene = Scene::new();
    let (done, wait) = tokio::sync::oneshot::channel::<()>();
    let mut wait = Some(wait);
    let service = scene.gate().layer(service_fn(move |_| {
        let wait = wait.take().unwrap();
        async move {
            wait.await.unwrap();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("secret")))
        }
    }));
    let mut answer = pin!(service.oneshot(scene.good()));
    assert!(futures_poll(answer.as_mut()).await.is_pending());
    scene.forge.cut("vendor:acme");
    done.send(()).unwrap();
    let response = answer.await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn work_outside_of_bodies_can_wait_for_the_end() {
    let scene = Scene::new();
    let (tell, mut told) = mpsc::channel(1);
    let service = scene.gate().layer(service_fn(move |request: Request<GuardedBody<Empty<Bytes>>>| {
        let (granted, tell) = (request.extensions().get::<Granted>().unwrap().clone(), tell.clone());
        tokio::spawn(async move { tell.send(granted.over().await).await });
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    }));
    service.oneshot(scene.good()).await.unwrap();
    tokio::task::yield_now().await;
    assert!(told.try_recv().is_err());
    scene.forge.cut("vendor:acme");
    assert!(matches!(told.recv().await, Some(Refused::Cut { .. })));
}

#[tokio::test(start_paused = true)]
async fn of_a_large_frame_no_more_is_handed_on_after_the_cut_than_before() {
    let scene = Scene::new();
    let large = Bytes::from(vec![7; 1_000_000]);
    let service = scene.gate().layer(service_fn(|_| {
        let response = Response::new(Full::new(large.clone()));
        async { Ok::<_, Infallible>(response) }
    }));
    let whole = service.clone().oneshot(scene.good()).await.unwrap().into_body();
    assert_eq!(whole.size_hint().exact(), Some(1_000_000));
    assert_eq!(whole.collect().await.unwrap().to_bytes(), large, "nothing is lost or out of order");

    let mut body = service.oneshot(scene.good()).await.unwrap().into_body();
    let first = text(&mut body).await.len() as u64;
    assert!(first <= 16 * 1024, "{first} bytes at once");
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(1_000_000 - first), false));
    scene.forge.cut("vendor:acme");
    assert_eq!(broken(&mut body).await, cut("vendor:acme"));
}
