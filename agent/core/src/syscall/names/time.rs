//! Names of clocks, timers and futexes (`linux/time.h`, `linux/timerfd.h`, `linux/futex.h`).

use crate::syscall::text::Names;

/// Clocks.
#[rustfmt::skip]
pub(in crate::syscall) const CLOCK: Names = &[
    (0, "CLOCK_REALTIME"), (1, "CLOCK_MONOTONIC"), (2, "CLOCK_PROCESS_CPUTIME_ID"), (3, "CLOCK_THREAD_CPUTIME_ID"),
    (4, "CLOCK_MONOTONIC_RAW"), (5, "CLOCK_REALTIME_COARSE"), (6, "CLOCK_MONOTONIC_COARSE"), (7, "CLOCK_BOOTTIME"),
    (8, "CLOCK_REALTIME_ALARM"), (9, "CLOCK_BOOTTIME_ALARM"), (10, "CLOCK_SGI_CYCLE"), (11, "CLOCK_TAI"),
];

/// Flags of timers.
#[rustfmt::skip]
pub(in crate::syscall) const TIMER_FLAGS: Names = &[
    (1, "TIMER_ABSTIME"),
];

/// Flags of timerfd_create(2) and timerfd_settime(2).
#[rustfmt::skip]
pub(in crate::syscall) const TFD: Names = &[
    (1, "TFD_TIMER_ABSTIME"), (2, "TFD_TIMER_CANCEL_ON_SET"), (0x80000, "TFD_CLOEXEC"), (0x800, "TFD_NONBLOCK"),
];

/// Interval timers.
#[rustfmt::skip]
pub(in crate::syscall) const ITIMER: Names = &[
    (0, "ITIMER_REAL"), (1, "ITIMER_VIRTUAL"), (2, "ITIMER_PROF"),
];

/// Operations of futex(2).
#[rustfmt::skip]
pub(in crate::syscall) const FUTEX: Names = &[
    (0, "FUTEX_WAIT"), (1, "FUTEX_WAKE"), (2, "FUTEX_FD"), (3, "FUTEX_REQUEUE"), (4, "FUTEX_CMP_REQUEUE"),
    (5, "FUTEX_WAKE_OP"), (6, "FUTEX_LOCK_PI"), (7, "FUTEX_UNLOCK_PI"), (8, "FUTEX_TRYLOCK_PI"),
    (9, "FUTEX_WAIT_BITSET"), (10, "FUTEX_WAKE_BITSET"), (11, "FUTEX_WAIT_REQUEUE_PI"), (12, "FUTEX_CMP_REQUEUE_PI"),
    (13, "FUTEX_LOCK_PI2"),
];
