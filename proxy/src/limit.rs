//! The limit room.
