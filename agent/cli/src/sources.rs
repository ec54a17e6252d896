//! The threads that feed the core: one drains the ring buffer, one lives in each network namespace.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tracenet_collectors::firewall::Watch;
use tracenet_core::event::Event;
use tracenet_core::merge::SourceId;
use tracenet_core::time::MonoNs;
use tracenet_probes::Session;

use crate::engine::Message;
use crate::failure::Failure;

/// Events of one batch at most.
pub const BATCH: usize = 8_192;

/// A record is stamped a little before it can be seen in the ring or on the packet socket (an interrupt may
/// come in between): watermarks stay this far behind.
const SLACK_NS: u64 = 2_000_000;

/// A sleeping source wakes within this time of its next event.
const WAKE_NS: u64 = 5_000_000;

/// Pause between two looks at a busy source: a wake-up per event would cost the traced process more than the
/// event itself.
const BUSY_PAUSE_MS: u16 = 1;

/// Looks without an event before a source goes to sleep.
const IDLE_LOOKS: u32 = 20;

/// How far a source has got, readable without asking it.
#[derive(Debug, Default)]
pub struct Progress {
    watermark: AtomicU64,
    asleep: AtomicBool,
    /// Nanoseconds that an event may lie in the source before it can be read.
    delay_ns: u64,
}

impl Progress {
    /// Of a source in which an event may lie for `delay_ns` before it can be read.
    pub fn new(delay_ns: u64) -> Self {
        Self { delay_ns, ..Self::default() }
    }

    /// Everything before this was handed over. Read it *before* the channel is emptied.
    pub fn watermark(&self, now: MonoNs) -> MonoNs {
        if self.asleep.load(Ordering::Acquire) {
            now.before(WAKE_NS + self.delay_ns)
        } else {
            MonoNs(self.watermark.load(Ordering::Acquire))
        }
    }

    fn reached(&self, t: MonoNs) {
        self.watermark.store(t.before(self.delay_ns).0, Ordering::Release);
    }

    /// The source has ended: nobody needs to wait for it.
    pub fn ended(&self) {
        self.watermark.store(u64::MAX, Ordering::Release);
        self.asleep.store(false, Ordering::Release);
    }
}

/// Says stop to a source that may be asleep.
#[derive(Debug, Clone)]
pub struct Stop {
    event: Arc<EventFd>,
}

impl Stop {
    /// A new one, not stopped.
    pub fn new() -> Result<Self, Failure> {
        EventFd::new()
            .map(|e| Self { event: Arc::new(e) })
            .map_err(|e| Failure::Runtime(format!("cannot create an eventfd: {e}")))
    }

    /// Waits for the stop.
    pub fn wait(&self) {
        while !self.comes_within(PollTimeout::NONE) {}
    }

    /// Waits for the stop, this long. True where it came.
    pub fn comes_within(&self, timeout: PollTimeout) -> bool {
        let mut fds = [PollFd::new(self.event.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).is_ok_and(|ready| ready > 0)
    }

    /// As [`comes_within`](Self::comes_within), to the nanosecond as far as timers go.
    pub fn comes_in(&self, time: Duration) -> bool {
        let mut fds = [PollFd::new(self.event.as_fd(), PollFlags::POLLIN)];
        ppoll(&mut fds, Some(time.into()), None).is_ok_and(|ready| ready > 0)
    }

    /// Stops.
    pub fn stop(&self) {
        // The counter can't overflow from the few writes there are; EAGAIN would mean it is set already.
        let _ = self.event.write(1);
    }
}

/// Waits for `source` or for the stop; true means stop. `None` waits without end.
fn wait(source: BorrowedFd<'_>, stop: &Stop, timeout_ms: Option<u16>) -> bool {
    let timeout = timeout_ms.map_or(PollTimeout::NONE, PollTimeout::from);
    // A busy source is not polled: it would be readable at once, and the pause is the point.
    let watched = if timeout_ms.is_some() { 1 } else { 2 };
    let mut fds =
        [PollFd::new(stop.event.as_fd(), PollFlags::POLLIN), PollFd::new(source, PollFlags::POLLIN)];
    match poll(&mut fds[..watched], timeout) {
        Ok(_) | Err(Errno::EINTR) => fds[0].any().unwrap_or(false),
        Err(_) => true,
    }
}

/// What one look into a source brought.
pub struct Read {
    /// Nothing is left in it.
    pub emptied: bool,
    /// Otherwise, everything before this was read.
    pub through: Option<MonoNs>,
}

/// Runs `read` until `stop`, sleeping while there is nothing, and hands batches over. `read` appends events.
pub fn pump(
    source: SourceId,
    fd: BorrowedFd<'_>,
    progress: &Progress,
    stop: &Stop,
    to: &Sender<Message>,
    mut read: impl FnMut(usize, &mut Vec<Event>) -> Result<Read, String>,
) -> Result<(), String> {
    let mut quiet = 0;
    loop {
        let began = tracenet_collectors::clock::mono_now();
        let mut events = Vec::new();
        let read = read(BATCH, &mut events)?;
        let any = !events.is_empty();
        if any && to.send(Message::Events { source, events }).is_err() {
            return Ok(());
        }
        // In a storm a source is never empty: what it said so far goes on all the same, and a stop is heard.
        let through = if read.emptied { Some(began) } else { read.through.map(|t| t.min(began)) };
        if let Some(t) = through {
            progress.reached(t.before(SLACK_NS));
        }
        if !read.emptied {
            if stop.comes_within(PollTimeout::ZERO) {
                return Ok(());
            }
            continue;
        }
        quiet = if any { 0 } else { quiet + 1 };
        let stopped = if quiet > IDLE_LOOKS {
            progress.asleep.store(true, Ordering::Release);
            let stopped = wait(fd, stop, None);
            // Not past what may have come meanwhile.
            progress.reached(tracenet_collectors::clock::mono_now().before(WAKE_NS));
            progress.asleep.store(false, Ordering::Release);
            stopped
        } else {
            wait(fd, stop, Some(BUSY_PAUSE_MS))
        };
        if stopped {
            return Ok(());
        }
    }
}

/// What the ring thread knows at its end.
pub struct RingEnd {
    /// What could not be read, in one line.
    pub problem: Option<String>,
}

/// Tells the ring's thread of processes that are to be targets.
#[derive(Debug)]
pub struct Orders {
    to: Sender<Vec<u32>>,
    bell: Arc<EventFd>,
}

impl Orders {
    /// These too; of none, what ended targets left behind is let go.
    pub fn follow(&self, pids: Vec<u32>) {
        // Nobody is there to take it at the end.
        let _ = self.to.send(pids);
        let _ = self.bell.write(1);
    }
}

/// Where the ring's thread finds its orders, and says what came of them.
pub struct Desk {
    from: Receiver<Vec<u32>>,
    bell: Arc<EventFd>,
    /// Those that are targets now, and those that are not.
    done: Sender<(Vec<u32>, Vec<u32>)>,
}

impl Desk {
    /// A desk, and who brings orders to it. Orders are few: one for each process that comes.
    pub fn new(done: Sender<(Vec<u32>, Vec<u32>)>) -> Result<(Self, Orders), Failure> {
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
            .map_err(|e| Failure::Runtime(format!("cannot create an eventfd: {e}")))?;
        let bell = Arc::new(bell);
        let (to, from) = crossbeam_channel::unbounded();
        Ok((Self { from, bell: Arc::clone(&bell), done }, Orders { to, bell }))
    }

