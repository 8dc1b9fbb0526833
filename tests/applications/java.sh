#!/bin/sh
set -eu
cat >W.java <<'J'
import java.util.*; import java.util.concurrent.*; import java.util.stream.*; import java.util.zip.*; import java.nio.*; import java.security.*; import java.net.*; import java.io.*;
public class W {
    static byte[] gz(byte[] b) throws Exception { var o = new ByteArrayOutputStream(); try (var g = new GZIPOutputStream(o)) { g.write(b); } return new GZIPInputStream(new ByteArrayInputStream(o.toByteArray())).readAllBytes(); }
    public static void main(String[] a) throws Exception {
        long x = 1; var m = new TreeMap<Long, List<String>>(); for (int i = 0; i < 200000; i++) { x = (x * 1103515245L + 12345) % 2147483648L; m.computeIfAbsent(x % 997, k -> new ArrayList<>()).add("" + x); }
        System.out.println(m.size() + " " + m.values().stream().mapToInt(List::size).sum() + " " + m.get(7L).get(3));
        var pool = Executors.newFixedThreadPool(32); var fs = new ArrayList<Future<Long>>(); for (int t = 0; t < 64; t++) { int n = t; fs.add(pool.submit(() -> { long s = 0; for (int i = 0; i < 300; i++) { var b = ByteBuffer.allocateDirect(i * 37 % 9000 + 1); b.put(0, (byte) n); s += b.get(0) + new byte[i * 100].length; } s += gz(("text " + n).repeat(3000).getBytes()).length; return s; })); }
        long s = 0; for (var f : fs) s += f.get(); pool.shutdown(); System.out.println(s); for (int i = 0; i < 20; i++) { var l = IntStream.range(0, 200000).mapToObj(Integer::toString).collect(Collectors.toList()); s += l.size(); } System.gc(); System.out.println(s);
        System.out.println(HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(m.toString().getBytes()))); System.out.println(IntStream.range(0, 1000000).parallel().filter(i -> i % 7 == 3).sum());
        try (var srv = new ServerSocket(0)) { var t = new Thread(() -> { try { for (int i = 0; i < 50; i++) { var c = srv.accept(); c.getInputStream().transferTo(c.getOutputStream()); c.close(); } } catch (IOException e) { e.printStackTrace(); } }); t.start(); int n = 0; for (int i = 0; i < 50; i++) try (var c = new Socket("127.0.0.1", srv.getLocalPort())) { c.getOutputStream().write(new byte[i * 50]); c.shutdownOutput(); n += c.getInputStream().readAllBytes().length; } t.join(); System.out.println(n); }
        var ts = new ArrayList<Thread>(); var c = new java.util.concurrent.atomic.AtomicInteger(); for (int i = 0; i < 500; i++) { var t = new Thread(c::incrementAndGet); ts.add(t); t.start(); } for (var t : ts) t.join(); System.out.println(c); System.out.println(new ProcessBuilder("echo", "child").start().inputReader().readLine());
    }
}
J
javac W.java; for g in -XX:+UseG1GC -XX:+UseSerialGC -XX:+UseParallelGC -XX:+UseZGC -XX:+UseShenandoahGC; do java $g -Xmx200m W; done
java -Xint -Xmx100m W | md5sum; javap -c -p W | md5sum; echo '1 + 2; "a".repeat(5)' | jshell -s 2>/dev/null | grep -c . || true
printf 'class X { int f() { return "a"; } }\n' >X.java; javac X.java 2>&1 || true; jar -cf w.jar W*.class; jar -tf w.jar | sort; java -cp w.jar -XX:NativeMemoryTracking=summary W | md5sum
