//! Counters and levels of the whole host: processors, memory, run queue, block devices, pressure.
//!
//! Names have a dot and a unit, as all that nstat(8) doesn't know: `cpu.user_ticks`, `memory.free_bytes`,
//! `disk.vda.read_ios`, `pressure.cpu.some_total_us`.

use std::fs;
use std::path::Path;

use procfs::{DiskStats, FromRead as _, FromReadSI as _, KernelStats, LoadAverage, Meminfo, PressureRecord};

use crate::counters::{Kind, Snapshot};
use crate::process::Proc;

/// Adds what the host's files say now. What a kernel doesn't have (pressure, for one) is left out.
pub fn read(proc: &Proc, s: &mut Snapshot) {
    let text = |name: &str| fs::read_to_string(proc.root().join(name)).unwrap_or_default();
    stat(&text("stat"), s);
    memory(&text("meminfo"), s);
    load(&text("loadavg"), s);
    paging(&text("vmstat"), s);
    disks(&text("diskstats"), whole_disk, s);
    for resource in ["cpu", "io", "memory", "irq"] {
        pressure(resource, &text(&format!("pressure/{resource}")), s);
    }
    backlog(&text("thread-self/net/softnet_stat"), s);
}

/// `stat`: times of all processors in clock ticks (`USER_HZ`), context switches, forks.
fn stat(text: &str, s: &mut Snapshot) {
    let Ok(stat) = KernelStats::from_read(text.as_bytes(), procfs::current_system_info()) else { return };
    let t = &stat.total;
    for (name, ticks) in [
        ("user", Some(t.user)),
        ("nice", Some(t.nice)),
        ("system", Some(t.system)),
        ("idle", Some(t.idle)),
        ("iowait", t.iowait),
        ("irq", t.irq),
        ("softirq", t.softirq),
        ("steal", t.steal),
    ] {
        put(s, Kind::Counter, &format!("cpu.{name}_ticks"), ticks);
    }
    put(s, Kind::Counter, "host.context_switches", Some(stat.ctxt));
    put(s, Kind::Counter, "host.forks", Some(stat.processes));
    put(s, Kind::Gauge, "host.blocked", stat.procs_blocked.map(u64::from));
}

/// `meminfo`, in bytes.
fn memory(text: &str, s: &mut Snapshot) {
    let Ok(m) = Meminfo::from_read(text.as_bytes()) else { return };
    for (name, bytes) in [
        ("total", Some(m.mem_total)),
        ("free", Some(m.mem_free)),
        ("available", m.mem_available),
        ("buffers", Some(m.buffers)),
        ("cached", Some(m.cached)),
        ("slab", Some(m.slab)),
        ("committed", Some(m.committed_as)),
        ("active", Some(m.active)),
        ("inactive", Some(m.inactive)),
        ("dirty", Some(m.dirty)),
        ("swap_total", Some(m.swap_total)),
        ("swap_free", Some(m.swap_free)),
        ("swap_cached", Some(m.swap_cached)),
    ] {
        put(s, Kind::Gauge, &format!("memory.{name}_bytes"), bytes);
    }
}

/// `loadavg`: averages in hundredths, and tasks that can run, the reader included.
fn load(text: &str, s: &mut Snapshot) {
    let Ok(l) = LoadAverage::from_read(text.as_bytes()) else { return };
    for (name, value) in [("load1", l.one), ("load5", l.five), ("load15", l.fifteen)] {
        put(s, Kind::Gauge, &format!("host.{name}_hundredths"), Some(hundredths(value)));
    }
    put(s, Kind::Gauge, "host.runnable", Some(l.cur.into()));
    put(s, Kind::Gauge, "host.tasks", Some(l.max.into()));
}

