//! The quota ledger's own sense: what stands on an account's page, and how those who send agree on it. Keeping the page
//! is the store's business ([`flow::QuotaStore`]).
//!
//! A limit of `n` requests in a window is `n` *slots*. Whoever holds a slot may use it once per window: it is taken when a
//! request is sent, and free again one window after its answer. Slots change hands with the moment from which they are
//! free, so that the sum over all who send never exceeds the limit in any window, at its border neither. Nobody asks the
//! ledger before a call: a process asks for the slots it needs, keeps them as long as it uses them, and speaks with the
//! ledger a few times a second.

mod alone;
mod book;
mod fair;
mod pool;

pub(crate) use alone::Alone;
pub(crate) use book::{
    Answer, Book, Cap, DayReport, LEASE, Seen, Statement, WindowAnswer, WindowStatement,
};
