//! `warren limits`.

pub mod words;
