//! The error room.
