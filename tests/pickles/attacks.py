"""Malicious pickles: one for each opcode that can call, and some for what is admitted; and the files to put them into."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

#: A module that leaves a trace when it is imported, and whose class leaves one whatever is done with it.
LOUD_MODULE = """
def trace(*args, **named):
    open({trace!r}, "w").close()

trace()

class Loud:
    def __new__(cls, *args, **named):
        trace()
        return object.__new__(cls)
    __init__ = __setstate__ = __setattr__ = __setitem__ = __hash__ = append = extend = add = trace
"""

EXEC = b"cbuiltins\nexec\n"
LOUD = b"cloud_module\nLoud\n"
ORDERED = b"ccollections\nOrderedDict\n"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
PARAMETER = b"ctorch._utils\n_rebuild_parameter\n"
NDARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"


def text(value: str) -> bytes:
    """The opcode that pushes it."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def python_for(trace: Path) -> bytes:
    """One line of Python that leaves the trace, as an opcode of text."""
    return text(f"open({str(trace)!r}, 'w').close()")


def attacks(code: bytes) -> dict[str, tuple[bytes, str]]:
    """Name -> (opcodes that leave one value, what the refusal must say)."""
    call = b"(" + code + b"t"
    item = text("a") + b"K\x01"
    loud = LOUD + b")\x81"
    return {
        # The opcodes that call or make.
        "REDUCE": (EXEC + call + b"R", r"would call builtins\.exec"),
        "REDUCE of STACK_GLOBAL": (text("builtins") + text("exec") + b"\x93" + call + b"R", r"would call builtins\.exec"),
        "REDUCE of MEMOIZE and GET": (EXEC + b"p7\n0g7\n" + call + b"R", r"would call builtins\.exec"),
        "REDUCE of text": (code + b")R", r"would call a value \(str\)"),
        "REDUCE of a holder": (loud + call + b"R", r"would call a value \(an object of loud_module\.Loud\)"),
        "REDUCE with a list": (ORDERED + b"]R", "with list for arguments"),
        "INST": (b"(" + code + b"ibuiltins\nexec\n", r"would make builtins\.exec with arguments"),
        "OBJ": (b"(" + EXEC + code + b"o", r"would make builtins\.exec with arguments"),
        "OBJ of nothing": (b"(o", "damaged"),
        "NEWOBJ": (LOUD + call + b"\x81", r"would make loud_module\.Loud with arguments"),
        "NEWOBJ_EX": (LOUD + b")}" + text("a") + b"K\x01s\x92", r"would make loud_module\.Loud with arguments"),
        "NEWOBJ_EX with positions": (LOUD + call + b"}\x92", r"would make loud_module\.Loud with arguments"),
        "NEWOBJ of text": (code + b")\x81", r"would make an object of a value \(str\)"),
        "NEWOBJ of what is admitted": (ORDERED + b")\x81", r"would make collections\.OrderedDict in another way"),
        "INST of what is admitted": (b"(icollections\nOrderedDict\n", r"would make collections\.OrderedDict in another way"),
        # States.
        "BUILD of a class": (LOUD + b"}" + item + b"sb", r"would give loud_module\.Loud a state"),
        "BUILD of a function": (EXEC + b"}" + text("__code__") + b"K\x01sb", r"would give builtins\.exec a state"),
        "BUILD of what is admitted": (TENSOR + b"}" + text("__defaults__") + b"K\x01sb", r"give torch\._utils\.\w+ a state"),
        "BUILD of slots of what is admitted": (TENSOR + b"(N}" + item + b"stb", r"give torch\._utils\.\w+ a state"),
        "BUILD of a list": (b"]}" + text("append") + EXEC + b"sb", "would give list a state"),
        "BUILD of a dictionary": (b"}}" + text("items") + EXEC + b"sb", "would give dict a state"),
        "BUILD of text": (code + b"}b", "would give str a state"),
        "BUILD of slots of an OrderedDict": (ORDERED + b")R(N}" + item + b"stb", "OrderedDict a state that is no dictionary"),
        # What fills containers looks up methods, and what hashes calls them.
        "APPEND": (loud + code + b"a", r"would append to an object of loud_module\.Loud"),
        "APPENDS": (loud + b"(" + code + b"e", r"would append to an object of loud_module\.Loud"),
        "APPENDS to a class": (LOUD + b"(" + code + b"e", r"would append to loud_module\.Loud"),
        "APPENDS to a bytearray": (b"cbuiltins\nbytearray\n)R(K\x01e", "would append to bytearray"),
        "SETITEM": (loud + item + b"s", r"would set items of an object of loud_module\.Loud"),
        "SETITEMS": (loud + b"(" + item + b"u", r"would set items of an object of loud_module\.Loud"),
        "SETITEMS of copyreg": (
            b"ccopyreg\n_extension_registry\n(" + item + b"u",
            r"would set items of copyreg\._extension_registry",
        ),
        "SETITEM of a list": (b"]K\x00" + code + b"s", "would set items of list"),
        "ADDITEMS": (loud + b"(" + code + b"\x90", r"would add to an object of loud_module\.Loud"),
        "ADDITEMS of a list": (b"\x8f(]\x90", "has list as a key or in a set"),
        "FROZENSET of dictionaries": (b"(}\x91", "has dict as a key or in a set"),
        "DICT by an array": (b"(" + NDARRAY + b"K\x01d", "as a key or in a set"),
        # Names from elsewhere.
        "PERSID": (b"Pid\n", r"has a persistent id \(id\)"),
        "BINPERSID": (code + b"Q", "has a persistent id"),
        "BINPERSID of a call": (b"(" + text("storage") + EXEC + code + code + b"K\x01tQ", r"has a storage of builtins\.exec"),
        "BINPERSID of another kind": (b"(" + text("reduce") + EXEC + b"tQ", "no storage of torch"),
        "EXT1": (b"\x82\xc8" + call + b"R", "extension code"),
        "EXT2": (b"\x83\xc8\x00" + call + b"R", "extension code"),
        "EXT4": (b"\x84\xc8\x00\x00\x00" + call + b"R", "extension code"),
        "NEXT_BUFFER": (b"\x97", "0x97 is no opcode"),
        "READONLY_BUFFER": (code + b"\x98", "0x98 is no opcode"),
        # Names that lead to others.
        "a dotted name": (text("builtins") + text("exec.__call__") + b"\x93" + call + b"R", r"call builtins\.exec\.__call__"),
        "a method of what is admitted": (
            text("collections") + text("OrderedDict.__reduce__") + b"\x93" + ORDERED + b")R\x85R",
            r"would call collections\.OrderedDict\.__reduce__",
        ),
        "the globals of what is admitted": (
            text("torch._utils") + text("_rebuild_tensor_v2.__globals__.get") + b"\x93" + call + b"R",
            r"would call torch\._utils\._rebuild_tensor_v2\.__globals__\.get",
        ),
        "a name for a terminal": (
            text("os\x1b[2J") + text("system") + b"\x93" + call + b"R",
            r"would call os\\x1b\[2J\.system",
        ),
        "STACK_GLOBAL of no text": (EXEC + text("exec") + b"\x93", "STACK_GLOBAL requires str"),
        # What is admitted, used otherwise.
        "a list of pairs that are none": (ORDERED + b"(" + code + b"tR", "would fill a container from str"),
        "pairs with keys that hash": (ORDERED + b"(((}K\x01tttR", "has dict as a key"),
        "a parameter of text": (PARAMETER + b"(" + code + b"\x89}tR", "parameter of str, not of a tensor"),
        "a parameter of a holder": (PARAMETER + b"(" + loud + b"\x89}tR", r"parameter of an object of loud_module\.Loud"),
        "a tensor of text": (TENSOR + b"(" + code + b"K\x00)" + b")\x89}tR", "tensor of str, not of a storage"),
        "a tensor with too few arguments": (TENSOR + b")R", r"_rebuild_tensor_v2 with arguments that do not fit"),
        "a size of text": (b"ctorch\nSize\n(" + code + b"tR", r"torch\.Size that is malformed"),
        "an array of a class": (
            b"cnumpy.core.multiarray\n_reconstruct\n(" + LOUD + b"(K\x00tU\x01btR",
            r"reconstruct something else than numpy\.ndarray",
        ),
        "an array by its class": (b"cnumpy\nndarray\n((J\xff\xff\xff\x7fttR", r"would call numpy\.ndarray"),
        "an array of objects": (b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR", "numpy array of 'O8'"),
        "a codec that decompresses": (b"c_codecs\nencode\n(" + code + text("zip") + b"tR", "_codecs.encode to 'zip'"),
        "bytes of any length": (b"c__builtin__\nbytes\n(J\xff\xff\xff\x7ftR", "bytes with arguments that do not fit"),
        "a bytearray of any length": (b"c__builtin__\nbytearray\n(J\xff\xff\xff\x7ftR", "has int for the bytes"),
        "a complex number of text": (b"c__builtin__\ncomplex\n(" + code + code + b"tR", "something else than two numbers"),
        # Functions that have been used to break out.
        **{
            name: (b"c" + name.replace(" ", "\n").encode() + b"\n" + call + b"R", f"would call {name.replace(' ', '.')}")
            for name in (
                "__builtin__ eval",
                "__builtin__ getattr",
                "__builtin__ __import__",
                "__main__ run",
                "copy_reg _reconstructor",
                "copyreg __newobj__",
                "copyreg __newobj_ex__",
                "copyreg add_extension",
                "functools partial",
                "importlib import_module",
                "nt system",
                "numpy load",
                "numpy.f2py.capi_maps getinit",
                "operator methodcaller",
                "os system",
                "pickle loads",
                "posix system",
                "runpy run_path",
                "subprocess Popen",
                "torch load",
                "torch.hub load",
                "torch.jit load",
                "torch._utils _rebuild_qtensor",
                "torch._utils _rebuild_wrapper_subclass",
                "torch._tensor _rebuild_from_type_v2",
                "torch.nn.modules.module register_module_forward_hook",
                "torch.storage _load_from_bytes",
                "types FunctionType",
                "webbrowser open",
            )
        },
    }


def harmless(code: bytes) -> dict[str, bytes]:
    """What runs something in a plain unpickler and is nothing but a name and a state here."""
    return {
        "an import": LOUD,
        "an empty object": LOUD + b")\x81",
        "an empty object by OBJ": b"(" + LOUD + b"o",
        "an empty object by INST": b"(iloud_module\nLoud\n",
        "an object with a state": LOUD + b")\x81}" + text("a") + code + b"sb",
        "an object with slots": LOUD + b")\x81(N}" + text("a") + code + b"stb",
        "an object as a key": b"}" + LOUD + b")\x81K\x01s",
        "the class of a module": b"(" + text("module") + LOUD + text("loud_module.py") + code + b"tQ",
        "a container that makes its values": b"ccollections\ndefaultdict\n" + LOUD + b"\x85R",
    }


def program(body: bytes, protocol: int) -> bytes:
    """A pickle of a list that holds what the opcodes leave."""
    return (b"\x80" + bytes([protocol]) if protocol >= 2 else b"") + b"(" + body + b"l."


def zipped(data: bytes, records: dict[str, bytes] | None = None, **more: bytes) -> bytes:
    """A file of torch since 1.6."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, record in {"data.pkl": data, "byteorder": b"little", "version": b"3\n", **(records or {}), **more}.items():
            archive.writestr(f"saved/{name}", record)
    return out.getvalue()


def legacy(
    data: bytes, storages: bytes = b"", keys: tuple[str, ...] = (), *, little: bool = True, protocol: int = 1001
) -> bytes:
    """A file of torch before 1.6."""
    preamble = (0x1950A86A20F9469CFC6C, protocol, {"protocol_version": protocol, "little_endian": little})
    return b"".join(pickle.dumps(part, 2) for part in preamble) + data + pickle.dumps(list(keys), 2) + storages


CARRIERS: dict[str, Callable[[bytes], bytes]] = {"plain": lambda data: data, "zip": zipped, "legacy": legacy}
