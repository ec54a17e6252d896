//! What can be shown, sorted by and filtered on: each under one name.

use std::ops::ControlFlow;

use tracenet_filter::{Field, FieldId, FieldTable, FieldType, Fields, Value, Visit};

use super::model::Row;

/// A number of a process.
pub struct Number {
    /// In filters and in the JSON.
    pub name: &'static str,
    /// Over its column.
    pub title: &'static str,
    pub of: fn(&Row) -> u64,
}

/// All of them.
pub const NUMBERS: &[Number] = &[
    Number { name: "pid", title: "PID", of: |r| r.key.tgid.into() },
    Number { name: "sent_2s", title: "OUT/s", of: |r| r.rates[0].sent },
    Number { name: "received_2s", title: "IN/s", of: |r| r.rates[0].received },
    Number { name: "sent_10s", title: "OUT10", of: |r| r.rates[1].sent },
    Number { name: "received_10s", title: "IN10", of: |r| r.rates[1].received },
    Number { name: "sent_40s", title: "OUT40", of: |r| r.rates[2].sent },
    Number { name: "received_40s", title: "IN40", of: |r| r.rates[2].received },
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
        title: "RTT us",
        of: |r| r.account.rtt_us.checked_div(r.account.rtts).unwrap_or(0),
    },
];

/// The number of that name.
pub fn number(name: &str) -> Option<&'static Number> {
    NUMBERS.iter().find(|n| n.name == name)
}

const NAME: &str = "name";

/// The names that a filter may use: those of the numbers, and `name`.
pub struct Table;

impl FieldTable for Table {
    fn field(&self, name: &str) -> Option<Field> {
        let at = NUMBERS.iter().position(|n| n.name == name);
        let at = at.or((name == NAME).then_some(NUMBERS.len()))?;
        let kind = if at < NUMBERS.len() { FieldType::Uint(64) } else { FieldType::String };
        Some(Field { id: FieldId(u32::try_from(at).ok()?), kind })
    }

    fn names(&self) -> Vec<&str> {
        NUMBERS.iter().map(|n| n.name).chain([NAME]).collect()
    }
}

impl Fields for Row {
    fn each(&self, field: FieldId, visit: &mut Visit<'_>) -> ControlFlow<()> {
        match NUMBERS.get(field.0 as usize) {
            Some(number) => visit(1, Value::Uint((number.of)(self))),
            None => visit(1, Value::Str(&self.account.comm)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracenet_core::key::ProcessKey;
    use tracenet_filter::Filter;
    use tracenet_probes::Account;

    use super::*;
    use crate::top::model::Rate;

    #[test]
    fn rows_are_filtered_as_packets_are() {
        let row = Row {
            key: ProcessKey { tgid: 7, start_ns: 1 },
            account: Account { comm: "nginx".into(), fast: 3, ..Account::default() },
            ended: false,
            rates: [Rate { sent: 100, received: 0 }; 3],
            history: Vec::new(),
        };
        let matches = |text: &str| Filter::parse(text, &Table).expect("it is one").matches(&row);
        assert!(matches("name contains \"gin\" && retransmits > 2 && sent_2s == 100"));
        assert!(matches("pid in {3, 7}") && matches("") && !matches("drops > 0"));
        assert!(Filter::parse("drop > 0", &Table).is_err());
    }
}
