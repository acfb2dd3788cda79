#![doc = include_str!("../README.md")]

mod book;
pub mod borrowed;
mod cluster;
mod database;
pub mod judge;
mod proxy;

pub use book::Book;
pub use cluster::{Postgres, Setup};
pub use database::{Database, connect};
pub use proxy::{Fault, Proxy};
