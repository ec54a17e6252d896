//! Reports of processes: `pidstat -u -r -d -w -p`. Waiting and switches are those of all threads, where pidstat shows
//! the main thread's.

use crate::stats::report::{Items, Report, last, level, now, over, rate};
use crate::stats::span::{Span, percent};

/// Time on processors, in percent of one.
pub static TASK_CPU: Report = Report {
    name: "TASK-CPU",
    items: Items::Tasks,
    columns: &[
        over("%usr", "user_percent", |s| share(s, "task.*.user_ms")).width(7),
        over("%system", "system_percent", |s| share(s, "task.*.system_ms")).width(7),
        over("%guest", "guest_percent", |s| share(s, "task.*.guest_ms")).width(7),
        over("%wait", "wait_percent", |s| Some(s.rate("task.*.wait_ns")? / 1e7)).width(7),
        over("%CPU", "cpu_percent", |s| {
            Some(share(s, "task.*.user_ms")? + share(s, "task.*.system_ms")? + share(s, "task.*.guest_ms")?)
        })
        .width(7),
        last("CPU", "task.*.cpu").width(5),
    ],
};

fn share(s: &Span<'_>, name: &str) -> Option<f64> {
    Some(s.rate(name)? / 10.0)
}

/// Faults and memory.
pub static TASK_MEMORY: Report = Report {
    name: "TASK-MEMORY",
    items: Items::Tasks,
    columns: &[
        rate("minflt/s", "task.*.minor_faults"),
        rate("majflt/s", "task.*.major_faults"),
        level("VSZ", "task.*.virtual_bytes").bytes().width(7),
        level("RSS", "task.*.rss_bytes").bytes().width(7),
        now("%MEM", "memory_percent", |s| {
            Some(percent(s.level("task.*.rss_bytes")?, s.level("memory.total_bytes")?))
        })
        .width(6),
    ],
};

/// Input and output that reached a disk.
pub static TASK_IO: Report = Report {
    name: "TASK-IO",
    items: Items::Tasks,
    columns: &[
        rate("kB_rd/s", "task.*.read_bytes").bytes(),
        rate("kB_wr/s", "task.*.write_bytes").bytes(),
        rate("kB_ccwr/s", "task.*.cancelled_write_bytes").bytes(),
        over("iodelay", "block_delay_ticks", |s| s.grown("task.*.block_delay_ticks")).whole().width(7),
    ],
};

/// Switches away from it: it waited for something, or its time was up.
pub static TASK_SWITCHES: Report = Report {
    name: "TASK-SWITCHES",
    items: Items::Tasks,
    columns: &[
        rate("cswch/s", "task.*.voluntary_switches"),
        rate("nvcswch/s", "task.*.involuntary_switches"),
    ],
};
