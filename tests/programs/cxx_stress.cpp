// The C++ library's own users of the allocator, on several threads, against results known by
// arithmetic: containers, std::pmr, shared_ptr across threads, std::thread itself, exceptions.
#include "check.h"

#include <deque>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

void containers_of(unsigned seed) {
    constexpr unsigned kCount = 20000;
    std::map<std::string, std::vector<unsigned>> tree;
    std::unordered_map<unsigned, std::string> table;
    std::list<unsigned> chain;
    std::deque<std::string> queue;
    for (unsigned i = 0; i < kCount; i++) {
        tree["key " + std::to_string(i % 1000)].push_back(i);
        table[i * 7 + seed] = std::string(i % 200, char('a' + i % 26));
        chain.push_front(i);
        queue.push_back(std::to_string(i));
        if (queue.size() > 500) queue.pop_front();
        if (i % 3 == 0) table.erase((i / 2) * 7 + seed);
    }
    unsigned long sum = 0, lengths = 0;
    for (auto &[key, values] : tree) {
        CHECK(values.size() == kCount / 1000, "%s has %zu", key.c_str(), values.size());
        for (unsigned value : values) sum += value;
    }
    CHECK(sum == (unsigned long)kCount * (kCount - 1) / 2, "sum %lu", sum);
    for (auto &[key, text] : table) {
        unsigned i = (key - seed) / 7;
        CHECK(text == std::string(i % 200, char('a' + i % 26)), "the text of %u", i);
        lengths += text.size();
    }
    CHECK(lengths > 0 && chain.size() == kCount && queue.size() == 500, "sizes");
    chain.sort();
    CHECK(chain.front() == 0 && chain.back() == kCount - 1, "sorted");
}

void containers() { containers_of(0); }

void containers_on_threads() {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 6; i++) threads.emplace_back(containers_of, i);
    for (auto &thread : threads) thread.join();
}

void memory_resources() {
    std::pmr::unsynchronized_pool_resource pool(std::pmr::new_delete_resource());
    std::pmr::synchronized_pool_resource shared_pool;
    std::pmr::monotonic_buffer_resource bump(&pool);
    for (int round = 0; round < 20; round++) {
        std::pmr::map<int, std::pmr::string> tree(&pool);
        std::pmr::vector<std::pmr::string> texts(&bump);
        std::pmr::list<std::pmr::vector<int>> lists(&shared_pool);
        for (int i = 0; i < 2000; i++) {
            tree[i] = std::pmr::string(i % 300, 'p');
            texts.emplace_back(std::pmr::string(i % 100, 'q'));
            lists.emplace_back(i % 50, i);
        }
        for (int i = 0; i < 2000; i++)
            CHECK(int(tree[i].size()) == i % 300 && int(texts[i].size()) == i % 100, "%d", i);
        void *aligned = pool.allocate(1000, 512);
        CHECK(is_aligned(aligned, 512), "%p", aligned);
        pool.deallocate(aligned, 1000, 512);
    }
}

struct alignas(64) Padded {
    unsigned value;
    std::string text;
};

std::string text_of(unsigned value) { return std::string(value % 64, char('A' + value % 26)); }

// Made on one thread, released on whichever is last.
void shared_ownership() {
    std::vector<std::shared_ptr<Padded>> shared;
    std::mutex lock;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 6; t++) {
        threads.emplace_back([&, t] {
            uint64_t state = t;
            for (unsigned i = 0; i < 30000; i++) {
                auto mine = std::make_shared<Padded>();
                mine->value = i;
                mine->text = text_of(i);
                CHECK(is_aligned(mine.get(), 64), "%p", (void *)mine.get());
                std::shared_ptr<Padded> other;
                {
                    std::lock_guard<std::mutex> held(lock);
                    if (shared.size() < 1000) {
                        shared.push_back(mine);
                    } else {
                        auto &slot = shared[next_random(&state) % shared.size()];
                        other = slot;
                        slot = mine;
                    }
                }
                if (other)
                    CHECK(other->text == text_of(other->value), "the text of %u", other->value);
            }
        });
    }
    for (auto &thread : threads) thread.join();
}

void futures_and_exceptions() {
    for (int round = 0; round < 200; round++) {
        auto good = std::async(std::launch::async, [round] {
            std::ostringstream text;
            for (int i = 0; i < 100; i++) text << round << ':' << i << ' ';
            return text.str();
        });
        auto bad = std::async(std::launch::async, [round]() -> std::function<int()> {
            auto big = std::make_unique<std::vector<int>>(round * 100);
            if (big->size() < 1000000) throw std::runtime_error("round " + std::to_string(round));
            return [] { return 1; };
        });
        CHECK(good.get().size() > 100, "%d", round);
        try {
            bad.get();
            CHECK(false, "no exception in round %d", round);
        } catch (const std::runtime_error &error) {
            CHECK(error.what() == "round " + std::to_string(round), "%s", error.what());
        }
    }
}

const test_case cases[] = {
    {"containers", containers},
    {"containers_on_threads", containers_on_threads},
    {"memory_resources", memory_resources},
    {"shared_ownership", shared_ownership},
    {"futures_and_exceptions", futures_and_exceptions},
    {nullptr, nullptr},
};

} // namespace

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
