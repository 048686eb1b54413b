//! The text of an answer, kept small in case that its provider never says what it used.

use std::sync::Arc;

use parking_lot::Mutex;

use super::count::{Counter, PIECE_BYTES_MAX, Tally, cut};

/// The text that stands uncompressed, in bytes. Below it nothing is compressed at all.
const TAIL_BYTES_MAX: usize = PIECE_BYTES_MAX + PART_BYTES_MAX;
/// How much of the text is taken at once, so that the tail stays within its bound.
const PART_BYTES_MAX: usize = PIECE_BYTES_MAX / 2;
/// What is kept compressed before the oldest of it is handed out to be counted, in bytes.
const BLOCKS_BYTES_MAX: usize = 32 << 10;
/// The same before it was compressed, since what repeats itself takes no room, and time to count.
const BLOCKS_TEXT_BYTES_MAX: usize = 128 << 10;
/// What costs little and finds most of what there is in so short a text.
const LEVEL: i32 = 1;
/// Pieces of one block: 32 KiB of text.
const PIECES_MAX: usize = 16;

/// The text of one answer as it comes in.
///
/// Keeps at most `TAIL_BYTES_MAX` as they are and what came before compressed: some 9 KiB for 4 000 tokens of prose.
/// Blocks grow by being joined two and two, since what is compressed together takes less. Of a longer answer the oldest
/// text is counted meanwhile and forgotten. Counts exactly what [`Counter::count`] counts of the whole text, because it
/// cuts where that cuts.
#[derive(Debug, Default)]
pub struct AnswerText {
    tail: String,
    blocks: Vec<Block>,
    blocks_bytes: usize,
    /// The text in them.
    blocks_text_bytes: usize,
    bytes: u64,
    /// Present once something was handed out.
    oldest: Option<UncountedText>,
}

/// Text that was handed out to be counted, on another thread.
#[derive(Debug, Clone, Default)]
pub struct UncountedText(Arc<Mutex<Counting>>);

#[derive(Debug, Default)]
struct Counting {
    blocks: Vec<Block>,
    tally: Tally,
}

/// Some pieces of text, compressed.
#[derive(Debug)]
struct Block {
    packed: Box<[u8]>,
    /// The length of each piece.
    pieces: Box<[u16]>,
}

impl AnswerText {
    /// Takes the next piece of the answer.
    pub fn push(&mut self, text: &str) {
        self.bytes += text.len() as u64;
        let mut rest = text;
        while !rest.is_empty() {
            let (part, later) = rest.split_at(rest.floor_char_boundary(PART_BYTES_MAX));
            let len = self.tail.len() + part.len();
            if len > TAIL_BYTES_MAX {
                self.pack();
            } else if len > TAIL_BYTES_MAX / 2 {
                self.tail.reserve_exact(TAIL_BYTES_MAX - self.tail.len());
            }
            self.tail.push_str(part);
            rest = later;
        }
    }

    /// How much has come in, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest text, where more is kept than should be: to be counted by [`UncountedText::count`] on a thread where nobody
    /// waits. What is not counted by then is counted at the end.
    pub fn overflow(&mut self) -> Option<UncountedText> {
        if self.blocks_bytes <= BLOCKS_BYTES_MAX && self.blocks_text_bytes <= BLOCKS_TEXT_BYTES_MAX {
            return None;
        }
        let oldest = self.oldest.get_or_insert_default();
        // Locked while it is counted: then the next piece of the answer tries again.
        let mut counting = oldest.0.try_lock()?;
        counting.blocks.extend(std::mem::take(&mut self.blocks));
        drop(counting);
        (self.blocks_bytes, self.blocks_text_bytes) = (0, 0);
        Some(oldest.clone())
    }

    /// Tokens of all that came in, as [`Counter::count`] counts them; on a thread where nobody waits.
    pub fn count(&self, counter: &Counter, model: &str) -> u64 {
        if self.bytes == 0 {
            return 0;
        }
        let mut tally = match &self.oldest {
            Some(oldest) => oldest.count(counter, model),
            None => Tally::default(),
        };
        self.blocks.iter().for_each(|block| block.count(counter, model, &mut tally));
        counter.add(model, &self.tail, &mut tally);
        tally.tokens(model)
    }

    /// What this occupies beside itself, in bytes.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let unused = self.blocks.capacity() - self.blocks.len();
        self.tail.capacity() + self.blocks_bytes + unused * size_of::<Block>()
    }

    /// Moves the first pieces of the tail, which is longer than one, into a block.
    fn pack(&mut self) {
        let (mut pieces, mut end) = (Vec::with_capacity(PIECES_MAX), 0);
        // Where more follows, a piece ends where it would in the whole text.
        while self.tail.len() - end > PIECE_BYTES_MAX {
            let len = cut(&self.tail[end..]);
            pieces.push(len as u16);
            end += len;
        }
        let mut text = self.tail.as_bytes()[..end].to_vec();
        self.tail.drain(..end);
        self.blocks_text_bytes += end;
        let joins = |last: &mut Block, pieces: &[u16]| {
            let count = last.pieces.len();
            count <= pieces.len() && count + pieces.len() <= PIECES_MAX
        };
        while let Some(last) = self.blocks.pop_if(|last| joins(last, &pieces)) {
            self.blocks_bytes -= last.bytes();
            text.splice(..0, last.text());
            pieces.splice(..0, last.pieces);
        }
        let block = Block::new(&text, &pieces);
        self.blocks_bytes += block.bytes();
        self.blocks.push(block);
    }
}

impl UncountedText {
    /// Counts what was handed out, and forgets it.
    pub fn count(&self, counter: &Counter, model: &str) -> Tally {
        let mut counting = self.0.lock();
        let Counting { blocks, tally } = &mut *counting;
        blocks.drain(..).for_each(|block| block.count(counter, model, tally));
        *tally
    }
}

impl Block {
    fn new(text: &[u8], pieces: &[u16]) -> Block {
        let packed = zstd::bulk::compress(text, LEVEL).expect("memory takes all that is written to it");
        // Copied: an allocator shrinks nothing in place that still fills half of its room.
        Block { packed: Box::from(&*packed), pieces: Box::from(pieces) }
    }

    /// What this occupies.
    fn bytes(&self) -> usize {
        self.packed.len() + size_of_val(&*self.pieces) + size_of::<Block>()
    }

    fn text(&self) -> Vec<u8> {
        let bytes = self.pieces.iter().map(|&len| usize::from(len)).sum();
        zstd::bulk::decompress(&self.packed, bytes).expect("unpacks what was packed in this process")
    }

    fn count(&self, counter: &Counter, model: &str, tally: &mut Tally) {
        let text = self.text();
        let mut text = std::str::from_utf8(&text).expect("text was packed");
        for &len in &*self.pieces {
            let (piece, rest) = text.split_at(len.into());
            counter.add(model, piece, tally);
            text = rest;
        }
    }
}
