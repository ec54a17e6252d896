//! When a loss began, for those who learn of it by a counter that they look at now and then.

use crate::time::MonoNs;

/// Since when a ring has not been seen empty: what found no room in it came after that.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filling(Option<MonoNs>);

impl Filling {
    /// Something that happened at `t` was read from the ring, the first of those that were read at once.
    pub fn held(&mut self, t: MonoNs) {
        self.0.get_or_insert(t);
    }

    /// Nothing is left in it.
    pub fn emptied(&mut self) {
        self.0 = None;
    }

    /// The counter is looked at, `now`. Returns since when that was lost which it has counted since the last look.
    pub fn look(&mut self, now: MonoNs) -> MonoNs {
        self.0.replace(now).unwrap_or(now).min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_begins_after_the_ring_was_empty_or_looked_at() {
        let mut filling = Filling::default();
        filling.held(MonoNs(5));
        filling.held(MonoNs(7));
        assert_eq!(filling.look(MonoNs(9)), MonoNs(5));
        filling.held(MonoNs(8));
        assert_eq!(filling.look(MonoNs(12)), MonoNs(9), "it was not emptied");
        filling.emptied();
        filling.held(MonoNs(20));
        assert_eq!(filling.look(MonoNs(30)), MonoNs(20));
        filling.emptied();
        assert_eq!(filling.look(MonoNs(40)), MonoNs(40));
    }
}
