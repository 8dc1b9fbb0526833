#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD"; text 4000 >t
cat >w.vim <<'VIM'
set nocp nomore
edit t
%s/\v(the|to) ([a-z]+)/\2 \1/ge
g/99/m0
sort
let d = {} | for l in getline(1, '$') | for w in split(l) | let d[w] = get(d, w, 0) + 1 | endfor | endfor
call writefile([len(d), string(sort(items(d))[0:20])], 'o')
normal gg100dd3jyy50pggqG
undo | undo | redo
w! u
let j = json_encode(map(range(3000), '{"a": v:val}')) | call writefile([len(j), len(json_decode(j)), sha256(j)], 'o', 'a')
py3 import vim; vim.current.buffer.append('from python'); vim.command('call writefile([getline("$")], "o", "a")')
perl $curbuf->Append(1, "from perl")
let g:s = system('sort -r t') | call writefile([sha256(g:s)], 'o', 'a')
w! v
qa!
VIM
vim -es -u NONE -i NONE -S w.vim </dev/null || true
cat o; md5sum u v
