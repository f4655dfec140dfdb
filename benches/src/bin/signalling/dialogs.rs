//! What calls that live cost in memory, and that many of them can.

use std::time::Duration;

use anyhow::{Result, ensure};
use hotline_base::Machine as _;
use hotline_benches::{
    cpu_time, flow,
    shift::{self, Point},
};
use hotline_switchboard::Switchboard;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls of two dialogs each, all at the same time.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 50_000])]
    calls: Vec<usize>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    println!("  calls  dialogs  bytes a call  with ladders  board ms");
    for n_calls in &args.calls {
        let bare = held(*n_calls, 0, 0)?.0;
        let (kept, board) = held(*n_calls, *n_calls, 0)?;
        let (with_ladders, _) = held(*n_calls, *n_calls, 32 << 20)?;
        let of = |it: i64| (it - bare) as f64 / *n_calls as f64;
        println!(
            "{n_calls:>7} {:>8} {:>13.0} {:>13.0} {:>9.2}",
            n_calls * 2,
            of(kept),
            of(with_ladders),
            board.as_secs_f64() * 1e3
        );
    }
    Ok(())
}

/// Bytes that a switchboard with so many agents and calls gives back when it goes, and what a look
/// at all of it takes.
fn held(n_agents: usize, n_calls: usize, ladders: usize) -> Result<(i64, Duration)> {
    let folder = tempfile::tempdir()?;
    flow::write_short(folder.path())?;
    let talk = Duration::from_hours(1);
    let point = Point { agents: n_agents, waiting: 0, callers: n_calls, talk };
    let mut config = shift::config(point, Some(folder.path()))?;
    config.ladder.bytes_max = ladders;
    let switchboard = shift::settled(&config, point)?;
    drop(config);
    let begin = cpu_time();
    let board = switchboard.board(shift::settled_at());
    let took = cpu_time().saturating_sub(begin);
    ensure!(board.n_calls == n_calls, "only {} calls live", board.n_calls);
    drop(board);
    ensure!(switchboard.poll_timeout().is_some(), "nobody watches over them");
    Ok((given_back(switchboard), took))
}

fn given_back(it: Switchboard) -> i64 {
    -allocation_counter::measure(|| drop(it)).bytes_current
}
