#!/bin/sh
set -eu
cat >w.rs <<'R'
use std::{collections::*, sync::*, thread};
#[derive(Clone, Debug, PartialEq)] enum Tree { Leaf, Node(Box<Tree>, i64, Box<Tree>) }
fn add(t: Tree, k: i64) -> Tree { match t { Tree::Leaf => Tree::Node(Box::new(Tree::Leaf), k, Box::new(Tree::Leaf)), Tree::Node(l, v, r) => if k < v { Tree::Node(Box::new(add(*l, k)), v, r) } else { Tree::Node(l, v, Box::new(add(*r, k))) } } }
fn sum(t: &Tree, d: i64) -> i64 { match t { Tree::Leaf => 0, Tree::Node(l, v, r) => sum(l, d + 1) + sum(r, d + 1) + v % 97 * d } }
fn main() {
    let (mut x, mut t, mut m) = (1i64, Tree::Leaf, BTreeMap::new());
    for i in 0..20000 { x = (x * 1103515245 + 12345) % 2147483648; t = add(t, x); m.entry(x % 997).or_insert_with(Vec::new).push(i.to_string()); }
    println!("{} {} {}", sum(&t, 1), t == t.clone(), m.values().map(|v| v.concat().len()).sum::<usize>());
    let (s, r) = mpsc::channel::<Vec<u8>>(); let hs: Vec<_> = (0..6).map(|n| { let s = s.clone(); thread::spawn(move || for i in 0..5000 { s.send(vec![n as u8; i % 300]).unwrap() }) }).collect(); drop(s);
    println!("{}", r.iter().map(|v| v.len()).sum::<usize>()); for h in hs { h.join().unwrap() }
    println!("{:?}", std::panic::catch_unwind(|| { let v: Vec<i32> = vec![]; v[0] }).is_err());
}
R
for o in 0 2; do rustc -C opt-level=$o --edition 2021 -o w w.rs; ./w 2>/dev/null; done
rustc --edition 2021 -O --emit=llvm-ir -C codegen-units=1 -o - w.rs | md5sum
echo 'fn main() { let s = String::new(); let t = s; println!("{}", s); }' >wrong.rs; rustc wrong.rs 2>&1 || true
