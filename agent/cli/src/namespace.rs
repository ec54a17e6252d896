//! A thread that lives in a network namespace: it captures there and reads the counters there.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use tracenet_collectors::capture::{Capture, CaptureError, CaptureOptions, CaptureStats, Link, Tap};
use tracenet_collectors::clock;
use tracenet_collectors::counters;
use tracenet_collectors::firewall;
use tracenet_collectors::incident::Watch;
use tracenet_collectors::netns;
use tracenet_core::audit::FirewallRule;
use tracenet_core::event::Event;
use tracenet_core::key::NetnsCookie;
use tracenet_core::merge::SourceId;
use tracenet_core::time::ClockOffset;
use tracenet_probes::{DropTotal, FlowFilter, NetnsTotals, Totals};

use crate::engine::Message;
use crate::failure::Failure;
use crate::incident::{self, Activity};
use crate::sources::{BATCH, Progress, Read, Stop, pump};

/// How often the distance of the clocks is measured: NTP may slew by 500 us in this time.
const RESAMPLE: Duration = Duration::from_secs(1);

/// What to do in a namespace.
pub struct Assignment {
    /// A process that lives there.
    pub pid: u32,
    /// How to capture, or `None` for counters only.
    pub capture: Option<CaptureOptions>,
    /// The kernel's flow filter.
    pub filter: Option<FlowFilter>,
    /// Name of the source for the merger.
    pub source: SourceId,
    /// The probes' counts, whose beginning belongs to that of the counters.
    pub totals: Totals,
    /// What the host has one of is watched here, too.
    pub host: bool,
    /// Whether there is anything to watch for.
    pub activity: Activity,
}

/// What is known once the thread is in place.
pub struct Ready {
    /// Identity of the namespace.
    pub netns: NetnsCookie,
    /// Inode number, as people know it.
    pub inum: u32,
    /// What is captured, for the capture file.
    pub link: Option<Link>,
    /// Why there is no capture although one was wanted.
    pub problem: Option<CaptureError>,
    /// Whether packets come, for whom that is to say, once.
    pub tap: Option<Tap>,
}

/// What is known at the end.
#[derive(Default)]
pub struct NamespaceEnd {
    /// Counters at the beginning.
    pub before: counters::Snapshot,
    /// What the probes had counted at the beginning.
    pub counted_before: NetnsTotals,
    /// What they had seen dropped by then.
    pub dropped_before: Vec<DropTotal>,
    /// Counters at the end.
    pub after: counters::Snapshot,
    /// Rules of the packet filter at the beginning.
    pub rules_before: Vec<FirewallRule>,
    /// The same at the end.
    pub rules_after: Vec<FirewallRule>,
    /// Totals of the capture.
    pub stats: Option<CaptureStats>,
}

/// The thread.
pub struct NamespaceThread {
    handle: JoinHandle<NamespaceEnd>,
    stop: Stop,
    /// Number of the capture in the capture file.
    pub source: SourceId,
    /// What it found at its start.
    pub ready: Ready,
    /// How far it has got; `None` where it doesn't capture.
    pub progress: Option<Arc<Progress>>,
}

impl NamespaceThread {
    /// Enters the namespace of `assignment.pid` and begins.
    pub fn start(assignment: Assignment, to: Sender<Message>) -> Result<Self, Failure> {
        let stop = Stop::new()?;
        let (tell, told) = bounded(1);
        let source = assignment.source;
        let pid = assignment.pid;
        let their_stop = stop.clone();
        let handle = std::thread::Builder::new()
            .name(format!("tracenet-ns{}", source.0))
            .spawn(move || live(assignment, &their_stop, &to, &tell))
            .map_err(|e| Failure::Runtime(format!("cannot start a namespace thread: {e}")))?;
        let (ready, progress) = first_word(&told, pid)?;
        Ok(Self { handle, stop, source, ready, progress })
    }

    /// Ends the capture.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// True once everything was handed over.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Waits for the end. The channel must be read meanwhile.
    pub fn join(self) -> NamespaceEnd {
        self.handle.join().unwrap_or_default()
    }
}

type First = Result<(Ready, Option<Arc<Progress>>), Failure>;

fn first_word(told: &Receiver<First>, pid: u32) -> First {
    told.recv().unwrap_or_else(|_| {
        Err(Failure::Runtime(format!("the thread for the network namespace of {pid} ended at once")))
    })
}

