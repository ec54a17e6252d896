//! Rates out of the accounts of processes: what was added up, read every now and then.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tracenet_collectors::identity::cgroup::Cgroup;
use tracenet_core::key::ProcessKey;
use tracenet_probes::Account;

use super::rates::{Rate, Readings, SPANS};

/// Processes that are followed; beyond it those that ended longest ago are forgotten, then none is added.
const MAX_PROCESSES: usize = 65_536;

/// A process.
#[derive(Debug)]
struct Known {
    account: Account,
    ended: Option<Duration>,
    readings: Readings,
    /// Id of its container.
    container: Option<Arc<str>>,
}

/// What is shown of a process.
#[derive(Debug, Clone)]
pub struct Row {
    pub key: ProcessKey,
    /// Since the start.
    pub account: Account,
    pub ended: bool,
    /// Over [`SPANS`], or the time since the start if that is shorter.
    pub rates: [Rate; 3],
    /// Bytes a second, both ways, of each interval; the latest one last.
    pub history: Vec<u64>,
    /// Id of the container that it is in, 64 hexadecimal digits.
    pub container: Option<Arc<str>>,
}

/// All processes that did something on the network.
#[derive(Debug, Default)]
pub struct Model {
    known: FxHashMap<ProcessKey, Known>,
    now: Duration,
    /// Processes for which there was no room.
    pub omitted: u64,
}

impl Model {
    /// Takes what was read `at` this time since the start; `alive` says of a process that it has not ended, and `groups`
    /// what `/proc/PID/cgroup` says, where the kernel side has only seen it when another one was running. Returned are
    /// those that have: their accounts are final once they have been read after their ends, as these were.
    pub fn read(
        &mut self,
        at: Duration,
        all: Vec<(ProcessKey, Account)>,
        alive: impl Fn(ProcessKey) -> bool,
        groups: impl Fn(ProcessKey) -> Option<String>,
    ) -> Vec<ProcessKey> {
        let before = std::mem::replace(&mut self.now, at);
        let longest = SPANS[2];
        self.known.retain(|_, p| p.ended.is_none_or(|ended| at.saturating_sub(ended) < longest));
        let mut over = Vec::new();
        for (key, account) in all {
            let room = self.known.len() < MAX_PROCESSES;
            let p = match self.known.entry(key) {
                Entry::Occupied(p) => p.into_mut(),
                Entry::Vacant(_) if !room => {
                    self.omitted += 1;
                    continue;
                }
                Entry::Vacant(place) => place.insert(Known {
                    account: Account::default(),
                    ended: None,
                    // It did nothing before the last reading.
                    readings: Readings::new(before, 0, 0),
                    container: if account.cgroup.is_empty() {
                        groups(key).and_then(|text| id_of(&text))
                    } else {
                        None
                    },
                }),
            };
            if p.account.cgroup != account.cgroup {
                p.container = id_of(&format!("0::{}", account.cgroup));
            }
            p.readings.push(at, account.sent(), account.received());
            p.account = account;
            if p.ended.is_none() && !alive(key) {
                // It may have ended after its account was read: the next reading is the last one.
                p.ended = Some(at);
            } else if p.ended.is_some() {
                over.push(key);
            }
        }
        over
    }

    /// All of them, in no order.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.known.iter().map(|(key, p)| Row {
            key: *key,
            account: p.account.clone(),
            ended: p.ended.is_some(),
            rates: p.readings.rates(self.now),
            history: p.readings.history(),
            container: p.container.clone(),
        })
    }
}

/// Id of the container that a text such as `/proc/PID/cgroup` names.
fn id_of(groups: &str) -> Option<Arc<str>> {
    Cgroup::parse(groups).container.map(|container| container.id.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ProcessKey = ProcessKey { tgid: 7, start_ns: 1 };

    fn sent(bytes: u64) -> Vec<(ProcessKey, Account)> {
        vec![(KEY, Account { tcp_sent: bytes, ..Account::default() })]
    }

    #[test]
    fn rates_are_those_of_their_spans() {
        let mut model = Model::default();
        for second in 0..=60 {
            // A kilobyte a second, and ten in the last two.
            let bytes = if second <= 58 { second * 1_000 } else { 58_000 + (second - 58) * 10_000 };
            assert!(model.read(Duration::from_secs(second), sent(bytes), |_| true, |_| None).is_empty());
        }
        let row = model.rows().next().expect("one process");
        assert_eq!(row.rates.map(|r| r.sent), [10_000, 2_800, 1_450]);
        assert_eq!(row.history.last_chunk(), Some(&[1_000, 10_000, 10_000]));
    }

    #[test]
    fn a_container_is_known_by_its_control_group() {
        let id = "0123456789abcdef".repeat(4);
        let account = Account { cgroup: format!("/system.slice/docker-{id}.scope"), ..Account::default() };
        let mut model = Model::default();
        model.read(Duration::from_secs(1), vec![(KEY, account)], |_| false, |_| None);
        let row = model.rows().next().expect("one process");
        assert!(row.ended && row.container.as_deref() == Some(id.as_str()));

        let mut model = Model::default();
        model.read(Duration::from_secs(1), sent(1), |_| true, |_| Some(format!("0::/docker/{id}")));
        let row = model.rows().next().expect("one process");
        assert_eq!(row.container.as_deref(), Some(id.as_str()));
    }

    #[test]
    fn a_process_that_came_late_began_from_nothing() {
        let mut model = Model::default();
        model.read(Duration::from_secs(8), Vec::new(), |_| true, |_| None);
        model.read(Duration::from_secs(12), sent(4_000), |_| true, |_| None);
        let row = model.rows().next().expect("one process");
        assert_eq!(row.rates.map(|r| r.sent), [1_000; 3]);
    }

    #[test]
    fn what_has_ended_is_read_once_more_and_shown_for_the_longest_span() {
        let mut model = Model::default();
        let at = Duration::from_secs;
        assert!(model.read(at(2), sent(1), |_| true, |_| None).is_empty());
        assert!(model.read(at(4), sent(2), |_| false, |_| None).is_empty());
        assert_eq!(model.read(at(6), sent(3), |_| false, |_| None), [KEY]);
        let row = model.rows().next().expect("it is shown still");
        assert!(row.ended && row.account.tcp_sent == 3);
        model.read(at(44), Vec::new(), |_| false, |_| None);
        assert_eq!(model.rows().count(), 0);
    }
}
