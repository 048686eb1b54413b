//! The framing room.
