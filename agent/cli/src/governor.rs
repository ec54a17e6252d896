//! Holds what the probes cost the targets to the user's budget: a thread that looks once a second, and begins and ends the
//! slices in which what costs too much is observed.

mod taps;
mod words;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use tracenet_collectors::{clock, process};
use tracenet_core::event::{Event, EventKind, GovernorEvent, GovernorStep, GovernorWhy};
use tracenet_core::governor::{Governor, Look, Position, Pressure, Rung, Settings, Slicer, Spent, Why};
use tracenet_core::merge::SourceId;
use tracenet_core::time::{DurationNs, MonoNs};
use tracenet_probes::{Control, Costs, Observed};

use crate::engine::Message;
use crate::failure::Failure;
use crate::own;
use crate::sources::Stop;

pub use taps::Taps;
pub use words::{step, unobserved};

/// Between two looks.
const LOOK_NS: u64 = 1_000_000_000;
/// Until the first one: what costs far too much does so no longer than that.
const FIRST_LOOK_NS: u64 = 250_000_000;
/// Shortest slice. To attach programs and to detach them takes a quarter of a millisecond each, for turns one.
const SHORTEST_NS: u64 = 2_000_000;
/// Slices and pauses of a share that is not small take so long together.
const PERIOD_NS: u64 = 250_000_000;
/// Smallest share of the time: a slice in four seconds.
const MIN_SHARE: f64 = 0.0005;
/// A target is taken to use at least this part of a CPU: see [`Settings::floor`].
const FLOOR: f64 = 0.1;
/// tracenet itself may use this part of all CPUs.
const OWN_CPU: f64 = 0.5;
/// And this part of the host's memory.
const OWN_MEMORY: f64 = 0.1;
/// While something is left out, that is told again after this time.
const HELD_NS: u64 = 60_000_000_000;

/// What can be left out, first things first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Payload,
    Packets,
    Calls,
    Turns,
    /// What is left without it are sums, and what suffers.
    Lifecycle,
}

impl Part {
    fn rung(self) -> Rung {
        let (name, sampled) = match self {
            Self::Payload => ("payload", false),
            Self::Packets => ("packets", false),
            Self::Calls => ("calls", true),
            Self::Turns => ("turns", true),
            Self::Lifecycle => ("lifecycle", false),
        };
        Rung { name, sampled }
    }
}

/// What there is to be left out, beside system calls.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The captures, where packets are captured.
    pub packets: Option<Taps>,
    /// Connections and turns are told.
    pub turns: bool,
}

/// The thread.
pub struct GovernorThread {
    handle: JoinHandle<Control>,
    stop: Stop,
}

impl GovernorThread {
    /// Begins to measure. `budget`: of the targets' own CPU time, 0.01 for 1 %.
    pub fn start(
        control: Control,
        budget: f64,
        parts: Parts,
        source: SourceId,
        to: Sender<Message>,
    ) -> Result<Self, Failure> {
        let stop = Stop::new()?;
        let theirs = stop.clone();
        let handle = std::thread::Builder::new()
            .name("tracenet-governor".into())
            .spawn(move || {
                let mut governing = Governing::new(control, budget, parts, source, to);
                while governing.step(&theirs) {}
                governing.control
            })
            .map_err(|e| Failure::Runtime(format!("cannot start the governor's thread: {e}")))?;
        Ok(Self { handle, stop })
    }

    /// Ends it: its last word is on its way.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// True once its last word was handed over.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// What it held; the probes stay as they are until that is dropped. `None` where the thread panicked.
    pub fn join(self) -> Option<Control> {
        self.handle.join().ok()
    }
}

struct Governing {
    control: Control,
    ladder: Vec<Part>,
    budget: f64,
    governor: Governor,
    slicer: Slicer,
    source: SourceId,
    to: Sender<Message>,
    /// The last time that something began or ended, or a look.
    mark: MonoNs,
    costs: Costs,
    /// Since the last look, in all and in slices.
    spent: Spent,
    within: Spent,
    in_slice: bool,
    taps: Option<Taps>,
    packets: bool,
    next_look: MonoNs,
    cpu_ns: u64,
    strain: Strain,
    /// By the ladder, in nanoseconds.
    unobserved: Vec<u64>,
    told: MonoNs,
    cost: f64,
    heard: bool,
}

