#!/bin/sh
set -eu
export HOME="$PWD"
cat >w.html <<'HTML'
<!doctype html><title>t</title><body><canvas id=c width=200 height=100></canvas><ul id=u></ul><script>
let x = 1, m = new Map(); for (let i = 0; i < 200000; i++) { x = (Math.imul(x, 1103515245) + 12345) >>> 1; m.set(x % 997, (m.get(x % 997) || 0) + 1) }
for (const k of [...m.keys()].sort((a, b) => a - b).slice(0, 50)) { const l = document.createElement('li'); l.textContent = k + ':' + m.get(k); u.append(l) }
const g = c.getContext('2d'); for (let i = 0; i < 300; i++) { g.fillStyle = `hsl(${i * 7 % 360},50%,50%)`; g.fillRect(i * 13 % 200, i * 7 % 100, 20, 9) } document.title = g.getImageData(0, 0, 200, 100).data.reduce((a, b) => (a * 31 + b) % 1000003);
</script>
HTML
c() { timeout 80 chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --user-data-dir="$PWD/p" "$@" 2>>log; }
c --virtual-time-budget=5000 --dump-dom "file://$PWD/w.html"
c --screenshot="$PWD/s.png" --window-size=600,400 "file://$PWD/w.html" >/dev/null; file s.png | cut -d, -f1-2
c --print-to-pdf="$PWD/s.pdf" --no-pdf-header-footer "file://$PWD/w.html" >/dev/null; pdftotext s.pdf - | md5sum
