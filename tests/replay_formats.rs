//! The same traffic gives the same output, as JSON lines or as Avro container files, in order or not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

fn run(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_trustline")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn json_lines_and_avro_give_the_same_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for format in ["jsonl", "avro"] {
        let (input, output) = (path(&format!("in-{format}")), path(&format!("out-{format}")));
        run(&[
            "generate",
            "--out",
            &input,
            "--seed",
            "5",
            "--persons",
            "600",
            "--days",
            "4",
            "--format",
            format,
        ]);
        run(&["replay", &input, "--out", &output]);
    }
    for name in ["moments.jsonl", "brand-trust.jsonl", "pattern-trust.jsonl", "alerts.jsonl", "ledger.json"] {
        let read =
            |format: &str| std::fs::read(Path::new(&path(&format!("out-{format}"))).join(name)).unwrap();
        let (json, avro) = (read("jsonl"), read("avro"));
        assert!(
            name == "alerts.jsonl" || name == "pattern-trust.jsonl" || json.len() > 1_000,
            "{name} has content"
        );
        assert!(json == avro, "{name} differs");
    }
}

/// Files in order are merged as they are read, others are held and sorted.
#[test]
fn the_order_of_lines_makes_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ordered, tied, reversed) = (path("ordered"), path("tied"), path("reversed"));
    for input in [&ordered, &tied, &reversed] {
        run(&["generate", "--out", input, "--seed", "6", "--persons", "400", "--days", "3"]);
    }
    // A second record of the same id and time, about another device: only the encoding tells them apart.
    let clicks = |input: &str| Path::new(input).join("clickstream.jsonl");
    let text = std::fs::read_to_string(clicks(&ordered)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = lines.len() / 2 + lines[lines.len() / 2..].iter().position(|l| l.contains("device_id")).unwrap();
    let mut second: serde_json::Value = serde_json::from_str(&lines[at]).unwrap();
    second["device_id"] = "another".into();
    lines.insert(at + 1, second.to_string());
    std::fs::write(clicks(&tied), lines.join("\n")).unwrap();
    lines.reverse();
    std::fs::write(clicks(&reversed), lines.join("\n")).unwrap();
    for input in [&ordered, &tied, &reversed] {
        run(&["replay", input, "--out", &format!("{input}-out")]);
    }
    let read =
        |input: &str, name: &str| std::fs::read(Path::new(&format!("{input}-out")).join(name)).unwrap();
    for name in ["moments.jsonl", "brand-trust.jsonl", "pattern-trust.jsonl", "alerts.jsonl", "ledger.json"] {
        assert!(read(&tied, name) == read(&reversed, name), "{name} differs");
        assert!(
            name == "ledger.json" || read(&tied, name) == read(&ordered, name),
            "{name} has the second record"
        );
    }
    let ledger: serde_json::Value = serde_json::from_slice(&read(&tied, "ledger.json")).unwrap();
    assert_eq!(ledger["clickstream"]["read"], lines.len());
}
