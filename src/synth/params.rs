//! What to generate.

use crate::time::{DAY_MS, EventTime};

/// 2025-03-03, a Monday: where time starts unless told otherwise.
pub const DEFAULT_START: EventTime = EventTime(1_740_960_000_000);
/// The most people a population may have.
pub const PERSONS_MAX: u64 = 1_000_000_000;
/// The most brands.
pub const BRANDS_MAX: u32 = 100_000;
/// The most days.
pub const DAYS_MAX: u32 = 3_650;
/// How many brands a person deals with, where there are that many.
pub const BRANDS_PER_PERSON: u32 = 3;

/// Proportions of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mix {
    /// Visits day by day, planted moments with labels, a campaign that turns bad.
    Story,
    /// A fixed number of events a pair (median 8) whatever the days; nothing planted, no labels.
    Bench,
}

/// What to generate. The same parameters give the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Seed of everything.
    pub seed: u64,
    /// People.
    pub persons: u64,
    /// Brands.
    pub brands: u32,
    /// Days of event time.
    pub days: u32,
    /// The first instant, the start of a UTC day.
    pub start: EventTime,
    /// Proportions.
    pub mix: Mix,
    /// Share of each optional field and id that is missing, as in real streams.
    pub missing: f64,
    /// Planted moments of each pattern; by default one for 250 people, at least 4.
    pub planted: Option<u32>,
    /// Share of a bad campaign's visitors whom it treats badly.
    pub campaign_share: f64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            seed: 1,
            persons: 20_000,
            brands: 5,
            days: 14,
            start: DEFAULT_START,
            mix: Mix::Story,
            missing: 0.02,
            planted: None,
            campaign_share: 0.35,
        }
    }
}

/// Parameters that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ParamsError {
    /// A number outside its range.
    #[error("{name} must lie between {low} and {high}")]
    OutOfRange {
        /// Which parameter.
        name: &'static str,
        /// Its least value.
        low: f64,
        /// Its greatest value.
        high: f64,
    },
    /// The first instant is not the start of a day, or the last day lies past 2099.
    #[error("start must be the start of a UTC day, and all days must lie in 2000 to 2099")]
    Start,
}

impl Params {
    /// What the benchmark runs on: this many people, three brands each.
    pub fn bench(seed: u64, persons: u64) -> Params {
        Params { seed, persons, brands: 100, mix: Mix::Bench, ..Params::default() }
    }

    /// Refuses numbers that make no sense.
    ///
    /// # Errors
    /// The first parameter outside its range.
    pub fn check(&self) -> Result<(), ParamsError> {
        let in_range = |name, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(ParamsError::OutOfRange { name, low, high })
            }
        };
        in_range("persons", self.persons as f64, 1.0, PERSONS_MAX as f64)?;
        in_range("brands", f64::from(self.brands), 1.0, f64::from(BRANDS_MAX))?;
        in_range("days", f64::from(self.days), 1.0, f64::from(DAYS_MAX))?;
        in_range("missing", self.missing, 0.0, 1.0)?;
        in_range("campaign_share", self.campaign_share, 0.0, 1.0)?;
        // Identity links are dated to the day before the first.
        let first_link = EventTime(self.start.0 - DAY_MS);
        if self.start.0.rem_euclid(DAY_MS) != 0 || !first_link.is_plausible() || self.end() > EventTime::END {
            return Err(ParamsError::Start);
        }
        Ok(())
    }

    /// The first instant after the last day.
    pub fn end(&self) -> EventTime {
        EventTime(self.start.0 + i64::from(self.days) * DAY_MS)
    }

    /// Pairs of a person and a brand.
    pub fn pairs(&self) -> u64 {
        self.persons * u64::from(self.brands.min(BRANDS_PER_PERSON))
    }

    /// Planted moments of each pattern.
    pub fn planted_per_pattern(&self) -> u64 {
        match (self.mix, self.planted) {
            (Mix::Bench, _) => 0,
            (Mix::Story, Some(planted)) => u64::from(planted),
            (Mix::Story, None) => (self.persons / 250).max(4),
        }
    }
}
