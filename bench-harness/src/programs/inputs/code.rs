//! Sources for compilers: plain C, and C++ that makes its compiler instantiate templates.

use super::words::word;
use crate::random::Random;
use std::fmt::Write;

/// A C file of so many functions with loops, switches, tables and calls of one another.
pub fn c_source(seed: u64, functions: usize) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let mut text = String::from(
        "#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\n\
         struct node { struct node *next; uint32_t key; char name[24]; double weight; };\n",
    );
    for number in 0..functions {
        let name = format!("{}_{number}", word(random));
        let entries: Vec<_> =
            (0..random.between(8, 40)).map(|_| random.below(1_000).to_string()).collect();
        let _ = writeln!(
            text,
            "\nstatic const uint16_t table_{number}[] = {{ {} }};",
            entries.join(", ")
        );
        let _ = writeln!(text, "uint32_t f{number}(struct node *list, uint32_t a, uint32_t b)");
        let _ = writeln!(text, "{{\n    uint32_t sum = a ^ {}u;", random.below(100_000));
        let _ =
            writeln!(text, "    /* {name} */\n    for (struct node *n = list; n; n = n->next) {{");
        text.push_str("        switch (n->key % 7) {\n");
        for case in 0..random.between(3, 7) {
            let entry = random.below(entries.len());
            let _ = writeln!(
                text,
                "        case {case}: sum += table_{number}[(n->key + {entry}) % {}] * {}u; break;",
                entries.len(),
                random.between(1, 99)
            );
        }
        text.push_str("        default: sum = (sum << 5) | (sum >> 27); break;\n        }\n");
        let _ = writeln!(
            text,
            "        if (n->weight > {}.5) n->weight -= (double)sum / 3.0;",
            random.below(50)
        );
        let _ = writeln!(
            text,
            "        if (strcmp(n->name, \"{name}\") < 0) sum ^= (uint32_t)strlen(n->name);"
        );
        text.push_str("    }\n");
        let _ = writeln!(text, "    uint32_t buffer[{}];", random.between(4, 32));
        text.push_str("    for (size_t i = 0; i < sizeof buffer / sizeof *buffer; i++)\n");
        let _ = writeln!(
            text,
            "        buffer[i] = sum * (uint32_t)(i + {}) + (b >> (i & 7));",
            random.below(9)
        );
        text.push_str("    for (size_t i = 1; i < sizeof buffer / sizeof *buffer; i++)\n");
        text.push_str(
            "        sum += buffer[i] > buffer[i - 1] ? buffer[i] : buffer[i - 1] ^ a;\n",
        );
        if number > 0 {
            let called = random.below(number);
            let _ = writeln!(
                text,
                "    if (list && list->key & 1) sum += f{called}(list->next, sum, b);"
            );
        }
        text.push_str("    return sum + b;\n}\n");
    }
    text.into_bytes()
}

/// A C++ file of so many classes, each kept in several containers and sorted by several rules.
pub fn cpp_source(seed: u64, classes: usize) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let mut text = String::from(
        "#include <algorithm>\n#include <functional>\n#include <map>\n#include <memory>\n#include <set>\n\
         #include <string>\n#include <unordered_map>\n#include <vector>\n",
    );
    for number in 0..classes {
        let fields: Vec<_> =
            (0..random.between(2, 6)).map(|field| format!("{}_{field}", word(random))).collect();
        let _ = writeln!(text, "\nnamespace n{number} {{\nstruct Value {{");
        for field in &fields {
            let kind = ["int", "std::string", "std::vector<long>", "double"][random.below(4)];
            let _ = writeln!(text, "    {kind} {field}{{}};");
        }
        let _ = writeln!(text, "    int rank = {};\n    std::string name;", random.below(100));
        text.push_str(
            "    bool operator<(const Value &other) const { return rank < other.rank; }\n};\n",
        );
        text.push_str(
            "using Index = std::map<std::string, std::vector<std::shared_ptr<Value>>>;\n\
             template <class Range, class Rule> auto chosen(const Range &range, Rule rule) {\n\
             \x20   std::vector<typename Range::value_type> kept;\n\
             \x20   std::copy_if(range.begin(), range.end(), std::back_inserter(kept), rule);\n\
             \x20   return kept;\n}\n",
        );
        let _ = writeln!(text, "long work(const std::vector<Value> &values) {{");
        text.push_str(
            "    Index index; std::set<Value> set(values.begin(), values.end());\n\
             \x20   std::unordered_map<std::string, Value> names;\n\
             \x20   for (const Value &value : values) {\n\
             \x20       index[value.name].push_back(std::make_shared<Value>(value));\n\
             \x20       names.emplace(value.name, value);\n    }\n",
        );
        for rule in 0..random.between(2, 5) {
            let _ = writeln!(
                text,
                "    auto kept{rule} = chosen(values, [](const Value &v) {{ return v.rank % {} == 1; }});\n    \
                 std::sort(kept{rule}.begin(), kept{rule}.end(), [](auto &a, auto &b) {{ return a.name < b.name \
                 || a.rank > b.rank + {}; }});",
                random.between(2, 9),
                random.below(5)
            );
        }
        text.push_str("    return long(index.size() + set.size() + names.size()");
        text.push_str(" + kept0.size() + kept1.size());\n}\n}\n");
    }
    text.into_bytes()
}
