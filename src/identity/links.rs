//! Which person a device belongs to, and since when.

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::event::kinds::Match;
use crate::event::raw::RawLink;

/// A name that is none of the matches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no match; one of {:?}", Match::SYMBOLS)]
pub struct UnknownMatch {
    /// The name.
    pub name: String,
}

/// The kinds of match that are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedMatches(u8);

impl Default for AcceptedMatches {
    /// `AUTHENTICATED` and `OBSERVED`.
    fn default() -> Self {
        [Match::Authenticated, Match::Observed].into_iter().collect()
    }
}

impl FromIterator<Match> for AcceptedMatches {
    fn from_iter<I: IntoIterator<Item = Match>>(matches: I) -> Self {
        AcceptedMatches(matches.into_iter().fold(0, |all, matched| all | 1 << matched.index()))
    }
}

impl AcceptedMatches {
    /// Reads the names that the configuration gives.
    ///
    /// # Errors
    /// At the first name that is no match.
    pub fn from_symbols<S: AsRef<str>>(names: &[S]) -> Result<AcceptedMatches, UnknownMatch> {
        let read = |name: &S| {
            Match::from_symbol(name.as_ref()).ok_or_else(|| UnknownMatch { name: name.as_ref().to_owned() })
        };
        names.iter().map(read).collect()
    }

    /// Whether this match is believed.
    pub fn accepts(self, matched: Match) -> bool {
        self.0 & 1 << matched.index() != 0
    }
}

/// What an erasure ended.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EndedLinks {
    /// How many links.
    pub links: u64,
    /// The devices they were of, in byte order. Raw ids: for tombstones and routing only.
    pub devices: Vec<String>,
}

/// All links read so far.
///
/// It holds raw ids: it can be neither printed nor serialised. A device with one link, the usual
/// case, takes its two ids and about 70 bytes.
#[derive(Default)]
pub struct Links {
    accepted: AcceptedMatches,
    devices: HashMap<Box<str>, History>,
    /// Devices by the hash of each person that a link of theirs names or named; made at the first erasure.
    by_person: Option<HashMap<u64, Vec<Box<str>>>>,
}

/// The links of one device, earliest first, at most one at a time; never empty.
enum History {
    One(Link),
    Many(Vec<Link>),
}

struct Link {
    linked_time: i64,
    person_id: Option<Box<str>>,
    matched: Match,
    /// Partition of the topic of links that it was read from.
    partition: i32,
}

impl Links {
    /// No links yet.
    pub fn new(accepted: AcceptedMatches) -> Links {
        Links { accepted, ..Links::default() }
    }

    /// How many devices have links.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Learns a link. The order of learning does not matter, and neither does learning twice.
    pub fn insert(&mut self, link: RawLink) {
        self.insert_from(link, 0);
    }

    /// The same for a link that stands in a partition of its topic.
    pub fn insert_from(&mut self, link: RawLink, partition: i32) {
        let RawLink { device_id, person_id, matched, linked_time } = link;
        let person_id = person_id.map(String::into_boxed_str);
        let link = Link { linked_time, person_id, matched, partition };
        if let (Some(by_person), Some(person)) = (&mut self.by_person, &link.person_id) {
            by_person.entry(xxh3_64(person.as_bytes())).or_default().push(device_id.as_str().into());
        }
        match self.devices.get_mut(device_id.as_str()) {
            Some(history) => history.insert(link),
            None => {
                self.devices.insert(device_id.into_boxed_str(), History::One(link));
            }
        }
    }

    /// The person a device belongs to at `time`, and how they were matched.
    ///
    /// `None` when the device stands for itself: no link yet, an unlink, or a match that is not accepted.
    pub fn in_force(&self, device_id: &str, time: i64) -> Option<(&str, Match)> {
        let link = self.devices.get(device_id)?.in_force(time)?;
        let person_id = link.person_id.as_deref()?;
        self.accepted.accepts(link.matched).then_some((person_id, link.matched))
    }

    /// Ends the links of a person: from `time` on no device belongs to them by a link of before.
    ///
    /// Events of before `time` still find their person, and a link of `time` or later links anew. Ending them a
    /// second time at the same `time` tells the same.
    pub fn end_person(&mut self, person_id: &str, time: i64) -> EndedLinks {
        let mut ended = EndedLinks::default();
        for device_id in self.devices_of(person_id) {
            let Some(history) = self.devices.get_mut(&device_id) else { continue };
            let Some(link) = history.ended_at(time).filter(|link| link.names(person_id)) else { continue };
            let unlink = Link::unlink(time, link.partition);
            history.insert(unlink);
            ended.links += 1;
            ended.devices.push(device_id.into());
        }
        ended
    }

