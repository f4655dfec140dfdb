//! An endpoint and its peers for the length of a script: messages, timers, and what the engine
//! itself wants, in any order.
//!
//! A line of a script is a word and two numbers: what happens, which call it is about, and in which
//! way. See [`story`](super::story) for the words.

use hotline_base::Random;

use super::story::{Story, WORDS_OF_STORIES};

pub(super) const WORDS: &[&str] = &[
    "invite 0 0\n",
    "invite 1 7\n",
    "dial 0 0\n",
    "ask 0 1\n",
    "ask 0 0\n",
    "ask 0 2\n",
    "ask 0 3\n",
    "say 0 3\n",
    "say 0 1\n",
    "wait 0 0\n",
    "sleep 0 3\n",
    "we 0 2\n",
    "we 0 3\n",
    "we 0 4\n",
    "we 0 10\n",
    "we 0 11\n",
    "we 0 12\n",
    "ask 0 8\n",
    "ask 0 768\n",
    "gone 0 0\n",
    "register 0 0\n",
    "again 0 0\n",
    "garble 30 200\n",
    "restart 0 0\n",
];

/// More lines than this say nothing new, and would only make every input slow.
const LINES_MAX: usize = 32;

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut story = Story::new(1);
    for line in String::from_utf8_lossy(bytes).lines().take(LINES_MAX) {
        let mut words = line.split_ascii_whitespace();
        let word = words.next().unwrap_or_default();
        let mut number = || words.next().and_then(|it| it.parse::<u16>().ok()).unwrap_or(0);
        let (a, b) = (number(), number());
        story.turn(word, a, b);
    }
    story.close().end()
}

/// How calls come to the places where things cross.
const BEGINNINGS: [&str; 8] = [
    "",
    "invite 0 0\nwe 0 0\n",
    "invite 0 18\nwe 0 8\n",
    "invite 0 8\nwe 0 2\nask 0 0\n",
    "invite 1 8\nwe 0 2\nask 0 0\n",
    "invite 0 8\nwe 0 2\nask 0 0\nwe 0 4\n",
    "dial 0 1\nsay 0 34\n",
    "dial 1 1\nsay 0 1\nsay 0 3\n",
];

/// A script made by chance: a call that got so far, and `n` lines of anything.
pub fn script(n: usize, random: &mut Random) -> String {
    let mut below = |n: usize| usize::try_from(random.below(n as u64)).unwrap_or(0);
    let beginning = BEGINNINGS[below(BEGINNINGS.len())];
    let lines = (0..n).map(|_| {
        let word = WORDS_OF_STORIES[below(WORDS_OF_STORIES.len())];
        // Now and then the peer says something that nobody in his senses does.
        let odd = if below(4) == 0 { below(32) << 8 } else { 0 };
        format!("{word} {} {}\n", below(4), odd + below(16))
    });
    beginning.to_owned() + &lines.collect::<String>()
}
