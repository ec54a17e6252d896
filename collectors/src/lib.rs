//! What tracenet learns from outside BPF: packets from libpcap, counters and processes from procfs, the clock.
//! Everything is turned into the words of `tracenet-core` here, at the edge.

pub mod capture;
pub mod cgroups;
pub mod clock;
pub mod counters;
pub mod decode;
pub mod files;
pub mod firewall;
pub mod host;
pub mod identity;
pub mod incident;
pub mod interfaces;
pub mod netns;
pub mod opening;
pub mod owners;
pub mod pcapng;
pub mod pods;
pub mod process;
pub mod sample;
pub mod services;
pub mod sockets;
pub mod sockstat;
pub mod task;
