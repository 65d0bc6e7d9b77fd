//! What `detect` tells `score` about one (brand, window): counts of distinct people.

use crate::patterns::Pattern;

/// Person-days and opt-outs by exposure to one pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PersonDays {
    /// Person-days exposed.
    pub exposed: u64,
    /// Of these, with an opt-out.
    pub exposed_opt_outs: u64,
    /// Person-days not exposed.
    pub unexposed: u64,
    /// Of these, with an opt-out.
    pub unexposed_opt_outs: u64,
}

/// Counts of one pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatternCounts {
    /// Distinct people at risk.
    pub at_risk: u64,
    /// Distinct people affected, by their highest severity 1, 2, 3.
    pub affected: [u64; 3],
    /// Outcomes; zero but in `1d` windows.
    pub days: PersonDays,
}

/// Cumulative counts of one (brand, window) in one partition of the person events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Person events of the brand applied in the window.
    pub applied: u64,
    /// Requests that matured in the window (a window with one is published).
    pub matured: u64,
    /// Distinct people reached.
    pub people: u64,
    /// Of these, known by a device only.
    pub device_keys: u64,
    /// Touches.
    pub touches: u64,
    /// People reached with any opt-out.
    pub opted_out: u64,
    /// People prompted for consent to tracking or cookies.
    pub prompted: u64,
    /// People who granted it.
    pub granted: u64,
    /// People who refused it.
    pub refused: u64,
    /// People who withdrew it.
    pub withdrawn: u64,
    /// People reached whose consent status is known at their last touch with one.
    pub consent_known: u64,
    /// Of these, authorised.
    pub consent_authorised: u64,
    /// The brand's records that came too late.
    pub late: u64,
    /// The brand's dead letters.
    pub dead_lettered: u64,
    /// Per pattern, in the order of [`Pattern::ALL`].
    pub patterns: [PatternCounts; Pattern::COUNT],
}

impl Counts {
    /// Adds the counts of another partition.
    pub fn add(&mut self, other: &Counts) {
        self.applied += other.applied;
        self.matured += other.matured;
        self.people += other.people;
        self.device_keys += other.device_keys;
        self.touches += other.touches;
        self.opted_out += other.opted_out;
        self.prompted += other.prompted;
        self.granted += other.granted;
        self.refused += other.refused;
        self.withdrawn += other.withdrawn;
        self.consent_known += other.consent_known;
        self.consent_authorised += other.consent_authorised;
        self.late += other.late;
        self.dead_lettered += other.dead_lettered;
        for (mine, theirs) in self.patterns.iter_mut().zip(&other.patterns) {
            mine.at_risk += theirs.at_risk;
            for (a, b) in mine.affected.iter_mut().zip(&theirs.affected) {
                *a += b;
            }
            mine.days.exposed += theirs.days.exposed;
            mine.days.exposed_opt_outs += theirs.days.exposed_opt_outs;
            mine.days.unexposed += theirs.days.unexposed;
            mine.days.unexposed_opt_outs += theirs.days.unexposed_opt_outs;
        }
    }
}

/// All records of one window, over all brands (topics that hold the frontier only).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipelineCounts {
    /// Records that were applied, came too late or are dead letters.
    pub records: u64,
    /// Of these, dead letters without a readable brand.
    pub unreadable: u64,
}
