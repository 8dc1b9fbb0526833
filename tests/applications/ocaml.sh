#!/bin/sh
set -eu
cat >w.ml <<'O'
module M = Map.Make(Int)
let rec go i x m l = if i = 0 then (m, l) else let x = (x * 1103515245 + 12345) mod 2147483648 in go (i - 1) x (M.update (x mod 997) (function None -> Some [x] | Some l -> Some (x :: l)) m) (x :: l)
let () = let m, l = go 100000 1 M.empty [] in Printf.printf "%d %d %d\n" (M.cardinal m) (List.nth (List.sort compare l) 500) (M.fold (fun _ v a -> a + List.length v) m 0);
  let h = Hashtbl.create 10 in List.iter (fun x -> Hashtbl.replace h (string_of_int (x mod 5003)) x) l; Printf.printf "%d\n" (Hashtbl.length h);
  let b = Buffer.create 10 in List.iter (fun x -> Buffer.add_string b (string_of_int x)) l; print_endline (Digest.to_hex (Digest.string (Buffer.contents b)));
  for i = 1 to 20 do ignore (Array.init 200000 (fun j -> (i, j))); Gc.full_major () done; Gc.compact ();
  let a = Bigarray.(Array1.create float64 c_layout 500000) in Bigarray.Array1.fill a 0.5; let s = ref 0. in for i = 0 to 499999 do s := !s +. a.{i} done; Printf.printf "%f\n" !s
O
ocamlopt -o w w.ml
./w
ocamlc -o wb w.ml
./wb
ocaml w.ml; echo 'let x : int = "a"' >wrong.ml; ocamlc wrong.ml 2>&1 || true
