//! Flat state machines as tables that can be reviewed without reading Rust.

/// Declares a state enum, an event enum and the table between them.
///
/// `State::apply(event)` gives the next state, or
/// `Err((state, event))` for a pair the table does not list. `State::ALL` and `Event::ALL` let a
/// test print the whole matrix.
///
/// ```
/// hotline_base::fsm! {
///     /// A door.
///     pub state Door { Open, Closed }
///     /// What happens to a door.
///     pub event Push { Shut, Pull }
///     table {
///         Open + Shut => Closed,
///         Closed + Pull => Open,
///     }
/// }
/// assert_eq!(Door::Open.apply(Push::Shut), Ok(Door::Closed));
/// assert_eq!(Door::Open.apply(Push::Pull), Err((Door::Open, Push::Pull)));
/// ```
#[macro_export]
macro_rules! fsm {
    (
        $(#[$state_doc:meta])*
        $vis:vis state $State:ident { $($(#[$sd:meta])* $s:ident),+ $(,)? }
        $(#[$event_doc:meta])*
        $evis:vis event $Event:ident { $($(#[$ed:meta])* $e:ident),+ $(,)? }
        table { $($from:ident + $on:ident => $to:ident),+ $(,)? }
    ) => {
        $(#[$state_doc])*
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        $vis enum $State { $($(#[$sd])* $s),+ }

        $(#[$event_doc])*
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        $evis enum $Event { $($(#[$ed])* $e),+ }

        impl $State {
            $vis const ALL: &'static [Self] = &[$(Self::$s),+];

            /// The next state, or the refused pair.
            $vis const fn apply(self, event: $Event) -> Result<Self, (Self, $Event)> {
                match (self, event) {
                    $((Self::$from, $Event::$on) => Ok(Self::$to),)+
                    #[allow(unreachable_patterns, reason = "a full table leaves nothing over")]
                    pair => Err(pair),
                }
            }
        }

        impl $Event {
            $evis const ALL: &'static [Self] = &[$(Self::$e),+];
        }
    };
}
