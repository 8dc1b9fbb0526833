//! Whole numbers of any length, each in a block of its own: what [`super`] computes with.
//!
//! Every operation makes a new number, as in an interpreter; none is changed in place. Schoolbook
//! methods suffice for a few limbs. Division is Knuth's algorithm D ("The Art of Computer
//! Programming", volume 2, section 4.3.1).

/// A number; the lowest 32 bits first, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    limbs: Vec<u32>,
}

impl Number {
    /// The number of these limbs, the lowest first.
    pub fn new(mut limbs: Vec<u32>) -> Self {
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        Self { limbs }
    }

    /// A number of one limb.
    pub fn small(value: u32) -> Self {
        Self::new(vec![value])
    }

    pub fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    pub fn fits_a_limb(&self) -> bool {
        self.limbs.len() <= 1
    }

    /// Its lowest 32 bits.
    pub fn lowest(&self) -> u64 {
        self.limb(0)
    }

    fn limb(&self, index: usize) -> u64 {
        self.limbs.get(index).map_or(0, |&limb| u64::from(limb))
    }

    pub fn plus(&self, other: &Self) -> Self {
        let length = self.limbs.len().max(other.limbs.len()) + 1;
        let mut limbs = Vec::with_capacity(length);
        let mut carry = 0;
        for index in 0..length {
            let sum = self.limb(index) + other.limb(index) + carry;
            limbs.push(sum as u32);
            carry = sum >> 32;
        }
        Self::new(limbs)
    }

    /// The difference; `other` must not be the larger one.
    pub fn minus(&self, other: &Self) -> Self {
        let mut limbs = Vec::with_capacity(self.limbs.len());
        let mut borrow = 0;
        for index in 0..self.limbs.len() {
            let difference = (1 << 32) + self.limb(index) - other.limb(index) - borrow;
            limbs.push(difference as u32);
            borrow = 1 - (difference >> 32);
        }
        debug_assert!(borrow == 0, "the difference is negative");
        Self::new(limbs)
    }

    pub fn times(&self, other: &Self) -> Self {
        let mut limbs = vec![0_u32; self.limbs.len() + other.limbs.len()];
        for (low, &limb) in self.limbs.iter().enumerate() {
            let mut carry = 0;
            for (place, &digit) in limbs[low..].iter_mut().zip(&other.limbs) {
                let sum = u64::from(limb) * u64::from(digit) + u64::from(*place) + carry;
                *place = sum as u32;
                carry = sum >> 32;
            }
            limbs[low + other.limbs.len()] = carry as u32;
        }
        Self::new(limbs)
    }

    /// Quotient and remainder by one limb, which is not zero.
    pub fn divide_small(&self, divisor: u32) -> (Self, u32) {
        let mut limbs = vec![0_u32; self.limbs.len()];
        let mut rest = 0_u64;
        for (place, &limb) in limbs.iter_mut().zip(&self.limbs).rev() {
            let part = rest << 32 | u64::from(limb);
            *place = (part / u64::from(divisor)) as u32;
            rest = part % u64::from(divisor);
        }
        (Self::new(limbs), rest as u32)
    }

    /// Quotient and remainder; `divisor` is not zero.
    pub fn divide(&self, divisor: &Self) -> (Self, Self) {
        let length = divisor.limbs.len();
        if self.limbs.len() < length {
            return (Self::new(Vec::new()), self.clone());
        }
        if length == 1 {
            let (quotient, rest) = self.divide_small(divisor.limbs[0]);
            return (quotient, Self::small(rest));
        }
        // With its highest bit set, the divisor's first limb gives guesses that are 2 off at most.
        let shift = divisor.limbs[length - 1].leading_zeros();
        let divisor = divisor.shifted_up(shift).limbs;
        let mut rest = self.shifted_up(shift).limbs;
        rest.resize(self.limbs.len() + 1, 0);
        let mut quotient = vec![0_u32; self.limbs.len() + 1 - length];
        for place in (0..quotient.len()).rev() {
            quotient[place] = take_out(&mut rest[place..=place + length], &divisor);
        }
        (Self::new(quotient), Self::new(rest).shifted_down(shift))
    }

    /// The whole part of the square root, by Newton's method from above.
    pub fn root(&self) -> Self {
        if self.is_zero() {
            return self.clone();
        }
        let mut limbs = vec![0; self.limbs.len() / 2];
        limbs.push(u32::MAX);
        let mut guess = Self::new(limbs);
        loop {
            let better = guess.plus(&self.divide(&guess).0).divide_small(2).0;
            // It falls until it has reached the root.
            if better.minus_or_none(&guess).is_some() {
                return guess;
            }
            guess = better;
        }
    }

