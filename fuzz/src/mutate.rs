//! Spoils bytes as attackers and broken devices do: single bytes, numbers at their edges, lines
//! doubled a hundred times, pieces of other messages.

use hotline_base::Random;

/// Numbers at which somebody's arithmetic turned over.
pub const EDGES: &[&str] = &[
    "0",
    "-1",
    "1",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "2147483649",
    "4294967295",
    "4294967296",
    "4294967297",
    "9223372036854775808",
    "18446744073709551616",
    "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
];

const ODD: &[u8] = b"\0\r\n\t \"\\<>;,:=@/?&%[]()-+.0914aAzZ*#\x7F\x80\xBF\xD5\x5C\xFE\xFF";

/// Between one and eight changes, at most `longest` bytes.
pub fn mutate(
    input: &[u8],
    other: &[u8],
    words: &[&str],
    longest: usize,
    random: &mut Random,
) -> Vec<u8> {
    let mut it = input.to_vec();
    for _ in 0..=random.below(8).min(random.below(8)) {
        change(&mut it, other, words, random);
        it.truncate(longest);
    }
    it
}

fn change(it: &mut Vec<u8>, other: &[u8], words: &[&str], random: &mut Random) {
    let at = below(it.len() + 1, random);
    match random.below(14) {
        0 if at < it.len() => it[at] = byte(random),
        1 => it.insert(at, byte(random)),
        2 => drop(it.drain(at..end(at, it.len(), random))),
        3 => {
            let piece = it[at..end(at, it.len(), random)].to_vec();
            let to = below(it.len() + 1, random);
            it.splice(to..to, piece);
        }
        4 => {
            let from = below(other.len() + 1, random);
            let piece = other[from..end(from, other.len(), random)].to_vec();
            it.splice(at..at, piece);
        }
        5 | 6 => replace_number(it, at, random),
        7 | 8 if !words.is_empty() => {
            it.splice(at..at, words[below(words.len(), random)].bytes());
        }
        9 => {
            let (from, to) = line(it, at);
            let copies = it[from..to].repeat(1 << random.below(8));
            it.splice(to..to, copies);
        }
        10 => {
            let (from, to) = line(it, at);
            let line: Vec<u8> = it.drain(from..to).collect();
            let (to, _) = line_of(it, random);
            it.splice(to..to, line);
        }
        11 => {
            let (from, to) = line_of(other, random);
            let piece = other[from..to].to_vec();
            let (to, _) = line(it, at);
            it.splice(to..to, piece);
        }
        12 => {
            let (from, to) = line(it, at);
            drop(it.drain(from..to));
        }
        13 if random.chance(20) => it.truncate(at),
        _ if at < it.len() => it[at] ^= 1 << random.below(8),
        _ => (),
    }
}

fn below(n: usize, random: &mut Random) -> usize {
    usize::try_from(random.below(n as u64)).unwrap_or(0)
}

fn byte(random: &mut Random) -> u8 {
    if random.chance(70) {
        ODD[below(ODD.len(), random)]
    } else {
        random.next_u64().to_le_bytes()[0]
    }
}

/// Where a piece that begins at `at` ends: short ones are frequent.
fn end(at: usize, len: usize, random: &mut Random) -> usize {
    let most = if random.chance(80) { 16 } else { 2_000 };
    (at + 1 + below(most, random)).min(len)
}

/// The line around `at`, with its break.
fn line(it: &[u8], at: usize) -> (usize, usize) {
    let from = it[..at].iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
    let to = it[at..].iter().position(|it| *it == b'\n').map_or(it.len(), |it| at + it + 1);
    (from, to)
}

fn line_of(it: &[u8], random: &mut Random) -> (usize, usize) {
    let at = below(it.len() + 1, random);
    line(it, at)
}

/// The first digits from `at` on become a number at an edge.
fn replace_number(it: &mut Vec<u8>, at: usize, random: &mut Random) {
    let Some(from) = it[at..].iter().position(u8::is_ascii_digit).map(|it| at + it) else {
        return;
    };
    let len = it[from..].iter().position(|it| !it.is_ascii_digit()).unwrap_or(it.len() - from);
    let edge = EDGES[below(EDGES.len(), random)];
    it.splice(from..from + len, edge.bytes());
}
