//! futures-util.

use futures_util::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, TryStreamExt};
use squall_net::spawn;

use crate::support::{pair, run};

#[test]
fn futures_util_reads_lines_copies_and_splits() {
    run(async {
        let (client, server) = pair().await;
        let (reader, mut writer) = client.split();
        let echo = spawn(async move {
            let (reader, mut writer) = server.split();
            let copied = futures_util::io::copy(reader, &mut writer).await.unwrap();
            writer.close().await.unwrap();
            copied
        });
        writer.write_all(b"one\ntwo\nthree").await.unwrap();
        writer.close().await.unwrap();
        let lines = futures_util::io::BufReader::new(reader).lines();
        assert_eq!(lines.try_collect::<Vec<_>>().await.unwrap(), ["one", "two", "three"]);
        assert_eq!(echo.await.unwrap(), 13);
    });
}
