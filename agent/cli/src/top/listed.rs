//! What the pages list of a process, a connection and a host.

use std::cmp::Ordering;

use super::columns::{Column, column};
use super::fields::{Listed, Number, Text};
use super::flows::Flow;
use super::hosts::Host;
use super::model::Row;
use super::names::Names;
use super::screen::Look;
use crate::paint::push_safe;

/// Digits of a container's id that are shown, as docker shows them.
const SHORT_ID: usize = 12;

/// Room for a name of a process: the kernel's have 15 bytes at most (`TASK_COMM_LEN`).
const COMM: usize = 16;

/// Room in which both addresses of a connection are shown beside the process: 21 each for IPv4.
const BOTH: usize = 64;

fn safe(text: &str) -> String {
    let mut out = String::new();
    push_safe(&mut out, text);
    out
}

/// The first digits of a container's id.
pub fn short(container: &str) -> &str {
    container.get(..SHORT_ID).unwrap_or(container)
}

impl Listed for Row {
    const NUMBERS: &'static [Number<Self>] = &[
        Number { name: "pid", title: "PID", of: |r| r.key.tgid.into() },
        Number { name: "sent_2s", title: "OUT/s", of: |r| r.rates[0].sent },
        Number { name: "received_2s", title: "IN/s", of: |r| r.rates[0].received },
        Number { name: "total_2s", title: "SUM/s", of: |r| r.rates[0].total() },
        Number { name: "sent_10s", title: "OUT10", of: |r| r.rates[1].sent },
        Number { name: "received_10s", title: "IN10", of: |r| r.rates[1].received },
        Number { name: "total_10s", title: "SUM10", of: |r| r.rates[1].total() },
        Number { name: "sent_40s", title: "OUT40", of: |r| r.rates[2].sent },
        Number { name: "received_40s", title: "IN40", of: |r| r.rates[2].received },
        Number { name: "total_40s", title: "SUM40", of: |r| r.rates[2].total() },
        Number { name: "tcp_sent", title: "TCP out", of: |r| r.account.tcp_sent },
        Number { name: "tcp_received", title: "TCP in", of: |r| r.account.tcp_received },
        Number { name: "udp_sent", title: "UDP out", of: |r| r.account.udp_sent },
        Number { name: "udp_received", title: "UDP in", of: |r| r.account.udp_received },
        Number { name: "segments_sent", title: "SEGS out", of: |r| r.account.segments_sent },
        Number { name: "segments_received", title: "SEGS in", of: |r| r.account.segments_received },
        Number { name: "datagrams_sent", title: "DGRAMS out", of: |r| r.account.datagrams_sent },
        Number { name: "datagrams_received", title: "DGRAMS in", of: |r| r.account.datagrams_received },
        Number { name: "opened", title: "OPEN", of: |r| r.account.opened },
        Number { name: "accepted", title: "ACC", of: |r| r.account.accepted },
        Number { name: "failed", title: "FAIL", of: |r| r.account.failed },
        Number { name: "retransmits", title: "RETR", of: |r| r.account.retransmits() },
        Number { name: "fast", title: "fast", of: |r| r.account.fast },
        Number { name: "tail_loss_probe", title: "TLP", of: |r| r.account.tail_loss_probe },
        Number { name: "timeout", title: "RTO", of: |r| r.account.timeout },
        Number { name: "syn", title: "SYN", of: |r| r.account.syn },
        Number { name: "syn_ack", title: "SYN/ACK", of: |r| r.account.syn_ack },
        Number { name: "drops", title: "DROP", of: |r| r.account.drops },
        Number { name: "errors", title: "ERR", of: |r| r.account.errors },
        Number { name: "lookups", title: "DNS", of: |r| r.account.lookups },
        Number {
            name: "rtt_us",
            title: "RTT",
            of: |r| r.account.rtt_us.checked_div(r.account.rtts).unwrap_or(0),
        },
    ];
    const TEXTS: &'static [Text<Self>] = &[
        Text { name: "name", each: |r, visit| visit(&r.account.comm) },
        Text { name: "container", each: |r, visit| r.container.iter().for_each(|id| visit(id)) },
        Text {
            name: "drop_reason",
            each: |r, visit| r.account.drop_reasons.keys().for_each(|reason| visit(reason)),
        },
    ];
    const ORDERS: &'static [&'static str] =
        &["received_2s", "sent_2s", "retransmits", "drops", "errors", "rtt_us", "pid"];
    const PLURAL: &'static str = "processes";
    const NARROW: &'static [Column] = &[
        column("pid", 7),
        column("received_2s", 8),
        column("sent_2s", 8),
        column("opened", 7),
        column("accepted", 7),
        column("retransmits", 6),
        column("drops", 6),
        column("errors", 6),
        column("rtt_us", 9),
    ];
    const WIDE: &'static [Column] = &[
        column("pid", 8),
        column("received_2s", 8),
        column("received_10s", 8),
        column("received_40s", 8),
        column("sent_2s", 8),
        column("sent_10s", 8),
        column("sent_40s", 8),
        column("opened", 8),
        column("accepted", 8),
        column("failed", 6),
        column("retransmits", 7),
        column("timeout", 6),
        column("drops", 7),
        column("errors", 7),
        column("lookups", 6),
        column("rtt_us", 9),
    ];
    const ROOM: usize = COMM + 2;

    fn title(room: usize) -> String {
        let container = if room >= COMM + SHORT_ID { "CONTAINER" } else { "" };
        format!("{:<COMM$}{container:<SHORT_ID$}", "COMMAND").trim_end().to_owned()
    }

    fn words(&self, _: &Names, _: Look, room: usize) -> String {
        let comm = safe(&self.account.comm);
        match &self.container {
            _ if room < COMM + SHORT_ID => format!("{comm:<COMM$}"),
            Some(id) => format!("{comm:<COMM$}{}", short(id)),
            None => format!("{comm:<COMM$}{:SHORT_ID$}", ""),
        }
    }

    fn history(&self) -> &[u64] {
        &self.history
    }

    fn is_over(&self) -> bool {
        self.ended
    }

    fn tie(&self, other: &Self) -> Ordering {
        self.key.tgid.cmp(&other.key.tgid)
    }
}

