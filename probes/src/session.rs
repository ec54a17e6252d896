//! A session: programs attached, maps filled, records drained.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{Iter, Program, SocketFilter};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use rustc_hash::FxHashSet;
use tracenet_core::event::{Event, EventKind, LossSource};
use tracenet_core::filling::Filling;
use tracenet_core::key::{ProcessKey, Role};
use tracenet_core::syscall::{Plan, plan};
use tracenet_core::time::MonoNs;

use crate::abi::{CAPTURE_AT_ENTRY, Following, PlanEntry, Target, WireSpec, call, kind, mode};
use crate::accounts::{Account, Accounts};
use crate::counts::Counts;
use crate::decode::{Decoder, iterator_record_len};
use crate::governed::{Control, comes_and_goes};
use crate::io::Io;
use crate::load::{self, map, one_line};
use crate::programs::recursion_misses;
use crate::spec::{Depth, Drained, HookStatus, MAX_NR, Options, SEE_BYTES, SPECS};
use crate::totals::Totals;
use crate::turns::{TurnMap, Turns, TurnsOf, lot};

/// What can go wrong. Every message is one line with its remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel doesn't export its types.
    #[error("the kernel has no BTF ({path}: {source}); a kernel with CONFIG_DEBUG_INFO_BTF=y is needed")]
    NoBtf {
        /// Where it was looked for.
        path: &'static str,
        /// Why it could not be read.
        source: std::io::Error,
    },
    /// Not allowed to use BPF.
    #[error("not allowed to load BPF programs ({detail}); run as root, or give CAP_BPF and CAP_PERFMON")]
    NotPermitted {
        /// What is missing, or what the kernel said.
        detail: String,
    },
    /// The object as a whole was refused.
    #[error("can't load the BPF object: {0}")]
    Load(String),
    /// No probe at all could be attached.
    #[error("no probe could be attached, `tracenet doctor` tells why: {0}")]
    NothingAttached(String),
    /// A map operation failed.
    #[error("BPF map {map}: {detail}")]
    Map {
        /// Name of the map.
        map: &'static str,
        /// What the kernel said.
        detail: String,
    },
    /// The process is not there.
    #[error("no process {0}")]
    NoProcess(u32),
    /// The flow filter could not be attached to a capture socket.
    #[error("can't attach the flow filter to the capture socket: {0}")]
    Filter(std::io::Error),
    /// An iterator could not be run to its end.
    #[error("BPF iterator {name}: {detail}")]
    Iterator {
        /// Name of the program.
        name: &'static str,
        /// What the kernel said.
        detail: String,
    },
    /// The probe that this needs is not attached.
    #[error("{0} is not available on this kernel; `tracenet doctor` tells why")]
    Unavailable(&'static str),
}

impl Error {
    /// What to do about it, in one line.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoBtf { .. } => "use a kernel with CONFIG_DEBUG_INFO_BTF=y",
            Self::NotPermitted { .. } => "run as root, or give CAP_BPF and CAP_PERFMON",
            Self::NoProcess(_) => "name a process that runs",
            Self::Load(_)
            | Self::NothingAttached(_)
            | Self::Map { .. }
            | Self::Filter(_)
            | Self::Iterator { .. }
            | Self::Unavailable(_) => "see `tracenet doctor`",
        }
    }
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

/// Reads at most `budget` records of a ring. Returns how many.
fn take(ring: &mut RingBuf<MapData>, decoder: &mut Decoder, budget: usize, out: &mut Vec<Event>) -> usize {
    let mut records = 0;
    while records < budget {
        let Some(record) = ring.next() else { break };
        decoder.decode(&record, out);
        records += 1;
    }
    records
}

/// An epoll instance that is readable when one of `fds` is, so that a caller waits for one descriptor.
fn watch(fds: &[BorrowedFd<'_>]) -> nix::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for fd in fds {
        epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    }
    Ok(epoll)
}

