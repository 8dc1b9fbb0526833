-- Reads an access log, builds tables and strings of it, and prints figures of them.
local visits, by_user, parts = 0, {}, {}
for line in io.lines(arg[1]) do
    local user, time, method, path, status, size, agent =
        line:match('^%S+ %S+ (%S+) %[([^%]]+)%] "(%S+) (%S+) [^"]*" (%d+) (%d+) "([^"]*)"')
    if user then
        visits = visits + 1
        local own = by_user[user]
        if not own then own = {}; by_user[user] = own end
        own[#own + 1] = { time = time, method = method, path = path, status = tonumber(status),
            size = tonumber(size), agent = agent }
        for part in path:gmatch('[^/?&=]+') do parts[part] = (parts[part] or 0) + 1 end
    end
end
local function sorted(map, before)
    local keys = {}
    for key in pairs(map) do keys[#keys + 1] = key end
    table.sort(keys, before)
    return keys
end
local pieces, bytes = {}, 0
for _, user in ipairs(sorted(by_user)) do
    local own = by_user[user]
    table.sort(own, function(a, b)
        if a.time ~= b.time then return a.time < b.time end
        if a.path ~= b.path then return a.path < b.path end
        return a.size < b.size
    end)
    for _, visit in ipairs(own) do
        bytes = bytes + visit.size
        pieces[#pieces + 1] = user .. ' ' .. visit.time .. ' ' .. visit.path:upper() .. ' ' .. visit.status
    end
end
local text = table.concat(pieces, '\n')
local swapped = text:gsub('(%a+)/(%a+)', '%2/%1')
print(visits, bytes, #text, #swapped)
local most = sorted(parts, function(a, b)
    if parts[a] ~= parts[b] then return parts[a] > parts[b] end
    return a < b
end)
for n = 1, 5 do print(most[n], parts[most[n]]) end
