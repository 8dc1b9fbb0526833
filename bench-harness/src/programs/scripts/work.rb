# Reads an access log and JSON records, builds indexes of objects, and prints figures of them.
require 'json'

Visit = Struct.new(:address, :user, :time, :method, :path, :status, :size, :agent)
LINE = /\A(\S+) \S+ (\S+) \[([^\]]+)\] "(\S+) (\S+) [^"]*" (\d+) (\d+) "([^"]*)"/

visits = File.foreach(ARGV[0]).filter_map do |line|
  found = LINE.match(line) or next
  fields = found.captures
  fields[5] = fields[5].to_i
  fields[6] = fields[6].to_i
  Visit.new(*fields)
end
parts = Hash.new(0)
visits.each { |visit| visit.path.split(%r{[/?&=]}).each { |part| parts[part] += 1 unless part.empty? } }
summaries = visits.group_by(&:user).sort.map do |user, own|
  own = own.sort_by { |visit| [visit.time, visit.path] }
  { 'user' => user, 'bytes' => own.sum(&:size), 'paths' => own.map(&:path).uniq.sort,
    'errors' => own.select { |visit| visit.status >= 400 }.map { |visit| [visit.time, visit.status] } }
end
text = JSON.pretty_generate(summaries)
again = JSON.parse(text)
puts [visits.size, summaries.size, text.size, again.sum { |one| one['bytes'] }].join(' ')
records = File.foreach(ARGV[1]).map { |line| JSON.parse(line) }
joined = records.map { |record| record.sort.map { |key, value| "#{key}=#{value}" }.join('; ') }.sort.join("\n")
words = joined.scan(/[a-z]+/).tally
puts joined.size, words.sort_by { |word, count| [-count, word] }.first(8).inspect
puts parts.sort_by { |part, count| [-count, part] }.first(5).inspect
