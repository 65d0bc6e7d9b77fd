//! The ledger of running instances, as their `/metrics` tell it.

use std::collections::BTreeMap;

use super::Finding;
use super::picture::Picture;

/// What an instance read of a topic in a partition of a stage, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Balance {
    /// The labels that name it.
    pub of: String,
    /// Records read.
    pub read: i64,
    /// Records that are accounted for.
    pub accounted: i64,
}

/// The balances in a text of metrics.
pub(super) fn parse(text: &str) -> Vec<Balance> {
    let mut balances: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for line in text.lines() {
        let of_ledger = ["trustline_ledger_records_total{", "trustline_ledger_waiting{"];
        let Some(rest) = of_ledger.iter().find_map(|name| line.strip_prefix(name)) else { continue };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let (class, others): (Vec<&str>, Vec<&str>) =
            labels.split(',').partition(|label| label.starts_with("class="));
        let (read, accounted) = balances.entry(others.join(", ").replace('"', "")).or_default();
        *if class == ["class=\"read\""] { read } else { accounted } += value as i64;
    }
    let balance = |(of, (read, accounted))| Balance { of, read, accounted };
    balances.into_iter().map(balance).collect()
}

/// Accounts that do not balance, and instances that do not tell.
pub(super) fn balance(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (address, told) in &picture.ledgers {
        let balances = match told {
            Ok(balances) => balances,
            Err(cause) => {
                let fix = "give the http.listen of a running instance as --metrics".to_owned();
                findings.push(Finding::error("ledger", address, cause.clone(), fix));
                continue;
            }
        };
        for Balance { of, read, accounted } in balances.iter().filter(|one| one.read != one.accounted) {
            let what = format!("{of}: {read} records were read and {accounted} are accounted for");
            let fix = "this is a fault of trustline: keep the logs and report it".to_owned();
            findings.push(Finding::error("ledger", address, what, fix));
        }
    }
    findings
}
