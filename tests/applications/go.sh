#!/bin/sh
set -eu
export HOME="$PWD" GOPATH="$PWD/go" GOCACHE="$PWD/cache" GOFLAGS=-mod=mod GO111MODULE=off
cat >w.go <<'G'
package main
// #include <stdlib.h>
// #include <string.h>
import "C"
import ("fmt"; "sort"; "strings"; "sync"; "crypto/sha256"; "runtime")
func main() {
	x, l, m := uint32(1), []int{}, map[int][]string{}
	for i := 0; i < 100000; i++ { x = (x*1103515245 + 12345) % 2147483648; l = append(l, int(x)); m[int(x)%997] = append(m[int(x)%997], fmt.Sprint(x)) }
	sort.Ints(l); n := 0; for _, v := range m { n += len(strings.Join(v, ",")) }; fmt.Println(l[0], l[50000], n)
	var wg sync.WaitGroup; out := make([]int, 8)
	for t := range out { wg.Add(1); go func(t int) { defer wg.Done(); for i := 0; i < 3000; i++ { p := C.malloc(C.size_t(i%2000 + 1)); C.memset(p, 65, C.size_t(i%2000+1)); out[t] += int(*(*byte)(p)); C.free(p); _ = make([]byte, i*10) } }(t) }
	wg.Wait(); runtime.GC(); fmt.Println(out); fmt.Printf("%x\n", sha256.Sum256([]byte(fmt.Sprint(l))))
}
G
go build -o w w.go
./w
go vet w.go && gofmt -d w.go | wc -l | awk '{ print ($1 > 5) }'
