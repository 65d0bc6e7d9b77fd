//! The state of `score` as bytes.

use std::sync::Arc;

use super::{Reader, Saved, StateError, saved};
use crate::event::kinds::IncidentKind;
use crate::fold::score::{BrandState, Charts, FOLD_VERSION, Score, ScoreState};
use crate::score::brand::IncidentRecord;
use crate::score::completeness::IncompleteRun;
use crate::score::drop::{Chart, ScoreDrop};
use crate::score::incidents::{Due, Incident, IncidentAlert, Incidents, Timer};
use crate::score::settings::ScoreSettings;
use crate::score::windows::{BrandWindow, Mark, OpenWindow, Passed, WindowKey};

impl Score {
    /// Appends the state. It has one canonical form, as everything in it is sorted.
    pub fn write_state(&self, out: &mut Vec<u8>) {
        FOLD_VERSION.save(out);
        self.state().save(out);
    }

    /// A fold that goes on from what [`Score::write_state`] wrote.
    ///
    /// # Errors
    /// When another version of the fold wrote it, or it is damaged.
    pub fn read_state(settings: Arc<ScoreSettings>, bytes: &[u8]) -> Result<Score, StateError> {
        let mut reader = Reader::start(bytes, FOLD_VERSION)?;
        let state = ScoreState::load(&mut reader)?;
        reader.end()?;
        Ok(Score::resume(settings, state))
    }
}

saved! {
    ScoreState {
        frontiers, partitions, newest, windows, published_until, brands, incidents, pipeline, cleaned, stale,
    }
    WindowKey { end, length }
    OpenWindow { brands, pipeline, incomplete, next_mark }
    BrandWindow { partitions, revision }
    BrandState { outcomes, charts, incomplete, published }
    Charts { drop, surge }
    ScoreDrop { chart, means }
    Chart { learnt, mean, variance, sum, since, open_for, hours }
    IncompleteRun { windows, since, open }
    Incidents { brands, timers }
    Incident { records, alert }
    IncidentRecord {
        kind, disclosed, updated, people_affected, identity_or_health_data, severity, credibility,
    }
    Timer { at, due, brand, incident }
}

impl<C: Saved> Saved for Passed<C> {
    fn save(&self, out: &mut Vec<u8>) {
        self.marks.save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<Passed<C>, StateError> {
        Ok(Passed { marks: Saved::load(from)? })
    }
}

/// Marks count from 1, so 0 is free for the close.
impl Saved for Mark {
    fn save(&self, out: &mut Vec<u8>) {
        match self {
            Mark::Closed => 0,
            Mark::Provisional(mark) => *mark,
        }
        .save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<Mark, StateError> {
        Ok(match u32::load(from)? {
            0 => Mark::Closed,
            mark => Mark::Provisional(mark),
        })
    }
}

impl Saved for IncidentAlert {
    fn save(&self, out: &mut Vec<u8>) {
        match self {
            IncidentAlert::Never => out.push(0),
            IncidentAlert::Open(since) => {
                out.push(1);
                since.save(out);
            }
            IncidentAlert::Ended => out.push(2),
        }
    }

    fn load(from: &mut Reader<'_>) -> Result<IncidentAlert, StateError> {
        match u8::load(from)? {
            0 => Ok(IncidentAlert::Never),
            1 => Saved::load(from).map(IncidentAlert::Open),
            2 => Ok(IncidentAlert::Ended),
            _ => Err(StateError::Damaged("alert of an incident")),
        }
    }
}

impl Saved for Due {
    fn save(&self, out: &mut Vec<u8>) {
        (*self == Due::InForce).save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<Due, StateError> {
        Ok(if bool::load(from)? { Due::InForce } else { Due::Hour })
    }
}

impl Saved for IncidentKind {
    fn save(&self, out: &mut Vec<u8>) {
        out.push(self.index());
    }

    fn load(from: &mut Reader<'_>) -> Result<IncidentKind, StateError> {
        IncidentKind::from_index(u8::load(from)?).ok_or(StateError::Damaged("kind of an incident"))
    }
}
