//! The page for axum.

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::background::Background;
use super::page::{HEADERS, PAGE, content_security_policy, wants_json};
use super::snapshot::snapshot;
use crate::client::Client;
use crate::middleware::RequestMeasurement;

/// The status page of a client, for axum's `Router::nest`. See [`status`](crate::status). A
/// middleware does not record its requests.
pub fn router<S: Clone + Send + Sync + 'static>(client: Client) -> Router<S> {
    let policy = content_security_policy();
    let respond = move |request: RequestMeasurement, query: RawQuery, headers: HeaderMap| {
        request.discard();
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let is_json = wants_json(&query.0.unwrap_or_default(), accept.unwrap_or_default());
        let (client, policy) = (client.clone(), policy.clone());
        async move { if is_json { json(client).await } else { page(policy) } }
    };
    Router::new().route("/", get(respond))
}

async fn json(client: Client) -> Response {
    match Background::run(move || snapshot(&client)).await {
        Some(json) => (HEADERS, [("content-type", "application/json")], json).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn page(policy: String) -> Response {
    let content_type = "text/html; charset=utf-8".to_owned();
    let headers = [("content-type", content_type), ("content-security-policy", policy)];
    (HEADERS, headers, PAGE).into_response()
}
