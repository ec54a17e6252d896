//! Values of one kind in few large pieces of memory: what is used at the same time lies close together, and what is
//! freed is used again.

/// Bytes of a piece, at most, and little less: a huge page of most processors.
pub const PIECE: usize = 2 << 20;

/// Values by number. A freed one stays as it is until its number is given again.
#[derive(Debug)]
pub struct Slab<T> {
    pieces: Vec<Vec<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Values of a piece.
    const EACH: usize = PIECE / size_of::<T>();

    /// The value of a number that was given.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&T> {
        let n = number as usize;
        self.pieces.get(n / Self::EACH)?.get(n % Self::EACH)
    }

    /// The same, to change it.
    #[inline]
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let n = number as usize;
        self.pieces.get_mut(n / Self::EACH)?.get_mut(n % Self::EACH)
    }

    /// Gives the number of a freed value, which `again` makes ready, or of a `new` one.
    #[inline]
    pub fn give(&mut self, again: impl FnOnce(&mut T), new: impl FnOnce() -> T) -> u32 {
        if let Some(number) = self.free.pop()
            && let Some(value) = self.get_mut(number)
        {
            again(value);
            return number;
        }
        self.push(new())
    }

    fn push(&mut self, value: T) -> u32 {
        if self.pieces.last().is_none_or(|piece| piece.len() == Self::EACH) {
            // The first one grows with what is in it.
            let room = if self.pieces.is_empty() { 0 } else { Self::EACH };
            self.pieces.push(Vec::with_capacity(room));
        }
        let before = self.pieces.len().saturating_sub(1) * Self::EACH;
        let Some(piece) = self.pieces.last_mut() else { return u32::MAX };
        piece.push(value);
        // Memory ends long before the numbers do.
        u32::try_from(before + piece.len() - 1).unwrap_or(u32::MAX)
    }

    /// Every value, freed ones too.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pieces.iter_mut().flatten()
    }

    /// Whole pieces could be given back, and half of all: moving the rest costs as much as a few packets for each.
    #[inline]
    pub fn is_sparse(&self) -> bool {
        self.free.len() >= 2 * Self::EACH && self.free.len() * 2 >= self.pieces.len() * Self::EACH
    }

    /// Moves what is in use together and gives the rest of the memory back. `numbers` are those in use, which change;
    /// others are left alone. `take` moves a value out of its place.
    pub fn pack<'a>(&mut self, numbers: impl Iterator<Item = &'a mut u32>, take: impl Fn(&mut T) -> T) {
        let mut packed = Self::default();
        for number in numbers {
            if let Some(value) = self.get_mut(*number) {
                *number = packed.push(take(value));
            }
        }
        *self = packed;
    }

    /// Takes back a number that was given; once.
    #[inline]
    pub fn free(&mut self, number: u32) {
        self.free.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_again_and_values_stay_where_they_are() {
        let mut slab = Slab::default();
        let many = (Slab::<[u64; 8]>::EACH * 2 + 5) as u32;
        for n in 0..many {
            assert_eq!(slab.give(|_| unreachable!(), || [u64::from(n); 8]), n);
        }
        assert!((0..many).all(|n| slab.get(n) == Some(&[u64::from(n); 8])));
        assert_eq!(slab.get(many), None);
        slab.free(3);
        assert_eq!(slab.give(|value| value[0] = 7, || unreachable!()), 3);
        assert_eq!(slab.get_mut(3), Some(&mut [7, 3, 3, 3, 3, 3, 3, 3]));
        assert!(!slab.is_sparse());
        (5..many).for_each(|n| slab.free(n));
        assert!(slab.is_sparse());
        let mut used = [4, u32::MAX, 2];
        slab.pack(used.iter_mut(), |value| *value);
        assert_eq!(
            (used, slab.get(0), slab.get(1), slab.get(2)),
            ([0, u32::MAX, 1], Some(&[4; 8]), Some(&[2; 8]), None)
        );
    }
}
