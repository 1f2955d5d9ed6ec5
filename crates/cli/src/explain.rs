//! `warren explain`: what a kind of namespace isolates, with this machine's own facts.
