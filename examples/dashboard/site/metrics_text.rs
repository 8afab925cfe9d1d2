//! Prometheus's text format: families of samples, each with its help and type.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::{Display, Write as _};

/// The text of a page of metrics. All samples of a family stand together, as the format demands.
#[derive(Debug, Default)]
pub(crate) struct MetricsText(String);

impl MetricsText {
    /// Begins a family. `kind` is `counter`, `gauge` or `histogram`.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP {name} {}\n# TYPE {name} {kind}\n", Escaped(help, false)));
    }

    /// Adds a sample to the family that was begun last.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.push(format_args!("{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            self.push(format_args!("{separator}{label}=\"{}\"", Escaped(text, true)));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.push(format_args!("{end} {value}\n"));
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(text); // a `String` takes everything
    }
}

/// A text with its backslashes and line ends escaped, and the quotes too if it is a label's.
struct Escaped<'a>(&'a str, bool);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            '"' if self.1 => f.write_str("\\\""),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_labels_are_escaped() {
        let mut text = MetricsText::default();
        text.family("jobs", "gauge", "says \"a\\b\"\nand more");
        text.sample("jobs", &[], 1.5);
        text.sample("jobs", &[("loop", "a \"b\"\\\n"), ("kind", "x")], u64::MAX);
        let expected = "# HELP jobs says \"a\\\\b\"\\nand more\n# TYPE jobs gauge\njobs 1.5\n\
                        jobs{loop=\"a \\\"b\\\"\\\\\\n\",kind=\"x\"} 18446744073709551615\n";
        assert_eq!(text.into_text(), expected);
    }
}
