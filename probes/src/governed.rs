//! What the probes cost the targets, and leaving some of them out.

use std::os::fd::{AsFd, OwnedFd};

use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use aya::programs::Program;
use tracenet_core::syscall::{CAPTURES_MAX, CaptureKind};

use crate::abi::{CAPTURE_AT_ENTRY, Cost, LeftOut, PlanEntry, Target, WireSpec, kind, mode};
use crate::load::{map, one_line};
use crate::programs::open_raw_tracepoint;
use crate::session::{Error, Result, mono_now};
use crate::spec::{HookStatus, MAX_NR, Options};

/// What a run costs beyond what is measured within it, in nanoseconds: the tracepoint's call of the program.
const CALL_NS: f64 = 16.0;
/// The same of a system call, which takes the slow way through the kernel's entry too. Two programs that do nothing add 91 to
/// 105 ns to a call (`tests/tests/overhead.rs`).
const ENTRY_NS: f64 = 50.0;
/// Reading the clock twice takes so much of what is measured, in nanoseconds.
const CLOCK_NS: f64 = 16.0;
/// What the kernel does with a packet that the flow filter lets pass, in nanoseconds: it is copied into the capture's ring.
const PACKET_NS: f64 = 500.0;

/// `enum cost_site`
const SITES: usize = 11;
const SYS_ENTER: usize = 0;
const SYS_EXIT: usize = 1;
const FILTER: usize = 10;
const GONE: u32 = 11;

/// Programs that tell of system calls.
const CALLS: [&str; 2] = ["on_sys_exit", "on_sys_enter"];
/// Programs that tell of the bytes of turns, and of what threads waited for.
const TURNS: [&str; 6] = ["on_dev_queue", "on_send", "on_recv", "on_data_ready", "on_wakeup", "on_switch"];

/// What is observed beyond what always is (trouble, processes, totals).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// What buffers hold that system calls name.
    pub payload: bool,
    /// System calls, and what only they tell: how long accept(2) let connections wait, the end of UDP sockets.
    pub calls: bool,
    /// Bytes of connections, turns, and what threads waited for.
    pub turns: bool,
    /// Connections that come, and what becomes of them. Those that suffer are told of all the same.
    pub connections: bool,
}

impl Observed {
    /// All of it.
    pub const ALL: Self = Self { payload: true, calls: true, turns: true, connections: true };
}

/// What the probes have cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Costs {
    sites: [Cost; SITES],
}

impl Costs {
    /// Nanoseconds of the targets' time since `earlier`. Of the runs one in sixteen is timed.
    pub fn since(&self, earlier: &Self) -> u64 {
        let mut sum = 0.0;
        for (i, (now, then)) in self.sites.iter().zip(&earlier.sites).enumerate() {
            let (runs, timed, ns) = (
                now.runs.saturating_sub(then.runs),
                now.timed.saturating_sub(then.timed),
                now.ns.saturating_sub(then.ns),
            );
            // Too few to be timed: as they have been so far.
            let (timed, ns) = if timed > 0 { (timed, ns) } else { (now.timed, now.ns) };
            let mean = if timed > 0 { (ns as f64 / timed as f64 - CLOCK_NS).max(0.0) } else { 0.0 };
            let beyond = match i {
                SYS_ENTER | SYS_EXIT => ENTRY_NS,
                FILTER => PACKET_NS,
                _ => CALL_NS,
            };
            sum += runs as f64 * (mean + beyond);
        }
        sum as u64
    }
}

/// A program that comes and goes.
#[derive(Debug)]
struct Switch {
    program: OwnedFd,
    link: Option<OwnedFd>,
    /// Of [`CALLS`], not of [`TURNS`].
    calls: bool,
}

impl Switch {
    fn set(&mut self, on: bool) -> std::io::Result<()> {
        match (on, &self.link) {
            (true, None) => self.link = Some(open_raw_tracepoint(&self.program, None)?),
            (false, Some(_)) => self.link = None,
            _ => {}
        }
        Ok(())
    }
}

