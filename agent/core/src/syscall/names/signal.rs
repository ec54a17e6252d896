//! Names of signals (`asm-generic/signal.h`, `asm-generic/siginfo.h`).

use crate::syscall::text::Names;

/// Signals (`asm-generic/signal.h`).
#[rustfmt::skip]
pub(in crate::syscall) const SIGNAL: Names = &[
    (1, "SIGHUP"), (2, "SIGINT"), (3, "SIGQUIT"), (4, "SIGILL"), (5, "SIGTRAP"), (6, "SIGABRT"), (7, "SIGBUS"),
    (8, "SIGFPE"), (9, "SIGKILL"), (10, "SIGUSR1"), (11, "SIGSEGV"), (12, "SIGUSR2"), (13, "SIGPIPE"),
    (14, "SIGALRM"), (15, "SIGTERM"), (16, "SIGSTKFLT"), (17, "SIGCHLD"), (18, "SIGCONT"), (19, "SIGSTOP"),
    (20, "SIGTSTP"), (21, "SIGTTIN"), (22, "SIGTTOU"), (23, "SIGURG"), (24, "SIGXCPU"), (25, "SIGXFSZ"),
    (26, "SIGVTALRM"), (27, "SIGPROF"), (28, "SIGWINCH"), (29, "SIGIO"), (30, "SIGPWR"), (31, "SIGSYS"),
    (32, "SIGRTMIN"), (33, "SIGRT_1"), (34, "SIGRT_2"), (35, "SIGRT_3"), (36, "SIGRT_4"), (37, "SIGRT_5"),
    (38, "SIGRT_6"), (39, "SIGRT_7"), (40, "SIGRT_8"), (41, "SIGRT_9"), (42, "SIGRT_10"), (43, "SIGRT_11"),
    (44, "SIGRT_12"), (45, "SIGRT_13"), (46, "SIGRT_14"), (47, "SIGRT_15"), (48, "SIGRT_16"), (49, "SIGRT_17"),
    (50, "SIGRT_18"), (51, "SIGRT_19"), (52, "SIGRT_20"), (53, "SIGRT_21"), (54, "SIGRT_22"), (55, "SIGRT_23"),
    (56, "SIGRT_24"), (57, "SIGRT_25"), (58, "SIGRT_26"), (59, "SIGRT_27"), (60, "SIGRT_28"), (61, "SIGRT_29"),
    (62, "SIGRT_30"), (63, "SIGRT_31"), (64, "SIGRT_32"),
];

/// Flags of sigaction(2).
#[rustfmt::skip]
pub(in crate::syscall) const SA: Names = &[
    (0x4000000, "SA_RESTORER"), (0x8000000, "SA_ONSTACK"), (0x10000000, "SA_RESTART"), (0x20000000, "SA_INTERRUPT"), (0x40000000, "SA_NODEFER"),
    (0x80000000, "SA_RESETHAND"), (0x4, "SA_SIGINFO"), (0x1, "SA_NOCLDSTOP"), (0x2, "SA_NOCLDWAIT"),
];

/// What rt_sigprocmask(2) does.
#[rustfmt::skip]
pub(in crate::syscall) const SIG_HOW: Names = &[
    (0, "SIG_BLOCK"), (1, "SIG_UNBLOCK"), (2, "SIG_SETMASK"),
];

/// Flags of sigaltstack(2).
#[rustfmt::skip]
pub(in crate::syscall) const SS: Names = &[
    (0x1, "SS_ONSTACK"), (0x2, "SS_DISABLE"), (0x80000000, "SS_AUTODISARM"),
];

/// Flags of signalfd4(2).
#[rustfmt::skip]
pub(in crate::syscall) const SFD: Names = &[
    (0x80000, "SFD_CLOEXEC"), (0x800, "SFD_NONBLOCK"),
];