impl Governing {
    fn new(control: Control, budget: f64, parts: Parts, source: SourceId, to: Sender<Message>) -> Self {
        let all = [
            (Part::Payload, control.has_payload()),
            (Part::Packets, parts.packets.is_some()),
            (Part::Calls, true),
            (Part::Turns, parts.turns),
            (Part::Lifecycle, parts.turns),
        ];
        let ladder: Vec<Part> = all.into_iter().filter_map(|(part, there)| there.then_some(part)).collect();
        let rungs: Arc<[Rung]> = ladder.iter().map(|part| part.rung()).collect();
        let now = clock::mono_now();
        let mut new = Self {
            unobserved: vec![0; ladder.len()],
            governor: Governor::new(rungs, Settings { budget, floor: FLOOR, min_share: MIN_SHARE }),
            control,
            ladder,
            budget,
            slicer: Slicer::new(now, budget, FLOOR, SHORTEST_NS, PERIOD_NS),
            source,
            to,
            mark: now,
            costs: Costs::default(),
            spent: Spent::default(),
            within: Spent::default(),
            in_slice: true,
            taps: parts.packets,
            packets: true,
            next_look: now.after(FIRST_LOOK_NS),
            cpu_ns: 0,
            strain: Strain::new(0),
            told: now,
            cost: 0.0,
            heard: true,
        };
        new.costs = new.control.costs().unwrap_or_default();
        new.strain = Strain::new(new.control.lost().unwrap_or(0));
        new.cpu_ns = new.cpu_ns();
        new.governor.look(&Look::first(now));
        new
    }

    /// Waits for what is next and does it. False at the end.
    fn step(&mut self, stop: &Stop) -> bool {
        let next = self.slicer.next().map_or(self.next_look, |slice| slice.min(self.next_look));
        let wait = next.since(clock::mono_now());
        let stopped = stop.comes_in(Duration::from_nanos(wait.0));
        let now = clock::mono_now();
        if stopped || !self.heard {
            self.mark(now);
            self.say(now, GovernorWhy::End);
            return false;
        }
        if now >= self.next_look {
            self.look(now);
        }
        self.mark(now);
        self.observe(now);
        true
    }

    /// Books what was since the last mark.
    fn mark(&mut self, now: MonoNs) {
        let elapsed = now.since(std::mem::replace(&mut self.mark, now)).0;
        let costs = self.control.costs().unwrap_or(self.costs);
        let cost_ns = costs.since(&std::mem::replace(&mut self.costs, costs));
        let cpu_ns = self.cpu_ns();
        let used = cpu_ns.saturating_sub(std::mem::replace(&mut self.cpu_ns, cpu_ns));
        // What the probes take is in it.
        let own_ns = used.saturating_sub(cost_ns).max(used / 16);
        let spent = Spent { time_ns: elapsed, own_ns, cost_ns };
        self.slicer.book(now, &spent);
        for sum in [Some(&mut self.spent), self.in_slice.then_some(&mut self.within)].into_iter().flatten() {
            sum.time_ns += spent.time_ns;
            sum.own_ns += spent.own_ns;
            sum.cost_ns += spent.cost_ns;
        }
        let left_out = self.governor.position().left_out;
        for (rung, sum) in self.unobserved.iter_mut().enumerate() {
            if rung < left_out || (rung == left_out && !self.in_slice) {
                *sum += elapsed;
            }
        }
    }

    /// CPU time of the targets, of those too that have ended.
    fn cpu_ns(&self) -> u64 {
        let live: u64 = self.control.targets().filter_map(process::cpu_time_ns).sum();
        live + self.control.ended_cpu_ns().unwrap_or(0)
    }

    fn look(&mut self, now: MonoNs) {
        self.mark(now);
        let lost = self.control.lost();
        let (spent, within) = (std::mem::take(&mut self.spent), std::mem::take(&mut self.within));
        let look = Look {
            t: now,
            cost_ns: spent.cost_ns,
            own_ns: spent.own_ns,
            slices: Some(within),
            pressure: self.strain.look(lost.ok(), Duration::from_nanos(spent.time_ns)),
        };
        let own_ns = (spent.own_ns as f64).max(FLOOR * spent.time_ns as f64).max(1.0);
        self.cost = spent.cost_ns as f64 / own_ns;
        let before = self.governor.position();
        let step = self.governor.look(&look);
        let at = self.governor.position();
        if at.left_out != before.left_out || (before.share >= 1.0 && at.share < 1.0) {
            self.slicer.start_over();
        }
        self.slicer.set_share(self.governor.position().share);
        self.next_look = now.after(LOOK_NS);
        let held = self.governor.position() != Position::TOP && now.since(self.told).0 >= HELD_NS;
        match step {
            Some(step) => self.say(now, why(step.why)),
            None if held => self.say(now, GovernorWhy::Held),
            None => {}
        }
    }