    /// Readable where records wait, or orders.
    fn watch(&self, session: &Session) -> nix::Result<Epoll> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(session.fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        epoll.add(&self.bell, EpollEvent::new(EpollFlags::EPOLLIN, 1))?;
        Ok(epoll)
    }

    /// Does what waits.
    fn work(&self, session: &mut Session, firewalls: &mut Watch) {
        // Before the orders are taken: whoever brings one rings behind it.
        let _ = self.bell.read();
        while let Ok(pids) = self.from.try_recv() {
            if pids.is_empty() {
                firewalls.keep(&session.let_namespaces_go());
                continue;
            }
            let done = session.add_targets(&pids).unwrap_or_else(|e| {
                crate::sinks::warn(&format!("processes {pids:?} cannot be followed: {e}"));
                Vec::new()
            });
            let rest = pids.into_iter().filter(|pid| !done.contains(pid)).collect();
            let _ = self.done.send((done, rest));
        }
    }
}

/// The thread that drains the ring buffer.
pub struct RingThread {
    handle: JoinHandle<RingEnd>,
    stop: Stop,
    /// How far it has got.
    pub progress: Arc<Progress>,
}

impl RingThread {
    /// Takes the session over. With a desk, targets may be added.
    pub fn start(
        mut session: Session,
        mut firewalls: Watch,
        source: SourceId,
        to: Sender<Message>,
        desk: Option<Desk>,
    ) -> Result<Self, Failure> {
        let stop = Stop::new()?;
        let progress = Arc::new(Progress::default());
        let (their_stop, their_progress) = (stop.clone(), Arc::clone(&progress));
        let handle = std::thread::Builder::new()
            .name("tracenet-ring".into())
            .spawn(move || {
                let desk = desk.as_ref();
                drain(&mut session, &mut firewalls, source, &their_progress, &their_stop, &to, desk)
            })
            .map_err(|e| Failure::Runtime(format!("cannot start the ring thread: {e}")))?;
        Ok(Self { handle, stop, progress })
    }

    /// Drains what is left, takes the last word of every live socket, and detaches the probes.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// Waits for the end. The channel must be read meanwhile.
    pub fn join(self) -> RingEnd {
        self.handle.join().unwrap_or_else(|_| RingEnd { problem: Some("the ring thread panicked".into()) })
    }

    /// True once the thread has handed everything over.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

fn drain(
    session: &mut Session,
    firewalls: &mut Watch,
    source: SourceId,
    progress: &Progress,
    stop: &Stop,
    to: &Sender<Message>,
    desk: Option<&Desk>,
) -> RingEnd {
    let mut problem = None;
    let watched = match desk {
        Some(desk) => desk.watch(session).map(|epoll| epoll.0).map_err(std::io::Error::from),
        None => session.fd().try_clone_to_owned(),
    };
    let ended = match watched {
        Ok(fd) => pump(source, fd.as_fd(), progress, stop, to, |max, out| {
            if let Some(desk) = desk {
                desk.work(session, firewalls);
            }
            let drained = session.drain(max, out);
            firewalls.explain(out);
            Ok(Read { emptied: drained.emptied, through: drained.through })
        }),
        Err(e) => Err(format!("cannot watch the ring buffer: {e}")),
    };
    if let Err(e) = ended {
        problem = Some(e);
    }
    // What came before the stop is told; a storm goes on after it.
    let stopped = tracenet_collectors::clock::mono_now();
    loop {
        let mut events = Vec::new();
        let drained = session.drain(BATCH, &mut events);
        firewalls.explain(&mut events);
        let over = drained.emptied || drained.through.is_some_and(|t| t >= stopped);
        if to.send(Message::Events { source, events }).is_err() || over {
            break;
        }
    }
    let mut last = Vec::new();
    if let Err(e) = session.flush(&mut last) {
        problem = Some(e.to_string());
    }
    let _ = to.send(Message::Events { source, events: last });
    progress.ended();
    RingEnd { problem }
}
