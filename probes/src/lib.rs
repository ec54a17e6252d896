//! eBPF probes of tracenet: one object, loaded program by program, its ring buffer drained into
//! [`Event`](tracenet_core::event::Event)s.
//!
//! The kernel side is C, in `bpf/`; the structures both sides share are in `bpf/include/events.h`.
//!
//! A reader waits on [`Session::fd`], sleeps a millisecond so that a batch gathers behind the one wake-up, and
//! calls [`Session::drain`] until the ring is empty; an idle target costs it nothing. At the end comes
//! [`Session::flush`], and only then [`Totals::of`].
//!
//! What the kernel doesn't tell: a syscall that a thread was in when it became a target is told with the time of
//! the attach as its entry, and the calls of 32-bit programs are not told at all (their sockets are).

mod abi;
mod accounts;
mod counts;
mod decode;
mod entries;
mod governed;
mod io;
mod load;
mod programs;
mod session;
mod spec;
mod symbols;
mod totals;
mod turns;

pub use accounts::Account;
pub use counts::{Counted, Counts};
pub use decode::Decoder;
pub use governed::{Control, Costs, Observed};
pub use load::doctor;
pub use programs::{Nothing, Program, Statistics, programs_of};
pub use session::{Error, FlowFilter, Result, Session, mono_now};
pub use spec::{DEFAULT_RING_BYTES, Depth, Drained, HookStatus, MAX_NR, NetnsTotals, Options, SyscallFilter};
pub use totals::{DropTotal, Totals};
pub use turns::{Turns, TurnsOf};
