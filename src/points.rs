//! Places in the code that tests ask about: rare branches, and where a process can be told to die.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! probes {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A rare branch of the step loop or of recovery. Passing one adds to its counter and nothing else; the
        /// simulation fails if its seeds leave one out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Probe {
            $($(#[$doc])* $name,)*
        }

        impl Probe {
            /// All of them.
            pub const ALL: &[Probe] = &[$(Probe::$name,)*];
        }
    };
}

probes! {
    /// A step was aborted and is sent again.
    Aborted,
    /// The group had changed before a step was committed.
    Stale,
    /// Another publisher took the name.
    Fenced,
    /// A step of unknown outcome turned out to be committed.
    WasCommitted,
    /// A step of unknown outcome turned out not to be committed.
    WasNotCommitted,
    /// Nobody could be asked yet what became of a step.
    OutcomeUnasked,
    /// A step went because a part of its sources went.
    StepDropped,
    /// All partitions went back to their committed positions.
    Rewound,
    /// The committed positions to go back to could not be had yet.
    RewindPutOff,
    /// A partition went with outputs that were not committed.
    RevokedWithOutputs,
    /// What was due could not be done and stays due.
    StillDue,
    /// Records were folded again for the state alone.
    FoldedAgain,
    /// A partition was held that had records read and not taken in.
    HeldWithRest,
    /// A held partition was let go.
    LetGo,
    /// State began with a snapshot.
    FromSnapshot,
    /// State began with the older snapshot, since the newest one is lost.
    FromOlderSnapshot,
    /// No snapshot that was named could be read.
    NoSnapshotLeft,
    /// A position was committed, and the state is still behind it.
    StateBehind,
}

static PASSED: [AtomicU64; Probe::ALL.len()] = [const { AtomicU64::new(0) }; Probe::ALL.len()];

impl Probe {
    /// Counts that this branch was taken.
    pub fn pass(self) {
        if let Some(passed) = PASSED.get(self as usize) {
            passed.fetch_add(1, Relaxed);
        }
    }

    /// How often it was taken in this process.
    pub fn passed(self) -> u64 {
        PASSED.get(self as usize).map_or(0, |passed| passed.load(Relaxed))
    }
}

/// Where a process of a build with debug assertions can be told to kill itself by SIGKILL:
/// `TRUSTLINE_KILL_AT=before-commit:3` does it the third time that it comes there. Release builds know nothing of
/// it, so nobody's pipeline can be told by accident, and the tests need no build of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillPoint {
    /// A transaction has begun, and nothing is sent.
    BeforeSend,
    /// All records were handed to the client, which may not have sent them.
    AfterSend,
    /// All records are acknowledged, and the positions are not sent.
    BeforeOffsets,
    /// The positions are sent too.
    BeforeCommit,
    /// The transaction is committed, and nothing was made of it.
    AfterCommit,
    /// A snapshot is written; this is passed before its file is there and once more after.
    DuringSnapshot,
    /// A partition is taken over; this is passed when its snapshot was read and with each batch that is folded again.
    DuringRestore,
}

impl KillPoint {
    /// All of them.
    pub const ALL: [KillPoint; 7] = [
        KillPoint::BeforeSend,
        KillPoint::AfterSend,
        KillPoint::BeforeOffsets,
        KillPoint::BeforeCommit,
        KillPoint::AfterCommit,
        KillPoint::DuringSnapshot,
        KillPoint::DuringRestore,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            KillPoint::BeforeSend => "before-send",
            KillPoint::AfterSend => "after-send",
            KillPoint::BeforeOffsets => "before-offsets",
            KillPoint::BeforeCommit => "before-commit",
            KillPoint::AfterCommit => "after-commit",
            KillPoint::DuringSnapshot => "during-snapshot",
            KillPoint::DuringRestore => "during-restore",
        }
    }

    /// Dies here if the process was told to.
    #[inline]
    pub fn pass(self) {
        #[cfg(debug_assertions)]
        deadly::pass(self);
    }
}

#[cfg(debug_assertions)]
mod deadly {
    use std::process::Command;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::thread;

    use super::KillPoint;

    /// Where to die, and how often that place is still to be passed, this time included.
    static TOLD: OnceLock<Option<(KillPoint, AtomicU64)>> = OnceLock::new();

    fn told() -> Option<(KillPoint, AtomicU64)> {
        let text = std::env::var("TRUSTLINE_KILL_AT").ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        let point = KillPoint::ALL.into_iter().find(|point| point.name() == name)?;
        Some((point, AtomicU64::new(times.parse().ok()?)))
    }

    pub(super) fn pass(point: KillPoint) {
        let Some((at, left)) = TOLD.get_or_init(told) else { return };
        if *at == point && left.fetch_sub(1, Relaxed) == 1 {
            let id = std::process::id().to_string();
            drop(Command::new("kill").args(["-KILL", &id]).status());
            loop {
                thread::park();
            }
        }
    }
}
