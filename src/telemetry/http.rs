//! HTTP: the live page, its data, `/metrics` and the probes.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use prometheus::{Registry, TextEncoder};
use serde::{Deserialize, Serialize};

use super::view::{LiveView, Series};
use crate::driver::health::Reason;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the server reads.
#[derive(Clone)]
pub struct Served {
    /// Locked shortly, never across an await.
    pub view: Arc<Mutex<LiveView>>,
    /// What `/metrics` exposes.
    pub registry: Registry,
    /// Why the process is not ready.
    pub not_ready: Arc<dyn Fn() -> Vec<Reason> + Send + Sync>,
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
        .route("/api/brand/{id}", get(brand))
        .route("/metrics", get(metrics))
        .route("/live", get(async || "live\n"))
        .route("/ready", get(ready))
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

#[derive(Serialize)]
struct Brand {
    brand_id: String,
    windows: BTreeMap<String, Series>,
}

async fn brand(
    State(served): State<Served>,
    Path(brand_id): Path<String>,
) -> Result<Json<Brand>, StatusCode> {
    let view = served.view.lock().unwrap_or_else(PoisonError::into_inner);
    let windows = view.of_brand(&brand_id).map(|(window, series)| (window.to_owned(), series.clone()));
    let windows: BTreeMap<_, _> = windows.collect();
    if windows.is_empty() { Err(StatusCode::NOT_FOUND) } else { Ok(Json(Brand { brand_id, windows })) }
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<Reason>,
}

async fn ready(State(served): State<Served>) -> (StatusCode, Json<Readiness>) {
    let reasons = (served.not_ready)();
    let ready = reasons.is_empty();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { ready, reasons }))
}

async fn metrics(State(served): State<Served>) -> impl IntoResponse {
    let text = TextEncoder::new().encode_to_string(&served.registry.gather()).unwrap_or_default();
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text)
}

fn trust(series: &Series) -> f64 {
    let newest = series.closed.as_ref().or(series.open.as_ref());
    newest.and_then(|record| record.trust).unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::telemetry::view::Progress;
    use crate::telemetry::view::tests::window;

    fn ask(view: LiveView, path: &str) -> String {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let reasons = view.not_ready();
        let not_ready = Arc::new(move || reasons.clone());
        let served = Served { view: Arc::new(Mutex::new(view)), registry: Registry::new(), not_ready };
        runtime.spawn(serve(listener, served, std::future::pending()));
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn readiness_tells_its_reasons() {
        let answer = ask(LiveView::default(), "/ready");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(
            answer.contains(r#"{"ready":false,"reasons":[{"code":"no_frontier","what":"no frontier yet"#),
            "{answer}"
        );
        let mut view = LiveView::default();
        view.progress(Progress { frontier: Some(1), ..Progress::default() });
        let answer = ask(view, "/ready");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"ready":true,"reasons":[]}"#));
    }

    #[test]
    fn a_brand_is_found_by_an_id_with_a_slash_and_a_stranger_is_not() {
        let mut view = LiveView::default();
        view.on_brand_trust(&window("a/b", 0, Some(40.0)));
        let answer = ask(view.clone(), "/api/brand/a%2Fb");
        assert!(answer.contains(r#""brand_id":"a/b","windows":{"1h":{"#), "{answer}");
        assert!(ask(view, "/api/brand/c").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn the_page_runs_nothing_but_its_own_script() {
        let answer = ask(LiveView::default(), "/");
        assert!(
            answer.contains("content-security-policy: default-src 'none'; script-src 'self';"),
            "{answer}"
        );
    }
}
