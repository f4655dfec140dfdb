//! What signalling costs: a message that is read, a whole call, a dialog that lives.
//!
//! Pure: the sockets, the disk, media and other threads are not here. See `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::cast_precision_loss, reason = "figures of three digits")]

mod call;
mod dialogs;
mod parse;
mod refusal;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Cost of messages, calls and dialogs in signalling, without anything around it")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A carrier's INVITE of 836 bytes: time and allocations
    Parse(parse::Args),
    /// A call of two legs, from the bytes of its messages to its record
    Call(call::Args),
    /// A call that is refused for overload: time and allocations
    Refusal(refusal::Args),
    /// Memory of calls that live
    Dialogs(dialogs::Args),
}

fn main() -> Result<()> {
    let args = Args::parse();
    println!("{}\n", hotline_benches::machine());
    match args.what {
        What::Parse(it) => parse::run(&it),
        What::Call(it) => call::run(&it),
        What::Refusal(it) => refusal::run(&it),
        What::Dialogs(it) => dialogs::run(&it),
    }
}
