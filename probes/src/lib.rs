//! eBPF probes of tracenet: one object, loaded program by program, its ring buffer drained into
//! [`Event`](tracenet_core::event::Event)s.
//!
//! The kernel side is C, in `bpf/`; the structures both sides share are in `bpf/include/events.h`.

mod abi;
mod decode;
mod load;
mod session;
mod spec;
mod symbols;

pub use load::doctor;
pub use session::{Error, FlowFilter, Result, Session, mono_now};
pub use spec::{DEFAULT_RING_BYTES, Drained, HookStatus, MAX_NR, NetnsTotals, Options, SyscallFilter};
