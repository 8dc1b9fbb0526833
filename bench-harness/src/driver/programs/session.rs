//! Asking the host for runs of real programs, and making their inputs.

use super::super::spawn::{self, SpawnError};
use super::{Asked, Column, HOST};
use crate::programs::Program;
use crate::programs::host::{Answer, Purpose, Request};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// What the host may take beyond the program's limit, to tell that it was exceeded.
const GRACE: Duration = Duration::from_secs(10);

/// What all runs have in common.
pub(super) struct Session<'a> {
    pub asked: &'a Asked,
    /// The allocator whose threads and processes are the program's: glibc's, or the first.
    pub reference: &'a str,
    pub seed: u64,
    /// Factor on the amount of input of the measured runs.
    pub scale: f64,
}

impl Session<'_> {
    /// Makes the inputs of this amount.
    pub fn prepare(&self, chosen: &[&'static Program], scale: f64) -> io::Result<()> {
        let folder = self.inputs(scale);
        chosen.iter().try_for_each(|program| program.prepare(&folder, scale, self.seed))
    }

    fn inputs(&self, scale: f64) -> PathBuf {
        self.asked.folder.join(format!("inputs-{scale}"))
    }

    /// Asks the host for one run.
    pub fn ask(
        &self,
        program: &Program,
        column: &Column,
        purpose: Purpose,
        scale: f64,
        padding: usize,
    ) -> Result<Answer, String> {
        let request = Request {
            program: program.name.to_owned(),
            inputs: self.inputs(scale),
            work: self.asked.folder.join("run"),
            own: self.asked.own.clone(),
            scale,
            seed: self.seed,
            library: column.library.clone(),
            system: column.system.clone(),
            environment: column.environment.clone(),
            padding,
            limit_ms: self.asked.run.as_millis() as u64,
            purpose,
        };
        // What a run left behind that was ended from outside.
        let _ = fs::remove_dir_all(&request.work);
        let text = serde_json::to_string(&request).map_err(|error| error.to_string())?;
        let mut command = Command::new(self.asked.own.join(HOST));
        command.args(["run", &text]).env_remove("LD_PRELOAD");
        let limit = self.asked.run + GRACE;
        let ended = spawn::run(&mut command, limit).map_err(|error| error.to_string())?;
        match serde_json::from_str(ended.output.trim()) {
            Ok(Answer::Refused(reason)) => Err(reason),
            Ok(answer) => Ok(answer),
            Err(_) => Err(SpawnError::Ended(ended.status, ended.last_words).to_string()),
        }
    }
}
