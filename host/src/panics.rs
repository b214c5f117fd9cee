//! What a panic said, for whoever caught it. Knows nothing of what is done about it.

use std::any::Any;

/// The message of a caught panic.
pub fn text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn the_message_is_found_whether_or_not_it_was_formatted() {
        let said = |panic: fn()| catch_unwind(panic).map_err(|panic| text(&*panic).to_owned());
        assert_eq!(said(|| panic!("plain")), Err("plain".to_owned()));
        assert_eq!(said(|| panic!("number {}", black_box(7))), Err("number 7".to_owned()));
        let other = said(|| std::panic::panic_any(7));
        assert_eq!(other, Err("a panic without a message".to_owned()));
    }
}
