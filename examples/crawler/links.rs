//! The links of a page.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{HtmlString, StartTag, Token, Tokenizer};
use http_client::ClientResponse;

/// The absolute URLs that the page's `<a>` elements lead to, in their order. `response` is the answer
/// that the page came with.
pub(crate) fn links(html: &[u8], response: &ClientResponse) -> Vec<String> {
    let mut links = Vec::new();
    let mut emitter = DefaultEmitter::<()>::default();
    emitter.naively_switch_states(true); // the text of a script has no elements
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(Token::StartTag(tag)) = token else { continue };
        if *tag.name == b"a"[..] {
            links.extend(href(&tag).and_then(|link| response.resolve(&link)));
        }
    }
    links
}

fn href(tag: &StartTag<()>) -> Option<String> {
    let value = tag.attributes.get(&HtmlString::from(b"href".to_vec()))?;
    Some(String::from_utf8_lossy(value).into_owned())
}
