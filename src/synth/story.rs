//! What happens to brands as a whole: a campaign that turns bad, a breach.

use crate::event::kinds::IncidentKind;
use crate::event::raw::RawIncident;
use crate::time::{DAY_MS, EventTime, HOUR_MS};

use super::params::{Mix, Params};
use super::world::{self, World};

/// The campaign of its brand that turns bad.
pub(crate) const BAD_CAMPAIGN: u8 = 4;
/// Days before the campaign turns bad, where there are enough: a day to learn the hours, a week of
/// hours for a baseline, and one more for hours with too few people.
const GOOD_DAYS: u32 = 9;

/// The planted story.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// The brand whose campaign turns bad.
    pub brand_id: String,
    /// The campaign.
    pub campaign_id: String,
    /// From when on it is bad.
    pub since: EventTime,
    /// What it does, by name of pattern.
    pub patterns: [&'static str; 2],
    /// The brand that loses personal data.
    pub breach_brand_id: String,
    /// When the public learns of it.
    pub breach_disclosed: EventTime,
    pub(crate) brand: u32,
    pub(crate) share: f64,
}

impl Story {
    /// The story of these parameters; none without planted moments.
    pub(crate) fn new(params: &Params) -> Option<Story> {
        if params.mix == Mix::Bench {
            return None;
        }
        // Brand 0 is the most popular one: enough people every hour.
        let (brand, breached) = (0, 1 % params.brands);
        let good_days = if params.days > GOOD_DAYS + 1 { GOOD_DAYS } else { params.days.div_ceil(2) };
        let day = |days: u32| params.start.0 + i64::from(days) * DAY_MS;
        Some(Story {
            brand_id: world::brand_id(brand),
            campaign_id: world::campaign_id(brand, BAD_CAMPAIGN),
            since: EventTime(day(good_days) + 9 * HOUR_MS),
            patterns: ["undisclosed_personalisation", "relentless_retargeting"],
            breach_brand_id: world::brand_id(breached),
            breach_disclosed: EventTime(day(params.days / 2) + 11 * HOUR_MS),
            brand,
            share: params.campaign_share,
        })
    }

    /// The incidents of the period, by disclosure.
    pub(crate) fn incidents(&self, world: &World) -> Vec<RawIncident> {
        let incident = |number: u32, brand_id: String, kind, time: i64| RawIncident {
            incident_id: format!("incident-{number:03}"),
            brand_id,
            kind,
            disclosed_time: time,
            updated_time: None,
            occurred_time: None,
            people_affected: None,
            identity_or_health_data: false,
            severity: None,
            credibility: None,
        };
        let disclosed = self.breach_disclosed.0;
        let mut incidents = vec![RawIncident {
            people_affected: Some(1_800_000),
            identity_or_health_data: true,
            occurred_time: Some(disclosed - 3 * DAY_MS),
            ..incident(1, self.breach_brand_id.clone(), IncidentKind::Breach, disclosed)
        }];
        for brand in 2..world.brands {
            let word = world.trait_of(u64::from(brand), world::salt::INCIDENT);
            let at = world.start + i64::try_from(word % world.length.unsigned_abs()).unwrap_or(0);
            let id = world::brand_id(brand);
            match word >> 61 {
                0 => incidents.push(RawIncident {
                    severity: Some(0.3),
                    credibility: Some(0.5),
                    ..incident(brand, id, IncidentKind::AdverseReport, at)
                }),
                1 => incidents.push(RawIncident {
                    severity: Some(0.2),
                    ..incident(brand, id, IncidentKind::PositiveAction, at)
                }),
                _ => {}
            }
        }
        incidents.sort_by_key(|incident| incident.disclosed_time);
        incidents
    }
}