const HINT_SLOTS: u32 = 16384;
/// Records that a flush reads at most: sockets that stay busy must not hold it up for ever.
const FLUSH_RECORDS: usize = 1 << 20;
/// How often the programs are asked for runs that the kernel skipped.
const MISSES_EVERY: Duration = Duration::from_secs(1);
/// Nearly all that it sees is of no interest: a skipped run of it is no loss as long as no accept queue is full.
const SEES_FULL_QUEUES: &str = "on_consume_skb";
/// Network namespaces that are kept open.
const NAMESPACES_MAX: usize = 256;
/// News that wait for the other ring at most: then they are told before their time.
const MAX_AHEAD: usize = 1 << 16;

/// Loaded and attached probes. Dropping it detaches them all.
pub struct Session {
    ebpf: Ebpf,
    status: Vec<HookStatus>,
    /// Lifecycle and trouble: read first.
    news: RingBuf<MapData>,
    /// News that were read before what came earlier in the other ring.
    ahead: Vec<Event>,
    /// Syscalls and bytes.
    bulk: RingBuf<MapData>,
    /// Both rings.
    readable: Epoll,
    targets: HashMap<MapData, u32, Target>,
    hints: Array<MapData, u32>,
    totals: Totals,
    counts: Counts,
    accounts: Accounts,
    turns: TurnMap,
    depths: HashMap<MapData, u32, Following>,
    io: Io,
    losses: PerCpuArray<MapData, u64>,
    lost_seen: [u64; kind::NAMES.len()],
    lost_in_all: u64,
    /// Of both rings.
    filling: Filling,
    misses_seen: [u64; SPECS.len()],
    misses_read: Instant,
    decoder: Decoder,
    pending: Vec<Event>,
    /// By inode number.
    namespaces: BTreeMap<u64, File>,
    control: Option<Control>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Session {
    /// Loads and attaches every probe and finds the sockets that exist already, in all network namespaces. What the
    /// bootstrap found comes out of the first [`drain`](Self::drain).
    pub fn open(opts: &Options) -> Result<Session> {
        for tgid in &opts.targets {
            check_alive(*tgid)?;
        }
        let mut loaded = load::load(opts)?;
        let ebpf = &mut loaded.ebpf;
        let news: RingBuf<MapData> = map(ebpf, "news")?;
        let bulk: RingBuf<MapData> = map(ebpf, "bulk")?;
        let readable = watch(&[news.as_fd(), bulk.as_fd()])
            .map_err(|e| Error::Map { map: "bulk", detail: format!("cannot be waited for: {e}") })?;
        let control = opts.governed.then(|| Control::open(ebpf)).transpose()?;
        let targets = map(ebpf, "targets")?;
        let hints = map(ebpf, "target_hints")?;
        let mut plans = map(ebpf, "syscall_plan")?;
        let totals = Totals::new(
            map(ebpf, "netns_totals")?,
            map(ebpf, "drop_totals")?,
            loaded.types.drop_reasons.clone(),
        );
        let losses = map(ebpf, "lost")?;
        fill_plan(&mut plans, opts)?;
        let accounts = Accounts::new(
            map(ebpf, "accounts")?,
            map(ebpf, "account_drops")?,
            loaded.types.drop_reasons.clone(),
        );
        let turns = TurnMap::new(map(ebpf, "turn_stats")?, map(ebpf, "turn_policies")?);
        let mut depths: HashMap<MapData, u32, Following> = map(ebpf, "depths")?;
        if let Some(depth) = opts.wide {
            set_depth(&mut depths, EVERYBODY, depth, 1.0)?;
        }
        let counts = Counts::new(map(ebpf, "call_counts")?, map(ebpf, "connection_counts")?);
        let io = Io::new(map(&mut loaded.ebpf, "io_epoch")?, map(&mut loaded.ebpf, "io_away")?);
        let mut session = Session {
            ebpf: loaded.ebpf,
            status: loaded.status,
            news,
            bulk,
            readable,
            targets,
            hints,
            totals,
            counts,
            accounts,
            turns,
            depths,
            io,
            losses,
            lost_seen: [0; kind::NAMES.len()],
            lost_in_all: 0,
            filling: Filling::default(),
            misses_seen: [0; SPECS.len()],
            misses_read: Instant::now(),
            decoder: Decoder::new(loaded.types, loaded.symbols),
            pending: Vec::new(),
            ahead: Vec::new(),
            namespaces: BTreeMap::new(),
            control,
        };
        session.attach(opts)?;
        for tgid in &opts.targets {
            insert_target(&mut session.targets, &mut session.hints, *tgid, opts.held == Some(*tgid))?;
        }
        session.bootstrap()?;
        for tgid in &opts.targets {
            check_alive(*tgid)?;
        }
        Ok(session)
    }

    /// Of a busy connection whose beginning nobody saw, the first bytes say whose side is whose by the ports on which somebody
    /// listens: these are found first.
    fn attach(&mut self, opts: &Options) -> Result<()> {
        let always = |probe: &str| opts.want(probe) && !(opts.governed && comes_and_goes(probe));
        load::attach(&mut self.ebpf, &mut self.status, |probe| always(probe) && !SEE_BYTES.contains(&probe));
        self.iterate("iter_tag", None, &mut Vec::new())?;
        load::attach(&mut self.ebpf, &mut self.status, |probe| always(probe) && SEE_BYTES.contains(&probe));
        if let Some(control) = &mut self.control {
            control.attach(&self.ebpf, &mut self.status, opts)?;
        }
        Ok(())
    }

    /// Makes these processes targets and finds the sockets that they have. Returns those that are targets now: the others
    /// have ended.
    pub fn add_targets(&mut self, tgids: &[u32]) -> Result<Vec<u32>> {
        let alive: Vec<u32> = tgids.iter().copied().filter(|tgid| check_alive(*tgid).is_ok()).collect();
        for tgid in &alive {
            insert_target(&mut self.targets, &mut self.hints, *tgid, false)?;
        }
        // Where it has ended meanwhile, nobody would take it out.
        let (alive, ended): (Vec<u32>, Vec<u32>) =
            alive.into_iter().partition(|tgid| check_alive(*tgid).is_ok());
        for tgid in ended {
            // Its end may have been seen.
            let _ = self.targets.remove(&tgid);
        }
        if !alive.is_empty() {
            self.let_namespaces_go();
            self.bootstrap()?;
        }
        Ok(alive)
    }

    /// Namespaces in which no target lives any more are not kept from their end. Returns those in which one does, by inode
    /// number.
    pub fn let_namespaces_go(&mut self) -> Vec<u64> {
        let inhabited: Vec<u64> = self
            .targets
            .keys()
            .map_while(std::result::Result::ok)
            .filter_map(|tgid| fs::metadata(format!("/proc/{tgid}/ns/net")).ok())
            .map(|m| m.ino())
            .collect();
        self.namespaces.retain(|inode, _| inhabited.contains(inode));
        inhabited
    }

    /// Tags the sockets of all processes first, so that roles and owners are settled when targets' are told.
    fn bootstrap(&mut self) -> Result<()> {
        let mut found = std::mem::take(&mut self.pending);
        for name in ["iter_targets", "iter_tag", "iter_announce"] {
            self.iterate(name, None, &mut found)?;
        }
        self.find_namespaces();
        self.iterate_namespaces("iter_tcp_announce", &mut found);
        self.pending = found;
        Ok(())
    }

    /// Keeps the targets' network namespaces open: their sockets may outlive the processes.
    fn find_namespaces(&mut self) {
        for tgid in self.targets.keys().map_while(std::result::Result::ok) {
            let path = format!("/proc/{tgid}/ns/net");
            let Ok(inode) = fs::metadata(&path).map(|m| m.ino()) else { continue };
            if self.namespaces.len() < NAMESPACES_MAX
                && !self.namespaces.contains_key(&inode)
                && let Ok(file) = File::open(&path)
            {
                self.namespaces.insert(inode, file);
            }
        }
    }

    /// Runs an iterator that sees one namespace only in all that targets were seen in. What can't be entered is
    /// left out: the iterators over descriptors have found all but a few sockets already.
    fn iterate_namespaces(&mut self, name: &'static str, out: &mut Vec<Event>) {
        let namespaces: Vec<File> = self.namespaces.values().filter_map(|f| f.try_clone().ok()).collect();
        for namespace in &namespaces {
            if let Err(e) = self.iterate(name, Some(namespace), out) {
                self.note(name, &e);
            }
        }
    }

    /// A probe that failed later than at its load.
    fn note(&mut self, name: &str, e: &Error) {
        for status in self.status.iter_mut().filter(|s| s.name == name) {
            status.attached = false;
            status.error = Some(e.to_string());
        }
    }

    /// Runs an iterator to its end. One that isn't loaded has its row in the status, and finds nothing.
    fn iterate(&mut self, name: &'static str, namespace: Option<&File>, out: &mut Vec<Event>) -> Result<()> {
        let fail = |detail: String| Error::Iterator { name, detail };
        let loaded = SPECS.iter().zip(&self.status).any(|(spec, s)| spec.name == name && s.attached);
        if !loaded {
            return Ok(());
        }
        let program = self.ebpf.program_mut(name).ok_or_else(|| fail("not in the object".into()))?;
        let program: &mut Iter = program.try_into().map_err(|e| fail(one_line(&e)))?;
        let link = program.attach().map_err(|e| fail(one_line(&e)))?;
        let link = program.take_link(link).map_err(|e| fail(one_line(&e)))?;
        let mut file = match namespace {
            None => link.into_file().map_err(|e| fail(one_line(&e)))?,
            Some(namespace) => within(namespace, || link.into_file().map_err(|e| fail(one_line(&e))))
                .map_err(|e| fail(format!("can't enter the network namespace: {e}")))??,
        };

        let mut buffer = Vec::new();
        let mut chunk = vec![0u8; 1 << 16];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => buffer.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(e)
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock
                    ) => {}
                Err(e) => return Err(fail(e.to_string())),
            }
            let mut rest = buffer.as_slice();
            while let Some(record) = iterator_record_len(rest).and_then(|len| rest.get(..len)) {
                self.decoder.decode(record, out);
                rest = rest.get(record.len()..).unwrap_or_default();
            }
            let used = buffer.len() - rest.len();
            buffer.drain(..used);
        }
        Ok(())
    }

    /// The ring buffers, for poll: readable once records wait. A reader that then sleeps a millisecond before it
    /// drains gets a batch for one wake-up.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.readable.0.as_fd()
    }

    /// Reads at most `budget` records and appends what they say to `out`. Events of one CPU are in order of time,
    /// those of several nearly so. Records that found the ring full come out as [`EventKind::Lost`].
    pub fn drain(&mut self, budget: usize, out: &mut Vec<Event>) -> Drained {
        out.append(&mut self.pending);
        let news = take(&mut self.news, &mut self.decoder, budget, &mut self.ahead);
        let told = out.len();
        let bulk = take(&mut self.bulk, &mut self.decoder, budget - news, out);
        // Where there was anything left of the budget, the news were read to their end.
        let through = out[told..].last().map(|e| e.t);
        let records = news + bulk;
        let emptied = records < budget;
        if let Some(first) = self.ahead.first().into_iter().chain(out.get(told)).map(|e| e.t).min() {
            self.filling.held(first);
        }
        // A connection has not ended while what it did waits in the other ring still. It is told of before what it did.
        let ready = match through {
            _ if emptied || self.ahead.len() > MAX_AHEAD => std::mem::take(&mut self.ahead),
            Some(t) => self.ahead.extract_if(.., |e| e.t <= t).collect(),
            None => Vec::new(),
        };
        out.splice(told..told, ready);
        self.tell_losses(out);
        if emptied {
            self.filling.emptied();
        }
        if self.misses_read.elapsed() >= MISSES_EVERY {
            self.tell_misses(out);
        }
        Drained { emptied, records, through }
    }

    /// What was lost since the last look: where it began, then how many of what.
    fn tell_losses(&mut self, out: &mut Vec<Event>) {
        let t = mono_now();
        let counted = |i: u32| self.losses.get(&i, 0).ok().map(|cpus| cpus.iter().sum::<u64>());
        let lost =
            |what: &str, count| EventKind::Lost { source: LossSource::Ringbuf, what: what.into(), count };
        let Some(all) = counted(0).map(|n| n + self.decoder.malformed) else { return };
        let begun = self.filling.look(t);
        let mut news = Vec::new();
        if std::mem::replace(&mut self.lost_in_all, all) < all {
            for ((i, what), seen) in (0u32..).zip(kind::NAMES).zip(&mut self.lost_seen) {
                let total = if i == 0 { self.decoder.malformed } else { counted(i).unwrap_or(*seen) };
                let count = total.saturating_sub(std::mem::replace(seen, total));
                if count > 0 {
                    news.push(Event { t, kind: lost(what, count) });
                }
            }
        }
        if !news.is_empty() {
            out.push(Event { t: begun, kind: lost("records", 0) });
            out.append(&mut news);
        }
    }

    /// The kernel skips a tracing program that would run on top of itself (an interrupt during it): a loss as well.
    fn tell_misses(&mut self, out: &mut Vec<Event>) {
        self.misses_read = Instant::now();
        for (spec, seen) in SPECS.iter().zip(&mut self.misses_seen) {
            if spec.name == SEES_FULL_QUEUES && !self.decoder.queue_was_full {
                continue;
            }
            let Some(Program::BtfTracePoint(program)) = self.ebpf.program(spec.name) else { continue };
            let Ok(fd) = program.fd() else { continue };
            let Some(total) = recursion_misses(fd.as_fd()) else { continue };
            let count = total.saturating_sub(*seen);
            *seen = total;
            if count > 0 {
                let kind = EventKind::Lost { source: LossSource::Ringbuf, what: spec.name.into(), count };
                out.push(Event { t: mono_now(), kind });
            }
        }
    }

    /// Drains the ring, looks at every live socket once more and appends its last word to `out`
    /// ([`SocketReason::Final`](tracenet_core::event::SocketReason::Final)).
    pub fn flush(&mut self, out: &mut Vec<Event>) -> Result<()> {
        self.drain(FLUSH_RECORDS, out);
        let mut last = Vec::new();
        self.find_namespaces();
        self.iterate("iter_final", None, &mut last)?;
        self.iterate_namespaces("iter_tcp_final", &mut last);
        // A socket comes once for each descriptor that holds it.
        let mut told = FxHashSet::default();
        last.retain(|e| match &e.kind {
            EventKind::Socket(s) => told.insert(s.cookie),
            _ => true,
        });
        self.drain(FLUSH_RECORDS, out);
        out.append(&mut self.ahead);
        out.append(&mut last);
        self.tell_losses(out);
        self.tell_misses(out);
        Ok(())
    }

    /// A handle on the in-kernel totals, for any thread, also after the session's end. They are complete after a
    /// [`flush`](Self::flush), which adds what open sockets have not told yet.
    pub fn totals(&self) -> Totals {
        self.totals.clone()
    }

    /// The measure of what the probes cost, and the hold on those that can be left out, for any thread: once, and with
    /// [`Options::governed`] only. They are detached when it is dropped.
    pub fn take_control(&mut self) -> Option<Control> {
        self.control.take()
    }

    /// A handle on what was counted of each syscall, for any thread, also after the session's end.
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// What was added up by process until now: nothing without [`Options::accounts`].
    pub fn accounts(&mut self) -> Result<Vec<(ProcessKey, Account)>> {
        const ITERATOR: &str = "iter_accounts";
        if !self.status.iter().any(|s| s.name == ITERATOR && s.attached) {
            return Err(Error::Unavailable("iter/task_file, which accounts of processes need,"));
        }
        self.iterate(ITERATOR, None, &mut Vec::new())?;
        Ok(self.accounts.all())
    }

    /// The account of one process, as far as its connections have told.
    pub fn account(&self, of: ProcessKey) -> Option<Account> {
        self.accounts.one(of)
    }

    /// Nothing else is said of a process: see [`set_depth`](Self::set_depth).
    pub fn unset_depth(&mut self, tgid: u32) {
        // What is not there needs no taking out.
        let _ = self.depths.remove(&tgid);
    }

    /// Makes room: of a process that has ended, once its account and its turns were read.
    pub fn forget_process(&mut self, of: ProcessKey) {
        self.accounts.forget(of);
        for role in [Role::Client, Role::Server] {
            self.turns.forget((of, role));
        }
        // What is gone already needs no taking out.
        let _ = self.depths.remove(&of.tgid);
    }

    /// The turns of every process so far: nothing without [`Options::wide`].
    pub fn turns(&self) -> Vec<(TurnsOf, Turns)> {
        self.turns.all()
    }

    /// Which turns of a process become events: those that take `slow_ns`, and of the others this share (0 to 1). Connections
    /// learn of it at the next reading of [`accounts`](Self::accounts).
    pub fn set_turn_policy(&mut self, of: TurnsOf, slow_ns: u64, share: f64) -> Result<()> {
        self.turns.set_policy(of, slow_ns, share)
    }

    /// How far a process is followed, with [`Options::wide`]; `None` is for all of which nothing else is said. Of turns, this
    /// share (0 to 1) of the connections, drawn alike by both ends; on the others they are counted. Open connections
    /// learn of it at the next reading of [`accounts`](Self::accounts).
    pub fn set_depth(&mut self, tgid: Option<u32>, depth: Depth, share: f64) -> Result<()> {
        set_depth(&mut self.depths, tgid.unwrap_or(EVERYBODY), depth, share)
    }

    /// Watches calls that send and receive, or doesn't: such calls cost next to nothing then. Meanwhile no turn is seen, nor who
    /// takes over a socket, nor datagrams; what TCP sockets move is found in their sequence numbers afterwards.
    pub fn watch_io(&mut self, on: bool) -> Result<()> {
        self.io.set(on)
    }

    /// A handle on the flow filter that can be sent to the threads that capture.
    pub fn flow_filter(&self) -> Result<FlowFilter> {
        const WHAT: &str = "the flow filter";
        let program = self.ebpf.program("flow_filter").ok_or(Error::Unavailable(WHAT))?;
        let program: &SocketFilter = program.try_into().map_err(|_| Error::Unavailable(WHAT))?;
        let fd = program.fd().map_err(|_| Error::Unavailable(WHAT))?;
        let fd = fd.as_fd().try_clone_to_owned().map_err(Error::Filter)?;
        Ok(FlowFilter { fd: Arc::new(fd) })
    }

    /// Attaches the flow filter to a packet socket: only packets of targets' flows pass from then on.
    pub fn attach_flow_filter(&self, fd: BorrowedFd<'_>) -> Result<()> {
        self.flow_filter()?.attach(fd)
    }

    /// One row per probe.
    pub fn status(&self) -> &[HookStatus] {
        &self.status
    }
}

