#!/bin/sh
set -eu
cat >w.adb <<'A'
with Ada.Text_IO; use Ada.Text_IO; with Ada.Containers.Ordered_Maps; with Ada.Containers.Vectors; with Ada.Strings.Unbounded; use Ada.Strings.Unbounded; with Ada.Unchecked_Deallocation;
procedure W is
   package M is new Ada.Containers.Ordered_Maps (Integer, Unbounded_String); package V is new Ada.Containers.Vectors (Positive, Long_Long_Integer); Map : M.Map; Vec : V.Vector; X : Long_Long_Integer := 1; S : Long_Long_Integer := 0;
   protected Total is procedure Add (N : Long_Long_Integer); function Get return Long_Long_Integer; private T : Long_Long_Integer := 0; end Total;
   protected body Total is procedure Add (N : Long_Long_Integer) is begin T := T + N; end Add; function Get return Long_Long_Integer is (T); end Total;
begin
   for I in 1 .. 50_000 loop X := (X * 1103515245 + 12345) mod 2147483648; Vec.Append (X); Map.Include (Integer (X mod 5003), To_Unbounded_String (X'Image)); end loop;
   for E of Vec loop S := S + E mod 97; end loop; Put_Line (S'Image & Map.Length'Image & To_String (Map.First_Element));
   declare task type T (N : Integer); task body T is type A is array (Positive range <>) of Integer; type P is access A; procedure Free is new Ada.Unchecked_Deallocation (A, P); Q : P;
      begin for I in 1 .. 5_000 loop Q := new A (1 .. I mod 300 + 1); Q (1) := I * N; Total.Add (Long_Long_Integer (Q (1))); Free (Q); end loop; end T; T1 : T (1); T2 : T (2); T3 : T (3); begin null; end;
   Put_Line (Total.Get'Image); raise Constraint_Error; exception when Constraint_Error => Put_Line ("raised");
end W;
A
gnatmake -q -O1 w.adb
./w
