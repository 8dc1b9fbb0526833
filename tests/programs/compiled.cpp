// Compiled by the compiler under test: enough templates to make it work for its memory.
#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

template <unsigned N> struct Sum {
    static constexpr unsigned value = N + Sum<N - 1>::value;
};
template <> struct Sum<0> {
    static constexpr unsigned value = 0;
};

template <typename... T> auto pack(T... values) {
    return std::make_tuple(std::variant<T...>(values)..., std::vector<T>{values}...);
}

struct Text {
    std::map<std::string, std::unordered_map<int, std::function<int(int)>>> table;
    int count(const std::string &text) const {
        std::regex pattern("([a-z]+)([0-9]{2,})|x*");
        return int(std::distance(std::sregex_iterator(text.begin(), text.end(), pattern), {}));
    }
};

int run(int n) {
    auto packed = pack(1, 2.0, 'c', 4L, 5u, std::string("six"));
    Text text;
    text.table["a"][n] = [n](int x) { return x + n; };
    std::vector<std::pair<int, std::string>> pairs(n);
    std::stable_sort(pairs.begin(), pairs.end());
    return text.count("ab12 cd345") + text.table["a"][n](n) + int(Sum<700>::value) +
           int(std::get<0>(packed).index());
}
