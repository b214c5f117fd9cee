//! A component with an export, but with no interface of the contract.

use bindings::exports::acme::greeter::greetings::Guest;

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package acme:greeter@1.0.0;

            interface greetings {
                greet: func(name: string) -> string;
            }

            world greeter {
                export greetings;
            }
        ",
    });
    use super::Greeter;
    export!(Greeter);
}

struct Greeter;

impl Guest for Greeter {
    fn greet(name: String) -> String {
        format!("Hello, {name}!")
    }
}
