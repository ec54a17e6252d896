//! Sans-IO core of tracenet: [`Event`](event::Event)s in, [`Fact`](fact::Fact)s out.
//!
//! It knows no clock, no thread, no file and no exporter: time is an argument, input is a value, and hostile
//! input is a value too. See ARCHITECTURE.md for the invariants.
#![forbid(unsafe_code)]

pub mod audit;
mod conn;
pub mod core;
pub mod drops;
pub mod event;
pub mod fact;
pub mod features;
pub mod filling;
mod flow;
pub mod governor;
pub mod histogram;
pub mod ip;
pub mod json;
pub mod key;
pub mod merge;
pub mod opening;
pub mod process;
pub mod record;
pub mod slab;
pub mod summary;
pub mod syscall;
pub mod tcp;
pub mod time;
pub mod totals;
pub mod trace_id;
pub mod turn;
pub mod waterfall;

pub use conn::wire;
