"""A tour of Python's own memory use: containers, strings, JSON, sorting, threads, processes.

Prints only what is the same in every run.
"""
import gc
import hashlib
import json
import random
import re
import subprocess
import sys
import threading
import zlib


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def documents(count):
    pick = random.Random(42)
    return [
        {
            "id": i,
            "name": "".join(pick.choice("abcdefghij") for _ in range(pick.randrange(3, 40))),
            "tags": [pick.randrange(1000) for _ in range(pick.randrange(8))],
            "nested": {"x": pick.random(), "y": [None, True, "text" * pick.randrange(5)]},
        }
        for i in range(count)
    ]


def json_and_sort():
    items = documents(20000)
    text = json.dumps(items, sort_keys=True)
    again = json.loads(text)
    again.sort(key=lambda item: (item["name"], item["id"]))
    print("json", digest(text), digest(json.dumps(again)), again == items)


def strings_and_patterns():
    words = [f"word{i % 977}" for i in range(200000)]
    joined = " ".join(words)
    found = re.findall(r"word(\d*7)\b", joined)
    replaced = re.sub(r"\d+", lambda match: match.group()[::-1], joined)
    packed = zlib.compress(replaced.encode())
    print("text", len(found), digest(replaced), len(zlib.decompress(packed)))


def big_blocks():
    buffers = [bytearray(1 << (10 + i % 14)) for i in range(100)]
    for i, buffer in enumerate(buffers):
        buffer[::997] = bytes([i % 251]) * len(buffer[::997])
        buffer.extend(b"x" * (i * 1000))
    total = sum(zlib.crc32(buffer) for buffer in buffers)
    numbers = [pow(3, 2000 + i) for i in range(2000)]
    print("buffers", total, sum(numbers) % 1000000007)


def on_threads():
    results = [None] * 8

    def work(which):
        table = {}
        for i in range(30000):
            table[(which, i % 5000)] = str(i) * (i % 7)
        results[which] = digest("".join(sorted(table.values())))

    threads = [threading.Thread(target=work, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("threads", len(set(results)), results[0])


def processes():
    code = "import sys; print(sum(len(str(i)) for i in range(int(sys.argv[1]))))"
    for count in (10, 1000, 50000):
        done = subprocess.run([sys.executable, "-S", "-c", code, str(count)], capture_output=True)
        print("process", done.returncode, done.stdout.decode().strip(), done.stderr.decode())


class Node:
    def __init__(self, before):
        self.before = before
        self.payload = [self] * 3


def cycles():
    for _ in range(20):
        node = None
        for _ in range(3000):
            node = Node(node)
        del node
    gc.collect()
    print("cycles", len(gc.garbage))


json_and_sort()
strings_and_patterns()
big_blocks()
on_threads()
processes()
cycles()
