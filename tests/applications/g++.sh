#!/bin/sh
set -eu
cat >work.cc <<'CC'
#include <algorithm>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>
template <int N> struct Fib { static constexpr long value = Fib<N - 1>::value + Fib<N - 2>::value; };
template <> struct Fib<1> { static constexpr long value = 1; };
template <> struct Fib<0> { static constexpr long value = 0; };
struct Node { std::unique_ptr<Node> left, right; int key; explicit Node(int k) : key(k) {} };
void add(std::unique_ptr<Node> &n, int k) { if (!n) n = std::make_unique<Node>(k); else add(k < n->key ? n->left : n->right, k); }
long sum(const Node *n, int d) { return n ? sum(n->left.get(), d + 1) + sum(n->right.get(), d + 1) + long(n->key) * d : 0; }
int main() {
    std::cout << Fib<80>::value << "\n";
    std::unique_ptr<Node> root; unsigned x = 1;
    for (int i = 0; i < 50000; i++) { x = x * 1103515245u + 12345u; add(root, int(x >> 8)); }
    std::cout << sum(root.get(), 1) << "\n";
    std::map<std::string, std::vector<int>> m;
    for (int i = 0; i < 20000; i++) m["key" + std::to_string(i % 997)].push_back(i);
    std::ostringstream out; for (auto &[k, v] : m) out << k << ':' << v.size() << ' ';
    std::cout << std::hash<std::string>()(out.str()) << "\n";
    std::vector<std::future<long>> f;
    for (int t = 0; t < 8; t++) f.push_back(std::async(std::launch::async, [t] {
        std::unordered_map<int, std::string> u; long s = 0;
        for (int i = 0; i < 20000; i++) u[i * 7 % 5003] += char('a' + (i + t) % 26);
        for (auto &[k, v] : u) s += k * long(v.size()); return s; }));
    for (auto &r : f) std::cout << r.get() << "\n";
}
CC
g++ -std=c++17 -O1 -pthread -o work work.cc
./work
g++ -std=c++17 -O0 -S -o - work.cc | grep -v '\.ident' | md5sum
