//! User.
#![allow(dead_code)]
mod bucket;
mod events;
mod packet;
mod relay;
