#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir db
cat >slapd.conf <<C
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $PWD/pid
database mdb
suffix "dc=a"
rootdn "cn=root,dc=a"
rootpw secret
directory $PWD/db
maxsize 104857600
index uid,cn eq,sub
C
{ printf 'dn: dc=a\nobjectClass: dcObject\nobjectClass: organization\no: a\ndc: a\n\n'; numbers 3000 | awk '{ printf "dn: uid=u%d,dc=a\nobjectClass: inetOrgPerson\ncn: name %s\nsn: s%s\nuid: u%d\nmail: m%s@a\n\n", NR, $1, $1 % 97, NR, $1 }'; } >in.ldif
slapadd -f slapd.conf -l in.ldif -q
slapd -f slapd.conf -h ldap://127.0.0.1:3890 -d 0 2>/dev/null &
server=$!
listening 3890
find() { ldapsearch -x -LLL -H ldap://127.0.0.1:3890 -D cn=root,dc=a -w secret -b dc=a -z none "$@"; }
find '(sn=s7)' uid | sort | md5sum; find '(cn=*77*)' dn | grep -c dn; find '(&(sn=s1*)(!(mail=m1*)))' mail | sort | md5sum
for i in $(seq 20); do find "(uid=u$((i * 100)))" cn | grep cn: & done | sort | md5sum
printf 'dn: uid=u5,dc=a\nchangetype: modify\nreplace: cn\ncn: new\n\ndn: uid=u6,dc=a\nchangetype: delete\n' | ldapmodify -x -H ldap://127.0.0.1:3890 -D cn=root,dc=a -w secret | md5sum
find '(|(uid=u5)(uid=u6))' cn; kill -INT $server; wait $server; echo "server ended $?"; slapcat -f slapd.conf | grep -c '^dn:'
