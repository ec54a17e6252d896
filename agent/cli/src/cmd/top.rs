//! `tracenet top`: who uses the network, and who suffers from it.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use rustc_hash::FxHashSet;
use tracenet_collectors::capture::Ends;
use tracenet_collectors::process::Proc;
use tracenet_core::event::EventKind;
use tracenet_core::key::ProcessKey;
use tracenet_probes::{Options, Session};

use crate::args::TopArgs;
use crate::failure::Failure;
use crate::own;
use crate::paint::Paint;
use crate::top::fields::arrange;
use crate::top::flows::{Flow, Flows};
use crate::top::hosts;
use crate::top::keys::{Next, Page, View};
use crate::top::model::{Model, Row};
use crate::top::names::Names;
use crate::top::narrowing::{Interface, Narrowing};
use crate::top::screen::{Look, Shown, State, draw};
use crate::top::text;

/// Records taken out of the rings between two readings: nobody is traced, so there are next to none.
const BUDGET: usize = 1 << 16;

/// Shows them until `q`, or once.
pub fn main(args: &TopArgs) -> Result<u8, Failure> {
    let once = args.once || args.json;
    let look = Look {
        bytes: args.bytes,
        bars: !args.no_bars,
        color: Paint::choose(args.color.map_or(tracenet_config::Color::Auto, Into::into), !once).is_on(),
        resolve: !args.no_hosts,
        services: !args.no_services,
        ports: args.ports,
    };
    let view = view(args, look)?;
    if !once && !io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "top needs a terminal; --once prints a table, --once --json objects".into(),
        ));
    }
    // Nobody is traced: hardly an event comes.
    let options = Options { accounts: true, ring_bytes: 1 << 16, ..Options::default() };
    let session = Session::open(&options).map_err(|e| crate::trace::probe_failure(&e))?;
    let mut top = Top::new(session, args.pids.clone(), args.interval);
    if once { top.once(view, args.json) } else { top.watch(view) }
}

/// As the command line wants it.
fn view(args: &TopArgs, look: Look) -> Result<View, Failure> {
    let page = args.page;
    let expression = args.expression.join(" ");
    let narrowing = Narrowing {
        interface: args.interface.as_deref().map(Interface::find).transpose()?,
        expression: match expression.trim() {
            "" => None,
            text => Some(Ends::compile(text).map_err(|e| Failure::Usage(e.to_string()))?),
        },
    };
    let mut view = View::new(page, look, narrowing);
    if let Some(name) = &args.sort {
        let remedy = || format!("--sort {name}: nothing to sort by; one of {}", page.orders().join(", "));
        view.sheet_mut().order = page.order(name).ok_or_else(|| Failure::Usage(remedy()))?;
    }
    if let Some(text) = args.display_filter.as_deref().filter(|text| !text.trim().is_empty()) {
        let filter = page.parse(text).map_err(|e| Failure::Usage(format!("the filter: {e}")))?;
        view.sheet_mut().filter = Some((filter, text.to_owned()));
    }
    Ok(view)
}

struct Top {
    session: Session,
    pids: Vec<u32>,
    interval: Duration,
    start: Instant,
    model: Model,
    flows: Flows,
    /// The connections were read after the processes.
    flows_read: bool,
    names: Names,
    lost: u64,
    /// When the own CPU time was looked at, and what it was.
    own: (Instant, Duration),
    own_percent: f64,
}

impl Top {
    fn new(session: Session, pids: Vec<u32>, interval: Duration) -> Self {
        let start = Instant::now();
        Self {
            session,
            pids,
            interval,
            start,
            model: Model::default(),
            flows: Flows::default(),
            flows_read: false,
            names: Names::new(),
            lost: 0,
            own: (start, own::cpu_time()),
            own_percent: 0.0,
        }
    }

