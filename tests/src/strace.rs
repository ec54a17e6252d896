//! The syscall view against strace itself: programs run under both, their lines compared thread by thread.
//!
//! Two ways. *Beside*: one run of the program is seen by both at once, so that every address, number and time must be
//! the same and nothing is normalised. *Apart*: each tool has a run of its own, what differs between any two runs is
//! normalised ([`normalise`]), and two runs under strace tell how much can be equal at all.

pub mod compare;
pub mod differences;
pub mod lines;
pub mod normalise;
pub mod programs;
pub mod run;