    /// Ends the links of a device from `time` on; returns how many were in force: 0 or 1, and a second time the same.
    pub fn end_device(&mut self, device_id: &str, time: i64) -> u64 {
        let Some(history) = self.devices.get_mut(device_id) else { return 0 };
        let Some(link) = history.ended_at(time) else { return 0 };
        let unlink = Link::unlink(time, link.partition);
        history.insert(unlink);
        1
    }

    /// The partition of the topic of links where a tombstone removes what was said of a device; none where the
    /// last that was said is a link in force.
    pub fn ended_in(&self, device_id: &str) -> Option<i32> {
        let last = self.devices.get(device_id)?.as_slice().last()?;
        last.person_id.is_none().then_some(last.partition)
    }

    /// Forgets a person's id: links that named them become unlinks, whenever they were.
    ///
    /// They stay as unlinks, since without them an earlier owner's link would be in force again.
    pub fn forget_person(&mut self, person_id: &str) -> EndedLinks {
        let mut ended = EndedLinks::default();
        for device_id in self.devices_of(person_id) {
            let Some(history) = self.devices.get_mut(&device_id) else { continue };
            let before = ended.links;
            for link in history.as_mut_slice() {
                if link.names(person_id) {
                    *link = Link::unlink(link.linked_time, link.partition);
                    ended.links += 1;
                }
            }
            if ended.links > before {
                ended.devices.push(device_id.into());
            }
        }
        ended
    }

    /// The devices that a link may give to a person, in byte order.
    fn devices_of(&mut self, person_id: &str) -> Vec<Box<str>> {
        let by_person = self.by_person.get_or_insert_with(|| {
            let mut by_person: HashMap<u64, Vec<Box<str>>> = HashMap::new();
            for (device_id, history) in &self.devices {
                for person in history.as_slice().iter().filter_map(|link| link.person_id.as_deref()) {
                    by_person.entry(xxh3_64(person.as_bytes())).or_default().push(device_id.clone());
                }
            }
            by_person
        });
        let mut devices = by_person.get(&xxh3_64(person_id.as_bytes())).cloned().unwrap_or_default();
        devices.sort_unstable();
        devices.dedup();
        devices
    }

    /// Forgets a device, as a tombstone says; returns how many links it had.
    pub fn forget_device(&mut self, device_id: &str) -> u64 {
        self.devices.remove(device_id).map_or(0, |history| history.as_slice().len() as u64)
    }
}

impl History {
    fn as_slice(&self) -> &[Link] {
        match self {
            History::One(link) => std::slice::from_ref(link),
            History::Many(links) => links,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Link] {
        match self {
            History::One(link) => std::slice::from_mut(link),
            History::Many(links) => links,
        }
    }

    fn in_force(&self, time: i64) -> Option<&Link> {
        let links = self.as_slice();
        let later_at = links.partition_point(|link| link.linked_time <= time);
        links.get(..later_at)?.last()
    }

    /// The link that an end at `time` ends, or has ended.
    fn ended_at(&self, time: i64) -> Option<&Link> {
        let links = self.as_slice();
        let at = links.partition_point(|link| link.linked_time < time);
        let anew = |link: &Link| link.linked_time == time && link.person_id.is_some();
        if links.get(at).is_some_and(anew) {
            return None;
        }
        links.get(..at)?.last().filter(|link| link.person_id.is_some())
    }

    /// Of links of one time only the greatest can ever be in force, so only that is kept.
    fn insert(&mut self, link: Link) {
        let links = self.as_mut_slice();
        let at = links.partition_point(|known| known.linked_time < link.linked_time);
        if let Some(known) = links.get_mut(at).filter(|known| known.linked_time == link.linked_time) {
            if known.rank() < link.rank() {
                *known = link;
            }
            return;
        }
        match self {
            History::Many(links) => links.insert(at, link),
            History::One(known) => {
                let mut links = vec![std::mem::replace(known, Link::unlink(0, 0))];
                links.insert(at, link);
                *self = History::Many(links);
            }
        }
    }
}

impl Link {
    fn unlink(linked_time: i64, partition: i32) -> Link {
        // The least of all ranks: a link of the same time goes before it.
        Link { linked_time, person_id: None, matched: Match::Inferred, partition }
    }

    fn rank(&self) -> (Option<&str>, Match) {
        (self.person_id.as_deref(), self.matched)
    }

    fn names(&self, person_id: &str) -> bool {
        self.person_id.as_deref() == Some(person_id)
    }
}

#[cfg(test)]
mod tests;