/// The eBPF socket filter that selects the targets' flows, and the SYNs that open new ones. It passes packets
/// whole (256 KiB at most); a capture's own snap length still applies.
#[derive(Debug, Clone)]
pub struct FlowFilter {
    fd: Arc<OwnedFd>,
}

impl FlowFilter {
    /// `setsockopt(SO_ATTACH_BPF)` on a packet socket (socket(7)). It replaces a filter that was there.
    pub fn attach(&self, socket: BorrowedFd<'_>) -> Result<()> {
        let prog = self.fd.as_raw_fd();
        // SAFETY: both descriptors are open, and the option's value is an int as socket(7) wants.
        let r = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_BPF,
                (&raw const prog).cast(),
                size_of_val(&prog) as libc::socklen_t,
            )
        };
        if r == 0 { Ok(()) } else { Err(Error::Filter(std::io::Error::last_os_error())) }
    }
}

/// Runs `f` in another network namespace, on a thread of its own: this one stays where it is (setns(2)).
fn within<T: Send>(namespace: &File, f: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let entered = scope.spawn(|| {
            // SAFETY: an open descriptor; only this thread moves.
            if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(f())
        });
        entered.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread panicked")))
    })
}

/// In `depths`: nobody has this number.
const EVERYBODY: u32 = 0;

