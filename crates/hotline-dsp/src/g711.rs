//! A-law and µ-law (ITU-T G.711) by table, and from one to the other without leaving bytes.

#[cfg(test)]
mod tests;

/// A-law byte of silence.
pub const ALAW_SILENCE: u8 = 0xD5;

/// µ-law byte of silence.
pub const ULAW_SILENCE: u8 = 0xFF;

/// A table over all byte values, computed by the compiler.
macro_rules! table {
    ($byte:ident => $value:expr) => {{
        let mut table = [0; 256];
        let mut $byte = 0_u8;
        loop {
            #[expect(clippy::indexing_slicing, reason = "a byte is always below 256")]
            {
                table[$byte as usize] = $value;
            }
            if $byte == u8::MAX {
                break table;
            }
            $byte += 1;
        }
    }};
}

static ALAW_LINEAR: [i16; 256] = table!(byte => alaw_expand(byte));
static ULAW_LINEAR: [i16; 256] = table!(byte => ulaw_expand(byte));

/// The A-law byte of each linear sample by its upper twelve bits: the finest step of A-law is 16.
static LINEAR_ALAW: [u8; 4_096] = {
    let mut table = [0; 4_096];
    let mut upper = 0_u16;
    while upper < 4_096 {
        #[expect(clippy::indexing_slicing, reason = "below 4,096")]
        {
            table[upper as usize] = alaw_compress((upper << 4).cast_signed());
        }
        upper += 1;
    }
    table
};

/// The A-law byte nearest to each µ-law byte.
pub static ULAW_TO_ALAW: [u8; 256] = table!(byte => alaw_compress(ulaw_expand(byte)));

/// The µ-law byte nearest to each A-law byte.
pub static ALAW_TO_ULAW: [u8; 256] = table!(byte => ulaw_compress(alaw_expand(byte)));

/// One A-law byte as a linear sample.
#[inline]
pub fn alaw_to_linear(byte: u8) -> i16 {
    at(&ALAW_LINEAR, byte)
}

/// One linear sample as an A-law byte.
#[inline]
#[expect(clippy::indexing_slicing, reason = "twelve bits are always below 4,096")]
pub fn linear_to_alaw(sample: i16) -> u8 {
    LINEAR_ALAW[(sample.cast_unsigned() >> 4) as usize]
}

/// One µ-law byte as a linear sample.
#[inline]
pub fn ulaw_to_linear(byte: u8) -> i16 {
    at(&ULAW_LINEAR, byte)
}

/// One linear sample as a µ-law byte.
pub const fn linear_to_ulaw(sample: i16) -> u8 {
    ulaw_compress(sample)
}

/// A-law as linear samples, as far as both reach.
pub fn alaw_to_linear_into(audio: &[u8], to: &mut [i16]) {
    for (to, byte) in to.iter_mut().zip(audio) {
        *to = alaw_to_linear(*byte);
    }
}

/// µ-law as linear samples, as far as both reach.
pub fn ulaw_to_linear_into(audio: &[u8], to: &mut [i16]) {
    for (to, byte) in to.iter_mut().zip(audio) {
        *to = ulaw_to_linear(*byte);
    }
}

/// One byte through a transcoding table ([`ULAW_TO_ALAW`] or [`ALAW_TO_ULAW`]).
pub fn through(table: &[u8; 256], byte: u8) -> u8 {
    at(table, byte)
}

/// Every byte through a transcoding table, in place.
pub fn transcode(table: &[u8; 256], audio: &mut [u8]) {
    for it in audio {
        *it = at(table, *it);
    }
}

/// Copies `from` to `to` through a transcoding table, as far as both reach.
pub fn transcode_into(table: &[u8; 256], from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = at(table, *from);
    }
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte is always below 256")]
fn at<T: Copy>(table: &[T; 256], byte: u8) -> T {
    table[usize::from(byte)]
}

/// G.711 table 1a: sign, three bits of segment, four bits of step; even bits inverted.
const fn alaw_expand(byte: u8) -> i16 {
    let it = byte ^ 0x55;
    let segment = (it & 0x70) >> 4;
    let step = ((it & 0x0F) as i16) << 4;
    let magnitude = match segment {
        0 => step + 0x008,
        _ => (step + 0x108) << (segment - 1),
    };
    if it & 0x80 != 0 { magnitude } else { -magnitude }
}

const fn alaw_compress(sample: i16) -> u8 {
    let (mask, magnitude) =
        if sample >= 0 { (0xD5, sample >> 3) } else { (0x55, -(sample >> 3) - 1) };
    let segment = if magnitude < 0x20 { 0 } else { 11 - magnitude.leading_zeros() };
    let shift = if segment < 2 { 1 } else { segment };
    byte_of(segment, magnitude >> shift) ^ mask
}

/// G.711 table 2a: like A-law with a bias of 33 (of 8,159) and all bits inverted.
const fn ulaw_expand(byte: u8) -> i16 {
    let it = !byte;
    let magnitude = ((((it & 0x0F) as i16) << 3) + 0x84) << ((it & 0x70) >> 4);
    if it & 0x80 != 0 { 0x84 - magnitude } else { magnitude - 0x84 }
}

const fn ulaw_compress(sample: i16) -> u8 {
    let (mask, magnitude) = if sample >= 0 { (0xFF, sample >> 2) } else { (0x7F, -(sample >> 2)) };
    let biased = if magnitude > 8_158 { 8_191 } else { magnitude + 33 };
    let segment = 10 - biased.leading_zeros();
    byte_of(segment, biased >> (segment + 1)) ^ mask
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "three bits of segment and four bits of step"
)]
const fn byte_of(segment: u32, step: i16) -> u8 {
    ((segment as u8) << 4) | (step as u8 & 0x0F)
}
