//! Whether the planted campaign is found, as banners over everything that is shown.

use crate::event::output::{TrustAlert, TrustMoment};
use crate::synth::Story;
use crate::telemetry::board::{Audience, Published};
use crate::time::HOUR_MS;

use super::traffic::Traffic;

/// Moments of its patterns without which the planted campaign does not count as found,
const FOUND_MOMENTS: u64 = 10;
/// and how much more often than before it they must come.
const FOUND_RATIO: f64 = 5.0;

/// What was found of the planted campaign.
#[derive(Clone, Debug)]
pub struct Finding {
    story: Story,
    start: i64,
    /// Moments of its patterns at its brand, from before it turned bad.
    before: u64,
    /// The same, from after.
    since: u64,
    /// When the alert of the brand's drop came, milliseconds of event time.
    alert_at: Option<i64>,
}

impl Finding {
    /// Nothing was found yet.
    pub fn new(traffic: &Traffic) -> Finding {
        let (story, start) = (traffic.story().clone(), traffic.span().start);
        Finding { story, start, before: 0, since: 0, alert_at: None }
    }

    fn on_moment(&mut self, moment: &TrustMoment) {
        let is_planted = moment.brand_id == self.story.brand_id
            && self.story.patterns.contains(&moment.pattern.as_str())
            && moment.revision == 1;
        if is_planted && moment.opened_time >= self.story.since.0 {
            self.since += 1;
        } else if is_planted {
            self.before += 1;
        }
    }

    fn on_alert(&mut self, alert: &TrustAlert) {
        let is_the_drop = alert.kind == "SCORE_DROP"
            && alert.state == "OPEN"
            && alert.brand_id.as_ref() == Some(&self.story.brand_id)
            && alert.at >= self.story.since.0;
        if is_the_drop {
            self.alert_at = self.alert_at.or(Some(alert.at));
        }
    }

    /// Whether the moments since the turn are many, and far more often than before.
    fn is_found(&self, now: i64) -> bool {
        let rate = |count: u64, ms: i64| count as f64 / ms.max(1) as f64;
        let turned = self.story.since.0;
        let (before, since) = (rate(self.before, turned - self.start), rate(self.since, now - turned));
        self.since >= FOUND_MOMENTS && since > FOUND_RATIO * before
    }

    fn sentence(&self, now: i64) -> String {
        let Finding { before, since, alert_at, .. } = self;
        let (turned, hours) = (self.story.since.0, |ms: i64| ms as f64 / HOUR_MS as f64);
        if !self.is_found(now) {
            let now = clock_text(now);
            return format!("Not found yet: it is {now} there, {since} moments of these patterns since.");
        }
        let moments = format!(
            "Found: {since} moments of these patterns in {:.1} h, after {before} in the {:.0} h before",
            hours(now - turned),
            hours(turned - self.start)
        );
        match alert_at {
            Some(at) => {
                format!("{moments}; the alert of the drop came {:.0} h after the turn.", hours(at - turned))
            }
            None => format!("{moments}; no alert of a drop yet."),
        }
    }
}

impl Audience for Finding {
    fn hear(&mut self, record: &Published) {
        match record {
            Published::Moment(moment) => self.on_moment(moment),
            Published::Alert(alert) => self.on_alert(alert),
            Published::Window(_) | Published::Open(_) | Published::Pattern(_) => {}
        }
    }

    fn banners(&self, frontier: Option<i64>) -> Vec<String> {
        let Story { brand_id, campaign_id, since, patterns, .. } = &self.story;
        let patterns = patterns.map(|pattern| pattern.replace('_', " ")).join(" and ");
        let planted = format!(
            "Planted bad: campaign {campaign_id} of {brand_id} from {} on, with {patterns}.",
            clock_text(since.0)
        );
        vec![planted, self.sentence(frontier.unwrap_or(self.start))]
    }
}

/// An instant as text, to the minute.
fn clock_text(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => ms.to_string(),
    }
}