impl Listed for Flow {
    const NUMBERS: &'static [Number<Self>] = &[
        Number { name: "pid", title: "PID", of: |f| f.pid().unwrap_or(0).into() },
        Number { name: "sent_2s", title: "OUT/s", of: |f| f.rates[0].sent },
        Number { name: "received_2s", title: "IN/s", of: |f| f.rates[0].received },
        Number { name: "total_2s", title: "SUM/s", of: |f| f.rates[0].total() },
        Number { name: "sent_10s", title: "OUT10", of: |f| f.rates[1].sent },
        Number { name: "received_10s", title: "IN10", of: |f| f.rates[1].received },
        Number { name: "total_10s", title: "SUM10", of: |f| f.rates[1].total() },
        Number { name: "sent_40s", title: "OUT40", of: |f| f.rates[2].sent },
        Number { name: "received_40s", title: "IN40", of: |f| f.rates[2].received },
        Number { name: "total_40s", title: "SUM40", of: |f| f.rates[2].total() },
        Number { name: "bytes_acked", title: "acked", of: |f| f.bytes_acked },
        Number { name: "bytes_received", title: "received", of: |f| f.bytes_received },
        Number { name: "retransmits", title: "RETR", of: |f| f.retransmits.into() },
        Number { name: "rtt_us", title: "RTT", of: |f| f.rtt_us.into() },
        Number { name: "receive_queue", title: "RECV-Q", of: |f| f.receive_queue.into() },
        Number { name: "send_queue", title: "SEND-Q", of: |f| f.send_queue.into() },
        Number { name: "local_port", title: "local", of: |f| f.local.port().into() },
        Number { name: "remote_port", title: "remote", of: |f| f.remote.port().into() },
        Number { name: "netns", title: "netns", of: |f| f.key.netns.into() },
        Number { name: "cookie", title: "cookie", of: |f| f.key.cookie },
    ];
    const TEXTS: &'static [Text<Self>] = &[
        Text { name: "name", each: |f, visit| f.holders.iter().for_each(|(_, comm)| visit(comm)) },
        Text { name: "state", each: |f, visit| visit(f.state.word()) },
        Text { name: "local", each: |f, visit| visit(&f.local.ip().to_string()) },
        Text { name: "remote", each: |f, visit| visit(&f.remote.ip().to_string()) },
        Text { name: "netns_name", each: |f, visit| f.netns_name.iter().for_each(|name| visit(name)) },
    ];
    const ORDERS: &'static [&'static str] = &[
        "total_2s",
        "received_2s",
        "sent_2s",
        "retransmits",
        "rtt_us",
        "receive_queue",
        "send_queue",
        "pid",
    ];
    const PLURAL: &'static str = "connections";
    const NARROW: &'static [Column] = &[
        column("received_2s", 8),
        column("sent_2s", 8),
        column("retransmits", 6),
        column("rtt_us", 9),
        column("pid", 8),
    ];
    const WIDE: &'static [Column] = &[
        column("received_2s", 8),
        column("received_10s", 8),
        column("received_40s", 8),
        column("sent_2s", 8),
        column("sent_10s", 8),
        column("sent_40s", 8),
        column("retransmits", 7),
        column("rtt_us", 9),
        column("receive_queue", 9),
        column("send_queue", 9),
        column("pid", 8),
    ];
    const ROOM: usize = BOTH + 2;

    fn title(_: usize) -> String {
        format!("{:<COMM$}LOCAL > REMOTE", "COMMAND")
    }

    fn words(&self, names: &Names, look: Look, room: usize) -> String {
        let comm = safe(self.holders.first().map_or("-", |(_, comm)| comm));
        let remote = names.end(self.remote, look);
        let ends = if room < BOTH {
            format!(":{} > {remote}", names.port(self.local.port(), look))
        } else {
            // One's own host needs no name.
            format!("{} > {remote}", names.end(self.local, Look { resolve: false, ..look }))
        };
        format!("{comm:<COMM$}{ends:<width$}", width = BOTH.min(room).saturating_sub(COMM))
    }

    fn history(&self) -> &[u64] {
        &self.history
    }

    fn tie(&self, other: &Self) -> Ordering {
        (self.local, self.remote, self.key).cmp(&(other.local, other.remote, other.key))
    }
}

