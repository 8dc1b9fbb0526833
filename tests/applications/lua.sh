#!/bin/sh
set -eu
cat >work.lua <<'LUA'
local x, t, parts = 1, {}, {}
for i = 1, 100000 do x = (x * 1103515245 + 12345) % 2147483648; t[i] = x; parts[#parts + 1] = string.format("%x", x) end
table.sort(t); print(t[1], t[50000], t[100000]); local s = table.concat(parts); print(#s, select(2, s:gsub("a%x", "<%0>")))
local h = {}; for w in s:gmatch("%x%x%x") do h[w] = (h[w] or 0) + 1 end; local n = 0; for _ in pairs(h) do n = n + 1 end; print(n)
local co = {}; for i = 1, 2000 do co[i] = coroutine.wrap(function() for k = 1, 20 do coroutine.yield(k * i) end end) end
local sum = 0; for k = 1, 20 do for i = 1, 2000 do sum = sum + co[i]() end end; print(sum)
for i = 1, 20 do local a = {}; for j = 1, 20000 do a[j] = { j, tostring(j) } end; collectgarbage() end
local function tree(d) return d > 0 and { tree(d - 1), tree(d - 1) } or {} end local function count(t) return t[1] and 1 + count(t[1]) + count(t[2]) or 1 end
print(count(tree(15))); print(pcall(string.rep, "x", -1)); print(#string.rep("abc", 1000000)); print(load("return 1 + 2")())
LUA
lua5.4 work.lua
