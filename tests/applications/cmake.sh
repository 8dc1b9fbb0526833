#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 40 | while read -r n; do printf '#include <string>\nint f%s(int x) { return int(std::to_string(x).size()) + %s %% 7; }\n' "$n" "$n" >"p$n.cc"; done
cat >CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.10)
project(w CXX)
file(GLOB parts p*.cc)
add_library(parts STATIC ${parts})
file(WRITE ${CMAKE_BINARY_DIR}/m.cc "#include <cstdio>\nint main() { std::puts(\"built\"); }\n")
add_executable(w ${CMAKE_BINARY_DIR}/m.cc)
target_link_libraries(w parts)
set(l "")
foreach(i RANGE 2000)
  list(APPEND l "item${i}")
endforeach()
list(LENGTH l n)
string(REGEX REPLACE "item([0-9])" "<\\1>" r "${l}")
string(MD5 m "${r}")
message(STATUS "counted ${n} ${m}")
enable_testing()
add_test(NAME runs COMMAND w)
C
cmake -G Ninja -B b . | grep -E 'counted|Generating'; ninja -C b | tail -1 | sed 's/.*Linking/Linking/'; ./b/w; ninja -C b; (cd b && ctest | grep 'tests passed'); cmake -G 'Unix Makefiles' -B u . >/dev/null; make -s -C u -j2 | grep -c Building; ./u/w; echo 'foreach(i RANGE 9) if' >x.cmake; cmake -P x.cmake 2>&1 | head -3 || true
