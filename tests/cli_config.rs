//! The binary's `config`, `pseudonym` and `completions`: output, environment and exit codes.

use std::path::Path;
use std::process::{Command, Output};

fn trustline(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trustline"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRUSTLINE_") {
            command.env_remove(name);
        }
    }
    command.args(args).envs(environment.iter().copied()).output().expect("the binary runs")
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text")
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn what_init_writes_passes_check_and_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trustline.toml").display().to_string();
    let first = trustline(&["config", "init", "--out", &path], &[]);
    assert_eq!(first.status.code(), Some(0), "{}", err(&first));
    assert_eq!(std::fs::read_to_string(&path).expect("text"), out(&trustline(&["config", "init"], &[])));
    let checked = trustline(&["config", "check", &path], &[]);
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
    let again = trustline(&["config", "init", "--out", &path], &[]);
    assert_eq!(again.status.code(), Some(2));
    assert!(err(&again).contains("cannot write the configuration"), "{}", err(&again));
}

#[test]
fn check_tells_every_problem_with_its_place_and_ends_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "bad.toml", "[tiem]\nx = 1\n[http]\nlisten = 'nowhere'\n");
    let variable = ("TRUSTLINE__TIME__LATE_MEMORY_MS", "-1");
    let told = trustline(&["config", "check", &path], &[variable]);
    assert_eq!(told.status.code(), Some(2));
    let text = err(&told);
    for line in [
        "3 problems".to_owned(),
        format!("{path}:1:2: tiem: unknown key; did you mean `time`?"),
        format!("{path}:4:10: http.listen = \"nowhere\": must be an IP address and a port"),
        "environment variable TRUSTLINE__TIME__LATE_MEMORY_MS: time.late_memory_ms = -1: must be".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}\nnot in\n{text}");
    }
    let json = trustline(&["config", "check", "--json", "--config", &path], &[variable]);
    assert_eq!(json.status.code(), Some(2));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["ok"], false);
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["problems"][0]["path"], "tiem");
}

#[test]
fn a_file_that_is_not_there_is_wrong_usage() {
    let told = trustline(&["config", "check", "no-such-file.toml"], &[]);
    assert_eq!(told.status.code(), Some(2));
    assert!(err(&told).contains("cannot read the configuration no-such-file.toml"), "{}", err(&told));
    assert_eq!(trustline(&["config", "chekc"], &[]).status.code(), Some(2));
}

#[test]
fn print_shows_what_is_in_force_and_reads_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "a.toml", "[time]\nlate_memory_ms = 5\nmax_lead_ms = 2000\n");
    let environment = [("TRUSTLINE__TIME__LATE_MEMORY_MS", "7"), ("TRUSTLINE_CONFIG", path.as_str())];
    let printed = trustline(&["config", "print"], &environment);
    assert_eq!(printed.status.code(), Some(0), "{}", err(&printed));
    assert!(out(&printed).contains("late_memory_ms = 7\n"), "{}", out(&printed));
    assert!(out(&printed).contains("max_lead_ms = 2000\n"), "{}", out(&printed));
    let copy = write(folder.path(), "b.toml", out(&printed));
    let again = trustline(&["config", "print", "--config", &copy], &[]);
    assert_eq!(out(&again), out(&printed));
}

#[test]
fn print_never_shows_a_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = write(folder.path(), "key", &"9fa7".repeat(15));
    let text = format!("[privacy]\nkey_file = {key:?}\n");
    let path = write(folder.path(), "a.toml", &text);
    let printed = trustline(&["config", "print", "--config", &path], &[]);
    assert!(out(&printed).contains(&key) && !out(&printed).contains("9fa7"), "{}", out(&printed));
    // A key that cannot be used is told without showing it.
    let told = trustline(&["pseudonym", "person", "p1", "--config", &path], &[]);
    assert_eq!(told.status.code(), Some(2));
    assert!(err(&told).contains("is no pseudonym key") && !err(&told).contains("9fa7"), "{}", err(&told));
}

#[test]
fn the_schema_is_json_schema_with_descriptions_and_defaults() {
    let printed = trustline(&["config", "schema"], &[]);
    let schema: serde_json::Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    let time = &schema["$defs"]["Time"]["properties"]["late_memory_ms"];
    assert_eq!((&time["type"], &time["default"]), (&"integer".into(), &3_600_000.into()));
    assert!(time["description"].as_str().is_some_and(|text| text.contains("1 h")));
    assert_eq!(schema["$defs"]["Time"]["additionalProperties"], false);
}

#[test]
fn pseudonyms_are_those_of_the_key() {
    // Keyed BLAKE3 over `person 0x00 p1` under BLAKE3 of `trustline-demo`, computed here by hand.
    let expected = |key: &[u8; 32]| {
        let hash = blake3::keyed_hash(key, b"person\0p1").to_hex().to_string();
        format!("{}\n", &hash[..32])
    };
    let test_key = trustline(&["pseudonym", "person", "p1"], &[]);
    assert_eq!(out(&test_key), expected(blake3::hash(b"trustline-demo").as_bytes()));
    assert!(err(&test_key).contains("published test key"), "{}", err(&test_key));
    let key: [u8; 32] = std::array::from_fn(|at| at as u8);
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let environment = [("TRUSTLINE__PRIVACY__KEY_ENV", "MY_KEY"), ("MY_KEY", hex.as_str())];
    let own = trustline(&["pseudonym", "person", "p1"], &environment);
    assert_eq!((out(&own), err(&own)), (expected(&key).as_str(), ""));
    let unset = trustline(&["pseudonym", "person", "p1"], &environment[..1]);
    assert_eq!(unset.status.code(), Some(2));
    assert!(err(&unset).contains("MY_KEY"), "{}", err(&unset));
}

#[test]
fn completions_know_the_commands() {
    let script = trustline(&["completions", "bash"], &[]);
    assert_eq!(script.status.code(), Some(0));
    assert!(out(&script).contains("pseudonym") && out(&script).contains("--as-stream"));
}