/// Leaves probes out and takes them back, and knows what they cost. Dropping it detaches those that can be left out.
pub struct Control {
    switches: Vec<Switch>,
    observed: Observed,
    left_out: Array<MapData, LeftOut>,
    costs: PerCpuArray<MapData, Cost>,
    targets: HashMap<MapData, u32, Target>,
    plans: Array<MapData, PlanEntry>,
    lost: PerCpuArray<MapData, u64>,
    /// System calls with and without what buffers hold.
    payload: Vec<(u32, PlanEntry, PlanEntry)>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("observed", &self.observed).finish_non_exhaustive()
    }
}

/// True of programs that a [`Control`] attaches.
pub(crate) fn comes_and_goes(program: &str) -> bool {
    CALLS.contains(&program) || TURNS.contains(&program)
}

impl Control {
    /// Of maps that the session has not taken out of the object yet.
    pub(crate) fn open(ebpf: &mut Ebpf) -> Result<Self> {
        let targets = HashMap::try_from(again(ebpf, "targets")?).map_err(|e| failed("targets", &e))?;
        let plans = Array::try_from(again(ebpf, "syscall_plan")?).map_err(|e| failed("syscall_plan", &e))?;
        Ok(Self {
            switches: Vec::new(),
            observed: Observed::ALL,
            left_out: map(ebpf, "left_out")?,
            costs: map(ebpf, "costs")?,
            targets,
            plans,
            lost: PerCpuArray::try_from(again(ebpf, "lost")?).map_err(|e| failed("lost", &e))?,
            payload: Vec::new(),
        })
    }

    /// Attaches what is wanted of the programs that come and go; what fails is noted in its row. The plans are filled by
    /// then.
    pub(crate) fn attach(&mut self, ebpf: &Ebpf, status: &mut [HookStatus], opts: &Options) -> Result<()> {
        for nr in 0..MAX_NR as u32 {
            let full = self.plans.get(&nr, 0).map_err(|e| failed("syscall_plan", &e))?;
            self.payload.extend(without_payload(full).map(|bare| (nr, full, bare)));
        }
        for row in status.iter_mut().filter(|row| comes_and_goes(row.name) && opts.want(row.name)) {
            let Some(Program::BtfTracePoint(program)) = ebpf.program(row.name) else { continue };
            let Ok(fd) = program.fd() else { continue };
            let attached = fd.as_fd().try_clone_to_owned().and_then(|program| {
                let mut switch = Switch { program, link: None, calls: CALLS.contains(&row.name) };
                // What tells strace's lines of calls that sleep goes with the calls.
                switch.calls |= opts.lines;
                switch.set(true).map(|()| switch)
            });
            match attached {
                Ok(switch) => self.switches.push(switch),
                Err(e) => (row.attached, row.error) = (false, Some(e.to_string())),
            }
        }
        Ok(())
    }

    /// True where there is payload to leave out.
    pub fn has_payload(&self) -> bool {
        !self.payload.is_empty()
    }

    /// What is observed.
    pub fn observed(&self) -> Observed {
        self.observed
    }

    /// Observes this from now on. It takes some milliseconds where programs are attached.
    pub fn observe(&mut self, what: Observed) -> Result<()> {
        let before = std::mem::replace(&mut self.observed, what);
        if what.payload != before.payload {
            for (nr, full, bare) in &self.payload {
                let entry = if what.payload { full } else { bare };
                self.plans.set(*nr, entry, 0).map_err(|e| failed("syscall_plan", &e))?;
            }
        }
        if !what.calls && before.calls {
            self.switch(true, false)?;
        }
        if (what.calls, what.connections) != (before.calls, before.connections) {
            // What a thread notes of a call is good from here on only; where calls are left out, never.
            let calls_since = if what.calls { mono_now().0 } else { u64::MAX };
            let entry = LeftOut { calls_since, connections: u32::from(!what.connections), pad: 0 };
            self.left_out.set(0, entry, 0).map_err(|e| failed("left_out", &e))?;
        }
        if what.turns != before.turns {
            self.switch(false, what.turns)?;
        }
        if what.calls && !before.calls {
            self.switch(true, true)?;
        }
        Ok(())
    }

