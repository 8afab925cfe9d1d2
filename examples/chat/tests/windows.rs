//! The page, in two windows of a browser.

mod support;

use std::path::PathBuf;

use squall_browser::{Browser, Page};
use squall_chat::Limits;
use squall_net::block_on;
use support::Server;
use support::process::ChatProcess;

/// Where pictures of the windows go: `CHAT_PICTURES`, or nowhere.
fn pictures() -> Option<PathBuf> {
    std::env::var_os("CHAT_PICTURES").map(PathBuf::from)
}

async fn take_picture(page: &Page, name: &str) {
    if let Some(directory) = pictures() {
        page.screenshot(directory.join(name)).await.unwrap();
    }
}

/// Opens the room as a new person. The windows of a browser share their storage, so the person is put
/// there before the page is loaded again.
async fn enter(browser: &Browser, url: &str, name: &str) -> Page {
    let page = browser.open(&format!("{url}/icon.svg")).await.unwrap();
    let token = support::token(name);
    let script = format!(
        "localStorage.setItem('chat-name', '{name}'); localStorage.setItem('chat-token', '{token}')"
    );
    page.evaluate(&script).await.unwrap();
    page.load(&format!("{url}/room/lobby")).await.unwrap();
    page.wait_for("document.getElementById('state').dataset.state === 'open'").await.unwrap();
    page
}

async fn type_message(page: &Page, text: &str) {
    let text = serde_json::to_string(text).unwrap();
    let script = format!(
        "document.getElementById('text').value = {text}; \
         document.getElementById('compose').requestSubmit()"
    );
    page.evaluate(&script).await.unwrap();
}

async fn wait_for_text(page: &Page, text: &str) {
    let text = serde_json::to_string(text).unwrap();
    let condition = format!(
        "[...document.querySelectorAll('#messages .text')].some((it) => it.textContent === {text})"
    );
    page.wait_for(&condition).await.unwrap();
}

#[test]
fn two_windows_exchange_messages_and_show_every_text_as_text() {
    block_on(async {
        let Some(browser) = Browser::start().await.unwrap() else { return };
        let server = Server::start(Limits::default());
        let url = format!("http://{}", server.address);

        // A visitor without a name is asked for one.
        let new = browser.open(&format!("{url}/room/lobby")).await.unwrap();
        new.wait_for("document.getElementById('welcome').open").await.unwrap();
        take_picture(&new, "welcome.png").await;
        new.evaluate("document.getElementById('name').value = 'Grace'").await.unwrap();
        new.evaluate("document.getElementById('enter').requestSubmit()").await.unwrap();
        new.wait_for("document.getElementById('state').dataset.state === 'open'").await.unwrap();

        let ada = enter(&browser, &url, "Ada").await;
        let eve = enter(&browser, &url, "Eve").await;
        for page in [&new, &ada, &eve] {
            page.wait_for("document.querySelectorAll('#list li').length === 3").await.unwrap();
        }
        let evil = "<img src=x onerror=\"document.title='evil'\"><script>alert(1)</script>";
        type_message(&ada, "Good morning! Is the deploy done?").await;
        wait_for_text(&eve, "Good morning! Is the deploy done?").await;
        type_message(&eve, "Almost: the second server drains right now.").await;
        wait_for_text(&ada, "Almost: the second server drains right now.").await;
        type_message(&eve, evil).await;
        wait_for_text(&ada, evil).await;
        type_message(&ada, "two\nlines").await;
        wait_for_text(&new, "two\nlines").await;
        for page in [&new, &ada, &eve] {
            let made = page
                .evaluate("document.querySelectorAll('#messages img, #messages script').length");
            assert_eq!(made.await.unwrap(), 0);
            let left = page.evaluate("document.getElementById('pending').childElementCount");
            assert_eq!(left.await.unwrap(), 0);
        }
        // A text that the server would not take stays in its field.
        type_message(&ada, &"long ".repeat(1_000)).await;
        ada.wait_for("!document.getElementById('refused').hidden").await.unwrap();
        let kept = ada.evaluate("document.getElementById('text').value.length");
        assert_eq!(kept.await.unwrap(), 5_000);
        ada.evaluate("document.getElementById('text').value = ''").await.unwrap();
        ada.evaluate("document.getElementById('refused').hidden = true").await.unwrap();
        for (dark, width, height, name) in [
            (false, 1400, 900, "light-wide.png"),
            (true, 1400, 900, "dark-wide.png"),
            (false, 360, 740, "light-narrow.png"),
            (true, 360, 740, "dark-narrow.png"),
        ] {
            ada.set_dark(dark).await.unwrap();
            ada.resize(width, height).await.unwrap();
            take_picture(&ada, name).await;
            let overflows = "document.documentElement.scrollWidth > innerWidth";
            assert_eq!(ada.evaluate(overflows).await.unwrap(), false, "{width}");
        }
        ada.evaluate("document.getElementById('show-people').click()").await.unwrap();
        take_picture(&ada, "people-narrow.png").await;
    });
}

#[test]
fn a_message_that_is_written_while_the_server_is_away_is_sent_when_it_is_back() {
    block_on(async {
        let Some(browser) = Browser::start().await.unwrap() else { return };
        let server = ChatProcess::start(&[]).await;
        let address = server.address;
        let ada = enter(&browser, &format!("http://{address}"), "Ada").await;
        type_message(&ada, "before").await;
        wait_for_text(&ada, "before").await;
        drop(server);
        ada.wait_for("document.getElementById('state').dataset.state === 'connecting'")
            .await
            .unwrap();
        type_message(&ada, "written while nobody was there").await;
        let pending = ada.evaluate("document.getElementById('pending').childElementCount");
        assert_eq!(pending.await.unwrap(), 1);
        take_picture(&ada, "pending.png").await;
        let _server = ChatProcess::start_at(address, &[]).await;
        wait_for_text(&ada, "written while nobody was there").await;
        ada.wait_for("document.getElementById('pending').childElementCount === 0").await.unwrap();
        // The new process has another history, so the page has forgotten the first message.
        let shown = ada.evaluate("document.querySelectorAll('#messages .text').length");
        assert_eq!(shown.await.unwrap(), 1);
    });
}
