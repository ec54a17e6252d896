//! The pods that are known, by UID and by the ids of their containers. Bounded; a deleted pod stays for a while, since
//! its last connections are still to be told.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pod::Pod;

/// How long a deleted pod stays known.
pub const DELETED_KEPT: Duration = Duration::from_secs(60);

/// A pod as it was changed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Rises with every change of any pod.
    pub number: u64,
    /// The pod.
    pub pod: Arc<Pod>,
    /// What became of it.
    pub kind: ChangeKind,
}

/// What became of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It has changed since it was added.
    Modified,
    /// It is gone.
    Deleted,
}

#[derive(Debug)]
struct Entry {
    change: Change,
    /// List in which it was seen.
    list: u64,
    /// Number of the change that added it.
    added: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    capacity: usize,
    entries: HashMap<Arc<str>, Entry>,
    /// UIDs of the pods that have a container of this id, or this hash for a UID.
    names: HashMap<Box<str>, Arc<str>>,
    /// UIDs in the order of the last changes.
    changes: BTreeMap<u64, Arc<str>>,
    /// Deleted pods, by the time when they are forgotten.
    deleted: VecDeque<(Instant, Arc<str>)>,
    number: u64,
    list: u64,
    not_kept: u64,
}

impl Table {
    /// At most `capacity` pods, deleted ones included.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: HashMap::new(),
            names: HashMap::new(),
            changes: BTreeMap::new(),
            deleted: VecDeque::new(),
            number: 0,
            list: 0,
            not_kept: 0,
        }
    }

    /// A complete list begins: what is not set until [`Self::end_list`] is gone.
    pub fn begin_list(&mut self) {
        self.list += 1;
    }

    /// Deletes what the list did not have.
    pub fn end_list(&mut self, now: Instant) {
        let is_gone = |e: &Entry| e.list != self.list && e.change.kind != ChangeKind::Deleted;
        let gone: Vec<Arc<str>> =
            self.entries.iter().filter(|(_, e)| is_gone(e)).map(|(uid, _)| Arc::clone(uid)).collect();
        for uid in gone {
            self.delete(&uid, now);
        }
    }

    /// Adds a pod, or changes the one of this UID. The same again is no change. When the table is full of living pods
    /// the new one is not taken, and counted.
    pub fn set(&mut self, pod: Pod, now: Instant) {
        self.expire(now);
        let list = self.list;
        let kind = match self.entries.get_mut(pod.uid.as_str()) {
            Some(entry) if *entry.change.pod == pod && entry.change.kind != ChangeKind::Deleted => {
                entry.list = list;
                return;
            }
            Some(entry) if entry.change.kind == ChangeKind::Deleted => ChangeKind::Added,
            Some(_) => ChangeKind::Modified,
            None => ChangeKind::Added,
        };
        let added =
            self.entries.get(pod.uid.as_str()).filter(|_| kind == ChangeKind::Modified).map(|e| e.added);
        self.remove(&pod.uid);
        if self.entries.len() >= self.capacity {
            // The deletions that are oldest go first.
            let Some((_, uid)) = self.deleted.pop_front() else {
                self.not_kept += 1;
                return;
            };
            self.remove(&uid);
        }
        let uid: Arc<str> = pod.uid.as_str().into();
        for name in names(&pod) {
            self.names.insert(name.into(), Arc::clone(&uid));
        }
        self.put(uid, Arc::new(pod), kind, list, added);
    }

    /// A pod was deleted: it stays for [`DELETED_KEPT`].
    pub fn delete(&mut self, uid: &str, now: Instant) {
        self.expire(now);
        if self.entries.get(uid).is_none_or(|e| e.change.kind == ChangeKind::Deleted) {
            return;
        }
        let Some((uid, entry)) = self.entries.remove_entry(uid) else { return };
        self.changes.remove(&entry.change.number);
        self.deleted.push_back((now + DELETED_KEPT, Arc::clone(&uid)));
        self.put(uid, entry.change.pod, ChangeKind::Deleted, entry.list, Some(entry.added));
    }

    /// Forgets those whose time has come.
    pub fn expire(&mut self, now: Instant) {
        while let Some((_, uid)) = self.deleted.pop_front_if(|(until, _)| *until <= now) {
            self.remove(&uid);
        }
    }

    /// By UID, or a static pod by its hash.
    pub fn by_uid(&self, uid: &str) -> Option<Arc<Pod>> {
        let entry = self.entries.get(uid).or_else(|| self.entries.get(self.names.get(uid)?))?;
        Some(Arc::clone(&entry.change.pod))
    }

    /// By the id of one of its containers.
    pub fn by_container(&self, id: &str) -> Option<Arc<Pod>> {
        let entry = self.entries.get(self.names.get(id)?)?;
        Some(Arc::clone(&entry.change.pod))
    }

    /// Those that live.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        let living = self.entries.values().filter(|e| e.change.kind != ChangeKind::Deleted);
        living.map(|entry| &entry.change.pod)
    }

    /// The last change of each pod that has changed since `number`, in order. A pod that was added and modified
    /// since is told as added, one that came and went as deleted.
    pub fn changes_since(&self, number: u64) -> Vec<Change> {
        let later =
            self.changes.range(number.saturating_add(1)..).filter_map(|(_, uid)| self.entries.get(uid));
        later
            .map(|entry| {
                let mut change = entry.change.clone();
                if change.kind == ChangeKind::Modified && entry.added > number {
                    change.kind = ChangeKind::Added;
                }
                change
            })
            .collect()
    }

    /// Number of the last change.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Pods that live.
    pub fn len(&self) -> usize {
        self.entries.len() - self.deleted.len()
    }

    /// Pods that there was no room for.
    pub fn not_kept(&self) -> u64 {
        self.not_kept
    }

    fn put(&mut self, uid: Arc<str>, pod: Arc<Pod>, kind: ChangeKind, list: u64, added: Option<u64>) {
        self.number += 1;
        self.changes.insert(self.number, Arc::clone(&uid));
        let change = Change { number: self.number, pod, kind };
        self.entries.insert(uid, Entry { change, list, added: added.unwrap_or(self.number) });
    }

    fn remove(&mut self, uid: &str) {
        let Some(entry) = self.entries.remove(uid) else { return };
        self.changes.remove(&entry.change.number);
        if entry.change.kind == ChangeKind::Deleted {
            self.deleted.retain(|(_, other)| **other != *uid);
        }
        for name in names(&entry.change.pod) {
            // It may be another one's by now.
            if self.names.get(name).is_some_and(|owner| **owner == *uid) {
                self.names.remove(name);
            }
        }
    }
}

