//! What axum knows of a request, and the extractor of its measurement.

use std::any::{Any, TypeId};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use axum::{Extension, Router, routing};
use http::request::Parts;
use http::{Extensions, Request};
use http_body::{Body as _, Frame, SizeHint};
use tower_service::Service;

use crate::middleware::guard::RequestGuard;
use crate::middleware::handle::RequestMeasurement;
use crate::middleware::outcome::RequestBytes;

/// Never fails: without a middleware, the measurement is dropped.
impl<S: Sync> FromRequestParts<S> for RequestMeasurement {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

pub(super) fn describe<Q: 'static>(guard: &mut RequestGuard, request: &mut Request<Q>) {
    let extensions = request.extensions();
    if let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() {
        guard.remote_ip(peer.ip());
    }
    if !guard.is_grpc() {
        if let Some(route) = extensions.get::<MatchedPath>() {
            guard.endpoint(route.as_str());
        } else if TypeId::of::<Q>() == TypeId::of::<Body>() {
            // Only a request of axum's router can be for a nested service.
            if let Some(route) = nested_service(extensions) {
                guard.endpoint(route.as_str());
            }
        }
    }
    // Only a body of axum's own type keeps its type when it is wrapped.
    let request: &mut dyn Any = request;
    if let Some(request) = request.downcast_mut::<Request<Body>>() {
        if request.body().size_hint().exact().is_none() {
            let inner = std::mem::take(request.body_mut());
            *request.body_mut() = Body::new(CountedBody { inner, received: guard.count_request() });
        }
    }
}

/// The place of the service of `Router::nest_service` that matched, such as `/files/{*rest}`.
///
/// axum does not tell it, but the routes of a router inside the nested service begin with it. So
/// this calls a router as if it were the nested service.
fn nested_service(extensions: &Extensions) -> Option<MatchedPath> {
    const ROUTE: &str = "/{*rest}";
    static INSIDE: LazyLock<Router> = LazyLock::new(|| {
        Router::new().route(ROUTE, routing::any(async |path: MatchedPath| Extension(path)))
    });
    let mut request = Request::get("/rest").body(Body::empty()).ok()?;
    request.extensions_mut().clone_from(extensions);
    let response = pin!(INSIDE.clone().call(request)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(mut response)) = response else { return None };
    response.extensions_mut().remove::<MatchedPath>().filter(|path| path.as_str() != ROUTE)
}

/// Counts the bytes of a request body without a length header.
struct CountedBody {
    inner: Body,
    received: RequestBytes,
}

impl http_body::Body for CountedBody {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.received.add(frame.data_ref().map_or(0, bytes::Bytes::len));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
