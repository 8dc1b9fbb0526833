import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.Deflater;

/** Indexes a log on a pool of threads, through direct buffers and compression, which use malloc. */
public class Work {
    private static long part(List<String> lines, TreeMap<String, Integer> words) {
        long sum = 0;
        for (String line : lines) {
            for (String word : line.split("[ /?&=\"\\[\\]]+")) {
                words.merge(word, 1, Integer::sum);
            }
            byte[] bytes = line.getBytes(StandardCharsets.UTF_8);
            ByteBuffer direct = ByteBuffer.allocateDirect(bytes.length * 8);
            for (int turn = 0; turn < 8; turn++) {
                direct.put(bytes);
            }
            direct.flip();
            sum += direct.remaining() + direct.get(bytes.length / 2);
        }
        return sum;
    }

    private static int packed(byte[] bytes) {
        Deflater deflater = new Deflater(1);
        deflater.setInput(bytes);
        deflater.finish();
        byte[] piece = new byte[4096];
        int length = 0;
        while (!deflater.finished()) {
            length += deflater.deflate(piece);
        }
        deflater.end();
        return length;
    }

    public static void main(String[] arguments) throws Exception {
        List<String> lines = Files.readAllLines(Path.of(arguments[0]));
        var pool = Executors.newFixedThreadPool(2);
        var parts = new ArrayList<Future<String>>();
        for (int at = 0; at < lines.size(); at += 1000) {
            List<String> slice = lines.subList(at, Math.min(at + 1000, lines.size()));
            parts.add(pool.submit(() -> {
                var words = new TreeMap<String, Integer>();
                long sum = part(slice, words);
                var out = new ByteArrayOutputStream();
                out.write(words.toString().getBytes(StandardCharsets.UTF_8));
                return words.size() + " " + sum + " " + packed(out.toByteArray());
            }));
        }
        for (var one : parts) {
            System.out.println(one.get());
        }
        pool.shutdown();
    }
}
