# Counts and joins the fields of an access log.
match($0, /\[([^\]]+)\] "([A-Z]+) ([^ "]+)/, found) {
    user = $3
    count[user]++
    bytes[user] += $(NF - 1)
    paths[user] = paths[user] " " found[3]
    hour[substr(found[1], 1, 14)]++
    n = split(found[3], piece, /[\/?&=]/)
    for (i = 1; i <= n; i++) if (piece[i] != "") parts[tolower(piece[i])]++
    line = gensub(/([a-z]+)\/([a-z]+)/, "\\2-\\1", "g", $0)
    seen[substr(line, 1, 60)] = NR
}
END {
    PROCINFO["sorted_in"] = "@ind_str_asc"
    for (user in count) print user, count[user], bytes[user], length(paths[user])
    for (h in hour) print h, hour[h]
    for (part in parts) if (parts[part] > 200) print part, parts[part]
    print length(seen)
}
