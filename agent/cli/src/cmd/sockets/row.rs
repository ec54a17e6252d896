//! A socket as a row, in ss's words.

use std::fmt::Write as _;

use tracenet_collectors::cgroups::Cgroups;
use tracenet_collectors::owners::Owners;
use tracenet_collectors::sockets::{Kind, Socket, State, Timer};

use super::choice::Choice;
use super::details;
use super::flags::SocketsArgs;
use super::json;
use super::names::Names;
use super::table::{Align, Table};
use super::tcp_words;
use crate::paint::{Ink, Paint, push_safe};

/// All rows, as text or as JSON.
pub struct Rows<'a> {
    args: &'a SocketsArgs,
    owners: &'a Owners,
    cgroups: &'a Cgroups,
    paint: Paint,
    netid: bool,
    state: bool,
    netns: (u32, Option<String>),
    table: Table,
    json: String,
}

impl<'a> Rows<'a> {
    /// As ss, without a column for what all rows have in common: the kind, or the state.
    pub fn new(
        args: &'a SocketsArgs,
        choice: &Choice,
        owners: &'a Owners,
        cgroups: &'a Cgroups,
        paint: Paint,
    ) -> Self {
        let netid = choice.kinds.len() != 1;
        let state = choice.states.0.count_ones() != 1;
        let columns = [
            (args.all_netns, "Netns", Align::Left),
            (netid, "Netid", Align::Left),
            (state, "State", Align::Left),
            (true, "Recv-Q", Align::Left),
            (true, "Send-Q", Align::Left),
            (true, "Local Address:", Align::Right),
            (true, "Port", Align::Left),
            (true, "Peer Address:", Align::Right),
            (true, "Port", Align::Left),
            (true, "Process", Align::Free),
        ];
        let shown = columns.into_iter().filter_map(|(shown, title, align)| shown.then_some((title, align)));
        let table = Table::new(shown.collect());
        Self { args, owners, cgroups, paint, netid, state, netns: (0, None), table, json: String::new() }
    }

    /// What follows is of this network namespace.
    pub fn begin(&mut self, inode: u32, name: Option<&str>) {
        self.netns = (inode, name.map(str::to_owned));
    }

    /// One socket.
    pub fn push(&mut self, s: &Socket, names: &Names<'_>) {
        if self.args.json {
            let (netns, name) = (self.netns.0, self.netns.1.as_deref());
            let place = json::Place { netns, name, names, cgroups: self.cgroups };
            json::push(&mut self.json, s, &place, self.owners.of(s.inode));
            return;
        }
        if self.args.all_netns {
            let out = self.table.text();
            match &self.netns {
                (inode, Some(name)) => {
                    push_safe(out, name);
                    let _ = write!(out, "[{inode}]");
                }
                (inode, None) => {
                    let _ = write!(out, "{inode}");
                }
            }
            self.table.end();
        }
        if self.netid {
            self.cell(|out| out.push_str(netid(s.kind)));
        }
        if self.state {
            self.cell(|out| out.push_str(state(s.state)));
        }
        self.cell(|out| {
            let _ = write!(out, "{}", s.recv_q);
        });
        self.cell(|out| {
            let _ = write!(out, "{}", s.send_q);
        });
        for (address, local) in [(&s.local, true), (&s.remote, false)] {
            self.cell(|out| names.address(out, s, address, local));
            self.cell(|out| names.port(out, s.kind, address, local));
        }
        self.last(s, names.is_numeric());
    }

    fn cell(&mut self, write: impl FnOnce(&mut String)) {
        write(self.table.text());
        self.table.end();
    }

