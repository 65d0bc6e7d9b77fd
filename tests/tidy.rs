//! Rules about the source that the compiler does not know.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that decide and know no clock, client, log or thread.
const PURE: &[&str] = &["event", "codec", "time", "identity", "patterns", "score", "fold"];

/// What a pure module does not say.
const IMPURE: &[&str] =
    &["async", "await", "tokio", "tracing", "rdkafka", "prometheus", "SystemTime", "Instant"];

/// The only place that knows the Kafka client.
const CLIENT: (&str, &str) = ("rdkafka", "src/log/kafka");

/// Lines of a file before its tests.
const LINES_MAX: usize = 500;

#[test]
fn pure_modules_know_no_clock_client_or_log() {
    let pure = |path: &Path| PURE.iter().any(|module| in_module(path, module));
    let found = check(|path, text| match pure(path) {
        true => IMPURE.iter().flat_map(|word| lines_with(text, word)).collect(),
        false => Vec::new(),
    });
    assert!(found.is_empty(), "a pure module must not use these:\n{}", found.join("\n"));
}

#[test]
fn the_kafka_client_is_named_in_one_place() {
    let (word, place) = CLIENT;
    let names = ["rdkafka", "rdkafka_sys"];
    let found = check(|path, text| match path.starts_with(place) {
        true => Vec::new(),
        false => names.iter().flat_map(|name| lines_with(text, name)).collect(),
    });
    assert!(found.is_empty(), "{word} belongs into {place} alone:\n{}", found.join("\n"));
}

#[test]
fn files_are_short() {
    let found = check(|path, text| {
        let lines = lines_before_tests(text);
        let is_long = lines > LINES_MAX && !is_test(path);
        is_long.then_some((lines, "lines before the tests".to_owned())).into_iter().collect()
    });
    assert!(found.is_empty(), "at most {LINES_MAX} lines:\n{}", found.join("\n"));
}

#[test]
fn the_rules_find_what_breaks_them() {
    let text =
        "// tokio\nuse tokio::time; // fine\nlet tracing_off = 1;\nlet t = std::time::Instant::now();\n";
    assert_eq!(lines_with(text, "tokio"), [(2, "tokio".to_owned())]);
    assert_eq!(lines_with(text, "tracing"), []);
    assert_eq!(lines_with(text, "Instant"), [(4, "Instant".to_owned())]);
    assert_eq!(lines_before_tests("a\nb\n#[cfg(test)]\nmod tests {}\n"), 2);
    assert_eq!(lines_before_tests("a\nb\n"), 2);
    assert!(in_module(Path::new("src/time/mod.rs"), "time") && in_module(Path::new("src/time.rs"), "time"));
    assert!(!in_module(Path::new("src/driver/time.rs"), "time"));
    assert!(is_test(Path::new("src/a/tests.rs")) && is_test(Path::new("src/fold/score_tests.rs")));
    assert!(!is_test(Path::new("src/a/contests.rs")));
    let sources = sources();
    for module in PURE {
        assert!(sources.iter().any(|(path, _)| in_module(path, module)), "{module} is not there");
    }
}

/// Applies a rule to every source file; what it finds comes back as `file:line: what`.
fn check(rule: impl Fn(&Path, &str) -> Vec<(usize, String)>) -> Vec<String> {
    let sources = sources();
    let of_file = |(path, text): &(PathBuf, String)| {
        let shown = path.display().to_string();
        rule(path, text).into_iter().map(move |(line, what)| format!("{shown}:{line}: {what}"))
    };
    sources.iter().flat_map(of_file).collect()
}

/// All Rust files below `src`, in order, with paths from the root of the crate.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut folders) = (Vec::new(), vec![root.join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path.strip_prefix(root).expect("below the root").to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

fn in_module(path: &Path, module: &str) -> bool {
    path.starts_with(Path::new("src").join(module)) || path == Path::new("src").join(format!("{module}.rs"))
}

fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem == "tests" || stem.ends_with("_tests")
}

/// The lines whose code, without comments, holds a whole word; counted from 1.
fn lines_with(text: &str, word: &str) -> Vec<(usize, String)> {
    let has_word = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|one| one == word)
    };
    let numbered = text.lines().enumerate().filter(|(_, line)| has_word(line));
    numbered.map(|(at, _)| (at + 1, word.to_owned())).collect()
}

fn lines_before_tests(text: &str) -> usize {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count()
}
