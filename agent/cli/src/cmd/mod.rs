//! One file per subcommand.

pub mod agent;
pub mod analyze;
pub mod attach;
pub mod bench;
pub mod config;
pub mod doctor;
pub mod explain;
pub mod explain_bits;
pub mod interfaces;
pub mod record;
pub mod replay;
pub mod run;
pub mod sockets;
pub mod stats;
pub mod top;
pub mod whois;
