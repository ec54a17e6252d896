//! Reports of counters over time: sar(1)'s, pidstat(1)'s and nstat(8)'s.
//!
//! A [`Sample`](tracenet_collectors::sample::Sample) has every number by name. Reports are tables of columns, each with the
//! name that sar gives it and where its value comes from ([`catalogue`]); the arithmetic is in [`span`] alone. Live
//! samples and those of a file go the same way: into a [`View`](view::View), which prints them.

pub mod average;
pub mod catalogue;
pub mod file;
pub mod hours;
pub mod json;
pub mod nstat;
pub mod report;
pub mod span;
pub mod table;
pub mod view;
