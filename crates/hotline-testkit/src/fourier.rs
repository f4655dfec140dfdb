//! A fast Fourier transform (Cooley and Tukey, radix 2), for correlation.

use std::f32::consts::TAU;

/// A complex number.
pub(crate) type Complex = (f32, f32);

/// Transforms in place; the length must be a power of two. With `inverse` the result is scaled, so
/// that forth and back is the identity.
pub(crate) fn transform(values: &mut [Complex], inverse: bool) {
    debug_assert!(values.len().is_power_of_two(), "radix 2");
    shuffle(values);
    let turn = if inverse { 1.0 } else { -1.0 };
    let mut half = 1;
    while half < values.len() {
        let twiddles: Vec<Complex> = (0..half)
            .map(|at| {
                let (sin, cos) = (turn * TAU * fraction(at, 2 * half)).sin_cos();
                (cos, sin)
            })
            .collect();
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for ((low, high), twiddle) in low.iter_mut().zip(high).zip(&twiddles) {
                let turned = multiply(*high, *twiddle);
                *high = (low.0 - turned.0, low.1 - turned.1);
                *low = (low.0 + turned.0, low.1 + turned.1);
            }
        }
        half *= 2;
    }
    if inverse {
        let scale = fraction(1, values.len());
        for it in values {
            *it = (it.0 * scale, it.1 * scale);
        }
    }
}

pub(crate) fn multiply(a: Complex, b: Complex) -> Complex {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

/// Puts every value at the place of its reversed index.
fn shuffle(values: &mut [Complex]) {
    let bits = values.len().trailing_zeros();
    if bits == 0 {
        return;
    }
    for at in 0..values.len() {
        let to = at.reverse_bits() >> (usize::BITS - bits);
        if at < to {
            values.swap(at, to);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^24")]
fn fraction(part: usize, whole: usize) -> f32 {
    part as f32 / whole as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forth_and_back_is_the_identity() {
        let original: Vec<Complex> = (0_u8..64).map(|it| (f32::from(it % 7), 0.0)).collect();
        let mut values = original.clone();
        transform(&mut values, false);
        transform(&mut values, true);
        for (a, b) in values.iter().zip(&original) {
            assert!((a.0 - b.0).abs() < 1e-4 && a.1.abs() < 1e-4, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_wave_is_one_line() {
        let mut values: Vec<Complex> =
            (0_u8..64).map(|it| ((TAU * f32::from(it) * 5.0 / 64.0).cos(), 0.0)).collect();
        transform(&mut values, false);
        let power = |it: &Complex| it.0.hypot(it.1);
        assert!((power(&values[5]) - 32.0).abs() < 1e-3);
        assert!(power(&values[6]) < 1e-3);
    }
}
