// std::bad_alloc from containers that fill the address space (RLIMIT_AS, set by the caller) is
// caught, and everything works again: three times over, and on threads.
#include "check.h"

#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace {

std::size_t vector_until_exhausted() {
    std::vector<std::uint64_t> numbers;
    try {
        for (std::uint64_t i = 0;; i++) numbers.push_back(i * 3);
    } catch (const std::bad_alloc &) {
    }
    for (std::size_t i = 0; i < numbers.size(); i++) CHECK(numbers[i] == i * 3, "number %zu", i);
    return numbers.size() * sizeof(std::uint64_t);
}

std::size_t map_until_exhausted() {
    std::map<unsigned, std::string> texts;
    std::size_t bytes = 0;
    try {
        for (unsigned i = 0;; i++) {
            texts.emplace(i, std::string(500 + i % 1000, char('a' + i % 26)));
            bytes += 500 + i % 1000;
        }
    } catch (const std::bad_alloc &) {
    }
    for (auto &[i, text] : texts)
        CHECK(text.size() == 500 + i % 1000 && text[i % 500] == char('a' + i % 26), "text %u", i);
    return bytes;
}

void containers() {
    for (int round = 0; round < 3; round++) {
        std::size_t in_vector = vector_until_exhausted(), in_map = map_until_exhausted();
        CHECK(in_vector >= 200 * MIB, "round %d: vector of %zu MiB", round, in_vector / MIB);
        CHECK(in_map >= 600 * MIB, "round %d: map of %zu MiB", round, in_map / MIB);
    }
}

void threads() {
    std::vector<std::thread> running;
    for (int i = 0; i < 3; i++) running.emplace_back([] { map_until_exhausted(); });
    for (auto &thread : running) thread.join();
    std::size_t in_map = map_until_exhausted();
    CHECK(in_map >= 300 * MIB, "a map of %zu MiB after the threads", in_map / MIB);
}

const test_case cases[] = {{"containers", containers}, {"threads", threads}, {nullptr, nullptr}};

} // namespace

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
