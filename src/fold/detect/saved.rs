//! The state of `detect` as bytes, without that of its frontier.

use std::collections::BTreeMap;

use super::store::PairKey;
use super::windows::WindowTally;
use super::{Detect, OpenWindow, Settings, Tally};
use crate::fold::saved::{Reader, Saved, StateError, saved};
use crate::time::WindowLength;

saved! {
    Tally { applied, duplicate, erased }
    PairKey { person, brand }
}

impl Detect {
    /// Appends the state. What is only room to work in is left out, as are numbers that order nothing.
    pub(in crate::fold) fn save(&self, out: &mut Vec<u8>) {
        self.settings.lengths.save(out);
        self.brands.len().save(out);
        self.brands.iter().for_each(|brand| brand.name.save(out));
        for index in 0..self.open.len() {
            self.save_window(index, out);
        }
        self.requests.len().save(out);
        self.requests.iter().for_each(|request| request.save(out));
        self.erased
            .iter()
            .map(|(person, requested)| (*person, *requested))
            .collect::<BTreeMap<_, _>>()
            .save(out);
        self.tallies.save(out);
        self.latest_applied.save(out);
        self.duplicates.save_ids(out);
        self.store.save_pairs(out);
    }

    /// Reads the state.
    pub(in crate::fold) fn load(settings: Settings, from: &mut Reader<'_>) -> Result<Detect, StateError> {
        if Vec::<WindowLength>::load(from)? != settings.lengths {
            return Err(StateError::OtherSettings("windows.lengths"));
        }
        let mut detect = Detect::new(settings);
        for number in 0..usize::load(from)? {
            if detect.brand(from.text()?) as usize != number {
                return Err(StateError::Damaged("a brand stands there twice"));
            }
        }
        for index in 0..detect.open.len() {
            detect.load_window(index, from)?;
        }
        for _ in 0..usize::load(from)? {
            let request = <(i64, PairKey)>::load(from)?;
            detect.check_brand(request.1.brand)?;
            detect.requests.push_back(request);
        }
        detect.erased = BTreeMap::load(from)?.into_iter().collect();
        detect.tallies = Saved::load(from)?;
        detect.latest_applied = Saved::load(from)?;
        detect.duplicates.load_ids(from)?;
        detect.store.load_pairs(from, detect.brands.len())?;
        Ok(detect)
    }

    fn save_window(&self, index: usize, out: &mut Vec<u8>) {
        let OpenWindow { number, marks, active, pipeline } = &self.open[index];
        number.save(out);
        marks.save(out);
        pipeline.save(out);
        active.len().save(out);
        for &brand in active {
            brand.save(out);
            let tally = self.brands[brand as usize].tallies[index].as_ref();
            tally.expect("an active brand has a tally").save(out);
        }
    }

    fn load_window(&mut self, index: usize, from: &mut Reader<'_>) -> Result<(), StateError> {
        let number = i64::load(from)?;
        if !(-1..=i64::from(u32::MAX)).contains(&number) {
            return Err(StateError::Damaged("number of a window"));
        }
        let mut window = OpenWindow {
            number,
            marks: Saved::load(from)?,
            pipeline: Saved::load(from)?,
            active: Vec::new(),
        };
        for _ in 0..usize::load(from)? {
            let brand = u32::load(from)?;
            self.check_brand(brand)?;
            let tally = WindowTally::load(from)?;
            if self.brands[brand as usize].tallies[index].replace(Box::new(tally)).is_some() {
                return Err(StateError::Damaged("a brand stands twice in a window"));
            }
            window.active.push(brand);
        }
        self.open[index] = window;
        Ok(())
    }

    /// Refuses the number of a brand that is not there.
    pub(in crate::fold) fn check_brand(&self, number: u32) -> Result<(), StateError> {
        let is_there = (number as usize) < self.brands.len();
        if is_there { Ok(()) } else { Err(StateError::Damaged("number of a brand")) }
    }
}
