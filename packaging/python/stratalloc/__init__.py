"""The allocator stratalloc under a Python interpreter.

An interpreter runs on it when the library is preloaded, which ``stratalloc-run python3 ...`` does.
The functions here ask the allocator of the running interpreter; they raise ``RuntimeError`` if that
is another one. Python keeps small objects in arenas of its own (obmalloc); ``PYTHONMALLOC=malloc``
gives all of them to the allocator. Thread-safe.
"""

import ctypes
import os

__all__ = ["active", "library", "metrics", "runner", "stats", "trim", "version"]
__version__ = "@VERSION@"

_FOLDER = os.path.dirname(os.path.abspath(__file__))

#: Names of ``stats()`` and gperftools' names of the same figures, all in bytes.
_PROPERTIES = {
    "in_use": b"generic.current_allocated_bytes",
    "heap_size": b"generic.heap_size",
    "page_heap_free": b"tcmalloc.pageheap_free_bytes",
    "page_heap_released": b"tcmalloc.pageheap_unmapped_bytes",
    "thread_cache_free": b"tcmalloc.current_total_thread_cache_bytes",
    "central_free": b"tcmalloc.central_cache_free_bytes",
    "transfer_cache_free": b"tcmalloc.transfer_cache_free_bytes",
}


def library(hardened=False):
    """The path of the library, for ``LD_PRELOAD``."""
    name = "libstratalloc-hardened.so.0" if hardened else "libstratalloc.so.0"
    return os.path.join(_FOLDER, "lib", name)


def runner():
    """The path of the program ``stratalloc-run``."""
    return os.path.join(_FOLDER, "bin", "stratalloc-run")


def active():
    """Whether this interpreter runs on stratalloc."""
    return hasattr(ctypes.CDLL(None), "stratalloc_version")


def _process():
    if not active():
        raise RuntimeError("this interpreter does not run on stratalloc: stratalloc-run python3 ...")
    return ctypes.CDLL(None)


def version():
    """Name and version of the allocator of this interpreter."""
    function = _process().stratalloc_version
    function.restype = ctypes.c_char_p
    return function().decode()


def stats():
    """The allocator's figures in bytes, by name."""
    function = _process().MallocExtension_GetNumericProperty
    function.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t)]
    figures = {}
    for name, of_gperftools in _PROPERTIES.items():
        value = ctypes.c_size_t()
        if function(of_gperftools, ctypes.byref(value)):
            figures[name] = value.value
    return figures


def metrics():
    """All figures as OpenMetrics text."""
    function = _process().stratalloc_metrics
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    function.restype = ctypes.c_size_t
    size = 64 << 10
    while True:
        buffer = ctypes.create_string_buffer(size)
        length = function(buffer, size)
        if length < size:
            return buffer.value.decode()
        size = length + 1


def trim(keep=0):
    """Gives free memory back to the system, all but ``keep`` bytes. Whether there was any."""
    function = _process().malloc_trim
    function.argtypes = [ctypes.c_size_t]
    return bool(function(keep))
