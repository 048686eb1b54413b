//! The dialect room.
