//! `tracenet agent`: every process of the host, all the time.

pub mod calls;
pub mod confine;
pub mod export;
mod governor;
pub mod health;
pub mod node;
pub mod people;
pub mod rules;
mod sampler;
pub mod selection;
