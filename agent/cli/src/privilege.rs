//! Capabilities of this process (capabilities(7)), and what goes with each.

use std::fs;

/// A capability that some feature needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Bit number (`linux/capability.h`).
    pub bit: u8,
    /// Name.
    pub name: &'static str,
    /// What is lost without it.
    pub feature: &'static str,
}

/// What tracenet can make use of.
pub const WANTED: [Capability; 8] = [
    Capability { bit: 39, name: "CAP_BPF", feature: "every eBPF probe" },
    Capability { bit: 38, name: "CAP_PERFMON", feature: "every eBPF probe on a tracepoint" },
    Capability { bit: 13, name: "CAP_NET_RAW", feature: "the packet view and -w" },
    Capability {
        bit: 21,
        name: "CAP_SYS_ADMIN",
        feature: "packets and counters of other network namespaces (setns)",
    },
    Capability { bit: 12, name: "CAP_NET_ADMIN", feature: "the firewall rule that dropped a packet (nft)" },
    Capability {
        bit: 19,
        name: "CAP_SYS_PTRACE",
        feature: "/proc of other users' processes: descriptors, namespaces",
    },
    Capability { bit: 2, name: "CAP_DAC_READ_SEARCH", feature: "/proc files that only their owner may read" },
    Capability {
        bit: 34,
        name: "CAP_SYSLOG",
        feature: "the kernel's function in which a packet was dropped",
    },
];

/// The effective set of this process.
#[derive(Debug, Clone, Copy)]
pub struct Effective(u64);

impl Effective {
    /// From `CapEff` of /proc/self/status; empty where that can't be read.
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let set = status
            .lines()
            .find_map(|l| l.strip_prefix("CapEff:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        Self(set.unwrap_or(0))
    }

    /// True where capability number `bit` is in the set.
    pub fn has(self, bit: u8) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// True where /proc/kallsyms has addresses for it (kernel/ksyms_common.c, kallsyms_show_value).
    pub fn sees_symbols(self) -> bool {
        let level = |name: &str| -> i32 {
            let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        };
        match level("kptr_restrict") {
            0 => level("perf_event_paranoid") <= 1 || self.has(34),
            1 => self.has(34),
            _ => false,
        }
    }

    /// The name of a capability without which no probe loads, if one is missing. CAP_SYS_ADMIN stands for both
    /// of the newer ones (kernel/bpf/syscall.c, bpf_capable and perfmon_capable).
    pub fn missing_for_bpf(self) -> Option<&'static str> {
        if self.has(21) {
            return None;
        }
        WANTED[..2].iter().find(|c| !self.has(c.bit)).map(|c| c.name)
    }
}

/// One line that says how to get what is missing.
pub fn remedy(name: &str) -> String {
    format!(
        "run as root, or give the binary {} and the others: setcap cap_bpf,cap_perfmon,cap_net_raw,cap_sys_admin,\
             cap_net_admin,cap_sys_ptrace,cap_dac_read_search,cap_syslog+ep $(command -v tracenet)",
        name.to_lowercase()
    )
}