fn set_depth(
    depths: &mut HashMap<MapData, u32, Following>,
    tgid: u32,
    depth: Depth,
    share: f64,
) -> Result<()> {
    let following = Following { depth: depth as u32, share: lot(share) };
    depths.insert(tgid, following, 0).map_err(|e| Error::Map { map: "depths", detail: one_line(&e) })
}

fn check_alive(tgid: u32) -> Result<()> {
    if fs::metadata(format!("/proc/{tgid}/stat")).is_ok() { Ok(()) } else { Err(Error::NoProcess(tgid)) }
}

fn insert_target(
    targets: &mut HashMap<MapData, u32, Target>,
    hints: &mut Array<MapData, u32>,
    tgid: u32,
    held: bool,
) -> Result<()> {
    let fail = |map, e: aya::maps::MapError| Error::Map { map, detail: one_line(&e) };
    let target = Target { since_ns: mono_now().0, announced: 0, held: u32::from(held) };
    targets.insert(tgid, target, 0).map_err(|e| fail("targets", e))?;
    hints.set(tgid % HINT_SLOTS, 1, 0).map_err(|e| fail("target_hints", e))
}

fn fill_plan(plans: &mut Array<MapData, PlanEntry>, opts: &Options) -> Result<()> {
    for nr in 0..MAX_NR as u32 {
        let entry = plan_entry(plan(nr, opts.captures), opts, nr);
        plans.set(nr, entry, 0).map_err(|e| Error::Map { map: "syscall_plan", detail: one_line(&e) })?;
    }
    Ok(())
}

