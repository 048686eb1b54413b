//! The sign room.