/// By what a pod is found, besides its UID.
fn names(pod: &Pod) -> impl Iterator<Item = &str> {
    pod.containers.iter().filter_map(|c| c.id.as_deref()).chain(pod.config_hash.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, container: &str) -> Pod {
        let text = format!(
            r#"{{"metadata":{{"name":"n-{uid}","uid":"{uid}","annotations":{{"kubernetes.io/config.hash":"hash-{uid}"}}}},
            "spec":{{"containers":[{{"name":"c"}}]}},
            "status":{{"containerStatuses":[{{"name":"c","containerID":"containerd://{container}"}}]}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn kinds(table: &Table, since: u64) -> Vec<(String, ChangeKind)> {
        table.changes_since(since).into_iter().map(|c| (c.pod.uid.clone(), c.kind)).collect()
    }

    #[test]
    fn pods_are_found_by_all_their_names() {
        let (mut table, now) = (Table::new(10), Instant::now());
        table.set(pod("u1", "c1"), now);
        for found in [table.by_uid("u1"), table.by_uid("hash-u1"), table.by_container("c1")] {
            assert_eq!(found.map(|p| p.uid.clone()).as_deref(), Some("u1"));
        }
        table.set(pod("u1", "c2"), now);
        assert_eq!(table.by_container("c1"), None, "restarted");
        assert!(table.by_container("c2").is_some());
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_deleted_pod_stays_for_a_minute() {
        let (mut table, now) = (Table::new(10), Instant::now());
        table.set(pod("u1", "c1"), now);
        table.delete("u1", now);
        table.delete("u1", now);
        assert_eq!((table.len(), table.pods().count()), (0, 0));
        assert!(table.by_container("c1").is_some());
        table.expire(now + DELETED_KEPT - Duration::from_millis(1));
        assert!(table.by_uid("u1").is_some());
        table.expire(now + DELETED_KEPT);
        assert_eq!((table.by_uid("u1"), table.by_container("c1")), (None, None));
        assert!(table.changes_since(0).is_empty());
    }

    #[test]
    fn a_list_deletes_what_it_does_not_have() {
        let (mut table, now) = (Table::new(10), Instant::now());
        table.begin_list();
        table.set(pod("u1", "c1"), now);
        table.set(pod("u2", "c2"), now);
        table.end_list(now);
        let first = table.number();
        assert_eq!(kinds(&table, 0), [("u1".into(), ChangeKind::Added), ("u2".into(), ChangeKind::Added)]);
        table.begin_list();
        table.set(pod("u2", "c2"), now);
        table.set(pod("u3", "c3"), now);
        table.end_list(now);
        // u2 is as it was, and not told again.
        assert_eq!(
            kinds(&table, first),
            [("u3".into(), ChangeKind::Added), ("u1".into(), ChangeKind::Deleted)]
        );
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn each_pod_is_told_once_with_its_last_change() {
        let (mut table, now) = (Table::new(10), Instant::now());
        table.set(pod("u1", "c1"), now);
        table.set(pod("u2", "c2"), now);
        table.set(pod("u1", "c3"), now);
        assert_eq!(kinds(&table, 0), [("u2".into(), ChangeKind::Added), ("u1".into(), ChangeKind::Added)]);
        assert_eq!(kinds(&table, 2), [("u1".into(), ChangeKind::Modified)]);
        let number = table.number();
        table.set(pod("u1", "c3"), now);
        assert!(table.changes_since(number).is_empty(), "the same again");
        assert!(table.changes_since(u64::MAX).is_empty());
    }

    #[test]
    fn a_full_table_forgets_the_dead_and_takes_no_more() {
        let (mut table, now) = (Table::new(2), Instant::now());
        table.set(pod("u1", "c1"), now);
        table.set(pod("u2", "c2"), now);
        table.set(pod("u3", "c3"), now);
        assert_eq!((table.len(), table.not_kept()), (2, 1));
        table.delete("u1", now);
        table.set(pod("u3", "c3"), now);
        assert_eq!((table.len(), table.not_kept()), (2, 1));
        assert_eq!(table.by_uid("u1"), None);
        assert_eq!(table.names.len(), 4);
        table.set(pod("u3", "c4"), now);
        assert_eq!(table.len(), 2, "a change needs no room");
    }
}