fn live(assignment: Assignment, stop: &Stop, to: &Sender<Message>, tell: &Sender<First>) -> NamespaceEnd {
    let mut end = NamespaceEnd::default();
    let source = assignment.source;
    let totals = assignment.totals.clone();
    let (host, activity) = (assignment.host, assignment.activity.clone());
    let (ready, mut capture) = match enter(assignment) {
        Ok(x) => x,
        Err(e) => {
            let _ = tell.send(Err(e));
            return end;
        }
    };
    end.before = counters::namespace_here().unwrap_or_default();
    end.rules_before = firewall::rules_here();
    end.counted_before = totals.of(ready.netns);
    end.dropped_before = totals.drops_of(ready.netns);
    let (ready_netns, inum) = (ready.netns, ready.inum);
    let delay = capture.as_ref().map_or(0, |c| u64::try_from(c.max_delay().as_nanos()).unwrap_or(u64::MAX));
    let progress = capture.as_ref().map(|_| Arc::new(Progress::new(delay)));
    if tell.send(Ok((ready, progress.clone()))).is_err() {
        return end;
    }
    let watcher = incident::watch(Watch::begin(inum, host, clock::mono_now()), activity, source, stop, to);
    if let (Some(capture), Some(progress)) = (&mut capture, &progress) {
        if let Err(e) = watch(capture, source, progress, stop, to) {
            let _ = to.send(Message::Trouble(format!("{e}; the packet view ends here, the rest goes on")));
        }
        end.stats = Some(capture.stats());
        progress.ended();
    }
    stop.wait();
    let _ = watcher.map(std::thread::JoinHandle::join);
    end.after = counters::namespace_here().unwrap_or_default();
    let by_netfilter = |drops: &[DropTotal]| {
        drops.iter().filter(|d| &*d.reason == "NETFILTER_DROP").map(|d| d.packets).sum::<u64>()
    };
    let dropped = by_netfilter(&totals.drops_of(ready_netns)) > by_netfilter(&end.dropped_before);
    if dropped || !end.rules_before.is_empty() {
        let rules = firewall::rules_here();
        let counted = || firewall::grown(&end.rules_before, &rules, inum).iter().any(|r| r.packets.is_some());
        if dropped || counted() {
            end.rules_after = rules;
        }
    }
    end
}

fn enter(assignment: Assignment) -> Result<(Ready, Option<Capture>), Failure> {
    let wrap = |e: netns::NetnsError| match e {
        netns::NetnsError::NoProcess(_) => Failure::NotFound(e.to_string()),
        e if e.is_privilege() => Failure::Privilege(e.to_string()),
        e => Failure::Runtime(e.to_string()),
    };
    netns::enter(assignment.pid).map_err(wrap)?.stay();
    let cookie = netns::current_cookie().map_err(wrap)?;
    let inum = netns::current_inode().map_err(wrap)?;
    let mut ready = Ready { netns: cookie, inum, link: None, problem: None, tap: None };
    let Some(mut options) = assignment.capture else { return Ok((ready, None)) };
    options.netns = cookie;
    let capture = match open(options, assignment.filter.as_ref()) {
        Ok(c) => c,
        Err(e) if e.is_usage() => return Err(Failure::Usage(e.to_string())),
        Err(e) => {
            ready.problem = Some(e);
            return Ok((ready, None));
        }
    };
    ready.tap = capture.tap().ok();
    let mut link = capture.link();
    link.description = Some(format!("network namespace {inum}"));
    ready.link = Some(link);
    Ok((ready, Some(capture)))
}

fn open(options: CaptureOptions, filter: Option<&FlowFilter>) -> Result<Capture, CaptureError> {
    let interface = options.interface.clone();
    let mut capture = Capture::open(options)?;
    if let Some(filter) = filter {
        filter.attach(capture.fd()).map_err(|e| CaptureError::Pcap { interface, message: e.to_string() })?;
    }
    capture.start()?;
    Ok(capture)
}

fn watch(
    capture: &mut Capture,
    source: SourceId,
    progress: &Progress,
    stop: &Stop,
    to: &Sender<Message>,
) -> Result<(), String> {
    let fd = capture.fd().try_clone_to_owned().map_err(|e| format!("cannot watch the capture: {e}"))?;
    let mut offset = Resampled::new();
    pump(source, fd.as_fd(), progress, stop, to, |max, out| {
        let batch = capture.read_batch(max, offset.now(), out).map_err(|e| e.to_string())?;
        Ok(Read { emptied: batch.emptied, through: batch.through })
    })?;
    // What the last look missed: packets that were on their way when the stop came.
    let until = clock::mono_now().after(u64::try_from(capture.max_delay().as_nanos()).unwrap_or(u64::MAX));
    loop {
        let late = clock::mono_now() >= until;
        let mut events: Vec<Event> = Vec::new();
        let batch = capture.read_batch(BATCH, offset.now(), &mut events).map_err(|e| e.to_string())?;
        let over = late && (batch.emptied || batch.through.is_some_and(|t| t >= until));
        if over {
            capture.tell_losses(&mut events);
        }
        if !events.is_empty() && to.send(Message::Events { source, events }).is_err() {
            return Ok(());
        }
        if over {
            return Ok(());
        }
        if batch.emptied {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The clocks' distance, measured again when it may have changed.
struct Resampled {
    offset: ClockOffset,
    at: Instant,
}

impl Resampled {
    fn new() -> Self {
        Self { offset: clock::sample_offset().offset, at: Instant::now() }
    }

    fn now(&mut self) -> ClockOffset {
        if self.at.elapsed() >= RESAMPLE {
            *self = Self::new();
        }
        self.offset
    }
}
