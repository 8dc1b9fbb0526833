#!/bin/sh
set -eu
. "$(dirname "$0")/common"
umask 077; text 3000 >t; mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t rsa -b 2048 -N '' -f user; cp user.pub allowed
printf 'Port 2200\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/allowed\nPidFile %s/pid\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nSubsystem sftp /usr/lib/openssh/sftp-server\nMaxStartups 50\n' "$PWD" "$PWD" "$PWD" >c
/usr/sbin/sshd -D -f "$PWD/c" -E "$PWD/log" & server=$!; listening 2200
o="-q -i $PWD/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=$PWD/known -o BatchMode=yes"
# shellcheck disable=SC2086
{ ssh $o -p 2200 root@127.0.0.1 "echo remote; seq 1 20000 | md5sum"; ssh $o -C -p 2200 root@127.0.0.1 md5sum <t; scp $o -P 2200 t root@127.0.0.1:"$PWD/t2"; cmp t t2 && echo same; printf 'put t %s/t3\nls -1 %s/t3\n' "$PWD" "$PWD" | sftp $o -P 2200 -b - root@127.0.0.1 | tail -1 | sed 's/.*t3/t3/'; for i in 1 2 3 4 5 6; do ssh $o -p 2200 root@127.0.0.1 "echo $i; cat" <t >"o$i" & eval "p$i=$!"; done; wait $p1 $p2 $p3 $p4 $p5 $p6; md5sum o?; for c in aes256-ctr chacha20-poly1305@openssh.com; do ssh $o -c $c -p 2200 root@127.0.0.1 echo $c; done; ssh $o -i host -o IdentitiesOnly=yes -p 2200 nobody@127.0.0.1 true || echo "refused $?"; }
ssh -M -S "$PWD/m" -f -N -i user -o StrictHostKeyChecking=no -o UserKnownHostsFile=known -p 2200 root@127.0.0.1 2>/dev/null; for i in 1 2 3; do ssh -S "$PWD/m" x echo shared $i; done; ssh -S "$PWD/m" -O exit x 2>/dev/null; eval "$(ssh-agent)" >/dev/null; ssh-add -q user; ssh-add -l | wc -l; ssh-agent -k >/dev/null; kill $server; wait $server || echo "server ended $?"
