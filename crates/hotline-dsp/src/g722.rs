//! G.722 at 64 kbit/s for an engine that hears 8,000 samples a second.
//!
//! A G.722 byte holds six bits of the band up to 4 kHz and two of the band above, each coded by
//! itself. The lower band *is* telephone sound at 8,000 Hz, so neither filter bank nor upper band
//! is needed: what comes is cut at 4 kHz, which the trunks do anyway, and what goes out says that
//! the upper band is silent. Names and numbers of steps are those of ITU-T G.722 §6.2.

#[cfg(test)]
mod tests;

/// Upper bits of every byte sent: the smallest positive step, which lets the far end's upper band
/// die away.
const UPPER_SILENT: u8 = 0xC0;

/// Table 14: decision levels of the 60-level quantizer.
const Q6: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023,
    1_121, 1_219, 1_339, 1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];

/// Table 17, left: what each of the 16 coarse codes stands for, in 1/32,768 of the scale.
const QM4: [i32; 16] = [
    0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288,
    4_240, 2_584, 1_200, 0,
];

/// Table 17, right: what each of the 64 codes stands for.
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192,
    -10_232, -9_360, -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008,
    -3_576, -3_168, -2_776, -2_400, -2_032, -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008,
    16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576, 6_000,
    5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728, 432,
    136, -432, -136,
];

/// Tables 15 and 16: how each coarse code changes the logarithm of the scale.
const SCALE_STEPS: [i32; 16] =
    [-60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60];

/// Table 18: 2^(n/32), times 2,048.
const POWERS: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656,
    2_714, 2_774, 2_834, 2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520,
    3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];

/// The lower band's adaptive predictor and scale, the same at both ends.
#[derive(Clone, Debug)]
struct Band {
    /// Predicted sample, and the part of it that comes from the zeros.
    predicted: i32,
    from_zeros: i32,
    /// Scale and its logarithm.
    scale: i32,
    log_scale: i32,
    poles: [i32; 2],
    zeros: [i32; 6],
    /// The last differences, reconstructed samples and partial ones, newest first.
    differences: [i32; 6],
    reconstructed: [i32; 2],
    partial: [i32; 2],
}

impl Band {
    const fn new() -> Self {
        Self {
            predicted: 0,
            from_zeros: 0,
            scale: 32,
            log_scale: 0,
            poles: [0; 2],
            zeros: [0; 6],
            differences: [0; 6],
            reconstructed: [0; 2],
            partial: [0; 2],
        }
    }

    /// Blocks 2L to 4L: follows one code.
    fn follow(&mut self, code: u8) {
        let coarse = usize::from(code >> 2 & 15);
        let difference = (self.scale * at(&QM4, coarse)) >> 15;
        // LOGSCL, SCALEL.
        let log = ((self.log_scale * 127) >> 7) + at(&SCALE_STEPS, coarse);
        self.log_scale = log.clamp(0, 18_432);
        let power = at(&POWERS, usize::try_from((self.log_scale >> 6) & 31).unwrap_or(0));
        let shift = 8 - (self.log_scale >> 11);
        self.scale = if shift < 0 { power << -shift } else { power >> shift } << 2;
        self.adapt(difference);
        self.predict();
    }

    /// RECONS, PARREC, UPPOL2, UPPOL1, UPZERO, DELAYA.
    fn adapt(&mut self, difference: i32) {
        let partial = saturate(self.from_zeros + difference);
        let [a1, a2] = self.poles;
        let same = |it: i32| (it < 0) == (partial < 0);
        let [before, earlier] = self.partial;

        let turn = saturate(a1 << 2);
        let turn = if same(before) { -turn } else { turn }.min(32_767);
        let push = if same(earlier) { 128 } else { -128 };
        let second = (push + (turn >> 7) + ((a2 * 32_512) >> 15)).clamp(-12_288, 12_288);

        let push = if same(before) { 192 } else { -192 };
        let limit = saturate(15_360 - second);
        let first = saturate(push + ((a1 * 32_640) >> 15)).clamp(-limit, limit);
        self.poles = [first, second];

        let push = if difference == 0 { 0 } else { 128 };
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let push = if (past < 0) == (difference < 0) { push } else { -push };
            *zero = saturate(push + ((*zero * 32_640) >> 15));
        }
        self.differences.rotate_right(1);
        self.differences[0] = difference;
        self.reconstructed = [saturate(self.predicted + difference), self.reconstructed[0]];
        self.partial = [partial, before];
    }

    /// FILTEP, FILTEZ, PREDIC.
    fn predict(&mut self) {
        let sum = |coefficients: &[i32], values: &[i32]| {
            let products = coefficients.iter().zip(values);
            products.map(|(c, v)| (c * saturate(v + v)) >> 15).sum::<i32>()
        };
        self.from_zeros = saturate(sum(&self.zeros, &self.differences));
        let from_poles = saturate(sum(&self.poles, &self.reconstructed));
        self.predicted = saturate(from_poles + self.from_zeros);
    }
}

/// Makes G.722 of telephone sound.
#[derive(Clone, Debug)]
pub struct G722Encoder(Band);

impl Default for G722Encoder {
    fn default() -> Self {
        Self(Band::new())
    }
}

impl G722Encoder {
    /// One byte a sample (at 8,000 Hz), as far as both reach.
    pub fn encode(&mut self, samples: &[i16], to: &mut [u8]) {
        for (to, sample) in to.iter_mut().zip(samples) {
            // SUBTRA, QUANTL: the lower band of a filter bank has 15 bits.
            let error = saturate((i32::from(*sample) >> 1) - self.0.predicted);
            let size = if error >= 0 { error } else { -(error + 1) };
            let levels = Q6.iter().take_while(|it| size >= (**it * self.0.scale) >> 12).count();
            let level = u8::try_from(levels).unwrap_or(29);
            let code = match (error < 0, level) {
                (true, 0..=1) => 63 - level,
                (true, _) => 33 - level,
                (false, _) => 61 - level,
            };
            self.0.follow(code);
            *to = UPPER_SILENT | code;
        }
    }
}

/// Makes telephone sound of G.722.
#[derive(Clone, Debug)]
pub struct G722Decoder(Band);

impl Default for G722Decoder {
    fn default() -> Self {
        Self(Band::new())
    }
}

impl G722Decoder {
    /// One sample (at 8,000 Hz) a byte, as far as both reach.
    pub fn decode(&mut self, bytes: &[u8], to: &mut [i16]) {
        for (to, byte) in to.iter_mut().zip(bytes) {
            let code = byte & 63;
            // INVQBL, RECONS, LIMIT.
            let difference = (self.0.scale * at(&QM6, usize::from(code))) >> 15;
            let low = (self.0.predicted + difference).clamp(-16_384, 16_383);
            self.0.follow(code);
            *to = i16::try_from(low << 1).unwrap_or(0);
        }
    }
}

fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

#[expect(clippy::indexing_slicing, reason = "codes and exponents have as many bits as tables rows")]
const fn at<const N: usize>(table: &[i32; N], n: usize) -> i32 {
    table[n]
}
