//! The page in a headless browser: light and dark, empty and full, and with a brand id that tries to be code.
//!
//! Screenshots are left in the folder for temporary files, to be looked at.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use trustline::event::output::{BrandTrust, PatternTrust, TrustAlert, TrustMoment};
use trustline::telemetry::http::{Served, serve};
use trustline::telemetry::view::{LiveView, Progress};
use trustline::time::HOUR_MS;

const LIGHT: &str = "--blink-settings=preferredColorScheme=1";
const DARK: &str = "--blink-settings=preferredColorScheme=0";

fn brand(id: &str, hour: i64, trust: Option<f64>) -> BrandTrust {
    let mut value = json!({"brand_id": id, "window_start": hour * HOUR_MS, "window_end": (hour + 1) * HOUR_MS,
        "window": "1h", "status": "INSUFFICIENT_DATA", "revision": 1, "brand_layer": 97.5, "completeness": 1.0,
        "late": 0, "dead_lettered": 2, "unreadable_share": 0.0, "partitions_incomplete": 0, "config_hash": "c"});
    if let Some(trust) = trust {
        value["status"] = "FINAL".into();
        value["trust"] = trust.into();
        value["trust_low"] = (trust - 2.0).into();
        value["trust_high"] = (trust + 2.0).into();
        value["experience"] = trust.into();
        value["people_reached"] = 1_234.into();
    }
    serde_json::from_value(value).unwrap()
}

fn pattern(id: &str, hour: i64, name: &str, more: Value) -> PatternTrust {
    let mut value = json!({"brand_id": id, "window_start": hour * HOUR_MS, "window_end": (hour + 1) * HOUR_MS,
        "window": "1h", "status": "FINAL", "revision": 1, "pattern": name, "evaluated": false,
        "contribution": 0.0, "config_hash": "c"});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

fn moment(id: &str, name: &str, status: &str, weight: f64) -> TrustMoment {
    let value = json!({"moment_id": "m", "revision": 1, "status": status, "brand_id": id, "person": "c0ffee",
        "pattern": name, "severity": 2, "weight": weight, "event_time": HOUR_MS, "opened_time": 0,
        "opening_event": "e", "anchor": null, "evidence": "{}", "explanation": "The person was asked again and again.",
        "config_hash": "c"});
    serde_json::from_value(value).unwrap()
}

fn alert() -> TrustAlert {
    let value = json!({"alert_id": "a", "kind": "SCORE_DROP", "state": "OPEN", "brand_id": "acme", "since": 0,
        "at": HOUR_MS, "summary": "The experience of people reached by acme fell."});
    serde_json::from_value(value).unwrap()
}

/// A view with some of everything; acme is the least trusted brand.
fn full() -> LiveView {
    let mut view = LiveView::default();
    for hour in 0..60 {
        let wave = f64::from(i32::try_from(hour % 7).unwrap());
        view.on_brand_trust(&brand("acme", hour, Some(if hour < 50 { 52.0 - wave } else { 31.25 })));
        view.on_brand_trust(&brand("globex", hour, Some(71.0 + wave)));
        view.on_brand_trust(&brand("few", hour, None));
    }
    view.on_brand_trust(&BrandTrust {
        status: "PROVISIONAL".to_owned(),
        trust_low: None,
        trust_high: None,
        ..brand("acme", 60, Some(28.5))
    });
    view.on_pattern_trust(&pattern(
        "acme",
        59,
        "consent_nagging",
        json!({"evaluated": true, "contribution": -42.5, "at_risk": 900, "affected_1": 12, "affected_2": 30,
            "affected_3": 4, "incidence": 0.0511, "incidence_low": 0.0377, "incidence_high": 0.0664, "weight": -0.6,
            "rate_ratio": 2.4, "rate_ratio_low": 1.2, "rate_ratio_high": 4.8}),
    ));
    let small = json!({"evaluated": true, "contribution": 1.25});
    view.on_pattern_trust(&pattern("acme", 59, "timely_notification", small));
    view.on_pattern_trust(&pattern("acme", 59, "nostalgic_recap", json!({})));
    view.on_moment(&moment("acme", "consent_nagging", "OPEN", -0.6));
    view.on_moment(&moment("globex", "nostalgic_recap", "OPEN", 0.2));
    view.on_moment(&moment("globex", "unpermitted_message", "RETRACTED", -0.8));
    view.on_alert(&alert());
    view.banners = vec!["Planted bad: campaign acme-4.".to_owned(), "Found: 46 moments.".to_owned()];
    view.progress(Progress {
        frontier: Some(60 * HOUR_MS),
        newest_event: Some(60 * HOUR_MS + 30_000),
        read: 123_456,
        applied: 123_400,
        dead_lettered: 50,
        late: 6,
    });
    view
}

/// The document after its script ran; also leaves a screenshot.
fn dom_of(view: LiveView, hash: &str, scheme: &str, shot: &str) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}/{hash}", listener.local_addr().unwrap());
    let view = Arc::new(Mutex::new(view));
    let not_ready = Arc::new(Vec::new);
    let served = Served { view, registry: prometheus::Registry::new(), not_ready };
    runtime.spawn(serve(listener, served, std::future::pending()));
    let folder = tempfile::tempdir().unwrap();
    let run = |extra: &str| {
        let output = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--window-size=1400,900",
                "--virtual-time-budget=2500",
            ])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .args([scheme, extra, &url])
            .output()
            .expect("run: apt-get install -y --no-install-recommends chromium");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&format!("--screenshot={}", std::env::temp_dir().join(shot).display()));
    run("--dump-dom")
}

