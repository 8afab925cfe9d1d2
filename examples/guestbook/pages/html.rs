//! HTML made of templates, in which all other text is escaped.

/// HTML that is safe to send. It can only be made of a template and of values, and a value that is
/// text is escaped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Html(String);

/// What stands in the place of a `{{name}}` of a template.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    /// Text from anywhere.
    Text(&'a str),
    Html(&'a Html),
}

impl Html {
    /// Replaces each `{{name}}` of a template by the value of that name. The template is a part of
    /// the program, so it is trusted. In it, a place is the content of an element or of an attribute
    /// in double quotes, and no place is in a script, a style or a comment.
    ///
    /// # Panics
    /// If a name has no value, or a brace is not closed: a mistake in the program.
    pub(crate) fn of(template: &'static str, values: &[(&str, Value<'_>)]) -> Html {
        let mut html = String::with_capacity(2 * template.len());
        let mut parts = template.split("{{");
        html.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let (name, rest) = part.split_once("}}").expect("every place of a template is closed");
            match values.iter().find(|(known, _)| *known == name) {
                Some((_, Value::Text(text))) => escape(text, &mut html),
                Some((_, Value::Html(inner))) => html.push_str(&inner.0),
                None => panic!("the template's {name:?} has no value"),
            }
            html.push_str(rest);
        }
        Html(html)
    }

    /// Appends `other`.
    pub(crate) fn push(&mut self, other: &Html) {
        self.0.push_str(&other.0);
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Appends `text` to `html`, so that it is text in an element and in a quoted attribute.
fn escape(text: &str, html: &mut String) {
    for char in text.chars() {
        match char {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            char => html.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let inner = Html::of("<b>{{a}}</b>", &[("a", Value::Text("1 < 2 & {{b}}"))]);
        let attack = "\"><script>'x'</script>";
        let values = [("inner", Value::Html(&inner)), ("attack", Value::Text(attack))];
        let html = Html::of("<p title=\"{{attack}}\">{{inner}}{{inner}}", &values);
        let expected = "<p title=\"&quot;&gt;&lt;script&gt;&#39;x&#39;&lt;/script&gt;\">\
            <b>1 &lt; 2 &amp; {{b}}</b><b>1 &lt; 2 &amp; {{b}}</b>";
        assert_eq!(html.into_string(), expected);
    }

    #[test]
    #[should_panic(expected = "the template's \"b\" has no value")]
    fn a_place_without_value_is_a_mistake() {
        Html::of("{{b}}", &[]);
    }
}
