//! What a visitor has typed, and what is wrong with it.

/// The most characters of a name.
pub(crate) const MAX_NAME: usize = 60;
/// The most characters of a message.
pub(crate) const MAX_MESSAGE: usize = 2000;

/// The text fields of the form, as the visitor sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    /// Random; each form that is sent to a browser has its own. It tells a form that is sent twice
    /// from two forms with the same text.
    pub(crate) form_number: String,
    pub(crate) name: String,
    pub(crate) message: String,
}

/// What is wrong, for each field: a sentence to be shown beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    pub(crate) name: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) picture: Option<String>,
}

impl Problems {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Problems::default()
    }
}

impl Draft {
    /// Removes what is not meant: spaces around the text, and the `\r` that browsers add to the end
    /// of a line.
    pub(crate) fn tidied(self) -> Draft {
        Draft {
            form_number: self.form_number,
            name: self.name.trim().to_owned(),
            message: self.message.replace("\r\n", "\n").trim().to_owned(),
        }
    }

    /// Checks the text fields.
    pub(crate) fn problems(&self) -> Problems {
        Problems {
            name: problem(&self.name, "Please enter your name.", MAX_NAME, &[]),
            message: problem(&self.message, "Please write a message.", MAX_MESSAGE, &['\n', '\t']),
            picture: None,
        }
    }
}

/// What is wrong with a text that may have at most `max` characters, and only these control
/// characters.
fn problem(text: &str, missing: &str, max: usize, controls: &[char]) -> Option<String> {
    let length = text.chars().count();
    if length == 0 {
        Some(missing.to_owned())
    } else if length > max {
        Some(format!("At most {max} characters, please. These are {length}."))
    } else if text.chars().any(|char| char.is_control() && !controls.contains(&char)) {
        Some("There is a character here that cannot be shown.".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(name: &str, message: &str) -> Draft {
        Draft { form_number: String::new(), name: name.into(), message: message.into() }.tidied()
    }

    #[test]
    fn a_good_draft_has_no_problem() {
        let longest = draft(&"ä".repeat(MAX_NAME), &"𝄞".repeat(MAX_MESSAGE));
        assert!(longest.problems().is_empty());
        let draft = draft("  Ada \n", "\r\n two\r\nlines\t \r\n");
        assert!(draft.problems().is_empty());
        assert_eq!((&*draft.name, &*draft.message), ("Ada", "two\nlines"));
    }

    #[test]
    fn each_field_has_its_own_problem() {
        let problems = draft(" ", "x").problems();
        assert_eq!(problems.name.as_deref(), Some("Please enter your name."));
        assert_eq!(problems.message, None);
        let problems = draft(&"x".repeat(61), "\r\n").problems();
        assert_eq!(problems.name.as_deref(), Some("At most 60 characters, please. These are 61."));
        assert_eq!(problems.message.as_deref(), Some("Please write a message."));
        let problems = draft("A\0da", "a\u{7f}b").problems();
        assert!(problems.name.is_some() && problems.message.is_some());
        assert!(draft("A\nda", "x").problems().name.is_some());
    }
}
