#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
export HOME="$PWD" GIT_CONFIG_NOSYSTEM=1
git init -q -b main work
cd work
for i in $(seq 1 40); do
    text $((i * 50)) >file
    mkdir -p "d$((i % 5))"; echo "$i" >"d$((i % 5))/n$i"
    git add . && git commit -q -m "change $i"
done
git checkout -q -b side HEAD~10
echo side >side && git add . && git commit -q -m side
git merge -q -m merged main
git log --oneline --graph | md5sum
git gc -q --aggressive
git fsck 2>/dev/null; git count-objects -v | grep -v size
git clone -q . ../copy; git -C ../copy rev-parse HEAD
git blame file | md5sum
git diff HEAD~20 --stat | tail -1
git rebase -q main side && git log --format=%H -1
git archive --format=tar HEAD | md5sum
git grep -c magazine | head -5; git bundle create -q ../b --all; git bundle verify -q ../b && echo good
git repack -adq --window=50 --threads=4 && git rev-list --objects --all | wc -l
