#!/usr/bin/env python3
"""Makes src/quant/iq_grids.cc: make_iq_grids.py GRIDS.safetensors > src/quant/iq_grids.cc

GRIDS.safetensors holds the code books of ggml's IQ types as int8 tensors "IQ2_XXS.grid" and so on, a
row for each point. A point becomes one 16-bit number: its components as numbers of levels, the first
in the lowest bits.
"""

import json
import struct
import sys

# Name in the file, name in the source, bits per component, values of the levels.
BOOKS = [
    ("IQ2_XXS", "Iq2Xxs", 2, "kIq2Levels", [8, 25, 43]),
    ("IQ2_XS", "Iq2Xs", 2, "kIq2Levels", [8, 25, 43]),
    ("IQ2_S", "Iq2S", 2, "kIq2Levels", [8, 25, 43]),
    ("IQ3_XXS", "Iq3Xxs", 3, "kIq3XxsLevels", [4, 12, 20, 28, 36, 44, 52, 62]),
    ("IQ3_S", "Iq3S", 3, "kIq3SLevels", [1, 3, 5, 7, 9, 11, 13, 15]),
    ("IQ1_S", "Iq1", 2, "kIq1Levels", [-1, 0, 1]),
]

HEAD = """\
// Made by tools/make_iq_grids.py; change that.
#include "quant/iq_grids.h"

namespace ponder {
namespace {

// The values of all points, from their packed form.
template <size_t kComponents, size_t kPoints, size_t kLevels>
constexpr GridValues<kPoints, kComponents> expand(const uint16_t (&points)[kPoints],
                                                  const int8_t (&levels)[kLevels]) {
  constexpr unsigned kBits = kLevels > 4 ? 3 : 2, kMask = (1u << kBits) - 1;
  GridValues<kPoints, kComponents> values{};
  for (size_t p = 0; p < kPoints; ++p) {
    for (size_t i = 0; i < kComponents; ++i) {
      values[p][i] = levels[(unsigned{points[p]} >> (kBits * i)) & kMask];
    }
  }
  return values;
}
"""


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = (entry["shape"], struct.unpack(f"{end - begin}b", data[begin:end]))
    return tensors


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tensors = read(sys.argv[1])
    out = [HEAD]
    for name, values in dict((book[3], book[4]) for book in BOOKS).items():
        out.append(f"constexpr int8_t {name}[] = {{{', '.join(map(str, values))}}};")
    out.append("\n// clang-format off")
    for source, name, bits, _, levels in BOOKS:
        (points, components), values = tensors[source + ".grid"]
        packed = [
            sum(levels.index(values[p * components + i]) << (bits * i) for i in range(components))
            for p in range(points)
        ]
        out.append(f"constexpr uint16_t k{name}Points[{points}] = {{")
        for i in range(0, points, 12):
            out.append("    " + ", ".join(f"0x{p:04x}" for p in packed[i : i + 12]) + ",")
        out.append("};")
    out.append("// clang-format on\n\n}  // namespace\n")
    for source, name, _, levels, _ in BOOKS:
        (points, components), _ = tensors[source + ".grid"]
        out.append(
            f"constexpr GridValues<{points}, {components}> k{name}Values = "
            f"expand<{components}>(k{name}Points, {levels});"
        )
    out.append("")
    for _, name, bits, levels, _ in BOOKS:
        out.append(f"constexpr CodeBook k{name}Book{{k{name}Points, {levels}, {bits}}};")
    out.append("\n}  // namespace ponder")
    print("\n".join(out))


if __name__ == "__main__":
    main()
