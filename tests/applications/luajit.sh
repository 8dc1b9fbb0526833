#!/bin/sh
set -eu
cat >work.lua <<'LUA'
local ffi, bit = require("ffi"), require("bit")
ffi.cdef("void *malloc(size_t); void free(void *); void *realloc(void *, size_t); int snprintf(char *, size_t, const char *, ...);")
local p, total = {}, 0
for i = 1, 20000 do p[i] = ffi.cast("unsigned char *", ffi.C.malloc(i % 3000 + 1)); p[i][i % 3000] = i % 251 end
for i = 1, 20000 do p[i] = ffi.cast("unsigned char *", ffi.C.realloc(p[i], i % 7000 + 3001)); total = total + p[i][i % 3000]; ffi.C.free(p[i]) end
print(total); local h = 5381; for i = 1, 1e7 do h = bit.bxor(h * 33 % 2^31, i) end; print(h)
local t = {}; for i = 1, 200000 do t[#t + 1] = "s" .. i % 1000 end; print(#table.concat(t))
local a = ffi.new("double[?]", 100000); for i = 0, 99999 do a[i] = i / 2 end; local s = 0; for i = 0, 99999 do s = s + a[i] end; print(s)
LUA
luajit work.lua
luajit -joff work.lua
