//! A drop's circumstances as JSON.

use std::sync::Arc;

use serde::Serialize;

use crate::drops::{Conntrack, Details, Hook, Hurt, Layer, QueueKind, Sure, Why};
use crate::fact::DropFact;
use crate::key::Transport;

/// What a drop's line has beside its reason and location.
#[derive(Debug, Clone, Serialize)]
pub struct DropCause {
    /// Where and why.
    #[serde(flatten)]
    pub place: DropPlace,
    /// Whose packet it was, of this host's processes.
    pub hurt: Hurt,
    /// That process.
    pub hurt_pid: Option<u32>,
    /// Its name.
    pub hurt_comm: Option<Arc<str>>,
}

/// Where and why packets were dropped. What does not apply is null.
#[derive(Debug, Clone, Serialize)]
pub struct DropPlace {
    /// Part of the stack.
    pub layer: Layer,
    /// Why, in a word.
    pub why: Why,
    /// Name of the interface.
    pub interface: Option<Arc<str>>,
    /// Hook of the packet filter.
    pub hook: Option<Hook>,
    /// The rule that did it, or the first that can have done it.
    pub rule: Option<RuleName>,
    /// How sure it is that it was this rule.
    pub rule_sure: Option<Sure>,
    /// Rules that can have done it.
    pub rule_of: Option<u32>,
    /// Further rules that can have done it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_rules: Vec<RuleName>,
    /// The queue that had no room.
    pub queue: Option<FullQueue>,
    /// The table of tracked connections, where it was full.
    pub conntrack: Option<Conntrack>,
    /// Time to live of the packet, where it had too little.
    pub ttl: Option<u8>,
}

/// A rule of the packet filter, or (without a handle) a chain's policy.
#[derive(Debug, Clone, Serialize)]
pub struct RuleName {
    pub family: Arc<str>,
    pub table: Arc<str>,
    pub chain: Arc<str>,
    pub handle: Option<u64>,
}

/// A queue without room: bytes for `receive` and `backlog`, connections for `accept`, packets for `qdisc`.
#[derive(Debug, Clone, Serialize)]
pub struct FullQueue {
    pub kind: QueueKind,
    pub name: Option<Arc<str>>,
    pub limit: Option<u32>,
    pub fill: u32,
    pub bytes: Option<u32>,
}

impl DropPlace {
    /// Of a drop with this reason at this function.
    pub fn new(reason: &str, location: &str, transport: Transport, details: &Details) -> Self {
        let why = Why::of(reason, location, details);
        let suspects = details.rule.as_ref();
        let mut rules = suspects.into_iter().flat_map(|s| &s.rules).map(|r| RuleName {
            family: r.family.clone(),
            table: r.table.clone(),
            chain: r.chain.clone(),
            handle: r.handle,
        });
        Self {
            layer: Layer::of(reason, location, transport),
            why,
            interface: Some(&details.interface).filter(|name| !name.is_empty()).cloned(),
            hook: details.hook,
            rule: rules.next(),
            rule_sure: suspects.map(|s| s.sure),
            rule_of: suspects.map(|s| s.of),
            other_rules: rules.collect(),
            queue: details.queue.as_ref().map(|q| FullQueue {
                kind: q.kind,
                name: Some(&q.name).filter(|name| !name.is_empty()).cloned(),
                limit: (q.limit > 0).then_some(q.limit),
                fill: q.fill,
                bytes: (q.kind == QueueKind::Qdisc).then_some(q.bytes),
            }),
            conntrack: details.conntrack,
            ttl: (why == Why::TtlExpired).then_some(details.ttl),
        }
    }
}

impl From<&DropFact> for DropCause {
    fn from(d: &DropFact) -> Self {
        let known = d.victim.pid != 0;
        Self {
            place: DropPlace::new(&d.reason, &d.location, d.transport, &d.details),
            hurt: d.hurt,
            hurt_pid: known.then_some(d.victim.pid),
            hurt_comm: known.then(|| d.victim.comm.clone()),
        }
    }
}
