#!/bin/sh
set -eu
. "$(dirname "$0")/common"
{ text 3000; echo 'teh wrogn speling of wrods recieve acommodate'; } >t
aspell -d en list <t | sort -u; echo 'recieve acommodate wrogn' | aspell -a -d en | tail -n +2; hunspell -d en_US -l t | sort -u; echo 'recieve acommodate wrogn' | hunspell -a -d en_US | tail -n +2; aspell -d en dump master | sort | md5sum; echo 'walked running' | hunspell -s -d en_US
