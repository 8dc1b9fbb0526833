#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir d; for i in $(seq 40); do text $((i * 30)) >"d/$i.txt"; done; chmod 755 . d
printf '#!/bin/sh\necho Content-type: text/plain; echo; echo cgi $QUERY_STRING\n' >d/w.cgi; chmod 755 d/w.cgi; echo '<?php echo "php ", array_sum(range(1, 1000)), "\n";' >d/w.php
m=/usr/lib/apache2/modules
for mpm in event prefork; do
    { echo "ServerName localhost"; echo "PidFile $PWD/pid"; echo "DefaultRuntimeDir $PWD"; echo "ErrorLog $PWD/err"; echo 'Listen 127.0.0.1:8000'; echo "LoadModule mpm_${mpm}_module $m/mod_mpm_$mpm.so"
      for i in authz_core dir mime deflate filter rewrite cgi status; do echo "LoadModule ${i}_module $m/mod_$i.so"; done
      [ $mpm = event ] || echo "LoadModule php_module $m/libphp8.2.so"
      printf 'User nobody\nGroup nogroup\nTypesConfig /etc/mime.types\nDocumentRoot %s/d\n<Directory %s/d>\nOptions ExecCGI\nAddHandler cgi-script .cgi\nAddOutputFilterByType DEFLATE text/plain\nRewriteEngine on\nRewriteRule ^old/(.*) /$1\n</Directory>\n<FilesMatch php$>\nSetHandler application/x-httpd-php\n</FilesMatch>\n' "$PWD" "$PWD"; } >c
    setsid apache2 -f "$PWD/c" -DFOREGROUND & server=$!; listening 8000
    curl -s 'http://127.0.0.1:8000/[1-40].txt' | md5sum; curl -s --compressed 'http://127.0.0.1:8000/old/[1-9].txt' | md5sum; curl -s 'http://127.0.0.1:8000/w.cgi?a=b'; curl -s http://127.0.0.1:8000/w.php | tail -1; curl -s http://127.0.0.1:8000/none | md5sum
    ab -q -n 1500 -c 15 http://127.0.0.1:8000/9.txt | grep -E 'Complete requests|Failed'; kill -USR1 $server; sleep 1; curl -s http://127.0.0.1:8000/7.txt | md5sum; kill $server; wait $server || true; grep -c 'signal' err | sed 's/^/signals in the log: /' || true; grep -c 'exit signal' err || true
    gone $server; sleep 1
done
