#!/bin/sh
set -eu
# A part of CPython's own test suite: the files whose subject is memory, threads, processes or big data.
export PYTHONHASHSEED=0
python3 -m test --timeout 300 test_list test_dict test_set test_tuple test_str test_bytes test_unicode_file test_gc \
    test_weakref test_threading test_thread test_queue test_json test_re test_zlib test_bz2 test_lzma test_sqlite3 \
    test_array test_memoryview test_buffer test_mmap test_ctypes test_struct test_pickle test_copy test_deque \
    test_heapq test_sort test_itertools test_generators test_decimal test_fractions test_int test_float test_math \
    test_hashlib test_io test_subprocess test_fork1 test_wait3 test_wait4 test_signal test_select test_socketserver \
    test_asyncore test_tempfile test_tarfile test_zipfile test_csv test_xml_etree test_minidom test_ast test_compile \
    test_tracemalloc test_exceptions test_capi test_finalization test_contextlib test_functools test_os \
    >log 2>&1 || { grep -vE '^[0-9:]+ load|^==' log | tail -60 >&2; exit 1; }
grep -E '^(All|[0-9]+ tests? (OK|failed|skipped))|Result:' log
