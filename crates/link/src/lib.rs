#![doc = include_str!("../README.md")]

mod address;
mod server;
mod tls;

pub use address::{At, Tls};
pub use server::{Driving, Server};