/// Brightness of a pixel in the page's corner, from a screenshot in true colours.
fn corner(shot: &str) -> u8 {
    let bytes = std::fs::read(std::env::temp_dir().join(shot)).unwrap();
    let mut pixels = Vec::new();
    let mut at = 8;
    while at + 8 <= bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if &bytes[at + 4..at + 8] == b"IDAT" {
            pixels.extend_from_slice(&bytes[at + 8..at + 8 + length]);
        }
        at += length + 12;
    }
    // The first byte tells the filter of the first row; its first pixel has no neighbours, so whatever the
    // filter, its bytes are as they are.
    let mut start = [0; 2];
    std::io::Read::read_exact(&mut flate2::read::ZlibDecoder::new(&pixels[..]), &mut start).unwrap();
    start[1]
}

#[test]
fn an_empty_page_says_what_it_waits_for() {
    let dom = dom_of(LiveView::default(), "", LIGHT, "trustline-page-empty.png");
    assert!(dom.contains("frontier <b>–</b>"), "{dom}");
    assert!(dom.contains(r#"<p id="empty">"#) && dom.contains(r#"<p id="quiet">"#), "{dom}");
    assert!(dom.contains(r#"<table id="table" hidden="">"#), "{dom}");
    assert!(dom.contains(r#"aria-label="Open alerts" hidden="">"#), "{dom}");
    assert!(corner("trustline-page-empty.png") > 200, "light");
    dom_of(LiveView::default(), "", DARK, "trustline-page-empty-dark.png");
    assert!(corner("trustline-page-empty-dark.png") < 60, "dark");
}

#[test]
fn a_full_page_shows_brands_movers_moments_alerts_and_banners() {
    let dom = dom_of(full(), "", LIGHT, "trustline-page-full.png");
    for shown in [
        r#"<span class="big">31.3</span><span class="sub">29.3 – 33.3</span><span class="sub">now 28.5 provisional</span>"#,
        "<span>consent nagging</span><span class=\"ink\">−42.5</span>",
        r#"aria-label="trust 31.3, interval 29.3 to 33.3""#,
        r#"aria-label="trust of 60 closed windows""#,
        r#"<span class="sub">too few people</span>"#,
        r#"<li class="bad gone">"#,
        "The person was asked again and again.",
        "<span class=\"tag\">score drop</span><span>The experience of people reached by acme fell.</span>",
        "<p>Found: 46 moments.</p>",
        "lag <b>30 s</b>",
        "dead letters <b>50</b>",
    ] {
        assert!(dom.contains(shown), "{shown} is not in {dom}");
    }
    assert!(!dom.contains("c0ffee"), "no pseudonym of a person is shown");
    let at = |brand: &str| dom.find(&format!("data-brand=\"{brand}\"")).unwrap();
    assert!(at("acme") < at("globex") && at("globex") < at("few"), "least trusted first: {dom}");
    assert!(corner("trustline-page-full.png") > 200, "light");
}

#[test]
fn a_brand_that_is_chosen_shows_its_patterns_in_the_dark() {
    let dom = dom_of(full(), "#brand=acme", DARK, "trustline-page-detail-dark.png");
    for shown in [
        r#"aria-expanded="true">acme<"#,
        "5.11 %<span class=\"sub\">3.77 – 6.64 %</span>",
        "12 / 30 / 4",
        "× 2.40<span class=\"sub\">1.20 – 4.80</span>",
        "It is an association, not an effect.",
        "Too few people at risk: nostalgic recap.",
        "<dt>People reached</dt><dd>1,234</dd>",
    ] {
        assert!(dom.contains(shown), "{shown} is not in {dom}");
    }
    assert!(corner("trustline-page-detail-dark.png") < 60, "dark");
}

#[test]
fn an_id_of_a_brand_is_text_and_nothing_else() {
    let mut view = LiveView::default();
    view.on_brand_trust(&brand("<script>document.title='owned'</script>", 0, Some(61.0)));
    let dom = dom_of(
        view,
        "#brand=%3Cscript%3Edocument.title%3D%27owned%27%3C/script%3E",
        DARK,
        "trustline-page-id.png",
    );
    assert!(dom.contains("&lt;script&gt;document.title="), "{dom}");
    assert!(dom.contains("<title>Trustline</title>") && dom.contains("Trust over time"), "{dom}");
}
