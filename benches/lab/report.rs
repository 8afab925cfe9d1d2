//! The tables of one run, with all that one has to know to read them.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::plan::Plan;
use crate::table::Table;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// How often each server had its turn where time was measured.
    pub(crate) rounds: usize,
    /// How long a round took.
    pub(crate) seconds_a_round: f64,
    pub(crate) tables: Vec<Table>,
}

impl Report {
    /// A report without tables. To be made before the load is pinned and the first round begins,
    /// because it reads the machine's cores and its load.
    pub(crate) fn new(plan: &Plan) -> Report {
        Report {
            machine: Machine::this(),
            rounds: plan.rounds,
            seconds_a_round: plan.time.as_secs_f64(),
            tables: Vec::new(),
        }
    }

    /// The table of this name. `None` if it was not measured.
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Reads the JSON of a report.
    pub(crate) fn load(file: &Path) -> Result<Report, Box<dyn Error>> {
        let text =
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?)
    }

    /// Writes `report.json` and `report.md` in a directory, which is made if it does not exist.
    pub(crate) fn save(&self, directory: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(directory)?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(directory.join("report.json"), json)?;
        Ok(fs::write(directory.join("report.md"), self.markdown())?)
    }

    /// The machine and the run, in a sentence each.
    pub(crate) fn origin(&self) -> String {
        let Machine { cpu, cores, kernel, rustc, load, date, commit } = &self.machine;
        let Report { rounds, seconds_a_round, .. } = self;
        format!(
            "Measured on {date} at commit {commit}, {rounds} rounds of {seconds_a_round} s. \
             Machine: {cpu}, {cores} cores, {kernel}, {rustc}; load {load} at the begin.\n"
        )
    }

    fn markdown(&self) -> String {
        let mut text = format!("# Report of the lab\n\n{}", self.origin());
        for table in &self.tables {
            text.push_str(&format!("\n## {}\n\n", table.title));
            if !table.method.is_empty() {
                text.push_str(&format!("{}\n\n", table.method));
            }
            text.push_str(&table.markdown());
        }
        text
    }
}
