//! Payments and what is around them. The settlement engine moves the money; here is what has to
//! be known before an agreement can be drawn up.

pub mod name;
