#!/bin/sh
set -eu
cat >work.rb <<'RB'
require 'json'; require 'digest'; require 'set'; require 'zlib'; require 'nokogiri'; require 'bigdecimal'
r = Random.new(1); w = Array.new(50000) { Array.new(r.rand(1..10)) { (97 + r.rand(8)).chr }.join }
puts w.tally.sort_by { |k, v| [-v, k] }.first(10).inspect, Digest::SHA256.hexdigest(w.sort.join)
d = w.first(5000).each_with_index.to_h { |k, i| [k, { 'n' => i, 'r' => k * (i % 20) }] }; j = JSON.generate(d.sort.to_h); puts Digest::MD5.hexdigest(j), JSON.parse(j) == d.sort.to_h
puts Zlib.inflate(Zlib.deflate(j)) == j, (3**3000).to_s.size, j.gsub(/([a-c])n/) { $1.upcase }.sum
puts (1..8).map { |n| Thread.new { s = Set.new; 20000.times { |i| s << "#{n}-#{i % 3000}" }; s.size } }.map(&:value).inspect
doc = Nokogiri::HTML("<ul>" + (1..3000).map { |i| "<li class=c#{i % 3}>#{i}</li>" }.join + "</ul>"); puts doc.css('li.c2').map { |e| e.text.to_i }.sum
puts (1..4).map { |n| rd, wr = IO.pipe; fork { rd.close; wr.write((0..n * 1000).sum); exit!(0) }; wr.close; rd.read }.inspect; Process.waitall
f = Fiber.new { 1000.times { |i| Fiber.yield i * 2 } }; puts Array.new(1000) { f.resume }.sum
20.times { Array.new(20000) { |i| [i, i.to_s] } }; GC.start; GC.compact rescue nil; puts ObjectSpace.each_object(Class).count > 100
puts BigDecimal("2").sqrt(200).to_s[0, 150]; puts Ractor.new { (1..1000).sum }.take
RB
ruby -W0 work.rb
ruby -W0 --jit work.rb | md5sum
