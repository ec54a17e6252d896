//! What a pod is a part of: a deployment, say, although its owner is one of the deployment's replica sets. The name is
//! made out of the pod alone, so that no other kind of object needs to be watched.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

/// What made a pod, and what made that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Kind of the topmost owner that is known.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The pod's own owner, where it is another: a replica set or a job.
    pub owner: Option<(Kind, String)>,
}

/// Kinds of owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// apps/v1.
    Deployment,
    /// apps/v1.
    ReplicaSet,
    /// apps/v1.
    StatefulSet,
    /// apps/v1.
    DaemonSet,
    /// batch/v1.
    Job,
    /// batch/v1.
    CronJob,
    /// v1.
    ReplicationController,
    /// Another one's, such as an operator's.
    Other(String),
}

impl Kind {
    fn parse(kind: &str) -> Self {
        match kind {
            "Deployment" => Self::Deployment,
            "ReplicaSet" => Self::ReplicaSet,
            "StatefulSet" => Self::StatefulSet,
            "DaemonSet" => Self::DaemonSet,
            "Job" => Self::Job,
            "CronJob" => Self::CronJob,
            "ReplicationController" => Self::ReplicationController,
            other => Self::Other(other.to_owned()),
        }
    }

    /// As Kubernetes writes it.
    pub fn name(&self) -> &str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
            Self::ReplicationController => "ReplicationController",
            Self::Other(kind) => kind,
        }
    }

    /// The resource attribute that holds the name of one (OpenTelemetry, resource/k8s); others have none.
    pub fn attribute(&self) -> Option<&'static str> {
        match self {
            Self::Deployment => Some("k8s.deployment.name"),
            Self::ReplicaSet => Some("k8s.replicaset.name"),
            Self::StatefulSet => Some("k8s.statefulset.name"),
            Self::DaemonSet => Some("k8s.daemonset.name"),
            Self::Job => Some("k8s.job.name"),
            Self::CronJob => Some("k8s.cronjob.name"),
            Self::ReplicationController => Some("k8s.replicationcontroller.name"),
            Self::Other(_) => None,
        }
    }
}

/// An entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Owner {
    kind: String,
    name: String,
    #[serde(default)]
    controller: Option<bool>,
}

impl Workload {
    /// By the controlling owner. A static pod's mirror belongs to its node, which is no workload.
    pub(super) fn of(
        owners: &[Owner],
        labels: &BTreeMap<String, String>,
        created: Option<&str>,
    ) -> Option<Self> {
        let owner = owners.iter().find(|o| o.controller == Some(true)).or_else(|| owners.first())?;
        if owner.kind == "Node" {
            return None;
        }
        let kind = Kind::parse(&owner.kind);
        let above = match kind {
            Kind::ReplicaSet => deployment(&owner.name, labels).map(|name| (Kind::Deployment, name)),
            Kind::Job => cron_job(&owner.name, created).map(|name| (Kind::CronJob, name)),
            _ => None,
        };
        Some(match above {
            Some((above, name)) => {
                Self { kind: above, name: name.to_owned(), owner: Some((kind, owner.name.clone())) }
            }
            None => Self { kind, name: owner.name.clone(), owner: None },
        })
    }
}

/// A deployment names its replica sets `NAME-HASH` and labels their pods with the hash
/// (pkg/controller/deployment/sync.go, `getNewReplicaSet`).
fn deployment<'a>(replica_set: &'a str, labels: &BTreeMap<String, String>) -> Option<&'a str> {
    let hash = labels.get("pod-template-hash")?;
    replica_set.strip_suffix(hash.as_str())?.strip_suffix('-').filter(|name| !name.is_empty())
}

/// How long after its time a cron job's pod may come: it was late, or is the latest of many attempts.
const LATE_MINUTES: i64 = 7 * 24 * 60;

/// A cron job names its jobs `NAME-MINUTES`, the scheduled time in minutes since the epoch
/// (pkg/controller/cronjob/utils.go, `getJobName`). A number that isn't near the pod's creation is something else,
/// a date perhaps.
fn cron_job<'a>(job: &'a str, created: Option<&str>) -> Option<&'a str> {
    let (name, minutes) = job.rsplit_once('-')?;
    let scheduled: i64 = minutes.parse().ok()?;
    let created = created?.parse::<Timestamp>().ok()?.as_second() / 60;
    let late = created.checked_sub(scheduled)?;
    // A clock that is behind by a little is forgiven.
    (!name.is_empty() && (-5..=LATE_MINUTES).contains(&late)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: &str, name: &str, hash: Option<&str>, created: &str) -> Option<String> {
        let owner = Owner { kind: kind.into(), name: name.into(), controller: Some(true) };
        let labels = hash.map(|hash| ("pod-template-hash".to_owned(), hash.to_owned())).into_iter().collect();
        let workload = Workload::of(&[owner], &labels, Some(created))?;
        let owner =
            workload.owner.map(|(kind, name)| format!(" by {} {name}", kind.name())).unwrap_or_default();
        Some(format!("{} {}{owner}", workload.kind.name(), workload.name))
    }

    #[test]
    fn the_topmost_owner_is_named() {
        let at = "2026-11-30T18:00:09Z"; // Minute 29,934,360.
        for (kind, name, hash, expected) in [
            ("ReplicaSet", "web-7d9f8", Some("7d9f8"), "Deployment web by ReplicaSet web-7d9f8"),
            ("ReplicaSet", "web-7d9f8", None, "ReplicaSet web-7d9f8"),
            ("ReplicaSet", "web-7d9f8", Some("other"), "ReplicaSet web-7d9f8"),
            ("ReplicaSet", "-7d9f8", Some("7d9f8"), "ReplicaSet -7d9f8"),
            ("StatefulSet", "db", None, "StatefulSet db"),
            ("DaemonSet", "agent", None, "DaemonSet agent"),
            ("Job", "backup-29934360", None, "CronJob backup by Job backup-29934360"),
            ("Job", "backup-29934000", None, "CronJob backup by Job backup-29934000"),
            ("Job", "backup-20261130", None, "Job backup-20261130"),
            ("Job", "backup-2", None, "Job backup-2"),
            ("Job", "migrate", None, "Job migrate"),
            ("Rollout", "web", None, "Rollout web"),
        ] {
            assert_eq!(told(kind, name, hash, at).as_deref(), Some(expected), "{kind} {name}");
        }
        assert_eq!(told("Node", "n1", None, at), None);
        assert_eq!(told("Job", "backup-29934360", None, "yesterday").as_deref(), Some("Job backup-29934360"));
    }

    #[test]
    fn the_controller_is_the_owner_that_counts() {
        let owner =
            |name: &str, controller| Owner { kind: "StatefulSet".into(), name: name.into(), controller };
        let of = |owners: &[Owner]| Workload::of(owners, &BTreeMap::new(), None).map(|w| w.name);
        assert_eq!(of(&[owner("a", None), owner("b", Some(true))]).as_deref(), Some("b"));
        assert_eq!(of(&[owner("a", None), owner("b", Some(false))]).as_deref(), Some("a"));
        assert_eq!(of(&[]), None);
    }
}
