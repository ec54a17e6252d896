//! Reports of the host: `sar -u -w -B -r -S -q -d` and `-q ALL`'s pressure.

use crate::stats::report::{Column, Items, Report, level, now, over, rate};
use crate::stats::span::{Span, percent, ratio};

/// All processors' time.
pub static CPU: Report = Report {
    name: "CPU",
    items: Items::Processors,
    columns: &[
        over("%user", "user_percent", |s| cpu(s, &["cpu.user_ticks"])),
        over("%nice", "nice_percent", |s| cpu(s, &["cpu.nice_ticks"])),
        over("%system", "system_percent", |s| {
            cpu(s, &["cpu.system_ticks", "cpu.irq_ticks", "cpu.softirq_ticks"])
        }),
        over("%iowait", "iowait_percent", |s| cpu(s, &["cpu.iowait_ticks"])),
        over("%steal", "steal_percent", |s| cpu(s, &["cpu.steal_ticks"])),
        over("%idle", "idle_percent", |s| cpu(s, &["cpu.idle_ticks"])),
    ],
};

/// What adds up to all time. A guest's is in `user` and `nice` already.
const TIMES: [&str; 8] = [
    "cpu.user_ticks",
    "cpu.nice_ticks",
    "cpu.system_ticks",
    "cpu.idle_ticks",
    "cpu.iowait_ticks",
    "cpu.irq_ticks",
    "cpu.softirq_ticks",
    "cpu.steal_ticks",
];

fn cpu(span: &Span<'_>, parts: &[&str]) -> Option<f64> {
    let sum = |names: &[&str]| names.iter().filter_map(|name| span.grown_at_most(name)).sum::<f64>();
    span.level("cpu.user_ticks")?;
    Some(percent(sum(parts), sum(&TIMES)))
}

/// Tasks made, and switches between them.
pub static SWITCHES: Report = Report {
    name: "SWITCHES",
    items: Items::None,
    columns: &[rate("proc/s", "host.forks"), rate("cswch/s", "host.context_switches")],
};

/// Paging.
pub static PAGING: Report = Report {
    name: "PAGING",
    items: Items::None,
    columns: &[
        // The kernel counts these two in KiB.
        rate("pgpgin/s", "paging.pgpgin").key("paged_in_kib_per_s"),
        rate("pgpgout/s", "paging.pgpgout").key("paged_out_kib_per_s"),
        rate("fault/s", "paging.pgfault"),
        rate("majflt/s", "paging.pgmajfault"),
        rate("pgfree/s", "paging.pgfree"),
        rate("pgscank/s", "paging.pgscan_kswapd"),
        rate("pgscand/s", "paging.pgscan_direct"),
        rate("pgsteal/s", "paging.pgsteal"),
        over("%vmeff", "reclaim_efficiency_percent", |s| {
            let scanned = s.grown("paging.pgscan_kswapd")? + s.grown("paging.pgscan_direct")?;
            Some(percent(s.grown("paging.pgsteal")?, scanned))
        }),
    ],
};

/// Memory. What is used leaves out what the kernel can take back: buffers, cache and slab.
pub static MEMORY: Report = Report {
    name: "MEMORY",
    items: Items::None,
    columns: &[
        level("kbmemfree", "memory.free_bytes").bytes(),
        level("kbavail", "memory.available_bytes").bytes(),
        now("kbmemused", "used_bytes", used).bytes().whole(),
        now("%memused", "used_percent", |s| Some(percent(used(s)?, s.level("memory.total_bytes")?))),
        level("kbbuffers", "memory.buffers_bytes").bytes(),
        level("kbcached", "memory.cached_bytes").bytes(),
        level("kbcommit", "memory.committed_bytes").bytes(),
        now("%commit", "committed_percent", |s| {
            let all = s.level("memory.total_bytes")? + s.level("memory.swap_total_bytes")?;
            Some(percent(s.level("memory.committed_bytes")?, all))
        }),
        level("kbactive", "memory.active_bytes").bytes(),
        level("kbinact", "memory.inactive_bytes").bytes(),
        level("kbdirty", "memory.dirty_bytes").bytes(),
    ],
};

fn used(s: &Span<'_>) -> Option<f64> {
    let unused: f64 =
        ["memory.free_bytes", "memory.buffers_bytes", "memory.cached_bytes", "memory.slab_bytes"]
            .iter()
            .filter_map(|name| s.level(name))
            .sum();
    Some((s.level("memory.total_bytes")? - unused).max(0.0))
}

/// Swap space.
pub static SWAP: Report = Report {
    name: "SWAP",
    items: Items::None,
    columns: &[
        level("kbswpfree", "memory.swap_free_bytes").bytes(),
        now("kbswpused", "swap_used_bytes", swapped).bytes().whole(),
        now("%swpused", "swap_used_percent", |s| {
            Some(percent(swapped(s)?, s.level("memory.swap_total_bytes")?))
        }),
        level("kbswpcad", "memory.swap_cached_bytes").bytes(),
        now("%swpcad", "swap_cached_percent", |s| {
            Some(percent(s.level("memory.swap_cached_bytes")?, swapped(s)?))
        }),
    ],
};

