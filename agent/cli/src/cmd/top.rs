//! `tracenet top`: who uses the network, and who suffers from it.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeValLike;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tracenet_collectors::process::Proc;
use tracenet_core::event::EventKind;
use tracenet_core::key::ProcessKey;
use tracenet_filter::Filter;
use tracenet_probes::{Options, Session};

use crate::args::TopArgs;
use crate::failure::Failure;
use crate::paint::Paint;
use crate::top::connections::{Connection, Connections};
use crate::top::fields::{Table, number};
use crate::top::keys::{Next, ORDERS, View};
use crate::top::model::{Model, Row};
use crate::top::screen::{Look, State, draw};
use crate::top::text;

/// Records taken out of the rings between two readings: nobody is traced, so there are next to none.
const BUDGET: usize = 1 << 16;

/// Shows them until `q`, or once.
pub fn main(args: &TopArgs) -> Result<u8, Failure> {
    let filter = args.filter.join(" ");
    let parsed = Filter::parse(&filter, &Table).map_err(|e| Failure::Usage(format!("the filter: {e}")))?;
    let filter = (!filter.trim().is_empty()).then_some((parsed, filter));
    let order = match &args.sort {
        None => ORDERS[0],
        Some(name) => number(name).map(|n| n.name).ok_or_else(|| {
            Failure::Usage(format!("--sort {name}: not a number of a process; one of {}", ORDERS.join(", ")))
        })?,
    };
    let once = args.once || args.json;
    if !once && !io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "top needs a terminal; --once prints a table, --once --json objects".into(),
        ));
    }
    // Nobody is traced: hardly an event comes.
    let options = Options { accounts: true, ring_bytes: 1 << 16, ..Options::default() };
    let session = Session::open(&options).map_err(|e| crate::trace::probe_failure(&e))?;
    let look = Look {
        bytes: args.bytes,
        bars: !args.no_bars,
        color: Paint::choose(args.color.map_or(tracenet_config::Color::Auto, Into::into), !once).is_on(),
    };
    let mut top = Top::new(session, args.pids.clone(), args.interval);
    if once {
        top.once(&View::new(order, filter), look, args.json)
    } else {
        top.watch(View::new(order, filter), look)
    }
}

struct Top {
    session: Session,
    pids: Vec<u32>,
    interval: Duration,
    start: Instant,
    model: Model,
    lost: u64,
    /// When the own CPU time was looked at, and what it was.
    own: (Instant, Duration),
    own_percent: f64,
}

impl Top {
    fn new(session: Session, pids: Vec<u32>, interval: Duration) -> Self {
        let start = Instant::now();
        let (model, own) = (Model::default(), (start, own_time()));
        Self { session, pids, interval, start, model, lost: 0, own, own_percent: 0.0 }
    }

    /// Reads everything once.
    fn read(&mut self) -> Result<(), Failure> {
        let mut events = Vec::new();
        self.session.drain(BUDGET, &mut events);
        for event in events {
            if let EventKind::Lost { count, .. } = event.kind {
                self.lost = self.lost.saturating_add(count);
            }
        }
        let proc = Proc::default();
        let alive = |key: ProcessKey| proc.exists(key.tgid);
        let accounts = self.session.accounts().map_err(|e| crate::trace::probe_failure(&e))?;
        for key in self.model.read(self.start.elapsed(), accounts, alive) {
            self.session.forget_process(key);
        }
        let (now, used) = (Instant::now(), own_time());
        let wall = now.duration_since(self.own.0).as_secs_f64();
        if wall > 0.0 {
            self.own_percent = used.saturating_sub(self.own.1).as_secs_f64() / wall * 100.0;
        }
        self.own = (now, used);
        Ok(())
    }

    /// What is asked for, in order, and what is to be said of all.
    fn look(&self, view: &View) -> (Vec<Row>, State) {
        let mut rows: Vec<Row> = self.model.rows().collect();
        let state = self.state(&rows);
        let wanted = |row: &Row| {
            (self.pids.is_empty() || self.pids.contains(&row.key.tgid))
                && view.filter.as_ref().is_none_or(|(filter, _)| filter.matches(row))
        };
        rows.retain(wanted);
        let by = number(view.order);
        let value = |row: &Row| by.map_or(0, |n| (n.of)(row));
        rows.sort_by(|a, b| {
            let order = value(b).cmp(&value(a));
            let order = if view.order == "pid" { order.reverse() } else { order };
            order.then_with(|| a.key.tgid.cmp(&b.key.tgid))
        });
        (rows, state)
    }

    fn state(&self, all: &[Row]) -> State {
        State {
            elapsed_s: self.start.elapsed().as_secs(),
            sent: all.iter().map(|r| r.rates[0].sent).sum(),
            received: all.iter().map(|r| r.rates[0].received).sum(),
            processes: all.len(),
            lost: self.lost.saturating_add(self.model.omitted),
            own_percent: self.own_percent,
            own_memory: own_memory(),
        }
    }