    fn switch(&mut self, calls: bool, on: bool) -> Result<()> {
        for switch in self.switches.iter_mut().filter(|s| s.calls == calls) {
            switch.set(on).map_err(|e| Error::Load(format!("a probe that was left out is not back: {e}")))?;
        }
        Ok(())
    }

    /// What the probes have cost so far.
    ///
    /// # Errors
    /// [`Error::Map`]
    pub fn costs(&self) -> Result<Costs> {
        let mut costs = Costs::default();
        for (site, sum) in (0u32..).zip(&mut costs.sites) {
            for cpu in self.costs.get(&site, 0).map_err(|e| failed("costs", &e))?.iter() {
                sum.runs += cpu.runs;
                sum.timed += cpu.timed;
                sum.ns += cpu.ns;
            }
        }
        Ok(costs)
    }

    /// Thread-group ids under observation now.
    pub fn targets(&self) -> impl Iterator<Item = u32> + '_ {
        self.targets.keys().map_while(std::result::Result::ok)
    }

    /// Records that found a ring full so far.
    ///
    /// # Errors
    /// [`Error::Map`]
    pub fn lost(&self) -> Result<u64> {
        let mut lost = 0;
        for kind in 0..kind::NAMES.len() as u32 {
            lost += self.lost.get(&kind, 0).map_err(|e| failed("lost", &e))?.iter().sum::<u64>();
        }
        Ok(lost)
    }

    /// CPU time of the targets that have ended, in nanoseconds, from their beginning.
    ///
    /// # Errors
    /// [`Error::Map`]
    pub fn ended_cpu_ns(&self) -> Result<u64> {
        let cpus = self.costs.get(&GONE, 0).map_err(|e| failed("costs", &e))?;
        Ok(cpus.iter().map(|c| c.ns).sum())
    }
}

/// `None` where there is none.
fn without_payload(mut entry: PlanEntry) -> Option<PlanEntry> {
    const PAYLOAD: [CaptureKind; 6] = [
        CaptureKind::BufferByArg,
        CaptureKind::BufferByRet,
        CaptureKind::Iovec,
        CaptureKind::Msghdr,
        CaptureKind::Mmsghdrs,
        CaptureKind::Dirents,
    ];
    let is_payload = |kind: u8| PAYLOAD.iter().any(|p| *p as u8 == kind & !CAPTURE_AT_ENTRY);
    if entry.mode == mode::OFF || !entry.captures.iter().any(|c| is_payload(c.kind)) {
        return None;
    }
    let kept: Vec<_> =
        entry.captures.iter().copied().filter(|c| c.kind != 0 && !is_payload(c.kind)).collect();
    entry.captures = [WireSpec { arg: 0, kind: 0, len: 0 }; CAPTURES_MAX];
    for (slot, capture) in entry.captures.iter_mut().zip(&kept) {
        *slot = *capture;
    }
    entry.entries = kept.iter().filter(|c| c.kind & CAPTURE_AT_ENTRY != 0).count() as u8;
    Some(entry)
}

fn failed(map: &'static str, e: &(dyn std::error::Error + 'static)) -> Error {
    Error::Map { map, detail: one_line(e) }
}

/// Another handle on a map.
fn again(ebpf: &Ebpf, name: &'static str) -> Result<Map> {
    let unavailable = || Error::Map { map: name, detail: "not in the object".into() };
    let (data, wrap): (_, fn(MapData) -> Map) = match ebpf.map(name).ok_or_else(unavailable)? {
        Map::HashMap(data) => (data, Map::HashMap),
        Map::Array(data) => (data, Map::Array),
        Map::PerCpuArray(data) => (data, Map::PerCpuArray),
        _ => return Err(unavailable()),
    };
    let fd = data.fd().as_fd().try_clone_to_owned().map_err(|e| failed(name, &e))?;
    MapData::from_fd(fd).map(wrap).map_err(|e| failed(name, &e))
}
