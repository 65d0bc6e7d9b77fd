//! HTTP: the live page, its data, `/metrics` and the liveness probe.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use prometheus::{Registry, TextEncoder};
use serde::{Deserialize, Serialize};

use super::view::{LiveView, Series};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the server reads.
#[derive(Clone)]
pub struct Served {
    /// Locked shortly, never across an await.
    pub view: Arc<Mutex<LiveView>>,
    /// What `/metrics` exposes.
    pub registry: Registry,
}

/// Serves on a bound listener until `shutdown` resolves and open requests are answered.
///
/// # Errors
/// When the listener fails.
///
/// # Cancel safety
/// Dropping the future closes the listener; requests under way are cut off.
pub async fn serve(
    listener: tokio::net::TcpListener,
    served: Served,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let secure =
        [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CONTENT_TYPE, "text/html; charset=utf-8")];
    let routes = Router::new()
        .route("/", get(move || async move { (secure, include_str!("page/index.html")) }))
        .route(
            "/page.css",
            get(async || ([(header::CONTENT_TYPE, "text/css")], include_str!("page/page.css"))),
        )
        .route(
            "/page.js",
            get(async || ([(header::CONTENT_TYPE, "text/javascript")], include_str!("page/page.js"))),
        )
        .route("/api/status", get(status))
        .route("/api/brands", get(brands))
        .route("/metrics", get(metrics))
        .route("/live", get(async || "live\n"))
        .with_state(served);
    axum::serve(listener, routes).with_graceful_shutdown(shutdown).await
}

#[derive(Deserialize)]
struct BrandsQuery {
    window: Option<String>,
}

#[derive(Serialize)]
struct Row {
    brand_id: String,
    #[serde(flatten)]
    series: Series,
}

async fn status(State(served): State<Served>) -> Json<LiveView> {
    let view = served.view.lock().unwrap_or_else(PoisonError::into_inner);
    Json(view.summary())
}

async fn brands(State(served): State<Served>, Query(query): Query<BrandsQuery>) -> Json<Vec<Row>> {
    let window = query.window.unwrap_or_else(|| "1h".to_owned());
    let view = served.view.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rows: Vec<Row> = view
        .series(&window)
        .filter(|(_, series)| series.closed.is_some() || series.open.is_some())
        .map(|(brand, series)| Row { brand_id: brand.to_owned(), series: series.clone() })
        .collect();
    drop(view);
    rows.sort_by(|a, b| trust(&a.series).total_cmp(&trust(&b.series)));
    Json(rows)
}

async fn metrics(State(served): State<Served>) -> impl IntoResponse {
    let text = TextEncoder::new().encode_to_string(&served.registry.gather()).unwrap_or_default();
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text)
}

fn trust(series: &Series) -> f64 {
    let newest = series.closed.as_ref().or(series.open.as_ref());
    newest.and_then(|record| record.trust).unwrap_or(f64::INFINITY)
}
