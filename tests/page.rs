//! The page in a headless browser: empty, full, and with a brand id that tries to be code.

use std::process::Command;
use std::sync::{Arc, Mutex};

use trustline::event::output::BrandTrust;
use trustline::telemetry::http::{Served, serve};
use trustline::telemetry::view::LiveView;

fn brand(id: &str, trust: f64) -> BrandTrust {
    let mut value = serde_json::json!({"brand_id": id, "window_start": 0, "window_end": 3600000, "window": "1h",
        "status": "FINAL", "revision": 1, "brand_layer": 97.5, "completeness": 1.0, "late": 0, "dead_lettered": 0,
        "unreadable_share": 0.0, "partitions_incomplete": 0, "config_hash": "c"});
    value["trust"] = trust.into();
    value["trust_low"] = (trust - 2.0).into();
    value["trust_high"] = (trust + 2.0).into();
    value["experience"] = trust.into();
    serde_json::from_value(value).unwrap()
}

fn dom_of(view: LiveView, shot: &str) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let served = Served { view: Arc::new(Mutex::new(view)), registry: prometheus::Registry::new() };
    runtime.spawn(serve(listener, served, std::future::pending()));
    let folder = tempfile::tempdir().unwrap();
    let run = |extra: &str| {
        let output = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--window-size=1400,800",
                "--virtual-time-budget=2500",
            ])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .args([extra, &url])
            .output()
            .expect("run: apt-get install -y --no-install-recommends chromium");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&format!("--screenshot={}", std::env::temp_dir().join(shot).display()));
    run("--dump-dom")
}

#[test]
fn an_empty_page_says_what_it_waits_for() {
    let dom = dom_of(LiveView::default(), "trustline-page-empty.png");
    assert!(dom.contains("frontier –"), "{dom}");
    assert!(dom.contains(r#"<p id="empty">"#), "{dom}");
}

#[test]
fn a_full_page_shows_brands_and_runs_no_id_of_one() {
    let mut view = LiveView::default();
    view.on_brand_trust(&brand("acme", 31.25));
    view.on_brand_trust(&brand("<script>document.title='owned'</script>", 61.0));
    let dom = dom_of(view, "trustline-page-full.png");
    assert!(dom.contains("acme") && dom.contains("31.3 (29.3–33.3)"), "{dom}");
    assert!(dom.contains("&lt;script&gt;document.title="), "{dom}");
    assert!(dom.contains("<title>Trustline</title>"), "{dom}");
    assert!(dom.find("acme") < dom.find("&lt;script"), "least trusted first: {dom}");
}