    /// Makes what is observed what it is to be.
    fn observe(&mut self, now: MonoNs) {
        let slice = self.slicer.poll(now);
        let at = self.governor.position();
        let is = |part: Part| {
            let rung = self.ladder.iter().position(|p| *p == part);
            rung.is_none_or(|rung| rung > at.left_out || (rung == at.left_out && slice))
        };
        let wanted = Observed {
            payload: is(Part::Payload),
            calls: is(Part::Calls),
            turns: is(Part::Turns),
            connections: is(Part::Lifecycle),
        };
        let packets = is(Part::Packets);
        let before = self.control.observed();
        if wanted != before {
            if wanted.turns && !before.turns {
                self.send(now, GovernorEvent::Turns { observed: true });
            }
            let failed = self.control.observe(wanted).err();
            // What came of the programs while they were attached or detached is the slice's.
            self.in_slice |= slice;
            self.mark(clock::mono_now());
            if let Some(e) = failed {
                self.heard &= self.to.send(Message::Trouble(e.to_string())).is_ok();
            }
            if before.turns && !wanted.turns {
                self.send(clock::mono_now(), GovernorEvent::Turns { observed: false });
            }
        }
        if packets != self.packets {
            self.packets = packets;
            if let Some(taps) = &self.taps {
                taps.set(packets);
            }
            self.send(clock::mono_now(), GovernorEvent::Packets { observed: packets });
        }
        self.in_slice = slice;
    }

    fn say(&mut self, now: MonoNs, why: GovernorWhy) {
        let at = self.governor.position();
        let names = |parts: &[Part]| parts.iter().map(|part| Arc::from(part.rung().name)).collect();
        let unobserved = self.ladder.iter().zip(&self.unobserved).filter(|(_, ns)| **ns > 0);
        let step = GovernorStep {
            why,
            budget: self.budget,
            cost: self.cost,
            left_out: names(self.ladder.get(..at.left_out).unwrap_or_default()),
            rung: self.ladder.get(at.left_out).map(|part| Arc::from(part.rung().name)),
            share: at.share,
            unobserved: unobserved.map(|(p, ns)| (Arc::from(p.rung().name), DurationNs(*ns))).collect(),
        };
        self.told = now;
        self.send(now, GovernorEvent::Step(Box::new(step)));
    }

    fn send(&mut self, t: MonoNs, event: GovernorEvent) {
        let events = vec![Event { t, kind: EventKind::Governor(event) }];
        self.heard &= self.to.send(Message::Events { source: self.source, events }).is_ok();
    }
}

/// What else than their cost is a reason to observe less.
#[derive(Debug)]
pub struct Strain {
    lost: u64,
    own: Duration,
    /// More than this is too much, bytes.
    memory: f64,
}

impl Strain {
    /// From now on; so many records were lost so far.
    pub fn new(lost: u64) -> Self {
        Self { lost, own: own::cpu_time(), memory: own::memory_of_host() as f64 * OWN_MEMORY }
    }

    /// What there was of it in the time since the last look. `lost`: records so far, where that can be told.
    pub fn look(&mut self, lost: Option<u64>, elapsed: Duration) -> Pressure {
        let own = own::cpu_time();
        let used = own.saturating_sub(std::mem::replace(&mut self.own, own));
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let lost = lost.unwrap_or(self.lost);
        Pressure {
            ring: lost > std::mem::replace(&mut self.lost, lost),
            cpu: used.as_secs_f64() > elapsed.as_secs_f64() * cpus as f64 * OWN_CPU,
            memory: own::memory() as f64 > self.memory,
        }
    }
}

/// As it is told.
pub fn why(why: Why) -> GovernorWhy {
    match why {
        Why::Costly => GovernorWhy::Costly,
        Why::Room => GovernorWhy::Room,
        Why::Lowest => GovernorWhy::Lowest,
        Why::Pressure(pressure) if pressure.ring => GovernorWhy::Ring,
        Why::Pressure(pressure) if pressure.cpu => GovernorWhy::Cpu,
        Why::Pressure(_) => GovernorWhy::Memory,
    }
}
