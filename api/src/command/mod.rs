//! The subcommands of the binary: arguments, and the order in which the parts are started and stopped.

pub mod account;
pub mod audit;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod log;
pub mod media;
pub mod serve;
mod server;
pub mod tables;