/// `vmstat`: a name and a value in each line. Of the many names those of sar's paging report, the zones and ways summed
/// up as sar does: `pgscan_kswapd` is what woke by itself, `pgscan_direct` what a process had to do.
fn paging(text: &str, s: &mut Snapshot) {
    for name in
        ["pgpgin", "pgpgout", "pgfault", "pgmajfault", "pgfree", "pgscan_kswapd", "pgscan_direct", "pgsteal"]
    {
        let values = text.lines().filter_map(|line| line.split_once(' '));
        let of_name = values.filter(|(found, _)| {
            // `pgscan_direct_throttle` counts waits, not pages; `pgsteal_anon` and `_file` split the same pages again.
            let again = ["pgscan_direct_throttle", "pgsteal_anon", "pgsteal_file"].contains(found);
            *found == name || name.starts_with("pgs") && found.starts_with(name) && !again
        });
        let all: Vec<u64> = of_name.filter_map(|(_, value)| value.trim().parse().ok()).collect();
        put(s, Kind::Counter, &format!("paging.{name}"), (!all.is_empty()).then(|| all.iter().sum()));
    }
}

/// `diskstats` of devices that were ever used and that `whole` has a name for. A sector is 512 bytes, whatever the device's is
/// (Documentation/admin-guide/iostats.rst).
fn disks(text: &str, whole: impl Fn(&str) -> Option<String>, s: &mut Snapshot) {
    let Ok(DiskStats(all)) = DiskStats::from_read(text.as_bytes()) else { return };
    for d in all {
        let discards = d.discards.unwrap_or(0);
        if d.reads == 0 && d.writes == 0 && discards == 0 {
            continue;
        }
        let Some(device) = whole(&d.name) else { continue };
        let busy =
            d.time_reading.saturating_add(d.time_writing).saturating_add(d.time_discarding.unwrap_or(0));
        for (name, value) in [
            ("ios", d.reads.saturating_add(d.writes).saturating_add(discards)),
            ("read_bytes", d.sectors_read.saturating_mul(512)),
            ("write_bytes", d.sectors_written.saturating_mul(512)),
            ("discard_bytes", d.sectors_discarded.unwrap_or(0).saturating_mul(512)),
            ("wait_ms", busy),
            ("busy_ms", d.time_in_progress),
            ("queue_ms", d.weighted_time_in_progress),
        ] {
            put(s, Kind::Counter, &format!("disk.{device}.{name}"), Some(value));
        }
    }
}

/// Name of a whole device, a mapped one's as its maker called it. Partitions have no folder of their own there; a slash
/// in a name is `!`.
fn whole_disk(name: &str) -> Option<String> {
    let folder = Path::new("/sys/block").join(name.replace('/', "!"));
    let mapped = fs::read_to_string(folder.join("dm/name")).ok();
    folder.exists().then(|| mapped.map_or_else(|| name.to_owned(), |mapped| mapped.trim().to_owned()))
}

/// `pressure/cpu` and others: averages in hundredths of a percent, totals in microseconds.
fn pressure(resource: &str, text: &str, s: &mut Snapshot) {
    for line in text.lines() {
        let Some((kind, _)) = line.split_once(' ') else { continue };
        let Ok(record) = procfs::parse_pressure_record(line) else { continue };
        let PressureRecord { avg10, avg60, avg300, total } = record;
        for (span, value) in [("10", avg10), ("60", avg60), ("300", avg300)] {
            let name = format!("pressure.{resource}.{kind}_avg{span}_hundredths");
            put(s, Kind::Gauge, &name, Some(hundredths(value)));
        }
        put(s, Kind::Counter, &format!("pressure.{resource}.{kind}_total_us"), Some(total));
    }
}

/// `softnet_stat`: packets that wait in the backlogs (column 12, `softnet_seq_show`, since Linux 5.10).
fn backlog(text: &str, s: &mut Snapshot) {
    let of_line = |line: &str| u64::from_str_radix(line.split_whitespace().nth(11)?, 16).ok();
    let lengths: Vec<u64> = text.lines().filter_map(of_line).collect();
    put(s, Kind::Gauge, "host.backlog_packets", (!lengths.is_empty()).then(|| lengths.iter().sum()));
}

