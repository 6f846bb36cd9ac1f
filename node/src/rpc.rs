//! HTTP: what wallets, miners and monitors ask of a node. Answers are JSON; [`answers`] says how.
//!
//! | call | answers |
//! |---|---|
//! | `GET /rpc/getHead` | [`answers::HeadAnswer`] |
//! | `GET /rpc/getBlock/{height or id}`, `?raw=true` | [`answers::BlockAnswer`] |
//! | `GET /rpc/getTx/{id}` | [`answers::TransactionAnswer`], in a block or in the pool |
//! | `POST /rpc/sendTx` `{"transaction": "hex"}` | [`answers::SentAnswer`] |
//! | `GET /rpc/getBalance/{address}`, `?proof=true` | [`answers::BalanceAnswer`] |
//! | `GET /rpc/history/{address}`, `?before=HEIGHT` | [`answers::HistoryAnswer`], of some blocks at a time |
//! | `GET /rpc/estimateFee?bytes=N` | [`answers::FeeAnswer`] |
//! | `GET /rpc/peers` | who is there |
//! | `GET /rpc/plot/{plot key}` | [`crate::miner::work::PlotState`] |
//! | `GET /rpc/farm` | what the miner in the node's own process does |
//! | `GET /rpc/work` | [`crate::miner::work::Work`] as server-sent events |
//! | `POST /rpc/submitProof` | takes a [`crate::miner::work::MinerProof`] |
//! | `POST /rpc/submitBlock` | takes a [`crate::miner::work::MinerSigned`] |
//! | `GET /metrics` | figures in the text format of Prometheus |
//! | `GET /health`, `GET /ready` | whether the node answers, and whether it is of use |
//! | `POST /rpc/admin/stop`, `ban`, `unban`, `connect` | needs `Authorization: Bearer TOKEN` |
//!
//! Errors are `{"error": {"code": "…", "message": "…"}}` ([`error`]). What guards the node: connections, calls of an
//! address, bodies, streams and scans are bounded, each step of a connection has its time, a page that a browser loaded
//! elsewhere gets no answer (`Host` must be an address, `localhost` or a name that was set, and no other origin is ever
//! allowed), and admin calls need the token.

mod accounts;
mod admin;
pub mod answers;
mod backend;
mod chain;
pub mod error;
mod extract;
mod guard;
mod health;
mod history;
mod metrics;
mod mining;
mod participant;
mod rate;
mod screen;
mod send;
mod server;
mod shared;

pub use backend::{Backend, Denied, Node};
pub use guard::Patience;
pub use server::{RpcServer, StartError};
pub use shared::{Hooks, RpcOptions};
