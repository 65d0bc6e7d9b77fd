//! The ledger: what became of every record that was read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::kinds::Topic;

/// What became of the records of one topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Records read.
    pub read: u64,
    /// Applied.
    pub applied: u64,
    /// Copies of an applied one.
    pub duplicate: u64,
    /// Too late.
    pub too_late: u64,
    /// Dead letters.
    pub dead_lettered: u64,
    /// Test traffic.
    pub exempt: u64,
    /// From before an erasure.
    pub erased: u64,
    /// Not applied yet.
    pub waiting: u64,
}

impl Account {
    /// Adds another account.
    pub fn add(&mut self, other: &Account) {
        self.read += other.read;
        self.applied += other.applied;
        self.duplicate += other.duplicate;
        self.too_late += other.too_late;
        self.dead_lettered += other.dead_lettered;
        self.exempt += other.exempt;
        self.erased += other.erased;
        self.waiting += other.waiting;
    }

    /// Its counters by name: all but what is still waiting.
    pub fn counters(&self) -> [(&'static str, u64); 7] {
        [
            ("read", self.read),
            ("applied", self.applied),
            ("duplicate", self.duplicate),
            ("too_late", self.too_late),
            ("dead_lettered", self.dead_lettered),
            ("exempt", self.exempt),
            ("erased", self.erased),
        ]
    }

    /// Whether every record read is accounted for.
    pub fn balances(&self) -> bool {
        self.read
            == self.applied
                + self.duplicate
                + self.too_late
                + self.dead_lettered
                + self.exempt
                + self.erased
                + self.waiting
    }
}

/// The accounts of all topics, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger {
    /// By topic name.
    pub accounts: BTreeMap<String, Account>,
}

impl Default for Ledger {
    fn default() -> Self {
        let accounts =
            Topic::ALL.iter().map(|topic| (topic.symbol().to_owned(), Account::default())).collect();
        Ledger { accounts }
    }
}

impl Ledger {
    /// The account of a topic.
    pub fn of(&mut self, topic: Topic) -> &mut Account {
        self.accounts.entry(topic.symbol().to_owned()).or_default()
    }

    /// The topics whose account does not balance.
    pub fn unbalanced(&self) -> impl Iterator<Item = (&str, &Account)> {
        self.accounts
            .iter()
            .filter(|(_, account)| !account.balances())
            .map(|(name, account)| (name.as_str(), account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_loses_a_record_does_not_balance() {
        let mut ledger = Ledger::default();
        *ledger.of(Topic::Messages) = Account { read: 3, applied: 2, duplicate: 1, ..Account::default() };
        assert_eq!(ledger.unbalanced().count(), 0);
        ledger.of(Topic::Messages).read += 1;
        assert_eq!(ledger.unbalanced().map(|(name, _)| name).collect::<Vec<_>>(), ["messages"]);
    }
}