impl Listed for Host {
    const NUMBERS: &'static [Number<Self>] = &[
        Number { name: "sent_2s", title: "OUT/s", of: |h| h.rates[0].sent },
        Number { name: "received_2s", title: "IN/s", of: |h| h.rates[0].received },
        Number { name: "total_2s", title: "SUM/s", of: |h| h.rates[0].total() },
        Number { name: "sent_10s", title: "OUT10", of: |h| h.rates[1].sent },
        Number { name: "received_10s", title: "IN10", of: |h| h.rates[1].received },
        Number { name: "total_10s", title: "SUM10", of: |h| h.rates[1].total() },
        Number { name: "sent_40s", title: "OUT40", of: |h| h.rates[2].sent },
        Number { name: "received_40s", title: "IN40", of: |h| h.rates[2].received },
        Number { name: "total_40s", title: "SUM40", of: |h| h.rates[2].total() },
        Number { name: "connections", title: "CONN", of: |h| h.connections },
        Number { name: "retransmits", title: "RETR", of: |h| h.retransmits },
        Number { name: "rtt_us", title: "RTT", of: Host::rtt_us },
        Number { name: "processes", title: "PROC", of: |h| h.processes.len() as u64 },
    ];
    const TEXTS: &'static [Text<Self>] = &[
        Text { name: "remote", each: |h, visit| visit(&h.address.to_string()) },
        Text { name: "name", each: |h, visit| h.processes.values().for_each(|comm| visit(comm)) },
    ];
    const ORDERS: &'static [&'static str] =
        &["total_2s", "received_2s", "sent_2s", "connections", "retransmits", "rtt_us", "remote"];
    const PLURAL: &'static str = "hosts";
    const NARROW: &'static [Column] = &[
        column("received_2s", 8),
        column("sent_2s", 8),
        column("connections", 7),
        column("retransmits", 6),
        column("rtt_us", 9),
        column("processes", 6),
    ];
    const WIDE: &'static [Column] = &[
        column("received_2s", 8),
        column("received_10s", 8),
        column("received_40s", 8),
        column("sent_2s", 8),
        column("sent_10s", 8),
        column("sent_40s", 8),
        column("connections", 8),
        column("retransmits", 7),
        column("rtt_us", 9),
        column("processes", 6),
    ];
    const ROOM: usize = BOTH + 2;

    fn title(_: usize) -> String {
        "HOST".to_owned()
    }

    fn words(&self, names: &Names, look: Look, room: usize) -> String {
        let mut host = match self.port {
            Some(port) => names.end((self.address, port).into(), look),
            None => names.host(self.address, look),
        };
        if room >= BOTH {
            let mut comms: Vec<&str> = self.processes.values().map(|comm| &**comm).collect();
            comms.sort_unstable();
            comms.dedup();
            host = format!("{host:<43}  {}", safe(&comms.join(", ")));
        }
        format!("{host:<width$}", width = BOTH.min(room))
    }

    fn history(&self) -> &[u64] {
        &self.history
    }

    fn tie(&self, other: &Self) -> Ordering {
        (self.address, self.port).cmp(&(other.address, other.port))
    }
}

