//! What the service does.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    future::{BoxFuture, FutureExt, ready},
    stream::{iter, once},
};
use tonic::{
    Request, Response, Status, Streaming,
    server::{ServerStreamingService, StreamingService, UnaryService},
};

type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// One message for one: the same.
pub(super) struct Say;

impl UnaryService<Bytes> for Say {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner()))).boxed()
    }
}

/// Never answers within the deadline that the client names, and says so then.
pub(super) struct Wait;

impl UnaryService<Bytes> for Wait {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let deadline = request.metadata().get("grpc-timeout").cloned();
        async move {
            let deadline = deadline.and_then(|text| microseconds(text.to_str().ok()?));
            let deadline = deadline.ok_or_else(|| Status::invalid_argument("no deadline"))?;
            tokio::time::sleep(deadline).await;
            Err(Status::deadline_exceeded("too late"))
        }
        .boxed()
    }
}

/// As tonic writes it (`TimeoutValue TimeoutUnit` of gRPC over HTTP/2).
fn microseconds(text: &str) -> Option<Duration> {
    text.strip_suffix('u')?.parse().ok().map(Duration::from_micros)
}

/// As many messages as the number in the client's says; behind them the status that all
/// is lost.
pub(super) struct Count;

impl ServerStreamingService<Bytes> for Count {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let text = String::from_utf8_lossy(request.get_ref()).into_owned();
        let Ok(count) = text.parse::<u32>() else {
            return ready(Err(Status::failed_precondition("no number"))).boxed();
        };
        let numbers = iter(0..count).map(|number| Ok(Bytes::from(number.to_string())));
        let end = once(ready(Err(Status::data_loss("all is lost"))));
        let messages: Messages = Box::pin(numbers.chain(end));
        ready(Ok(Response::new(messages))).boxed()
    }
}

/// Each message, as it comes.
pub(super) struct Chat;

impl StreamingService<Bytes> for Chat {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let messages: Messages = Box::pin(request.into_inner());
        ready(Ok(Response::new(messages))).boxed()
    }
}
