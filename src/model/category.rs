//! Categories: the named, coloured tags that some services keep a list of. A message carries their names as
//! [`Keyword::Custom`](super::Keyword::Custom).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::CategoryId;

/// An entry of the list of categories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Category {
    /// The service's id.
    pub id: CategoryId,
    /// The name that messages carry. It cannot be changed.
    pub name: String,
    /// Its colour, if it has one.
    pub color: Option<CategoryColor>,
}

impl Category {
    /// A category without a colour.
    #[must_use]
    pub fn new(id: CategoryId, name: impl Into<String>) -> Self {
        Self {
            id,
            name: name.into(),
            color: None,
        }
    }
}

macro_rules! colors {
    ($($color:ident $name:literal,)*) => {
        /// The colours that categories can have, in Outlook's order
        /// (<https://learn.microsoft.com/graph/api/resources/outlookcategory>).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "a colour is what its name says")]
        pub enum CategoryColor {
            $($color,)*
        }

        impl CategoryColor {
            /// Every colour.
            pub const ALL: &[Self] = &[$(Self::$color,)*];

            /// Its name in English, in lower case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$color => $name,)*
                }
            }
        }
    };
}

colors! {
    Red "red",
    Orange "orange",
    Brown "brown",
    Yellow "yellow",
    Green "green",
    Teal "teal",
    Olive "olive",
    Blue "blue",
    Purple "purple",
    Cranberry "cranberry",
    Steel "steel",
    DarkSteel "dark_steel",
    Gray "gray",
    DarkGray "dark_gray",
    Black "black",
    DarkRed "dark_red",
    DarkOrange "dark_orange",
    DarkBrown "dark_brown",
    DarkYellow "dark_yellow",
    DarkGreen "dark_green",
    DarkTeal "dark_teal",
    DarkOlive "dark_olive",
    DarkBlue "dark_blue",
    DarkPurple "dark_purple",
    DarkCranberry "dark_cranberry",
}

impl fmt::Display for CategoryColor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for CategoryColor {
    type Err = UnknownColor;

    fn from_str(name: &str) -> Result<Self, UnknownColor> {
        let name = name.trim().replace([' ', '-'], "_");
        Self::ALL
            .iter()
            .copied()
            .find(|color| color.as_str().eq_ignore_ascii_case(&name))
            .ok_or(UnknownColor)
    }
}

/// No category can have a colour of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownColor;

impl fmt::Display for UnknownColor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("categories have these colours:")?;
        for color in CategoryColor::ALL {
            write!(formatter, " {color}")?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownColor {}