#[cfg(test)]
mod tests {
    use tracenet_core::key::ProcessKey;
    use tracenet_probes::Account;

    use super::super::fields::{arrange, parse};
    use super::*;
    use crate::top::rates::Rate;

    fn row(pid: u32, sent: u64) -> Row {
        Row {
            key: ProcessKey { tgid: pid, start_ns: 1 },
            account: Account { comm: "nginx".into(), fast: 3, ..Account::default() },
            ended: false,
            rates: [Rate { sent, received: 0 }; 3],
            history: Vec::new(),
            container: Some("0123456789abcdef".repeat(4).into()),
        }
    }

    #[test]
    fn rows_are_filtered_as_packets_are() {
        let matches = |text: &str| {
            let mut rows = vec![row(7, 100)];
            arrange(&mut rows, Some(&parse::<Row>(text).expect("it is one")), "pid");
            !rows.is_empty()
        };
        assert!(matches("name contains \"gin\" && retransmits > 2 && sent_2s == 100"));
        assert!(matches("pid in {3, 7}") && matches("") && !matches("drops > 0"));
        assert!(matches("container matches \"^0123456789ab\"") && !matches("drop_reason == \"NO_SOCKET\""));
        assert!(parse::<Row>("drop > 0").is_err() && parse::<Flow>("container").is_err());
    }

    #[test]
    fn the_highest_number_comes_first_and_the_lowest_pid() {
        let pids = |order: &str| {
            let mut rows = vec![row(9, 1), row(7, 5), row(8, 1)];
            arrange(&mut rows, None, order);
            rows.iter().map(|r| r.key.tgid).collect::<Vec<_>>()
        };
        assert_eq!(pids("total_2s"), [7, 8, 9]);
        assert_eq!((pids("pid"), pids("name")), (vec![7, 8, 9], vec![7, 8, 9]));
    }

    #[test]
    fn every_order_and_column_has_a_name() {
        fn check<R: Listed>() {
            assert!(R::ORDERS.iter().all(|name| R::order(name).is_some()), "{}", R::PLURAL);
            let columns = R::NARROW.iter().chain(R::WIDE);
            assert!(columns.clone().all(|c| R::number(c.name).is_some()), "{}", R::PLURAL);
        }
        check::<Row>();
        check::<Flow>();
        check::<Host>();
    }
}
