//! tracenet's totals next to the kernel's own (INV 10).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::key::NetnsCookie;

/// What tracenet counted in one network namespace, of all its processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The namespace.
    pub netns: NetnsCookie,
    /// Its inode number.
    pub netns_inum: u32,
    /// Counters by the name of the kernel's counterpart, e.g. `TcpRetransSegs`, each as the terms of a sum.
    pub counters: Vec<(&'static str, Vec<Term>)>,
}

/// A part of what tracenet counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// What was counted, e.g. `fast`.
    pub name: Cow<'static, str>,
    /// How often.
    pub count: u64,
}

/// One counter of one namespace, twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// The kernel's name for it, as nstat(8) prints it.
    pub counter: Cow<'static, str>,
    /// Inode number of the namespace.
    pub netns: u32,
    /// By how much the kernel's counter grew; `None` where it could not be read.
    pub kernel: Option<u64>,
    /// What tracenet counted meanwhile.
    pub tracenet: u64,
    /// What that is the sum of.
    pub terms: Vec<Term>,
}

impl AuditRow {
    /// `tracenet - kernel`; `None` where the kernel's is not known.
    pub fn difference(&self) -> Option<i64> {
        let kernel = self.kernel?;
        let size = i64::try_from(self.tracenet.abs_diff(kernel)).unwrap_or(i64::MAX);
        Some(if self.tracenet < kernel { -size } else { size })
    }
}

/// A rule of the packet filter that can throw packets away, or (without a handle) a chain's policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// Inode number of the namespace.
    pub netns: u32,
    /// `ip`, `ip6`, `inet`, `netdev`...
    pub family: String,
    /// Table.
    pub table: String,
    /// Chain.
    pub chain: String,
    /// Where packets pass it, e.g. `input`; `None` where no base chain leads there.
    pub hook: Option<String>,
    /// `nft -a list ruleset` shows it; `None` for the policy of the chain.
    pub handle: Option<u64>,
    /// Packets that it dropped meanwhile; `None` where it has no counter.
    pub packets: Option<u64>,
}

/// Puts both side by side. `kernel` gives the growth of a counter in a namespace over the time in which `tracenet`
/// counted. A counter that both sides left at 0 makes no row, except the first of each namespace: that an audit took
/// place is worth a line.
pub fn compare(kernel: &dyn Fn(NetnsCookie, &str) -> Option<u64>, tracenet: &[Counted]) -> Vec<AuditRow> {
    let mut rows = Vec::new();
    for ns in tracenet {
        for (i, (counter, terms)) in ns.counters.iter().enumerate() {
            let grown = kernel(ns.netns, counter);
            let counted = terms.iter().fold(0, |sum: u64, t| sum.saturating_add(t.count));
            if i > 0 && counted == 0 && grown.unwrap_or(0) == 0 {
                continue;
            }
            rows.push(AuditRow {
                counter: (*counter).into(),
                netns: ns.netns_inum,
                kernel: grown,
                tracenet: counted,
                terms: terms.iter().filter(|t| t.count > 0).cloned().collect(),
            });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_show_and_unread_counters_say_so() {
        let of =
            |counts: &[u64]| counts.iter().map(|n| Term { name: "x".into(), count: *n }).collect::<Vec<_>>();
        let counted = Counted {
            netns: NetnsCookie(1),
            netns_inum: 4_026_531_840,
            counters: vec![
                ("TcpRetransSegs", of(&[4, 0, 3])),
                ("TCPSynRetrans", of(&[2])),
                ("UdpRcvbufErrors", of(&[0])),
                ("TCPTimeouts", of(&[])),
                ("Unread", of(&[3])),
            ],
        };
        let kernel = |ns: NetnsCookie, name: &str| {
            assert_eq!(ns, NetnsCookie(1));
            match name {
                "TcpRetransSegs" => Some(7),
                "TCPSynRetrans" | "TCPTimeouts" => Some(4),
                "UdpRcvbufErrors" => Some(0),
                _ => None,
            }
        };
        let rows = compare(&kernel, &[counted]);
        let got: Vec<_> = rows.iter().map(|r| (&*r.counter, r.difference())).collect();
        assert_eq!(
            got,
            [
                ("TcpRetransSegs", Some(0)),
                ("TCPSynRetrans", Some(-2)),
                ("TCPTimeouts", Some(-4)),
                ("Unread", None)
            ]
        );
        assert_eq!(rows[0].terms, of(&[4, 3]), "terms that count nothing say nothing");
    }
}