    /// The difference, if it is not negative.
    fn minus_or_none(&self, other: &Self) -> Option<Self> {
        let digits =
            |number: &Self| (number.limbs.len(), number.limbs.iter().rev().copied().collect());
        let (own, others): ((usize, Vec<u32>), _) = (digits(self), digits(other));
        (own >= others).then(|| self.minus(other))
    }

    /// Times two to the power of `bits`, less than 32.
    fn shifted_up(&self, bits: u32) -> Self {
        let mut limbs = Vec::with_capacity(self.limbs.len() + 1);
        let mut carry = 0_u64;
        for &limb in &self.limbs {
            let wide = u64::from(limb) << bits | carry;
            limbs.push(wide as u32);
            carry = wide >> 32;
        }
        limbs.push(carry as u32);
        Self::new(limbs)
    }

    /// Divided by two to the power of `bits`, less than 32.
    fn shifted_down(&self, bits: u32) -> Self {
        let limbs = (0..self.limbs.len())
            .map(|index| ((self.limb(index + 1) << 32 | self.limb(index)) >> bits) as u32);
        Self::new(limbs.collect())
    }
}

/// One digit of a quotient: takes `divisor` out of `rest`, one limb longer, as often as it fits.
fn take_out(rest: &mut [u32], divisor: &[u32]) -> u32 {
    let length = divisor.len();
    let high = u64::from(rest[length]) << 32 | u64::from(rest[length - 1]);
    let (first, second) = (u64::from(divisor[length - 1]), u64::from(divisor[length - 2]));
    let (mut digit, mut left) = (high / first, high % first);
    while left <= u64::from(u32::MAX)
        && (digit > u64::from(u32::MAX)
            || digit * second > (left << 32 | u64::from(rest[length - 2])))
    {
        digit -= 1;
        left += first;
    }
    let mut borrow = 0_i64;
    let mut carry = 0_u64;
    for (place, &limb) in rest.iter_mut().zip(divisor.iter().chain(&[0])) {
        let product = digit * u64::from(limb) + carry;
        carry = product >> 32;
        let difference = i64::from(*place) - (product as u32 as i64) - borrow;
        *place = difference as u32;
        borrow = i64::from(difference < 0);
    }
    if borrow != 0 {
        // The guess was one too high; that happens for about one digit in two billion.
        digit -= 1;
        let mut carry = 0;
        for (place, &limb) in rest.iter_mut().zip(divisor.iter().chain(&[0])) {
            let sum = u64::from(*place) + u64::from(limb) + carry;
            *place = sum as u32;
            carry = sum >> 32;
        }
    }
    digit as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn of(value: u128) -> Number {
        Number::new((0..4).map(|index| (value >> (32 * index)) as u32).collect())
    }

    #[test]
    fn agrees_with_the_machines_own_arithmetic() {
        let mut random = Random::new(11);
        for _ in 0..20_000 {
            let mut draw = |limit: usize| {
                let wide = u128::from(random.next()) << 64 | u128::from(random.next());
                // Runs of zeros and ones find the carries.
                let wide = if random.below(4) == 0 { wide | wide << 13 | wide << 40 } else { wide };
                wide >> random.between(128 - limit, 127)
            };
            let (a, b) = (draw(126), draw(126));
            let (high, low) = (a.max(b), a.min(b));
            assert_eq!(of(a).plus(&of(b)), of(a + b));
            assert_eq!(of(high).minus(&of(low)), of(high - low));
            assert_eq!(of(a >> 64).times(&of(b >> 64)), of((a >> 64) * (b >> 64)));
            let divisor = low.max(1);
            let (quotient, rest) = of(high).divide(&of(divisor));
            assert_eq!((quotient, rest), (of(high / divisor), of(high % divisor)));
            assert_eq!(of(a).root(), of(a.isqrt()), "{a}");
        }
    }

    #[test]
    fn a_guess_that_is_too_high_is_put_right() {
        let high = Number::new(vec![0, 0, 0x8000_0000, 0x7fff_ffff]);
        let divisor = Number::new(vec![1, 0, 0x8000_0000]);
        let (quotient, rest) = high.divide(&divisor);
        assert_eq!(quotient.times(&divisor).plus(&rest), high);
        assert!(rest.minus_or_none(&divisor).is_none());
    }
}