/// The files have two decimals.
fn hundredths(value: f32) -> u64 {
    (f64::from(value) * 100.0).round() as u64
}

fn put(s: &mut Snapshot, kind: Kind, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        s.put(name.to_owned(), kind, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(parse: impl FnOnce(&mut Snapshot)) -> Snapshot {
        let mut s = Snapshot::default();
        parse(&mut s);
        s
    }

    #[test]
    fn processors_and_forks() {
        let text = "cpu  10 20 30 40 50 6 7 8 9 10\ncpu0 10 20 30 40 50 6 7 8 9 10\nintr 5 1\nctxt 1234\nbtime 1700000000\n\
                    processes 99\nprocs_running 2\nprocs_blocked 1\nsoftirq 1 2\n";
        let s = parsed(|s| stat(text, s));
        assert_eq!(s.get("cpu.user_ticks"), Some(10));
        assert_eq!(s.get("cpu.steal_ticks"), Some(8));
        assert_eq!(s.get("host.context_switches"), Some(1234));
        assert_eq!(s.get("host.forks"), Some(99));
        assert_eq!(s.get("host.blocked"), Some(1));
    }

    #[test]
    fn load_and_pressure_are_hundredths() {
        let s = parsed(|s| load("2.85 3.49 3.12 3/109 4567\n", s));
        assert_eq!(s.get("host.load1_hundredths"), Some(285));
        assert_eq!(s.get("host.load5_hundredths"), Some(349));
        assert_eq!((s.get("host.runnable"), s.get("host.tasks")), (Some(3), Some(109)));
        let text = "some avg10=66.56 avg60=37.74 avg300=55.12 total=911742362\nfull avg10=0.00 avg60=0.01 avg300=0.00 total=7\n";
        let s = parsed(|s| pressure("cpu", text, s));
        assert_eq!(s.get("pressure.cpu.some_avg10_hundredths"), Some(6656));
        assert_eq!(s.get("pressure.cpu.some_total_us"), Some(911_742_362));
        assert_eq!(s.get("pressure.cpu.full_avg60_hundredths"), Some(1));
    }

    #[test]
    fn scans_of_pages_are_summed_over_their_ways() {
        let text = "pgpgin 1\npgfault 5\npgsteal_kswapd 3\npgsteal_direct 4\npgsteal_anon 6\npgsteal_file 1\n\
                    pgscan_kswapd 9\npgscan_direct 2\npgscan_direct_throttle 70\n";
        let s = parsed(|s| paging(text, s));
        assert_eq!(s.get("paging.pgsteal"), Some(7));
        assert_eq!(s.get("paging.pgscan_kswapd"), Some(9));
        assert_eq!(s.get("paging.pgscan_direct"), Some(2));
        assert_eq!(s.get("paging.pgmajfault"), None);
    }

    #[test]
    fn used_whole_disks_only() {
        let text = " 254 0 vda 10 0 80 5 20 0 160 7 0 9 14 3 0 24 2 1 1\n 254 1 vda1 1 0 8 1 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
                    7 0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
        let s = parsed(|s| disks(text, |name| (name != "vda1").then(|| name.to_owned()), s));
        assert_eq!(s.get("disk.vda.ios"), Some(33));
        assert_eq!(s.get("disk.vda.read_bytes"), Some(80 * 512));
        assert_eq!(s.get("disk.vda.discard_bytes"), Some(24 * 512));
        assert_eq!(s.get("disk.vda.wait_ms"), Some(14));
        assert_eq!(s.iter().count(), 7);
    }

    #[test]
    fn waiting_packets_of_all_processors() {
        let line = "000ee86e 0 0 0 0 0 0 0 0 0 0 00000010 00000000 0 0\n";
        assert_eq!(parsed(|s| backlog(&line.repeat(2), s)).get("host.backlog_packets"), Some(32));
        assert_eq!(parsed(|s| backlog("00 00 00\n", s)).get("host.backlog_packets"), None);
    }
}
