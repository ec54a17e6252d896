//! What the kernel side has counted of each syscall (`strace -c`).

use std::collections::BTreeMap;
use std::sync::Arc;

use aya::maps::{HashMap, MapData, PerCpuArray};
use tracenet_core::key::SocketCookie;

use crate::abi::{COUNT_BUCKETS, CallCount, ConnectionCall, ConnectionCount};
use crate::spec::MAX_NR;

/// Reads the counts.
#[derive(Clone)]
pub struct Counts {
    calls: Arc<PerCpuArray<MapData, CallCount>>,
    connections: Arc<HashMap<MapData, ConnectionCall, ConnectionCount>>,
}

/// What was counted of one syscall.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Calls that returned.
    pub calls: u64,
    /// Of these, with an error.
    pub errors: u64,
    /// Time in them, in nanoseconds.
    pub ns: u64,
    /// Calls by the time that they took: see [`quantile`](Self::quantile). Empty where it is not kept.
    buckets: Vec<u64>,
}

impl Counted {
    /// The time within which the share `q` (0 to 1) of the calls returned, in nanoseconds, to the upper bound of a
    /// bucket: at most a quarter too much. `None` where nothing is kept.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        quantile(self.buckets.iter().copied(), q)
    }
}

/// The upper bound of the bucket in which the share `q` (0 to 1) is reached; `None` where all are empty.
pub(crate) fn quantile(buckets: impl Iterator<Item = u64> + Clone, q: f64) -> Option<u64> {
    let all: u64 = buckets.clone().sum();
    let wanted = ((all as f64 * q.clamp(0.0, 1.0)).ceil() as u64).max(1);
    let mut seen = 0;
    let mut reached = buckets.map(|n| {
        seen += n;
        seen >= wanted
    });
    reached.position(|there| there).filter(|_| all > 0).map(upper)
}

/// The highest time of a bucket: four buckets to a power of two (`bucket_of` of `bpf/include/common.h`).
pub(crate) fn upper(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (power, quarter) = (bucket / 4 + 1, bucket as u64 % 4);
    ((4 + quarter + 1) << (power - 2)) - 1
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

impl Counts {
    pub(crate) fn new(
        calls: PerCpuArray<MapData, CallCount>,
        connections: HashMap<MapData, ConnectionCall, ConnectionCount>,
    ) -> Self {
        Self { calls: Arc::new(calls), connections: Arc::new(connections) }
    }

    /// By syscall number, those that were called.
    pub fn calls(&self) -> BTreeMap<u32, Counted> {
        let of = |nr: u32| {
            let mut sum = Counted { buckets: vec![0; COUNT_BUCKETS], ..Counted::default() };
            for cpu in self.calls.get(&nr, 0).ok()?.iter() {
                sum.calls += cpu.calls;
                sum.errors += cpu.errors;
                sum.ns += cpu.ns;
                for (sum, n) in sum.buckets.iter_mut().zip(cpu.buckets) {
                    *sum += u64::from(n);
                }
            }
            (sum.calls > 0).then_some((nr, sum))
        };
        (0..MAX_NR as u32).filter_map(of).collect()
    }

    /// By connection and syscall number, where that was asked for.
    pub fn by_connection(&self) -> BTreeMap<SocketCookie, BTreeMap<u32, Counted>> {
        let mut all: BTreeMap<SocketCookie, BTreeMap<u32, Counted>> = BTreeMap::new();
        for (key, n) in self.connections.iter().map_while(Result::ok) {
            let counted = Counted { calls: n.calls, errors: n.errors, ns: n.ns, buckets: Vec::new() };
            all.entry(SocketCookie(key.cookie)).or_default().insert(key.nr, counted);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_a_quarter_wide_and_leave_no_gap() {
        let bounds: Vec<u64> = (0..COUNT_BUCKETS).map(upper).collect();
        assert_eq!(bounds[..12], [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15]);
        for pair in bounds.windows(2) {
            assert!(pair[0] < pair[1] && pair[1] - pair[0] <= pair[0] / 4 + 1, "{pair:?}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_calls() {
        let mut c = Counted { buckets: vec![0; COUNT_BUCKETS], ..Counted::default() };
        assert_eq!(c.quantile(0.5), None);
        (c.buckets[1], c.buckets[8]) = (98, 2);
        assert_eq!((c.quantile(0.5), c.quantile(0.98), c.quantile(0.99)), (Some(1), Some(1), Some(9)));
    }
}
