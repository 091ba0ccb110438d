"""Tree ensemble to C: the same files, symbols and entry points as a network, one layer that walks the trees.

Nodes, leaves and roots are tables in flash; the answer is the integer sum over trees, which is exact on every core.
"""

from __future__ import annotations

from pathlib import Path

from emulab.firmware.codegen.arena import Allocation, ArenaPlan
from emulab.firmware.codegen.emit import LICENCE, comment, header_file
from emulab.firmware.codegen.generator import GeneratedModel, LayerInfo, TensorDescription, _write
from emulab.firmware.codegen.graph import DType, Graph, Quantisation, Subgraph, Tensor
from emulab.firmware.codegen.target import KernelTarget
from emulab.firmware.trees import TreeEnsemble, read_trees

SYMBOL = "emulab_layer_0_trees"


def generate_trees(model_path: Path, out_dir: Path, *, target: KernelTarget) -> GeneratedModel:
    """Write C for the ensemble in *model_path* into *out_dir*; errors as :func:`emulab.firmware.codegen.generate`."""
    trees = read_trees(model_path)
    name = model_path.stem
    features = Tensor(0, "features", (1, trees.features), DType.INT8, Quantisation((trees.scale,), (0,)))
    answer = Tensor(1, "answer", (1, trees.classes), DType.INT32, Quantisation((trees.output_scale,), (0,)))
    at = -(-trees.features // 8) * 8
    arena_bytes = at + answer.bytes + target.reads_past_bytes
    plan = ArenaPlan(
        (Allocation("t0", 0, features.bytes, 0, 0), Allocation("t1", at, answer.bytes, 0, 0)),
        at + answer.bytes,
        features.bytes + answer.bytes,
    )
    layer = LayerInfo(
        index=0,
        op="TREES",
        symbol=SYMBOL,
        output=answer.name,
        output_shape=answer.shape,
        macs=0,
        executed_macs=0,
        weight_bytes=_table_bytes(trees),
        scratch_bytes=0,
    )
    graph = Graph(name, (Subgraph("trees", (features, answer), (), (0,), (1,)),))
    texts = {
        "model_weights.h": _tables(trees),
        "model.c": _source(name, trees, arena_bytes, at),
        "model.h": header_file(graph, [layer], arena_bytes),
    }
    files = _write(out_dir, texts)
    return GeneratedModel(
        name=name,
        target=target,
        header=out_dir / "model.h",
        sources=(out_dir / "model.c",),
        include_dirs=(out_dir,),
        defines=dict(target.defines),
        files=files,
        layers=(layer,),
        arena=plan,
        arena_bytes=arena_bytes,
        weight_bytes=layer.weight_bytes,
        inputs=(TensorDescription(features.name, features.shape, "int8", features.bytes, trees.scale, 0),),
        outputs=(TensorDescription(answer.name, answer.shape, "int32", answer.bytes, trees.output_scale, 0),),
    )


def _feature_type(trees: TreeEnsemble) -> str:
    return "uint8_t" if trees.features <= 256 else "uint16_t"


def _table_bytes(trees: TreeEnsemble) -> int:
    node = 6 if trees.features <= 256 else 8
    leaf = 2 if trees.kind == "boosted" else trees.classes
    return node * len(trees.nodes) + leaf * len(trees.leaves) + 2 * len(trees.roots) + 4 * trees.classes


def _array(c_type: str, name: str, words: list[str], per_line: int = 12) -> str:
    rows = ",\n".join("    " + ", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line))
    return f"static const {c_type} {name}[{len(words)}] __attribute__((aligned(8))) = {{\n{rows}}};\n"


def _tables(trees: TreeEnsemble) -> str:
    nodes = [f"{{{left}, {right}, {feature}, {threshold}}}" for feature, threshold, left, right in trees.nodes]
    leaf = "int16_t" if trees.kind == "boosted" else "uint8_t"
    base = trees.base or (0,) * trees.classes
    return "\n".join(
        [
            LICENCE.format(name="the ensemble's tables"),
            "#include <stdint.h>\n",
            "/* A child below 0 is leaf -child - 1. */",
            f"struct emulab_node {{ int16_t left, right; {_feature_type(trees)} feature; int8_t threshold; }};\n",
            _array("struct emulab_node", "emulab_nodes", nodes or ["{-1, -1, 0, 0}"], 6),
            _array(leaf, "emulab_leaves", [str(v) for row in trees.leaves for v in row]),
            _array("int16_t", "emulab_roots", [str(v) for v in trees.roots]),
            # INT32_MIN has no literal of its own in C.
            _array("int32_t", "emulab_base", [str(v) if v > -(2**31) else "(-2147483647 - 1)" for v in base]),
        ]
    )


def _source(name: str, trees: TreeEnsemble, arena_bytes: int, output_offset: int) -> str:
    if trees.kind == "forest":
        add = [
            f"        const uint8_t *leaf = emulab_leaves + {trees.classes} * (-at - 1);",
            f"        for (int c = 0; c < {trees.classes}; c++)",
            "            sum[c] += leaf[c];",
        ]
    else:
        add = [
            "        sum[class] += emulab_leaves[-at - 1];",
            f"        class = class + 1 == {trees.classes} ? 0 : class + 1;",
        ]
    lines = [
        LICENCE.format(name=comment(name)),
        '#include "model.h"',
        "",
        '#include "model_weights.h"',
        "",
        f"uint8_t emulab_arena[{arena_bytes}] __attribute__((aligned(16)));",
        "",
        "void emulab_model_reset(void)",
        "{",
        "}",
        "",
        f"/* {len(trees.roots)} trees, {len(trees.nodes)} nodes, at most {trees.depth} comparisons each */",
        f"__attribute__((noinline, used)) void {SYMBOL}(void)",
        "{",
        "    const int8_t *x = (const int8_t *)emulab_arena;",
        f"    int32_t *sum = (int32_t *)(void *)(emulab_arena + {output_offset});",
        *(["    int class = 0;"] if trees.kind == "boosted" else []),
        f"    for (int c = 0; c < {trees.classes}; c++)",
        "        sum[c] = emulab_base[c];",
        f"    for (int t = 0; t < {len(trees.roots)}; t++) {{",
        "        int at = emulab_roots[t];",
        "        while (at >= 0) {",
        "            const struct emulab_node *node = emulab_nodes + at;",
        "            at = x[node->feature] <= node->threshold ? node->left : node->right;",
        "        }",
        *add,
        "    }",
        "}",
        "",
        "__attribute__((noinline)) void emulab_layer_end(void)",
        "{",
        '    __asm__ volatile("");',
        "}",
        "",
        "void emulab_model_run(void)",
        "{",
        f"    {SYMBOL}();",
        "    emulab_layer_end();",
        "}",
    ]
    for kind, c_type, offset in (("input", "int8_t", 0), ("output", "int32_t", output_offset)):
        lines += [
            "",
            f"emulab_model_{kind}_t *emulab_model_{kind}(void)",
            "{",
            f"    return ({c_type} *)(void *)(emulab_arena + {offset});",
            "}",
            "",
            f"void *emulab_model_{kind}_at(int index)",
            "{",
            f"    return index == 0 ? (void *)(emulab_arena + {offset}) : (void *)0;",
            "}",
        ]
    return "\n".join(lines) + "\n"