    /// Who holds it, and everything that was asked for besides.
    fn last(&mut self, s: &Socket, numeric: bool) {
        let (args, paint) = (self.args, self.paint);
        let holders = if args.processes { self.owners.of(s.inode) } else { &[] };
        let cgroup = s.cgroup.map(|id| match self.cgroups.path(id) {
            Some(path) => path.to_owned(),
            None => format!("unreachable:{id:x}"),
        });
        let out = self.table.text();
        let start = out.len();
        if !holders.is_empty() {
            out.push_str(" users:(");
            for (n, holder) in holders.iter().enumerate() {
                out.push_str(if n == 0 { "(\"" } else { ",(\"" });
                push_safe(out, &holder.comm);
                let _ = write!(out, "\",pid={},fd={})", holder.pid, holder.fd);
            }
            out.push(')');
        }
        if s.is_queue_full() {
            let _ = write!(out, " {}", paint.show(Ink::Bad, "queue-full"));
        }
        if args.options || args.extended {
            timer(out, s.timer);
        }
        if args.extended {
            details::push(out, s, cgroup.as_deref(), if args.oneline { " " } else { "\n\t" });
        }
        let first = out.len();
        if args.memory
            && let Some(m) = &s.memory
        {
            details::memory(out, m);
        }
        if args.info {
            if let Some(tcp) = &s.tcp {
                tcp_words::push(out, tcp, s.state, numeric);
            }
            if let Some(m) = s.memory.filter(|m| s.state == State::Listen && m.drops > 0) {
                let _ = write!(out, " {}", paint.show(Ink::Bad, format_args!("drops:{}", m.drops)));
            }
        }
        // On a line of its own; Unix and packet sockets' memory stays on the row.
        if s.kind.is_inet() && out.len() > first && !args.oneline {
            out.insert_str(first, "\n\t");
        }
        if out.get(start..).is_some_and(|cell| cell.starts_with(' ')) {
            out.remove(start);
        }
        self.table.end();
    }

    /// The text of it all.
    pub fn finish(self) -> String {
        if self.args.json { self.json } else { self.table.finish(!self.args.no_header, self.paint) }
    }
}

fn netid(kind: Kind) -> &'static str {
    match kind {
        Kind::Tcp => "tcp",
        Kind::Udp => "udp",
        Kind::Raw => "raw",
        Kind::UnixStream => "u_str",
        Kind::UnixDgram => "u_dgr",
        Kind::UnixSeqpacket => "u_seq",
        Kind::PacketRaw => "p_raw",
        Kind::PacketDgram => "p_dgr",
        Kind::Netlink => "nl",
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Unknown => "UNKNOWN",
        State::Established => "ESTAB",
        State::SynSent => "SYN-SENT",
        State::SynRecv | State::NewSynRecv => "SYN-RECV",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::TimeWait => "TIME-WAIT",
        State::Close => "UNCONN",
        State::CloseWait => "CLOSE-WAIT",
        State::LastAck => "LAST-ACK",
        State::Listen => "LISTEN",
        State::Closing => "CLOSING",
        State::BoundInactive => "BOUND",
    }
}

fn timer(out: &mut String, timer: Option<Timer>) {
    let Some(Timer { name, expires_ms, retransmits }) = timer else { return };
    let _ = write!(out, " timer:({name},{},{retransmits})", left(expires_ms));
}

/// The less is left, the finer: `9min59sec`, `51sec`, `4.200ms`.
fn left(ms: u32) -> String {
    let (minutes, seconds, rest) = (ms / 60_000, ms / 1_000 % 60, ms % 1_000);
    match (minutes, seconds, rest) {
        (10.., _, _) | (1.., 0, _) => format!("{minutes}min"),
        (1.., _, _) => format!("{minutes}min{seconds}sec"),
        (0, 10.., _) | (0, 1.., 0) => format!("{seconds}sec"),
        (0, 1.., _) => format!("{seconds}.{rest:03}ms"),
        (0, 0, 0) => String::new(),
        (0, 0, _) => format!("{rest:03}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_timer() {
        for (ms, text) in [
            (0, ""),
            (204, "204ms"),
            (4, "004ms"),
            (1_000, "1sec"),
            (4_200, "4.200ms"),
            (51_700, "51sec"),
            (60_000, "1min"),
            (119_000, "1min59sec"),
            (7_199_000, "119min"),
        ] {
            assert_eq!(left(ms), text);
        }
    }
}
