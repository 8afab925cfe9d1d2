//! The page with the form and the list.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::form::draft::{Draft, MAX_MESSAGE, Problems};
use crate::pages::html::{Html, Value};
use crate::store::entry::{Entry, Page};

/// The page with the form and the list.
#[derive(Debug, Default)]
pub(crate) struct BoardPage {
    /// The part of the list. `None` if the database is away.
    pub(crate) page: Option<Page>,
    /// A sentence above the form. May be empty.
    pub(crate) notice: String,
    /// What the form's fields hold.
    pub(crate) draft: Draft,
    /// What is said beside the fields.
    pub(crate) problems: Problems,
}

impl BoardPage {
    /// The page for a visitor with this token.
    pub(crate) fn html(&self, token: &str) -> Html {
        let notice = match &*self.notice {
            "" => Html::default(),
            text => Html::of(
                "<p class=\"notice\" role=\"alert\">{{text}}</p>",
                &[("text", Value::Text(text))],
            ),
        };
        Html::of(
            include_str!("board.html"),
            &[
                ("notice", Value::Html(&notice)),
                ("form", Value::Html(&self.form(token))),
                ("list", Value::Html(&self.page.as_ref().map(list).unwrap_or_default())),
            ],
        )
    }

    fn form(&self, token: &str) -> Html {
        let Draft { form_number, name, message } = &self.draft;
        let [of_name, of_message, of_picture] = [
            ("name", &self.problems.name),
            ("message", &self.problems.message),
            ("picture", &self.problems.picture),
        ]
        .map(|(field, problem)| Beside::new(field, problem.as_deref()));
        Html::of(
            include_str!("form.html"),
            &[
                ("token", Value::Text(token)),
                ("form_number", Value::Text(form_number)),
                ("name", Value::Text(name)),
                ("message", Value::Text(message)),
                ("max_message", Value::Text(&MAX_MESSAGE.to_string())),
                ("name_state", Value::Html(&of_name.state)),
                ("name_problem", Value::Html(&of_name.problem)),
                ("message_state", Value::Html(&of_message.state)),
                ("message_problem", Value::Html(&of_message.problem)),
                ("picture_state", Value::Html(&of_picture.state)),
                ("picture_problem", Value::Html(&of_picture.problem)),
            ],
        )
    }
}

/// What a field with a problem has more than others.
#[derive(Default)]
struct Beside {
    /// Attributes of the field, by which a screen reader finds the sentence.
    state: Html,
    /// The sentence below the field.
    problem: Html,
}

impl Beside {
    fn new(field: &str, problem: Option<&str>) -> Beside {
        let Some(problem) = problem else { return Beside::default() };
        let values = [("field", Value::Text(field)), ("problem", Value::Text(problem))];
        let state = " aria-invalid=\"true\" aria-describedby=\"{{field}}-problem\"";
        let sentence = "<p class=\"problem\" id=\"{{field}}-problem\">{{problem}}</p>";
        Beside { state: Html::of(state, &values), problem: Html::of(sentence, &values) }
    }
}

/// The entries of a page, and the links to its neighbours.
fn list(page: &Page) -> Html {
    let mut entries = Html::default();
    if page.entries.is_empty() {
        entries.push(&Html::of("<p class=\"empty\">Nobody has written anything yet.</p>", &[]));
    }
    for entry in &page.entries {
        entries.push(&article(entry));
    }
    let values = [("entries", Value::Html(&entries)), ("links", Value::Html(&links(page)))];
    Html::of(include_str!("list.html"), &values)
}

fn links(page: &Page) -> Html {
    if !page.has_newer && !page.has_older {
        return Html::default();
    }
    let link = |template, entry: Option<&Entry>| match entry {
        Some(Entry { id, .. }) => Html::of(template, &[("id", Value::Text(&id.to_string()))]),
        None => Html::default(),
    };
    let newer = page.entries.first().filter(|_| page.has_newer);
    let older = page.entries.last().filter(|_| page.has_older);
    let newer = link("<a rel=\"prev\" href=\"/?after={{id}}\">Newer entries</a>", newer);
    let older = link("<a rel=\"next\" href=\"/?before={{id}}\">Older entries</a>", older);
    let links = [("newer", Value::Html(&newer)), ("older", Value::Html(&older))];
    Html::of("<nav aria-label=\"Pages\">{{newer}}{{older}}</nav>", &links)
}

fn article(entry: &Entry) -> Html {
    let picture = match &entry.picture {
        Some(name) => Html::of(
            include_str!("picture.html"),
            &[("file", Value::Text(name)), ("name", Value::Text(&entry.name))],
        ),
        None => Html::default(),
    };
    let posted = OffsetDateTime::from_unix_timestamp(entry.posted);
    let posted = posted.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (day, month, year) = (posted.day(), posted.month(), posted.year());
    let shown = format!("{day} {month} {year}, {:02}:{:02} UTC", posted.hour(), posted.minute());
    Html::of(
        include_str!("entry.html"),
        &[
            ("id", Value::Text(&entry.id.to_string())),
            ("name", Value::Text(&entry.name)),
            ("message", Value::Text(&entry.message)),
            ("time", Value::Text(&posted.format(&Rfc3339).unwrap_or_default())),
            ("shown_time", Value::Text(&shown)),
            ("picture", Value::Html(&picture)),
        ],
    )
}