fn plan_entry(plan: Plan, opts: &Options, nr: u32) -> PlanEntry {
    let filter = &opts.syscalls;
    let flags = call_flags(libc::c_long::from(nr));
    PlanEntry {
        mode: if filter.contains(nr) {
            mode::ALL
        } else if filter.contains_socket_only(nr) {
            mode::SOCKETS
        } else {
            mode::OFF
        },
        flags,
        // These act on their first argument, whether or not a plan says so.
        fd_arg: if flags & (call::ACCEPT | call::BIND | call::SENDS | call::CLOSE) != 0 {
            0
        } else {
            plan.fd_arg
        },
        counted: u8::from(opts.counted.contains(nr)),
        entries: plan.captures.iter().filter(|c| c.at_entry).count() as u8,
        pad: [0; 3],
        captures: plan.captures.map(|c| WireSpec {
            arg: c.arg,
            kind: c.kind as u8 | if c.at_entry { CAPTURE_AT_ENTRY } else { 0 },
            len: c.len,
        }),
    }
}

/// What the probes must know of a syscall, recorded or not.
fn call_flags(nr: libc::c_long) -> u8 {
    #[cfg(target_arch = "x86_64")]
    if nr == libc::SYS_fork || nr == libc::SYS_vfork {
        return call::FORK;
    }
    match nr {
        libc::SYS_accept | libc::SYS_accept4 => call::ACCEPT,
        libc::SYS_bind => call::BIND,
        libc::SYS_execve | libc::SYS_execveat => call::EXEC,
        libc::SYS_clone | libc::SYS_clone3 => call::FORK,
        libc::SYS_exit | libc::SYS_exit_group => call::NORETURN,
        libc::SYS_connect
        | libc::SYS_sendto
        | libc::SYS_sendmsg
        | libc::SYS_sendmmsg
        | libc::SYS_write
        | libc::SYS_writev
        | libc::SYS_sendfile => call::SENDS,
        libc::SYS_read
        | libc::SYS_readv
        | libc::SYS_recvfrom
        | libc::SYS_recvmsg
        | libc::SYS_recvmmsg
        | libc::SYS_splice => call::RECVS,
        libc::SYS_close => call::CLOSE,
        _ => 0,
    }
}

/// `CLOCK_MONOTONIC`, the clock of all events here.
pub fn mono_now() -> MonoNs {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the struct is valid for the call; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let (secs, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    MonoNs(secs * 1_000_000_000 + nanos)
}
