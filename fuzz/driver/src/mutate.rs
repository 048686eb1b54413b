//! Changing an input a little: at any byte, or between the marks that texts are built with.

use std::ops::Range;

use crate::random::Random;

/// Inputs grow no longer than this.
pub(crate) const INPUT_BYTES_MAX: usize = 16 << 10;
const CHANGES_MAX: usize = 6;
const REPEATS_MAX: usize = 300;
const NUMBERS: [&str; 10] =
    ["0", "-1", "1", "127", "128", "4294967296", "9223372036854775808", "18446744073709551615", "1e400", "0.5"];

/// A few changes of `input`. `other` is an input to take parts from, `words` what inputs are made of.
pub(crate) fn mutate(input: &[u8], other: &[u8], words: &[&str], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(CHANGES_MAX) {
        change(&mut bytes, other, words, random);
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], words: &[&str], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(10) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => insert(bytes, at, &random.next().to_le_bytes()[..1]),
        2 => {
            let place = range(bytes, random).start;
            insert(bytes, place, random.choose(words).as_bytes());
        }
        3 => {
            let place = range(bytes, random);
            bytes.splice(place, random.choose(words).bytes());
        }
        4 => drop(bytes.drain(range(bytes, random))),
        5 => {
            let copy = bytes[range(bytes, random)].to_vec();
            let place = range(bytes, random).start;
            insert(bytes, place, &copy);
        }
        6 => {
            let part = other[range(other, random)].to_vec();
            let place = range(bytes, random);
            bytes.splice(place, part);
        }
        7 => {
            let word = random.choose(words).repeat(1 + random.below(REPEATS_MAX));
            insert(bytes, at, &word.as_bytes()[..word.floor_char_boundary(INPUT_BYTES_MAX)]);
        }
        8 => {
            let digit = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|found| at + found);
            if let Some(start) = digit {
                let end =
                    bytes[start..].iter().position(|it| !it.is_ascii_digit()).map_or(bytes.len(), |it| start + it);
                bytes.splice(start..end, random.choose(&NUMBERS).bytes());
            }
        }
        _ => {
            bytes.truncate(at);
            let from = range(other, random).start;
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}

/// A part of `bytes`: as often as not one that begins and ends at marks.
fn range(bytes: &[u8], random: &mut Random) -> Range<usize> {
    let (one, other) = if random.below(2) == 0 {
        let start = random.below(bytes.len() + 1);
        (start, (start + random.below(16)).min(bytes.len()))
    } else {
        let start = mark(bytes, random.below(bytes.len() + 1));
        (start, (0..=random.below(6)).fold(start, |at, _| mark(bytes, (at + 1).min(bytes.len()))))
    };
    one.min(other)..one.max(other)
}

/// The first place from `at` on where a text may be cut so that its parts mean something.
fn mark(bytes: &[u8], at: usize) -> usize {
    let found = bytes[at..].iter().position(|byte| b"{}[],:\"\n".contains(byte));
    found.map_or(bytes.len(), |found| at + found)
}
