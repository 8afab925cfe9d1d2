//! A real browser, and a page of this test.

use std::io;

use squall_browser::Browser;
use squall_net::{IoStream, TcpServer, block_on};

const PAGE: &str = "<!doctype html><title>A page</title><body style='background: canvas; color-scheme: \
                    light dark'><input type=file><p>hello";

#[test]
fn a_page_is_loaded_asked_and_photographed() -> io::Result<()> {
    block_on(async {
        let Some(browser) = Browser::start().await? else { return Ok(()) };
        let server = TcpServer::new(async |mut stream: IoStream, _peer| {
            stream.read_until(b"\r\n\r\n").await?;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length";
            stream.write(format!("{head}: {}\r\n\r\n{PAGE}", PAGE.len()))?;
            Ok(stream.shutdown().await?)
        });
        let url = format!("http://{}/", server.listen("127.0.0.1:0")?);
        let page = browser.open(&url).await?;
        assert_eq!(page.evaluate("document.title").await?, "A page");
        assert_eq!(
            page.evaluate("new Promise(done => setTimeout(() => done(6 * 7), 1))").await?,
            42
        );
        let error = page.evaluate("nothing.at.all").await.unwrap_err().to_string();
        assert!(error.contains("nothing is not defined"), "{error}");
        page.resize(321, 200).await?;
        page.wait_for("innerWidth === 321").await?;
        page.set_dark(true).await?;
        page.wait_for("matchMedia('(prefers-color-scheme: dark)').matches").await?;
        page.choose_file("input", std::env::current_exe()?).await?;
        assert_eq!(page.evaluate("document.querySelector('input').files.length").await?, 1);
        let path = std::env::temp_dir().join(format!("squall-page-{}.png", std::process::id()));
        page.screenshot(&path).await?;
        let picture = std::fs::read(&path)?;
        std::fs::remove_file(&path)?;
        // The width and the height in a PNG's first chunk.
        assert_eq!(picture[16..24], [0, 0, 1, 65, 0, 0, 0, 200]);
        let other = browser.open("http://127.0.0.1:1/").await;
        assert!(other.unwrap_err().to_string().contains("ERR_"), "nothing listens there");
        Ok(())
    })
}
