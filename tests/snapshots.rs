//! Snapshots in a folder: written durably, read back, found damaged, missing or of another build, collected.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backon::ExponentialBuilder;
use trustline::config::ConfigHash;
use trustline::state::{Fold, Header, Name, SnapshotStore, StoreError, Writer};
use xxhash_rust::xxh3::xxh3_128;

/// A store in a folder of its own.
struct Folder {
    folder: tempfile::TempDir,
    store: Arc<SnapshotStore>,
}

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file:{}/a/b", folder.path().display());
        Folder { store: Arc::new(SnapshotStore::open(&url, &[]).unwrap()), folder }
    }

    fn file(&self, name: &Name) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("a/b").join(name.to_string())
    }
}

fn header(partition: i32, offset: i64) -> Header {
    Header {
        fold: Fold::Detect,
        fold_version: 1,
        config: ConfigHash([9; 16]),
        topic: "trustline.person-events".to_owned(),
        partition,
        offset,
    }
}

fn once() -> ExponentialBuilder {
    ExponentialBuilder::new().with_max_times(0)
}

#[test]
fn a_snapshot_is_read_back_and_listed_by_offset() {
    let Folder { store, folder: _folder } = &Folder::new();
    assert!(store.is_local());
    let state = b"all that is known".repeat(10_000);
    let late = store.put(&header(3, 900), &state).unwrap();
    let early = store.put(&header(3, 80), b"").unwrap();
    let other = store.put(&header(4, 80), b"other").unwrap();
    assert_eq!(store.get(&late).unwrap(), (header(3, 900), state));
    assert_eq!(store.get(&early).unwrap(), (header(3, 80), Vec::new()));
    assert_eq!(store.get(&other).unwrap().1, b"other");
    let names: Vec<Name> = store.list(Fold::Detect, 3).unwrap().iter().map(|stored| stored.name).collect();
    assert_eq!(names, [early, late]);
    assert_eq!(store.list(Fold::Score, 3).unwrap(), []);
}

#[test]
fn addresses_that_are_none_are_refused() {
    for url in ["ftp://x", "state", "s3://", "file:/proc/none"] {
        let error = SnapshotStore::open(url, &[]).unwrap_err();
        assert!(error.to_string().contains(url), "{error}");
    }
}

#[test]
fn missing_damaged_and_other_formats_are_told_apart() {
    let folder = Folder::new();
    let name = folder.store.put(&header(0, 7), b"state").unwrap();
    let file = folder.file(&name);
    let whole = std::fs::read(&file).unwrap();
    let damaged = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        match folder.store.get(&name).unwrap_err() {
            StoreError::Damaged { place, .. } => assert_eq!(place, file.display().to_string()),
            other => panic!("{other}"),
        }
    };
    damaged(&whole[..whole.len() - 1]);
    damaged(b"");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    damaged(&flipped);
    // A file that was moved is not the snapshot of its new name.
    let stranger = folder.store.put(&header(0, 8), b"state").unwrap();
    damaged(&std::fs::read(folder.file(&stranger)).unwrap());

    let mut later = whole[..whole.len() - 16].to_vec();
    later[8] = 2;
    later.extend_from_slice(&xxh3_128(&later).to_le_bytes());
    std::fs::write(&file, later).unwrap();
    assert!(matches!(folder.store.get(&name), Err(StoreError::OtherFormat { found: 2, .. })));

    folder.store.delete(&name).unwrap();
    folder.store.delete(&name).unwrap();
    assert!(matches!(folder.store.get(&name), Err(StoreError::Missing { .. })));
}

#[test]
fn a_lost_newest_snapshot_falls_back_to_the_older() {
    let folder = Folder::new();
    let older = folder.store.put(&header(0, 7), b"older").unwrap();
    let newest = folder.store.put(&header(0, 70), b"newest").unwrap();
    let unnamed = folder.store.put(&header(0, 700), b"of a fenced instance").unwrap();
    let restore = |names: &[Name]| folder.store.restore(names, once()).unwrap();
    let restored = restore(&[older, newest]);
    assert_eq!(restored.found, Some((newest, header(0, 70), b"newest".to_vec())));
    assert!(restored.lost.is_empty());

    std::fs::write(folder.file(&newest), b"damage").unwrap();
    let restored = restore(&[older, newest]);
    assert_eq!(restored.found.unwrap().0, older);
    assert!(matches!(restored.lost[..], [StoreError::Damaged { .. }]));

    std::fs::remove_file(folder.file(&older)).unwrap();
    let restored = restore(&[older, newest]);
    assert_eq!(restored.found, None, "{unnamed} is there, but nobody named it");
    assert!(matches!(restored.lost[..], [StoreError::Damaged { .. }, StoreError::Missing { .. }]));
    assert_eq!(restore(&[]).found, None);
}

#[test]
fn collection_spares_what_is_named_or_young() {
    let folder = Folder::new();
    let named = folder.store.put(&header(0, 1), b"x").unwrap();
    let old = folder.store.put(&header(0, 2), b"x").unwrap();
    let elsewhere = folder.store.put(&header(1, 2), b"x").unwrap();
    let unfinished = folder.file(&old).with_extension("snap#1");
    let foreign = folder.file(&old).with_file_name("notes.txt");
    std::fs::write(&unfinished, b"cut").unwrap();
    std::fs::write(&foreign, b"mine").unwrap();
    let collect = |before| folder.store.collect(Fold::Detect, 0, &[named], before).unwrap();
    assert_eq!(collect(0), 0, "everything is younger than 1970");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    assert_eq!(collect(now + 60_000), 2, "the one that is not named, and what a killed writer left");
    assert!(!unfinished.exists() && foreign.exists());
    let left = folder.store.list(Fold::Detect, 0).unwrap();
    assert_eq!(left.iter().map(|stored| stored.name).collect::<Vec<_>>(), [named]);
    assert!(folder.store.get(&elsewhere).is_ok());
}

#[test]
fn the_writer_writes_in_the_background() {
    let folder = Folder::new();
    let writer = Writer::start(Arc::clone(&folder.store), once()).unwrap();
    writer.submit("first", header(0, 1), b"1".to_vec()).unwrap();
    writer.submit("second", header(0, 2), b"2".to_vec()).unwrap();
    let finished = writer.close(Duration::from_secs(60));
    let keys: Vec<&str> = finished.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["first", "second"]);
    for (_, name) in finished {
        assert!(folder.store.get(&name.unwrap()).is_ok());
    }
}

/// A folder that cannot be written: a file stands where the partition's folder would be.
#[test]
fn a_write_that_fails_names_the_path_and_the_next_one_is_tried() {
    let folder = Folder::new();
    let older = folder.store.put(&header(0, 1), b"older").unwrap();
    let in_the_way = folder.file(&older).parent().unwrap().with_file_name("1");
    std::fs::write(&in_the_way, b"").unwrap();
    let writer = Writer::start(Arc::clone(&folder.store), once()).unwrap();
    writer.submit(1, header(1, 5), b"fails".to_vec()).unwrap();
    writer.submit(0, header(0, 5), b"works".to_vec()).unwrap();
    let mut finished = writer.close(Duration::from_secs(60));
    let (key, written) = finished.pop().unwrap();
    assert_eq!((key, written.unwrap().offset), (0, 5));
    let (key, failed) = finished.pop().unwrap();
    let text = failed.unwrap_err().to_string();
    assert!(key == 1 && text.contains(&in_the_way.display().to_string()), "{text}");
    assert!(folder.store.get(&older).is_ok());
}
