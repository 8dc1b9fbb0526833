# Groups, rebuilds and prints records, as a shell script does with the answer of an interface.
map(select(.active or (.tags | length > 2)))
| group_by(.city)
| map({
    city: .[0].city,
    people: map({name, mail: (.name | ascii_downcase | gsub(" "; ".")) , tags: (.tags | sort | join(","))}),
    sum: (map(.orders[].price) | add),
    top: (map(.orders[]) | sort_by(.price, .item) | .[-3:])
  })
| sort_by(-.sum, .city)