    /// Reads the processes, once.
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
        let groups = |key: ProcessKey| {
            std::fs::read_to_string(proc.root().join(key.tgid.to_string()).join("cgroup")).ok()
        };
        let accounts = self.session.accounts().map_err(|e| crate::trace::probe_failure(&e))?;
        for key in self.model.read(self.start.elapsed(), accounts, alive, groups) {
            self.session.forget_process(key);
        }
        self.flows_read = false;
        let (now, used) = (Instant::now(), own::cpu_time());
        let wall = now.duration_since(self.own.0).as_secs_f64();
        if wall > 0.0 {
            self.own_percent = used.saturating_sub(self.own.1).as_secs_f64() / wall * 100.0;
        }
        self.own = (now, used);
        Ok(())
    }

    /// Reads the connections where they are needed and the processes were read since.
    fn read_flows(&mut self, view: &mut View, thorough: bool) {
        if !view.wants_flows() || self.flows_read {
            return;
        }
        if let Some(interface) = &mut view.narrowing.interface {
            interface.refresh();
        }
        self.flows.read(self.start.elapsed(), thorough);
        self.flows_read = true;
    }

    /// What is asked for, in order, and what is to be said of all; `marked` is the process that is looked at.
    fn look(&self, view: &View, marked: Option<u32>) -> (Shown, State) {
        let mut shown = Shown::default();
        let mut processes: Vec<Row> = self.model.rows().collect();
        let mut state = State {
            elapsed_s: self.start.elapsed().as_secs(),
            sent: processes.iter().map(|r| r.rates[0].sent).sum(),
            received: processes.iter().map(|r| r.rates[0].received).sum(),
            listed: processes.len(),
            lost: self.lost.saturating_add(self.model.omitted),
            own_percent: self.own_percent,
            own_memory: own::memory(),
            ..State::default()
        };
        let mut flows: Vec<Flow> = Vec::new();
        if view.wants_flows() {
            state.omitted = self.flows.omitted;
            state.error.clone_from(&self.flows.error);
            flows = self.flows.rows().filter(|flow| view.narrowing.lets(flow)).collect();
        }
        let asked = |pid: u32| self.pids.is_empty() || self.pids.contains(&pid);
        let sheet = view.sheet();
        let filter = sheet.filter.as_ref().map(|(filter, _)| filter);
        match view.page {
            Page::Processes => {
                if view.narrowing.is_some() {
                    let holders: FxHashSet<u32> =
                        flows.iter().flat_map(|flow| &flow.holders).map(|(pid, _)| *pid).collect();
                    processes.retain(|row| holders.contains(&row.key.tgid));
                    state.listed = processes.len();
                }
                processes.retain(|row| asked(row.key.tgid));
                arrange(&mut processes, filter, sheet.order);
                shown.processes = processes;
                if let Some(pid) = marked.filter(|_| view.detail) {
                    flows.retain(|flow| flow.is_held_by(pid));
                    arrange(&mut flows, None, "total_2s");
                    shown.of_process = flows;
                }
            }
            Page::Connections | Page::Hosts => {
                if !self.pids.is_empty() {
                    flows.retain(|flow| flow.holders.iter().any(|(pid, _)| asked(*pid)));
                }
                state.listed = flows.len();
                if view.page == Page::Connections {
                    arrange(&mut flows, filter, sheet.order);
                    shown.connections = flows;
                } else {
                    shown.hosts = hosts::of(flows.iter(), view.look.ports);
                    state.listed = shown.hosts.len();
                    arrange(&mut shown.hosts, filter, sheet.order);
                }
            }
        }
        (shown, state)
    }

    fn once(&mut self, mut view: View, json: bool) -> Result<u8, Failure> {
        let signals = SignalFd::new(&crate::signals::block(false)?)
            .map_err(|e| Failure::Runtime(format!("cannot create a signalfd: {e}")))?;
        self.read()?;
        self.read_flows(&mut view, true);
        if !json {
            // Names are asked for meanwhile.
            let _ = self.print(&view, false);
        }
        let seconds = self.interval.as_secs_f64();
        crate::sinks::warn(&format!("counting for {seconds} s, or until Ctrl-C"));
        let timeout = PollTimeout::try_from(self.interval).unwrap_or(PollTimeout::MAX);
        // Interrupted or not, now is the time.
        let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout);
        self.read()?;
        self.read_flows(&mut view, true);
        let out = self.print(&view, json);
        if self.lost > 0 {
            crate::sinks::warn(&format!("{} events lost: some processes are not counted", self.lost));
        }
        if self.flows.omitted > 0 {
            let more = self.flows.omitted;
            crate::sinks::warn(&format!("{more} connections more than there is room for"));
        }
        if let Some(error) = &self.flows.error {
            crate::sinks::warn(error);
        }
        match io::stdout().write_all(&out) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::Runtime(format!("cannot write standard output: {e}")))
            }
            _ => Ok(0),
        }
    }

    /// The page as text, or as JSON lines.
    fn print(&self, view: &View, json: bool) -> Vec<u8> {
        let (shown, _) = self.look(view, None);
        let mut out = Vec::new();
        match (view.page, json) {
            (Page::Processes, true) => text::lines(&shown.processes, &mut out),
            (Page::Connections, true) => text::lines(&shown.connections, &mut out),
            (Page::Hosts, true) => text::lines(&shown.hosts, &mut out),
            (Page::Processes, false) => text::table(&shown.processes, &self.names, view.look, &mut out),
            (Page::Connections, false) => text::table(&shown.connections, &self.names, view.look, &mut out),
            (Page::Hosts, false) => text::table(&shown.hosts, &self.names, view.look, &mut out),
        }
        out
    }

    fn watch(&mut self, mut view: View) -> Result<u8, Failure> {
        let mut terminal = ratatui::try_init().map_err(failed)?;
        let result = self.show(&mut terminal, &mut view);
        ratatui::restore();
        result.map(|()| 0)
    }

    fn show(&mut self, terminal: &mut ratatui::DefaultTerminal, view: &mut View) -> Result<(), Failure> {
        self.read()?;
        self.read_flows(view, false);
        let (mut shown, mut state) = self.look(view, None);
        let mut next = Instant::now() + self.interval.min(Duration::from_secs(1));
        loop {
            let sheet = view.sheet_mut();
            let at = sheet.at.min(shown.count(view.page).saturating_sub(1));
            view.sheet_mut().at = at;
            view.connection = view.connection.min(shown.of_process.len().saturating_sub(1));
            let drawn = terminal.draw(|frame| draw(frame, &shown, view, &state, &self.names));
            drawn.map_err(failed)?;
            // One process's page stays that one's, wherever it moves.
            let marked = shown.processes.get(at).map(|row| row.key).filter(|_| view.page == Page::Processes);
            if event::poll(next.saturating_duration_since(Instant::now())).map_err(failed)? {
                let Event::Key(key) = event::read().map_err(failed)? else { continue };
                if key.kind != KeyEventKind::Press {
                    continue;
                }
                let (page, detail) = (view.page, view.detail);
                match view.key(key, shown.count(page), shown.of_process.len()) {
                    Next::Stay => {}
                    Next::End => return Ok(()),
                    Next::Host => {
                        if let Some(host) = shown.hosts.get(at) {
                            view.show_host(host);
                        }
                    }
                    Next::Story => {
                        let flow = match page {
                            Page::Connections => shown.connections.get(at),
                            Page::Processes | Page::Hosts => shown.of_process.get(view.connection),
                        };
                        if let Some(flow) = flow {
                            ratatui::restore();
                            let told = story(flow);
                            *terminal = ratatui::try_init().map_err(failed)?;
                            view.error = told.err();
                        }
                    }
                }
                // What is frozen stays, but on another page.
                if view.frozen && (view.page, view.detail) == (page, detail) {
                    continue;
                }
            } else {
                next = Instant::now() + self.interval;
                self.read()?;
                if view.frozen {
                    continue;
                }
            }
            self.read_flows(view, false);
            (shown, state) = self.look(view, marked.map(|key| key.tgid));
            if view.detail {
                match shown.processes.iter().position(|row| Some(row.key) == marked) {
                    Some(at) => view.sheet_mut().at = at,
                    None => view.detail = false,
                }
            }
        }
    }
}

fn failed(e: io::Error) -> Failure {
    Failure::Runtime(format!("the terminal: {e}"))
}

/// `tracenet attach` to the connection, until Ctrl-C ends it and enter is pressed.
fn story(flow: &Flow) -> Result<(), String> {
    let Some(pid) = flow.pid() else {
        return Err("no process holds this connection, so there is nobody to attach to".to_owned());
    };
    let way = |from: SocketAddr, to: SocketAddr| {
        let (source, destination) = (from.ip(), to.ip());
        format!(
            "(src host {source} and src port {} and dst host {destination} and dst port {})",
            from.port(),
            to.port()
        )
    };
    println!("the story of {} > {}; Ctrl-C goes back", flow.local, flow.remote);
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    // Ctrl-C is for the one that tells, and ours again once it has ended.
    let ours = SigSet::from_iter([Signal::SIGINT]);
    ours.thread_block().map_err(|e| e.to_string())?;
    let mut attach = Command::new(me);
    attach.args(["attach", "-p", &pid.to_string()]);
    attach.arg(format!("tcp and ({} or {})", way(flow.local, flow.remote), way(flow.remote, flow.local)));
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
