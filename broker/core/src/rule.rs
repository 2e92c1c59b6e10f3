//! The rules by which something is allowed, as events name them. They are built in; later ones lengthen the list.

use crate::event::Rule;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        impl Rule {
            $($(#[$doc])* pub const $name: Self = Self::new($word);)*

            /// Every rule there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

rules! {
    /// An admin: writes, ends and resumes anything, opens enrolments, has persons forgotten.
    ADMIN = "admin",
    /// The technical owner of an application: opens its enrolments, ends it and what is its.
    TECHNICAL_OWNER = "technical-owner",
    /// The business owner of an application: ends it and what is its.
    BUSINESS_OWNER = "business-owner",
    /// Who answers for the relationship: ends the application, its vendor or a vendor above, and what is theirs.
    RELATIONSHIP_OWNER = "relationship-owner",
    /// An application, person or verifier ends one of its own instances.
    ITSELF = "itself",
    /// An application, person or verifier ends a credential of its own.
    OWN_CREDENTIAL = "own-credential",
    /// Whoever holds an enrolment code enrols by it, once.
    CODE = "code",
}
