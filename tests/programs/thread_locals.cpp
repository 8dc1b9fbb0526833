// A library to be preloaded: thread-local objects with constructors and destructors, more of them than fit
// into the surplus of a small stack. It stands in for nothing.
#include <cerrno>
#include <string>
#include <vector>

namespace {

struct Kept {
    std::vector<std::string> lines;
    int number = 1;
    ~Kept() { errno = 0; }
};

thread_local Kept kept;
thread_local char room[512 * 1024];

__attribute__((constructor)) void use_them() {
    kept.lines.emplace_back("a line of this thread's");
    room[0] = 1;
}

}  // namespace

extern "C" int thread_local_lines() { return static_cast<int>(kept.lines.size()) + room[0]; }
