//! The table of a measurement. Markdown shows it, JSON keeps it, and the pictures are drawn from it.

use serde::{Deserialize, Serialize};

use crate::figure::Figure;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Table {
    /// Identifies the table for pictures and pages. Unique within a report.
    pub(crate) name: String,
    /// The sentence above the table.
    pub(crate) title: String,
    /// How the figures were measured, in a sentence. Empty if the title says it.
    pub(crate) method: String,
    /// What the rows are, as "server".
    pub(crate) rows_are: String,
    pub(crate) columns: Vec<Column>,
    /// Each row has a cell for each column.
    pub(crate) rows: Vec<Row>,
    /// Lines below the table.
    pub(crate) notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) title: String,
    /// The unit of the figures. Empty if they have none.
    pub(crate) unit: String,
    /// The digits behind the point in Markdown.
    pub(crate) digits: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) cells: Vec<Cell>,
}

/// In JSON, a figure is an object and an empty cell is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    Figure(Figure),
    Text(String),
    /// Nothing was measured, because the server does not offer this.
    Empty,
}

impl Table {
    pub(crate) fn new(name: &str, title: &str, rows_are: &str) -> Table {
        Table {
            name: name.to_owned(),
            title: title.to_owned(),
            method: String::new(),
            rows_are: rows_are.to_owned(),
            columns: Vec::new(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn method(mut self, method: &str) -> Table {
        self.method = method.to_owned();
        self
    }

    /// Adds a column whose figures have this unit and this number of digits behind the point.
    pub(crate) fn column(mut self, title: &str, unit: &str, digits: usize) -> Table {
        self.columns.push(Column { title: title.to_owned(), unit: unit.to_owned(), digits });
        self
    }

    pub(crate) fn row(&mut self, name: &str, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column of {}", self.name);
        self.rows.push(Row { name: name.to_owned(), cells });
    }

    /// The figure of a row in a column. `None` if it was not measured.
    pub(crate) fn figure(&self, row: &Row, column: usize) -> Option<Figure> {
        match row.cells.get(column)? {
            Cell::Figure(figure) => Some(*figure),
            Cell::Text(_) | Cell::Empty => None,
        }
    }

    /// The table and its notes in Markdown, without the title and the method.
    pub(crate) fn markdown(&self) -> String {
        let heads = self.columns.iter().map(Column::head);
        let head: Vec<_> = [self.rows_are.clone()].into_iter().chain(heads).collect();
        let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
        for row in &self.rows {
            let cells = row.cells.iter().zip(&self.columns).map(|(cell, column)| match cell {
                Cell::Figure(figure) => figure.with_digits(column.digits).to_string(),
                Cell::Text(text) => text.clone(),
                Cell::Empty => "–".to_owned(),
            });
            let cells: Vec<_> = [row.name.clone()].into_iter().chain(cells).collect();
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        if !self.notes.is_empty() {
            text.push_str(&format!("\n{}\n", self.notes.join("\n")));
        }
        text
    }
}

impl Column {
    fn head(&self) -> String {
        let parts = [self.title.as_str(), self.unit.as_str()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(", ")
    }
}

impl Cell {
    /// The figure of several rounds, or an empty cell without a round.
    pub(crate) fn of(rounds: &[f64]) -> Cell {
        Figure::of(rounds).map_or(Cell::Empty, Cell::Figure)
    }

    /// A figure that was measured once.
    pub(crate) fn once(value: f64) -> Cell {
        Cell::Figure(Figure::once(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("echo", "64 bytes and their echo", "server")
            .column("CPU", "µs a request", 2)
            .column("which calls", "", 0);
        table.row("raw", vec![Cell::of(&[1.0, 2.0, 4.0]), Cell::Text("recv 1.00".into())]);
        table.row("nginx", vec![Cell::once(3.0), Cell::Empty]);
        table.notes.push("a note".into());
        table
    }

    #[test]
    fn markdown_shows_the_range_of_what_was_measured_more_than_once() {
        let expected = "\
| server | CPU, µs a request | which calls |
|---|---|---|
| raw | 2.00 (1.00–4.00) | recv 1.00 |
| nginx | 3.00 | – |

a note
";
        assert_eq!(table().markdown(), expected);
    }

    #[test]
    fn json_keeps_every_kind_of_cell() {
        let text = serde_json::to_string(&table()).unwrap();
        assert!(text.contains(r#"{"value":2.0,"least":1.0,"most":4.0}"#), "{text}");
        assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table());
    }
}
