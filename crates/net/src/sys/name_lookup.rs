//! Kinds for the errors of `getaddrinfo(3)`, which std reports by their texts only.

use std::ffi::CStr;
use std::io;

/// The kind of an error with each code.
const KINDS: [(libc::c_int, io::ErrorKind); 5] = [
    (libc::EAI_NONAME, io::ErrorKind::NotFound),
    (libc::EAI_NODATA, io::ErrorKind::NotFound), // the name exists, and has no address
    (libc::EAI_AGAIN, io::ErrorKind::HostUnreachable),
    (libc::EAI_FAIL, io::ErrorKind::HostUnreachable),
    (libc::EAI_MEMORY, io::ErrorKind::OutOfMemory),
];

/// Gives an error of `to_socket_addrs` a kind: `NotFound` for a name that does not exist or has no
/// address, and `HostUnreachable` for a name service that fails. Other errors do not change.
///
/// std drops the code, and puts the text of `gai_strerror(3)` at the end of its message. So the
/// text is compared with that of each code, in the language of the process. To keep the code, this
/// crate would have to call `getaddrinfo` and to walk its list of addresses in unsafe code, as std
/// does. If std changes its message, the error keeps the kind that std gives it, and a test fails.
pub(crate) fn name_lookup_error(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() {
        return error; // EAI_SYSTEM, or an error that is not about a name
    }
    let message = error.to_string();
    let is_code = |code| message.as_bytes().ends_with(text(code).to_bytes());
    match KINDS.iter().find(|(code, _)| is_code(*code)) {
        Some((_, kind)) => io::Error::new(*kind, error),
        None => error,
    }
}

/// `gai_strerror(3)`.
#[allow(unsafe_code, reason = "neither std nor rustix has this function")]
fn text(code: libc::c_int) -> &'static CStr {
    // SAFETY: the call takes an integer.
    let text = unsafe { libc::gai_strerror(code) };
    // SAFETY: the function returns a string that ends with a NUL byte for every code. The string is
    // a constant of libc or of its translations, which libc does not unload.
    unsafe { CStr::from_ptr(text) }
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;

    use super::*;

    #[test]
    fn each_text_of_the_name_service_has_its_kind_and_others_stay() {
        for (code, kind) in KINDS {
            let text = text(code).to_str().unwrap();
            let text = format!("failed to lookup address information: {text}");
            let error = name_lookup_error(io::Error::other(text.clone()));
            assert_eq!((error.kind(), error.to_string()), (kind, text));
        }
        let other = name_lookup_error(io::Error::new(io::ErrorKind::InvalidInput, "NUL"));
        assert_eq!(other.kind(), io::ErrorKind::InvalidInput);
        let system = name_lookup_error(io::Error::from_raw_os_error(libc::EMFILE));
        assert_eq!(system.raw_os_error(), Some(libc::EMFILE));
    }

    // getaddrinfo refuses an interface that does not exist without asking a name server.
    #[test]
    fn the_code_of_an_error_of_std_is_found() {
        let error = "[fe80::1%no-interface]:1".to_socket_addrs().map(drop).unwrap_err();
        assert_eq!(name_lookup_error(error).kind(), io::ErrorKind::NotFound);
    }
}