fn swapped(s: &Span<'_>) -> Option<f64> {
    Some(s.level("memory.swap_total_bytes")? - s.level("memory.swap_free_bytes")?)
}

/// Run queue and load.
pub static LOAD: Report = Report {
    name: "LOAD",
    items: Items::None,
    columns: &[
        // Whoever reads the file runs, and is not counted.
        now("runq-sz", "runnable", |s| Some((s.level("host.runnable")? - 1.0).max(0.0))).whole(),
        level("plist-sz", "host.tasks"),
        level("ldavg-1", "host.load1_hundredths").hundredths().key("load_1min"),
        level("ldavg-5", "host.load5_hundredths").hundredths().key("load_5min"),
        level("ldavg-15", "host.load15_hundredths").hundredths().key("load_15min"),
        level("blocked", "host.blocked"),
    ],
};

/// Block devices.
pub static DISKS: Report = Report {
    name: "DISK",
    items: Items::Disks,
    columns: &[
        rate("tps", "disk.*.ios"),
        rate("rkB/s", "disk.*.read_bytes").bytes(),
        rate("wkB/s", "disk.*.write_bytes").bytes(),
        rate("dkB/s", "disk.*.discard_bytes").bytes(),
        over("areq-sz", "request_bytes", |s| {
            let parts = ["disk.*.read_bytes", "disk.*.write_bytes", "disk.*.discard_bytes"];
            let bytes: f64 = parts.iter().filter_map(|name| s.grown(name)).sum();
            Some(ratio(bytes, s.grown("disk.*.ios")?))
        })
        .bytes(),
        over("aqu-sz", "queued_requests", |s| Some(s.rate("disk.*.queue_ms")? / 1e3)),
        over("await", "wait_ms", |s| Some(ratio(s.grown("disk.*.wait_ms")?, s.grown("disk.*.ios")?))),
        over("%util", "busy_percent", |s| Some(s.rate("disk.*.busy_ms")? / 10.0)),
    ],
};

/// Time that tasks lost by waiting (Documentation/accounting/psi.rst), in sar's order.
pub static PRESSURE: [Report; 3] = [
    Report { name: "PSI-CPU", items: Items::None, columns: &PRESSURE_CPU },
    Report { name: "PSI-IO", items: Items::None, columns: &PRESSURE_IO },
    Report { name: "PSI-MEM", items: Items::None, columns: &PRESSURE_MEMORY },
];

const fn average(name: &'static str, counter: &'static str, key: &'static str) -> Column {
    level(name, counter).hundredths().key(key)
}

static PRESSURE_CPU: [Column; 4] = [
    average("%scpu-10", "pressure.cpu.some_avg10_hundredths", "some_10s_percent"),
    average("%scpu-60", "pressure.cpu.some_avg60_hundredths", "some_60s_percent"),
    average("%scpu-300", "pressure.cpu.some_avg300_hundredths", "some_300s_percent"),
    over("%scpu", "some_percent", |s| Some(s.rate("pressure.cpu.some_total_us")? / 1e4)),
];

static PRESSURE_IO: [Column; 8] = [
    average("%sio-10", "pressure.io.some_avg10_hundredths", "some_10s_percent"),
    average("%sio-60", "pressure.io.some_avg60_hundredths", "some_60s_percent"),
    average("%sio-300", "pressure.io.some_avg300_hundredths", "some_300s_percent"),
    over("%sio", "some_percent", |s| Some(s.rate("pressure.io.some_total_us")? / 1e4)),
    average("%fio-10", "pressure.io.full_avg10_hundredths", "full_10s_percent"),
    average("%fio-60", "pressure.io.full_avg60_hundredths", "full_60s_percent"),
    average("%fio-300", "pressure.io.full_avg300_hundredths", "full_300s_percent"),
    over("%fio", "full_percent", |s| Some(s.rate("pressure.io.full_total_us")? / 1e4)),
];

static PRESSURE_MEMORY: [Column; 8] = [
    average("%smem-10", "pressure.memory.some_avg10_hundredths", "some_10s_percent"),
    average("%smem-60", "pressure.memory.some_avg60_hundredths", "some_60s_percent"),
    average("%smem-300", "pressure.memory.some_avg300_hundredths", "some_300s_percent"),
    over("%smem", "some_percent", |s| Some(s.rate("pressure.memory.some_total_us")? / 1e4)),
    average("%fmem-10", "pressure.memory.full_avg10_hundredths", "full_10s_percent"),
    average("%fmem-60", "pressure.memory.full_avg60_hundredths", "full_60s_percent"),
    average("%fmem-300", "pressure.memory.full_avg300_hundredths", "full_300s_percent"),
    over("%fmem", "full_percent", |s| Some(s.rate("pressure.memory.full_total_us")? / 1e4)),
];
