//! Frame rates as exact fractions.

/// Frames in a second, as a fraction in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

/// The rates that pictures are really made at. Container clocks round (90 kHz has no whole number of
/// ticks for 24000/1001), so a measured rate is taken to be the one of these whose grid it lies on.
const STANDARD: [FrameRate; 17] = [
    rate(24_000, 1001),
    rate(24, 1),
    rate(25, 1),
    rate(30_000, 1001),
    rate(30, 1),
    rate(48_000, 1001),
    rate(48, 1),
    rate(50, 1),
    rate(60_000, 1001),
    rate(60, 1),
    rate(100, 1),
    rate(120_000, 1001),
    rate(120, 1),
    rate(25, 2),
    rate(15_000, 1001),
    rate(15, 1),
    rate(10, 1),
];

const fn rate(numerator: u32, denominator: u32) -> FrameRate {
    FrameRate { numerator, denominator }
}

impl FrameRate {
    /// `numerator / denominator` frames in a second; `None` unless both are above zero.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        let divisor = greatest_common_divisor(numerator, denominator);
        (numerator > 0 && denominator > 0).then(|| rate(numerator / divisor, denominator / divisor))
    }

    /// Frames in [`denominator`](Self::denominator) seconds.
    pub fn numerator(self) -> u32 {
        self.numerator
    }

    /// Seconds.
    pub fn denominator(self) -> u32 {
        self.denominator
    }

    /// How long a frame lasts, in nanoseconds, rounded to the nearest.
    pub fn period(self) -> i128 {
        let numerator = i128::from(self.numerator);
        (i128::from(self.denominator) * 2_000_000_000 + numerator) / (2 * numerator)
    }

    /// How long `frames` frames last, in seconds, as a fraction in lowest terms. `None` when there
    /// are none or too many to say so.
    pub fn duration(self, frames: u32) -> Option<(u32, u32)> {
        let seconds = frames.checked_mul(self.denominator)?;
        let divisor = greatest_common_divisor(seconds, self.numerator);
        (seconds > 0).then(|| (seconds / divisor, self.numerator / divisor))
    }

    /// The rate whose grid the presentation times (ascending, in ticks) lie on to within one tick.
    /// What the stream declares is tried first, since streams also declare field rates and nonsense;
    /// then the standard rates; then the plain distance if it never changes. `None`: not constant.
    pub fn derive(times: &[i64], timescale: u32, declared: Option<Self>) -> Option<Self> {
        let fits = |rate: &Self| rate.misfit(times, timescale).is_some_and(|misfit| misfit <= 1.0);
        if let Some(declared) = declared.filter(|rate| times.len() < 2 || fits(rate)) {
            return Some(declared);
        }
        STANDARD
            .into_iter()
            .filter(fits)
            .min_by(|a, b| {
                let (a, b) = (a.misfit(times, timescale), b.misfit(times, timescale));
                a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal)
            })
            .or_else(|| {
                let step = times.get(1)? - times.first()?;
                let constant = times.windows(2).all(|pair| pair[1] - pair[0] == step);
                Self::new(timescale, u32::try_from(step).ok()?).filter(|_| constant)
            })
    }

    /// How far, in ticks, the worst of the times lies from this rate's grid. `None` when most steps
    /// are not one frame, as for a grid that is merely finer than the true one.
    fn misfit(self, times: &[i64], timescale: u32) -> Option<f64> {
        let first = *times.first()?;
        let ticks = f64::from(timescale) * f64::from(self.denominator) / f64::from(self.numerator);
        let mut worst = 0.0_f64;
        let mut single_steps = 0_usize;
        let mut previous = 0.0;
        for time in &times[1..] {
            // Times are kept relative, so that the difference is small enough for a float to be exact.
            let elapsed = (time - first) as f64;
            let frame = (elapsed / ticks).round();
            worst = worst.max((elapsed - frame * ticks).abs());
            single_steps += usize::from(frame - previous == 1.0);
            previous = frame;
        }
        (single_steps > 0 && single_steps * 2 >= times.len() - 1).then_some(worst)
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(numerator: u32, denominator: u32, timescale: u32) -> Vec<i64> {
        (0..60_i64)
            .map(|frame| {
                (frame * i64::from(timescale) * i64::from(denominator) * 2 + i64::from(numerator))
                    .div_euclid(2 * i64::from(numerator))
            })
            .collect()
    }

    #[test]
    fn every_standard_rate_is_recognized_from_rounded_ticks() {
        for rate in STANDARD {
            let times = rounded(rate.numerator, rate.denominator, 90_000);
            assert_eq!(FrameRate::derive(&times, 90_000, None), Some(rate));
        }
        let milliseconds = rounded(30_000, 1001, 1000);
        assert_eq!(FrameRate::derive(&milliseconds, 1000, None), Some(rate(30_000, 1001)));
    }

    #[test]
    fn a_dropped_frame_leaves_the_rate_constant_and_uneven_frames_do_not() {
        let mut times = rounded(25, 1, 90_000);
        times.remove(20);
        assert_eq!(FrameRate::derive(&times, 90_000, None), Some(rate(25, 1)));
        assert_eq!(FrameRate::derive(&[0, 1000, 5000, 5100, 9000], 90_000, None), None);
    }

    #[test]
    fn a_declared_rate_is_believed_only_if_the_times_agree() {
        let times = rounded(25, 1, 90_000);
        assert_eq!(FrameRate::derive(&times, 90_000, FrameRate::new(50, 1)), Some(rate(25, 1)));
        let odd = rounded(17, 3, 90_000);
        assert_eq!(FrameRate::derive(&odd, 90_000, FrameRate::new(34, 6)), Some(rate(17, 3)));
    }

    #[test]
    fn durations_are_lowest_terms() {
        assert_eq!(rate(30_000, 1001).duration(60), Some((1001, 500)));
        assert_eq!(FrameRate::new(50, 2).unwrap().duration(50), Some((2, 1)));
    }
}
