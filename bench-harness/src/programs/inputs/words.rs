//! Words and names, frequent ones more often than rare ones.

use crate::random::Random;

const WORDS: [&str; 48] = [
    "order", "item", "page", "user", "list", "north", "river", "account", "price", "stock",
    "paper", "green", "engine", "window", "garden", "summer", "report", "letter", "market",
    "silver", "bridge", "number", "table", "station", "orange", "winter", "system", "morning",
    "village", "picture", "history", "kitchen", "machine", "library", "yellow", "corner", "island",
    "doctor", "travel", "forest", "button", "camera", "pocket", "shelter", "voyage", "thunder",
    "quarter", "zephyr",
];

const CITIES: [&str; 24] = [
    "Aarhus", "Bergen", "Cordoba", "Dresden", "Esbjerg", "Fukuoka", "Gdansk", "Haifa", "Izmir",
    "Jaipur", "Kumasi", "Leeds", "Malmo", "Nantes", "Osaka", "Porto", "Quito", "Recife", "Sapporo",
    "Tartu", "Utrecht", "Verona", "Wuhan", "York",
];

/// A word.
pub(super) fn word(random: &mut Random) -> &'static str {
    // The lesser of two draws favours the front.
    WORDS[random.below(WORDS.len()).min(random.below(WORDS.len()))]
}

/// A city.
pub(super) fn city(random: &mut Random) -> &'static str {
    CITIES[random.below(CITIES.len()).min(random.below(CITIES.len()))]
}

/// So many words with blanks between them.
pub(super) fn sentence(random: &mut Random, words: usize) -> String {
    let mut text = String::new();
    for number in 0..words {
        if number > 0 {
            text.push(' ');
        }
        text.push_str(word(random));
    }
    text
}

/// A first and a last name.
pub(super) fn person(random: &mut Random) -> String {
    const FIRST: [&str; 12] = [
        "Ada", "Bela", "Chidi", "Dana", "Emil", "Fatou", "Goran", "Hana", "Ines", "Jonas", "Kaya",
        "Liam",
    ];
    const LAST: [&str; 12] = [
        "Abe", "Berg", "Costa", "Diaz", "Endo", "Fischer", "Gupta", "Horvat", "Ito", "Jansen",
        "Kim", "Lopez",
    ];
    let number = random.below(900);
    format!("{} {}{number}", FIRST[random.below(FIRST.len())], LAST[random.below(LAST.len())])
}
