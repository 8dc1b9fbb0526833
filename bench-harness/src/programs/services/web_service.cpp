// A web service on cpp-httplib and nlohmann's json, which answers as `service.rs` does.
//
// `POST /orders` takes an order, keeps it, and answers with its total; `GET /orders/ID` answers with the
// order as it was kept. One argument: the Unix socket to listen at.
#include <httplib.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

using nlohmann::json;

struct Line {
    std::string item, note;
    std::int64_t price, count;
};

struct Order {
    std::uint64_t id;
    std::string customer;
    std::vector<Line> lines;
    std::vector<std::string> tags;
};

static void from_json(const json& value, Line& line) {
    value.at("item").get_to(line.item);
    value.at("note").get_to(line.note);
    value.at("price").get_to(line.price);
    value.at("count").get_to(line.count);
}

static void from_json(const json& value, Order& order) {
    value.at("id").get_to(order.id);
    value.at("customer").get_to(order.customer);
    value.at("lines").get_to(order.lines);
    value.at("tags").get_to(order.tags);
}

static json described(const Order& order) {
    json lines = json::array();
    std::int64_t total = 0;
    for (const Line& line : order.lines) {
        total += line.price * line.count;
        lines.push_back({{"item", line.item}, {"note", line.note}, {"price", line.price}, {"count", line.count}});
    }
    return {{"id", order.id}, {"customer", order.customer}, {"lines", lines}, {"tags", order.tags}, {"total", total}};
}

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: web-service-cpp SOCKET\n");
        return 2;
    }
    // Asked to end, it ends as programs do, so that libraries that report at exit do so.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::mutex lock;
    std::unordered_map<std::uint64_t, Order> orders;
    httplib::Server server;
    server.new_task_queue = [] { return new httplib::ThreadPool(4); };
    server.set_keep_alive_max_count(1u << 30);
    server.set_address_family(AF_UNIX);
    server.Post("/orders", [&](const httplib::Request& request, httplib::Response& response) {
        Order order = json::parse(request.body).get<Order>();
        json answer = described(order);
        {
            std::lock_guard<std::mutex> guard(lock);
            orders[order.id] = std::move(order);
        }
        response.set_content(answer.dump(), "application/json");
    });
    server.Get(R"(/orders/(\d+))", [&](const httplib::Request& request, httplib::Response& response) {
        Order order;
        {
            std::lock_guard<std::mutex> guard(lock);
            auto found = orders.find(std::stoull(request.matches[1]));
            if (found == orders.end()) {
                response.status = 404;
                return;
            }
            order = found->second;
        }
        response.set_content(described(order).dump(), "application/json");
    });
    std::thread([&] {
        int signal;
        sigwait(&signals, &signal);
        server.stop();
    }).detach();
    return server.listen(argv[1], 80) ? 0 : 1;
}
