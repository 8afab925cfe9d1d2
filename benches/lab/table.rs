//! Prints results as a Markdown table.

pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(ToString::to_string).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn print(&self, title: &str) {
        println!("\n{title}\n");
        for (n, row) in self.rows.iter().enumerate() {
            println!("| {} |", row.join(" | "));
            if n == 0 {
                println!("|{}", "---|".repeat(row.len()));
            }
        }
    }
}

/// Formats the median of several rounds, with the minimum and the maximum.
pub(crate) fn spread(figures: &[f64], digits: usize) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match &sorted[..] {
        [] => "-".to_owned(),
        [one] => format!("{one:.digits$}"),
        [least, .., most] => {
            let middle = sorted[sorted.len() / 2];
            format!("{middle:.digits$} ({least:.digits$}–{most:.digits$})")
        }
    }
}
