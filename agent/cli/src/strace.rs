//! strace's habits: its flags, and its lines instead of the story.

mod asleep;
mod count;
mod files;
mod habits;
mod lines;

pub use asleep::asleep;
pub use count::{Counting, Sort, by_connection, table};
pub use files::Files;
pub use habits::{Habits, Stamps, Style};
pub use lines::Lines;
