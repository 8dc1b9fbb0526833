# A repository's life with fixed names and dates; prints only what is the same in every run.
set -eu
export HOME="$PWD" GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=Author GIT_AUTHOR_EMAIL=author@example.org
export GIT_COMMITTER_NAME=Committer GIT_COMMITTER_EMAIL=committer@example.org
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
git init --quiet --initial-branch=main repository
cd repository
i=0
while [ $i -lt 200 ]; do
    mkdir -p "folder$((i % 10))"
    seq $i $((i * 20 + 5)) > "folder$((i % 10))/file$i"
    i=$((i + 1))
done
git add .
git commit --quiet --message 'Two hundred files'
for round in 1 2 3 4 5; do
    seq $round 100 5000 >> folder$round/file$round
    git mv folder0/file$((round * 10)) folder9/moved$round
    git commit --quiet --all --message "Round $round"
done
git checkout --quiet -b side HEAD~3
echo side > folder5/side
git add .
git commit --quiet --message 'On the side'
git checkout --quiet main
git merge --quiet --no-edit side
git log --stat --graph --all
git diff --stat --find-renames HEAD~5
git gc --quiet --aggressive
git fsck --full --strict
git rev-parse HEAD 'HEAD^{tree}'
git archive HEAD | sha256sum
git clone --quiet --no-local . ../clone
git -C ../clone log --oneline | sha256sum
