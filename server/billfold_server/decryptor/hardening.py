"""What keeps the decryptor's memory to itself: no core dumps, no other process that looks in, no values in its logs."""

import ctypes
import logging
import mmap
import os
import resource
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, Final

__all__ = ["close_to_others", "frames_of", "keep_words_out_of_logs", "lock_memory", "silence_failures"]

_log = logging.getLogger("billfold.decryptor")

_PR_SET_DUMPABLE: Final = 4
_MCL_CURRENT_AND_FUTURE: Final = 3
_MADV_DONTDUMP: Final = getattr(mmap, "MADV_DONTDUMP", None)
_MADV_DONTFORK: Final = getattr(mmap, "MADV_DONTFORK", None)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def close_to_others() -> bool:
    """Turn core dumps off, and let no process of the same user look into this one's memory or environment (Linux).

    Where the limit for locked memory is lifted (``LimitMEMLOCK=infinity``), all of the process stays out of the swap.

    Returns:
        Whether all of its memory is locked.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the process can't be closed to others")
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    # With a limit, locking what is to come would let some later allocation fail.
    return bool(soft == resource.RLIM_INFINITY and libc.mlockall(_MCL_CURRENT_AND_FUTURE) == 0)


def lock_memory(memory: mmap.mmap) -> bool:
    """Keep a piece of memory out of swap, dumps and forks; tell whether it is out of the swap."""
    for advice in (_MADV_DONTDUMP, _MADV_DONTFORK):
        if advice is not None:
            memory.madvise(advice)
    libc = ctypes.CDLL(None, use_errno=True)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return bool(libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(len(memory))) == 0)


def frames_of(exc_info: ExcInfo) -> str:
    """Return where something failed and which kinds of errors these were, and not a word of what they say.

    A message may hold what couldn't be read, and what can't be read here is somebody's card number.
    """
    lines: list[str] = []
    error: BaseException | None = exc_info[1]
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}")
        lines += [
            f"  {os.path.basename(frame.filename)}:{frame.lineno} {frame.name}"  # noqa: PTH119 - A text, not a path.
            for frame in traceback.extract_tb(error.__traceback__, limit=30)
        ]
        error = error.__cause__ or error.__context__
    return "\n".join(lines)


def silence_failures() -> None:
    """Let what nobody has caught be told without its words, wherever it comes up."""

    def told(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            _log.error("the decryptor failed\n%s", frames_of((kind, error, trace)))

    def of_thread(args: threading.ExceptHookArgs) -> None:
        told(args.exc_type, args.exc_value, args.exc_traceback)

    def unraisable(args: Any) -> None:
        told(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = told
    threading.excepthook = of_thread
    sys.unraisablehook = unraisable


class _Wordless(logging.Filter):
    """Lets our own lines through, without what errors say, and tells of others' lines only where they come from."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("billfold."):
            record.msg, record.args = f"something was logged at {record.module}:{record.lineno}", None
        if record.exc_info:
            kind, error, trace = record.exc_info
            if kind is not None and error is not None:
                record.msg, record.args = f"{record.getMessage()}\n{frames_of((kind, error, trace))}", None
        record.exc_info, record.exc_text, record.stack_info = None, None, None
        return True


def keep_words_out_of_logs() -> None:
    """Keep what errors and libraries say out of this process's logs; to be called when they have been set up."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Wordless())
