//! The same traffic as JSON lines and as Avro container files gives the same output.
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
