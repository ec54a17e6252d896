//! Sequence numbers: arithmetic modulo 2³² (RFC 9293, section 3.4).

/// A sequence or acknowledgement number. It has no total order: `lt` and its kin compare within half of the
/// number space, as TCP does, so they hold for numbers less than 2³¹ apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// Moved on by `n`, wrapping.
    #[inline]
    pub fn plus(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// Moved back by `n`, wrapping.
    #[inline]
    pub fn minus(self, n: u32) -> Self {
        Self(self.0.wrapping_sub(n))
    }

    /// Distance from `earlier` up to `self`, wrapping: huge where the order is the other way round.
    #[inline]
    pub fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// `self` comes before `other`.
    #[inline]
    pub fn lt(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// `self` comes before `other` or is the same.
    #[inline]
    pub fn le(self, other: Self) -> bool {
        self == other || self.lt(other)
    }

    /// `self` comes after `other`.
    #[inline]
    pub fn gt(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) > 0
    }

    /// `self` comes after `other` or is the same.
    #[inline]
    pub fn ge(self, other: Self) -> bool {
        self == other || self.gt(other)
    }
}

#[cfg(test)]
mod tests {
    use super::SeqNum;

    #[test]
    fn order_holds_across_the_wrap() {
        let (before, after) = (SeqNum(u32::MAX - 9), SeqNum(10));
        assert!(before.lt(after) && before.le(after) && after.gt(before) && after.ge(before));
        assert!(!after.lt(before) && !before.gt(after));
        assert_eq!(after.since(before), 20);
        assert_eq!(before.plus(20), after);
        assert_eq!(after.minus(20), before);
    }

    #[test]
    fn equal_numbers_are_neither_before_nor_after() {
        let n = SeqNum(7);
        assert!(!n.lt(n) && !n.gt(n) && n.le(n) && n.ge(n));
    }
}
