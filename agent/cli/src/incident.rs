//! Counters around an incident: a thread that looks at them now and then, and which looks belong to a turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use nix::poll::PollTimeout;
use tracenet_collectors::clock;
use tracenet_collectors::incident::Watch;
use tracenet_core::event::{CounterSample, Event, EventKind};
use tracenet_core::fact::{Fact, FactKind, Turn};
use tracenet_core::merge::SourceId;
use tracenet_core::time::MonoNs;

use crate::engine::Message;
use crate::sinks;
use crate::sources::Stop;

/// Between two looks: a retransmission timeout (200 ms at least) and what caused it are in one or two of them.
const INTERVAL_MS: u16 = 250;

/// Looks that wait for the turn during which they were made: 16 s of four namespaces' at least.
const MAX_LOOKS: usize = 256;

/// Turns whose counters may still come.
const MAX_TURNS: usize = 64;

/// Whether anything happens: nobody looks at the counters of a host on which the targets do nothing.
#[derive(Debug, Clone, Default)]
pub struct Activity(Arc<AtomicU64>);

impl Activity {
    /// Events came; looks at counters are none.
    pub fn goes_on(&self, events: &[Event]) {
        if events.first().is_some_and(|e| !matches!(e.kind, EventKind::Counters(_))) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn batches(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Looks until `stop`, in the namespace of the calling thread: a new thread lives where its maker does. What it finds
/// goes to the core under the name of `source`, so that it is waited for no longer than that.
pub fn watch(
    mut watch: Watch,
    activity: Activity,
    source: SourceId,
    stop: &Stop,
    to: &Sender<Message>,
) -> Option<JoinHandle<()>> {
    let (stop, to) = (stop.clone(), to.clone());
    let thread = std::thread::Builder::new().name(format!("tracenet-mib{}", source.0)).spawn(move || {
        let mut seen = activity.batches();
        loop {
            let last = stop.comes_within(PollTimeout::from(INTERVAL_MS));
            let now = activity.batches();
            if now == seen && !last {
                continue;
            }
            seen = now;
            let t = clock::mono_now();
            let event = |sample| Event { t, kind: EventKind::Counters(Box::new(sample)) };
            let events: Vec<Event> = watch.look(t).map(event).collect();
            let heard = events.is_empty() || to.send(Message::Events { source, events }).is_ok();
            if last || !heard {
                break;
            }
        }
    });
    thread.map_err(|e| sinks::warn(&format!("no counters around incidents: {e}"))).ok()
}

/// Which counters moved while a turn lasted that is told.
#[derive(Default)]
pub struct Incidents {
    looks: VecDeque<(MonoNs, CounterSample)>,
    turns: VecDeque<(MonoNs, MonoNs)>,
}

impl Incidents {
    /// A look; true where it belongs to a turn that was told already.
    pub fn looked(&mut self, t: MonoNs, sample: &CounterSample) -> bool {
        if self.turns.iter().any(|(start, end)| *start < t && sample.since < *end) {
            return true;
        }
        if self.looks.len() >= MAX_LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((t, sample.clone()));
        false
    }

    /// A turn is told: what moved meanwhile, one fact a namespace. Each look is told once.
    pub fn told(&mut self, turn: &Turn) -> Vec<Fact> {
        let (start, end) = (turn.end.before(turn.duration().0), turn.end);
        if self.turns.len() >= MAX_TURNS {
            self.turns.pop_front();
        }
        self.turns.push_back((start, end));
        let mut facts: Vec<(MonoNs, CounterSample)> = Vec::new();
        self.looks.retain(|(t, sample)| {
            let meanwhile = start < *t && sample.since < end;
            if meanwhile {
                match facts.iter_mut().find(|(_, f)| f.netns_inum == sample.netns_inum) {
                    Some((latest, sum)) => {
                        *latest = (*latest).max(*t);
                        sum.add(sample);
                    }
                    None => facts.push((*t, sample.clone())),
                }
            }
            !meanwhile
        });
        let fact =
            |(t, sample)| Fact { t, who: None, conn: None, kind: FactKind::Counters(Box::new(sample)) };
        facts.into_iter().map(fact).collect()
    }
}
