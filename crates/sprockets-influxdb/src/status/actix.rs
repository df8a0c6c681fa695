//! The page for actix-web.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Scope, web};

use super::background::Background;
use super::page::{HEADERS, PAGE, content_security_policy, wants_json};
use super::snapshot::snapshot;
use crate::client::Client;
use crate::middleware::RequestMeasurement;

/// The status page of a client at this path, for actix-web's `App::service`. See
/// [`status`](crate::status). A middleware does not record its requests.
pub fn scope(path: &str, client: Client) -> Scope {
    let policy = content_security_policy();
    let respond = move |measurement: RequestMeasurement, request: HttpRequest| {
        measurement.discard();
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let is_json = wants_json(request.query_string(), accept.unwrap_or_default());
        let (client, policy) = (client.clone(), policy.clone());
        async move { if is_json { json(client).await } else { page(policy) } }
    };
    web::scope(path).service(
        web::resource(["", "/"])
            .route(web::get().to(respond.clone()))
            .route(web::head().to(respond)),
    )
}

async fn json(client: Client) -> HttpResponse {
    match Background::run(move || snapshot(&client)).await {
        Some(json) => ok().content_type("application/json").body(json),
        None => HttpResponse::InternalServerError().finish(),
    }
}

fn page(policy: String) -> HttpResponse {
    ok().content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .body(PAGE)
}

fn ok() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    for name_and_value in HEADERS {
        response.insert_header(name_and_value);
    }
    response
}