    fn once(&mut self, view: &View, look: Look, json: bool) -> Result<u8, Failure> {
        let signals = SignalFd::new(&crate::signals::block(false)?)
            .map_err(|e| Failure::Runtime(format!("cannot create a signalfd: {e}")))?;
        self.read()?;
        let seconds = self.interval.as_secs_f64();
        crate::sinks::warn(&format!("counting for {seconds} s, or until Ctrl-C"));
        let timeout = PollTimeout::try_from(self.interval).unwrap_or(PollTimeout::MAX);
        // Interrupted or not, now is the time.
        let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout);
        self.read()?;
        let (rows, _) = self.look(view);
        let mut out = Vec::new();
        if json {
            for row in &rows {
                // Our own types, into a vector: nothing can fail.
                let _ = serde_json::to_writer(&mut out, &text::Json(row));
                out.push(b'\n');
            }
        } else {
            out.extend_from_slice(text::table(&rows, look).as_bytes());
        }
        if self.lost > 0 {
            crate::sinks::warn(&format!("{} events lost: some processes are not counted", self.lost));
        }
        match io::stdout().write_all(&out) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::Runtime(format!("cannot write standard output: {e}")))
            }
            _ => Ok(0),
        }
    }

    fn watch(&mut self, mut view: View, look: Look) -> Result<u8, Failure> {
        let mut terminal = ratatui::try_init().map_err(failed)?;
        let result = self.show(&mut terminal, &mut view, look);
        ratatui::restore();
        result.map(|()| 0)
    }

    fn show(
        &mut self,
        terminal: &mut ratatui::DefaultTerminal,
        view: &mut View,
        look: Look,
    ) -> Result<(), Failure> {
        self.read()?;
        let (mut rows, mut state) = self.look(view);
        let mut connections = Connections::default();
        let mut next = Instant::now() + self.interval.min(Duration::from_secs(1));
        loop {
            view.at = view.at.min(rows.len().saturating_sub(1));
            view.connection = view.connection.min(connections.all.len().saturating_sub(1));
            if let Some(row) = rows.get(view.at).filter(|row| view.detail && row.key.tgid != connections.pid)
            {
                connections.read(row.key.tgid, self.start.elapsed());
            }
            let drawn = terminal.draw(|frame| draw(frame, &rows, &connections, view, &state, look));
            drawn.map_err(failed)?;
            if event::poll(next.saturating_duration_since(Instant::now())).map_err(failed)? {
                let Event::Key(key) = event::read().map_err(failed)? else { continue };
                if key.kind != KeyEventKind::Press {
                    continue;
                }
                match view.key(key, rows.len(), connections.all.len()) {
                    Next::Stay => {}
                    Next::End => return Ok(()),
                    Next::Story => {
                        if let Some(c) = connections.all.get(view.connection) {
                            ratatui::restore();
                            let told = story(connections.pid, c);
                            *terminal = ratatui::try_init().map_err(failed)?;
                            view.error = told.err();
                        }
                    }
                }
                if !view.frozen {
                    (rows, _) = self.look(view);
                }
                continue;
            }
            next = Instant::now() + self.interval;
            self.read()?;
            if !view.frozen {
                // One process's page stays that one's, wherever it moves.
                let marked = rows.get(view.at).map(|row| row.key);
                (rows, state) = self.look(view);
                if view.detail
                    && let Some(at) = rows.iter().position(|row| Some(row.key) == marked)
                {
                    view.at = at;
                    connections.read(connections.pid, self.start.elapsed());
                }
            }
        }
    }
}

fn failed(e: io::Error) -> Failure {
    Failure::Runtime(format!("the terminal: {e}"))
}

/// `tracenet attach` to the connection, until Ctrl-C ends it and enter is pressed.
fn story(pid: u32, c: &Connection) -> Result<(), String> {
    let way = |from: SocketAddr, to: SocketAddr| {
        let (source, destination) = (from.ip().to_canonical(), to.ip().to_canonical());
        format!(
            "(src host {source} and src port {} and dst host {destination} and dst port {})",
            from.port(),
            to.port()
        )
    };
    println!("the story of {} > {}; Ctrl-C goes back", c.local, c.remote);
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    // Ctrl-C is for the one that tells, and ours again once it has ended.
    let ours = SigSet::from_iter([Signal::SIGINT]);
    ours.thread_block().map_err(|e| e.to_string())?;
    let mut attach = Command::new(me);
    attach.args(["attach", "-p", &pid.to_string()]);
    attach.arg(format!("tcp and ({} or {})", way(c.local, c.remote), way(c.remote, c.local)));
    let unblock = move || ours.thread_unblock().map_err(io::Error::from);
    // SAFETY: between fork and exec only sigprocmask(2) is called, which is async-signal-safe.
    let status = unsafe { attach.pre_exec(unblock) }.status();
    println!("\nenter goes back to the list");
    let _ = io::stdin().read_line(&mut String::new());
    if let Ok(pending) = SignalFd::with_flags(&ours, SfdFlags::SFD_NONBLOCK) {
        while let Ok(Some(_)) = pending.read_signal() {}
    }
    ours.thread_unblock().map_err(|e| e.to_string())?;
    status.map(drop).map_err(|e| format!("tracenet attach: {e}"))
}

/// Resident memory of this process in bytes (proc(5), statm).
fn own_memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    pages.saturating_mul(page.try_into().unwrap_or(4096))
}

/// CPU time of this process so far.
fn own_time() -> Duration {
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
        let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Duration::from_micros(us.try_into().unwrap_or(0))
    })
}
