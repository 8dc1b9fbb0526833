//! The view that refreshes: tiers and size classes.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::client::Client;

/// Shows `count` views, or views without end.
pub fn run(client: &Client, interval: Duration, count: Option<u64>) -> Result<()> {
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        if shown > 0 {
            thread::sleep(interval);
        }
        let text = client.ask("top")?;
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            // Home, and clear what is below.
            out.write_all(b"\x1b[H\x1b[J")?;
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
        shown += 1;
    }
    Ok(())
}
