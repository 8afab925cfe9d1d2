//! Where the client finds the end of an answer, and what it refuses.

mod client_kit;

use client_kit::{OK, Scripted, error_of, run, status_error};
use http::{Method, StatusCode};

/// Fetches from a server that sends `answer` and closes.
async fn fetch(answer: &str) -> Result<String, FetchError> {
    let server = Scripted::closing_after(answer);
    let response = HttpClient::new().fetch(server.url("/")).await?;
    Ok(String::from_utf8(response.into_body().to_vec()).unwrap())
}

// HTC-16
#[test]
fn equal_lengths_are_accepted_and_unequal_ones_refused() {
    run(async {
        for length in ["2,2", "2, 2,2", "2"] {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nok");
            assert_eq!(fetch(&answer).await.unwrap(), "ok");
        }
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2,4\r\n\r\nokay";
        assert!(matches!(error_of(fetch(answer).await), FetchError::InvalidAnswer(_)));
    });
}

// HTC-17, HTS-40
#[test]
fn without_a_length_the_body_ends_with_the_connection() {
    run(async {
        assert_eq!(fetch("HTTP/1.0 200 OK\r\n\r\nhello").await.unwrap(), "hello");
        assert_eq!(fetch("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n").await.unwrap(), "");
    });
}

// HTC-18
#[test]
fn answers_to_head_and_304_are_over_at_the_end_of_their_head() {
    run(async {
        let server = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
        let client = HttpClient::new();
        for _ in 0..2 {
            let request = FetchRequest::new(Method::HEAD, server.url("/"));
            let response = client.fetch(request).await.unwrap();
            assert_eq!(
                (response.body().len(), &response.headers()["content-length"]),
                (0, &"7".parse().unwrap())
            );
        }
        assert_eq!(server.accepted(), 1);
        let server = Scripted::answering("HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n");
        for _ in 0..2 {
            let response = status_error(client.fetch(server.url("/")).await);
            assert_eq!((response.status(), response.body().len()), (StatusCode::NOT_MODIFIED, 0));
        }
        assert_eq!(server.accepted(), 1);
    });
}

// HTC-19
#[test]
fn a_204_has_no_body_and_no_length_but_zero() {
    run(async {
        for fields in ["", "Content-Length: 0\r\n"] {
            let server = Scripted::answering(format!("HTTP/1.1 204 No Content\r\n{fields}\r\n"));
            let response = HttpClient::new().fetch(server.url("/")).await.unwrap();
            assert_eq!((response.status(), response.body().len()), (StatusCode::NO_CONTENT, 0));
        }
        for fields in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
            let answer = format!("HTTP/1.1 204 No Content\r\n{fields}\r\nhello");
            assert!(matches!(error_of(fetch(&answer).await), FetchError::InvalidAnswer(_)));
        }
    });
}

// HTC-20
#[test]
fn interim_answers_are_skipped_up_to_a_limit() {
    run(async {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        assert_eq!(fetch(&(interim.to_owned() + OK)).await.unwrap(), "ok");
        let endless = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000) + OK;
        assert!(matches!(error_of(fetch(&endless).await), FetchError::InvalidAnswer(_)));
        let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
        assert!(matches!(error_of(fetch(switch).await), FetchError::InvalidAnswer(_)));
    });
}

// HTC-23
#[test]
fn chunks_together_with_a_length_are_refused() {
    run(async {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n\
            1\r\nx\r\n0\r\n\r\n";
        assert!(matches!(error_of(fetch(answer).await), FetchError::InvalidAnswer(_)));
    });
}

// H13
#[test]
fn an_answer_that_is_cut_off_anywhere_is_an_error() {
    run(async {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nasdf\r\n0\r\n\r\n";
        for answer in [OK, chunked] {
            assert!(fetch(answer).await.is_ok());
            assert!(matches!(error_of(fetch("").await), FetchError::Connection(_)));
            for end in 1..answer.len() {
                assert!(matches!(error_of(fetch(&answer[..end]).await), FetchError::Truncated));
            }
        }
    });
}

// H13
#[test]
fn a_reset_before_the_end_of_a_body_that_the_close_ends_is_an_error() {
    run(async {
        let server = Scripted::new(async |peer| {
            peer.request().await?;
            peer.stream.write("HTTP/1.1 200 OK\r\n\r\nhalf of a bo")?;
            peer.stream.flush().await?;
            peer.stream.reset();
            Ok(())
        });
        assert!(matches!(
            error_of(HttpClient::new().fetch(server.url("/")).await),
            FetchError::Connection(_)
        ));
    });
}

#[test]
fn a_streamed_body_that_is_cut_off_never_ends_well() {
    run(async {
        let server = Scripted::closing_after("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        let client = HttpClient::new();
        let (_, mut body) = client.fetch_streaming(server.url("/")).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "half");
        for _ in 0..3 {
            assert!(matches!(error_of(body.next().await), FetchError::Truncated));
        }
    });
}

#[test]
fn what_exceeds_a_limit_is_an_error() {
    run(async {
        let limits = ClientConfig { max_head_bytes: 64, max_body_bytes: 4, ..Default::default() };
        let client = HttpClient::with_config(limits);
        let chunks = |count| "2\r\nab\r\n".repeat(count) + "0\r\n\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (fits, answer) in [
            (true, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd".to_owned()),
            (false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde".to_owned()),
            (true, chunked.to_owned() + &chunks(2)),
            (false, chunked.to_owned() + &chunks(3)),
            (true, "HTTP/1.1 200 OK\r\n\r\nabcd".to_owned()),
            (false, "HTTP/1.1 200 OK\r\n\r\nabcde".to_owned()),
            (false, format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(64))),
            (false, format!("{chunked}0\r\nX: {}", "y".repeat(64))),
        ] {
            let server = Scripted::closing_after(answer.clone());
            match client.fetch(server.url("/")).await {
                Ok(_) => assert!(fits, "{answer:?}"),
                Err(FetchError::TooLarge(_)) => assert!(!fits, "{answer:?}"),
                Err(error) => panic!("{answer:?}: {error}"),
            }
        }
        let body = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789";
        let server = Scripted::answering(body);
        let (_, mut body) = client.fetch_streaming(server.url("/")).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap().len(), 20, "a stream has no limit");
    });
}

#[test]
fn an_answer_may_come_byte_by_byte() {
    run(async {
        let server = Scripted::new(async |peer| {
            peer.request().await?;
            let answer =
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
            for byte in answer.bytes() {
                peer.stream.write(&[byte])?;
                peer.stream.flush().await?;
                squall_net::yield_now().await;
            }
            Ok(())
        });
        assert_eq!(HttpClient::new().fetch(server.url("/")).await.unwrap().body(), "ok");
    });
}
use http_client::{ClientConfig, FetchError, FetchRequest, HttpClient};
