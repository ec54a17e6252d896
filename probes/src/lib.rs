//! eBPF probes of tracenet: one object, loaded program by program, its ring buffer drained into
//! [`Event`](tracenet_core::event::Event)s.
//!
//! The kernel side is C, in `bpf/`; the structures both sides share are in `bpf/include/events.h`.

mod session;
mod spec;

pub use session::{Error, FlowFilter, Result, Session, doctor};
pub use spec::{DEFAULT_RING_BYTES, Drained, HookStatus, MAX_NR, NetnsTotals, Options, SyscallFilter};
